package node

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func withHook(h *corev1.LifecycleHandler) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: h}
		p.Spec.Containers[0].ReadinessProbe = get("/", nil)
	}
}

func TestPodServesDuringPreStop(t *testing.T) {
	run(t, withHook(&corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}), func(w *world, p *pod) {
		p.begin()
		after(10 * time.Second)
		p.terminate(30 * time.Second)
		after(4 * time.Second)
		if c := web(p); c.State.Running == nil || !c.Ready {
			t.Errorf("during preStop: %+v", c)
		}
		after(10 * time.Second)
		wantStory(t, w, `0s Started: Container started
			10s Killing: Stopping container web
			15s SIGTERM`)
		c, s := web(p), p.now()
		if term := c.State.Terminated; term == nil || term.ExitCode != 0 || term.FinishedAt.Sub(w.begin) != 16*time.Second {
			t.Errorf("at the end: %+v", c.State)
		}
		if stopped, _ := p.state(); !stopped || s.Phase != corev1.PodSucceeded || isReady(p) {
			t.Errorf("stopped %v, phase %s, ready %v", stopped, s.Phase, isReady(p))
		}
	})
}

func TestPreStopRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		answer error
		story  string
	}{
		"answered": {nil, `0s Started: Container started
			0s Killing: Stopping container web
			0s preStop /drain
			0s SIGTERM`},
		"failed": {errDown, `0s Started: Container started
			0s Killing: Stopping container web
			0s preStop /drain
			0s FailedPreStopHook: PreStopHook failed: HTTP probe failed with statuscode: 503
			0s SIGTERM`},
	} {
		t.Run(name, func(t *testing.T) {
			hook := &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/drain"}}
			run(t, func(p *corev1.Pod) {
				p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: hook}
			}, func(w *world, p *pod) {
				w.answers(func(string) error { return tc.answer })
				p.begin()
				after(0)
				p.terminate(30 * time.Second)
				after(5 * time.Second)
				wantStory(t, w, tc.story)
			})
		})
	}
}

// endsAt deletes a pod after 10s with these grace periods, 3s apart, and returns how
// long after the first deletion it had stopped, and with which exit code.
func endsAt(t *testing.T, change func(*corev1.Pod), graces ...time.Duration) (took time.Duration, code int32) {
	run(t, change, func(w *world, p *pod) {
		p.begin()
		after(10 * time.Second)
		for i, g := range graces {
			if i > 0 {
				after(3 * time.Second)
			}
			p.terminate(g)
		}
		after(2 * time.Minute)
		term := web(p).State.Terminated
		if term == nil {
			t.Fatalf("still %+v", web(p).State)
		}
		took, code = term.FinishedAt.Sub(w.begin)-10*time.Second, term.ExitCode
	})
	return took, code
}

func TestGracePeriod(t *testing.T) {
	deaf := func(p *corev1.Pod) { p.Spec.Containers[0].Image = "deaf" }
	longHook := func(p *corev1.Pod) {
		withHook(&corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 60}})(p)
		p.Spec.Containers[0].Image = "deaf"
	}
	s := time.Second
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		graces []time.Duration
		took   time.Duration
		code   int32
	}{
		"graceful":                        {nil, []time.Duration{30 * s}, 1 * s, 0},
		"killed when it is over":          {deaf, []time.Duration{30 * s}, 30 * s, 137},
		"two seconds at the least":        {deaf, []time.Duration{0}, 2 * s, 137},
		"two seconds after a long hook":   {longHook, []time.Duration{20 * s}, 22 * s, 137},
		"shortened by a second deletion":  {deaf, []time.Duration{30 * s, 5 * s}, 8 * s, 137},
		"not lengthened by a second one":  {deaf, []time.Duration{10 * s, 60 * s}, 10 * s, 137},
		"a hook shortened by another one": {longHook, []time.Duration{30 * s, 1 * s}, 6 * s, 137},
	} {
		t.Run(name, func(t *testing.T) {
			if took, code := endsAt(t, tc.change, tc.graces...); took != tc.took || code != tc.code {
				t.Errorf("ended after %v with exit code %d, want %v with %d", took, code, tc.took, tc.code)
			}
		})
	}
}

func TestNothingStartsOnceDeleted(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "crash" }, func(w *world, p *pod) {
		w.runs["crash"] = exits(0, 1)
		p.begin()
		after(2 * time.Second) // in back-off
		p.terminate(30 * time.Second)
		ran := w.counts["crash"]
		if stopped, _ := p.state(); !stopped {
			t.Error("a pod of which nothing runs has not stopped at once")
		}
		after(time.Minute)
		if w.counts["crash"] != ran {
			t.Error("the container was restarted after the deletion")
		}
		if s := p.now(); s.Phase != corev1.PodFailed {
			t.Errorf("phase %s", s.Phase)
		}
	})
}
