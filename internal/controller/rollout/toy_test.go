package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/toy"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file adds a traffic layer by the recipe in CONTRIBUTING, "Add a traffic layer", and releases through it. Step 1 is
// internal/traffic/toy, step 2 its testdata and its test there. Of step 3 the row is below; it borrows the field
// httpRoute, since a toy has none of its own in the API. TestRecipeIsTold in internal/registry is step 4, and the rest of
// this file step 5. Nothing else knows of the toy.

// toyPool is what the layer makes.
var toyPool = naming.CanaryObject("web", shop)

var toyLayers = translate.LayerKinds{{Field: "httpRoute", New: func(l v1alpha1.TrafficLayer) traffic.Provider {
	return toy.New(ptr.Deref(l.HTTPRoute, v1alpha1.HTTPRouteReference{}).Name)
}}}

// toyRelease is a Rollout through testers alone, 25% and 50%. The first and the last step wait for a person.
func toyRelease() *v1alpha1.Rollout {
	ro := canary(0, 25, 50)
	ro.Spec.Traffic = []v1alpha1.TrafficLayer{onRoute()}
	first := &ro.Spec.Canary.Steps[0]
	first.Pause = &v1alpha1.Pause{}
	first.Match = []v1alpha1.RequestMatch{{Headers: []v1alpha1.HeaderMatch{{Name: "X-Canary", Value: "always"}}}}
	return ro
}

func toyObject(kind schema.GroupVersionKind, spec string) *unstructured.Unstructured {
	u := untyped(kind)
	u.SetNamespace(namespace)
	u.SetName("web")
	u.SetAnnotations(map[string]string{"by": "the team"})
	if err := json.Unmarshal([]byte(spec), &u.Object); err != nil {
		panic(err)
	}
	return u
}

func toyTeam(objects ...client.Object) []client.Object {
	return append([]client.Object{
		shopDeployment("shop:v1"), ownSet("shop:v1", 4), webService(),
		toyObject(toy.Router, `{"spec": {"routes": [
			{"path": "/", "service": "web"}, {"path": "/old", "service": "legacy"}
		]}}`),
		toyObject(toy.RuleSet, `{"spec": {"rules": [{"header": "X-Old", "value": "1", "service": "legacy"}]}}`),
	}, objects...)
}

// toyUnderWay is a release of shop:v2 that is about to begin.
func toyUnderWay(t *testing.T) *cluster {
	t.Helper()
	c := newClusterThrough(t, toyLayers, registry.Workloads, toyTeam(toyRelease())...)
	c.settle()
	c.setImage("shop:v2")
	c.writes = nil
	return c
}

// teamsObjects are the Router and the RuleSet to the byte, but for what the API server counts.
func (c *cluster) teamsObjects() string {
	c.t.Helper()
	var all []*unstructured.Unstructured
	for _, kind := range []schema.GroupVersionKind{toy.Router, toy.RuleSet} {
		u := untyped(kind)
		if !c.get(u, "web") {
			c.t.Fatalf("the %s is gone", kind.Kind)
		}
		all = append(all, u)
	}
	return written(c.t, all...)
}

func written(t *testing.T, objects ...*unstructured.Unstructured) string {
	t.Helper()
	out := ""
	for _, u := range objects {
		u = u.DeepCopy()
		u.SetResourceVersion("")
		raw, err := json.MarshalIndent(u, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		out += string(raw)
	}
	return out
}

// wantToy checks what the layer has: the Pool that selects the canary's pods and no others, the share of the Service's
// requests, the rule for testers.
func (c *cluster) wantToy(percent int, testers bool) {
	c.t.Helper()
	pool, twin := untyped(toy.Pool), &corev1.Service{}
	if !c.get(pool, toyPool) || !c.get(twin, "web-canary") {
		c.t.Fatalf("there is no canary: %s", c.tells())
	}
	selector, _, _ := unstructured.NestedStringMap(pool.Object, "spec", "selector")
	if !maps.Equal(selector, twin.Spec.Selector) || len(c.pods(selector)) == 0 {
		c.t.Errorf("the Pool selects %v, the canary Service %v", selector, twin.Spec.Selector)
	}
	have := c.teamsObjects()
	if share := fmt.Sprintf(`"percent": %d,`, percent); strings.Contains(have, share) != (percent > 0) {
		c.t.Errorf("want %d%%: %s", percent, have)
	}
	if strings.Contains(have, `"header": "X-Canary"`) != testers {
		c.t.Errorf("want testers %v: %s", testers, have)
	}
}

// wantGivenBack checks that a release has ended like this, and that the layer is as it was.
func (c *cluster) wantGivenBack(what, before string, phase v1alpha1.ReleasePhase) {
	c.t.Helper()
	if rel := c.release("shop-1"); rel == nil || rel.Status.Phase != phase {
		c.t.Errorf("%s: the release should be %s; %s", what, phase, c.tells())
	}
	if diff := cmp.Diff(before, c.teamsObjects()); diff != "" {
		c.t.Errorf("%s: the team's objects are not as they were:\n%s", what, diff)
	}
	if c.get(untyped(toy.Pool), toyPool) {
		c.t.Errorf("%s: the Pool is left", what)
	}
	c.expectNothingLeft(what)
}

// TestToyLayer: a release goes through a layer of three kinds of objects, two of them the team's, and gives them back.
func TestToyLayer(t *testing.T) {
	t.Parallel()
	c := toyUnderWay(t)
	before := c.teamsObjects()
	c.settle()
	c.wantToy(0, true)
	holds := &v1alpha1.HoldList{}
	if err := c.store.List(t.Context(), holds); err != nil {
		t.Fatal(err)
	}
	held := map[string]string{}
	for _, h := range holds.Items {
		held[h.Spec.Target.Kind+" "+h.Spec.Target.Name] = string(h.Spec.Original.Raw)
	}
	if diff := cmp.Diff(map[string]string{
		"Service web": `{"selector":{"app":"shop"}}`,
		"Router web":  `{"routes":[{"path":"/","service":"web"},{"path":"/old","service":"legacy"}]}`,
		"RuleSet web": `{"rules":[{"header":"X-Old","service":"legacy","value":"1"}]}`,
	}, held); diff != "" {
		t.Errorf("Holds (-want +got):\n%s", diff)
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.wantToy(50, false)
	if len(c.unowned()) > 0 {
		t.Errorf("nobody owns %v", c.unowned())
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.wantGivenBack("promoted", before, v1alpha1.ReleaseSucceeded)
	c.expectEnds("promoted", "shop:v2", 2)
}

// unowned are the objects of Sluice's that no release owns.
func (c *cluster) unowned() (out []string) {
	c.t.Helper()
	for _, o := range c.all() {
		if o.GetLabels()[v1alpha1.LabelRelease] != "" && len(o.GetOwnerReferences()) == 0 {
			out = append(out, short(o))
		}
	}
	return out
}

// expectEnds checks which image runs, and that each of so many words of bob's was heard.
func (c *cluster) expectEnds(what, image string, words int) {
	c.t.Helper()
	c.expectPods(what, map[string]int{image: 4})
	heard := 0
	for _, e := range c.release("shop-1").Status.Timeline {
		if e.User == "bob" {
			heard++
		}
	}
	if heard != words {
		c.t.Errorf("%s: %d words of bob's were heard, want %d", what, heard, words)
	}
}

// TestToyLayerEdits: what the team changes and what others undo in the middle of a release is worked in, or set right.
func TestToyLayerEdits(t *testing.T) {
	t.Parallel()
	c := toyUnderWay(t)
	c.settle()
	router := toyObject(toy.Router, `{"spec": {"routes": [{"path": "/", "service": "web", "timeout": "5s"}]}}`)
	have := untyped(toy.Router)
	c.get(have, "web")
	router.SetUID(have.GetUID())
	router.SetGeneration(have.GetGeneration())
	router.SetCreationTimestamp(have.GetCreationTimestamp())
	router.SetResourceVersion(have.GetResourceVersion())
	c.update(router)
	c.delete(toyObject(toy.Pool, `{"metadata": {"name": "`+toyPool+`", "namespace": "`+namespace+`"}}`))
	c.settle()
	c.wantToy(0, true)
	rules := toyObject(toy.RuleSet, `{}`)
	c.get(rules, "web")
	list, _, _ := unstructured.NestedSlice(rules.Object, "spec", "rules")
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.wantToy(50, false)
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	_ = unstructured.SetNestedSlice(rules.Object, list[1:], "spec", "rules")
	c.wantGivenBack("aborted", written(t, router, rules), v1alpha1.ReleaseAborted)
}

// TestToyLayerRolloutDeleted: the layer is given back when the Rollout goes in the middle of a release.
func TestToyLayerRolloutDeleted(t *testing.T) {
	t.Parallel()
	c := toyUnderWay(t)
	before := c.teamsObjects()
	c.settle()
	c.delete(c.rollout())
	c.settle()
	c.wantGivenBack("deleted", before, v1alpha1.ReleaseAborted)
}

// TestToyLayerRefused: what the layer cannot do, and an object that is missing or another's, is refused before anything
// moves, by its name.
func TestToyLayerRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		given func(*cluster)
		says  string
	}{
		"no Router": {
			func(c *cluster) { c.delete(toyObject(toy.Router, `{}`)) }, `the Router "web", which is not in namespace demo`,
		},
		"no RuleSet": {func(c *cluster) { c.delete(toyObject(toy.RuleSet, `{}`)) }, "a RuleSet of the name web"},
		"the Pool is another's": {func(c *cluster) {
			pool := toyObject(toy.Pool, `{"spec": {}}`)
			pool.SetName(toyPool)
			c.add(pool)
		}, `the Pool "` + toyPool + `", which this release needs, exists already`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClusterThrough(t, toyLayers, registry.Workloads, toyTeam(toyRelease())...)
			c.settle()
			test.given(c)
			c.setImage("shop:v2")
			c.settle()
			phase, says := c.rollout().Status.Phase, c.tells()
			if phase != v1alpha1.RolloutStalled || !strings.Contains(says, test.says) || c.release("shop-1") != nil {
				t.Errorf("want it refused with %q: %s", test.says, says)
			}
		})
	}
}

// TestToyLayerWithoutRuleSets: an object that need not be there need not even be of a kind that the cluster serves.
func TestToyLayerWithoutRuleSets(t *testing.T) {
	t.Parallel()
	ro := canary(25, 50)
	ro.Spec.Traffic = []v1alpha1.TrafficLayer{onRoute()}
	c := newClusterThrough(t, toyLayers, registry.Workloads, toyTeam(ro)...)
	c.r.Watch = func(kind schema.GroupVersionKind) error {
		if kind == toy.RuleSet {
			return &meta.NoKindMatchError{GroupKind: kind.GroupKind()}
		}
		return nil
	}
	c.settle()
	before := c.teamsObjects()
	c.setImage("shop:v2")
	c.settle()
	c.wantToy(50, false)
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.wantGivenBack("promoted", before, v1alpha1.ReleaseSucceeded)
}

// TestToyLayerCrashAtEveryWrite: the process dies after any one write, and everything ends as it should: a crash costs
// a repetition only.
func TestToyLayerCrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	every := 1
	if testing.Short() {
		every = 5
	}
	for verb, phase := range ends {
		t.Run(string(verb), func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n += every {
				c, hit := toyUnderWay(t), ""
				before := c.teamsObjects()
				c.diesAfter(n, &hit)
				c.settle()
				c.decide(v1alpha1.VerbPromote, "shop-1")
				c.settle()
				c.decide(verb, "shop-1")
				c.settle()
				c.wantGivenBack(fmt.Sprintf("write %d (%s)", n, hit), before, phase)
				if hit == "" {
					return
				}
			}
		})
	}
}

// TestToyLayerShared: of two releases that a layer cannot have at once the second waits for the first.
func TestToyLayerShared(t *testing.T) {
	t.Parallel()
	router := toyObject(toy.Router, `{"spec": {"routes": [
		{"path": "/shop", "service": "shop"}, {"path": "/cart", "service": "cart"}
	]}}`)
	c := &crowd{cluster: newClusterThrough(t, toyLayers, registry.Workloads, both(onRoute(), router)...), kind: routeKind}
	c.settleBoth()
	c.release2(shop)
	c.settleBoth()
	c.release2(cart)
	c.settleBoth()
	ro := &v1alpha1.Rollout{}
	c.get(ro, cart)
	const says = "release shop-1 has ended: it divides the requests of Router web"
	if w := ro.Status.WaitingFor; w == nil || w.Reason != release.ReasonLayerBusy || !strings.Contains(w.Message, says) {
		t.Fatalf("cart should wait for shop-1: %s", c.tells())
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settleBoth()
	c.decide(v1alpha1.VerbPromote, "cart-1")
	c.settleBoth()
	c.wantEnded("shop-1", "cart-1")
}

// TestToyLayerOrder: an object's Hold stands before the object is touched, and goes after it is back; the Pool is there
// before anything leads to it, and goes after.
func TestToyLayerOrder(t *testing.T) {
	t.Parallel()
	c := toyUnderWay(t)
	c.settle()
	for range 2 {
		c.decide(v1alpha1.VerbPromote, "shop-1")
		c.settle()
	}
	var order []string
	for _, w := range c.writes {
		for _, of := range []string{"Pool", "Router", "RuleSet", "Hold router", "Hold ruleset"} {
			if words := strings.Fields(w); strings.HasPrefix(words[1]+" "+words[2], of) {
				order = append(order, words[0]+" "+of)
			}
		}
	}
	if diff := cmp.Diff([]string{
		"create Pool", "create Hold ruleset", "patch RuleSet", "create Hold router", // The smoke step.
		"patch RuleSet", "delete Hold ruleset", "patch Router", // 25%
		"patch Router", // 50%
		"patch Router", "delete Hold router", "delete Pool",
	}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
