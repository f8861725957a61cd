package view

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// Steps are those of the release shown, or of the next one where there has been none.
type Steps struct {
	// Title says whose they are.
	Title string
	List  []Step
	// Complete is what comes after the last step.
	Complete Step
}

// Step is one step of a release.
type Step struct {
	// Number counts from 1; it is 0 for the completion.
	Number int
	Name   string
	State  StepState
	Weight int32
	// Match says which requests go to the new revision whatever the weight, Gates what the step waits for.
	Match, Gates string
	// Next says in what the next release will differ; mostly empty.
	Next string
}

// StepState is where a step stands.
type StepState string

// The states of a step.
const (
	StepDone    StepState = "Done"
	StepCurrent StepState = "Current"
	StepToCome  StepState = "ToCome"
	// StepStopped: the release was, or is being, taken back in it.
	StepStopped StepState = "Stopped"
	// StepSkipped: the release was promoted past it.
	StepSkipped StepState = "Skipped"
	// StepAdded: only the next release has it. Such a step has a number and Next, and nothing else.
	StepAdded StepState = "Added"
)

func (s Subject) steps() Steps {
	plan, current := s.plan()
	if len(plan) == 0 {
		return Steps{}
	}
	out := Steps{Title: s.stepsTitle()}
	next := s.changedSteps()
	for i := range plan {
		step := Step{
			Number: i + 1, Name: StepName(plan, i), State: s.stateOf(i, current), Weight: WeightOf(plan[i]),
			Match: MatchText(plan[i].Match), Gates: GateText(plan[i]),
		}
		if i < len(next) {
			step.Next = next[i]
		}
		if step.State == StepSkipped {
			step.Gates = "skipped"
		}
		out.List = append(out.List, step)
	}
	for i := len(plan); i < len(next); i++ {
		out.List = append(out.List, Step{Number: i + 1, State: StepAdded, Next: next[i]})
	}
	out.Complete = Step{
		Name: "complete", State: s.stateOf(len(plan), current), Gates: "the workload takes the new revision over",
	}
	return out
}

func (s Subject) stepsTitle() string {
	switch {
	case s.Release == nil:
		return "Steps of the next release"
	case s.Release.Status.Phase.Terminal():
		return "Steps of " + s.Release.Name + ", which has ended"
	}
	return "Steps"
}

// plan is the steps that are shown, and the current one; -1 where there has been no release.
func (s Subject) plan() (steps []v1alpha1.CanaryStep, current int) {
	switch {
	case s.Release != nil:
		return s.Release.Spec.Plan.Steps, CurrentStep(s.Release)
	case s.Rollout != nil:
		return translate.StepsOf(s.Rollout), -1
	}
	return nil, -1
}

// changedSteps says for each step in what the next release will differ; an entry is empty where it will not. A rollback
// has a plan of its own.
func (s Subject) changedSteps() []string {
	if s.Release == nil || s.Rollout == nil || s.Release.Spec.Cause == v1alpha1.CauseRollback {
		return nil
	}
	now, then := translate.Plan(s.Rollout, nil).Steps, s.Release.Spec.Plan.Steps
	out := make([]string, max(len(now), len(then)))
	for i := range out {
		switch {
		case i >= len(now):
			out[i] = "not in the next release"
		case i >= len(then) || !equality.Semantic.DeepEqual(now[i], then[i]):
			more := strings.TrimSpace(MatchText(now[i].Match) + " " + GateText(now[i]))
			text := fmt.Sprintf("in the next release: %s %d%% %s", StepName(now, i), WeightOf(now[i]), more)
			out[i] = strings.TrimRight(text, " ")
		}
	}
	return out
}

// stateOf is the state of step i; the completion is the one after the last. The steps before the current one were
// in force.
func (s Subject) stateOf(i, current int) StepState {
	if s.Release == nil || current < 0 || i > current {
		return StepToCome
	}
	m := s.Release.Status.Memory
	if m == nil {
		m = &v1alpha1.ReleaseMemory{}
	}
	taken, steps := int(max(m.Step, m.Reached)), len(s.Release.Spec.Plan.Steps)
	switch {
	case i < current && current == steps && m.Full && i >= taken:
		return StepSkipped
	case i < current:
		return StepDone
	}
	switch s.Release.Status.Phase {
	case v1alpha1.ReleaseAborting, v1alpha1.ReleaseAborted, v1alpha1.ReleaseSuperseded:
		return StepStopped
	case v1alpha1.ReleaseSucceeded:
		return StepDone
	default:
		return StepCurrent
	}
}

// CurrentStep is the index of the step in which a release is; that after the last when it completes or has
// succeeded. It is no step's where the memory of the release was spoilt.
func CurrentStep(r *v1alpha1.Release) int {
	switch {
	case r.Status.Phase == v1alpha1.ReleaseCompleting, r.Status.Phase == v1alpha1.ReleaseSucceeded:
		return len(r.Spec.Plan.Steps)
	case r.Status.Memory == nil:
		return 0
	}
	return int(r.Status.Memory.Step)
}

// StepAt is the step in which a release is; nil where it is in none.
func StepAt(r *v1alpha1.Release) *v1alpha1.CanaryStep {
	if i := CurrentStep(r); i >= 0 && i < len(r.Spec.Plan.Steps) {
		return &r.Spec.Plan.Steps[i]
	}
	return nil
}

// StepName is the name of step i of these.
func StepName(steps []v1alpha1.CanaryStep, i int) string {
	if steps[i].Name != "" {
		return steps[i].Name
	}
	return fmt.Sprintf("step-%d", i+1)
}

// WeightOf is the weight of a step in percent.
func WeightOf(s v1alpha1.CanaryStep) int32 {
	if s.Weight == nil {
		return 0
	}
	return *s.Weight
}

// StepsInWords is a plan in one line.
func StepsInWords(steps []v1alpha1.CanaryStep) string {
	var out []string
	for _, s := range steps {
		text := fmt.Sprintf("%d%%", WeightOf(s))
		if p := pauseText(s.Pause); p != "" {
			text += " " + p
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// MatchText says which requests match, as what comes on top of a weight; empty where none does.
func MatchText(match []v1alpha1.RequestMatch) string {
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

// GateText is what a step waits for before it is left.
func GateText(s v1alpha1.CanaryStep) string {
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
