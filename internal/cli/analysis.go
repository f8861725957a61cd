package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// addAnalyses reads what is measured of the release under way.
func (s sources) addAnalyses(ctx context.Context, v *view) {
	if !v.underWay() || !measures(v.release.Spec.Plan) {
		return
	}
	list := &v1alpha1.AnalysisRunList{}
	err := s.objects.List(ctx, list, client.InNamespace(v.release.Namespace), client.MatchingLabels{v1alpha1.LabelRelease: v.release.Name})
	if err != nil {
		v.skip("analyses", err)
		return
	}
	v.analyses = slices.DeleteFunc(list.Items, func(r v1alpha1.AnalysisRun) bool { return !metav1.IsControlledBy(&r, v.release) })
	slices.SortFunc(v.analyses, func(a, b v1alpha1.AnalysisRun) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
}

func measures(p v1alpha1.ReleasePlan) bool {
	return p.Analysis != nil || slices.ContainsFunc(p.Steps, func(s v1alpha1.CanaryStep) bool { return s.Analysis != nil })
}

// showAnalyses shows each analysis with its metrics and the last value of each.
func (t tree) showAnalyses(b *strings.Builder) {
	if len(t.view.analyses) == 0 {
		return
	}
	t.title(b, "Analysis")
	tab := table{indent: "  ", gap: 2}
	for _, run := range t.view.analyses {
		phase := string(cmp.Or(run.Status.Phase, v1alpha1.AnalysisPending))
		tab.row(cell{run.Name, bold}, cell{phase, analysisColour(run.Status.Phase)}, cell{})
		for i, m := range run.Status.Metrics {
			branch := "├─ "
			if i == len(run.Status.Metrics)-1 {
				branch = "└─ "
			}
			tab.row(cell{branch + m.Name, plain}, cell{string(m.Phase), analysisColour(m.Phase)}, cell{lastOf(m), dim})
		}
	}
	tab.write(b, t.paint)
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

func analysisColour(p v1alpha1.AnalysisPhase) colour {
	switch p {
	case v1alpha1.AnalysisSuccessful:
		return green
	case v1alpha1.AnalysisFailed:
		return red
	case v1alpha1.AnalysisInconclusive, v1alpha1.AnalysisError, v1alpha1.AnalysisCancelled:
		return yellow
	case v1alpha1.AnalysisPending, v1alpha1.AnalysisRunning:
		return cyan
	}
	return plain
}
