package gatewayapi_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestGRPCRouteTranscripts(t *testing.T) {
	traffictest.Run(t, grpcLayer(), "testdata/grpcroute")
}

// TestGRPCRouteLaw: the edits add rules with a path, which a GRPCRoute does not know, and keeps.
func TestGRPCRouteLaw(t *testing.T) {
	traffictest.Random(t, grpcLayer(), traffictest.Generator{Team: drawGRPCTeam, Matches: drawHeaders, Edit: drawEdit})
}

func FuzzGRPCRoute(f *testing.F) {
	traffictest.Fuzz(f, grpcLayer(),
		`{"metadata":{"name":"r","namespace":"demo"},"spec":{"parentRefs":[{"group":"core","kind":"Service","name":1}],"rules":[{"backendRefs":[{"name":"shop","group":"core"},{"name":"shop-canary"},3]},null,{"matches":[7,{"method":3,"headers":[null]}]}]},"status":{"parents":[1,{"parentRef":{"kind":"Service","group":""},"conditions":[{}]}]}}`,
		`{"spec":{"rules":[{"matches":[{"method":{"service":"a","method":"b"}}],"filters":[{"requestMirror":3}],"backendRefs":[{"name":"shop"}]}]}}`)
}

func grpcLayer() traffictest.Layer {
	return traffictest.Layer{New: gatewayapi.NewGRPCRoute, Admit: admitGRPCRoute, Settle: settle, Inspect: inspect}
}

// admitGRPCRoute fills in what the CRD of GRPCRoute fills in. A rule without matches stays without.
func admitGRPCRoute(route map[string]any) {
	rules, _, _ := unstructured.NestedFieldNoCopy(route, "spec", "rules")
	for _, r := range list(rules) {
		rule := object(r)
		for _, m := range list(rule["matches"]) {
			for _, typed := range append([]any{object(m)["method"]}, list(object(m)["headers"])...) {
				if o := object(typed); o != nil {
					setDefaults(o, map[string]any{"type": "Exact"})
				}
			}
		}
		for _, b := range list(rule["backendRefs"]) {
			setDefaults(object(b), map[string]any{"group": "", "kind": "Service", "weight": int64(1)})
		}
	}
}

func drawGRPCTeam(t *rapid.T) ([]*unstructured.Unstructured, []traffic.Backend) {
	route, backends := drawRoute(t)
	route.SetKind("GRPCRoute")
	for _, rule := range list(object(route.Object["spec"])["rules"]) {
		asGRPC(t, object(rule))
	}
	return []*unstructured.Unstructured{route}, backends
}

// asGRPC makes a rule of an HTTPRoute one of a GRPCRoute: a method in place of the path, and a filter that it has.
func asGRPC(t *rapid.T, rule map[string]any) {
	for _, m := range list(rule["matches"]) {
		match := object(m)
		path := object(match["path"])["value"].(string)
		delete(match, "path")
		match["method"] = map[string]any{"service": "shop.v1." + path[1:]}
		if rapid.Bool().Draw(t, "one method") {
			match["method"] = map[string]any{"service": "shop.*", "method": "Get.*", "type": "RegularExpression"}
		}
	}
	if rule["filters"] != nil {
		rule["filters"] = []any{map[string]any{"type": "ResponseHeaderModifier", "responseHeaderModifier": map[string]any{"remove": []any{"server"}}}}
	} else if rapid.Bool().Draw(t, "all requests") {
		delete(rule, "matches")
	}
}

func drawHeaders(t *rapid.T) []release.Match {
	matches := drawMatches(t)
	for i := range matches {
		if matches[i].Cookies = nil; len(matches[i].Headers) == 0 {
			matches[i].Headers = []release.HeaderMatch{{Name: "x-lane", Value: "gray"}}
		}
	}
	return matches
}
