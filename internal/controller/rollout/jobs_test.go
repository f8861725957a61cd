package rollout

import (
	"context"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/release"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestFaultA14JobsRefused proves that a Rollout that has a Job run where the controller was not let is refused before
// anything moves, with the command that lets it, and goes on when that is done.
func TestFaultA14JobsRefused(t *testing.T) {
	ro := canary(25, 50)
	ro.Spec.Canary.Steps[0].Analysis = &v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: "smoke"}}}
	c := newCluster(t, team(ro)...)
	c.add(template("smoke", func(s *v1alpha1.AnalysisTemplateSpec) {
		s.Metrics[0].Provider = v1alpha1.MetricProvider{Job: &v1alpha1.JobProvider{Containers: []v1alpha1.JobContainer{{Name: "c", Image: "i"}}}}
		s.Metrics[0].SuccessCondition = ""
	}))
	may, asked := false, ""
	c.r.MayRunJobs = func(_ context.Context, namespace string) (bool, error) { asked = namespace; return may, nil }
	c.settle()
	want := "spec.canary.steps[0].analysis runs a Job, and the controller may not create Jobs in namespace " + namespace +
		"; let the controller run Jobs in this namespace: kubectl create rolebinding sluice-job-runner -n " + namespace
	if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonSpecRefused || !strings.Contains(w.Message, want) {
		t.Errorf("it says %+v; want %q", w, want)
	}
	if asked != namespace {
		t.Errorf("asked for namespace %q", asked)
	}
	may = true
	c.settle()
	if w := c.rollout().Status.WaitingFor; w != nil && w.Reason == release.ReasonSpecRefused {
		t.Errorf("it still says %+v", w)
	}
}
