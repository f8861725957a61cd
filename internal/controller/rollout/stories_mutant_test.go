package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/sim"
)

// storyMutants are controllers with a bug that is put in on purpose: the story must tell each from the model.
var storyMutants = []struct {
	name, story string
	spoil       func(*stage)
	says        string
}{
	{
		"the workload stays paused in the end", "ingress/clean",
		func(s *stage) { s.r.PolicyInForce = func() bool { return false } }, "paused",
	},
	{
		"a Service is not given back", "both/abort-at-2",
		func(s *stage) {
			s.bound = 200
			s.drops = func(write string) bool {
				return strings.HasPrefix(write, "patch Service web ") && strings.Contains(write, "null")
			}
		},
		"no rest",
	},
	{
		"a Service is not held to the stable pods", "route/clean",
		func(s *stage) {
			s.drops = func(write string) bool { return strings.HasPrefix(write, "patch Service web ") }
		},
		"Played",
	},
	{
		"a window is not looked at", "pods/shut-at-start-abort",
		func(s *stage) { s.r.Calendar = func() time.Time { return s.begin.Add(-time.Hour) } }, "AbortedByUser",
	},
}

// TestStoriesFindMutants: the comparison finds known bugs.
func TestStoriesFindMutants(t *testing.T) {
	for _, m := range storyMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, storyNamed(t, m.story))
			want, _ := s.story.Play()
			m.spoil(s)
			if wrong := s.against(false, want); !strings.Contains(wrong, m.says) {
				t.Errorf("it should say %q and says: %s", m.says, wrong)
			}
		})
	}
}

// TestStoriesWatchTheRequests: that a version has a share and no ready pod is seen in that tick.
func TestStoriesWatchTheRequests(t *testing.T) {
	s := newStage(t, storyNamed(t, "ingress/clean"))
	for s.share() < 50 {
		s.step()
	}
	s.outages[s.image(1)] = s.now.Add(time.Hour)
	s.changed()
	s.step()
	if want := "web-canary is led to and has no ready pod"; !strings.Contains(s.wrong, want) {
		t.Errorf("it says %q, not %q", s.wrong, want)
	}
}

func storyNamed(t *testing.T, name string) sim.Scenario {
	t.Helper()
	for _, s := range sim.Scenarios() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no story %q", name)
	return sim.Scenario{}
}
