package e2e

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// testdata reads a manifest of this package.
func (w *world) testdata(file string) []*unstructured.Unstructured {
	w.Helper()
	data, err := os.ReadFile("testdata/" + file)
	must(w, err)
	gateway := os.Getenv("SLUICE_E2E_GATEWAY_REF")
	if gateway == "" {
		gateway = "default/playground"
	}
	namespace, name, _ := strings.Cut(gateway, "/")
	return w.objects(strings.NewReplacer("GATEWAY_NAMESPACE", namespace, "GATEWAY_NAME", name).Replace(string(data)))
}

// without leaves the objects of a kind out.
func without(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() != kind {
			out = append(out, o)
		}
	}
	return out
}

// steps replaces a Rollout's steps.
func steps(rollout *unstructured.Unstructured, list ...map[string]any) *unstructured.Unstructured {
	var all []any
	for _, s := range list {
		all = append(all, s)
	}
	set(rollout, all, "spec", "canary", "steps")
	return rollout
}

// step has a weight and stands still until it is promoted.
func step(weight int64) map[string]any {
	return map[string]any{"weight": weight, "pause": map[string]any{}}
}

// passing is a step without a pause.
func passing(weight int64) map[string]any { return map[string]any{"weight": weight} }

func headers(list ...string) []any {
	var all []any
	for i := 0; i+1 < len(list); i += 2 {
		all = append(all, map[string]any{"name": list[i], "value": list[i+1]})
	}
	return []any{map[string]any{"headers": all}}
}

// on is the same request to another host of this test.
func (r request) on(prefix string) request {
	r.host = prefix + "." + r.host
	return r
}

// routed starts the shop with layers, steps of 20 and 50 with a match, and a client on each request.
func routed(t *testing.T, objects func(*world) []*unstructured.Unstructured, layers []any, requests func(*world) []request) (*world, team, []*load) {
	t.Helper()
	w := newWorld(t)
	objs := append(without(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml"), "Ingress"), objects(w)...)
	rollout := only(w.example("1-nginx/rollout.yaml"), "Rollout")
	set(rollout, layers, "spec", "traffic")
	eachLayer(rollout, func(in map[string]any) { in["confirm"] = string(v1alpha1.ConfirmByRequests) })
	quicken(rollout)
	first := step(20)
	first["match"] = headers("X-Canary", "always")
	steps(rollout, first, step(50))
	w.start(append(objs, rollout)...)
	var loads []*load
	all := requests(w)
	for _, r := range all {
		loads = append(loads, w.loadOn(r, len(all)))
	}
	return w, w.team(), loads
}

// through runs a release through its two steps and looks at every client in each.
func through(w *world, before team, loads []*load) {
	w.Helper()
	w.setImage("green")
	w.atStep("shop-1", 1)
	allSharedOut(w, loads, 300, "green", 20)
	for _, l := range loads {
		r := l.request
		r.header = map[string]string{"X-Canary": "always"}
		w.allFrom("green", 30, r)
	}
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	allSharedOut(w, loads, 300, "green", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	for _, l := range loads {
		if got := versions(l.next(w, 50)); got["green"] != 50 {
			w.Errorf("%s afterwards: %v, want green alone", l.request.host, got)
		}
	}
	w.nothingLeft(before)
	w.onlyPods("green", 4)
	w.startedOnce("green", 4)
	w.startedOnce("blue", 4)
	for _, l := range loads {
		noneFailed(w, l.end())
	}
}

// TestHTTPRoute releases through the Gateway API: several rules, filters and times kept.
func TestHTTPRoute(t *testing.T) {
	w, before, loads := routed(t,
		func(w *world) []*unstructured.Unstructured { return w.testdata("httproute.yaml") },
		[]any{map[string]any{"httpRoute": map[string]any{"name": "shop"}}},
		func(w *world) []request { return []request{w.to("/color").on("route"), w.to("/api/color").on("route")} })
	static := w.loadOn(w.to("/static/x").on("route"), 10)
	through(w, before, loads)
	all := static.end()
	noneFailed(t, all)
	if got := versions(all); len(got) != 1 || got["purple"] == 0 {
		t.Errorf("/static was answered by %v, want assets alone", got)
	}
}

// TestHTTPRouteAbort takes a release back that has the route at 20%.
func TestHTTPRouteAbort(t *testing.T) {
	w, before, loads := routed(t,
		func(w *world) []*unstructured.Unstructured { return w.testdata("httproute.yaml") },
		[]any{map[string]any{"httpRoute": map[string]any{"name": "shop"}}},
		func(w *world) []request { return []request{w.to("/color").on("route")} })
	w.setImage("green")
	w.atStep("shop-1", 1)
	loads[0].sharedOut(t, 400, "green", 20)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.nothingLeft(before)
	w.onlyPods("blue", 4)
	noneFailed(t, loads[0].end())
}

// TestBothLayers moves an Ingress and an HTTPRoute together.
func TestBothLayers(t *testing.T) {
	w, before, loads := routed(t,
		func(w *world) []*unstructured.Unstructured {
			return append(w.testdata("httproute.yaml"), only(w.example("1-nginx/shop.yaml"), "Ingress"))
		},
		[]any{map[string]any{"ingress": map[string]any{"name": "shop"}}, map[string]any{"httpRoute": map[string]any{"name": "shop"}}},
		func(w *world) []request { return []request{w.to("/color"), w.to("/color").on("route")} })
	through(w, before, loads)
}

// TestSeveralIngresses moves two Ingresses with several hosts and paths, and leaves the paths of others alone.
func TestSeveralIngresses(t *testing.T) {
	w, before, loads := routed(t,
		func(w *world) []*unstructured.Unstructured { return w.testdata("ingresses.yaml") },
		[]any{map[string]any{"ingress": map[string]any{"name": "shop"}}, map[string]any{"ingress": map[string]any{"name": "partners"}}},
		func(w *world) []request {
			return []request{w.to("/color"), w.to("/color").on("www"), w.to("/color").on("partners")}
		})
	others := []*load{w.loadOn(w.to("/static/x"), 10), w.loadOn(w.to("/other").on("www"), 10)}
	through(w, before, loads)
	for _, l := range others {
		all := l.end()
		noneFailed(t, all)
		if got := versions(all); len(got) != 1 || got["purple"] == 0 {
			t.Errorf("%s was answered by %v, want assets alone", l.request.url, got)
		}
	}
}
