package rollout

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// wantHeld checks what the Rollout claims about new revisions.
func (c *cluster) wantHeld(status metav1.ConditionStatus, reason string) {
	c.t.Helper()
	got := meta.FindStatusCondition(c.rollout().Status.Conditions, v1alpha1.ConditionHeld)
	if got == nil || got.Status != status || got.Reason != reason {
		c.t.Errorf("condition Held is %+v, want %s with reason %s", got, status, reason)
	}
}

// wantPhase checks phase and reason of the Rollout.
func (c *cluster) wantPhase(phase v1alpha1.RolloutPhase, reason string) {
	c.t.Helper()
	s := c.rollout().Status
	if s.Phase != phase || reason != "" && (s.WaitingFor == nil || s.WaitingFor.Reason != reason) {
		c.t.Errorf("the Rollout is %s (%+v), want %s with reason %s", s.Phase, s.WaitingFor, phase, reason)
	}
}

// pods by image that the ReplicaSets ask for.
func (c *cluster) asked() map[string]int {
	c.t.Helper()
	out := map[string]int{}
	for _, rs := range c.sets() {
		if n := deployment.Replicas(&rs); n > 0 {
			out[workload.TemplateOf(&rs).Images[0].Image] += n
		}
	}
	return out
}

// TestFaultA12HeldBeforeTheSpecIsChecked: a Rollout whose spec is refused holds new revisions all the same, and releases
// what has come meanwhile once the spec is in order.
func TestFaultA12HeldBeforeTheSpecIsChecked(t *testing.T) {
	t.Parallel()
	ro := canary(50)
	ro.Spec.Traffic[0].Ingress.Name = "wbe"
	c := newCluster(t, team(ro)...)
	c.settle()
	c.wantPhase(v1alpha1.RolloutStalled, release.ReasonSpecRefused)
	c.wantHeld(metav1.ConditionTrue, v1alpha1.ReasonAdmissionPolicy)

	c.setImage("shop:v2")
	c.settle()
	if got := c.asked(); got["shop:v2"] != 0 || got["shop:v1"] != 4 {
		t.Errorf("pods %v: the revision that came must wait", got)
	}
	c.wantPhase(v1alpha1.RolloutStalled, release.ReasonSpecRefused)

	ro = c.rollout()
	ro.Spec.Traffic[0].Ingress.Name = "web"
	c.update(ro)
	c.settle()
	if rel := c.release("shop-1"); rel == nil || rel.Spec.From.Images[0].Image != "shop:v1" || rel.Spec.To.Images[0].Image != "shop:v2" {
		t.Errorf("the release that follows is %+v; %s", rel, c.tells())
	}
}

// TestFaultA12StableIsKnownThough: a revision that comes between the label and the record of what ran is held, and what
// ran is found.
func TestFaultA12StableIsKnownThough(t *testing.T) {
	t.Parallel()
	c := newCluster(t, team(canary(50))...)
	d := c.deployment()
	d.SetLabels(map[string]string{v1alpha1.LabelRollout: shop})
	c.update(d)
	c.setImage("shop:v2")
	c.settle()
	if rel := c.release("shop-1"); rel == nil || rel.Spec.From.Images[0].Image != "shop:v1" {
		t.Errorf("the release is %+v; %s", rel, c.tells())
	}
}

// TestFaultA12HeldClaimsNothingUnseen: where a new revision would run at once, the condition says so, and why.
func TestFaultA12HeldClaimsNothingUnseen(t *testing.T) {
	t.Parallel()
	t.Run("no workload", func(t *testing.T) {
		c := newCluster(t, canary(50), webService(), webIngress())
		c.settle()
		c.wantHeld(metav1.ConditionFalse, release.ReasonWorkloadNotFound)
		c.add(shopDeployment("shop:v1"))
		c.settle()
		c.wantHeld(metav1.ConditionTrue, v1alpha1.ReasonAdmissionPolicy)
	})
	t.Run("another has it", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		older := canary(50)
		older.Name, older.UID, older.CreationTimestamp = "older", "", metav1.NewTime(c.now.Add(-time.Hour))
		c.add(older)
		c.settle()
		c.wantHeld(metav1.ConditionFalse, release.ReasonWorkloadTaken)
	})
	t.Run("its own update is under way", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.add(ownSet("shop:v0", 1))
		c.mustLook()
		c.wantHeld(metav1.ConditionFalse, release.ReasonWorkloadUpdating)
	})
	t.Run("kept paused", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.policy = false
		c.settle()
		c.wantHeld(metav1.ConditionTrue, v1alpha1.ReasonKeptPaused)
	})
}

// TestFaultB13Recreate: a workload that asks that two of its revisions never run at once is refused before anything
// moves, and in a release under way no pod is added.
func TestFaultB13Recreate(t *testing.T) {
	t.Parallel()
	recreate := func(c *cluster) {
		d := c.deployment()
		_ = unstructured.SetNestedField(d.Object, "Recreate", "spec", "strategy", "type")
		c.update(d)
	}
	t.Run("before a release", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		recreate(c)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		c.wantPhase(v1alpha1.RolloutStalled, release.ReasonSpecRefused)
		if m := c.rollout().Status.WaitingFor.Message; !strings.Contains(m, "spec.strategy.type") {
			t.Errorf("says %q", m)
		}
		if got := c.asked(); len(got) != 1 || got["shop:v1"] != 4 {
			t.Errorf("pods %v, want the old ones alone", got)
		}
	})
	t.Run("just after one began", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		c.setImage("shop:v2")
		c.begin("shop-1")
		recreate(c)
		for range 20 {
			c.mustLook()
			c.kubernetes()
			c.now = c.now.Add(time.Second)
		}
		if got := c.asked(); len(got) != 1 || got["shop:v1"] != 4 {
			t.Errorf("pods %v, want the old ones alone; %s", got, c.tells())
		}
		if w := c.release("shop-1").Status.WaitingFor; w == nil || !strings.Contains(w.Message, "Recreate") {
			t.Errorf("the release waits for %+v", w)
		}
	})
}

// TestFaultB2HealthyMeansThatPodsServe: a released revision of which too few pods are ready is Degraded and says why, not
// Healthy; what passes in a moment is not told.
func TestFaultB2HealthyMeansThatPodsServe(t *testing.T) {
	t.Parallel()
	t.Run("the first image never gets ready", func(t *testing.T) {
		c := newCluster(t, shopDeployment(broken), ownSet(broken, 4), webService(), webIngress(), canary(50))
		c.kubernetes()
		c.settle()
		c.wantPhase(v1alpha1.RolloutDegraded, release.ReasonStablePodsNotReady)
		if m := c.rollout().Status.WaitingFor.Message; !strings.Contains(m, "0 of its 4 pods are ready") {
			t.Errorf("says %q", m)
		}
		if ready := meta.FindStatusCondition(c.rollout().Status.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionFalse {
			t.Errorf("condition Ready is %+v", ready)
		}
	})
	t.Run("pods fail later", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		c.wantPhase(v1alpha1.RolloutHealthy, "")
		fail := func(ready int64) {
			rs := c.sets()[0]
			c.setStatus(&rs, map[string]any{"replicas": int64(4), "observedGeneration": rs.GetGeneration(), "availableReplicas": ready, "readyReplicas": ready})
		}
		fail(3) // As many as the Deployment's maxUnavailable lets be missing.
		if w, _, _ := c.look(); len(w) > 0 {
			t.Errorf("with 3 of 4 pods: %v", w)
		}
		fail(1)
		if w, result, _ := c.look(); len(w) > 0 || result.RequeueAfter != passing {
			t.Errorf("just when they fail: %v, %+v", w, result)
		}
		c.now = c.now.Add(passing)
		c.mustLook()
		c.wantPhase(v1alpha1.RolloutDegraded, release.ReasonStablePodsNotReady)
		fail(4)
		c.mustLook()
		c.wantPhase(v1alpha1.RolloutHealthy, "")
	})
	t.Run("the Service has no endpoint", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		s := webService()
		c.get(s, "web")
		s.Spec.Selector["tier"] = "none"
		c.update(s)
		d := c.deployment()
		_ = unstructured.SetNestedField(d.Object, "none", "spec", "template", "metadata", "labels", "tier")
		c.update(d)
		c.kubernetes()
		c.settle()
	})
	t.Run("scaled to zero is no failure", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		d := c.deployment()
		_ = unstructured.SetNestedField(d.Object, int64(0), "spec", "replicas")
		c.update(d)
		c.kubernetes()
		c.settle()
		c.wantPhase(v1alpha1.RolloutHealthy, "")
	})
}
