package traffictest

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Layer is a provider and what the law cannot know of its layer by itself.
type Layer struct {
	Provider traffic.Provider
	// Admit does to a written object what the API server would: defaults.
	Admit func(object map[string]any)
	// Settle has the layer report that the object is in force; nil for layers that report nothing.
	Settle func(route *unstructured.Unstructured)
	// Inspect says what is wrong with the objects after the split was applied to what the team wrote:
	// shares, all-zero weights, foreign parts that were touched.
	Inspect func(team *unstructured.Unstructured, w traffic.World, s traffic.Split) error
}

// TB is what testing.T and rapid.T have in common.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// cluster is the API server and the controller, as far as a provider can tell.
type cluster struct {
	layer    Layer
	team     *unstructured.Unstructured // what the team wrote last
	route    *unstructured.Unstructured // what it has become
	beside   *unstructured.Unstructured
	original map[string]any
	matches  []release.Match // in the Hold
	held     bool
	others   []*party
	backends []traffic.Backend
	now      time.Time
}

// party is another workload's release on the same route.
type party struct {
	release  string
	backends []traffic.Backend
	matches  []release.Match
	held     bool
}

func newCluster(l Layer, route *unstructured.Unstructured, backends []traffic.Backend) *cluster {
	c := &cluster{layer: l, backends: backends, now: time.Date(2030, 1, 2, 3, 4, 5, 600, time.UTC)}
	c.route = c.stored(route)
	c.settle()
	c.team = c.route.DeepCopy()
	return c
}

func (c *cluster) world() traffic.World {
	w := traffic.World{
		Rollout: "shop", Route: c.route, Beside: c.beside, Original: c.original, Held: c.held, Matches: c.matches,
		Backends: c.backends, Now: c.now,
	}
	for _, o := range c.others {
		w.Parties = append(w.Parties, traffic.Party{Release: o.release, Held: o.held, Backends: o.backends, Matches: o.matches})
	}
	return w
}

// stored is the object as the API server gives it back.
func (c *cluster) stored(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: throughJSON(u.Object)}
	if c.layer.Admit != nil {
		c.layer.Admit(out.Object)
	}
	return out
}

// write stores a new version of the route; its status is not the writer's, and a new spec is a new generation.
func (c *cluster) write(u *unstructured.Unstructured) {
	next := c.stored(u)
	generation := c.route.GetGeneration()
	if !equal(next.Object["spec"], c.route.Object["spec"]) {
		generation++
	}
	next.SetGeneration(generation)
	if status, ok := c.route.Object["status"]; ok {
		next.Object["status"] = status
	}
	c.route = next
}

// carryOut does what the controller does with a Change, in its order.
func (c *cluster) carryOut(change traffic.Change) {
	c.now = c.now.Add(time.Minute)
	if change.Hold != nil {
		c.original, c.matches, c.held = throughJSON(change.Hold.Original), change.Hold.Matches, true
	}
	if change.Route != nil {
		c.write(change.Route)
	}
	if change.Beside != nil {
		c.beside = c.stored(change.Beside)
		c.beside.SetLabels(map[string]string{"sluice.dev/release": "shop-1"})
		c.beside.SetOwnerReferences(nil)
	}
	if change.RemoveBeside {
		c.beside = nil
	}
	if change.ReleaseHold {
		c.matches, c.held = nil, false
		if !slices.ContainsFunc(c.others, func(o *party) bool { return o.held }) {
			c.original = nil
		}
	}
}

func (c *cluster) settle() {
	if c.layer.Settle != nil {
		c.layer.Settle(c.route)
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
