package rollout

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/test/sim"
)

var (
	storiesAll   = flag.Bool("stories.all", false, "play every story of test/sim, not a sample")
	storiesHarms = flag.Int("stories.harms", 1, "play each story so often with the process killed, and so often with a write refused")
	storiesFrom  = flag.Int("stories.from", 0, "begin the sample with the story of this number")
	storiesEvery = flag.Int("stories.every", 67, "one story of so many is in the sample")
)

// untold are the stories that the fake cluster cannot play, by the beginning of their names, and why.
var untold = map[string]string{
	"clock": "somebody sets a clock; the fake cluster has one for everybody",
}

// raced are the stories in which people promote in the very tick in which the step fails: what is seen first is chance, so
// that the step in which the release ends is not compared.
var raced = []string{"pods/background-bad-at-2", "pods/relabel-at-2", "pods/relabel-merged-at-2"}

// TestStories plays the stories of test/sim with the real Reconciler on the fake cluster, and demands that each comes to
// what it comes to in the model: straight, with the process killed after a write, and with a write refused. In every tick
// each Service has the ready pods for its share of the requests. That takes a good part of a second for each, so only a
// sample is played: one story of so many, which is another one on each way to divide. -stories.all plays them all, and
// -stories.from another sample.
func TestStories(t *testing.T) {
	var plays, writes atomic.Int64
	t.Cleanup(func() { t.Logf("%d plays; %d writes in those without a harm", plays.Load(), writes.Load()) })
	families := families()
	for i, story := range chosen() {
		t.Run(story.Name, func(t *testing.T) {
			t.Parallel()
			want, v := story.Play()
			if v != nil {
				t.Fatalf("in the model: %s", v)
			}
			s := newStage(t, story)
			wrong := s.against(slices.Contains(raced, story.Name), want)
			plays.Add(1)
			if wrong != "" {
				t.Fatal(wrong)
			}
			n := len(s.writes)
			writes.Add(int64(n))
			for k := range 2 * *storiesHarms {
				h := harm{kills: k%2 == 0, write: 1 + (7*i+11*k)%max(n, 1)}
				if wrong := playHarmed(t, story, h, families); wrong != "" {
					t.Errorf("%s: %s", h, wrong)
				}
				plays.Add(1)
			}
		})
	}
}

// playHarmed plays a story with a harm. That delays the story, so that the step in which it ends may be another; and where
// it depends on the moment it may end as another one of its family.
func playHarmed(t *testing.T, story sim.Scenario, h harm, families map[string][]sim.Scenario) string {
	t.Helper()
	want, _ := story.Play()
	wants := []sim.Ending{want}
	if story.MayEndAs(sim.Fault{Do: sim.CrashAfter}) {
		for _, other := range families[story.Family] {
			end, _ := other.Play()
			wants = append(wants, end)
		}
	}
	s := newStage(t, story)
	var hit string
	s.strike(h, &hit)
	wrong := s.against(true, wants...)
	if wrong != "" {
		return hit + ": " + wrong
	}
	if hit == "" {
		return "no write was harmed"
	}
	return ""
}

// against plays the story and compares what it comes to, with or without the steps, with what it may come to: the first,
// or one of the others, whose people act at other moments.
func (s *stage) against(stepless bool, wants ...sim.Ending) string {
	s.t.Helper()
	if wrong := s.play(); wrong != "" {
		return wrong
	}
	compared := func(e sim.Ending) sim.Ending {
		if e = s.story.Timeless(e); stepless {
			e = e.Stepless()
		}
		return e
	}
	got := compared(s.ending())
	for _, want := range wants[1:] {
		if want.Played = got.Played; cmp.Equal(compared(want), got) {
			return ""
		}
	}
	if diff := cmp.Diff(compared(wants[0]), got); diff != "" {
		return fmt.Sprintf("(-model +cluster):\n%s%s", diff, s.tells())
	}
	return ""
}

// chosen are the stories that are played now.
func chosen() (out []sim.Scenario) {
	all := slices.DeleteFunc(sim.Scenarios(), func(s sim.Scenario) bool { return untoldBecause(s) != "" })
	every := *storiesEvery
	if testing.Short() {
		every *= 5
	}
	for i, s := range all {
		if *storiesAll || i%every == *storiesFrom%every {
			out = append(out, s)
		}
	}
	return out
}

func families() map[string][]sim.Scenario {
	out := map[string][]sim.Scenario{}
	for _, s := range sim.Scenarios() {
		out[s.Family] = append(out[s.Family], s)
	}
	return out
}

// untoldBecause is why a story is not played; empty if it is.
func untoldBecause(s sim.Scenario) string {
	if s.Config.Plan.Divide == release.BySelector && s.Config.Plan.Background {
		return "spec.blueGreen measures nothing beside its steps"
	}
	_, name, _ := strings.Cut(s.Name, "/")
	for begins, why := range untold {
		if strings.HasPrefix(name, begins) {
			return why
		}
	}
	return ""
}

// TestUntoldStoriesExist: what is not played is still a story.
func TestUntoldStoriesExist(t *testing.T) {
	for begins := range untold {
		if !slices.ContainsFunc(sim.Scenarios(), func(s sim.Scenario) bool {
			_, name, _ := strings.Cut(s.Name, "/")
			return strings.HasPrefix(name, begins)
		}) {
			t.Errorf("no story begins with %q", begins)
		}
	}
	for _, name := range raced {
		storyNamed(t, name)
	}
}
