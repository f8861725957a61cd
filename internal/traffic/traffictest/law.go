package traffictest

import (
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// apply has the layer do a split, and demands what must hold then.
func (c *cluster) apply(t TB, s traffic.Split) {
	t.Helper()
	change := c.ask(t, "Apply", s, func(w traffic.World) traffic.Change { return c.layer.Provider.Apply(w, s) })
	c.checkChange(t, change)
	c.carryOut(change)
	if again := c.layer.Provider.Apply(c.world(), s); !again.Empty() {
		t.Fatalf("Apply: the second time it still wants\n%s", encode(again))
	}
	c.settle()
	c.checkRead(t, s)
	if c.layer.Inspect == nil {
		return
	}
	if err := c.layer.Inspect(c.team, c.world(), s); err != nil {
		t.Fatalf("after %d%% %+v: %v\n%s", s.Weight, s.Matches, err, encode(c.route.Object))
	}
}

// ask calls the provider and demands that it leaves what it was given alone, also later, when what it gave
// back is written to.
func (c *cluster) ask(t TB, name string, s traffic.Split, call func(traffic.World) traffic.Change) traffic.Change {
	t.Helper()
	w := c.world()
	before := frozen(w, s)
	change := call(w)
	given := encode(change)
	if change.Hold != nil {
		scribble(change.Hold.Original)
	}
	for _, u := range []*unstructured.Unstructured{change.Route, change.Beside} {
		if u != nil {
			scribble(u.Object)
		}
	}
	if after := frozen(w, s); after != before {
		t.Fatalf("%s: changed or shares what it was given\n%s", name, cmp.Diff(before, after))
	}
	again := call(w)
	if string(encode(again)) != string(given) {
		t.Fatalf("%s: two answers to one question\n%s\n%s", name, given, encode(again))
	}
	return again
}

// scribble writes to every object within v.
func scribble(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			scribble(inner)
		}
		if v != nil {
			v["scribbled"] = true
		}
	case []any:
		for _, inner := range v {
			scribble(inner)
		}
	}
}

// checkChange demands that the route changes only in those fields of its spec that the Hold names.
func (c *cluster) checkChange(t TB, change traffic.Change) {
	t.Helper()
	if change.Beside != nil && change.Beside.GetName() != c.layer.Provider.BesideName(c.route.GetName(), "shop") {
		t.Fatalf("the object beside is named %q, not %q", change.Beside.GetName(), c.layer.Provider.BesideName(c.route.GetName(), "shop"))
	}
	if change.Route == nil {
		return
	}
	original := c.original
	if change.Hold != nil {
		original = change.Hold.Original
	}
	if original == nil || change.Hold == nil && !c.held {
		t.Fatalf("the route is changed without a Hold")
	}
	if a, b := besides(c.route, original), besides(change.Route, original); !equal(a, b) {
		t.Fatalf("fields change that the Hold does not name\n%s", cmp.Diff(a, b))
	}
}

// besides is the object without the fields of its spec that a Hold names.
func besides(u *unstructured.Unstructured, original map[string]any) map[string]any {
	out := runtime.DeepCopyJSON(u.Object)
	if spec, ok := out["spec"].(map[string]any); ok {
		for field := range original {
			delete(spec, field)
		}
	}
	return out
}

// checkRead demands that the layer is read as it was set.
func (c *cluster) checkRead(t TB, s traffic.Split) {
	t.Helper()
	w := c.world()
	before := frozen(w, s)
	state := c.layer.Provider.Read(w)
	if frozen(w, s) != before {
		t.Fatalf("Read: changed what it was given")
	}
	if state.Accepted != (state.Problem == "") {
		t.Fatalf("Read: accepted is %v and the problem %q", state.Accepted, state.Problem)
	}
	if !state.Routed || !state.Accepted {
		t.Fatalf("Read: after Apply it is %+v", state)
	}
	if state.Weight != s.Weight {
		t.Fatalf("Read: weight %d was applied, %d is read", s.Weight, state.Weight)
	}
	if diff := cmp.Diff(s.Matches, state.Matches, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("Read: other matches than applied\n%s", diff)
	}
}

// restore gives everything back, and demands that all is as the team has it.
func (c *cluster) restore(t TB) {
	t.Helper()
	change := c.ask(t, "Restore", traffic.Split{}, c.layer.Provider.Restore)
	c.checkChange(t, change)
	c.carryOut(change)
	c.settle()
	if again := c.layer.Provider.Restore(c.world()); !again.Empty() {
		t.Fatalf("Restore: the second time it still wants\n%s", encode(again))
	}
	if c.beside != nil || c.original != nil {
		t.Fatalf("Restore: leaves something behind: %v %v", c.beside, c.original)
	}
	if have, want := teamsPart(c.route), teamsPart(c.team); !equal(have, want) {
		t.Fatalf("Restore: not as the team has it\n%s", cmp.Diff(want, have))
	}
	if state := c.layer.Provider.Read(c.world()); state.Routed || state.Weight != 0 || len(state.Matches) != 0 {
		t.Fatalf("Restore: afterwards it is %+v", state)
	}
}

// edit is the team's: on the object as it is now, or as a whole from the team's own copy.
func (c *cluster) edit(change func(route *unstructured.Unstructured), whole bool) {
	change(c.team)
	c.team = c.stored(c.team)
	if whole {
		c.write(c.team.DeepCopy())
		return
	}
	live := c.route.DeepCopy()
	change(live)
	c.write(live)
}
