package admission_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"

	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

// A team's Service, and what Sluice makes of its selector for the length of a release.
const (
	service = `
apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}]
`
	narrowing = `{"spec":{"selector":{"app":"shop","pod-template-hash":"abc"}}}`
)

// A team's route, whose rules the API server fills up with defaults, and what Sluice makes of its backends.
const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: playground, namespace: default}]
  hostnames: [shop.demo]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{name: shop, port: 80}]
`

// A team's route for gRPC.
const rpcRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: shop}]
  hostnames: [shop.demo]
  rules:
  - matches: [{method: {service: shop.v1.Cart}, headers: [{name: tenant, value: blue}]}]
    backendRefs: [{name: shop, port: 80}]
`

// target is one kind of object that can be held.
type target struct {
	resource schema.GroupVersionResource
	kind     string
	manifest string
	field    string
	// change is what Sluice does to it.
	change func(w *world)
	// edit is the manifest with a real edit of the held field, and what is then seen of it.
	edit string
	seen string
	// aside is the manifest with an edit of another field.
	aside     string
	asideSeen string
}

var targets = []target{
	{
		resource: services, kind: "Service", manifest: service, field: "selector",
		change:    func(w *world) { w.patch(sluice, services, "shop", narrowing) },
		edit:      strings.Replace(service, "{app: shop}", "{app: shop, tier: web}", 1),
		seen:      `map[app:shop tier:web]`,
		aside:     strings.Replace(service, "targetPort: 8080", "targetPort: 8081", 1),
		asideSeen: "8081",
	},
	{
		resource: httpRoutes, kind: "HTTPRoute", manifest: route, field: "rules",
		change:    func(w *world) { splitRoute(w, httpRoutes) },
		edit:      strings.Replace(route, "value: /}", "value: /v2}", 1),
		seen:      "/v2",
		aside:     strings.Replace(route, "shop.demo", "shop.example", 1),
		asideSeen: "shop.example",
	},
	{
		resource: grpcRoutes, kind: "GRPCRoute", manifest: rpcRoute, field: "rules",
		change:    func(w *world) { splitRoute(w, grpcRoutes) },
		edit:      strings.Replace(rpcRoute, "shop.v1.Cart", "shop.v2.Cart", 1),
		seen:      "shop.v2.Cart",
		aside:     strings.Replace(rpcRoute, "shop.demo", "shop.example", 1),
		asideSeen: "shop.example",
	},
}

// splitRoute sends a fifth of the requests to the canary, and leaves all else as it is.
func splitRoute(w *world, routes schema.GroupVersionResource) {
	w.t.Helper()
	w.update(sluice, routes, func() *unstructured.Unstructured {
		live := w.get(routes, "shop")
		rule := nested[[]any](w.t, live, "spec", "rules")[0].(map[string]any)
		stable := rule["backendRefs"].([]any)[0].(map[string]any)
		stable["weight"] = int64(80)
		rule["backendRefs"] = []any{stable, map[string]any{
			"group": "", "kind": "Service", "name": "shop-canary", "port": int64(80), "weight": int64(20),
		}}
		return live
	})
}

// update replaces an object by what is desired, again when a gateway has written its status meanwhile.
func (w *world) update(user string, resource schema.GroupVersionResource, desired func() *unstructured.Unstructured) *unstructured.Unstructured {
	w.t.Helper()
	var updated *unstructured.Unstructured
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() (err error) {
		updated, err = w.as(user, resource).Update(w.t.Context(), desired(), metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return updated
}

// hold writes a Hold with the original as the API server has it now.
func (w *world) hold(g target, name string) {
	w.t.Helper()
	hold := parse(w.t, fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Hold
metadata: {name: %s}
spec: {release: shop-1, target: {apiVersion: %s, kind: %s, name: %s}}
`, strings.ToLower(g.kind)+"-"+name, g.resource.GroupVersion(), g.kind, name))
	original := nested[any](w.t, w.get(g.resource, "shop"), "spec", g.field)
	if err := unstructured.SetNestedField(hold.Object, map[string]any{g.field: original}, "spec", "original"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.as(sluice, holds).Create(w.t.Context(), hold, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// heldTarget applies the team's manifest, holds it and changes it, and waits until the Hold binds.
func heldTarget(t *testing.T, g target) *world {
	t.Helper()
	w := newWorld(t)
	w.mustKubectl("alice", g.manifest, "apply", "-f", "-")
	w.hold(g, "shop")
	g.change(w)
	w.waitHeld(g)
	return w
}

// waitHeld tries in dry runs until re-applying the original changes nothing. The API server takes the Hold up a
// moment after it was written, and its kind some 20 seconds after that was made.
func (w *world) waitHeld(g target) {
	w.t.Helper()
	want := w.heldField(g)
	w.eventually("the Hold binds", func(ctx context.Context) error {
		again := parse(w.t, g.manifest)
		again.SetResourceVersion(w.get(g.resource, "shop").GetResourceVersion())
		got, err := w.as("alice", g.resource).Update(ctx, again, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, nested[any](w.t, got, "spec", g.field)); diff != "" {
			return fmt.Errorf("the original passes: %s", diff)
		}
		return nil
	})
}

func (w *world) heldField(g target) any {
	w.t.Helper()
	return nested[any](w.t, w.get(g.resource, "shop"), "spec", g.field)
}

// TestReapplyIsNoOp: whatever tool brings the original back, what Sluice made of it stays, and a server-side diff
// shows no drift.
func TestReapplyIsNoOp(t *testing.T) {
	for _, g := range targets {
		t.Run(g.kind, func(t *testing.T) {
			w := heldTarget(t, g)
			want := w.heldField(g)
			for _, tool := range [][]string{
				{"apply", "-f", "-"},
				{"apply", "--server-side", "--force-conflicts", "-f", "-"},
				{"replace", "-f", "-"},
			} {
				w.mustKubectl("alice", g.manifest, tool...)
				if diff := cmp.Diff(want, w.heldField(g)); diff != "" {
					t.Errorf("kubectl %v (-held +got):\n%s", tool, diff)
				}
			}
			if output, err := w.kubectl("alice", g.manifest, "diff", "--server-side", "--force-conflicts", "-f", "-"); err != nil {
				t.Errorf("kubectl diff --server-side shows a drift: %v\n%s", err, output)
			}
		})
	}
}

// TestRealEditPasses: what differs from the original is the team's word.
func TestRealEditPasses(t *testing.T) {
	for _, g := range targets {
		t.Run(g.kind, func(t *testing.T) {
			w := heldTarget(t, g)
			held := w.heldField(g)
			w.mustKubectl("alice", g.aside, "apply", "--server-side", "--force-conflicts", "-f", "-")
			if got := fmt.Sprint(w.get(g.resource, "shop").Object["spec"]); !strings.Contains(got, g.asideSeen) {
				t.Errorf("the edit beside the held field is lost: %s", got)
			}
			if diff := cmp.Diff(held, w.heldField(g)); diff != "" {
				t.Errorf("the edit beside the held field has undone it (-held +got):\n%s", diff)
			}
			w.mustKubectl("alice", g.edit, "apply", "--server-side", "--force-conflicts", "-f", "-")
			if got := fmt.Sprint(w.heldField(g)); !strings.Contains(got, g.seen) {
				t.Errorf("the real edit is lost: %s", got)
			}
		})
	}
}

// TestHoldBindsItsTargetOnly: other names, other kinds and other namespaces are free, and so is the target when
// the Hold is gone; Sluice puts the original back itself.
func TestHoldBindsItsTargetOnly(t *testing.T) {
	otherKind := map[string]string{"Service": "Secret", "HTTPRoute": "GRPCRoute", "GRPCRoute": "HTTPRoute"}
	for _, g := range targets {
		t.Run(g.kind, func(t *testing.T) {
			w := heldTarget(t, g)
			other := newWorld(t)
			for _, kind := range []string{otherKind[g.kind], g.kind} {
				foreign := g
				foreign.kind = kind
				name := map[bool]string{true: "other", false: "shop"}[kind == g.kind]
				other.mustKubectl("alice", g.manifest, "apply", "-f", "-")
				other.hold(foreign, name)
			}
			other.wantRestored(g, "alice")

			w.wantRestored(g, sluice)
			g.change(w)
			if err := w.as(sluice, holds).Delete(t.Context(), strings.ToLower(g.kind)+"-shop", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.eventually("the target is free", func(context.Context) error { return w.restored(g, "alice") })
		})
	}
}

// wantRestored changes the target as Sluice does and demands that this user can then put the original back.
func (w *world) wantRestored(g target, user string) {
	w.t.Helper()
	g.change(w)
	if err := w.restored(g, user); err != nil {
		w.t.Error(err)
	}
}

// restored replaces the target by its original.
func (w *world) restored(g target, user string) error {
	w.t.Helper()
	got := w.update(user, g.resource, func() *unstructured.Unstructured {
		again := parse(w.t, g.manifest)
		again.SetResourceVersion(w.get(g.resource, "shop").GetResourceVersion())
		return again
	})
	if text := fmt.Sprint(nested[any](w.t, got, "spec", g.field)); strings.Contains(text, "canary") || strings.Contains(text, "pod-template-hash") {
		return fmt.Errorf("%s put the original back, and it stays %s", user, text)
	}
	return nil
}

// TestRouteKindComesLater: the policy for routes is installed whether the cluster has the kind or not, does no
// harm without it, and binds as soon as it comes.
func TestRouteKindComesLater(t *testing.T) {
	c := playground.New(t)
	crd := removeRouteKind(t, c)
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true}); err != nil {
		t.Fatal(err)
	}
	w := inNamespace(t, c)
	w.mustKubectl("alice", service, "apply", "-f", "-")
	w.mustKubectl("alice", service, "replace", "-f", "-")

	if _, err := c.Dynamic(t).Resource(crds).Create(t.Context(), crd, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g := targets[1]
	w.eventually("routes are served", func(ctx context.Context) error {
		_, err := w.as("alice", httpRoutes).Create(ctx, parse(t, route), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
	w.hold(g, "shop")
	splitRoute(w, httpRoutes)
	w.waitHeld(g)
}

// removeRouteKind makes a cluster one without HTTPRoutes and gives back what it takes to change that.
func removeRouteKind(t *testing.T, c *playground.Cluster) *unstructured.Unstructured {
	t.Helper()
	const name = "httproutes.gateway.networking.k8s.io"
	kinds := c.Dynamic(t).Resource(crds)
	crd, err := kinds.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := kinds.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	playground.Eventually(t, "HTTPRoutes are gone", func(ctx context.Context) error {
		_, err := kinds.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("still there (%w)", err)
	})
	crd.SetResourceVersion("")
	crd.SetUID("")
	crd.SetManagedFields(nil)
	unstructured.RemoveNestedField(crd.Object, "status")
	return crd
}
