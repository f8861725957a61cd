package rollout

import (
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// TestHoldAt: a stop that is declared in the Rollout counts for the release under way, whoever promotes; one that names
// no step is refused before anything moves.
func TestHoldAt(t *testing.T) {
	t.Parallel()
	ro := canary(25, 50, 75)
	ro.Spec.HoldAt = "step-9"
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	if w := c.rollout().Status.WaitingFor; w == nil || !strings.Contains(w.Message, `spec.holdAt: there is no step "step-9"`) {
		t.Fatalf("a stop at no step: %s", c.tells())
	}
	c.holdAt("step-2")
	c.settle()
	if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonHeldAt {
		t.Fatalf("at the stop: %s", c.tells())
	}
	for _, verb := range []v1alpha1.DecisionVerb{v1alpha1.VerbPromote, v1alpha1.VerbPromoteFull} {
		c.decide(verb, "shop-1")
	}
	c.settle()
	if rel := c.release("shop-1"); rel.Status.Memory.Step != 1 {
		t.Fatalf("promoted past the stop: %s", c.tells())
	}
	c.holdAt("")
	c.settle()
	c.promoteAll()
	c.expectRest("without a stop", v1alpha1.RolloutHealthy, "shop:v2")
}

func (c *cluster) holdAt(step string) {
	c.t.Helper()
	ro := c.rollout()
	ro.Spec.HoldAt = step
	ro.Generation++
	c.update(ro)
}
