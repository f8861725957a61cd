package rollout

import (
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestGuardOfServices: whoever asks, a Service that leads to ready pods is not given a selector that leads to none.
func TestGuardOfServices(t *testing.T) {
	c := newCluster(t, team(canary(50))...)
	c.settle()
	w, err := c.r.observe(t.Context(), shopKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.r.observeTraffic(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	carrier := &carrier{r: c.r, write: c.r.Kube.For(shopKey), w: w}
	s := w.service("web")
	if err := carrier.point(t.Context(), s, map[string]string{"app": "nobody"}); !isObstacle(err) {
		t.Errorf("pointed at nobody: %v", err)
	}
	narrow := map[string]string{"app": shop, v1alpha1.LabelPodTemplateHash: w.settled.PodTemplateHash}
	if err := carrier.point(t.Context(), s, narrow); err != nil {
		t.Errorf("pointed at the stable pods: %v", err)
	}
	if got := c.service("web").Spec.Selector[v1alpha1.LabelPodTemplateHash]; got != w.settled.PodTemplateHash {
		t.Errorf("the Service selects %q", got)
	}
}
