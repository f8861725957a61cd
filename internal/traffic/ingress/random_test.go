package ingress_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestLaw(t *testing.T) {
	traffictest.Random(t, layer(), traffictest.Generator{Team: team, Matches: matches, Edit: edit})
}

func FuzzProvider(f *testing.F) {
	traffictest.Fuzz(f, layer(),
		`{"metadata":{"name":"shop","annotations":{"nginx.ingress.kubernetes.io/canary-weight":"x"}},"spec":{"defaultBackend":{"service":{"name":"shop"}}}}`,
		`{"metadata":{"name":"shop"},"spec":{"rules":[{"http":{"paths":[{"backend":{"service":{"name":"shop"}}},7]}},null]}}`,
		`{"metadata":{"name":"shop"},"spec":{"rules":{"http":[]},"tls":"x"}}`)
}

// backends of the made-up workload: two Services.
func backends() []traffic.Backend {
	return []traffic.Backend{traffic.Twins("shop", "shop-canary"), traffic.Twins("shop-admin", "shop-admin-canary")}
}

func team(t *rapid.T) ([]*unstructured.Unstructured, []traffic.Backend) {
	spec := map[string]any{
		"ingressClassName": "nginx",
		"rules":            drawRules(t),
		"unknown":          map[string]any{"kept": int64(1)},
	}
	if rapid.Bool().Draw(t, "has default") {
		spec["defaultBackend"] = backend(t)
	}
	return []*unstructured.Unstructured{{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
		"metadata": map[string]any{
			"name": "web", "namespace": "demo", "generation": int64(1),
			"annotations": map[string]any{
				"nginx.ingress.kubernetes.io/affinity": "cookie",
				"meta.helm.sh/release-name":            "shop",
			},
		},
		"spec": spec,
	}}}, backends()
}

func drawRules(t *rapid.T) []any {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any {
		rule := map[string]any{"host": rapid.SampledFrom([]string{"a.demo", "b.demo"}).Draw(t, "host")}
		if paths := rapid.SliceOfN(rapid.Custom(path), 0, 3).Draw(t, "paths"); len(paths) > 0 {
			rule["http"] = map[string]any{"paths": paths}
		}
		return rule
	}), 0, 3).Draw(t, "rules")
}

func path(t *rapid.T) any {
	return map[string]any{
		"path":     rapid.SampledFrom([]string{"/", "/api", "/static"}).Draw(t, "path"),
		"pathType": rapid.SampledFrom([]string{"Prefix", "Exact", "ImplementationSpecific"}).Draw(t, "type"),
		"backend":  backend(t),
	}
}

func backend(t *rapid.T) any {
	service := rapid.SampledFrom([]string{"shop", "shop-admin", "assets"}).Draw(t, "service")
	if rapid.Bool().Draw(t, "by name") {
		return map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"name": "http"}}}
	}
	return map[string]any{"service": map[string]any{"name": service, "port": map[string]any{"number": int64(80)}}}
}

func matches(t *rapid.T) []release.Match {
	var out []release.Match
	switch rapid.SampledFrom([]string{"always", "value", "regex", "none"}).Draw(t, "header") {
	case "always":
		out = append(out, release.Match{Headers: []release.HeaderMatch{{Name: "X-Canary", Value: "always"}}})
	case "value":
		out = append(out, release.Match{Headers: []release.HeaderMatch{{Name: "_env", Value: "grey area"}}})
	case "regex":
		out = append(out, release.Match{Headers: []release.HeaderMatch{{Name: "Region", Regex: "eu-(north|west)-[0-9]+"}}})
	}
	if rapid.Bool().Draw(t, "cookie") {
		out = append(out, release.Match{Cookies: []release.CookieMatch{{Name: "canary", Value: "always"}}})
	}
	if rapid.Bool().Draw(t, "reversed") {
		slices.Reverse(out)
	}
	return out
}

func edit(t *rapid.T) func(*unstructured.Unstructured) {
	rules, key := drawRules(t), rapid.SampledFrom([]string{"rules", "annotation"}).Draw(t, "edit")
	value := rapid.StringMatching(`[a-z]{1,5}`).Draw(t, "value")
	return func(u *unstructured.Unstructured) {
		if key == "rules" {
			_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
			return
		}
		_ = unstructured.SetNestedField(u.Object, value, "metadata", "annotations", "nginx.ingress.kubernetes.io/load-balance")
	}
}

// inspect routes every request that the team's Ingress distinguishes by the canary Ingress, and demands that
// it has exactly those that lead to the workload, each to the twin.
func inspect(team traffictest.Objects, w traffic.World, _ traffic.Split) error {
	twins := map[string]string{}
	for _, b := range w.Backends {
		twins[b.Stable.Service] = b.Canary.Service
	}
	want := map[string]string{}
	for request, service := range routed(first(team)) {
		if twin, ok := twins[service]; ok {
			want[request] = twin
		}
	}
	maps.DeleteFunc(w.Objects, func(ref traffic.Ref, _ *unstructured.Unstructured) bool { return team[ref] != nil })
	have := routed(first(w.Objects))
	for request, service := range want {
		if have[request] != service {
			return fmt.Errorf("%s leads to %q, not %q", request, have[request], service)
		}
	}
	for request, service := range have {
		if want[request] == "" {
			return fmt.Errorf("%s leads to %q and is none of the workload's", request, service)
		}
	}
	return nil
}

// first is the only one of the objects.
func first(objects traffictest.Objects) *unstructured.Unstructured {
	for _, u := range objects {
		return u
	}
	return nil
}

// routed lists host, path type and path of an Ingress with the Service that gets them, the way ingress-nginx
// lays out its locations: the first to name one has it, and a host's "/" falls to the default backend.
func routed(u *unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	fallback, _, _ := unstructured.NestedString(u.Object, "spec", "defaultBackend", "service", "name")
	var hosts []string
	for _, r := range rules {
		rule, _ := r.(map[string]any)
		host, _ := rule["host"].(string)
		hosts = append(hosts, host)
		paths, _, _ := unstructured.NestedSlice(rule, "http", "paths")
		for _, p := range paths {
			path, _ := p.(map[string]any)
			service, _, _ := unstructured.NestedString(path, "backend", "service", "name")
			for _, kind := range kinds(path) {
				key := fmt.Sprintf("%s %s %s", host, kind, path["path"])
				if _, taken := out[key]; !taken {
					out[key] = service
				}
			}
		}
	}
	if len(rules) == 0 && fallback != "" {
		out["any host"] = fallback
	}
	for _, host := range slices.Compact(hosts) {
		key := host + " Prefix /"
		if _, taken := out[key]; !taken && fallback != "" {
			out[key] = fallback
		}
	}
	return out
}

// kinds of location that a path makes; an implementation-specific one is nginx' prefix.
func kinds(path map[string]any) []string {
	if path["pathType"] == "Exact" {
		return []string{"Exact"}
	}
	return []string{"Prefix"}
}
