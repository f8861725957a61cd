package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// Scenario is one story that is told again with every fault there is.
type Scenario struct {
	Name string
	// Family are the stories in which the same thing is done at another moment: a fault that delays it, or what it
	// meets, may make one of them end as another.
	Family   string
	Config   Config
	Triggers []Trigger
	// Every so many faults one is tried; 0 for all of them.
	Every int
	// Ends says what the story must come to without a fault, where that has to be said: the end of its last release.
	Ends release.EndReason
	// Races: when a Service's edit is seen late, it may end as another one of its family.
	Races bool
	// Clocks has the clocks set at every tick.
	Clocks bool
}

// manual is the plan of the scenarios: a person at every step, so that what happens does not depend on how long
// anything takes.
func manual(layers ...string) Config {
	c := newConfig()
	c.AutoPromote = true
	c.Plan.Layers = layers
	pause := release.Pause{Kind: release.PauseManual}
	c.Plan.Steps = []release.Step{
		{Name: stepName(0), Weight: 0, Replicas: 1, Matches: matchTable[1], Pause: pause},
		{Name: stepName(1), Weight: 50, Pause: pause},
		{Name: stepName(2), Weight: 100, Pause: pause},
	}
	if len(layers) == 0 {
		c.Plan.Steps[0] = release.Step{Name: stepName(0), Weight: 20, Pause: pause}
	}
	if len(layers) > 1 {
		c.Services = 2
	}
	c.Plan.ReleaseDeadline = 1500 * time.Second
	return c
}

// topologies are the ways to split. stride is which part of the faults its stories are told with; 0 for all.
var topologies = []struct {
	name   string
	config func() Config
	stride int
}{
	{"ingress", func() Config { return manual("ingress") }, 0},
	{"route", func() Config { return manual("route") }, 0},
	{"both", func() Config { return manual("ingress", "route") }, 0},
	{"pods", func() Config { return manual() }, 0},
	{"selector", blueGreen, keepStride},
}

// first is a condition on the first release.
func first(when Moment) Moment {
	return func(p *Picture) bool { return p.Release.Number == 1 && when(p) }
}

// remembered is a condition on what the first release remembers.
func remembered(f func(release.Memory) bool) Moment {
	return first(func(p *Picture) bool { return f(p.Release.Memory) })
}

func begun(step int) Moment {
	return remembered(func(m release.Memory) bool {
		return m.Phase == release.Progressing && m.Step == step && m.StepReachedAt.IsZero()
	})
}

func reached(step int) Moment {
	return remembered(func(m release.Memory) bool { return m.Step == step && !m.StepReachedAt.IsZero() })
}

// given: the workload has been given the new pods.
func given(also func(p *Picture, old ReplicaSet) bool) Moment {
	return first(func(p *Picture) bool {
		return p.Release.Memory.HandedOver && p.Sets[1].Owner == OwnedByDeployment && also(p, p.Sets[0])
	})
}

func phase(of release.Phase) Moment {
	return remembered(func(m release.Memory) bool { return m.Phase == of })
}

// completions are the moments of completion, from its beginning until it is over.
var completions = []struct {
	name string
	when Moment
}{
	{"completing", phase(release.Completing)},
	{"draining", remembered(func(m release.Memory) bool {
		return m.Phase == release.Completing && !m.DrainFrom.IsZero()
	})},
	{"crossing", remembered(func(m release.Memory) bool { return m.HandedOver })},
	{"handed", given(func(*Picture, ReplicaSet) bool { return true })},
	{"taken", given(func(_ *Picture, old ReplicaSet) bool { return old.Desired == 0 })},
	{"settled", given(func(_ *Picture, old ReplicaSet) bool { return old.Pods == 0 && old.Desired == 0 })},
	{"let-go", given(func(p *Picture, _ ReplicaSet) bool { return !p.Paused })},
	{"over", phase(release.Succeeded)},
}

// Scenarios is every story on every topology.
func Scenarios() []Scenario {
	var all []Scenario
	for _, top := range topologies {
		add := func(name string, triggers ...Trigger) *Scenario {
			triggers = append([]Trigger{{When: always, Do: []Action{{Verb: DoEdit, N: 1}}}}, triggers...)
			family, _, _ := strings.Cut(strings.ReplaceAll(name, "-before-", "-at-"), "-at-")
			family, _, _ = strings.Cut(family, "-when-")
			s := Scenario{
				Name: top.name + "/" + name, Family: top.name + "/" + family, Config: top.config(), Triggers: triggers,
				Every: top.stride,
			}
			if s.lacksStep() {
				return &s
			}
			all = append(all, s)
			return &all[len(all)-1]
		}
		add("clean")
		stepStories(add)
		completionStories(add)
		changeStories(add)
		failureStories(add)
		zeroStories(add)
		before := len(all)
		gateStories(add)
		clockStories(add)
		for i := before; i < len(all); i++ {
			all[i].Every = max(top.stride, gateStride)
		}
	}
	return append(all, keepStories()...)
}

func always(*Picture) bool { return true }

func on(when Moment, actions ...Action) Trigger { return Trigger{When: when, Do: actions} }

// stepStories are what can happen at each step.
func stepStories(add func(string, ...Trigger) *Scenario) {
	for _, story := range []struct {
		name string
		do   []Action
	}{
		{"abort", []Action{{Verb: DoAbort}}},
		{"edit", []Action{{Verb: DoEdit, N: 2}}},
		{"back", []Action{{Verb: DoEdit, N: 0}}},
		{"remove", []Action{{Verb: DoRemove}}},
		{"full", []Action{{Verb: DoPromoteFull}}},
		{"scale-up", []Action{{Verb: DoScale, N: 6}}},
		{"scale-down", []Action{{Verb: DoScale, N: 2}}},
		{"scale-to-zero-and-back", []Action{{Verb: DoScale, N: 0}, {Verb: DoScale, N: 3}}},
		{"pause-resume", []Action{{Verb: DoPause}}},
		{"takeover", []Action{{Verb: DoTakeOver}}},
	} {
		for step := range 3 {
			add(fmt.Sprintf("%s-at-%d", story.name, step+1), on(reached(step), story.do...))
			add(fmt.Sprintf("%s-before-%d", story.name, step+1), on(begun(step), story.do...))
		}
	}
	for step := range 3 {
		early := add(fmt.Sprintf("promote-before-%d", step+1),
			on(begun(step), Action{Verb: DoPromote}, Action{Verb: DoPromote, M: 1}))
		early.Every = gateStride
	}
	add("abort-then-supersede", on(reached(1), Action{Verb: DoAbort}), on(aborting, Action{Verb: DoEdit, N: 2}))
	add("abort-then-remove", on(reached(1), Action{Verb: DoAbort}), on(aborting, Action{Verb: DoRemove}))
	add("supersede-twice", on(reached(1), Action{Verb: DoEdit, N: 2}), on(aborting, Action{Verb: DoEdit, N: 3}))
	add("revert", on(reached(1), Action{Verb: DoAbort})).Config.Plan.Revert = true
	add("lie-of-the-workload", on(always, Action{Verb: DoLie, N: 0})).Config.Policy = false
	add("lie-of-services", on(always, Action{Verb: DoLie, N: 1}))
	add("rollback", on(completions[len(completions)-1].when, Action{Verb: DoEdit, N: 0}))
}

var aborted = phase(release.Aborted)

var aborting = phase(release.Aborting)

// completionStories are what can happen at each moment of completion.
func completionStories(add func(string, ...Trigger) *Scenario) {
	for _, c := range completions {
		add("edit-when-"+c.name, on(c.when, Action{Verb: DoEdit, N: 2}))
		add("back-when-"+c.name, on(c.when, Action{Verb: DoEdit, N: 0}))
		add("remove-when-"+c.name, on(c.when, Action{Verb: DoRemove}))
		add("abort-when-"+c.name, on(c.when, Action{Verb: DoAbort}))
		add("scale-up-when-"+c.name, on(c.when, Action{Verb: DoScale, N: 6}))
		add("scale-down-when-"+c.name, on(c.when, Action{Verb: DoScale, N: 2}))
	}
}

// failureStories are releases that cannot go well.
func failureStories(add func(string, ...Trigger) *Scenario) {
	never := add("never-ready")
	never.Config.Bad[1] = true
	pause := add("never-ready-pause", on(failed, Action{Verb: DoAbort}))
	pause.Config.Bad[1] = true
	pause.Config.Plan.OnFailure = release.FailurePauses
	fix := add("never-ready-fix", on(begun(0), Action{Verb: DoEdit, N: 2}))
	fix.Config.Bad[1] = true
	late := add("never-promoted")
	late.Config.AutoPromote = false
	late.Config.Plan.ReleaseDeadline = 200 * time.Second
}

var failed = pausedBy("sluice")

// playIn runs the story in a new world, with one fault.
func (s Scenario) playIn(w *World, f Fault) *Violation {
	w.Fault = f
	w.people.cast = *s.Cast()
	return w.play(func() {
		bound := s.Bound()
		if !w.run(bound, w.atRest) {
			w.checks.breaks(w, "L1", "no rest within %d ticks: %s", bound, w.standing())
			return
		}
		w.checks.ended(w)
	})
}

// Bound is within how many ticks the story has to come to an end.
func (s Scenario) Bound() int { return int(s.Config.Plan.ReleaseDeadline/time.Second) + 800 }

// MayEndAs says whether a fault may make the story end as another one of its family: when it delays what somebody does,
// and whenever that meets the completion, since then it depends on the moment.
func (s Scenario) MayEndAs(f Fault) bool {
	late := f.watches() && (f.Kind == KDecision || f.Kind == KRollout || f.Kind == KDeployment || f.Kind == KAnalysis ||
		s.Races && f.Kind == KService)
	return late || strings.Contains(s.Name, "-when-") || strings.Contains(s.Name, "-3")
}

// ending is the end state: what runs, what is held, what is remembered.
func (w *World) ending() string {
	d, exists := w.deployment()
	rollout, managed := w.rollout()
	return fmt.Sprintf("deployment %t %s x%d paused %t; rollout %t stable %s rejected %s",
		exists, d.Template, d.Replicas, d.Paused, managed, rollout.Stable, rollout.Rejected)
}
