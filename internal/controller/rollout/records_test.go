package rollout

import (
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestFaultB20RecordsStay: the record of a release outlives its Rollout. A later Rollout of the same name counts on, and takes
// nothing in the old records for what runs now.
func TestFaultB20RecordsStay(t *testing.T) {
	c := underWay(t)
	c.promoteAll()
	c.delete(c.rollout())
	c.settle()
	rel := c.release("shop-1")
	if rel == nil || len(rel.OwnerReferences) > 0 || rel.Status.Phase != v1alpha1.ReleaseSucceeded {
		t.Fatalf("the record after the Rollout was deleted: %+v", rel)
	}
	if c.get(&v1alpha1.Rollout{}, shop) {
		t.Fatal("the Rollout is still there")
	}

	// The team changes its workload alone, and makes a Rollout anew.
	c.setImage("shop:v3")
	c.settle()
	again := canary(50, 100)
	again.UID = "rollout-2"
	c.add(again)
	c.settle()
	if ro := c.rollout(); ro.Status.Phase != v1alpha1.RolloutHealthy || ro.Status.Stable == nil || ro.Status.Stable.Images[0].Image != "shop:v3" {
		t.Fatalf("the new Rollout took an old record for what runs: %s", c.tells())
	}
	c.setImage("shop:v4")
	c.promoteAll()
	if rel := c.release("shop-2"); rel == nil || rel.Status.Phase != v1alpha1.ReleaseSucceeded {
		t.Errorf("the next release: %s", c.tells())
	}
	if c.release("shop-1") == nil {
		t.Error("the old record is gone")
	}
}

// TestFaultB20RecordsAreBounded: records of earlier Rollouts count in spec.historyLimit.
func TestFaultB20RecordsAreBounded(t *testing.T) {
	c := underWay(t)
	c.promoteAll()
	c.delete(c.rollout())
	c.settle()
	again := canary(50, 100)
	again.UID, again.Spec.HistoryLimit = "rollout-2", new(int32(1))
	c.add(again)
	c.settle()
	c.setImage("shop:v3")
	c.promoteAll()
	c.settle()
	if c.release("shop-1") != nil || c.release("shop-2") == nil {
		t.Errorf("want the newest record only: %s", c.tells())
	}
}
