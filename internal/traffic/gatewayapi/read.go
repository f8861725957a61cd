package gatewayapi

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// Read says what the route asks for, and whether its gateways have taken it.
func (provider Provider) Read(w traffic.World) traffic.State {
	v := provider.view(w)
	if v.route == nil {
		return traffic.State{
			Routed: v.hold.Original != nil, Problem: "the " + v.kind.Kind + " does not exist", Settle: settleUnknown,
		}
	}
	p, rules := newParties(v), rulesOf(v.route)
	state := traffic.State{
		Routed: v.hold.Held || p.anyOf(rules, canary, p.own), Version: version(v.route),
		Settle: settle(v.route), Sticky: sticky(rules),
	}
	weight, problem := p.weight(rules)
	state.Split = traffic.Split{Weight: int(weight), Matches: v.hold.Matches}
	switch {
	case !state.Routed:
		problem = ""
	case problem == "" && !slices.ContainsFunc(rules, func(rule any) bool { return p.sends(rule, p.own) }):
		problem = fmt.Sprintf("no rule of the %s has a backend of the workload's Services any more", v.kind.Kind)
	case problem == "" && len(provider.Apply(w, state.Split)) > 0:
		problem = fmt.Sprintf("the rules of %s were edited; Sluice works the edit in", v.ref)
	}
	if problem == "" {
		problem = unaccepted(v.route)
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
