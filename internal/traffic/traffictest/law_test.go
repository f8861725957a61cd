package traffictest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/toy"
)

type named = []traffic.Object

// mutant is a provider with a fault.
type mutant struct {
	traffic.Provider
	objects func(traffic.World, named) named
	apply   func(traffic.World, []traffic.Change) []traffic.Change
	restore func(traffic.World, []traffic.Change) []traffic.Change
	read    func(*traffic.State)
}

func (m mutant) Objects(w traffic.World) []traffic.Object {
	if m.objects == nil {
		return m.Provider.Objects(w)
	}
	return m.objects(w, m.Provider.Objects(w))
}

func (m mutant) Apply(w traffic.World, s traffic.Split) []traffic.Change {
	if m.apply == nil {
		return m.Provider.Apply(w, s)
	}
	return m.apply(w, m.Provider.Apply(w, s))
}

func (m mutant) Restore(w traffic.World) []traffic.Change {
	if m.restore == nil {
		return m.Provider.Restore(w)
	}
	return m.restore(w, m.Provider.Restore(w))
}

func (m mutant) Read(w traffic.World) traffic.State {
	state := m.Provider.Read(w)
	if m.read != nil {
		m.read(&state)
	}
	return state
}

// each changes the changes of objects of a kind.
func each(kind string, change func(*traffic.Change)) func(traffic.World, []traffic.Change) []traffic.Change {
	return func(_ traffic.World, all []traffic.Change) []traffic.Change {
		for i := range all {
			if all[i].Ref.Kind == kind {
				change(&all[i])
			}
		}
		return all
	}
}

func without(kind string) func(traffic.World, []traffic.Change) []traffic.Change {
	return func(_ traffic.World, all []traffic.Change) []traffic.Change {
		return slices.DeleteFunc(all, func(c traffic.Change) bool { return c.Ref.Kind == kind })
	}
}

// TestTheLawIsEnforced: a provider with a fault is found, whatever object of the layer it is about.
func TestTheLawIsEnforced(t *testing.T) {
	for says, m := range map[string]mutant{
		"which Objects does not name": {objects: func(_ traffic.World, all named) named { return all[:2] }},
		"does not follow from the Rollout alone": {objects: func(w traffic.World, all named) named {
			if len(w.Objects) == 0 {
				all[1].Name = ""
			}
			return all
		}},
		"makes Pool shop-canary for another Rollout too": {objects: func(_ traffic.World, all named) named {
			all[2].Name = "shop-canary"
			return all
		}},
		"of a kind that it does not name without a World": {objects: func(w traffic.World, all named) named {
			if len(w.Objects) == 0 {
				return all
			}
			return append(all, traffic.Object{Ref: traffic.Ref{Name: "more"}, Part: traffic.Reads})
		}},
		"names Router shop twice": {objects: func(_ traffic.World, all named) named {
			return append(all, all[0])
		}},
		"which is the team's": {objects: func(_ traffic.World, all named) named {
			all[1].Part = traffic.Makes
			return all
		}},
		"which Objects says is only read": {objects: func(_ traffic.World, all named) named {
			all[1].Part = traffic.Reads
			return all
		}},
		"RuleSet shop is changed without a Hold": {apply: each("RuleSet", func(c *traffic.Change) { c.Hold = nil })},
		"fields change that the Hold does not name": {apply: each("RuleSet", func(c *traffic.Change) {
			if c.After != nil {
				c.After.SetAnnotations(map[string]string{"a": "b"})
			}
		})},
		"a change of Pool shop-canary has": {apply: each("Pool", func(c *traffic.Change) { c.After.SetName("other") })},
		"the second time it still wants": {apply: func(_ traffic.World, all []traffic.Change) []traffic.Change {
			return append(all, traffic.Change{Ref: traffic.Ref{GroupVersionKind: toy.Pool, Name: "shop-canary"}, Remove: true})
		}},
		"Read: after Apply it is": {
			apply: without("Router"), read: func(s *traffic.State) { s.Routed = false },
		},
		"Read: weight 20 was applied, 19 is read": {read: func(s *traffic.State) { s.Weight-- }},
		"Read: accepted is true and the problem":  {read: func(s *traffic.State) { s.Problem = "none" }},
		"Router shop would be removed, and is the team's": {
			restore: each("Router", func(c *traffic.Change) { c.Remove = true }),
		},
		"Restore: leaves Pool shop-canary behind":         {restore: without("Pool")},
		"Restore: leaves the Hold of RuleSet shop behind": {restore: without("RuleSet")},
		"Restore: Router shop is not as the team has it": {restore: each("Router", func(c *traffic.Change) {
			_ = unstructured.SetNestedSlice(c.After.Object, nil, "spec", "routes")
		})},
		"changed or shares what it was given": {apply: func(w traffic.World, all []traffic.Change) []traffic.Change {
			for _, u := range w.Objects {
				u.SetLabels(map[string]string{"a": "b"})
			}
			return all
		}},
	} {
		m.Provider = toy.New("shop")
		if said := played(m); !strings.Contains(said, says) {
			t.Errorf("want %q, have %q", says, said)
		}
	}
	if said := played(mutant{Provider: toy.New("shop")}); said != "" {
		t.Errorf("without a fault: %s", said)
	}
}

// broken is the law's word.
type broken string

// judge takes the law's word and ends what it is about.
type judge struct{}

func (judge) Helper() {}

func (judge) Fatalf(format string, args ...any) { panic(broken(fmt.Sprintf(format, args...))) }

// played is what the law says of a short release; empty if it finds no fault.
func played(p traffic.Provider) (said string) {
	defer func() {
		if b, is := recover().(broken); is {
			said = string(b)
		}
	}()
	b := traffic.Twins("shop", "shop-canary")
	b.Canary.Labels = map[string]string{"version": "2"}
	object := func(kind, list string) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "toy.example.com/v1", "kind": kind, "metadata": map[string]any{"name": "shop", "namespace": "demo"},
			"spec": map[string]any{list: []any{map[string]any{"service": "shop"}}},
		}}
	}
	team := []*unstructured.Unstructured{object("Router", "routes"), object("RuleSet", "rules")}
	c := newCluster(Layer{New: func(string) traffic.Provider { return p }}, team, []traffic.Backend{b})
	testers := []release.Match{{Headers: []release.HeaderMatch{{Name: "X", Value: "1"}}}}
	c.apply(judge{}, traffic.Split{Weight: 20, Matches: testers})
	c.restore(judge{})
	return ""
}

// TestLook: what is named in one object is read after it, and what has no name yet is not.
func TestLook(t *testing.T) {
	first := traffic.Ref{GroupVersionKind: toy.Router, Name: "first"}
	second := traffic.Ref{GroupVersionKind: toy.RuleSet, Name: "second"}
	p := mutant{Provider: toy.New("x"), objects: func(w traffic.World, _ named) named {
		more := traffic.Object{Ref: traffic.Ref{GroupVersionKind: toy.RuleSet}, Part: traffic.Reads}
		if u := w.Objects[first]; u != nil {
			more.Name = u.GetAnnotations()["names"]
		}
		return named{more, {Ref: first, Part: traffic.Changes}}
	}}
	var asked []string
	w, err := traffic.Look(p, traffic.World{}, func(o traffic.Object) (*unstructured.Unstructured, error) {
		asked = append(asked, o.Name)
		u := &unstructured.Unstructured{}
		u.SetAnnotations(map[string]string{"names": "second"})
		return u, nil
	})
	if err != nil || w.Objects[second] == nil || !slices.Equal(asked, []string{"first", "second"}) {
		t.Errorf("asked for %v: %v, %v", asked, w.Objects, err)
	}
	if kinds := traffic.Kinds(p); len(kinds) != 2 || kinds[0].GroupVersionKind != toy.RuleSet {
		t.Errorf("kinds %v", kinds)
	}
}
