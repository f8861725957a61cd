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

// twins tells the workloads' Services and their canaries from all others.
type twins struct {
	kind      kind
	namespace string
	canaryOf  map[string]string
	stableOf  map[string]string
	// party says whose a Service is, stable or canary: the place of its workload in the list.
	party map[string]int
	// count of the parties.
	count int
}

// newTwins takes the Services of several workloads. One that two of them claim is the own one's.
func newTwins(v view, lists [][]traffic.Backend, own int) twins {
	t := twins{
		kind: v.kind, canaryOf: map[string]string{}, stableOf: map[string]string{},
		party: map[string]int{}, count: len(lists),
	}
	if v.route != nil {
		t.namespace = v.route.GetNamespace()
	}
	for i := range lists {
		party := (own + 1 + i) % len(lists) // The own one comes last.
		for _, b := range lists[party] {
			if stable, canary := b.Stable.Service, b.Canary.Service; stable != "" && canary != "" {
				t.canaryOf[stable], t.stableOf[canary] = canary, stable
				t.party[stable], t.party[canary] = party, party
			}
		}
	}
	return t
}

// toService says whether a backendRef names a Service of the namespace.
func toService(ref map[string]any, namespace string) bool {
	return coreGroup(text(ref["group"], "")) == "" && text(ref["kind"], "Service") == "Service" &&
		text(ref["namespace"], namespace) == namespace
}

func (t twins) role(ref any) role {
	r := object(ref)
	if !toService(r, t.namespace) {
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

// takesPart says whether the rule sends requests to one of the workloads.
func (t twins) takesPart(rule any) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.role(ref) == stable && weightOf(ref) > 0 })
}

// partOf says whether the rule sends requests to this one.
func (t twins) partOf(rule any, party int) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.is(ref, stable, party) && weightOf(ref) > 0 })
}

// sends says whether a rule, split or not, has weight for a workload in either version.
func (t twins) sends(rule any, party int) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool {
		return t.role(ref) != foreign && t.of(ref) == party && weightOf(ref) > 0
	})
}

// of is whose a Service is that is not foreign.
func (t twins) of(ref any) int { return t.party[text(object(ref)["name"], "")] }

func (t twins) is(ref any, r role, party int) bool { return t.role(ref) == r && t.of(ref) == party }

func (t twins) names(rule any, r role, party int) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.is(ref, r, party) })
}

// generated says whether Sluice made the rule, for the matches of one or more steps.
func (t twins) generated(rule any) bool {
	for party := range t.count {
		if t.generatedFor(rule, party) {
			return true
		}
	}
	return false
}

func (t twins) generatedFor(rule any, party int) bool {
	return t.names(rule, canary, party) && !t.names(rule, stable, party)
}

func (t twins) hasCanary(rule any) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.role(ref) == canary })
}

func (t twins) anyCanary(rules []any) bool { return slices.ContainsFunc(rules, t.hasCanary) }

// anyOf says whether one of the rules names a party's Service of that role.
func (t twins) anyOf(rules []any, r role, party int) bool {
	return slices.ContainsFunc(rules, func(rule any) bool { return t.names(rule, r, party) })
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
