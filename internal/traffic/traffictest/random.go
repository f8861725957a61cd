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
	// Team is what the team has written, with the Services behind it. The Rollout names the first.
	Team func(t *rapid.T) ([]*unstructured.Unstructured, []traffic.Backend)
	// Matches of a step, such as the layer can do; nil for a layer that can do none.
	Matches func(t *rapid.T) []release.Match
	// Edit is one that the team may make of any of its objects at any time, as it wrote it or as it is.
	Edit func(t *rapid.T) func(object *unstructured.Unstructured)
}

// Random holds the layer to the law in made-up sequences of splits, edits, re-applications and crashes.
func Random(t *testing.T, l Layer, g Generator) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		team, backends := g.Team(rt)
		c := newCluster(l, team, backends)
		sequence(rt, c, g)
		c.restore(rt)
	})
}

func sequence(rt *rapid.T, c *cluster, g Generator) {
	current := drawSplit(rt, g)
	if err := c.provider.Check(c.world(), []traffic.Split{current}); err != nil {
		rt.Skip(err) // the law is about what is not refused
	}
	c.apply(rt, current)
	some := func(most int) int { return rapid.IntRange(0, most).Draw(rt, "writes") }
	for range rapid.IntRange(0, 6).Draw(rt, "acts") {
		acts := []string{"split", "edit", "replace", "reapply", "crash", "crash in restore"}
		switch rapid.SampledFrom(acts).Draw(rt, "act") {
		case "split":
			current = drawSplit(rt, g)
		case "edit":
			c.edit(g.Edit(rt), false)
		case "replace":
			c.edit(g.Edit(rt), true)
		case "reapply":
			c.edit(func(*unstructured.Unstructured) {}, true)
		case "crash":
			if next := drawSplit(rt, g); c.provider.Check(c.world(), []traffic.Split{next}) == nil {
				c.crash(c.askApply(rt, next), some)
			}
			if rapid.Bool().Draw(rt, "and another split") {
				current = drawSplit(rt, g)
			}
		case "crash in restore":
			c.crash(c.askRestore(rt), some)
		}
		if err := c.provider.Check(c.world(), []traffic.Split{current}); err != nil {
			return
		}
		c.apply(rt, current)
	}
}

func drawSplit(rt *rapid.T, g Generator) traffic.Split {
	s := traffic.Split{Weight: rapid.OneOf(rapid.IntRange(0, 100), rapid.SampledFrom([]int{0, 1, 50, 99, 100})).Draw(rt,
		"weight")}
	if g.Matches != nil && rapid.Bool().Draw(rt, "matching") {
		s.Matches = g.Matches(rt)
	}
	return s
}
