package gatewayapi

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// Read says what the route asks for, and whether its gateways have taken it.
func (provider Provider) Read(w traffic.World) traffic.State {
	if w.Route == nil {
		return traffic.State{Routed: w.Original != nil, Problem: "the HTTPRoute does not exist"}
	}
	p, rules := newParties(w), rulesOf(w.Route)
	state := traffic.State{Routed: w.Held || p.anyOf(rules, canary, p.own), Version: version(w.Route)}
	weight, problem := p.weight(rules)
	state.Split = traffic.Split{Weight: int(weight), Matches: w.Matches}
	switch {
	case !state.Routed:
		problem = ""
	case problem == "" && !slices.ContainsFunc(rules, func(rule any) bool { return p.sends(rule, p.own) }):
		problem = "no rule of the HTTPRoute has a backend of the workload's Services any more"
	case problem == "" && !provider.Apply(w, state.Split).Empty():
		problem = fmt.Sprintf("the rules of HTTPRoute %s were edited; Sluice works the edit in", w.Route.GetName())
	}
	if problem == "" {
		problem = unaccepted(w.Route)
	}
	state.Accepted, state.Problem = problem == "", problem
	return state
}

// weight is the share in the first rule that sends requests to the workload, and a complaint if another rule has a
// different one.
func (p parties) weight(rules []any) (weight int64, problem string) {
	first := -1
	for i, rule := range rules {
		if p.generatedFor(rule, p.own) || !p.sends(rule, p.own) {
			continue
		}
		share := p.percent(rule, p.own)
		if first < 0 {
			first, weight = i, share
		}
		if share != weight && problem == "" {
			problem = fmt.Sprintf("spec.rules[%d] sends %d%% to the canary, spec.rules[%d] %d%%", i, share, first, weight)
		}
	}
	return weight, problem
}
