package admission_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// marksOf are Sluice's annotations on the workload and on its template.
func (w *world) marksOf() map[string]string {
	w.t.Helper()
	d, out := w.get(deployments, "shop"), map[string]string{}
	for k, v := range d.GetAnnotations() {
		if strings.HasPrefix(k, "sluice.dev/") {
			out[k] = v
		}
	}
	for k, v := range nested[map[string]any](w.t, d, "spec", "template", "metadata", "annotations") {
		if text, ok := v.(string); ok && strings.HasPrefix(k, "sluice.dev/") {
			out["template: "+k] = text
		}
	}
	return out
}

func (w *world) wantMarks(when string, want map[string]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.marksOf()); diff != "" {
		w.t.Errorf("%s: Sluice's marks (-want +got):\n%s", when, diff)
	}
}

// TestFaultA2MarksAreSluicesAlone: whatever mark of Sluice's alice writes on a workload or its template, it is undone; and
// what Sluice has written there she can neither change nor remove.
func TestFaultA2MarksAreSluicesAlone(t *testing.T) {
	t.Run("on a workload at rest", func(t *testing.T) {
		w := takenOver(t)
		w.mustKubectl("alice", "", "annotate", "deploy/shop", "sluice.dev/held-change-cause=Rollback shop-1", "sluice.dev/kept-paused=true",
			"sluice.dev/held-authors=bob", "sluice.dev/of-tomorrow=x", "team.example/note=stays")
		w.wantMarks("annotated", map[string]string{})
		if got := w.get(deployments, "shop").GetAnnotations()["team.example/note"]; got != "stays" {
			t.Errorf("the team's own annotation is %q", got)
		}
		w.wantState("annotated", idle)
	})
	t.Run("with a change of the template", func(t *testing.T) {
		w := takenOver(t)
		w.patch("alice", deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/held-change-cause":"Rollback shop-1","sluice.dev/kept-paused":"true","sluice.dev/held-authors":"bob"}},
			"spec":{"template":{"metadata":{"annotations":{"sluice.dev/former":"true"},"labels":{"v":"2"}}}}}`)
		w.wantState("changed", heldByAlice)
		w.wantMarks("changed", map[string]string{v1alpha1.AnnotationHeld: "alice", v1alpha1.AnnotationAuthors: "alice"})
	})
	t.Run("of what Sluice wrote", func(t *testing.T) {
		w := held(t)
		w.patch(sluice, deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/kept-paused":"true"}}}`)
		want := map[string]string{v1alpha1.AnnotationHeld: "alice", v1alpha1.AnnotationAuthors: "alice", "sluice.dev/kept-paused": "true"}
		w.wantMarks("by Sluice", want)
		w.patch("alice", deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/kept-paused":null,"sluice.dev/held-authors":"bob"}}}`)
		w.wantMarks("removed", want)
		w.patch("alice", deployments, "shop", `{"metadata":{"annotations":null}}`)
		w.wantMarks("all removed", want)
		w.patch("alice", deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/kept-paused":"false"}}}`)
		w.wantMarks("changed", want)
		w.mustKubectl("bob", shop("green"), "replace", "-f", "-")
		w.wantMarks("replaced", want)
	})
}

// TestFaultA11AuthorsAreCollected: all who changed the template since the stable revision are on record, whoever came
// last, and also behind the team's own pause.
func TestFaultA11AuthorsAreCollected(t *testing.T) {
	t.Run("one after the other", func(t *testing.T) {
		w := held(t)
		w.mustKubectl("bob", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:yellow")
		w.wantMarks("bob too", map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "alice\nbob"})
		w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:red")
		w.mustKubectl("bob", "", "annotate", "deploy/shop", "team.example/note=x")
		w.wantMarks("alice again", map[string]string{v1alpha1.AnnotationHeld: "alice", v1alpha1.AnnotationAuthors: "alice\nbob"})
	})
	t.Run("behind the team's pause", func(t *testing.T) {
		w := takenOver(t)
		w.mustKubectl("bob", "", "rollout", "pause", "deployment/shop")
		w.mustKubectl("alice", "", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
		w.wantState("behind the pause", state{Paused: true, Label: "shop"})
		w.mustKubectl("bob", "", "rollout", "resume", "deployment/shop")
		w.wantState("resumed", heldByBob)
		w.wantMarks("resumed", map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "alice\nbob"})
	})
	t.Run("hidden by kept-paused", func(t *testing.T) {
		w := takenOver(t)
		w.patch("alice", deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/kept-paused":"true"}},"spec":{"paused":true,"template":{"metadata":{"labels":{"v":"2"}}}}}`)
		w.wantMarks("hidden", map[string]string{v1alpha1.AnnotationAuthors: "alice"})
	})
}
