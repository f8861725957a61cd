package cli

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The marks of steps.
const (
	markDone    = "✔"
	markCurrent = "●"
	markToCome  = "○"
	markStopped = "✘"
)

func (t tree) showSteps(b *strings.Builder) {
	steps, current := t.view.steps()
	if len(steps) == 0 {
		return
	}
	t.title(b, "Steps")
	tab := table{indent: "  ", gap: 2}
	for i, s := range steps {
		mark, c := t.view.mark(i, current)
		tab.row(cell{mark, c}, cell{fmt.Sprint(i + 1), dim}, cell{stepName(steps, i), plain}, cell{fmt.Sprintf("%d%%", weight(s)), c},
			cell{matchText(s.Match), plain}, cell{gateText(s), plain})
	}
	mark, c := t.view.mark(len(steps), current)
	tab.row(cell{mark, c}, cell{}, cell{"complete", plain}, cell{}, cell{}, cell{"the workload takes the new revision over", dim})
	tab.write(b, t.paint)
}

// steps of the release shown, or of the next one; current is -1 where none is.
func (v *view) steps() ([]v1alpha1.CanaryStep, int) {
	switch {
	case v.release != nil && (v.named || v.underWay()):
		return v.release.Spec.Plan.Steps, currentStep(v.release)
	case v.rollout != nil:
		return v.rollout.Spec.Canary.Steps, -1
	}
	return nil, -1
}

// mark of step i, the completion being the one after the last.
func (v *view) mark(i, current int) (string, colour) {
	switch {
	case current < 0 || i > current:
		return markToCome, dim
	case i < current:
		return markDone, green
	}
	switch v.release.Status.Phase {
	case v1alpha1.ReleaseAborting, v1alpha1.ReleaseAborted, v1alpha1.ReleaseSuperseded:
		return markStopped, red
	case v1alpha1.ReleaseSucceeded:
		return markDone, green
	default:
		return markCurrent, yellow
	}
}

// currentStep is the index of the step in which a release is; that after the last when it completes or has succeeded.
func currentStep(r *v1alpha1.Release) int {
	switch {
	case r.Status.Phase == v1alpha1.ReleaseCompleting, r.Status.Phase == v1alpha1.ReleaseSucceeded:
		return len(r.Spec.Plan.Steps)
	case r.Status.Memory == nil:
		return 0
	}
	return int(r.Status.Memory.Step)
}

func stepName(steps []v1alpha1.CanaryStep, i int) string {
	if steps[i].Name != "" {
		return steps[i].Name
	}
	return fmt.Sprintf("step-%d", i+1)
}

func weight(s v1alpha1.CanaryStep) int32 {
	if s.Weight == nil {
		return 0
	}
	return *s.Weight
}

func matchText(match []v1alpha1.RequestMatch) string {
	var any []string
	for _, m := range match {
		var all []string
		for _, h := range m.Headers {
			if h.Regex != "" {
				all = append(all, "header "+h.Name+"~"+h.Regex)
			} else {
				all = append(all, "header "+h.Name+"="+h.Value)
			}
		}
		for _, c := range m.Cookies {
			all = append(all, "cookie "+c.Name+"="+c.Value)
		}
		any = append(any, strings.Join(all, " and "))
	}
	if len(any) == 0 {
		return ""
	}
	return "or " + strings.Join(any, " or ")
}

// gateText is what a step waits for before it is left.
func gateText(s v1alpha1.CanaryStep) string {
	var gates []string
	if p := pauseText(s.Pause); p != "" {
		gates = append(gates, p)
	}
	if s.Analysis != nil {
		gates = append(gates, "until "+strings.Join(measured(s.Analysis), ", ")+" is good")
	}
	if a := s.Approval; a != nil {
		required := int32(1)
		if a.Required != nil {
			required = *a.Required
		}
		from := append([]string{}, a.From.Users...)
		for _, g := range a.From.Groups {
			from = append(from, "group "+g)
		}
		gates = append(gates, fmt.Sprintf("until %d of %s approved", required, strings.Join(from, ", ")))
	}
	return strings.Join(gates, ", ")
}

func measured(a *v1alpha1.StepAnalysis) []string {
	var out []string
	for _, t := range a.Templates {
		out = append(out, t.Name)
	}
	if a.Builtin != "" {
		out = append(out, a.Builtin)
	}
	return out
}

func pauseText(p *v1alpha1.Pause) string {
	switch {
	case p == nil:
		return ""
	case p.Duration == nil:
		return "until promoted"
	}
	return "for " + duration.HumanDuration(p.Duration.Duration)
}
