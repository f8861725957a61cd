package toy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// The kinds of the layer.
var (
	group   = schema.GroupVersion{Group: "toy.example.com", Version: "v1"}
	Router  = group.WithKind("Router")
	RuleSet = group.WithKind("RuleSet")
	Pool    = group.WithKind("Pool")
)

// settle is how long the gateway, which reports nothing, takes to follow.
const settle = 2 * time.Second

// Provider is the layer of one Router; it has no state.
type Provider struct {
	// name of the team's objects.
	name string
}

// New returns the layer of the Router of that name.
func New(name string) traffic.Provider { return Provider{name: name} }

var _ traffic.Provider = Provider{}

// Objects are the Router, its RuleSet, and the Pool beside them.
func (p Provider) Objects(w traffic.World) []traffic.Object {
	v := p.view(w)
	return []traffic.Object{
		{Ref: v.routerRef, Part: traffic.Changes},
		{Ref: v.rulesRef, Part: traffic.Changes, Optional: true},
		{Ref: v.poolRef, Part: traffic.Makes},
	}
}

// Targets are the Services that routes and rules lead to.
func (Provider) Targets(object *unstructured.Unstructured) (out []traffic.Target) {
	for _, entry := range slices.Concat(list(object, "routes"), list(object, "rules")) {
		if service := text(entry, "service"); service != "" {
			out = append(out, traffic.Target{Service: service})
		}
	}
	return out
}

// Needs is the time to follow.
func (Provider) Needs() traffic.Needs { return traffic.Needs{Settle: settle} }

// Check refuses a Router that does not lead to the workload, or to several of its Services, and matches without a
// RuleSet.
func (p Provider) Check(w traffic.World, splits []traffic.Split) error {
	v := p.view(w)
	backends := v.led()
	if len(backends) != 1 {
		return fmt.Errorf("spec.traffic[].toy.name: Router %s leads to %d of the workload's Services; "+
			"name one that leads to one", p.name, len(backends))
	}
	for i, s := range splits {
		for j, m := range s.Matches {
			plain := len(m.Headers) == 1 && len(m.Cookies) == 0 && m.Headers[0].Value != ""
			if !plain || v.rules == nil {
				return fmt.Errorf("spec.canary.steps[%d].match[%d]: takes one header with a value, and a RuleSet of the name %s; "+
					"make one, or remove match", i, j, p.name)
			}
		}
	}
	for _, o := range w.Parties {
		for _, u := range o.Objects {
			if of := traffic.RefOf(u); of == v.routerRef || of == v.rulesRef {
				return &traffic.Busy{Release: o.Release, Why: fmt.Sprintf("it divides the requests of %s", of)}
			}
		}
	}
	return nil
}

// Apply makes the Pool before anything leads there.
func (p Provider) Apply(w traffic.World, s traffic.Split) []traffic.Change {
	v := p.view(w)
	backends := v.led()
	if len(backends) != 1 {
		return nil
	}
	var out []traffic.Change
	if pool := v.wantedPool(backends[0]); pool != nil {
		out = append(out, traffic.Change{Ref: v.poolRef, After: pool})
	}
	routes := v.split(backends[0].Stable.Service, s.Weight)
	out = append(out, v.change(v.rulesRef, "rules", v.matching(s.Matches), len(s.Matches) > 0)...)
	return append(out, v.change(v.routerRef, "routes", routes, true)...)
}

// Restore removes the Pool after nothing leads there any more.
func (p Provider) Restore(w traffic.World) []traffic.Change {
	v := p.view(w)
	out := v.change(v.routerRef, "routes", v.teams(v.router, "routes"), false)
	out = append(out, v.change(v.rulesRef, "rules", v.teams(v.rules, "rules"), false)...)
	if v.pool != nil {
		out = append(out, traffic.Change{Ref: v.poolRef, Remove: true})
	}
	return out
}

// Read says what routes and rules lead to the Pool.
func (p Provider) Read(w traffic.World) traffic.State {
	v := p.view(w)
	state := traffic.State{Routed: w.Held() || v.pool != nil, Split: v.read()}
	if state.Routed {
		state.Version = v.version()
	}
	switch {
	case v.router == nil:
		state.Problem = "the Router does not exist"
	case v.rules == nil && v.Holds[v.rulesRef].Held:
		state.Problem = "the RuleSet does not exist any more"
	case state.Routed && len(p.Apply(w, state.Split)) > 0:
		state.Problem = fmt.Sprintf("Router %s, its RuleSet or its Pool was changed; Sluice writes them again", p.name)
	}
	state.Accepted = state.Problem == ""
	return state
}

// view is the World as this layer sees it. Each of the objects may be nil.
type view struct {
	traffic.World
	routerRef, rulesRef, poolRef traffic.Ref
	router, rules, pool          *unstructured.Unstructured
}

func (p Provider) view(w traffic.World) view {
	v := view{
		World:     w,
		routerRef: traffic.Ref{GroupVersionKind: Router, Name: p.name},
		rulesRef:  traffic.Ref{GroupVersionKind: RuleSet, Name: p.name},
		poolRef:   traffic.Ref{GroupVersionKind: Pool, Name: naming.CanaryObject(p.name, w.Rollout)},
	}
	v.router, v.rules, v.pool = w.Objects[v.routerRef], w.Objects[v.rulesRef], w.Objects[v.poolRef]
	return v
}

// led are the workload's backends that the Router leads to.
func (v view) led() (out []traffic.Backend) {
	for _, b := range v.Backends {
		leads := func(r any) bool { return text(r, "service") == b.Stable.Service }
		if b.Stable.Service != "" && slices.ContainsFunc(list(v.router, "routes"), leads) {
			out = append(out, b)
		}
	}
	return out
}

// wantedPool is the Pool as it is to become; nil if it is so already, or not known.
func (v view) wantedPool(b traffic.Backend) *unstructured.Unstructured {
	selector := map[string]any{}
	for k, value := range b.Canary.Labels {
		selector[k] = value
	}
	spec := map[string]any{"selector": selector}
	if len(selector) == 0 || v.pool != nil && same(v.pool.Object["spec"], spec) {
		return nil
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(Pool)
	u.SetName(v.poolRef.Name)
	u.SetNamespace(v.router.GetNamespace())
	return u
}

// split are the routes with a share of the Service's requests for the Pool.
func (v view) split(service string, weight int) []any {
	routes := v.teams(v.router, "routes")
	for _, r := range routes {
		if weight > 0 && text(r, "service") == service {
			r.(map[string]any)["canary"] = map[string]any{"pool": v.poolRef.Name, "percent": int64(weight)}
		}
	}
	return routes
}

// matching are the rules with those for the matches before them.
func (v view) matching(matches []release.Match) []any {
	out := []any{}
	for _, m := range matches {
		for _, h := range m.Headers {
			out = append(out, map[string]any{"header": h.Name, "value": h.Value, "pool": v.poolRef.Name})
		}
	}
	return append(out, v.teams(v.rules, "rules")...)
}

// teams are the entries of one of the team's objects without what leads to the Pool.
func (v view) teams(u *unstructured.Unstructured, name string) []any {
	out := []any{}
	for _, entry := range list(u, name) {
		if text(entry, "pool") == v.poolRef.Name {
			continue
		}
		entry = runtime.DeepCopyJSONValue(entry)
		if m, ok := entry.(map[string]any); ok && text(m["canary"], "pool") == v.poolRef.Name {
			delete(m, "canary")
		}
		out = append(out, entry)
	}
	return out
}

// change has one of the team's objects have these entries, under a Hold as long as hold says. Without one it is the
// team's again.
func (v view) change(of traffic.Ref, name string, entries []any, hold bool) []traffic.Change {
	u, held := v.Objects[of], v.Holds[of]
	c := traffic.Change{Ref: of, ReleaseHold: held.Held && !hold}
	if u != nil {
		team := map[string]any{name: v.teams(u, name)}
		if hold && !held.Held || held.Held && !same(held.Original, team) {
			c.Hold = &traffic.Record{Original: team}
		}
		if !same(list(u, name), entries) {
			c.After = u.DeepCopy()
			_ = unstructured.SetNestedSlice(c.After.Object, entries, "spec", name)
		}
	}
	if c.Hold == nil && c.After == nil && !c.ReleaseHold {
		return nil
	}
	return []traffic.Change{c}
}

// read is the split that routes and rules show.
func (v view) read() (s traffic.Split) {
	for _, r := range list(v.router, "routes") {
		canary, _ := field(r, "canary").(map[string]any)
		if percent, ok := canary["percent"].(int64); ok && text(canary, "pool") == v.poolRef.Name {
			s.Weight = int(percent)
		}
	}
	for _, r := range list(v.rules, "rules") {
		if text(r, "pool") == v.poolRef.Name {
			header := release.HeaderMatch{Name: text(r, "header"), Value: text(r, "value")}
			s.Matches = append(s.Matches, release.Match{Headers: []release.HeaderMatch{header}})
		}
	}
	return s
}

// version tells what the objects say now from what they said before.
func (v view) version() string {
	var all []any
	for _, u := range []*unstructured.Unstructured{v.router, v.rules, v.pool} {
		if u != nil {
			all = append(all, u.GetUID(), u.Object["spec"])
		}
	}
	raw, _ := json.Marshal(all) // What came as JSON can be written as JSON.
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}

// list is one of the lists in an object's spec, which the kind demands; empty where there is none.
func list(u *unstructured.Unstructured, name string) []any {
	if entries, is := field(field(u, "spec"), name).([]any); is {
		return entries
	}
	return []any{}
}

// field of an object or of a part of one; nil if it has none.
func field(of any, name string) any {
	if u, is := of.(*unstructured.Unstructured); is {
		if u == nil {
			return nil
		}
		of = u.Object
	}
	m, _ := of.(map[string]any)
	return m[name]
}

func text(of any, name string) string {
	s, _ := field(of, name).(string)
	return s
}

// same compares JSON values as they are written: a Hold's numbers may have been read otherwise.
func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}
