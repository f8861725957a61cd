package rollout

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

var routeKind = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// cart is a second workload beside shop.
const cart = "cart"

// crowd is a cluster in which two Rollouts release at once.
type crowd struct {
	*cluster
	kind    schema.GroupVersionKind // of the route
	rules   []any                   // of the route, as the gateway saw them last
	changes int                     // of the route
}

// both are the workloads, Services and Rollouts of shop and cart, on one traffic layer.
func both(l v1alpha1.TrafficLayer, route client.Object) []client.Object {
	out := []client.Object{route}
	for _, name := range []string{shop, cart} {
		d, rs, s, ro := shopDeployment(name+":v1"), ownSet(name+":v1", 4), webService(), canary(20, 50)
		for _, o := range []*unstructured.Unstructured{d, rs} {
			o.SetName(strings.Replace(o.GetName(), shop, name, 1))
			for _, path := range [][]string{
				{"spec", "selector", "matchLabels"}, {"spec", "template", "metadata", "labels"}, {"metadata", "labels"},
			} {
				if labels, ok, _ := unstructured.NestedMap(o.Object, path...); ok && labels["app"] != nil {
					labels["app"] = name
					_ = unstructured.SetNestedMap(o.Object, labels, path...)
				}
			}
		}
		d.SetUID(types.UID("deploy-" + name))
		owners := rs.GetOwnerReferences()
		owners[0].UID, owners[0].Name = d.GetUID(), name
		rs.SetOwnerReferences(owners)
		s.Name, s.UID, s.Spec.Selector = name, types.UID("service-"+name), map[string]string{"app": name}
		ro.Name, ro.UID, ro.Spec.Workload.Name, ro.Spec.Traffic = name, types.UID("rollout-"+name), name, []v1alpha1.TrafficLayer{l}
		out = append(out, d, rs, s, ro)
	}
	return out
}

// webRoute sends nine of ten requests to shop and the tenth to cart.
func webRoute() *unstructured.Unstructured {
	u := untyped(routeKind)
	u.SetNamespace(namespace)
	u.SetName("web")
	u.SetUID("route-web")
	ref := func(name string, weight int64) any {
		return map[string]any{"group": "", "kind": "Service", "name": name, "port": int64(80), "weight": weight}
	}
	u.Object["spec"] = map[string]any{
		"parentRefs": []any{map[string]any{"name": "public"}},
		"rules": []any{map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/"}}},
			"backendRefs": []any{ref(shop, 90), ref(cart, 10)},
		}},
	}
	return u
}

func (c *crowd) route() *unstructured.Unstructured {
	c.t.Helper()
	u := untyped(c.kind)
	if !c.get(u, "web") {
		c.t.Fatal("the route is gone")
	}
	return u
}

// gateway takes the route in: a new spec is a new generation, and is reported on.
func (c *crowd) gateway() bool {
	u := untyped(c.kind)
	if !c.get(u, "web") {
		return false
	}
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	if equality.Semantic.DeepEqual(rules, c.rules) {
		return false
	}
	c.rules = rules
	c.changes++
	u.SetGeneration(u.GetGeneration() + 1)
	ok := func(kind string) any {
		return map[string]any{"type": kind, "status": "True", "observedGeneration": u.GetGeneration()}
	}
	parents, _, _ := unstructured.NestedSlice(u.Object, "spec", "parentRefs")
	u.Object["status"] = map[string]any{"parents": []any{map[string]any{
		"parentRef": parents[0], "conditions": []any{ok("Accepted"), ok("ResolvedRefs")},
	}}}
	c.update(u)
	return true
}

// settleBoth lets time pass until neither Rollout has anything to do.
func (c *crowd) settleBoth() {
	c.t.Helper()
	for range 300 {
		moved, next := c.gateway(), recheck
		for _, name := range []string{shop, cart} {
			written, result, err := c.lookAt(name)
			moved = moved || len(written) > 0 || err != nil
			if result.RequeueAfter > 0 {
				next = min(next, result.RequeueAfter)
			}
		}
		moved = c.kubernetes() || moved
		switch {
		case moved:
			c.now = c.now.Add(10 * time.Millisecond)
		case next >= recheck:
			return
		default:
			c.now = c.now.Add(next)
		}
	}
	c.t.Fatalf("it does not come to rest: %s; the last writes:\n%s", c.tells(), strings.Join(c.writes[max(0, len(c.writes)-20):], "\n"))
}

func (c *crowd) release2(name string) {
	c.t.Helper()
	d := untyped(deployment.Kind)
	if !c.get(d, name) {
		c.t.Fatalf("no Deployment %s", name)
	}
	setImage(d, name+":v2")
	_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	d.SetAnnotations(map[string]string{v1alpha1.AnnotationHeld: "ann"})
	d.SetGeneration(d.GetGeneration() + 1)
	c.update(d)
}

func (c *crowd) wantRefs(want string) {
	c.t.Helper()
	if got := refsOf(c.route()); got != want {
		c.t.Errorf("the route has %s, want %s", got, want)
	}
}

func refsOf(route *unstructured.Unstructured) string {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	var out []string
	for _, r := range rules {
		refs, _ := r.(map[string]any)["backendRefs"].([]any)
		for _, ref := range refs {
			out = append(out, fmt.Sprintf("%v %v", ref.(map[string]any)["name"], ref.(map[string]any)["weight"]))
		}
	}
	return strings.Join(out, ", ")
}

func newCrowd(t *testing.T, objects ...client.Object) *crowd {
	t.Helper()
	c := &crowd{cluster: newCluster(t, objects...), kind: routeKind}
	c.settleBoth()
	return c
}

func (c *crowd) wantEnded(releases ...string) {
	c.t.Helper()
	for _, name := range releases {
		if rel := c.cluster.release(name); rel == nil || rel.Status.Phase != v1alpha1.ReleaseSucceeded {
			c.t.Errorf("release %s has not succeeded: %s", name, c.tells())
		}
	}
	holds := &v1alpha1.HoldList{}
	if err := c.store.List(c.t.Context(), holds); err != nil || len(holds.Items) > 0 {
		c.t.Errorf("%d Holds are left (%v)", len(holds.Items), err)
	}
}

func onRoute() v1alpha1.TrafficLayer {
	return v1alpha1.TrafficLayer{HTTPRoute: &v1alpha1.HTTPRouteReference{Name: "web"}}
}

// TestFaultB4SharedRule: two Rollouts in one rule of one route, both released. Each has its share of its own requests,
// an edit of the team's is worked into both, nobody undoes the other's work, and the proportions come back.
func TestFaultB4SharedRule(t *testing.T) {
	c := newCrowd(t, both(onRoute(), webRoute())...)
	before := c.route().Object["spec"]
	c.release2(shop)
	c.release2(cart)
	c.settleBoth()
	c.wantRefs("shop 45, shop-canary 45, cart 5, cart-canary 5")

	edited := c.route()
	rules, _, _ := unstructured.NestedSlice(webRoute().Object, "spec", "rules")
	rules[0].(map[string]any)["timeouts"] = map[string]any{"request": "5s"}
	_ = unstructured.SetNestedSlice(edited.Object, rules, "spec", "rules")
	c.update(edited)
	changes := c.changes
	c.settleBoth()
	c.wantRefs("shop 45, shop-canary 45, cart 5, cart-canary 5")
	if got := c.changes - changes; got > 3 {
		t.Errorf("an edit of the team's was followed by %d changes of the route", got)
	}

	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settleBoth()
	c.wantRefs("shop 90, cart 5, cart-canary 5")
	c.decide(v1alpha1.VerbPromote, "cart-1")
	c.settleBoth()
	c.wantEnded("shop-1", "cart-1")
	spec := before.(map[string]any)
	spec["rules"] = rules
	if diff := cmp.Diff(spec, c.route().Object["spec"]); diff != "" {
		t.Errorf("the route is not as the team has it:\n%s", diff)
	}
	if c.changes > 12 {
		t.Errorf("the route was changed %d times", c.changes)
	}
}

// TestFaultB4CrashAtEveryWrite: the process dies after any one write of two releases on one route, or the write's answer
// is lost, and all ends as it should.
func TestFaultB4CrashAtEveryWrite(t *testing.T) {
	every := 3
	if testing.Short() {
		every = 9
	}
	for n := 1; ; n += every {
		c, hit := newCrowd(t, both(onRoute(), webRoute())...), ""
		before := c.route().Object["spec"]
		c.release2(shop)
		c.release2(cart)
		first := len(c.writes)
		c.failure = func(i int, write string) (error, bool) {
			if i != first+n {
				return nil, false
			}
			hit = write
			if n%2 == 0 {
				c.restart()
			}
			return errLost, true
		}
		c.settleBoth()
		c.decide(v1alpha1.VerbPromote, "cart-1")
		c.decide(v1alpha1.VerbPromote, "shop-1")
		c.settleBoth()
		c.wantEnded("shop-1", "cart-1")
		if diff := cmp.Diff(before, c.route().Object["spec"]); diff != "" {
			t.Errorf("write %d (%s): the route is not as it was:\n%s", n, hit, diff)
		}
		if hit == "" || t.Failed() {
			return
		}
	}
}

// TestFaultB4RecordRemoved: a release goes by force, Rollout, record and all, while another divides the same rule. What it
// has left in the route is taken out, and the Hold does not stay for it.
func TestFaultB4RecordRemoved(t *testing.T) {
	c := newCrowd(t, both(onRoute(), webRoute())...)
	c.release2(shop)
	c.release2(cart)
	c.settleBoth()
	ro, rel := &v1alpha1.Rollout{}, &v1alpha1.Release{}
	c.get(ro, cart)
	c.get(rel, "cart-1")
	ro.Finalizers = nil
	c.update(ro)
	c.delete(ro)
	c.delete(rel)
	c.settleBoth()
	c.wantRefs("shop 45, shop-canary 45, cart 10")
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settleBoth()
	c.wantEnded("shop-1")
	c.wantRefs("shop 90, cart 10")
}

// sharedIngress has a path for each of shop and cart.
func sharedIngress() *networkingv1.Ingress {
	in := webIngress()
	paths := &in.Spec.Rules[0].HTTP.Paths
	*paths = append(*paths, (*paths)[0])
	(*paths)[0].Path, (*paths)[0].Backend.Service = "/shop", &networkingv1.IngressServiceBackend{Name: shop, Port: (*paths)[0].Backend.Service.Port}
	(*paths)[1].Path, (*paths)[1].Backend.Service = "/cart", &networkingv1.IngressServiceBackend{Name: cart, Port: (*paths)[1].Backend.Service.Port}
	return in
}

func onIngress(name string) v1alpha1.TrafficLayer {
	return v1alpha1.TrafficLayer{Ingress: &v1alpha1.IngressReference{Name: name}}
}

// TestFaultB3SharedIngress: two Rollouts on one Ingress, both released: each has a canary Ingress of its own with its own
// path, and neither is in the other's way, in completion either.
func TestFaultB3SharedIngress(t *testing.T) {
	c := newCrowd(t, both(onIngress("web"), sharedIngress())...)
	c.release2(shop)
	c.settleBoth()
	c.release2(cart)
	c.settleBoth()
	paths := map[string]string{}
	list := &networkingv1.IngressList{}
	if err := c.store.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	for _, in := range list.Items {
		for _, p := range in.Spec.Rules[0].HTTP.Paths {
			paths[in.Labels[v1alpha1.LabelRollout]] += p.Path
		}
	}
	if diff := cmp.Diff(map[string]string{"": "/shop/cart", shop: "/shop", cart: "/cart"}, paths); diff != "" {
		t.Errorf("paths of the Ingresses: %s", diff)
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settleBoth()
	c.decide(v1alpha1.VerbPromote, "cart-1")
	c.settleBoth()
	c.wantEnded("shop-1", "cart-1")
}

// TestFaultB3SameLocation: where two Ingresses lead to one location, which can have one canary, the second release waits
// for the first, says so, and begins when that has ended. A restart changes nothing about who is first.
func TestFaultB3SameLocation(t *testing.T) {
	objects := both(onIngress("web"), sharedIngress())
	second := sharedIngress()
	second.Name, second.UID = "web2", "ingress-web2"
	second.Spec.Rules[0].HTTP.Paths = second.Spec.Rules[0].HTTP.Paths[1:]
	second.Spec.Rules[0].HTTP.Paths[0].Path = "/shop"
	for _, o := range objects {
		if ro, ok := o.(*v1alpha1.Rollout); ok && ro.Name == cart {
			ro.Spec.Traffic = []v1alpha1.TrafficLayer{onIngress("web2")}
		}
	}
	c := newCrowd(t, append(objects, second)...)
	c.release2(cart)
	c.release2(shop)
	c.settleBoth() // shop is looked at first.
	c.restart()
	c.settleBoth()
	ro := &v1alpha1.Rollout{}
	c.get(ro, cart)
	if ro.Status.Phase != v1alpha1.RolloutPending || ro.Status.WaitingFor == nil || ro.Status.WaitingFor.Reason != release.ReasonLayerBusy ||
		!strings.Contains(ro.Status.WaitingFor.Message, "waits until release shop-1 has ended: it may have a canary for shop.example.com/shop (Ingress web)") {
		t.Fatalf("cart should wait for shop-1: %s", c.tells())
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settleBoth()
	if c.cluster.release("cart-1") == nil {
		t.Fatalf("cart should have begun: %s", c.tells())
	}
	c.decide(v1alpha1.VerbPromote, "cart-1")
	c.settleBoth()
	c.wantEnded("shop-1", "cart-1")
}

// TestFaultB3TakenInCompletion: what another makes under a name that a release needs no more is no trouble to it.
func TestFaultB3TakenInCompletion(t *testing.T) {
	c := underWay(t)
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.failure = func(_ int, write string) (error, bool) {
		if !strings.HasPrefix(write, "delete Ingress web-canary") {
			return nil, false
		}
		c.failure = nil
		in := &networkingv1.Ingress{}
		name := strings.TrimPrefix(write, "delete Ingress ")
		c.get(in, name)
		c.delete(in)
		foreign := webIngress()
		foreign.Name, foreign.UID = name, ""
		c.add(foreign)
		return errors.New("connection lost"), false
	}
	c.settle()
	if rel := c.release("shop-1"); rel.Status.Phase != v1alpha1.ReleaseSucceeded {
		t.Errorf("the release is %s: %s", rel.Status.Phase, c.tells())
	}
}
