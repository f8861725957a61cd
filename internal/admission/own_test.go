package admission_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// managers are who wrote which fields of an object, as the API server has it, but for reports in its status.
func (w *world) managers(resource schema.GroupVersionResource) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, e := range w.get(resource, "shop").GetManagedFields() {
		if e.Subresource == "" {
			out[e.Manager+" "+string(e.Operation)] = e.FieldsV1.GetRawString()
		}
	}
	return out
}

// TestFaultB15SluiceOwnsNothing proves what the API server does with metadata.managedFields in an admission policy: what
// Sluice writes leaves every field its manager's, so that a server-side apply of the original has no conflict without
// force, in the middle of a release (where it changes nothing) and after it. The Holds' own law is TestReapplyIsNoOp.
func TestFaultB15SluiceOwnsNothing(t *testing.T) {
	apply := []string{"apply", "--server-side", "--field-manager", "helm", "-f", "-"}
	for _, g := range targets {
		t.Run(g.kind, func(t *testing.T) {
			w := newWorld(t)
			w.mustKubectl("alice", g.manifest, apply...)
			before, original := w.managers(g.resource), w.heldField(g)
			w.eventually("the policy is in force", func(ctx context.Context) error { return w.ownsNothing(ctx, g.resource) })
			w.hold(g, "shop")
			g.change(w)
			w.waitHeld(g)
			held := w.heldField(g)
			if diff := cmp.Diff(before, w.managers(g.resource)); diff != "" {
				t.Errorf("in mid-release others are the managers (-before +now):\n%s", diff)
			}
			w.mustKubectl("alice", g.manifest, apply...)
			if diff := cmp.Diff(held, w.heldField(g)); diff != "" {
				t.Errorf("applying the original has undone what was held:\n%s", diff)
			}
			w.update(sluice, g.resource, func() *unstructured.Unstructured {
				live := w.get(g.resource, "shop")
				if err := unstructured.SetNestedField(live.Object, original, "spec", g.field); err != nil {
					t.Fatal(err)
				}
				return live
			})
			if err := w.as(sluice, holds).Delete(t.Context(), holdOf(g), metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, w.managers(g.resource)); diff != "" {
				t.Errorf("after the release others are the managers (-before +now):\n%s", diff)
			}
			w.mustKubectl("alice", g.edit, apply...)
		})
	}
	t.Run("Deployment", func(t *testing.T) {
		w := newWorld(t)
		w.mustKubectl("alice", deploymentOf("a:1"), apply...)
		before := w.managers(deployments)
		w.eventually("the policy is in force", func(ctx context.Context) error { return w.ownsNothing(ctx, deployments) })
		w.patch(sluice, deployments, "shop", `{"metadata":{"labels":{"sluice.dev/rollout":"shop"}},"spec":{"paused":true}}`)
		_, err := w.as(sluice, deployments).Patch(t.Context(), "shop", types.JSONPatchType,
			[]byte(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"a:0"}]`), metav1.PatchOptions{FieldManager: "sluice"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, w.managers(deployments)); diff != "" {
			t.Errorf("others are the managers (-before +now):\n%s", diff)
		}
		w.mustKubectl("alice", deploymentOf("a:2"), apply...)
		if got := w.get(deployments, "shop").GetLabels()["sluice.dev/rollout"]; got != "shop" {
			t.Errorf("the label is %q", got)
		}
	})
}

// ownsNothing tries a write of Sluice's in a dry run: a policy binds a moment after it was made.
func (w *world) ownsNothing(ctx context.Context, resource schema.GroupVersionResource) error {
	got, err := w.as(sluice, resource).Patch(ctx, "shop", types.MergePatchType, []byte(`{"metadata":{"labels":{"sluice.dev/rollout":"shop"}}}`),
		metav1.PatchOptions{FieldManager: "sluice", DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	for _, e := range got.GetManagedFields() {
		if e.Manager == "sluice" {
			return fmt.Errorf("sluice is a manager")
		}
	}
	return nil
}

func holdOf(g target) string { return strings.ToLower(g.kind) + "-shop" }

func deploymentOf(image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec: {containers: [{name: web, image: %q}]}
`, image)
}
