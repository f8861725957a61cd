package sim

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// gated is a world whose first release waits in its second step, which has an analysis and an approval; its hands are
// dead, and what the tests then write in Sluice's name is a history of their own.
func gated(t *testing.T) *World {
	t.Helper()
	s := Scenario{Config: manual("route")}
	s.measures().wants(2)
	s.Config.Plan.Background = true
	s.Config.Plan.Steps[1].Approval.ExpiresAfter = time.Hour
	s.Config.Plan.Steps[1].Pause = release.Pause{}
	w := newWorld(s.Config)
	w.do(Action{Verb: DoEdit, N: 1})
	if !w.run(400, func() bool { return measuring(1, 0)(w.Picture()) }) {
		t.Fatalf("nothing is ever measured in the second step: %v", w.checks.found)
	}
	w.AutoPromote = false
	w.hands.crash(w, 1<<30)
	look(w)
	return w
}

// look has the hands see the world as it is.
func look(w *World) {
	w.hands.view.relist(w)
	w.hands.look()
	w.hands.decided = w.Tick
}

// takesEffect has somebody say something, which takes effect in a write that does more besides.
func takesEffect(w *World, a Action, more func(*release.Memory)) {
	w.do(a)
	look(w)
	d := must[Decision](&w.store.table, decisionKey(w.people.words-1))
	change(w, releaseKey, func(r *Release) {
		r.Outbox = append(r.Outbox[:len(r.Outbox):len(r.Outbox)], release.Answer{ID: d.ID, Applied: true})
		more(&r.Memory)
	})
}

func nothingMore(*release.Memory) {}

func remembers(w *World, f func(*release.Memory)) {
	change(w, releaseKey, func(r *Release) { f(&r.Memory) })
}

func asked(w *World) { remembers(w, func(m *release.Memory) { m.AskedAt = w.now() }) }

func paused(w *World) {
	remembers(w, func(m *release.Memory) { m.PausedBy, m.PausedAt = "sluice", w.now() })
}

// next goes on to the next step, with everything in force.
func next(w *World) { remembers(w, func(m *release.Memory) { m.Step++ }) }

// without leaves out what the history is not about.
func without(analysis, approval bool, f func(*World)) func(*World) {
	return func(w *World) {
		change(w, releaseKey, func(r *Release) {
			steps := append([]release.Step(nil), r.Spec.Steps...)
			if analysis {
				steps[1].Analysis = false
			}
			if approval {
				steps[1].Approval = nil
			}
			r.Spec.Steps = steps
		})
		look(w)
		f(w)
	}
}

// verdict has the step's analysis come to one, and the hands see it.
func verdict(a Action) func(*World) {
	return func(w *World) {
		w.do(a)
		look(w)
	}
}

// badGates are histories that break one invariant each, by name and by what breaks it.
var badGates = []struct {
	name, how string
	f         func(*World)
}{
	{"S12", "no verdict", without(false, true, next)},
	{"S12", "unclear", without(false, true, func(w *World) { verdict(unclear)(w); next(w) })},
	{"S12", "good of another try", without(false, true, func(w *World) {
		verdict(unclear)(w)
		paused(w)
		takesEffect(w, Action{Verb: DoResume}, func(m *release.Memory) { m.Measured, m.PausedBy = 1, "" })
		verdict(Action{Verb: DoVerdict})(w) // There is no second try yet, so nothing comes of it.
		next(w)
	})},
	{"S12", "waived by nobody", func(w *World) {
		verdict(unclear)(w)
		paused(w)
		remembers(w, func(m *release.Memory) { m.Waived = true })
	}},
	{"S12", "waived by a word that was spoken before", func(w *World) {
		w.do(Action{Verb: DoPromote})
		ticks(2)(w)
		verdict(unclear)(w)
		paused(w)
		d := must[Decision](&w.store.table, decisionKey(w.people.words-1))
		change(w, releaseKey, func(r *Release) {
			r.Outbox = append(r.Outbox[:len(r.Outbox):len(r.Outbox)], release.Answer{ID: d.ID, Applied: true})
			r.Memory.Waived = true
		})
	}},
	{"S12", "measured once more, which nobody was asked", func(w *World) {
		verdict(bad)(w)
		takesEffect(w, Action{Verb: DoResume}, func(m *release.Memory) { m.Measured++ })
	}},
	{"S12", "bad beside the steps", without(true, true, func(w *World) { verdict(badBeside)(w); next(w) })},
	{"S12", "bad at the hand-over", without(true, true, func(w *World) {
		remembers(w, func(m *release.Memory) { m.Phase, m.Step = release.Completing, 1 })
		verdict(badBeside)(w)
		remembers(w, func(m *release.Memory) { m.HandedOver = true })
	})},
	{"S12", "bad and not taken back", func(w *World) { verdict(bad)(w); ticks(40)(w) }},
	{"S12", "nothing is measured", func(w *World) {
		w.hands.last.Reason.Code = release.ReasonAnalysing
		w.do(Action{Verb: DoForget})
		ticks(40)(w)
	}},
	{"S12", "fails without a verdict", func(w *World) {
		w.checks.gateDecided(w, release.Outcome{Events: []release.Event{{Code: string(release.AnalysisFailed)}}})
	}},
	{"S12", "past all steps by itself", func(w *World) {
		remembers(w, func(m *release.Memory) { m.Full, m.Phase = true, release.Completing })
	}},
	{"S23", "not approved", without(true, false, func(w *World) { asked(w); next(w) })},
	{"S23", "half approved", without(true, false, func(w *World) {
		asked(w)
		takesEffect(w, approves(alice), nothingMore)
		next(w)
	})},
	{"S23", "not asked", func(w *World) { takesEffect(w, approves(alice), nothingMore) }},
	{"S23", "spoken before it was asked", func(w *World) {
		w.do(approves(alice))
		ticks(2)(w)
		asked(w)
		d := must[Decision](&w.store.table, decisionKey(w.people.words-1))
		change(w, releaseKey, func(r *Release) { r.Outbox = []release.Answer{{ID: d.ID, Applied: true}} })
	}},
	{"S23", "twice", func(w *World) {
		asked(w)
		takesEffect(w, approves(alice), nothingMore)
		takesEffect(w, approves(alice), nothingMore)
	}},
	{"S23", "nobody's", func(w *World) { asked(w); takesEffect(w, approves(mallory), nothingMore) }},
	{"S23", "the author's", func(w *World) { asked(w); takesEffect(w, approves(carol), nothingMore) }},
	{"S23", "another plan's", func(w *World) { asked(w); takesEffect(w, Action{Verb: DoApprove, M: 3}, nothingMore) }},
	{"S23", "no step's", func(w *World) { asked(w); takesEffect(w, Action{Verb: DoApprove, M: 1}, nothingMore) }},
	{"S23", "without a reason", func(w *World) { asked(w); takesEffect(w, Action{Verb: DoApprove, M: 5}, nothingMore) }},
	{"S23", "expired", func(w *World) {
		asked(w)
		change(w, releaseKey, func(r *Release) { r.Memory.AskedAt = r.Memory.AskedAt.Add(-2 * time.Hour) })
		takesEffect(w, approves(alice), nothingMore)
	}},
	{"S23", "asked, and not heard", func(w *World) {
		asked(w)
		ticks(2)(w)
		w.do(approves(alice))
		change(w, decisionKey(w.people.words-1), func(d *Decision) { d.Answered, d.Answer.Code = true, release.RefusedNoApprovalAsked })
	}},
	{"S23", "rejected in vain", func(w *World) { asked(w); takesEffect(w, Action{Verb: DoReject, N: bob}, nothingMore) }},
	{"S23", "past all steps", func(w *World) {
		takesEffect(w, Action{Verb: DoPromoteFull}, func(m *release.Memory) { m.Full, m.Phase = true, release.Completing })
	}},
	{"window", "a step", without(true, true, func(w *World) { w.do(Action{Verb: DoShut}); look(w); next(w) })},
	{"window", "all steps", without(true, true, func(w *World) {
		w.do(Action{Verb: DoShut})
		takesEffect(w, Action{Verb: DoPromoteFull}, func(m *release.Memory) { m.Full, m.Phase = true, release.Completing })
	})},
	{"window", "weight", func(w *World) {
		change(w, routeKey, func(r *Route) { r.Weight = 40 })
		w.do(Action{Verb: DoShut})
		look(w)
		change(w, routeKey, func(r *Route) { r.Weight = 50 })
	}},
	{"window", "pods", func(w *World) {
		w.put(Kubernetes, replicaSetKey(1), nil)
		w.do(Action{Verb: DoShut})
		look(w)
		w.put(Sluice, replicaSetKey(1), ReplicaSet{Owner: OwnedByRelease, Desired: 1})
	}},
	{"L3", "an abort that is not heard", func(w *World) {
		w.hands.last.Reason.Code = release.ReasonWindowShut
		w.do(Action{Verb: DoAbort})
		ticks(40)(w)
	}},
	{"L2", "an approval that has expired", func(w *World) {
		asked(w)
		change(w, releaseKey, func(r *Release) { r.Memory.AskedAt = r.Memory.AskedAt.Add(-2 * time.Hour) })
		ticks(80)(w)
	}},
	{"L2", "a deadline that has passed", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Memory.StartedAt = r.Memory.StartedAt.Add(-2 * time.Hour) })
		ticks(80)(w)
	}},
	{"L9", "a wait whose end has passed", func(w *World) {
		w.checks.decided(w, release.Outcome{Reason: release.Reason{
			Code: release.ReasonWindowShut, Message: "shut", Since: w.now(), Until: w.now(), Who: "time",
		}})
	}},
	{"S9", "an override in vain", func(w *World) {
		w.do(Action{Verb: DoOverride})
		change(w, decisionKey(w.people.words-1), func(d *Decision) { d.Answered, d.Answer.Applied = true, true })
	}},
}

// TestGateCheckersCanFail feeds the checkers of gates histories that break what they watch over.
func TestGateCheckersCanFail(t *testing.T) {
	for _, b := range badGates {
		t.Run(b.name+" "+b.how, func(t *testing.T) {
			w := gated(t)
			if w.checks.found != nil {
				t.Fatalf("broken before: %s", w.checks.found)
			}
			b.f(w)
			switch v := w.checks.found; {
			case v == nil:
				t.Error("nothing was found")
			case v.Name != b.name:
				t.Errorf("found %s", v)
			default:
				t.Log(v)
			}
		})
	}
}

// TestGateCheckersHold: what people may do breaks nothing.
func TestGateCheckersHold(t *testing.T) {
	for name, f := range map[string]func(*World){
		"good": without(false, true, func(w *World) { verdict(Action{Verb: DoVerdict})(w); next(w) }),
		"waived": without(false, true, func(w *World) {
			verdict(unclear)(w)
			paused(w)
			takesEffect(w, Action{Verb: DoPromote}, func(m *release.Memory) { m.Step++ })
		}),
		"approved": without(true, false, func(w *World) {
			asked(w)
			takesEffect(w, approves(alice), nothingMore)
			takesEffect(w, approves(dave), func(m *release.Memory) { m.Step++ })
		}),
		"overridden": without(true, true, func(w *World) {
			w.do(Action{Verb: DoShut})
			takesEffect(w, Action{Verb: DoOverride}, func(m *release.Memory) { m.OverriddenBy = "alice" })
			next(w)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			w := gated(t)
			f(w)
			if v := w.checks.found; v != nil {
				t.Error(v)
			}
		})
	}
}
