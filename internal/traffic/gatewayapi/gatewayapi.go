package gatewayapi

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// Provider is the layer; it has no state.
type Provider struct{}

// New returns the layer.
func New() traffic.Provider { return Provider{} }

// propagation is given to gateways to learn of a canary's first endpoints: they watch routes and endpoints apart, and a
// backend without endpoints is answered with 503. Control planes of the Gateway API debounce by 100 ms and more.
const propagation = 500 * time.Millisecond

// Propagation implements traffic.Propagating.
func (Provider) Propagation() time.Duration { return propagation }

var _ traffic.Provider = Provider{}

// Kind of the team's object.
func (Provider) Kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
}

// BesideName is empty: the layer works inside the team's object.
func (Provider) BesideName(_, _ string) string { return "" }

// Targets are the Services of the rules' backendRefs. What a requestMirror filter copies requests to answers nobody, and is
// none.
func (Provider) Targets(route *unstructured.Unstructured) (out []traffic.Target) {
	for _, rule := range rulesOf(route) {
		for _, r := range refsOf(rule) {
			ref := object(r)
			namespace := text(ref["namespace"], route.GetNamespace())
			if text(ref["kind"], "Service") != "Service" || text(ref["group"], "") != "" || namespace != route.GetNamespace() {
				continue
			}
			port, _ := number(ref["port"])
			out = append(out, traffic.Target{Service: text(ref["name"], ""), Port: traffic.Port{Number: port}})
		}
	}
	return out
}

// Apply works the split into the team's rules, beside those of other workloads.
func (Provider) Apply(w traffic.World, s traffic.Split) traffic.Change {
	if w.Route == nil {
		return traffic.Change{}
	}
	p, current := newParties(w), rulesOf(w.Route)
	team, edited := p.teamRules(w)
	if !w.Held && !p.takesPartIn(team) && !p.anyOf(current, canary, p.own) {
		return traffic.Change{}
	}
	change := traffic.Change{}
	if !w.Held || edited || !sameMatches(w.Matches, s.Matches) {
		change.Hold = &traffic.Record{Original: map[string]any{"rules": copied(team)}, Matches: s.Matches}
	}
	splits := p.splits(current)
	splits[p.own] = s
	if want, _ := p.splitRules(team, splits); !same(want, current) {
		change.Route = withRules(w.Route, want)
	}
	return change
}

// takesPartIn says whether the rules send requests to the workload itself.
func (p parties) takesPartIn(rules []any) bool {
	return slices.ContainsFunc(rules, func(rule any) bool { return p.partOf(rule, p.own) })
}

// Restore gives the rules back, as far as they are not divided by other releases.
func (Provider) Restore(w traffic.World) traffic.Change {
	change := traffic.Change{ReleaseHold: w.Held}
	if w.Route == nil {
		return change
	}
	p, current := newParties(w), rulesOf(w.Route)
	team, edited := p.teamRules(w)
	if w.Held && edited {
		// Recorded first, so that nothing is given back by a Hold that others have renewed since it was read.
		change.Hold = &traffic.Record{Original: map[string]any{"rules": copied(team)}, Matches: w.Matches}
	}
	splits := p.splits(current)
	splits[p.own] = traffic.Split{}
	if want, _ := p.splitRules(team, splits); !same(want, current) {
		change.Route = withRules(w.Route, want)
	}
	return change
}

// teamRules are the rules without what is any release's, and whether they are other than those in the Hold: then the
// team has edited them since.
func (t twins) teamRules(w traffic.World) (rules []any, edited bool) {
	current := rulesOf(w.Route)
	if w.Original == nil {
		if !t.anyCanary(current) {
			return current, false
		}
		return t.strip(current, nil), false
	}
	original := list(w.Original["rules"])
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
