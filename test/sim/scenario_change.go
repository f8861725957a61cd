package sim

import (
	"fmt"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
)

// changeStories are what the team changes beside the pod template: a Service that selects by another label, together
// with the pods or alone, at every step; and the Rollout's steps, at every step. Without layers a Service that leads to
// one version alone is refused, or fails the step.
func changeStories(add func(string, ...Trigger) *Scenario) {
	labels := func(s *Scenario) *Scenario {
		s.Config.Labels[1], s.Config.Labels[2] = 2, 2
		s.Every = gateStride
		return s.races()
	}
	relabel := Action{Verb: DoRelabel, M: 2}
	// A chart changes a label of the pods and the Service's selector in one go.
	labels(add("chart", on(always, relabel)))
	labels(add("chart-service-first", Trigger{When: always, Do: []Action{relabel}})).before(4)
	labels(add("chart-service-later", later(6, always, relabel))).endsBy(release.NotEnding, release.StepFailed)
	labels(add("chart-abort", on(always, relabel), on(reached(1), Action{Verb: DoAbort}))).endsBy(release.AbortedByUser,
		release.NotEnding)
	labels(add("chart-abort-then-fix", on(always, relabel), on(reached(1), Action{Verb: DoAbort}),
		later(8, aborted, Action{Verb: DoEdit, N: 2})))
	labels(add("chart-abort-then-back", on(always, relabel), on(reached(1), Action{Verb: DoAbort}),
		later(8, aborted, Action{Verb: DoEdit, N: 0}, Action{Verb: DoRelabel, M: 1}))).endsBy(release.AbortedByUser,
		release.NotEnding)
	labels(add("chart-then-back", on(always, relabel),
		later(20, always, Action{Verb: DoEdit, N: 0}, Action{Verb: DoRelabel, M: 1}))).endsBy(release.BackToStable,
		release.NotEnding)
	removed := labels(add("chart-remove", on(always, relabel),
		on(reached(1), Action{Verb: DoRemove}))).endsBy(release.RolloutRemoved, release.NotEnding)
	// A removal that is seen late finds the release further on, as one that comes later does.
	removed.Family = strings.Replace(removed.Family, "/chart-remove", "/remove", 1)
	labels(add("chart-edit", on(always, relabel), on(reached(1), Action{Verb: DoEdit, N: 2})))
	labels(add("chart-shut", on(always, relabel, Action{Verb: DoShut, N: 60})))
	for step := range 3 {
		for _, when := range []struct {
			name string
			f    Moment
		}{{"at", reached(step)}, {"before", begun(step)}} {
			name, pods := fmt.Sprintf("%s-%d", when.name, step+1), release.StepFailed
			if when.name == "before" && step == 2 {
				pods = release.NotEnding // The step before has all its pods.
			}
			labels(add("relabel-"+name, on(when.f, relabel))).endsBy(release.NotEnding, pods)
			labels(add("relabel-merged-"+name, on(when.f, Action{Verb: DoRelabel, M: 12}))).endsBy(release.NotEnding, pods)
			add("plan-"+name, on(when.f, Action{Verb: DoPlan})).Every = gateStride
		}
	}
	for _, c := range completions {
		labels(add("relabel-when-"+c.name, on(c.when, relabel)))
		add("plan-when-"+c.name, on(c.when, Action{Verb: DoPlan})).Every = gateStride
	}
	add("plan-with-image", on(always, Action{Verb: DoPlan})).Every = gateStride
	add("plan-later", later(2, always, Action{Verb: DoPlan})).Every = gateStride
	add("plan-all-the-time", on(always, Action{Verb: DoPlan})).edits(60)
	for step := range 2 {
		add(fmt.Sprintf("stable-down-before-%d", step+1), on(begun(step), Action{Verb: DoOutage, M: 30})).Every = gateStride
	}
}

// endsBy says what the story comes to with layers, and without.
func (s *Scenario) endsBy(layers, pods release.EndReason) *Scenario {
	if divided(s.Config.Plan).Divide == release.ByPods {
		return s.ends(pods)
	}
	return s.ends(layers)
}

// races has a story without layers end as any other one of a Service with another label, when it is late that the hands
// see an edit: seen with the pods' the Service's refuses the release, seen in a step it fails it, and seen when all is
// over it finds nothing amiss. Each of them is right.
func (s *Scenario) races() *Scenario {
	if divided(s.Config.Plan).Divide == release.ByPods {
		top, _, _ := strings.Cut(s.Name, "/")
		s.Races, s.Family = true, top+"/labels"
	}
	return s
}

// before has the first trigger, which edits the pod template, wait so many ticks.
func (s *Scenario) before(ticks int) *Scenario {
	s.Triggers[0].Wait = ticks
	return s
}

// edits has the Rollout's steps edited in each of so many ticks.
func (s *Scenario) edits(ticks int) *Scenario {
	for i := range ticks {
		s.Triggers = append(s.Triggers, later(i, always, Action{Verb: DoPlan}))
	}
	s.Every = 6 * gateStride
	return s
}
