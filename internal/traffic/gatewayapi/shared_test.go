package gatewayapi_test

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

// TestFaultB4Law: several releases in the rules of one route, in every order, with caches of every age and a crash
// after every write: the shares are exact, nobody undoes another's, and the rules come back to the byte.
func TestFaultB4Law(t *testing.T) {
	traffictest.RandomShared(t, layer(), traffictest.SharedGenerator{
		Route: drawShared, Matches: drawSharedMatches, Edit: drawSharedEdit, Inspect: inspectShared,
	})
}

// TestFaultB4ProportionsComeBack: 90:10 between two workloads, both released at once, is 90:10 again afterwards, and
// not 9:1.
func TestFaultB4ProportionsComeBack(t *testing.T) {
	rules := []any{map[string]any{"backendRefs": []any{
		map[string]any{"name": "shop", "weight": int64(90)}, map[string]any{"name": "cart", "weight": int64(10)},
	}}}
	shop := []traffic.Backend{traffic.Twins("shop", "shop-canary")}
	cart := []traffic.Backend{traffic.Twins("cart", "cart-canary")}
	p := gatewayapi.NewHTTPRoute("web")
	ref := p.Objects(traffic.World{})[0].Ref
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": rules}}}
	alone := traffic.World{Objects: traffictest.Objects{ref: route}, Backends: shop}
	first := one(t, p.Apply(alone, traffic.Split{Weight: 33}))
	seen := func(route *unstructured.Unstructured, held bool, own, others []traffic.Backend) traffic.World {
		return traffic.World{
			Objects: traffictest.Objects{ref: route}, Backends: own,
			Holds:   map[traffic.Ref]traffic.Hold{ref: {Original: first.Hold.Original, Held: held}},
			Parties: []traffic.Party{{Held: map[traffic.Ref][]release.Match{ref: nil}, Backends: others}},
		}
	}
	second := one(t, p.Apply(seen(first.After, false, cart, shop), traffic.Split{Weight: 50}))
	want := "shop 6030, shop-canary 2970, cart 500, cart-canary 500"
	if got := refs(second.After); got != want {
		t.Fatalf("both are at work: %s, want %s", got, want)
	}
	left := one(t, p.Restore(seen(second.After, true, shop, cart)))
	if got, want := refs(left.After), "shop 90, cart 5, cart-canary 5"; got != want {
		t.Errorf("shop has left: %s, want %s", got, want)
	}
	last := one(t, p.Restore(seen(left.After, true, cart, shop)))
	if diff := cmp.Diff(rules, last.After.Object["spec"].(map[string]any)["rules"]); diff != "" || !last.ReleaseHold {
		t.Errorf("both have left: %s", diff)
	}
}

// one is the only change, which is of the route.
func one(t *testing.T, changes []traffic.Change) traffic.Change {
	t.Helper()
	if len(changes) != 1 || changes[0].After == nil {
		t.Fatalf("want one change of the route, have %+v", changes)
	}
	return changes[0]
}

func refs(u *unstructured.Unstructured) string {
	var out []string
	for _, r := range list(rulesOf(u)[0]["backendRefs"]) {
		out = append(out, fmt.Sprintf("%s %d", name(r), weight(r)))
	}
	return strings.Join(out, ", ")
}

// TestFaultB4NoRoom: a release whose steps have no room beside another's waits for it, and says for which.
func TestFaultB4NoRoom(t *testing.T) {
	rules := make([]any, 6)
	for i := range rules {
		rules[i] = map[string]any{
			"matches":     []any{map[string]any{"path": map[string]any{"value": fmt.Sprintf("/%d", i)}}},
			"backendRefs": []any{map[string]any{"name": "shop"}, map[string]any{"name": "cart"}},
		}
	}
	p := gatewayapi.NewHTTPRoute("web")
	ref := p.Objects(traffic.World{})[0].Ref
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": rules}}}
	route.SetGroupVersionKind(ref.GroupVersionKind)
	route.SetName("web")
	testers := func(header string) []traffic.Split {
		return []traffic.Split{{Matches: []release.Match{{Headers: []release.HeaderMatch{{Name: header, Value: "1"}}}}}, {Weight: 50}}
	}
	w := traffic.World{
		Objects: traffictest.Objects{ref: route}, Backends: []traffic.Backend{traffic.Twins("shop", "shop-canary")},
	}
	if err := p.Check(w, testers("X-Shop")); err != nil {
		t.Fatalf("alone: %v", err)
	}
	w.Parties = []traffic.Party{{
		Release: "cart-7", Objects: []*unstructured.Unstructured{route}, Planned: testers("X-Cart"),
		Backends: []traffic.Backend{traffic.Twins("cart", "cart-canary")},
	}}
	busy, ok := errors.AsType[*traffic.Busy](p.Check(w, testers("X-Shop")))
	if !ok || busy.Release != "cart-7" || !strings.Contains(busy.Why, "24 rules, and 16 are allowed") {
		t.Errorf("got %+v", busy)
	}
	w.Parties[0].Planned = []traffic.Split{{Weight: 50}}
	if err := p.Check(w, testers("X-Shop")); err != nil {
		t.Errorf("there is room: %v", err)
	}
}

func drawShared(t *rapid.T) (*unstructured.Unstructured, [][]traffic.Backend) {
	route, _ := drawRoute(t)
	rules := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return drawSharedRule(t) }), 1, 2).Draw(t, "rules")
	object(route.Object["spec"])["rules"] = rules
	all := [][]traffic.Backend{
		{traffic.Twins("shop", "shop-canary"), traffic.Twins("shop-admin", "shop-admin-canary")},
		{traffic.Twins("cart", "cart-canary")},
		{traffic.Twins("auth", "auth-next")},
	}
	return route, all[:rapid.IntRange(2, 3).Draw(t, "parties")]
}

func drawSharedRule(t *rapid.T) any {
	rule := object(drawRule(t))
	refs := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) any {
		ref := map[string]any{
			"name": rapid.SampledFrom([]string{"shop", "cart", "auth", "shop-admin", "legacy"}).Draw(t, "service"), "port": int64(80),
		}
		if rapid.Bool().Draw(t, "weighted") {
			ref["weight"] = rapid.OneOf(rapid.Int64Range(0, 10), rapid.SampledFrom([]int64{30, 90, 100, 1000})).Draw(t, "weight")
		}
		return ref
	}), 1, 4, identity).Draw(t, "shared refs")
	rule["backendRefs"] = refs
	return rule
}

// drawSharedMatches are few, so that releases often ask for the same.
func drawSharedMatches(t *rapid.T) []release.Match {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) release.Match {
		x := release.HeaderMatch{Name: "X-Canary", Value: rapid.SampledFrom([]string{"always", "1"}).Draw(t, "value")}
		y := release.HeaderMatch{Name: "X-Two", Value: "2"}
		return rapid.SampledFrom([]release.Match{{Headers: []release.HeaderMatch{x}}, {Headers: []release.HeaderMatch{y}}, {Headers: []release.HeaderMatch{x, y}}}).Draw(t, "entry")
	}), 1, 2).Draw(t, "match")
}

func drawSharedEdit(t *rapid.T) func(*unstructured.Unstructured) {
	rule, edit := drawSharedRule(t), drawEdit(t)
	fresh := rapid.Bool().Draw(t, "another rule")
	return func(u *unstructured.Unstructured) {
		if !fresh {
			edit(u)
			return
		}
		spec := object(u.Object["spec"])
		spec["rules"] = append([]any{(&unstructured.Unstructured{Object: object(rule)}).DeepCopy().Object}, list(spec["rules"])...)
	}
}

// inspectShared sends every kind of request to both routes, as a gateway would, and compares where they go: where the
// team sends them, with each workload's canary in its Service's place for its testers, and for its share of the others.
func inspectShared(team, route *unstructured.Unstructured, parties [][]traffic.Backend, splits []traffic.Split) error {
	for _, rule := range rulesOf(team) {
		for _, m := range list(rule["matches"]) {
			for _, headers := range []map[string]string{
				{}, {"x-canary": "always"}, {"x-canary": "1"}, {"x-two": "2"}, {"x-canary": "always", "x-two": "2"}, {"x-canary": "1", "x-two": "2"},
			} {
				r := request{path: object(object(m)["path"])["value"].(string), headers: maps.Clone(headers)}
				r.method, _ = object(m)["method"].(string)
				for _, h := range list(object(m)["headers"]) {
					r.headers[strings.ToLower(object(h)["name"].(string))] = object(h)["value"].(string)
				}
				want, have := expected(r, team, parties, splits), r.goesTo(route)
				if diff := cmp.Diff(want, have); diff != "" {
					return fmt.Errorf("%+v goes elsewhere\n%s", r, diff)
				}
			}
		}
	}
	return inspectLimits(rulesOf(route))
}

// expected is where a request is to go.
func expected(r request, team *unstructured.Unstructured, parties [][]traffic.Backend, splits []traffic.Split) map[string]string {
	rule := r.rule(team)
	total, sums := int64(0), map[string]*big.Rat{}
	for _, ref := range list(rule["backendRefs"]) {
		total += weight(ref)
	}
	add := func(service string, w, percent int64) {
		if w*percent > 0 {
			if sums[service] == nil {
				sums[service] = new(big.Rat)
			}
			sums[service].Add(sums[service], big.NewRat(w*percent, total*100))
		}
	}
	for _, ref := range list(rule["backendRefs"]) {
		service, percent, canary := name(ref), int64(0), ""
		for i, party := range parties {
			for _, b := range party {
				if b.Stable.Service == service {
					canary, percent = b.Canary.Service, int64(splits[i].Weight)
					if slices.ContainsFunc(splits[i].Matches, r.wants) {
						percent = 100
					}
				}
			}
		}
		add(service, weight(ref), 100-percent)
		add(canary, weight(ref), percent)
	}
	return written(sums)
}

func written(sums map[string]*big.Rat) map[string]string {
	out := map[string]string{}
	for k, v := range sums {
		out[k] = v.String()
	}
	return out
}

// request is what a gateway looks at.
type request struct {
	path, method string
	headers      map[string]string
}

func (r request) wants(m release.Match) bool {
	return !slices.ContainsFunc(m.Headers, func(h release.HeaderMatch) bool { return r.headers[strings.ToLower(h.Name)] != h.Value })
}

func (r request) goesTo(route *unstructured.Unstructured) map[string]string {
	rule := r.rule(route)
	total, sums := int64(0), map[string]*big.Rat{}
	for _, ref := range list(rule["backendRefs"]) {
		total += weight(ref)
	}
	for _, ref := range list(rule["backendRefs"]) {
		if w := weight(ref); w > 0 {
			if sums[name(ref)] == nil {
				sums[name(ref)] = new(big.Rat)
			}
			sums[name(ref)].Add(sums[name(ref)], big.NewRat(w, total))
		}
	}
	return written(sums)
}

// rule is the one whose match is the most particular, as the Gateway API orders them: the path, the method, the number
// of headers, and then the first in the list.
func (r request) rule(route *unstructured.Unstructured) map[string]any {
	var found map[string]any
	best := -1
	for _, rule := range rulesOf(route) {
		for _, m := range list(rule["matches"]) {
			if score := r.score(object(m)); score > best {
				found, best = rule, score
			}
		}
	}
	return found
}

// score is how particular a match is, below 0 if the request does not fit.
func (r request) score(m map[string]any) int {
	path := object(m["path"])
	value := path["value"].(string)
	if r.path != value && (path["type"] == "Exact" || !strings.HasPrefix(r.path, strings.TrimSuffix(value, "/")+"/")) {
		return -1
	}
	score := len(value) * 1000
	if path["type"] == "Exact" {
		score += 1_000_000
	}
	if method, ok := m["method"].(string); ok {
		if method != r.method {
			return -1
		}
		score += 500
	}
	for _, h := range list(m["headers"]) {
		if r.headers[strings.ToLower(object(h)["name"].(string))] != object(h)["value"].(string) {
			return -1
		}
		score++
	}
	return score
}
