package toy_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/toy"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

var layer = traffictest.Layer{New: toy.New}

func TestTranscripts(t *testing.T) { traffictest.Run(t, layer, "testdata") }

func TestLaw(t *testing.T) {
	traffictest.Random(t, layer, traffictest.Generator{Team: team, Matches: matches, Edit: edit})
}

func FuzzProvider(f *testing.F) {
	traffictest.Fuzz(f, layer,
		`{"spec":{"routes":[{"service":"shop","canary":7},null],"rules":[{"pool":"shop-canary"},3]}}`,
		`{"spec":{"routes":{"service":"shop"}}}`)
}

func team(t *rapid.T) ([]*unstructured.Unstructured, []traffic.Backend) {
	router := object("Router", map[string]any{"unknown": int64(1), "routes": append(entries(t, "routes"),
		map[string]any{"path": "/", "service": "shop", "timeout": int64(5)})})
	objects := []*unstructured.Unstructured{router}
	if rapid.Bool().Draw(t, "has rules") {
		objects = append(objects, object("RuleSet", map[string]any{"unknown": int64(1), "rules": entries(t, "rules")}))
	}
	b := traffic.Twins("shop", "shop-canary")
	b.Canary.Labels = map[string]string{"app": "shop", "version": "2"}
	return objects, []traffic.Backend{b, traffic.Twins("shop-admin", "shop-admin-canary")}
}

func object(kind string, spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "toy.example.com/v1", "kind": kind,
		"metadata": map[string]any{"name": "web", "namespace": "demo", "annotations": map[string]any{"by": "the team"}},
		"spec":     spec,
	}}
}

func entries(t *rapid.T, what string) []any {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any {
		return map[string]any{
			"path":    rapid.StringMatching(`/[a-z]{3}`).Draw(t, "path"),
			"service": rapid.SampledFrom([]string{"shop", "assets"}).Draw(t, "service"),
			"weight":  rapid.Int64Range(0, 9).Draw(t, "weight"),
		}
	}), 0, 3).Draw(t, what)
}

func matches(t *rapid.T) []release.Match {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) release.Match {
		header := release.HeaderMatch{Name: "X-Canary", Value: rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "value")}
		return release.Match{Headers: []release.HeaderMatch{header}}
	}), 1, 3).Draw(t, "matches")
}

// edit changes a field beside the entries, adds one, or removes the first of the team's own.
func edit(t *rapid.T) func(*unstructured.Unstructured) {
	kind, more := rapid.SampledFrom([]string{"beside", "add"}).Draw(t, "edit"), entries(t, "more")
	return func(u *unstructured.Unstructured) {
		name := map[string]string{"Router": "routes", "RuleSet": "rules"}[u.GetKind()]
		spec := u.Object["spec"].(map[string]any)
		if kind == "beside" {
			spec["beside"] = fmt.Sprint(more)
			return
		}
		spec[name] = append(spec[name].([]any), runtime.DeepCopyJSONValue(more).([]any)...)
	}
}
