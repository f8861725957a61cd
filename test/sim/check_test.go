package sim

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// midway is a world whose first release has reached its second step, at 50 percent, and whose hands are dead: what
// the tests then write in Sluice's name is a history of their own.
func midway(t *testing.T, layer string) *World {
	t.Helper()
	c := manual(layer)
	c.Services = 1
	w := newWorld(c)
	w.do(Action{Verb: DoEdit, N: 1})
	if !w.run(400, func() bool { return reached(1)(w.Picture()) }) {
		t.Fatalf("the second step is never reached: %v", w.checks.found)
	}
	w.AutoPromote = false
	w.hands.crash(w, 1<<30)
	w.hands.view.relist(w)
	w.hands.look()
	return w
}

// change writes in Sluice's name.
func change[T any](w *World, k Key, f func(*T)) {
	v := must[T](&w.store.table, k)
	f(&v)
	w.put(Sluice, k, v)
}

func ticks(n int) func(*World) {
	return func(w *World) { w.run(n, func() bool { return false }) }
}

// badHistories break one invariant each.
var badHistories = []struct {
	name string
	f    func(*World)
}{
	{"S1", func(w *World) { change(w, routeKey, func(r *Route) { r.Weight = 90 }) }},
	{"S2", func(w *World) {
		w.plane.endpoints[gateway][twin(0)].now = Endpoints{}
		ticks(1)(w)
	}},
	{"S3", func(w *World) { change(w, replicaSetKey(1), func(r *ReplicaSet) { r.Desired = 0 }) }},
	{"S4", func(w *World) { change(w, serviceKey(0), func(s *Service) { s.Selector.Hash = 1 }) }},
	{"S5", func(w *World) { change(w, serviceKey(0), func(s *Service) { s.Selector.Hash = NoVersion }) }},
	{"S6", func(w *World) {
		change(w, routeKey, func(r *Route) { r.Weight = -1 })
	}},
	{"S7", func(w *World) {
		change(w, routeKey, func(r *Route) { r.Weight = 20 })
		ticks(6)(w)
		change(w, releaseKey, func(r *Release) { r.Memory.Step++ })
	}},
	{"S8", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Memory.Phase, r.Memory.End = release.Aborting, release.AbortedByUser })
		change(w, routeKey, func(r *Route) { r.Match = 2 })
	}},
	{"S9", func(w *World) {
		w.do(Action{Verb: DoAbort})
		k := decisionKey(w.people.words - 1)
		change(w, k, func(d *Decision) { d.Answered, d.Answer.Applied = true, true })
	}},
	{"S10", func(w *World) {
		change(w, serviceKey(0), func(s *Service) { s.Note++ })
		w.checks.decided(w, release.Outcome{})
	}},
	{"S11", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Number, r.Spec.From = r.Number+1, "v1" })
	}},
	{"S13", func(w *World) { change(w, deploymentKey, func(d *Deployment) { d.Replicas = 1 }) }},
	{"S14", func(w *World) {
		w.put(Kubernetes, replicaSetKey(0), ReplicaSet{})
		w.put(Kubernetes, deploymentKey, Deployment{Replicas: 0, Paused: true})
		w.checks.demand = [32]int{}
		for i := range w.checks.demand {
			w.checks.demand[i] = 9
		}
		if m := floor(w); m != "" {
			w.checks.breaks(w, "S14", "%s", m)
		}
	}},
	{"S21", func(w *World) {
		w.put(Person, deploymentKey, Deployment{Template: 3, Replicas: 4, HeldBy: ""})
		change(w, deploymentKey, func(d *Deployment) { d.Paused = false })
		ticks(4)(w)
	}},
	{"S22", func(w *World) {
		w.put(Kubernetes, routeHoldKey, nil)
		change(w, routeKey, func(r *Route) { r.Weight = 40 })
	}},
	{"L3", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Memory.Phase, r.Memory.End = release.Aborting, release.AbortedByUser })
		ticks(foreignWindow)(w)
	}},
	{"L4", func(w *World) {
		w.hands.add(routeKey, func(v any) any { return v })
		w.hands.commit(w, w.hands.queue[0])
	}},
	{"L8", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Spec.Steps[1].Pause = release.Pause{Kind: release.PauseTimed, Duration: time.Hour} })
		w.people.words = 0
		w.checks.manualLeft = 0
		change(w, releaseKey, func(r *Release) { r.Memory.Step++ })
	}},
	{"L8", func(w *World) {
		w.hands.last.Reason.Code = release.ReasonPausedForTime
		ticks(40)(w)
	}},
	{"L8", func(w *World) {
		change(w, releaseKey, func(r *Release) { r.Memory.DrainFrom = w.now() })
		w.hands.last.Reason.Code = release.ReasonDraining
		ticks(2)(w)
		change(w, releaseKey, func(r *Release) { r.Memory.DrainFrom = w.now() })
		ticks(40)(w)
	}},
	{"L9", func(w *World) {
		w.checks.decided(w, release.Outcome{Reason: release.Reason{Code: "Waiting", Message: "for ever"}})
	}},
	{"guard", func(w *World) {
		w.checks.decided(w, release.Outcome{Reason: release.Reason{
			Code: release.ReasonGuardRefused, Message: "refused", Until: w.now(),
		}})
	}},
	{"L1", func(w *World) { w.checks.ended(w) }},
}

// TestCheckersCanFail feeds each checker a history that breaks what it watches over.
func TestCheckersCanFail(t *testing.T) {
	for _, bad := range badHistories {
		t.Run(bad.name, func(t *testing.T) {
			w := midway(t, "route")
			if w.checks.found != nil {
				t.Fatalf("broken before: %s", w.checks.found)
			}
			bad.f(w)
			switch v := w.checks.found; {
			case v == nil:
				t.Error("nothing was found")
			case v.Name != bad.name:
				t.Errorf("found %s", v)
			default:
				t.Log(v)
			}
		})
	}
}

// TestEndCheckersCanFail leaves something behind in a world that is at rest.
func TestEndCheckersCanFail(t *testing.T) {
	for name, leave := range map[string]func(*World){
		"S9":  func(w *World) { w.do(Action{Verb: DoAbort}) },
		"S18": func(w *World) { w.put(Kubernetes, serviceHoldKey(0), Hold{}) },
		"S22": func(w *World) { w.put(Kubernetes, serviceKey(0), Service{Selector: Selector{Hash: 1}}) },
		"S17": func(w *World) { w.put(Kubernetes, deploymentKey, Deployment{Template: 1, Replicas: 4, Paused: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(newConfig())
			w.do(Action{Verb: DoEdit, N: 1})
			w.settle()
			if w.checks.found != nil {
				t.Fatalf("broken before: %s", w.checks.found)
			}
			leave(w)
			w.checks.ended(w)
			if v := w.checks.found; v == nil || v.Name != name {
				t.Errorf("found %v", v)
			}
		})
	}
}

// TestRefusedSpecMovesNothing is S25.
func TestRefusedSpecMovesNothing(t *testing.T) {
	for name, spoil := range map[string]func(*release.Spec){
		"no steps":        func(s *release.Spec) { s.Steps = nil },
		"weight of 101":   func(s *release.Spec) { s.Steps[2].Weight = 101 },
		"weight of -1":    func(s *release.Spec) { s.Steps[0].Weight = -1 },
		"falling weights": func(s *release.Spec) { s.Steps[1].Weight = 10 },
	} {
		t.Run(name, func(t *testing.T) {
			c := newConfig()
			spoil(&c.Plan)
			w := newWorld(c)
			w.do(Action{Verb: DoEdit, N: 1})
			w.run(200, func() bool { return false })
			for k := range Kinds {
				if len(w.store.written[k]) > 0 && k != KRollout { // Its status tells of it.
					t.Errorf("a %s is written", k)
				}
			}
			if w.checks.found != nil {
				t.Error(w.checks.found)
			}
		})
	}
}
