package rollout

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// wantTruth holds whenever a test has come to rest, whatever it has done: a status claims nothing that is not so.
//
//   - Healthy: what the workload asks for, and every pod that is to run, is of the released revision (A5, A12).
//   - Held: the workload bears the Rollout's label, and the policy is in force or the workload is paused (A12).
func (c *cluster) wantTruth() {
	c.t.Helper()
	ro, d := c.rollout(), c.deployment()
	if ro == nil || d == nil {
		return
	}
	labelled := d.GetLabels()[v1alpha1.LabelRollout] == shop
	if held := meta.FindStatusCondition(ro.Status.Conditions, v1alpha1.ConditionHeld); held != nil && held.Status == metav1.ConditionTrue {
		if !labelled || !c.policy && !deployment.Paused(d) {
			c.t.Errorf("the condition Held is True, with label %v, policy %v, paused %v: %s", labelled, c.policy, deployment.Paused(d), c.tells())
		}
	}
	if ro.Status.Phase != v1alpha1.RolloutHealthy || !labelled {
		return
	}
	stable := ro.Status.Stable
	if stable == nil || workload.TemplateOf(d).Hash != stable.Hash {
		c.t.Errorf("the Rollout is Healthy with %v released, and the workload asks for %s", stable, workload.TemplateOf(d).Images)
		return
	}
	for _, rs := range c.sets() {
		if t := workload.TemplateOf(&rs); deployment.Replicas(&rs) > 0 && t.Hash != stable.Hash && workload.OwnedBy(&rs, d.GetUID()) {
			c.t.Errorf("the Rollout is Healthy, and %d pods of %v are to run, which no release brought: %s", deployment.Replicas(&rs), t.Images, c.tells())
		}
	}
}
