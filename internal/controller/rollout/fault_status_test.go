package rollout

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// pausedForAnHour is a release in its first step, which pauses for an hour.
func pausedForAnHour(t *testing.T) *cluster {
	t.Helper()
	ro := canary(25, 50)
	ro.Spec.Canary.Steps[0].Pause = &v1alpha1.Pause{Duration: &metav1.Duration{Duration: time.Hour}}
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	return c
}

// TestFaultB9StatusFollowsGeneration: a Rollout that is edited while its release pauses says at once that it was looked
// at, and neither since nor until tell of a time that has passed.
func TestFaultB9StatusFollowsGeneration(t *testing.T) {
	c := pausedForAnHour(t)
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
	c := pausedForAnHour(t)
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

// TestFaultA8ManyApprovers: the question is put, whoever and how many are named in it.
func TestFaultA8ManyApprovers(t *testing.T) {
	ro := canary(25, 50)
	a := &v1alpha1.Approval{}
	for i := range 64 {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("界", 100))
		a.From.Users, a.From.Groups = append(a.From.Users, name), append(a.From.Groups, name)
	}
	ro.Spec.Canary.Steps[0].Approval = a
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	w := c.release("shop-1").Status.WaitingFor
	if w == nil || w.Reason != release.ReasonAwaitingApproval || !strings.Contains(w.Who, "and 127 more") {
		t.Errorf("it waits for %+v", w)
	}
	if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonAwaitingApproval {
		t.Errorf("the Rollout waits for %+v", w)
	}
}

// TestFaultA15Timeline: the record of a release keeps its last entries, as many as the API server stores.
func TestFaultA15Timeline(t *testing.T) {
	var all []v1alpha1.TimelineEntry
	for range 200 {
		all = append(all, v1alpha1.TimelineEntry{Reason: "Paused", Message: strings.Repeat("\x01", 1024), User: strings.Repeat("\x02", 1024)})
	}
	kept := recent(all)
	raw, _ := json.Marshal(kept)
	if len(kept) < 10 || len(raw) > 300<<10 {
		t.Errorf("%d entries of %d bytes are kept", len(kept), len(raw))
	}
}
