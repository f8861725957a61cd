package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// says calls sluice and wants an exit code and words.
func (w *world) says(code int, words string, args ...string) {
	w.Helper()
	out, got := w.sluice(args...)
	if got != code || !strings.Contains(out, words) {
		w.Errorf("sluice %s: exit code %d, %q; want %d, and %q in it", strings.Join(args, " "), got, out, code, words)
	}
}

// TestCommands is a day with sluice: status, pause, resume, promote, abort, retry, rollback, history.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	timed := map[string]any{"weight": int64(30), "pause": map[string]any{"duration": "2s"}}
	steps(only(objects, "Rollout"), step(20), timed, step(50))
	w.start(objects...)
	before, load := w.team(), w.load()
	w.says(0, "Healthy", "status", "shop")
	w.says(4, "no Rollout or Release", "status", "nope")
	w.says(1, "no release", "promote", "shop")

	w.mustSluice("start", "shop", "--image", "web=argoproj/rollouts-demo:green")
	w.atStep("shop-1", 1)
	w.says(3, "shop-1", "status", "shop-1", "--wait", "--timeout", "30s")
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	w.mustSluice("pause", "shop")
	load.next(t, 800) // Twice as long as the step's own pause.
	if r := w.release("shop-1", "shop-1 is paused by hand", pausedByHand); r.Status.Memory.Step != 1 {
		t.Errorf("a release that was paused in step 2 went on to step %d", r.Status.Memory.Step+1)
	}
	w.says(3, "paused", "status", "shop")
	w.mustSluice("resume", "shop")
	w.atStep("shop-1", 3)
	load.sharedOut(t, 400, "green", 50)
	w.mustSluice("abort", "shop", "-m", "no")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.says(1, "rejected", "status", "shop")
	w.nothingLeft(before)

	w.mustSluice("retry", "shop")
	w.atStep("shop-2", 1)
	w.mustSluice("promote", "shop", "--full")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.says(0, "green", "status", "shop", "--wait", "--timeout", "30s")
	w.onlyPods("green", 4)

	w.setImage("yellow")
	w.atStep("shop-3", 1)
	w.mustSluice("promote", "shop", "--full")
	w.ended("shop-3", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("yellow", 4)

	w.says(1, "1", "rollback", "shop", "--to", "1") // It was aborted.
	w.mustSluice("rollback", "shop", "--to", "2")
	w.ended("shop-4", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.allFrom("green", 30, w.to("/color"))
	w.says(0, "\n4  ", "history", "shop")
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

func pausedByHand(r *v1alpha1.Release) error {
	if r.Status.Memory == nil || r.Status.Memory.PausedBy == "" {
		return errors.New("nobody has paused it")
	}
	return nil
}

// TestEditDuringCompletion changes the template while the release before it is handed over: the edit reaches nobody
// without a release of its own.
func TestEditDuringCompletion(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	slowDrain(steps(only(objects, "Rollout"), step(50)))
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.mustSluice("promote", "shop")
	w.inPhase("shop-1", v1alpha1.ReleaseCompleting)
	w.setImage("yellow")
	second := w.atStep("shop-2", 1)
	for _, s := range load.between(time.Time{}, second.Status.StartedAt.Time) {
		if s.version == "yellow" {
			t.Fatalf("yellow answered at %s, and its release began at %s", s.at, second.Status.StartedAt)
		}
	}
	load.sharedOut(t, 400, "yellow", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("yellow", 4)
	w.startedOnce("yellow", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// TestKeptPaused is the fall-back for clusters without mutating admission policies.
func TestKeptPaused(t *testing.T) {
	c := alone(t, "--no-mutating-policies")
	controller, err := startController(c.Kubeconfig, nil)
	must(t, err)
	defer controller.stop()
	w := worldIn(t, c)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(only(objects, "Rollout"), step(50))
	w.start(objects...)
	load := w.load()
	r := w.phase(v1alpha1.RolloutHealthy)
	if held := condition(r, v1alpha1.ConditionHeld); held == nil || held.Reason != v1alpha1.ReasonKeptPaused {
		t.Errorf("condition Held is %+v, want reason %s", held, v1alpha1.ReasonKeptPaused)
	}
	if !w.deployment().Spec.Paused {
		t.Error("the workload is not kept paused")
	}
	w.kubectl("scale", "deployment/shop", "--replicas=5")
	until(t, long, "a paused workload still scales", func() error { return counted(w, 5, 0) })
	w.setImage("green")
	w.atStep("shop-1", 1)
	load.sharedOut(t, 400, "green", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 5)
	w.startedOnce("green", 5)
	w.setImage("yellow")
	w.atStep("shop-2", 1)
	w.mustSluice("abort", "shop")
	w.ended("shop-2", v1alpha1.ReleaseAborted)
	w.onlyPods("green", 5)
	if !w.deployment().Spec.Paused {
		t.Error("the workload is no longer kept paused")
	}
	w.resumedByHand()
	w.kubectl("delete", "rollout", "shop", "--timeout=60s")
	w.onlyPods("green", 5)
	if d := w.deployment(); d.Spec.Paused || d.Spec.Template.Spec.Containers[0].Image != "argoproj/rollouts-demo:green" {
		t.Errorf("after the Rollout is deleted: paused %v, image %s", d.Spec.Paused, d.Spec.Template.Spec.Containers[0].Image)
	}
	noneFailed(t, load.end())
}

// resumedByHand is FaultB23: where not even the policy is there that refuses it, somebody resumes the workload while a step
// waits. It is paused again, what it has started is taken back, and the release goes on as it was.
func (w *world) resumedByHand() {
	w.Helper()
	w.setImage("blue")
	w.atStep("shop-3", 1)
	if _, err := w.tryKubectl("", "rollout", "resume", "deployment/shop"); err == nil {
		w.Error("B23: the policy sluice-keep-hold lets anybody resume a held workload")
	}
	w.kubectl("delete", "validatingadmissionpolicybinding", "sluice-keep-hold")
	until(w.T, long, "the workload can be resumed", func() error {
		_, err := w.tryKubectl("", "rollout", "resume", "deployment/shop")
		return err
	})
	until(w.T, long, "the workload is paused again", func() error {
		if !w.deployment().Spec.Paused {
			return errors.New("it is not")
		}
		return counted(w, 3, 5)
	})
	w.mustSluice("abort", "shop")
	w.ended("shop-3", v1alpha1.ReleaseAborted)
	w.onlyPods("green", 5)
}
