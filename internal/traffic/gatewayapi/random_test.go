package gatewayapi_test

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestLaw(t *testing.T) {
	traffictest.Random(t, layer(), traffictest.Generator{Team: drawTeam, Matches: drawMatches, Edit: drawEdit})
}

func FuzzProvider(f *testing.F) {
	traffictest.Fuzz(f, layer(),
		`{"metadata":{"name":"r","namespace":"demo","generation":"x"},"spec":{"rules":[{"backendRefs":[{"name":"shop","weight":1.5},{"name":"shop-canary","weight":-1},3]},null,{"matches":[7,{"headers":[null]}]}]},"status":{"parents":[1,{"conditions":[{}]}]}}`,
		`{"spec":{"parentRefs":[{"name":1}],"rules":[{"matches":{},"filters":[{"urlRewrite":{"path":3}}],"backendRefs":[{"name":"shop"},{"name":"shop-canary"}]},{"backendRefs":[{"name":"shop-canary","weight":1000001}]}]}}`,
		`{"spec":{"rules":[{"backendRefs":[{"name":"shop","weight":999999},{"name":"x","weight":1000000}]}]}}`)
}

func drawTeam(t *rapid.T) ([]*unstructured.Unstructured, []traffic.Backend) {
	route, backends := drawRoute(t)
	return []*unstructured.Unstructured{route}, backends
}

func drawRoute(t *rapid.T) (*unstructured.Unstructured, []traffic.Backend) {
	rules := rapid.SliceOfN(rapid.Custom(drawRule), 1, 4).Draw(t, "rules")
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"name": "web", "namespace": "demo", "generation": int64(1)},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "public"}, map[string]any{"name": "private", "namespace": "infra", "sectionName": "https"}},
			"hostnames":  []any{"shop.demo"},
			"rules":      rules,
			"unknown":    map[string]any{"kept": int64(1)},
		},
	}}, []traffic.Backend{traffic.Twins("shop", "shop-canary"), traffic.Twins("shop-admin", "shop-admin-canary")}
}

func drawRule(t *rapid.T) any {
	rule := map[string]any{
		"timeouts":   map[string]any{"request": rapid.SampledFrom([]string{"1s", "2s"}).Draw(t, "timeout")},
		"newerField": map[string]any{"kept": int64(7)},
	}
	if refs := rapid.SliceOfNDistinct(rapid.Custom(drawRef), 0, 4, identity).Draw(t, "refs"); len(refs) > 0 {
		rule["backendRefs"] = refs
	}
	path := "/" + rapid.StringMatching(`[a-z]{6}`).Draw(t, "path")
	switch kind := rapid.SampledFrom([]string{"path", "two", "header", "rewrite"}).Draw(t, "matches"); kind {
	case "header":
		rule["matches"] = []any{map[string]any{"path": map[string]any{"type": "Exact", "value": path}, "headers": []any{map[string]any{"name": "Tenant", "value": "a"}}}}
	case "two":
		rule["matches"] = []any{
			map[string]any{"path": map[string]any{"value": path}, "headers": []any{map[string]any{"name": "Tenant", "value": "a"}}},
			map[string]any{"path": map[string]any{"value": path}, "method": "POST"},
		}
	case "rewrite", "path":
		rule["matches"] = []any{map[string]any{"path": map[string]any{"value": path}}}
		if kind == "rewrite" {
			rule["name"] = "rewrite-" + path[1:]
			rule["filters"] = []any{map[string]any{"type": "URLRewrite", "urlRewrite": map[string]any{"path": map[string]any{"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}}
		}
	}
	return rule
}

func identity(ref any) string { return fmt.Sprint(bare(object(ref), "weight")) }

func drawRef(t *rapid.T) any {
	ref := map[string]any{
		"name":  rapid.SampledFrom([]string{"shop", "shop", "shop-admin", "legacy"}).Draw(t, "service"),
		"port":  rapid.SampledFrom([]int64{80, 8080}).Draw(t, "port"),
		"newer": "kept",
	}
	if rapid.IntRange(0, 5).Draw(t, "elsewhere") == 0 {
		ref["namespace"] = "other"
	}
	if rapid.Bool().Draw(t, "weighted") {
		ref["weight"] = rapid.OneOf(rapid.Int64Range(0, 10), rapid.SampledFrom([]int64{30, 100, 1000, 30000, 1_000_000})).Draw(t, "weight")
	}
	return ref
}

func drawMatches(t *rapid.T) []release.Match {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) release.Match {
		var m release.Match
		switch rapid.IntRange(0, 2).Draw(t, "header") {
		case 1:
			m.Headers = []release.HeaderMatch{{Name: "X-Canary", Value: rapid.StringMatching(`[a-z(^$]{1,4}`).Draw(t, "value")}}
		case 2:
			m.Headers = []release.HeaderMatch{{Name: "Region", Regex: "eu-.*"}, {Name: "X-Two", Value: "2"}}
		}
		if len(m.Headers) == 0 || rapid.Bool().Draw(t, "cookie") {
			m.Cookies = []release.CookieMatch{{Name: rapid.StringMatching(`[a-z.*+]{1,4}`).Draw(t, "cookie name"), Value: rapid.StringMatching(`[a-z=\\.]{1,4}`).Draw(t, "cookie value")}}
		}
		return m
	}), 1, 3).Draw(t, "match")
}

// drawEdit makes edits that mean the same on the team's object and on the split one.
func drawEdit(t *rapid.T) func(*unstructured.Unstructured) {
	rule := drawRule(t)
	kind := rapid.SampledFrom([]string{"append", "prepend", "hostname", "field", "remove"}).Draw(t, "edit")
	return func(u *unstructured.Unstructured) {
		spec := object(u.Object["spec"])
		rules := list(spec["rules"])
		fresh := runtime.DeepCopyJSONValue(rule)
		switch kind {
		case "append":
			spec["rules"] = append(rules, fresh)
		case "prepend":
			spec["rules"] = append([]any{fresh}, rules...)
		case "hostname":
			spec["hostnames"] = []any{"other.demo"}
		case "field":
			last := object(rules[len(rules)-1]) // the last rule is never a generated one
			last["timeouts"] = map[string]any{"request": "9s"}
			last["added"] = "by the team"
		case "remove":
			if len(rules) > 1 && len(list(object(rules[len(rules)-1])["backendRefs"])) == 0 {
				spec["rules"] = rules[:len(rules)-1]
			}
		}
	}
}
