package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Analysis is what is measured of a release.
type Analysis struct {
	Name    string
	Phase   v1alpha1.AnalysisPhase
	Metrics []Metric
}

// Metric is one metric of an Analysis.
type Metric struct {
	Name  string
	Phase v1alpha1.AnalysisPhase
	// Last says what was measured last, and how often before.
	Last string
}

// analyses are those that the release under way controls, oldest first.
func (o Objects) analyses() []Analysis {
	if !o.Measures() {
		return nil
	}
	runs := slices.DeleteFunc(slices.Clone(o.Analyses), func(r v1alpha1.AnalysisRun) bool {
		return !metav1.IsControlledBy(&r, o.Release)
	})
	slices.SortFunc(runs, func(a, b v1alpha1.AnalysisRun) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	var out []Analysis
	for _, run := range runs {
		a := Analysis{Name: run.Name, Phase: cmp.Or(run.Status.Phase, v1alpha1.AnalysisPending)}
		for _, m := range run.Status.Metrics {
			a.Metrics = append(a.Metrics, Metric{Name: m.Name, Phase: m.Phase, Last: lastOf(m)})
		}
		out = append(out, a)
	}
	return out
}

// lastOf is what was measured last, and how often before.
func lastOf(m v1alpha1.MetricResult) string {
	if len(m.Measurements) == 0 {
		return "not measured yet"
	}
	last := m.Measurements[len(m.Measurements)-1]
	first, _, _ := strings.Cut(last.Message, "\n")
	text := strings.Trim(last.Value+": "+first, ": ")
	counts := fmt.Sprintf("%d good, %d bad", m.Successful, m.Failed)
	if m.Inconclusive > 0 {
		counts += fmt.Sprintf(", %d inconclusive", m.Inconclusive)
	}
	if m.Errors > 0 {
		counts += fmt.Sprintf(", %d errors", m.Errors)
	}
	if m.DryRun {
		counts += ", a dry run"
	}
	return text + " (" + counts + ")"
}
