package admission_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// shop is a team's manifest: it knows nothing of Sluice.
func shop(image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: "argoproj/rollouts-demo:%s"}]}
`, image)
}

// state is what the policy decides about.
type state struct {
	Paused bool
	By     string
	Label  string
}

var (
	idle        = state{Label: "shop"}
	heldByAlice = state{Paused: true, By: "alice", Label: "shop"}
	heldByBob   = state{Paused: true, By: "bob", Label: "shop"}
)

func stateOf(t *testing.T, object *unstructured.Unstructured) state {
	t.Helper()
	return state{
		Paused: nested[bool](t, object, "spec", "paused"),
		By:     object.GetAnnotations()[v1alpha1.AnnotationHeld],
		Label:  object.GetLabels()[v1alpha1.LabelRollout],
	}
}

// takenOver is a world with the workload blue, applied by alice and labelled by Sluice.
func takenOver(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.mustKubectl("alice", shop("blue"), "apply", "-f", "-")
	w.patch(sluice, deployments, "shop", `{"metadata":{"labels":{"sluice.dev/rollout":"shop"}}}`)
	w.wantState("after the take-over", idle)
	w.wantReplicaSets(1)
	return w
}

// held is takenOver with a new revision by alice.
func held(t *testing.T) *world {
	t.Helper()
	w := takenOver(t)
	w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
	w.wantState("after the change", heldByAlice)
	return w
}

func (w *world) wantState(when string, want state) {
	w.t.Helper()
	if diff := cmp.Diff(want, stateOf(w.t, w.get(deployments, "shop"))); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// wantReplicaSets waits until the Deployment controller has seen the newest generation, and then counts.
func (w *world) wantReplicaSets(want int) []unstructured.Unstructured {
	w.t.Helper()
	w.eventually("the Deployment controller has seen the change", func(context.Context) error {
		deployment := w.get(deployments, "shop")
		if seen := nested[int64](w.t, deployment, "status", "observedGeneration"); seen < deployment.GetGeneration() {
			return fmt.Errorf("observed generation %d of %d", seen, deployment.GetGeneration())
		}
		return nil
	})
	list, err := w.as("", replicaSets).List(w.t.Context(), metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(list.Items) != want {
		w.t.Fatalf("%d ReplicaSets, want %d", len(list.Items), want)
	}
	return list.Items
}

// TestWorkloadIsHeld: by whatever means the template is changed, the change is stored paused, in the name of
// the one who made it, and the old ReplicaSet stays the only one.
func TestWorkloadIsHeld(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"set image": func(w *world) {
			w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
		},
		"client-side apply": func(w *world) { w.mustKubectl("alice", shop("green"), "apply", "-f", "-") },
		"server-side apply": func(w *world) {
			w.mustKubectl("alice", shop("green"), "apply", "--server-side", "--force-conflicts", "-f", "-")
		},
		"replace":         func(w *world) { w.mustKubectl("alice", shop("green"), "replace", "-f", "-") },
		"rollout restart": func(w *world) { w.mustKubectl("alice", "", "rollout", "restart", "deployment/shop") },
		"patch that says it is not paused": func(w *world) {
			w.patch("alice", deployments, "shop", `{"spec":{"paused":false,"template":{"metadata":{"labels":{"v":"2"}}}}}`)
		},
		"patch that drops the label": func(w *world) {
			w.patch("alice", deployments, "shop", `{"metadata":{"labels":{"sluice.dev/rollout":null}},"spec":{"template":{"metadata":{"labels":{"v":"2"}}}}}`)
		},
		"patch in another's name": func(w *world) {
			w.patch("alice", deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/held-change-by":"bob"}},"spec":{"paused":true,"template":{"metadata":{"labels":{"v":"2"}}}}}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := takenOver(t)
			before := w.wantReplicaSets(1)[0].GetUID()
			template := nested[map[string]any](t, w.get(deployments, "shop"), "spec", "template")
			change(w)
			w.wantState("after the change", heldByAlice)
			if cmp.Equal(template, nested[map[string]any](t, w.get(deployments, "shop"), "spec", "template")) {
				t.Error("the new template is not stored")
			}
			if after := w.wantReplicaSets(1)[0].GetUID(); after != before {
				t.Errorf("ReplicaSet %s is now %s", before, after)
			}
		})
	}
}

// TestHoldStays: whatever others write afterwards, the hold, its author and the label stay.
func TestHoldStays(t *testing.T) {
	w := held(t)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"server-side apply", func() {
			w.mustKubectl("bob", shop("green"), "apply", "--server-side", "--force-conflicts", "-f", "-")
		}},
		{"client-side apply", func() { w.mustKubectl("bob", shop("green"), "apply", "-f", "-") }},
		{"replace", func() { w.mustKubectl("bob", shop("green"), "replace", "-f", "-") }},
		{"rollout resume", func() { w.mustKubectl("bob", "", "rollout", "resume", "deployment/shop") }},
		{"the label dropped", func() { w.mustKubectl("bob", "", "label", "deployment/shop", "sluice.dev/rollout-") }},
		{"the label changed", func() {
			w.mustKubectl("bob", "", "label", "--overwrite", "deployment/shop", "sluice.dev/rollout=other")
		}},
		{"the author dropped", func() { w.mustKubectl("bob", "", "annotate", "deployment/shop", "sluice.dev/held-change-by-") }},
		{"the author changed", func() {
			w.mustKubectl("bob", "", "annotate", "--overwrite", "deployment/shop", "sluice.dev/held-change-by=carol")
		}},
		{"all at once", func() {
			w.patch("bob", deployments, "shop", `{"metadata":{"labels":null,"annotations":null},"spec":{"paused":null}}`)
		}},
		{"by an administrator", func() { w.patch("", deployments, "shop", `{"spec":{"paused":false}}`) }},
	} {
		step.do()
		w.wantState("after "+step.name, heldByAlice)
	}
	w.wantReplicaSets(1)
	for _, paused := range []string{"", "  paused: false\n"} {
		manifest := shop("green") + paused
		w.mustKubectl("bob", manifest, "apply", "--server-side", "--force-conflicts", "-f", "-")
		w.wantState("after applying it once more", heldByAlice)
		if output, err := w.kubectl("bob", manifest, "diff", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
			t.Errorf("kubectl diff --server-side of %q shows a drift: %v\n%s", paused, err, output)
		}
	}
}

// TestNewerChangeTakesTheHold: the author is the one of the newest change.
func TestNewerChangeTakesTheHold(t *testing.T) {
	w := held(t)
	w.mustKubectl("bob", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:yellow")
	w.wantState("after another change", heldByBob)
	w.wantReplicaSets(1)
}

// TestHeldWorkloadScales: holding a revision does not hold what runs.
func TestHeldWorkloadScales(t *testing.T) {
	w := held(t)
	w.mustKubectl("bob", "", "scale", "deployment/shop", "--replicas=3")
	w.wantState("after scaling", heldByAlice)
	w.eventually("the old ReplicaSet has 3 pods to run", func(context.Context) error {
		if got := nested[int64](t, &w.wantReplicaSets(1)[0], "spec", "replicas"); got != 3 {
			return fmt.Errorf("replicas %d", got)
		}
		return nil
	})
}

// TestIdleWorkloadIsNotTouched: what is not a new revision passes as it is written.
func TestIdleWorkloadIsNotTouched(t *testing.T) {
	w := takenOver(t)
	for name, patch := range map[string]string{
		"replicas":    `{"spec":{"replicas":2}}`,
		"strategy":    `{"spec":{"strategy":{"rollingUpdate":{"maxSurge":3}}}}`,
		"annotations": `{"metadata":{"annotations":{"team":"web"}}}`,
		"labels":      `{"metadata":{"labels":{"team":"web"}}}`,
	} {
		w.patch("alice", deployments, "shop", patch)
		w.wantState("after a change of "+name, idle)
	}
	w.mustKubectl("alice", shop("blue"), "replace", "-f", "-")
	w.wantState("after a replace that says the same", idle)
	if got := w.get(deployments, "shop").GetLabels(); got["team"] != "" {
		t.Errorf("labels %v: a replace must still remove what the team does not want any more", got)
	}
}

// TestPauseOfTheTeam: a workload that the team has paused is theirs; what they changed meanwhile is held when
// they resume it.
func TestPauseOfTheTeam(t *testing.T) {
	w := takenOver(t)
	w.mustKubectl("alice", "", "rollout", "pause", "deployment/shop")
	w.wantState("paused by the team", state{Paused: true, Label: "shop"})
	w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
	w.wantState("changed while paused by the team", state{Paused: true, Label: "shop"})
	w.mustKubectl("bob", "", "rollout", "resume", "deployment/shop")
	w.wantState("resumed by the team", heldByBob)
	w.wantReplicaSets(1)
}

// TestForgedHold: who writes the mark of a hold holds in his own name.
func TestForgedHold(t *testing.T) {
	w := takenOver(t)
	w.mustKubectl("alice", "", "annotate", "deployment/shop", "sluice.dev/held-change-by=bob")
	w.wantState("after a forged mark", heldByAlice)
}

// TestSluiceIsFree: Sluice itself changes templates, lifts holds and lets workloads go.
func TestSluiceIsFree(t *testing.T) {
	w := takenOver(t)
	w.patch(sluice, deployments, "shop", `{"spec":{"template":{"metadata":{"labels":{"v":"2"}}}}}`)
	w.wantState("after Sluice's own change", idle)
	w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
	w.wantState("held", heldByAlice)
	w.patch(sluice, deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/held-change-by":null}},"spec":{"paused":null}}`)
	w.wantState("lifted", idle)
	w.patch(sluice, deployments, "shop", `{"metadata":{"labels":{"sluice.dev/rollout":null}}}`)
	w.wantState("let go", state{})
	w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:yellow")
	w.wantState("changed when let go", state{})
}

// TestOthersAreNotTouched: without the label nothing is done, whatever the object says.
func TestOthersAreNotTouched(t *testing.T) {
	w := newWorld(t)
	w.mustKubectl("alice", shop("blue"), "apply", "-f", "-")
	w.mustKubectl("alice", shop("green"), "replace", "-f", "-")
	w.wantState("never taken over", state{})
}
