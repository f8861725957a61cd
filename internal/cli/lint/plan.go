package lint

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// checkPlan has the mind look at what the Rollout comes to.
func checkPlan(d *document, r *v1alpha1.Rollout) []Problem {
	var out []Problem
	for _, p := range release.Validate(translate.Spec(translate.Plan(r), "", "")) {
		out = append(out, d.problem(p.Field, p.Message+"; "+p.Remedy))
	}
	return out
}
