package gatewayapi

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// Provider is the layer of one route; it has no state.
type Provider struct {
	kind kind
	// name of the team's route.
	name string
}

// NewHTTPRoute returns the layer of the HTTPRoute of that name.
func NewHTTPRoute(name string) traffic.Provider { return Provider{httpRoute, name} }

// NewGRPCRoute returns the layer of the GRPCRoute of that name.
func NewGRPCRoute(name string) traffic.Provider { return Provider{grpcRoute, name} }

var (
	_ traffic.Provider     = Provider{}
	_ traffic.SplitChecker = Provider{}
)

// propagation is given to gateways to learn of a canary's first endpoints: they watch routes and endpoints apart, and a
// backend without endpoints is answered with 503. Control planes of the Gateway API debounce by 100 ms and more.
const propagation = 500 * time.Millisecond

// Objects are the team's route alone: the layer works inside it.
func (p Provider) Objects(traffic.World) []traffic.Object {
	return []traffic.Object{{Ref: p.ref(), Part: traffic.Changes}}
}

// Needs is the time for endpoints. How long a gateway takes to follow depends on which one it is.
func (Provider) Needs() traffic.Needs { return traffic.Needs{Propagation: propagation} }

func (p Provider) ref() traffic.Ref {
	return traffic.Ref{GroupVersionKind: p.kind.GroupVersionKind, Name: p.name}
}

// view is the World as this layer sees it: the team's route, nil if it is not there, and its Hold.
type view struct {
	traffic.World
	kind  kind
	ref   traffic.Ref
	route *unstructured.Unstructured
	hold  traffic.Hold
}

func (p Provider) view(w traffic.World) view {
	return view{World: w, kind: p.kind, ref: p.ref(), route: w.Objects[p.ref()], hold: w.Holds[p.ref()]}
}

// Targets are the Services of the rules' backendRefs. What a requestMirror filter copies requests to answers nobody,
// and is none.
func (Provider) Targets(route *unstructured.Unstructured) (out []traffic.Target) {
	for _, rule := range rulesOf(route) {
		for _, r := range refsOf(rule) {
			ref := object(r)
			if !toService(ref, route.GetNamespace()) {
				continue
			}
			port, _ := number(ref["port"])
			out = append(out, traffic.Target{Service: text(ref["name"], ""), Port: traffic.Port{Number: port}})
		}
	}
	return out
}

// Apply works the split into the team's rules, beside those of other workloads.
func (provider Provider) Apply(w traffic.World, s traffic.Split) []traffic.Change {
	v := provider.view(w)
	if v.route == nil {
		return nil
	}
	p, current := newParties(v), rulesOf(v.route)
	team, edited := p.teamRules(v)
	if !v.hold.Held && !p.takesPartIn(team) && !p.anyOf(current, canary, p.own) {
		return nil
	}
	change := traffic.Change{Ref: v.ref}
	if !v.hold.Held || edited || !sameMatches(v.hold.Matches, s.Matches) {
		change.Hold = &traffic.Record{Original: map[string]any{"rules": copied(team)}, Matches: s.Matches}
	}
	splits := p.splits(current)
	splits[p.own] = s
	if want, _ := p.splitRules(team, splits); !same(want, current) {
		change.After = withRules(v.route, want)
	}
	return changes(change)
}

// changes is the list of the one change, empty if it asks for nothing.
func changes(c traffic.Change) []traffic.Change {
	if c.Hold == nil && c.After == nil && !c.ReleaseHold {
		return nil
	}
	return []traffic.Change{c}
}

// takesPartIn says whether the rules send requests to the workload itself.
func (p parties) takesPartIn(rules []any) bool {
	return slices.ContainsFunc(rules, func(rule any) bool { return p.partOf(rule, p.own) })
}

// Restore gives the rules back, as far as they are not divided by other releases.
func (provider Provider) Restore(w traffic.World) []traffic.Change {
	v := provider.view(w)
	change := traffic.Change{Ref: v.ref, ReleaseHold: v.hold.Held}
	if v.route == nil {
		return changes(change)
	}
	p, current := newParties(v), rulesOf(v.route)
	team, edited := p.teamRules(v)
	if v.hold.Held && edited {
		// Recorded first, so that nothing is given back by a Hold that others have renewed since it was read.
		change.Hold = &traffic.Record{Original: map[string]any{"rules": copied(team)}, Matches: v.hold.Matches}
	}
	splits := p.splits(current)
	splits[p.own] = traffic.Split{}
	if want, _ := p.splitRules(team, splits); !same(want, current) {
		change.After = withRules(v.route, want)
	}
	return changes(change)
}

// teamRules are the rules without what is any release's, and whether they are other than those in the Hold: then the
// team has edited them since.
func (t twins) teamRules(v view) (rules []any, edited bool) {
	current := rulesOf(v.route)
	if v.hold.Original == nil {
		if !t.anyCanary(current) {
			return current, false
		}
		return t.strip(current, nil), false
	}
	original := list(v.hold.Original["rules"])
	stripped := t.strip(current, original)
	if same(stripped, original) || len(stripped) == 0 && len(original) > 0 {
		return original, false
	}
	return stripped, true
}

func rulesOf(route *unstructured.Unstructured) []any {
	spec := object(route.Object["spec"])
	return list(spec["rules"])
}

// withRules is a copy of the route with other rules.
func withRules(route *unstructured.Unstructured, rules []any) *unstructured.Unstructured {
	out := route.DeepCopy()
	spec := object(out.Object["spec"])
	if spec == nil {
		spec = map[string]any{}
		out.Object["spec"] = spec
	}
	spec["rules"] = rules
	return out
}
