package cli

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// The marks of steps.
const (
	markDone    = "✔"
	markCurrent = "●"
	markToCome  = "○"
	markStopped = "✘"
	markSkipped = "»"
)

func (t tree) showSteps(b *strings.Builder) {
	steps, current := t.view.steps()
	if len(steps) == 0 {
		return
	}
	t.title(b, t.view.stepsOf())
	next := t.view.changedSteps()
	tab := table{indent: "  ", gap: 2}
	for i, s := range steps {
		mark, c := t.view.mark(i, current)
		gates := gateText(s)
		if mark == markSkipped {
			gates = "skipped"
		}
		tab.row(cell{mark, c}, cell{fmt.Sprint(i + 1), dim}, cell{stepName(steps, i), plain}, cell{fmt.Sprintf("%d%%", weight(s)), c},
			cell{matchText(s.Match), plain}, cell{gates, plain}, cell{changed(next, i), yellow})
	}
	for i := len(steps); i < len(next); i++ {
		tab.row(cell{}, cell{fmt.Sprint(i + 1), dim}, cell{}, cell{}, cell{}, cell{}, cell{changed(next, i), yellow})
	}
	mark, c := t.view.mark(len(steps), current)
	tab.row(cell{mark, c}, cell{}, cell{"complete", plain}, cell{}, cell{}, cell{"the workload takes the new revision over", dim})
	tab.write(b, t.paint)
}

// stepsOf is the title of the steps: whose they are, where that is not the release under way.
func (v *view) stepsOf() string {
	switch {
	case v.release == nil:
		return "Steps of the next release"
	case v.release.Status.Phase.Terminal():
		return "Steps of " + v.release.Name + ", which has ended"
	}
	return "Steps"
}

// steps of the release shown, or of the next one where there has been none; current is -1 then.
func (v *view) steps() ([]v1alpha1.CanaryStep, int) {
	switch {
	case v.release != nil:
		return v.release.Spec.Plan.Steps, currentStep(v.release)
	case v.rollout != nil:
		return v.rollout.Spec.Canary.Steps, -1
	}
	return nil, -1
}

// changedSteps says for each step in what the next release will differ; it is empty where it will not. A rollback has a
// plan of its own.
func (v *view) changedSteps() []string {
	if v.release == nil || v.rollout == nil || v.release.Spec.Cause == v1alpha1.CauseRollback {
		return nil
	}
	now, then := translate.Plan(v.rollout, nil).Steps, v.release.Spec.Plan.Steps
	out := make([]string, max(len(now), len(then)))
	for i := range out {
		switch {
		case i >= len(now):
			out[i] = "not in the next release"
		case i >= len(then) || !equality.Semantic.DeepEqual(now[i], then[i]):
			out[i] = strings.TrimRight(fmt.Sprintf("in the next release: %s %d%% %s", stepName(now, i), weight(now[i]),
				strings.TrimSpace(matchText(now[i].Match)+" "+gateText(now[i]))), " ")
		}
	}
	return out
}

func changed(next []string, i int) string {
	if i < len(next) {
		return next[i]
	}
	return ""
}

// mark of step i, the completion being the one after the last. The steps before the current one were in force.
func (v *view) mark(i, current int) (string, colour) {
	m, steps := &v1alpha1.ReleaseMemory{}, 0
	if v.release != nil {
		steps = len(v.release.Spec.Plan.Steps)
		if v.release.Status.Memory != nil {
			m = v.release.Status.Memory
		}
	}
	taken := int(max(m.Step, m.Reached))
	switch {
	case current < 0 || i > current:
		return markToCome, dim
	case i < current && current == steps && m.Full && i >= taken:
		return markSkipped, dim
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
