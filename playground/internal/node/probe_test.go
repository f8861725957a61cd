package node

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var errDown = errors.New("HTTP probe failed with statuscode: 503")

func TestTally(t *testing.T) {
	for _, tc := range []struct {
		failures, successes int32
		answers, decided    string // + success, - failure; . undecided
	}{
		{3, 1, "+--+---+", "+..+..-+"},
		{1, 1, "-+-+", "-+-+"},
		{3, 2, "++-+++", ".+..++"},
		{2, 3, "--+++-", ".-..+."},
	} {
		tally := tally{failures: tc.failures, successes: tc.successes}
		got := ""
		for _, a := range tc.answers {
			word := "."
			if tally.add(a == '+') {
				word = string(a)
			}
			got += word
		}
		if got != tc.decided {
			t.Errorf("%d failures, %d successes: %s decided %s, want %s", tc.failures, tc.successes, tc.answers, got, tc.decided)
		}
	}
}

// readyAt plays a readiness probe for a minute and returns when Ready changed.
func readyAt(t *testing.T, probe *corev1.Probe, answer func(at time.Duration) error) (changes []time.Duration) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = probe }, func(w *world, p *pod) {
		w.answers(func(string) error { return answer(time.Since(w.begin)) })
		p.begin()
		was := false
		for range 600 {
			after(0)
			if now := isReady(p); now != was {
				changes, was = append(changes, time.Since(w.begin)), now
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	return changes
}

func TestReadinessFollowsItsProbe(t *testing.T) {
	up := func(time.Duration) error { return nil }
	between := func(from, to time.Duration) func(time.Duration) error {
		return func(at time.Duration) error {
			if at >= from && at < to {
				return errDown
			}
			return nil
		}
	}
	s := time.Second
	for name, tc := range map[string]struct {
		change func(*corev1.Probe)
		answer func(time.Duration) error
		want   []time.Duration
	}{
		"at once":           {nil, up, []time.Duration{0}},
		"initial delay":     {func(b *corev1.Probe) { b.InitialDelaySeconds = 7 }, up, []time.Duration{7 * s}},
		"down at first":     {nil, between(0, 2500*time.Millisecond), []time.Duration{3 * s}},
		"success threshold": {func(b *corev1.Probe) { b.SuccessThreshold = 3 }, up, []time.Duration{2 * s}},
		"failure threshold": {nil, between(10*s, 20*s), []time.Duration{0, 12 * s, 20 * s}},
		"a short failure":   {nil, between(10*s, 12*s), []time.Duration{0}},
		"slow period": {
			func(b *corev1.Probe) { b.PeriodSeconds, b.FailureThreshold = 10, 1 },
			between(1*s, 25*s),
			[]time.Duration{0, 10 * s, 30 * s},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := readyAt(t, get("/", tc.change), tc.answer)
			if len(got) != len(tc.want) {
				t.Fatalf("Ready changed at %v, want %v", got, tc.want)
			}
			for i := range got {
				if got[i] != tc.want[i] {
					t.Fatalf("Ready changed at %v, want %v", got, tc.want)
				}
			}
		})
	}
}

func TestLivenessRestarts(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.Containers[0].LivenessProbe = get("/healthz", nil)
	}, func(w *world, p *pod) {
		w.answers(func(string) error {
			if at := time.Since(w.begin); at >= 5*time.Second && at < 8*time.Second {
				return errDown
			}
			return nil
		})
		p.begin()
		after(20 * time.Second)
		wantStory(t, w, `0s Started: Container started
			5s Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 503
			6s Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 503
			7s Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 503
			7s Killing: Container failed liveness probe, will be restarted
			7s SIGTERM
			8s Started: Container started`)
		if c := web(p); c.RestartCount != 1 || !c.Ready {
			t.Errorf("container: %+v", c)
		}
	})
}

func TestStartupHoldsTheOthersBack(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		c.StartupProbe = get("/start", func(b *corev1.Probe) { b.FailureThreshold = 30 })
		c.ReadinessProbe = get("/ready", nil)
		c.LivenessProbe = get("/live", func(b *corev1.Probe) { b.FailureThreshold = 1 })
	}, func(w *world, p *pod) {
		w.answers(func(path string) error {
			at := time.Since(w.begin)
			if path == "/start" && at < 5*time.Second {
				return errDown
			}
			if path != "/start" && at < 5*time.Second {
				t.Errorf("%s was probed at %v, before the startup probe had passed", path, at)
			}
			return nil
		})
		p.begin()
		after(4 * time.Second)
		if c := web(p); *c.Started || c.Ready {
			t.Errorf("at 4s: %+v", c)
		}
		after(2 * time.Second)
		if c := web(p); !*c.Started || !c.Ready || c.RestartCount != 0 {
			t.Errorf("at 6s: %+v", c)
		}
	})
}

func TestStartupFailureRestarts(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.Containers[0].StartupProbe = get("/start", func(b *corev1.Probe) { b.FailureThreshold = 2 })
	}, func(w *world, p *pod) {
		w.answers(func(string) error { return errDown })
		p.begin()
		after(2500 * time.Millisecond)
		if c := web(p); c.RestartCount != 1 {
			t.Errorf("container: %+v; story:\n%s", c, w.told())
		}
	})
}
