package measure

import (
	"fmt"
	"slices"

	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// CheckTemplate finds what is wrong with the metrics of one template, whoever may name it. A condition in which an
// argument without a default stands is not looked at: what it says is known only when the argument is given.
func CheckTemplate(spec v1alpha1.AnalysisTemplateSpec) []Problem {
	var out []Problem
	values := map[string]string{}
	for _, name := range metric.BuiltIn {
		values[name] = placeholder
	}
	var args []v1alpha1.AnalysisArgument
	var open []string
	for _, a := range spec.Args {
		if a.Value == nil {
			open = append(open, metric.ArgumentPrefix+a.Name)
			a.Value = ptr.To("")
		}
		args = append(args, a)
	}
	for i, m := range spec.Metrics {
		m.SuccessCondition, m.FailureCondition = unlessOpen(m.SuccessCondition, open), unlessOpen(m.FailureCondition, open)
		known := !speaksOf(m.Provider, open) // As far as arguments without a value stand in it, it is not.
		m, err := filled(m, args, values)
		if err == nil && known {
			err = checkedSource(m)
		}
		if err != nil {
			out = append(out, Problem{Field: fmt.Sprintf("spec.metrics[%d]", i), Message: err.Error()})
		}
	}
	return out
}

func unlessOpen(condition string, open []string) string {
	if slices.ContainsFunc(metric.Names(condition), func(n string) bool { return slices.Contains(open, n) }) {
		return ""
	}
	return condition
}
