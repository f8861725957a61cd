package sim

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// Fumble is how hands can be wrong; the zero value is right. Mutants use it.
type Fumble struct {
	// StaleStart: a new process begins with caches that are so many events old.
	StaleStart int
	// NoRecheck: lost events are never made up for.
	NoRecheck bool
	// StaleCache: decides before the events of its own writes have come.
	StaleCache bool
	// MemoryLast: acts before it remembers.
	MemoryLast bool
	// HoldLast: changes a Service before its original is kept.
	HoldLast bool
	// Unconditional: writes whatever the object has become.
	Unconditional bool
	// Restless: writes routes again that are as they should be.
	Restless bool
	// BareHandOver: hands over while the old ReplicaSet still looks complete.
	BareHandOver bool
	// BareReturn: gives an old ReplicaSet that was kept back without any mark.
	BareReturn bool
	// HashOnly: narrows a Service by the hash alone, whatever labels the version's pods bear.
	HashOnly bool
	// OldPlan: never sees that the Rollout's steps were edited. AtOnce: begins a release with the first look.
	OldPlan, AtOnce bool
	// NoOutbox: answers are not kept with the memory that they took effect in.
	NoOutbox bool
	// Replicas: lets the workload go with the canary's number of pods.
	Replicas bool
	// RawClock: acts by the machine's clock, however it is set.
	RawClock bool
	// OwnStart: begins with the machine's clock, and never hears the API server's.
	OwnStart bool
	// AnyTemplate: lets a held workload go whatever its template.
	AnyTemplate bool
	// ShortHash: takes version 2 for version 1, whose hash begins alike.
	ShortHash bool
	// TrustMark: an annotation makes a release a rollback, which has no steps. TrustLabel: a label makes a Service ours.
	TrustMark, TrustLabel bool
	// Memory spoils what is remembered, From says which revision is stable.
	Memory func(*release.Memory)
	From   func(last Release) string
}

// Mutant is a known bug, put in on purpose.
type Mutant struct {
	Name string
	// Row of the catalogue of what broke other tools.
	Row    string
	Fumble Fumble
	// Keeps: it shows where old pods are kept, so that those stories, which are the last, are played first.
	Keeps bool
	// Mind makes a bad mind of a good one.
	Mind func(Mind) Mind
}

// lies has the mind see another world than there is.
func lies(how func(release.Spec, *release.Observed, *release.Memory)) func(Mind) Mind {
	return func(good Mind) Mind {
		return func(s release.Spec, o release.Observed, m release.Memory, now time.Time) release.Outcome {
			o.Services, o.Layers = slices.Clone(o.Services), slices.Clone(o.Layers)
			seen := m
			how(s, &o, &seen)
			out := good(s, o, seen, now)
			if out.Memory.Equal(seen) {
				out.Memory = m
			}
			return out
		}
	}
}

// plans has the mind follow another spec than was asked for.
func plans(how func(*release.Spec)) func(Mind) Mind {
	return func(good Mind) Mind {
		return func(s release.Spec, o release.Observed, m release.Memory, now time.Time) release.Outcome {
			s.Steps = slices.Clone(s.Steps)
			how(&s)
			return good(s, o, m, now)
		}
	}
}

// acts has the outcome changed.
func acts(how func(release.Spec, release.Observed, release.Memory, *release.Outcome)) func(Mind) Mind {
	return func(good Mind) Mind {
		return func(s release.Spec, o release.Observed, m release.Memory, now time.Time) release.Outcome {
			out := good(s, o, m, now)
			how(s, o, m, &out)
			return out
		}
	}
}

// mutants are the rows of the catalogue that a mind or hands of this shape could have, and some of our own.
func mutants() []Mutant {
	return slices.Concat(orderMutants(), worldMutants(), handMutants(), gateMutants(), changeMutants(), restMutants(),
		keepMutants())
}

// orderMutants do the right things in the wrong order or with the wrong numbers.
func orderMutants() []Mutant {
	return []Mutant{
		{Name: "no drain before pods go", Row: "1, 54", Mind: plans(func(s *release.Spec) { s.DrainDelay = 0 })},
		{Name: "floor for ceil", Row: "14", Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
			if o.Workload.Replicas > 1 {
				o.Workload.Replicas--
			}
		})},
		{Name: "weight before endpoints", Row: "4", Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
			o.Canary.Ready = o.Canary.Desired
			for i := range o.Services {
				o.Services[i].CanaryReady = max(o.Services[i].CanaryReady, o.Canary.Desired)
			}
		})},
		{
			Name: "back to a stable that cannot carry", Row: "4, 5",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				if m.Phase == release.Aborting {
					o.Stable.Desired, o.Stable.Ready = o.Workload.Replicas, o.Workload.Replicas
					for i := range o.Services {
						o.Services[i].ReadyStable = o.Workload.Replicas
					}
				}
			}),
		},
		{Name: "advance without looking", Row: "36", Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
			for i := range o.Layers {
				o.Layers[i].Settled, o.Layers[i].Settle = true, 0
			}
		})},
		{
			Name: "a removal counts as in force at once", Row: "C1",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				for i := range o.Layers {
					if !o.Layers[i].Routed {
						o.Layers[i].Settle = 0
					}
				}
			}),
		},
		{
			Name: "Accepted counts as in force", Row: "C7",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				for i := range o.Layers {
					if o.Layers[i].Name == "route" {
						o.Layers[i].Settle = 0
					}
				}
			}),
		},
		{
			Name: "canary pods before the Service is narrowed", Row: "13",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				for i := range o.Services {
					if s := &o.Services[i]; m.Phase == release.Progressing && s.Selects == release.SelectsAll {
						s.Selects, s.Held = release.SelectsStable, true
					}
				}
			}),
		},
		{
			Name: "canary shrinks in the barrier of the abort", Row: "7",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if out.Memory.Phase == release.Aborting && o.Canary.Desired > 0 && !o.Canary.Adopted {
					out.Actions = append(out.Actions, release.ScaleCanary{Replicas: 0})
				}
			}),
		},
		{
			Name: "Service widened with the canary's pods still there", Row: "37",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if out.Memory.Phase != release.Aborting || o.Canary.Pods == 0 || len(o.Services) == 0 ||
					!slices.Contains(out.Actions, release.Action(release.ScaleCanary{})) {
					return
				}
				out.Actions = append([]release.Action{release.SelectService{Service: o.Services[0].Name, To: release.SelectsAll}},
					out.Actions...)
			}),
		},
		{
			Name: "selector turned to pods that are not ready", Row: "3, 6",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				for i := range o.Services {
					if out.Memory.Phase == release.Completing && o.Canary.Ready < o.Workload.Replicas &&
						o.Services[i].Selects == release.SelectsStable {
						out.Actions = append(out.Actions, release.SelectService{Service: o.Services[i].Name, To: release.SelectsCanary})
					}
				}
			}),
		},
		{Name: "weight of 200", Row: "14", Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory,
			out *release.Outcome,
		) {
			for i, a := range out.Actions {
				if r, ok := a.(release.Route); ok && r.Weight > 50 {
					r.Weight *= 2
					out.Actions[i] = r
				}
			}
		})},
		{
			Name: "hand-over before the drain", Row: "2",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if out.Memory.Phase == release.Completing && !out.Memory.DrainFrom.IsZero() && !o.Canary.Adopted &&
					!out.Memory.HandedOver {
					out.Memory.HandedOver = true
					out.Actions = append(out.Actions, release.HandOver{})
				}
			}),
		},
	}
}

// worldMutants do not see, or forget, what happens.
func worldMutants() []Mutant {
	return []Mutant{
		{
			Name: "newer revision taken for the one under release", Row: "3, 22",
			Mind: lies(func(s release.Spec, o *release.Observed, _ *release.Memory) { o.Workload.Desired = s.To }),
		},
		{
			Name: "no deadline while pods start", Row: "16, 17",
			Mind: plans(func(s *release.Spec) { s.ProgressDeadline, s.ReleaseDeadline = 1<<40, 1<<60 }),
		},
		{Name: "abort forgotten", Row: "39", Mind: acts(func(_ release.Spec, _ release.Observed, m release.Memory,
			out *release.Outcome,
		) {
			if out.Memory.End == release.AbortedByUser && m.End == release.NotEnding {
				out.Memory, out.Actions = m, nil
			}
		})},
		{
			Name: "decisions never answered", Row: "38",
			Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory, out *release.Outcome) { out.Answers = nil }),
		},
		{
			Name: "abort goes forward again", Row: "38",
			Mind: acts(func(_ release.Spec, _ release.Observed, m release.Memory, out *release.Outcome) {
				if m.Phase == release.Aborting {
					out.Memory.Phase, out.Memory.End = release.Progressing, release.NotEnding
				}
			}),
		},
		{
			Name: "a scale event starts the steps again", Row: "26",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if m.Step > 0 && m.Phase != release.Completing && o.Workload.Replicas != o.Stable.Desired {
					out.Memory.Step = 0
				}
			}),
		},
		{
			Name: "removal leaves the canary Service", Row: "45",
			Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory, out *release.Outcome) {
				out.Actions = slices.DeleteFunc(out.Actions,
					func(a release.Action) bool { _, is := a.(release.RemoveCanaryService); return is })
			}),
		},
		{
			Name: "ends with the Service still narrowed", Row: "37, 45",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				for i := range o.Services {
					if m.Phase == release.Aborting || m.HandedOver {
						o.Services[i].Selects, o.Services[i].Held = release.SelectsAll, false
					}
				}
			}),
		},
		{Name: "workload left paused", Row: "21", Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory,
			out *release.Outcome,
		) {
			out.Actions = slices.DeleteFunc(out.Actions, func(a release.Action) bool {
				_, is := a.(release.ResumeWorkload)
				return is
			})
		})},
		{
			Name: "unpaused on removal whatever the template", Row: "53",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
				if out.Memory.End != release.NotEnding && o.Workload.Held && out.Memory.Phase == release.Aborting {
					out.Actions = append(out.Actions, release.ResumeWorkload{})
				}
			}),
		},
		{Name: "pause not persisted", Row: "54", Mind: lies(func(_ release.Spec, _ *release.Observed, m *release.Memory) {
			if !m.StepReachedAt.IsZero() {
				m.StepReachedAt = m.StepReachedAt.Add(-time.Hour)
			}
		})},
		{
			Name: "a panic on a scale of zero", Row: "46",
			Mind: acts(func(_ release.Spec, o release.Observed, _ release.Memory, _ *release.Outcome) {
				if o.Workload.Exists && o.Workload.Replicas == 0 {
					panic("division by zero")
				}
			}),
		},
	}
}

// handMutants are hands that write wrongly.
func handMutants() []Mutant {
	return []Mutant{
		{Name: "acts on a cache older than its own write", Row: "15, 20", Fumble: Fumble{StaleCache: true}},
		{Name: "starts from old caches", Row: "15, 49", Fumble: Fumble{StaleStart: 3}},
		{Name: "acts before it remembers", Row: "20", Fumble: Fumble{MemoryLast: true}},
		{Name: "writes whatever the object has become", Row: "15", Fumble: Fumble{Unconditional: true}},
		{Name: "answers kept apart from their effect", Row: "38, 39", Fumble: Fumble{NoOutbox: true}},
		{Name: "original kept after the change", Row: "45", Fumble: Fumble{HoldLast: true}},
		{Name: "rewrites routes that are right", Row: "55", Fumble: Fumble{Restless: true}, Mind: again},
		{Name: "lost events are never made up for", Row: "23", Fumble: Fumble{NoRecheck: true}},
		{Name: "hands over while the old one looks complete", Row: "6", Fumble: Fumble{BareHandOver: true}},
		{Name: "stable inferred from the last attempt", Row: "10, 22", Fumble: Fumble{From: func(last Release) string {
			if last.Number == 0 {
				return Version(0).String()
			}
			return last.Spec.To
		}}},
		{
			Name: "forgets that it drains", Row: "54",
			Fumble: Fumble{Memory: func(m *release.Memory) { m.DrainFrom = time.Time{} }},
		},
		{Name: "the time to follow counts from before the write", Row: "C3", Fumble: Fumble{Memory: func(m *release.Memory) {
			m.Layers = slices.Clone(m.Layers)
			for i := range m.Layers {
				m.Layers[i].Since = m.Layers[i].Since.Add(-5 * time.Second)
			}
		}}},
		{Name: "acts by the machine's clock, however it is set", Row: "L8", Fumble: Fumble{RawClock: true}},
		{Name: "begins by the machine's clock", Row: "L8", Fumble: Fumble{OwnStart: true}},
		{Name: "compares short hashes", Row: "A1", Fumble: Fumble{ShortHash: true}},
		{Name: "takes an annotation for a rollback", Row: "A2", Fumble: Fumble{TrustMark: true}},
		{Name: "takes a label for its own", Row: "A4", Fumble: Fumble{TrustLabel: true}},
		{Name: "writes the workload's replicas", Row: "25", Fumble: Fumble{Replicas: true}},
	}
}

// again routes at every decision.
var again = acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
	for _, l := range o.Layers {
		if len(out.Actions) == 0 && l.Routed {
			out.Actions = append(out.Actions, release.Route{Layer: l.Name, Weight: l.Weight, Matches: l.Matches})
		}
	}
})
