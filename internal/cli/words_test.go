package cli

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestFaultB22Moments: a moment that has passed is no "<invalid>".
func TestFaultB22Moments(t *testing.T) {
	now := time.Unix(1790000000, 0)
	for off, want := range map[time.Duration]string{
		5 * time.Minute: "in 5m", 0: "in 0s", -3 * time.Second: "passed 3s ago", -2 * time.Hour: "passed 120m ago",
	} {
		if got := ahead(now, now.Add(off)); got != want {
			t.Errorf("%s: %q, not %q", off, got, want)
		}
	}
	if got := span(-time.Minute); got != "0s" {
		t.Errorf("a negative time is %q", got)
	}
}

// TestFaultB21AgentsAreNamed: who rolls back under an agent is told that the agent brings the revision back.
func TestFaultB21AgentsAreNamed(t *testing.T) {
	d := &appsv1.Deployment{}
	d.Name = "shop"
	if got := appliedAgain(d); !strings.Contains(got, "in the cluster only") {
		t.Error(got)
	}
	d.Labels = map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}
	if got := appliedAgain(d); !strings.Contains(got, "Flux applies deployment/shop from Git; change it there, too") {
		t.Error(got)
	}
	d.Annotations = map[string]string{"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:demo/shop"}
	if got := appliedAgain(d); !strings.Contains(got, "Argo CD applies") {
		t.Error(got)
	}
}

// TestSpoiltStep: a release whose memory somebody has edited to be at no step can still be spoken of.
func TestSpoiltStep(t *testing.T) {
	rel := &v1alpha1.Release{}
	rel.Name, rel.Spec.Plan.Steps = "shop-1", []v1alpha1.CanaryStep{{Name: "half"}}
	for _, step := range []int32{-1, 1} {
		rel.Status.Memory = &v1alpha1.ReleaseMemory{Step: step}
		if early := tooEarly(rel, v1alpha1.VerbPromote); early != "" {
			t.Errorf("at step %d: %s", step, early)
		}
		if word := wordOn(rel, v1alpha1.VerbApprove); word.Step != "" || word.Release != "shop-1" {
			t.Errorf("at step %d: %+v", step, word)
		}
	}
}
