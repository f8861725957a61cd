package traffictest

import (
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// apply has the layer do a split, and demands what must hold then.
func (c *cluster) apply(t TB, s traffic.Split) {
	t.Helper()
	c.carryOut(c.askApply(t, s))
	if again := c.provider.Apply(c.world(), s); len(again) > 0 {
		t.Fatalf("Apply: the second time it still wants\n%s", encode(again))
	}
	c.settle()
	c.checkRead(t, s)
	if c.layer.Inspect == nil {
		return
	}
	if err := c.layer.Inspect(c.team, c.world(), s); err != nil {
		t.Fatalf("after %d%% %+v: %v\n%s", s.Weight, s.Matches, err, encode(c.live))
	}
}

func (c *cluster) askApply(t TB, s traffic.Split) []traffic.Change {
	t.Helper()
	changes := c.ask(t, "Apply", s, func(w traffic.World) []traffic.Change { return c.provider.Apply(w, s) })
	c.checkChanges(t, changes)
	return changes
}

func (c *cluster) askRestore(t TB) []traffic.Change {
	t.Helper()
	changes := c.ask(t, "Restore", traffic.Split{}, c.provider.Restore)
	c.checkChanges(t, changes)
	return changes
}

// crash ends the process after some of the writes. The next apply or restore must do the rest.
func (c *cluster) crash(changes []traffic.Change, draw func(most int) int) {
	writes := c.writes(changes)
	if len(writes) == 0 {
		return
	}
	for _, write := range writes[:draw(len(writes)-1)] {
		write()
	}
}

// ask calls the provider and demands that it leaves what it was given alone, also later, when what it gave
// back is written to.
func (c *cluster) ask(t TB, name string, s traffic.Split, call func(traffic.World) []traffic.Change) []traffic.Change {
	t.Helper()
	c.checkObjects(t)
	w := c.world()
	before := frozen(w, s)
	changes := call(w)
	given := encode(changes)
	for _, change := range changes {
		if change.Hold != nil {
			scribble(change.Hold.Original)
		}
		if change.After != nil {
			scribble(change.After.Object)
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

// checkObjects demands that the layer's kinds are known before anything was looked at, and so is what it writes; that
// no object is named twice, that what the team has written is not among what Sluice makes, and that no two Rollouts
// make one object.
func (c *cluster) checkObjects(t TB) {
	t.Helper()
	kinds, seen := traffic.Kinds(c.layer.New("")), map[traffic.Ref]bool{}
	named := c.provider.Objects(traffic.World{Rollout: "shop"})
	others := c.provider.Objects(traffic.World{Rollout: "other"})
	for _, o := range c.provider.Objects(c.world()) {
		if o.Part != traffic.Reads && !slices.Contains(named, o) {
			t.Fatalf("Objects: %s, which it %s, does not follow from the Rollout alone", o.Ref, o.Part)
		}
		kind := traffic.Object{Ref: traffic.Ref{GroupVersionKind: o.GroupVersionKind}, Part: o.Part}
		if !slices.Contains(kinds, kind) {
			t.Fatalf("Objects: %s, which it %s, is of a kind that it does not name without a World", o.Ref, o.Part)
		}
		if o.Name == "" {
			continue
		}
		if seen[o.Ref] {
			t.Fatalf("Objects: names %s twice", o.Ref)
		}
		seen[o.Ref] = true
		if c.team[o.Ref] != nil && o.Part == traffic.Makes {
			t.Fatalf("Objects: makes %s, which is the team's", o.Ref)
		}
		if o.Part == traffic.Makes && slices.Contains(others, o) {
			t.Fatalf("Objects: makes %s for another Rollout too", o.Ref)
		}
	}
}

// checkChanges demands that the layer writes no object but those that it names, each as it says: what it Reads stays,
// what it Changes changes only in those fields of its spec that the Hold names, and what it Makes it makes in the
// team's namespace.
func (c *cluster) checkChanges(t TB, changes []traffic.Change) {
	t.Helper()
	parts, held := c.parts(), map[traffic.Ref]map[string]any{}
	for ref, h := range c.holds {
		held[ref] = h.Original
	}
	for _, change := range changes {
		part, named := parts[change.Ref]
		switch after := change.After; {
		case !named:
			t.Fatalf("a change of %s, which Objects does not name", change.Ref)
		case after != nil && (traffic.RefOf(after) != change.Ref || after.GetNamespace() != c.live[c.first()].GetNamespace()):
			t.Fatalf("a change of %s has %s in namespace %q", change.Ref, traffic.RefOf(after), after.GetNamespace())
		case part == traffic.Reads:
			t.Fatalf("a change of %s, which Objects says is only read", change.Ref)
		case part == traffic.Makes && (change.Hold != nil || change.ReleaseHold || change.After != nil && change.Remove):
			t.Fatalf("a Hold of %s, which is Sluice's, or it is made and removed at once", change.Ref)
		case part == traffic.Changes:
			if change.Hold != nil {
				held[change.Ref] = change.Hold.Original
			}
			c.checkHeld(t, change, held[change.Ref])
		}
	}
}

// checkHeld demands that an object of the team's changes only in what its Hold names.
func (c *cluster) checkHeld(t TB, change traffic.Change, original map[string]any) {
	t.Helper()
	if change.Remove {
		t.Fatalf("%s would be removed, and is the team's", change.Ref)
	}
	if change.After == nil {
		return
	}
	before := c.live[change.Ref]
	if original == nil || before == nil {
		t.Fatalf("%s is changed without a Hold, or made", change.Ref)
	}
	if a, b := besides(before, original), besides(change.After, original); !equal(a, b) {
		t.Fatalf("%s: fields change that the Hold does not name\n%s", change.Ref, cmp.Diff(a, b))
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
	state := c.provider.Read(w)
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
	c.carryOut(c.askRestore(t))
	c.settle()
	if again := c.provider.Restore(c.world()); len(again) > 0 {
		t.Fatalf("Restore: the second time it still wants\n%s", encode(again))
	}
	for ref := range c.live {
		if c.team[ref] == nil {
			t.Fatalf("Restore: leaves %s behind", ref)
		}
	}
	for ref := range c.holds {
		t.Fatalf("Restore: leaves the Hold of %s behind", ref)
	}
	for _, ref := range c.order {
		if have, want := teamsPart(c.live[ref]), teamsPart(c.team[ref]); !equal(have, want) {
			t.Fatalf("Restore: %s is not as the team has it\n%s", ref, cmp.Diff(want, have))
		}
	}
	if state := c.provider.Read(c.world()); state.Routed || state.Weight != 0 || len(state.Matches) != 0 {
		t.Fatalf("Restore: afterwards it is %+v", state)
	}
}

// edit is the team's: on the objects as they are now, or as a whole from the team's own copies.
func (c *cluster) edit(change func(object *unstructured.Unstructured), whole bool) {
	for _, ref := range c.order {
		next := c.team[ref].DeepCopy()
		change(next)
		c.team[ref] = c.stored(next)
		if whole {
			c.write(c.team[ref].DeepCopy())
			continue
		}
		live := c.live[ref].DeepCopy()
		change(live)
		c.write(live)
	}
}

// replace is the team's writing of one object over what there is.
func (c *cluster) replace(u *unstructured.Unstructured) {
	c.team[traffic.RefOf(u)] = c.stored(u)
	c.write(u)
}
