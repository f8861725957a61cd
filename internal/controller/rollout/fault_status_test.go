package rollout

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// TestFaultB9StatusFollowsGeneration: a Rollout that is edited while its release pauses says at once that it was looked
// at, and neither since nor until tell of a time that has passed.
func TestFaultB9StatusFollowsGeneration(t *testing.T) {
	ro := canary(25, 50)
	ro.Spec.Canary.Steps[0].Pause = &v1alpha1.Pause{Duration: &metav1.Duration{Duration: time.Hour}}
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonPausedForTime {
		t.Fatalf("%s", c.tells())
	}
	for _, change := range []func(*v1alpha1.Rollout){
		func(r *v1alpha1.Rollout) { r.Spec.HistoryLimit = ptr.To(int32(3)) },
		func(r *v1alpha1.Rollout) { r.Spec.Canary.Steps[1].Weight = ptr.To(int32(80)) },
	} {
		edited := c.rollout()
		change(edited)
		edited.Generation++
		c.update(edited)
		if _, _, err := c.look(); err != nil {
			t.Fatal(err)
		}
		now := c.rollout()
		if now.Status.ObservedGeneration != edited.Generation {
			t.Errorf("after one look at generation %d the status is that of %d", edited.Generation, now.Status.ObservedGeneration)
		}
		for _, cond := range now.Status.Conditions {
			if cond.ObservedGeneration != edited.Generation && cond.Type != v1alpha1.ConditionHeld {
				t.Errorf("condition %s is that of generation %d, want %d", cond.Type, cond.ObservedGeneration, edited.Generation)
			}
		}
	}
}

// TestFaultB9UntilFollows: when a pause goes on after the new pods were lost, what the status says of its end is still to
// come, in the Release and in the Rollout.
func TestFaultB9UntilFollows(t *testing.T) {
	ro := canary(25, 50)
	ro.Spec.Canary.Steps[0].Pause = &v1alpha1.Pause{Duration: &metav1.Duration{Duration: time.Hour}}
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	c.now = c.now.Add(40 * time.Minute)
	lose(c)
	c.settle()
	rel, rollout := c.release("shop-1"), c.rollout()
	want := c.now.Add(20 * time.Minute)
	for what, w := range map[string]*v1alpha1.WaitingFor{"Release": rel.Status.WaitingFor, "Rollout": rollout.Status.WaitingFor} {
		if w == nil || w.Reason != release.ReasonPausedForTime || w.Until == nil || w.Until.Sub(want).Abs() > 30*time.Second ||
			!strings.Contains(w.Message, "40m") {
			t.Errorf("the %s waits for %+v, want until %s", what, w, want)
		}
	}
}

// lose has the new pods be evicted and made anew.
func lose(c *cluster) {
	c.t.Helper()
	for _, rs := range c.sets() {
		if owner := metav1.GetControllerOf(&rs); owner != nil && owner.Kind == "Release" {
			c.setStatus(&rs, map[string]any{"replicas": int64(1), "observedGeneration": rs.GetGeneration()})
		}
	}
	c.runEndpoints()
	if _, _, err := c.look(); err != nil {
		c.t.Fatal(err)
	}
}
