package gatewayapi

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Read says what the route asks for, and whether its gateways have taken it.
func (p Provider) Read(w traffic.World) traffic.State {
	if w.Route == nil {
		return traffic.State{Routed: w.Original != nil, Problem: "the HTTPRoute does not exist"}
	}
	t := newTwins(w)
	rules := rulesOf(w.Route)
	state := traffic.State{Routed: w.Original != nil || t.anyCanary(rules), Version: version(w.Route)}
	weight, matches, problem := t.readRules(rules)
	state.Split = traffic.Split{Weight: int(weight), Matches: matches}
	switch {
	case !state.Routed:
		problem = ""
	case problem == "" && !slices.ContainsFunc(rules, t.sends):
		problem = "no rule of the HTTPRoute has a backend of the workload's Services any more"
	case problem == "" && !p.Apply(w, state.Split).Empty():
		problem = fmt.Sprintf("the rules of HTTPRoute %s were edited; Sluice works the edit in", w.Route.GetName())
	}
	if problem == "" {
		problem = unaccepted(w.Route)
	}
	state.Accepted, state.Problem = problem == "", problem
	return state
}

// readRules is the split of the first rule that sends requests to the workload, and a complaint if another
// rule has a different one.
func (t twins) readRules(rules []any) (weight int64, matches []release.Match, problem string) {
	first := -1
	var generated []any
	for i, rule := range rules {
		if t.generated(rule) {
			generated = append(generated, list(object(rule)["matches"])...)
			continue
		}
		asked := entries(generated, rule)
		generated = nil
		if len(asked) > len(matches) {
			matches = asked
		}
		if !t.sends(rule) {
			continue
		}
		share := t.percent(rule)
		if first < 0 {
			first, weight = i, share
		}
		if share != weight && problem == "" {
			problem = fmt.Sprintf("spec.rules[%d] sends %d%% to the canary, spec.rules[%d] %d%%", i, share, first, weight)
		}
	}
	return weight, matches, problem
}

// sends says whether a rule of the team's, split or not, has weight for the workload in either version.
func (t twins) sends(rule any) bool {
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return t.role(ref) != foreign && weightOf(ref) > 0 })
}
