package gatewayapi

import (
	"slices"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// maxWeight is the largest weight that a backendRef may have.
const maxWeight = 1_000_000

// role of a backendRef.
type role int

const (
	foreign role = iota
	stable
	canary
)

// twins tells the workload's Services and their canaries from all others.
type twins struct {
	namespace string
	canaryOf  map[string]string
	stableOf  map[string]string
}

func newTwins(w traffic.World) twins {
	t := twins{canaryOf: map[string]string{}, stableOf: map[string]string{}}
	if w.Route != nil {
		t.namespace = w.Route.GetNamespace()
	}
	for _, b := range w.Backends {
		if b.Stable != "" && b.Canary != "" {
			t.canaryOf[b.Stable], t.stableOf[b.Canary] = b.Canary, b.Stable
		}
	}
	return t
}

func (t twins) role(ref any) role {
	r := object(ref)
	if text(r["group"], "") != "" || text(r["kind"], "Service") != "Service" || text(r["namespace"], t.namespace) != t.namespace {
		return foreign
	}
	name := text(r["name"], "")
	if _, ok := t.canaryOf[name]; ok {
		return stable
	}
	if _, ok := t.stableOf[name]; ok {
		return canary
	}
	return foreign
}

// takesPart says whether the rule sends requests to the workload.
func (t twins) takesPart(rule any) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.role(ref) == stable && weightOf(ref) > 0 })
}

func (t twins) takePart(rules []any) bool { return slices.ContainsFunc(rules, t.takesPart) }

func (t twins) names(rule any, r role) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.role(ref) == r })
}

// generated says whether Sluice made the rule, for a step's matches.
func (t twins) generated(rule any) bool { return t.names(rule, canary) && !t.names(rule, stable) }

func (t twins) anyCanary(rules []any) bool {
	return slices.ContainsFunc(rules, func(rule any) bool { return t.names(rule, canary) })
}

func refsOf(rule any) []any { return list(object(rule)["backendRefs"]) }

// weightOf is a backendRef's weight, within what the API allows.
func weightOf(ref any) int64 {
	w, ok := number(object(ref)["weight"])
	if !ok {
		return 1
	}
	return min(max(w, 0), maxWeight)
}

// withWeight is a copy of the ref with that weight; one that has it anyway is left as it is.
func withWeight(ref any, weight int64) any {
	r := copied(object(ref))
	if r == nil || weightOf(r) == weight {
		return copied(ref)
	}
	r["weight"] = weight
	return r
}

// named is a copy of the ref for another Service.
func named(ref any, service string) map[string]any {
	r := copied(object(ref))
	r["name"] = service
	return r
}
