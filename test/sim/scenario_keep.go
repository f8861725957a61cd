package sim

import (
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file has blue-green, and the old pods that are kept for a rollback: what can happen while they are, and at each
// moment in which that begins or ends.

// blueGreen is the plan of a release whose Services themselves change over, with a person at both steps.
func blueGreen() Config {
	c := manual()
	pause := release.Pause{Kind: release.PauseManual}
	c.Plan.Divide = release.BySelector
	c.Plan.Steps = []release.Step{
		{Name: stepName(0), Share: 100, Pause: pause}, {Name: stepName(1), Weight: 100, Pause: pause},
	}
	return c
}

// lacksStep: the story is one of a third step, and its plan has two.
func (s *Scenario) lacksStep() bool {
	_, third := strings.CutSuffix(s.Name, "-3")
	return third && len(s.Config.Plan.Steps) < 3
}

// keepStride is which part of the faults the stories of blue-green and of kept pods are told with: as gateStride, but less
// often, since most of what happens in them happens in the other stories, too.
const keepStride = 19

// keptFor is how long the old pods of these stories are kept.
const keptFor = 40 * time.Second

// old is a condition on the old ReplicaSet of the first release, which the workload hands over.
func old(also func(p *Picture, old ReplicaSet) bool) Moment {
	return first(func(p *Picture) bool { return p.Release.Memory.HandedOver && also(p, p.Sets[0]) })
}

// kept: the release says that it keeps the old pods.
var kept = remembered(func(m release.Memory) bool { return !m.KeptFrom.IsZero() })

// keepings are the moments of the time in which old pods are kept, from the beginning of the hand-over until it is over.
var keepings = []struct {
	name string
	when Moment
}{
	{"crossing", old(func(*Picture, ReplicaSet) bool { return true })},
	{"old-taken", old(func(_ *Picture, old ReplicaSet) bool { return old.Owner == OwnedByRelease })},
	{"handed", given(func(*Picture, ReplicaSet) bool { return true })},
	{"let-go", given(func(p *Picture, _ ReplicaSet) bool { return !p.Paused })},
	{"kept", kept},
	{"ending", old(func(_ *Picture, old ReplicaSet) bool { return old.Desired == 0 })},
	{"given-back", old(func(_ *Picture, old ReplicaSet) bool { return old.Desired == 0 && old.Owner == OwnedByDeployment })},
	{"over", phase(release.Succeeded)},
}

// keepDeeds are what can happen then. ends is what the release comes to if it happens while the pods are kept.
var keepDeeds = []struct {
	name string
	do   []Action
	ends release.EndReason
}{
	{"rollback", []Action{{Verb: DoRollback}}, release.AbortedByUser},
	{"abort", []Action{{Verb: DoAbort}}, release.AbortedByUser},
	{"promote", []Action{{Verb: DoPromote}}, release.NotEnding},
	{"edit", []Action{{Verb: DoEdit, N: 2}}, release.NotEnding},
	{"back", []Action{{Verb: DoEdit, N: 0}}, release.BackToStable},
	{"scale-up", []Action{{Verb: DoScale, N: 6}}, release.NotEnding},
	{"scale-down", []Action{{Verb: DoScale, N: 2}}, release.NotEnding},
	{"zero", []Action{{Verb: DoScale, N: 0}}, release.NotEnding},
	{"scale-up-rollback", []Action{{Verb: DoScale, N: 6}, {Verb: DoRollback}}, release.AbortedByUser},
	{"vanish", []Action{{Verb: DoVanish}}, release.WorkloadRemoved},
	{"remove", []Action{{Verb: DoRemove}}, release.NotEnding},
	{"relabel", []Action{{Verb: DoRelabel, M: 1}}, release.NotEnding},
	{"unhold", []Action{{Verb: DoUnhold}}, release.NotEnding},
	{"takeover", []Action{{Verb: DoTakeOver}}, release.NotEnding},
}

// wayBack is what can happen on the way back to old pods.
var wayBack = []struct {
	name string
	do   []Action
}{
	{"edit", []Action{{Verb: DoEdit, N: 2}}},
	{"remove", []Action{{Verb: DoRemove}}},
	{"scale", []Action{{Verb: DoScale, N: 6}}},
	{"zero-and-up", []Action{{Verb: DoScale, N: 0}, {Verb: DoScale, N: 3}}},
	{"vanish", []Action{{Verb: DoVanish}}},
	{"relabel", []Action{{Verb: DoRelabel, M: 1}}},
	{"takeover", []Action{{Verb: DoTakeOver}}},
}

// keepStories are what happens around old pods that are kept: all of it on one layer and in blue-green, and a part on
// the others.
func keepStories() []Scenario {
	var all []Scenario
	for i, top := range topologies {
		if top.config().Plan.Layers == nil && top.config().Plan.Divide != release.BySelector {
			continue // Without layers the Services lead to all pods.
		}
		for j, deed := range keepDeeds {
			for k, m := range keepings {
				if top.stride == 0 && (i+j+k)%3 != 0 && m.name != "kept" {
					continue
				}
				s := keepStory(top.name, deed.name, m.name, top.config(), on(m.when, deed.do...))
				if m.name == "kept" {
					s.Ends = deed.ends
				}
				if deed.name == "remove" { // A fault may have it come before the hand-over, which is then taken back.
					s.Family = top.name + "/remove"
				}
				all = append(all, s)
			}
		}
		all = append(all, keepStory(top.name, "clean", "never", top.config()))
		for _, then := range wayBack {
			all = append(all, keepStory(top.name, "rollback-then-"+then.name, "kept", top.config(),
				on(kept, Action{Verb: DoRollback}), on(aborting, then.do...)))
		}
	}
	return all
}

func keepStory(top, deed, when string, c Config, triggers ...Trigger) Scenario {
	c.Plan.KeepOld = keptFor
	triggers = append([]Trigger{on(always, Action{Verb: DoEdit, N: 1})}, triggers...)
	name := top + "/keep-" + deed
	return Scenario{Name: name + "-when-" + when, Family: name, Config: c, Triggers: triggers, Every: keepStride}
}

// unhold is somebody who deletes the Hold of a Service. With it goes what the team's selector was, so that from now on it
// is what the Service has, without the hash.
func (w *World) unhold(a Action) {
	if _, held := at[Hold](&w.store.table, serviceHoldKey(a.N)); held {
		w.put(Person, serviceHoldKey(a.N), nil)
		s, _ := w.service(a.N)
		w.manifest.label[a.N] = s.Selector.Label
		w.checks.excuse.unheld[a.N] = true
		w.checks.excuse.overwritten(w.Tick)
	}
}
