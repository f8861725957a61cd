package traffictest

import (
	"bytes"
	"encoding/json"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// Objects are some by their names.
type Objects map[traffic.Ref]*unstructured.Unstructured

// Layer is a kind of layer and what the law cannot know of it by itself.
type Layer struct {
	// New is the provider for the Rollout that names this object of the team's. With an empty name it is the one that
	// stands for the kind of layer.
	New func(name string) traffic.Provider
	// Admit does to a written object what the API server would: defaults.
	Admit func(object map[string]any)
	// Settle has the layer report that one of the team's objects is in force; nil for layers that report nothing.
	Settle func(object *unstructured.Unstructured)
	// Inspect says what is wrong with the objects after the split was applied to what the team wrote:
	// shares, all-zero weights, foreign parts that were touched.
	Inspect func(team Objects, w traffic.World, s traffic.Split) error
}

// TB is what testing.T and rapid.T have in common.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// cluster is the API server and the controller, as far as a provider can tell.
type cluster struct {
	layer    Layer
	provider traffic.Provider
	// order of the team's objects. The Rollout names the first.
	order    []traffic.Ref
	team     Objects // what the team wrote last
	live     Objects // what has become of it, and Sluice's own
	holds    map[traffic.Ref]traffic.Hold
	backends []traffic.Backend
	now      time.Time
}

func newCluster(l Layer, team []*unstructured.Unstructured, backends []traffic.Backend) *cluster {
	c := &cluster{
		layer: l, provider: l.New(team[0].GetName()), team: Objects{}, live: Objects{}, holds: map[traffic.Ref]traffic.Hold{},
		backends: backends, now: time.Date(2030, 1, 2, 3, 4, 5, 600, time.UTC),
	}
	for _, u := range team {
		c.order = append(c.order, traffic.RefOf(u))
		c.live[traffic.RefOf(u)] = c.stored(u)
	}
	c.settle()
	for ref, u := range c.live {
		c.team[ref] = u.DeepCopy()
	}
	return c
}

// first is the object that the Rollout names.
func (c *cluster) first() traffic.Ref { return c.order[0] }

func (c *cluster) world() traffic.World {
	w := traffic.World{Rollout: "shop", Holds: maps.Clone(c.holds), Backends: c.backends, Now: c.now}
	w, _ = traffic.Look(c.provider, w, func(o traffic.Object) (*unstructured.Unstructured, error) {
		return c.live[o.Ref], nil
	})
	return w
}

// parts are what the layer does with each of its objects.
func (c *cluster) parts() map[traffic.Ref]traffic.Part {
	out := map[traffic.Ref]traffic.Part{}
	for _, o := range c.provider.Objects(c.world()) {
		if o.Name != "" {
			out[o.Ref] = o.Part
		}
	}
	return out
}

// stored is the object as the API server gives it back.
func (c *cluster) stored(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: throughJSON(u.Object)}
	if c.layer.Admit != nil {
		c.layer.Admit(out.Object)
	}
	return out
}

// write stores a new version of one of the team's objects; its status is not the writer's, and a new spec is a new
// generation.
func (c *cluster) write(u *unstructured.Unstructured) {
	next := c.stored(u)
	ref := traffic.RefOf(next)
	before := c.live[ref]
	generation := before.GetGeneration()
	if !equal(next.Object["spec"], before.Object["spec"]) {
		generation++
	}
	next.SetGeneration(generation)
	if status, ok := before.Object["status"]; ok {
		next.Object["status"] = status
	}
	c.live[ref] = next
}

// carryOut does what the controller does with changes, in its order.
func (c *cluster) carryOut(changes []traffic.Change) {
	for _, write := range c.writes(changes) {
		write()
	}
}

// writes are the writes that changes ask for, one by one. The process may end after each.
func (c *cluster) writes(changes []traffic.Change) (out []func()) {
	c.now = c.now.Add(time.Minute)
	parts := c.parts()
	for _, change := range changes {
		ref := change.Ref
		if r := change.Hold; r != nil {
			out = append(out, func() {
				c.holds[ref] = traffic.Hold{Original: throughJSON(r.Original), Matches: r.Matches, Held: true}
			})
		}
		switch {
		case change.After != nil && parts[ref] == traffic.Makes:
			out = append(out, func() {
				c.live[ref] = c.stored(change.After)
				c.live[ref].SetLabels(map[string]string{"sluice.dev/release": "shop-1"})
				c.live[ref].SetOwnerReferences(nil)
			})
		case change.After != nil:
			out = append(out, func() { c.write(change.After) })
		case change.Remove:
			out = append(out, func() { delete(c.live, ref) })
		}
		if change.ReleaseHold {
			out = append(out, func() { delete(c.holds, ref) })
		}
	}
	return out
}

func (c *cluster) settle() {
	if c.layer.Settle == nil {
		return
	}
	for _, ref := range c.order {
		if u := c.live[ref]; u != nil {
			c.layer.Settle(u)
		}
	}
}

func throughJSON(object map[string]any) map[string]any {
	out := map[string]any{}
	if err := utiljson.Unmarshal(encode(object), &out); err != nil {
		panic(err) // what was encoded can be decoded
	}
	return out
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // JSON objects can be encoded
	}
	return b
}

func equal(a, b any) bool { return bytes.Equal(encode(a), encode(b)) }

// teamsPart is all of an object that the team writes.
func teamsPart(u *unstructured.Unstructured) map[string]any {
	out := runtime.DeepCopyJSON(u.Object)
	delete(out, "status")
	if metadata, ok := out["metadata"].(map[string]any); ok {
		delete(metadata, "generation")
	}
	return out
}

// frozen is everything that a provider is given, so that a change of it shows.
func frozen(w traffic.World, s traffic.Split) string { return string(encode([]any{w, s})) }
