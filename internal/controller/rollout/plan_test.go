package rollout

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// edit writes other steps into the Rollout.
func (c *cluster) edit(weights ...int32) {
	c.t.Helper()
	ro := c.rollout()
	ro.Spec = canary(weights...).Spec
	ro.Generation++
	c.update(ro)
}

// planOf is the weights of a release's plan.
func (c *cluster) planOf(name string) string {
	c.t.Helper()
	var out []int32
	for _, s := range c.release(name).Spec.Plan.Steps {
		out = append(out, ptr.Deref(s.Weight, 0))
	}
	return fmt.Sprint(out)
}

// elapse lets so much time pass, in looks of a tenth of a second.
func (c *cluster) elapse(d time.Duration) {
	c.t.Helper()
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(100 * time.Millisecond) {
		if _, _, err := c.look(); err != nil {
			c.t.Fatal(err)
		}
		c.kubernetes()
	}
}

// TestFaultB5 applies a new image and new steps, one after the other: the steps that were applied with the image count, in
// either order, and also seconds later, as long as no request was sent to the new pods.
func TestFaultB5(t *testing.T) {
	for name, apply := range map[string]func(*cluster){
		"image first":          func(c *cluster) { c.setImage("shop:v2"); c.elapse(500 * time.Millisecond); c.edit(10, 20) },
		"steps first":          func(c *cluster) { c.edit(10, 20); c.elapse(500 * time.Millisecond); c.setImage("shop:v2") },
		"steps while it waits": func(c *cluster) { c.setImage("shop:v2"); c.elapse(900 * time.Millisecond); c.edit(10, 20) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(100))...)
			c.settle()
			apply(c)
			c.settle()
			if got := c.planOf("shop-1"); got != "[10 20]" {
				t.Errorf("the release follows %s: %s", got, c.tells())
			}
		})
	}
	t.Run("while its pods start", func(t *testing.T) {
		c := newCluster(t, team(canary(100))...)
		c.settle()
		c.setImage("shop:v2")
		for range 100 {
			if c.release("shop-1") != nil {
				break
			}
			c.elapse(100 * time.Millisecond)
		}
		c.edit(10, 20)
		c.settle()
		if got := c.planOf("shop-2"); got != "[10 20]" || c.release("shop-1").Status.Phase != v1alpha1.ReleaseSuperseded {
			t.Errorf("shop-2 follows %s: %s", got, c.tells())
		}
		c.edit(30, 40)
		c.settle()
		if c.release("shop-3") != nil {
			t.Errorf("an edit after the first request made another release: %s", c.tells())
		}
	})
	t.Run("steps with a template that comes later", func(t *testing.T) {
		c := newCluster(t, team(canary(100))...)
		c.settle()
		c.setImage("shop:v2")
		c.elapse(1200 * time.Millisecond)
		ro := c.rollout()
		ro.Spec.Canary.Steps[0].Analysis = &v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: "late"}}}
		c.update(ro)
		c.settle()
		if got := c.rollout().Status; got.Phase != v1alpha1.RolloutStalled || got.WaitingFor.Reason != release.ReasonSpecRefused {
			t.Errorf("the old plan goes on: %s", c.tells())
		}
	})
}

// TestFaultB5IsBounded edits the steps all the time: the release begins nevertheless, and gives way only so often.
func TestFaultB5IsBounded(t *testing.T) {
	c := newCluster(t, team(canary(100))...)
	c.settle()
	c.setImage("shop:v2")
	told := false
	began := c.now
	for i := 0; c.release("shop-1") == nil; i++ {
		c.edit(int32(1+i%50), 60)
		c.elapse(700 * time.Millisecond)
		w := c.rollout().Status.WaitingFor
		told = told || w != nil && w.Reason == release.ReasonStillChanging
		if i > 40 {
			t.Fatalf("no release begins: %s", c.tells())
		}
	}
	if took := c.now.Sub(began); took < quietMost-time.Second || took > quietMost+2*time.Second || !told {
		t.Errorf("the release began after %s, and the wait was told: %t", took, told)
	}
	for i := range 100 {
		c.edit(int32(1+i%50), 70)
		c.elapse(300 * time.Millisecond)
	}
	c.settle()
	latest := c.rollout().Status.CurrentRelease
	if rel := c.release(latest); rel.Spec.Number > mostRenewals+1 || rel.Status.WaitingFor.Reason != release.ReasonPausedForPerson {
		t.Errorf("%s: %s", latest, c.tells())
	}
}
