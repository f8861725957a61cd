package release

import (
	"fmt"
	"strings"
	"time"
)

// PlannedStep is what a release would do in one step, or in its completion, before anything moves.
type PlannedStep struct {
	// Name of the step; the last one is "completion".
	Name string
	// Weight is the share of requests, in percent, that the new revision gets. Without traffic layers it is
	// the nearest one that whole pods can make.
	Weight int
	// Matches is the number of request matches that go to the new revision besides.
	Matches int
	// CanaryPods and StablePods are the two versions' pods in this step, ExtraPods how many they are together
	// above what the workload has otherwise.
	CanaryPods, StablePods, ExtraPods int
	// WaitsFor are the conditions to leave the step, in order, as sentences.
	WaitsFor []string
	// Pause of the step.
	Pause Pause
	// AtLeast is the shortest time that the step takes, not counting the start of pods.
	AtLeast time.Duration
	// AtMost is the longest time before the step fails or is left; zero if only the release's deadline, or a
	// person, ends it.
	AtMost time.Duration
}

// Plan says what a release of a workload with so many replicas would do.
func Plan(s Spec, replicas int) []PlannedStep {
	replicas = max(replicas, 0)
	plan := make([]PlannedStep, 0, len(s.Steps)+1)
	canary := 0
	for i, st := range s.Steps {
		p := planStep(&s, i, replicas)
		p.WaitsFor = planWaits(&s, st, p.CanaryPods)
		if replicas > 0 {
			p.CanaryPods = s.way().asked(&s, i, replicas, canary)
		}
		canary = p.CanaryPods
		p.ExtraPods = p.CanaryPods
		plan = append(plan, p)
	}
	return append(plan, planCompletion(&s, replicas, canary))
}

func planStep(s *Spec, i, replicas int) PlannedStep {
	st := s.Steps[i]
	p := PlannedStep{
		Name: nameOf(s.Steps, i), Weight: st.Weight, Matches: len(st.Matches), Pause: st.Pause, StablePods: replicas,
	}
	if replicas > 0 { // Else nothing starts before the workload is scaled up.
		p.CanaryPods = s.way().pods(st, replicas)
		p.Weight = s.way().weight(st, p.CanaryPods, replicas)
	}
	switch st.Pause.Kind {
	case PauseNone:
		p.AtMost = s.ProgressDeadline
	case PauseTimed:
		p.AtLeast, p.AtMost = st.Pause.Duration, s.ProgressDeadline+st.Pause.Duration
	case PauseManual:
	}
	if st.Approval != nil || st.Analysis {
		p.AtMost = 0
	}
	return p
}

func planWaits(s *Spec, st Step, pods int) []string {
	waits := []string{fmt.Sprintf("%s ready", plural(pods, "new pod"))}
	if pods == 0 {
		waits = []string{"the workload to be scaled up, since it has no pods, or sluice promote --full"}
	}
	waits = append(waits, s.way().stepWaits(s, st)...)
	switch st.Pause.Kind {
	case PauseTimed:
		waits = append(waits, fmt.Sprintf("a pause of %s", st.Pause.Duration))
	case PauseManual:
		waits = append(waits, "somebody to promote it")
	case PauseNone:
	}
	if st.Analysis {
		waits = append(waits, "its analysis to succeed")
	}
	if a := st.Approval; a != nil {
		waits = append(waits, fmt.Sprintf("%s by %s, within %s", plural(a.Required, "approval"), a.who(), a.ExpiresAfter))
	}
	return waits
}

// waitsInForce: the step's weight and matches have to be in force in every layer.
func waitsInForce(s *Spec, st Step) []string {
	return []string{fmt.Sprintf("%s in force in %s", weightAndMatches(st), strings.Join(s.Layers, ", "))}
}

// waitsForServices: the Services lead to the version that is due.
func waitsForServices(_ *Spec, st Step) []string {
	if st.Weight < 100 {
		return []string{"the Services to lead to the old pods alone"}
	}
	return []string{"the Services to lead to the new pods alone"}
}

func weightAndMatches(st Step) string {
	if len(st.Matches) == 0 {
		return fmt.Sprintf("%d%%", st.Weight)
	}
	return fmt.Sprintf("%d%% and %s", st.Weight, plural(len(st.Matches), "match rule"))
}

// waitsForDrain: before the old pods end, no request may reach them any more.
func waitsForDrain(s *Spec) []string {
	waits := []string{"the Services to lead to the new pods alone"}
	if len(s.Layers) > 0 {
		waits = append(waits, "every layer given back: "+strings.Join(s.Layers, ", "))
	}
	return append(waits, fmt.Sprintf("the old pods to drain for %s", s.DrainDelay))
}

func planCompletion(s *Spec, replicas, canary int) PlannedStep {
	p := PlannedStep{
		Name: "completion", Weight: 100, CanaryPods: max(replicas, canary), StablePods: replicas,
		AtMost: 2 * s.ProgressDeadline,
	}
	if s.way().drains {
		p.AtLeast, p.AtMost = s.DrainDelay, p.AtMost+s.DrainDelay
	}
	p.ExtraPods = p.CanaryPods
	p.WaitsFor = []string{fmt.Sprintf("%s ready", plural(p.CanaryPods, "new pod"))}
	p.WaitsFor = append(p.WaitsFor, s.way().finishWaits(s)...)
	if s.KeepOld > 0 {
		p.AtLeast += s.KeepOld
		p.AtMost += s.KeepOld
		p.WaitsFor = append(p.WaitsFor, "the workload to take the new pods over",
			fmt.Sprintf("the old pods to stay for %s, or somebody to promote", s.KeepOld))
		return p
	}
	p.WaitsFor = append(p.WaitsFor, "the workload to take the new pods over and end the old ones")
	return p
}
