package admission_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

// released is takenOver with a Rollout that has recorded what runs, and keeps its ReplicaSet, as the controller does.
func released(t *testing.T) (*world, *unstructured.Unstructured) {
	t.Helper()
	w := takenOver(t)
	ro := w.create("", rollouts, `
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: shop}
spec: {workload: {kind: Deployment, name: shop}, canary: {steps: [{weight: 50}]}}
`)
	rs := w.wantReplicaSets(1)[0]
	status := fmt.Sprintf(`{"status":{"stable":{"hash":%q,"podTemplateHash":%q}}}`, strings.Repeat("a", 32), rs.GetLabels()["pod-template-hash"])
	if _, err := w.as("", rollouts).Patch(t.Context(), "shop", types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	owners, _, _ := unstructured.NestedSlice(rs.Object, "metadata", "ownerReferences")
	owners = append(owners, map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Rollout", "name": "shop", "uid": string(ro.GetUID())})
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"ownerReferences": owners}}) // Its status changes just now.
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.as(sluice, replicaSets).Patch(t.Context(), rs.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w, kept
}

// TestFaultA5MadeAnew: a workload that is made anew while its Rollout knows what was released is held in the create, and
// the released ReplicaSet stays and is taken over by it, whatever way the old one went.
func TestFaultA5MadeAnew(t *testing.T) {
	for name, anew := range map[string]func(w *world){
		"replace --force": func(w *world) { w.mustKubectl("bob", shop("green"), "replace", "--force", "-f", "-") },
		"delete and create": func(w *world) {
			w.mustKubectl("bob", "", "delete", "deployment/shop")
			w.mustKubectl("bob", shop("green"), "create", "-f", "-")
		},
		"delete in the foreground and apply": func(w *world) {
			w.mustKubectl("bob", "", "delete", "deployment/shop", "--cascade=foreground")
			w.mustKubectl("bob", shop("green"), "apply", "--server-side", "-f", "-")
		},
		"unpaused on purpose": func(w *world) {
			w.mustKubectl("bob", "", "delete", "deployment/shop")
			w.mustKubectl("bob", strings.Replace(shop("green"), "spec:\n", "spec:\n  paused: false\n", 1), "create", "-f", "-")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, stable := released(t)
			before := w.get(deployments, "shop").GetUID()
			anew(w)
			if after := w.get(deployments, "shop"); after.GetUID() == before {
				t.Fatal("the Deployment was not made anew")
			}
			w.wantState("made anew", heldByBob)
			w.eventually("the released ReplicaSet belongs to the new Deployment", func(context.Context) error {
				rs := w.get(replicaSets, stable.GetName())
				if rs.GetUID() != stable.GetUID() {
					t.Fatalf("ReplicaSet %s was made anew", rs.GetName())
				}
				if c := metav1.GetControllerOf(rs); c == nil || c.UID != w.get(deployments, "shop").GetUID() {
					return fmt.Errorf("its owners are %v", rs.GetOwnerReferences())
				}
				return nil
			})
			if sets := w.wantReplicaSets(1); nested[int64](t, &sets[0], "spec", "replicas") != 1 {
				t.Errorf("the released ReplicaSet is asked for %v pods", sets[0].Object["spec"])
			}
		})
	}
}

// TestFaultA5OthersAreMadeAsTheyAre: a Deployment of another name, one whose Rollout has recorded nothing, and one whose
// Rollout is going away are not touched.
func TestFaultA5OthersAreMadeAsTheyAre(t *testing.T) {
	w := newWorld(t)
	manifest := `
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: shop, finalizers: [sluice.dev/put-back]}
spec: {workload: {kind: Deployment, name: shop}, canary: {steps: [{weight: 50}]}}
`
	w.create("", rollouts, manifest)
	w.mustKubectl("alice", shop("blue"), "create", "-f", "-")
	w.wantState("with a Rollout that has recorded nothing", state{})
	if _, err := w.as("", rollouts).Patch(t.Context(), "shop", types.MergePatchType, []byte(`{"status":{"stable":{"hash":"abc"}}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	w.mustKubectl("alice", strings.ReplaceAll(shop("blue"), "name: shop,", "name: other,"), "create", "-f", "-")
	if got := stateOf(t, w.get(deployments, "other")); got != (state{}) {
		t.Errorf("a Deployment that no Rollout names: %+v", got)
	}
	w.mustKubectl("alice", "", "delete", "deployment/shop")
	if err := w.as("", rollouts).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.mustKubectl("alice", shop("blue"), "create", "-f", "-")
	w.wantState("with a Rollout that is going away", state{})
	w.patch("", rollouts, "shop", `{"metadata":{"finalizers":null}}`)
}

// TestFaultA5NothingIsLeft: when the Rollout goes as well, the kept ReplicaSet goes; while the Deployment stays, it does
// not.
func TestFaultA5NothingIsLeft(t *testing.T) {
	w, stable := released(t)
	if err := w.as("", rollouts).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the ReplicaSet is the Deployment's alone again", func(context.Context) error {
		if owners := w.get(replicaSets, stable.GetName()).GetOwnerReferences(); len(owners) != 1 || owners[0].Kind != "Deployment" {
			return fmt.Errorf("its owners are %v", owners)
		}
		return nil
	})
	w, stable = released(t)
	w.mustKubectl("alice", "", "delete", "deployment/shop")
	if err := w.as("", rollouts).Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the ReplicaSet is gone", func(ctx context.Context) error {
		_, err := w.as("", replicaSets).Get(ctx, stable.GetName(), metav1.GetOptions{})
		if err == nil {
			return fmt.Errorf("it is there")
		}
		return nil
	})
}

// TestFaultB23ResumeIsRefused: where a workload is kept paused, nobody but Sluice resumes it or takes its marks off, and
// the refusal says what to do instead. A pause of the team's is theirs to end.
func TestFaultB23ResumeIsRefused(t *testing.T) {
	w := withoutMutating(t)
	w.mustKubectl("alice", shop("blue"), "apply", "-f", "-")
	w.patch(sluice, deployments, "shop", `{"metadata":{"labels":{"sluice.dev/rollout":"shop"},"annotations":{"sluice.dev/kept-paused":"true"}},"spec":{"paused":true}}`)
	kept := state{Paused: true, Label: "shop"}
	for name, args := range map[string][]string{
		"resume":              {"rollout", "resume", "deployment/shop"},
		"patch":               {"patch", "deployment/shop", "--type=merge", "-p", `{"spec":{"paused":false}}`},
		"with a new template": {"patch", "deployment/shop", "--type=merge", "-p", `{"spec":{"paused":null,"template":{"metadata":{"labels":{"v":"2"}}}}}`},
		"the label dropped":   {"label", "deployment/shop", "sluice.dev/rollout-"},
		"the mark dropped":    {"annotate", "deployment/shop", "sluice.dev/kept-paused-"},
	} {
		out, err := w.kubectl("alice", "", args...)
		if err == nil || !strings.Contains(out+err.Error(), "sluice promote shop") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		w.wantState("after "+name, kept)
	}
	if out, err := w.kubectl("alice", shop("green"), "replace", "-f", "-"); err == nil || !strings.Contains(out+err.Error(), "spec.paused: true") {
		t.Errorf("replace: %v\n%s", err, out)
	}
	w.mustKubectl("alice", shop("green"), "apply", "-f", "-")
	w.wantState("a new revision by apply", kept)
	w.mustKubectl("alice", "", "scale", "deployment/shop", "--replicas=2")
	w.patch(sluice, deployments, "shop", `{"metadata":{"annotations":{"sluice.dev/kept-paused":null}},"spec":{"paused":null}}`)
	w.mustKubectl("alice", "", "rollout", "pause", "deployment/shop")
	w.mustKubectl("alice", "", "rollout", "resume", "deployment/shop")
	w.wantState("a pause of the team's", state{Label: "shop"})
}

// withoutMutating is a world in a cluster that has no mutating policies, as all before Kubernetes 1.36.
func withoutMutating(t *testing.T) *world {
	t.Helper()
	c := playground.New(t, "--no-mutating-policies")
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true, Out: io.Discard}); err != nil {
		t.Fatal(err)
	}
	return inNamespace(t, c)
}
