package rollout

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// Two templates of shop whose SHA-256 begin with the same ten hex digits. A search of some two million annotation values
// for each image found them within ten seconds.
var alike = map[string]string{"shop:v2": "2212975", "shop:bad": "2236388"}

// setAlike writes one of the two templates.
func (c *cluster) setAlike(image string) {
	c.t.Helper()
	d := c.deployment()
	_ = unstructured.SetNestedField(d.Object, alike[image], "spec", "template", "metadata", "annotations", "note")
	c.update(d)
	c.setImage(image)
}

// TestFaultA1TemplatesAlike: two templates whose hashes begin alike are two revisions. The second gets a release of its
// own, with pods that Services can tell apart, and takes over no approval of the first.
func TestFaultA1TemplatesAlike(t *testing.T) {
	t.Run("after the release of the first", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		c.setAlike("shop:v2")
		c.promoteAll()
		c.expectRest("released", v1alpha1.RolloutHealthy, "shop:v2")
		first := c.release("shop-1").Spec.To
		c.setAlike("shop:bad")
		c.settle()
		second := c.release("shop-2")
		if second == nil || c.rollout().Status.Phase != v1alpha1.RolloutPaused {
			t.Fatalf("the other template got no release of its own: %s", c.tells())
		}
		to := second.Spec.To
		if workload.Short(first.Hash, 0) != workload.Short(to.Hash, 0) {
			t.Fatalf("the two templates are not alike, so this proves nothing: %s, %s", first.Hash, to.Hash)
		}
		if len(to.Hash) != 64 || first.Hash == to.Hash || first.PodTemplateHash == to.PodTemplateHash {
			t.Errorf("the revisions are not told apart: %+v, %+v", first, to)
		}
		c.expectPods("while it waits", map[string]int{"shop:v2": 4, "shop:bad": 2})
		c.decide(v1alpha1.VerbAbort, "shop-2")
		c.settle()
		c.expectPods("rejected", map[string]int{"shop:v2": 4})
	})
	t.Run("in the middle of the release of the first", func(t *testing.T) {
		c := newCluster(t, team(canary(25, 50))...)
		c.settle()
		c.setAlike("shop:v2")
		c.settle()
		c.setAlike("shop:bad")
		c.settle()
		if rel := c.release("shop-1"); rel.Status.Phase != v1alpha1.ReleaseSuperseded {
			t.Errorf("the release of the first goes on with the second: %s", c.tells())
		}
		first, second := c.release("shop-1"), c.release("shop-2")
		if second == nil || second.Spec.PlanDigest == first.Spec.PlanDigest {
			t.Errorf("what was said on the first counts for the second: %s", c.tells())
		}
	})
}

// TestFaultA1NameTaken: a name that another ReplicaSet has is not used, and none is taken over by its name.
func TestFaultA1NameTaken(t *testing.T) {
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.setImage("shop:v2")
	taken := ownSet("shop:v2", 0)
	taken.SetName(deployment.NameOf(c.deployment(), workload.Short(workload.TemplateOf(c.deployment()).Hash, 0)))
	taken.SetUID("")
	taken.SetOwnerReferences(nil)
	taken.SetLabels(map[string]string{v1alpha1.LabelRollout: shop, "pod-template-hash": "zz4xcvxzbc"})
	_ = unstructured.SetNestedSlice(taken.Object, []any{map[string]any{"name": "web", "image": "shop:evil"}}, "spec", "template", "spec", "containers")
	c.add(taken)
	c.promoteAll()
	c.expectRest("released beside it", v1alpha1.RolloutHealthy, "shop:v2")
	if !c.get(untyped(deployment.ReplicaSetKind), taken.GetName()) {
		t.Error("the other's ReplicaSet is gone")
	}
}

// TestFaultA1NameTakenLate: a ReplicaSet that somebody makes under the name just before the release does is not taken for
// the release's own, and the release says what is in its way.
func TestFaultA1NameTakenLate(t *testing.T) {
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.setImage("shop:v2")
	c.begin("shop-1")
	late := ownSet("shop:evil", 0)
	late.SetName(deployment.NameOf(c.deployment(), c.release("shop-1").Spec.To.PodTemplateHash))
	late.SetUID("")
	late.SetOwnerReferences(nil)
	late.SetLabels(map[string]string{v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1"})
	c.add(late)
	for range 40 {
		_, _, _ = c.look()
		c.kubernetes()
		c.now = c.now.Add(1e9)
	}
	c.expectWaits("exists already and is not this release's")
	c.deleteNamed(untyped(deployment.ReplicaSetKind), late.GetName())
	c.promoteAll()
	c.expectRest("once it is removed", v1alpha1.RolloutHealthy, "shop:v2")
}

// expectWaits checks what the release under way says that it waits for.
func (c *cluster) expectWaits(says string) {
	c.t.Helper()
	ro := c.rollout()
	if w := ro.Status.WaitingFor; w == nil || !strings.Contains(w.Message, says) {
		c.t.Errorf("it waits for %+v, want %q", w, says)
	}
}

// TestUpgradeFromShortHashes: what an earlier Sluice recorded by short hashes begins no release and is not forgotten.
func TestUpgradeFromShortHashes(t *testing.T) {
	shorten := func(rev *v1alpha1.Revision) { rev.Hash = workload.Short(rev.Hash, 0) }
	t.Run("stable", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		ro := c.rollout()
		shorten(ro.Status.Stable)
		c.putStatus(ro)
		c.settle()
		if c.release("shop-1") != nil || len(c.rollout().Status.Stable.Hash) != 64 {
			t.Errorf("the upgrade began a release, or the record is still short: %s, %+v", c.tells(), c.rollout().Status.Stable)
		}
		c.setImage("shop:v2")
		c.promoteAll()
		c.expectRest("released after the upgrade", v1alpha1.RolloutHealthy, "shop:v2")
	})
	t.Run("a record of somebody else's label", func(t *testing.T) {
		c := newCluster(t, team(canary(50))...)
		c.settle()
		ro := c.rollout()
		shorten(ro.Status.Stable)
		ro.Status.Stable.Hash = "bbbbbbbbbb"
		c.putStatus(ro)
		c.settle()
		if got := c.rollout().Status; got.Phase == v1alpha1.RolloutHealthy {
			t.Errorf("a label was taken for the revision: %s", c.tells())
		}
	})
	t.Run("rejected", func(t *testing.T) {
		c := underWay(t)
		play(c, v1alpha1.VerbAbort)
		ro, rel := c.rollout(), c.release("shop-1")
		shorten(ro.Status.Stable)
		shorten(&ro.Status.Rejected.Revision)
		shorten(&rel.Spec.From)
		shorten(&rel.Spec.To)
		c.putStatus(ro)
		c.update(rel)
		c.settle()
		if c.release("shop-2") != nil || c.rollout().Status.Phase != v1alpha1.RolloutRejected {
			t.Errorf("the rejection is forgotten: %s", c.tells())
		}
	})
	t.Run("in the middle of a release", func(t *testing.T) {
		c := underWay(t)
		c.settle()
		ro, rel := c.rollout(), c.release("shop-1")
		shorten(ro.Status.Stable)
		shorten(&rel.Spec.From)
		shorten(&rel.Spec.To)
		c.putStatus(ro)
		c.update(rel)
		c.promoteAll()
		c.expectEnd("after the upgrade", v1alpha1.ReleaseSucceeded)
	})
}
