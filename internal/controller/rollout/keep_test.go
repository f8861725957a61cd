package rollout

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// anew makes the workload anew, as the admission policy stores it.
func (c *cluster) anew(uid types.UID, image string) {
	c.t.Helper()
	d := shopDeployment(image)
	d.SetUID(uid)
	if c.policy {
		d.SetLabels(map[string]string{v1alpha1.LabelRollout: shop})
		d.SetAnnotations(map[string]string{v1alpha1.AnnotationHeld: "ann"})
		_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	}
	c.add(d)
}

// TestFaultA5MadeAnew: a workload that is made anew with another image gets a release, and the released pods serve on
// until then; with the released image it is let go at once.
func TestFaultA5MadeAnew(t *testing.T) {
	t.Parallel()
	for name, image := range map[string]string{"another image": "shop:v2", "the released one": "shop:v1"} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(50))...)
			c.settle()
			before := c.sets()[0].GetUID()
			c.delete(c.deployment())
			c.kubernetes()
			c.mustLook()
			if got := c.asked(); got["shop:v1"] != 4 {
				t.Fatalf("pods %v when the Deployment is gone, want those that were released", got)
			}
			c.wantPhase(v1alpha1.RolloutPending, release.ReasonWorkloadGone)
			c.anew("deploy-2", image)
			c.settle()
			for _, rs := range c.sets() {
				stays := workload.OwnedBy(&rs, "deploy-2") && deployment.Replicas(&rs) == 4
				if rs.GetUID() == before && !stays || rs.GetUID() != before && workload.TemplateOf(&rs).Images[0].Image == "shop:v1" {
					t.Errorf("ReplicaSet %s has %d pods and the owners %v", rs.GetName(), deployment.Replicas(&rs), rs.GetOwnerReferences())
				}
			}
			rel := c.release("shop-1")
			if image == "shop:v1" {
				if rel != nil || deployment.Paused(c.deployment()) {
					t.Errorf("release %v, paused %v: it is what was released", rel, deployment.Paused(c.deployment()))
				}
				c.wantPhase(v1alpha1.RolloutHealthy, "")
				return
			}
			if rel == nil || rel.Spec.From.Images[0].Image != "shop:v1" || rel.Spec.Author != "ann" {
				t.Fatalf("the release is %+v; %s", rel, c.tells())
			}
			c.decide(v1alpha1.VerbPromote, "shop-1")
			c.settle()
			c.expectEnd("made anew", v1alpha1.ReleaseSucceeded)
		})
	}
}

// TestFaultA5DeletedForGood: a workload that does not come back keeps its released pods for a bounded time, across a
// restart of the controller too; when the Rollout goes, they go at once.
func TestFaultA5DeletedForGood(t *testing.T) {
	t.Parallel()
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.delete(c.deployment())
	c.kubernetes()
	c.mustLook()
	c.now = c.now.Add(goneFor - 2*time.Second)
	c.restart()
	c.mustLook()
	if got := c.asked(); got["shop:v1"] != 4 {
		t.Errorf("pods %v before the time is over", got)
	}
	c.now = c.now.Add(3 * time.Second)
	c.mustLook()
	if len(c.sets()) != 0 {
		t.Errorf("ReplicaSets are left: %v", c.asked())
	}
	c.wantPhase(v1alpha1.RolloutStalled, release.ReasonWorkloadNotFound)

	c = newCluster(t, team(canary(50))...)
	c.settle()
	c.delete(c.deployment())
	c.delete(c.rollout())
	c.settle()
	if len(c.sets()) != 0 || c.rollout() != nil {
		t.Errorf("left: %v, %v", c.asked(), c.rollout())
	}
}

// TestFaultA5ForgedOwner: a ReplicaSet that somebody has given the Rollout for an owner is not taken for the released one.
func TestFaultA5ForgedOwner(t *testing.T) {
	t.Parallel()
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.setImage("shop:v2")
	forged := ownSet("shop:v2", 1)
	forged.SetName("forged")
	forged.SetUID("forged")
	forged.SetOwnerReferences(nil)
	forged = deployment.Kept(forged, workload.World{Rollout: c.rollout()}.Keeper())
	c.add(forged)
	c.mustLook()
	rs := untyped(deployment.ReplicaSetKind)
	for range 5 {
		if _, _, err := c.look(); err != nil {
			t.Log(err)
		}
		c.now = c.now.Add(time.Second)
	}
	if c.get(rs, "forged") && workload.OwnedBy(rs, c.release("shop-1").UID) {
		t.Error("the release has taken a forged ReplicaSet for its own")
	}
}

// TestFaultA5StableSetTaken: somebody deletes the stable ReplicaSet, or edits it, while a new revision is released, or held.
// It is made anew from the record, and the release can be taken back. It is never Sluice who removes its pods.
func TestFaultA5StableSetTaken(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(c *cluster, rs *unstructured.Unstructured){
		"deleted": func(c *cluster, rs *unstructured.Unstructured) { c.delete(rs) },
		"edited":  putEvil,
	} {
		for _, policy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, policy %v", name, policy), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, team(canary(50))...)
				c.policy = policy
				c.settle()
				c.setImage("shop:v2")
				c.settle()
				if p := c.release("shop-1").Status.Phase; p != v1alpha1.ReleaseProgressing && p != v1alpha1.ReleasePaused {
					t.Fatalf("the release is %s: %s", p, c.tells())
				}
				take(c, c.named(c.setOf("shop:v1")))
				c.settle()
				c.expectPods("in mid-release", map[string]int{"shop:v1": 4, "shop:v2": 2})
				c.decide(v1alpha1.VerbAbort, "shop-1")
				c.settle()
				if p := c.release("shop-1").Status.Phase; p != v1alpha1.ReleaseAborted {
					t.Errorf("the release is %s: %s", p, c.tells())
				}
				c.expectPods("after the abort", map[string]int{"shop:v1": 4})
				take(c, c.named(c.setOf("shop:v1")))
				c.settle()
				c.expectPods("at rest with a rejected revision", map[string]int{"shop:v1": 4})
				c.setImage("shop:v1")
				c.settle()
				take(c, c.named(c.setOf("shop:v1")))
				c.settle()
				c.expectPods("at rest", map[string]int{"shop:v1": 4})
			})
		}
	}
}

// putEvil edits the pod template of a ReplicaSet, as kubectl set image does.
func putEvil(c *cluster, rs *unstructured.Unstructured) {
	containers, _, _ := unstructured.NestedSlice(rs.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["image"] = "evil:1"
	_ = unstructured.SetNestedSlice(rs.Object, containers, "spec", "template", "spec", "containers")
	c.update(rs)
}

func (c *cluster) named(set string) *unstructured.Unstructured {
	c.t.Helper()
	rs := untyped(deployment.ReplicaSetKind)
	if !c.get(rs, set) {
		c.t.Fatalf("there is no ReplicaSet %q", set)
	}
	return rs
}

// TestFaultA5ScaledUpFromZero: the Deployment controller scales the ReplicaSet of the current template up even while the
// Deployment is paused. One of an earlier revision, or one that somebody has made, gets no pods by that.
func TestFaultA5ScaledUpFromZero(t *testing.T) {
	t.Parallel()
	c := newCluster(t, append(team(canary(50)), ownSet("shop:v9", 0))...)
	c.settle()
	d := c.deployment()
	_ = unstructured.SetNestedField(d.Object, int64(0), "spec", "replicas")
	c.update(d)
	c.settle()
	c.setImage("shop:v9")
	d = c.deployment()
	_ = unstructured.SetNestedField(d.Object, int64(4), "spec", "replicas")
	c.update(d)
	c.kubernetes()
	if got := c.asked(); got["shop:v9"] != 0 {
		t.Errorf("pods %v before there is a release", got)
	}
	c.settle()
	if rel := c.release("shop-1"); rel == nil || c.asked()["shop:v1"] != 4 {
		t.Errorf("release %v, pods %v; %s", rel, c.asked(), c.tells())
	}
}

// TestFaultA5KilledAtEveryWrite: the controller is killed after each write that follows an edit of the stable ReplicaSet, up
// to the end of the abort; between its removal and the making of the new one, too.
func TestFaultA5KilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		c, hit := newCluster(t, team(canary(50))...), ""
		c.policy = false
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		putEvil(c, c.named(c.setOf("shop:v1")))
		c.writes = nil
		c.diesAfter(n, &hit)
		play(c, v1alpha1.VerbAbort)
		what := fmt.Sprintf("killed after write %d (%s)", n, hit)
		if got := c.release("shop-1").Status.Phase; got != v1alpha1.ReleaseAborted {
			t.Errorf("%s: the release should be Aborted: %s", what, c.tells())
		}
		c.expectPods(what, map[string]int{"shop:v1": 4})
		c.expectNothingLeft(what)
		if hit == "" || t.Failed() {
			if n < 5 {
				t.Errorf("only %d writes were cut short", n-1)
			}
			return
		}
	}
}
