package e2e

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// slowDrain has the ends of releases take long enough to do something in them.
func slowDrain(rollout *unstructured.Unstructured) { set(rollout, "4s", "spec", "drainDelay") }

// TestDeleteRollout deletes the Rollout at the worst moments: everything is put back and nobody notices.
func TestDeleteRollout(t *testing.T) {
	moments := map[string]func(*world){
		"AtAStep": func(w *world) { w.atStep("shop-1", 1) },
		"Completing": func(w *world) {
			w.atStep("shop-1", 1)
			w.mustSluice("promote", "shop")
			w.inPhase("shop-1", v1alpha1.ReleaseCompleting)
		},
		"Aborting": func(w *world) {
			w.atStep("shop-1", 1)
			w.mustSluice("abort", "shop")
			w.inPhase("shop-1", v1alpha1.ReleaseAborting)
		},
		"Rejected": func(w *world) {
			w.atStep("shop-1", 1)
			w.mustSluice("abort", "shop")
			w.phase(v1alpha1.RolloutRejected)
		},
	}
	for name, reach := range moments {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
			slowDrain(steps(only(objects, "Rollout"), step(50)))
			w.start(objects...)
			before, load := w.team(), w.load()
			w.setImage("green")
			reach(w)
			w.kubectl("delete", "rollout", "shop", "--timeout=60s")
			w.released(before)
			noneFailed(t, load.end())
		})
	}
}

// inPhase waits until a release is in a phase.
func (w *world) inPhase(name string, phase v1alpha1.ReleasePhase) {
	w.Helper()
	w.release(name, name+" is "+string(phase), func(r *v1alpha1.Release) error {
		if r.Status.Phase != phase {
			return fmt.Errorf("is %s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
		}
		return nil
	})
}

// released has the test fail unless the workload is the team's alone: it runs what its template says, at full size,
// and nothing of Sluice's is left.
func (w *world) released(before team) {
	w.Helper()
	d := w.deployment()
	image := d.Spec.Template.Spec.Containers[0].Image
	w.onlyPods(image[len("argoproj/rollouts-demo:"):], 4)
	w.nothingLeft(before)
	d = w.deployment()
	for k := range d.Labels {
		if k == v1alpha1.LabelRollout {
			w.Errorf("the Deployment still has the label %s", k)
		}
	}
	w.startedOnce("blue", 4)
	if n := len(w.journal.started("green")); n > 4 {
		w.Errorf("%d green pods were started, want at most 4", n)
	}
}

// TestUninstall takes Sluice out of a cluster while one release is under way and another is rejected: beside a
// controller that runs, and where there is none any more, so that the command puts everything back itself.
func TestUninstall(t *testing.T) {
	t.Run("BesideAController", func(t *testing.T) { uninstall(t, false) })
	t.Run("WithoutAController", func(t *testing.T) { uninstall(t, true) })
}

func uninstall(t *testing.T, gone bool) {
	t.Helper()
	c := alone(t)
	controller, err := startController(c.Kubeconfig, nil)
	must(t, err)
	defer controller.stop()
	worlds := []*world{worldIn(t, c), worldIn(t, c)}
	var before []team
	var loads []*load
	for _, w := range worlds {
		objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
		steps(only(objects, "Rollout"), step(50))
		w.start(objects...)
		before, loads = append(before, w.team()), append(loads, w.loadOn(w.to("/color"), 2))
		w.setImage("green")
		w.atStep("shop-1", 1)
	}
	worlds[1].mustSluice("abort", "shop")
	worlds[1].phase(v1alpha1.RolloutRejected)
	if gone {
		controller.kill()
	}

	said, err := command(t.Context(), "sluice", "--kubeconfig", c.Kubeconfig, "uninstall", "--yes", "--timeout", "60s").CombinedOutput()
	out := string(said)
	if err != nil {
		t.Fatalf("sluice uninstall: %v\n%s", err, out)
	}
	for i, w := range worlds {
		w.released(before[i])
		noneFailed(t, loads[i].end())
	}
	left, err := worlds[0].tryKubectl("", "get", "mutatingadmissionpolicies,validatingadmissionpolicies,clusterroles", "-o", "name")
	if err != nil || strings.Contains(left, "sluice") {
		t.Errorf("left after uninstall: %s %v; it said:\n%s", left, err, out)
	}
}
