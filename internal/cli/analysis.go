package cli

import (
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// showAnalyses shows each analysis with its metrics and the last value of each.
func (t tree) showAnalyses(b *strings.Builder) {
	if len(t.picture.Analyses) == 0 {
		return
	}
	t.title(b, "Analysis")
	tab := table{indent: "  ", gap: 2}
	for _, a := range t.picture.Analyses {
		tab.row(cell{a.Name, bold}, cell{string(a.Phase), analysisColour(a.Phase)}, cell{})
		for i, m := range a.Metrics {
			branch := "├─ "
			if i == len(a.Metrics)-1 {
				branch = "└─ "
			}
			tab.row(cell{branch + m.Name, plain}, cell{string(m.Phase), analysisColour(m.Phase)}, cell{m.Last, dim})
		}
	}
	tab.write(b, t.paint)
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
