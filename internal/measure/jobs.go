package measure

import (
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Jobs is the field of the Rollout that has a Job run, in a frozen plan that Check found sound; empty if none does.
func Jobs(plan v1alpha1.ReleasePlan) string {
	for _, a := range analyses(plan) {
		step := plan.Steps[a.Step]
		values := Names(&v1alpha1.Rollout{}, "", step)
		metrics, err := Metrics(plan, a.At, values, AnyRequestMetrics())
		if err != nil {
			continue // Has been told.
		}
		if slices.ContainsFunc(metrics, func(m v1alpha1.Metric) bool { return m.Provider.Job != nil }) {
			return a.field
		}
	}
	return ""
}
