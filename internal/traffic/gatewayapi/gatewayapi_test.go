package gatewayapi_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

func TestTranscripts(t *testing.T) {
	traffictest.Run(t, layer(), "testdata")
}

func layer() traffictest.Layer {
	return traffictest.Layer{New: gatewayapi.NewHTTPRoute, Admit: admit, Settle: settle, Inspect: inspect}
}

// admit fills in what the CRD of HTTPRoute fills in.
func admit(route map[string]any) {
	rules, _, _ := unstructured.NestedFieldNoCopy(route, "spec", "rules")
	for _, r := range list(rules) {
		rule := object(r)
		if _, ok := rule["matches"]; !ok {
			rule["matches"] = []any{map[string]any{}}
		}
		for _, m := range list(rule["matches"]) {
			admitMatch(object(m))
		}
		for _, b := range list(rule["backendRefs"]) {
			setDefaults(object(b), map[string]any{"group": "", "kind": "Service", "weight": int64(1)})
		}
	}
}

func admitMatch(match map[string]any) {
	setDefaults(match, map[string]any{"path": map[string]any{}})
	setDefaults(object(match["path"]), map[string]any{"type": "PathPrefix", "value": "/"})
	for _, h := range list(match["headers"]) {
		setDefaults(object(h), map[string]any{"type": "Exact"})
	}
}

func setDefaults(o, defaults map[string]any) {
	for k, v := range defaults {
		if _, ok := o[k]; !ok {
			o[k] = v
		}
	}
}

// settle has every parent accept the route as it is.
func settle(route *unstructured.Unstructured) {
	var parents []any
	refs, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	for _, ref := range refs {
		parents = append(parents, map[string]any{"parentRef": ref, "controllerName": "example.com/gateway", "conditions": []any{
			map[string]any{"type": "Accepted", "status": "True", "reason": "Accepted", "observedGeneration": route.GetGeneration()},
			map[string]any{"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "observedGeneration": route.GetGeneration()},
		}})
	}
	route.Object["status"] = map[string]any{"parents": parents}
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
