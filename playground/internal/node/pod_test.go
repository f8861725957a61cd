package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStartsReadyWithoutProbes(t *testing.T) {
	run(t, nil, func(w *world, p *pod) {
		p.begin()
		after(0)
		s := p.now()
		if s.Phase != corev1.PodRunning || !isReady(p) || s.PodIP != "198.18.0.1" || s.StartTime == nil {
			t.Errorf("status: %+v", s)
		}
		c := web(p)
		if c.State.Running == nil || !*c.Started || !c.Ready || c.ImageID == "" || c.ContainerID == "" || c.RestartCount != 0 {
			t.Errorf("container: %+v", c)
		}
	})
}

// restarts returns when the container was started, in whole seconds.
func startsOf(story string) (at []string) {
	for line := range strings.Lines(story) {
		if when, _, ok := strings.Cut(line, " Started: "); ok {
			at = append(at, when)
		}
	}
	return at
}

func TestCrashBackoffDoubles(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "crash" }, func(w *world, p *pod) {
		w.runs["crash"] = exits(0, 7)
		p.begin()
		after(time.Minute)
		want := "0s 0s 1s 3s 7s 15s 31s"
		if got := strings.Join(startsOf(w.told()), " "); got != want {
			t.Errorf("started at %s, want %s", got, want)
		}
		c := web(p)
		if c.State.Waiting == nil || c.State.Waiting.Reason != "CrashLoopBackOff" ||
			c.State.Waiting.Message != "back-off 32s restarting failed container=web pod=shop-1_demo(u1)" {
			t.Errorf("state: %+v", c.State)
		}
		if l := c.LastTerminationState.Terminated; l == nil || l.ExitCode != 7 || l.Reason != "Error" || c.RestartCount != 6 {
			t.Errorf("last state %+v, %d restarts; want exit code 7 and 6", l, c.RestartCount)
		}
		if s := p.now(); s.Phase != corev1.PodRunning || isReady(p) {
			t.Errorf("phase %s, ready %v", s.Phase, isReady(p))
		}
		after(10 * time.Minute)
		if web(p).State.Waiting == nil {
			t.Errorf("state after ten minutes: %+v", web(p).State)
		}
	})
}

func TestCrashBackoffIsForgottenAfterAGoodRun(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "flaky" }, func(w *world, p *pod) {
		w.runs["flaky"] = func(c *call, n int) int {
			if n == 4 {
				return exits(11*time.Minute, 1)(c, n)
			}
			return exits(0, 1)(c, n)
		}
		p.begin()
		after(12 * time.Minute)
		got := strings.Join(startsOf(w.told()), " ")
		if want := "0s 0s 1s 3s 11m3s 11m4s 11m6s"; !strings.HasPrefix(got, want) {
			t.Errorf("started at %s, want %s ...", got, want)
		}
	})
}

func TestHowPodsEnd(t *testing.T) {
	for _, tc := range []struct {
		policy corev1.RestartPolicy
		codes  []int // of one run after the other
		phase  corev1.PodPhase
		runs   int
	}{
		{corev1.RestartPolicyNever, []int{0}, corev1.PodSucceeded, 1},
		{corev1.RestartPolicyNever, []int{3}, corev1.PodFailed, 1},
		{corev1.RestartPolicyOnFailure, []int{0}, corev1.PodSucceeded, 1},
		{corev1.RestartPolicyOnFailure, []int{1, 1, 0}, corev1.PodSucceeded, 3},
		{corev1.RestartPolicyAlways, []int{0, 0, 0}, corev1.PodRunning, 3},
	} {
		t.Run(fmt.Sprint(tc.policy, tc.codes), func(t *testing.T) {
			run(t, func(p *corev1.Pod) {
				p.Spec.RestartPolicy = tc.policy
				p.Spec.Containers[0].Image = "job"
			}, func(w *world, p *pod) {
				w.runs["job"] = func(c *call, n int) int {
					if n > len(tc.codes) {
						return exits(time.Hour, 0)(c, n)
					}
					return tc.codes[n-1]
				}
				p.begin()
				after(2 * time.Second)
				s := p.now()
				last := tc.codes[len(tc.codes)-1]
				if s.Phase != tc.phase || w.counts["job"] < tc.runs {
					t.Fatalf("phase %s after %d runs, want %s after %d", s.Phase, w.counts["job"], tc.phase, tc.runs)
				}
				if term := web(p).State.Terminated; tc.phase != corev1.PodRunning && (term == nil || int(term.ExitCode) != last) {
					t.Errorf("state %+v, want exit code %d", web(p).State, last)
				}
				if tc.phase == corev1.PodSucceeded && conditionOf(s.Conditions, corev1.PodReady).Reason != "PodCompleted" {
					t.Errorf("conditions: %+v", s.Conditions)
				}
			})
		})
	}
}

func TestInitContainersRunInOrder(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "one", Image: "first"}, {Name: "two", Image: "second"}}
	}, func(w *world, p *pod) {
		w.runs["first"] = func(c *call, n int) int { // fails once
			w.tell("first")
			return exits(2*time.Second, max(2-n, 0))(c, n)
		}
		w.runs["second"] = func(c *call, n int) int { w.tell("second"); return exits(3*time.Second, 0)(c, n) }
		p.begin()
		after(time.Second)
		s := p.now()
		if s.Phase != corev1.PodPending || web(p).State.Waiting.Reason != "PodInitializing" ||
			conditionOf(s.Conditions, corev1.PodInitialized).Message != "containers with incomplete status: [one two]" {
			t.Errorf("while initializing: %s %+v %+v", s.Phase, web(p).State, s.Conditions)
		}
		after(10 * time.Second)
		story := w.told()
		if !isReady(p) || strings.Count(story, "first") != 2 || !strings.Contains(story, "4s second") {
			t.Errorf("ready %v, story:\n%s", isReady(p), story)
		}
		if !p.now().InitContainerStatuses[0].Ready {
			t.Errorf("a completed init container does not count as ready")
		}
	})
}

func TestInitContainerFailsThePod(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.InitContainers = []corev1.Container{{Name: "one", Image: "first"}}
	}, func(w *world, p *pod) {
		w.runs["first"] = exits(0, 9)
		p.begin()
		after(time.Second)
		if s := p.now(); s.Phase != corev1.PodFailed || w.counts["serve"] != 0 {
			t.Errorf("phase %s, the container was started %d times", s.Phase, w.counts["serve"])
		}
	})
}

func TestSidecarLastsAsLongAsTheContainers(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].Image = "job"
		p.Spec.InitContainers = []corev1.Container{{
			Name: "side", Image: "serve", RestartPolicy: new(corev1.ContainerRestartPolicyAlways),
		}}
	}, func(w *world, p *pod) {
		w.runs["job"] = exits(5*time.Second, 0)
		p.begin()
		after(4 * time.Second)
		if s := p.now(); s.Phase != corev1.PodRunning || s.InitContainerStatuses[0].State.Running == nil {
			t.Errorf("after 4s: %s, sidecar %+v", s.Phase, s.InitContainerStatuses[0].State)
		}
		after(4 * time.Second)
		if s := p.now(); s.Phase != corev1.PodSucceeded || s.InitContainerStatuses[0].State.Terminated == nil {
			t.Errorf("at the end: %s, sidecar %+v", s.Phase, s.InitContainerStatuses[0].State)
		}
	})
}

func TestUnknownImage(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "nosuch" }, func(w *world, p *pod) {
		p.begin()
		after(0)
		if s := web(p).State.Waiting; s == nil || s.Reason != "ErrImagePull" || p.now().Phase != corev1.PodPending {
			t.Fatalf("at first: %+v", web(p).State)
		}
		after(2 * time.Second)
		if s := web(p).State.Waiting; s == nil || s.Reason != "ImagePullBackOff" {
			t.Fatalf("then: %+v", web(p).State)
		}
		wantStory(t, w, `0s Failed: Failed to pull image "nosuch": no such image
			0s Failed: Error: ErrImagePull
			1s BackOff: Back-off pulling image "nosuch"
			1s Failed: Error: ImagePullBackOff`)
		after(8 * time.Second)
		if s := web(p).State.Waiting; s == nil || s.Reason != "ErrImagePull" {
			t.Fatalf("tried again after 10s: %+v", web(p).State)
		}

		fixed := p.api.DeepCopy()
		fixed.Spec.Containers[0].Image = "serve"
		p.update(fixed)
		after(0)
		if !isReady(p) || web(p).Image != "serve" {
			t.Errorf("with the image mended: %+v", web(p))
		}
	})
}

func TestNewImageRestartsTheContainer(t *testing.T) {
	run(t, nil, func(w *world, p *pod) {
		w.runs["better"] = exits(time.Hour, 0)
		p.begin()
		after(time.Second)
		changed := p.api.DeepCopy()
		changed.Spec.Containers[0].Image = "better"
		p.update(changed)
		after(5 * time.Second)
		wantStory(t, w, `0s Started: Container started
			1s Killing: Container web definition changed, will be restarted
			1s SIGTERM
			2s Started: Container started`)
		if c := web(p); c.RestartCount != 1 || c.Image != "better" || !c.Ready {
			t.Errorf("container: %+v", c)
		}
	})
}

func TestMissingConfigMapHoldsTheContainer(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "shop"},
		}}}
	}, func(w *world, p *pod) {
		p.begin()
		after(time.Second)
		if s := web(p).State.Waiting; s == nil || s.Reason != "CreateContainerConfigError" || s.Message != `configmap "shop" not found` {
			t.Errorf("state: %+v", web(p).State)
		}
		w.finds(func() (environment, error) {
			return environment{configMaps: map[string]map[string]string{"shop": {"COLOR": "red"}}}, nil
		})
		after(2 * time.Second)
		wantStory(t, w, `0s Failed: Error: configmap "shop" not found
			2s Started: Container started`)
		if !isReady(p) {
			t.Error("not ready once the ConfigMap was there")
		}
	})
}

func TestMissingVolumeSourceHoldsThePod(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "conf", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: "shop"},
		}}}
	}, func(w *world, p *pod) {
		w.finds(func() (environment, error) { return environment{}, mountable(p.api, environment{}) })
		p.begin()
		after(time.Second)
		if s := web(p).State.Waiting; s == nil || s.Reason != "ContainerCreating" || p.now().Phase != corev1.PodPending {
			t.Errorf("state: %+v", web(p).State)
		}
		wantStory(t, w, `0s FailedMount: MountVolume.SetUp failed for volume "conf" : secret "shop" not found`)
	})
}

func TestTerminationMessageFromTheLog(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.Containers[0].Image = "speaks"
		p.Spec.Containers[0].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	}, func(w *world, p *pod) {
		w.runs["speaks"] = func(c *call, _ int) int { c.say("request 1: status 503"); return 1 }
		p.begin()
		after(0)
		if got := web(p).State.Terminated.Message; got != "request 1: status 503\n" {
			t.Errorf("message %q", got)
		}
	})
}

func TestReadinessGates(t *testing.T) {
	run(t, func(p *corev1.Pod) {
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "sluice.dev/traffic"}}
	}, func(w *world, p *pod) {
		p.begin()
		after(time.Second)
		ready := func() corev1.PodCondition { return *conditionOf(p.now().Conditions, corev1.PodReady) }
		if c := ready(); c.Status != corev1.ConditionFalse || c.Reason != "ReadinessGatesNotReady" ||
			c.Message != `corresponding condition of pod readiness gate "sluice.dev/traffic" does not exist.` {
			t.Errorf("without the condition: %+v", c)
		}
		for status, want := range map[corev1.ConditionStatus]corev1.ConditionStatus{"False": "False", "True": "True"} {
			seen := p.api.DeepCopy()
			seen.Status.Conditions = []corev1.PodCondition{{Type: "sluice.dev/traffic", Status: status}}
			p.observe(seen)
			if c := ready(); c.Status != want {
				t.Errorf("gate %s: %+v", status, c)
			}
		}
	})
}

func TestActiveDeadline(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(10)) }, func(w *world, p *pod) {
		p.begin()
		after(9 * time.Second)
		if p.now().Phase != corev1.PodRunning {
			t.Errorf("before: %s", p.now().Phase)
		}
		after(2 * time.Second)
		if s := p.now(); s.Phase != corev1.PodFailed || s.Reason != "DeadlineExceeded" {
			t.Errorf("after: %s %s", s.Phase, s.Reason)
		}
	})
}

func TestPodsOfALostNode(t *testing.T) {
	began := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	was := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "web", RestartCount: 2,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}},
		}}
	}
	run(t, was, func(w *world, p *pod) {
		p.begin()
		after(0)
		c := web(p)
		if c.RestartCount != 3 || c.State.Running == nil || c.LastTerminationState.Terminated.ExitCode != 255 {
			t.Errorf("a server: %+v", c)
		}
	})
	run(t, func(p *corev1.Pod) { was(p); p.Spec.RestartPolicy = corev1.RestartPolicyNever }, func(w *world, p *pod) {
		p.begin()
		after(0)
		if s := p.now(); s.Phase != corev1.PodFailed || web(p).State.Terminated.ExitCode != 255 {
			t.Errorf("a job: %s %+v", s.Phase, web(p))
		}
	})
}

func TestTransitionTimesMoveOnlyWithTheStatus(t *testing.T) {
	run(t, func(p *corev1.Pod) { p.Spec.Containers[0].ReadinessProbe = get("/", nil) }, func(w *world, p *pod) {
		p.begin()
		after(0)
		first := conditionOf(p.now().Conditions, corev1.PodReady).LastTransitionTime
		after(10 * time.Second)
		if now := conditionOf(p.now().Conditions, corev1.PodReady).LastTransitionTime; !now.Equal(&first) {
			t.Errorf("moved from %v to %v without a change", first, now)
		}
		w.answers(func(string) error { return errors.New("HTTP probe failed with statuscode: 503") })
		after(10 * time.Second)
		if now := conditionOf(p.now().Conditions, corev1.PodReady).LastTransitionTime; !first.Before(&now) {
			t.Errorf("did not move: %v", now)
		}
	})
}
