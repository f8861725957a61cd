package traffictest

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Generator makes up what a layer is to be tried with.
type Generator struct {
	// Route is one of the team's, with the Services behind it.
	Route func(t *rapid.T) (*unstructured.Unstructured, []traffic.Backend)
	// Matches of a step, such as the layer can do.
	Matches func(t *rapid.T) []release.Match
	// Edit is one that the team may make at any time, on the object as it wrote it or as it is.
	Edit func(t *rapid.T) func(route *unstructured.Unstructured)
}

// Random holds the layer to the law in made-up sequences of splits, edits and re-applications.
func Random(t *testing.T, l Layer, g Generator) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		route, backends := g.Route(rt)
		c := newCluster(l, route, backends)
		sequence(rt, c, g)
		c.restore(rt)
	})
}

func sequence(rt *rapid.T, c *cluster, g Generator) {
	current := drawSplit(rt, g)
	if err := c.layer.Provider.Check(c.world(), []traffic.Split{current}); err != nil {
		rt.Skip(err) // the law is about what is not refused
	}
	c.apply(rt, current)
	for range rapid.IntRange(0, 6).Draw(rt, "acts") {
		switch rapid.SampledFrom([]string{"split", "edit", "replace", "reapply"}).Draw(rt, "act") {
		case "split":
			current = drawSplit(rt, g)
		case "edit":
			c.edit(g.Edit(rt), false)
		case "replace":
			c.edit(g.Edit(rt), true)
		case "reapply":
			c.edit(func(*unstructured.Unstructured) {}, true)
		}
		if err := c.layer.Provider.Check(c.world(), []traffic.Split{current}); err != nil {
			return
		}
		c.apply(rt, current)
	}
}

func drawSplit(rt *rapid.T, g Generator) traffic.Split {
	s := traffic.Split{Weight: rapid.OneOf(rapid.IntRange(0, 100), rapid.SampledFrom([]int{0, 1, 50, 99, 100})).Draw(rt, "weight")}
	if rapid.Bool().Draw(rt, "matching") {
		s.Matches = g.Matches(rt)
	}
	return s
}
