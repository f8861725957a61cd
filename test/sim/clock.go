package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/kube/clock"
	"github.com/sluice-dev/sluice/internal/release"
)

// This file has the clocks: the tick, which is the time that really passes; the API server's, which is on what people
// say; that of the machine on which the hands run; and the hands' own, made of these as the controller makes it.

// clocks is how far the two that can be set are ahead of the tick.
type clocks struct {
	machine, server time.Duration
	// served: the API server's clock was set, so that the hands' may run slower or faster.
	served bool
}

// stepSize is how far a clock is set.
const stepSize = time.Hour

// serverTime is what the API server's clock shows.
func (w *World) serverTime() time.Time { return w.now().Add(w.clocks.server) }

func (w *World) machineTime() time.Time { return w.now().Add(w.clocks.machine) }

func (w *World) elapsed() time.Duration { return time.Duration(w.Tick) * time.Second }

// setClock sets the machine's clock (N 0) or the API server's (1) M seconds forward or back.
func (w *World) setClock(a Action) {
	by := time.Duration(a.M) * time.Second
	if a.N == 0 {
		w.clocks.machine += by
		return
	}
	w.clocks.server += by
	w.clocks.served = true
}

// newClock is the clock of a process that starts: it hears the API server's with the first answer.
func (w *World) newClock() *clock.Clock {
	c := clock.New(w.machineTime, w.elapsed, nil)
	first := w.serverTime()
	if w.Fumble.OwnStart {
		first = w.machineTime()
	}
	c.Observe(first, w.elapsed())
	return c
}

// hears the API server's clock. Something of it comes in every tick.
func (h *hands) hears(w *World) {
	if !w.Fumble.OwnStart {
		h.clock.Observe(w.serverTime(), w.elapsed())
	}
}

// now is the time by which the hands act.
func (h *hands) now(w *World) time.Time {
	if w.Fumble.RawClock {
		return w.machineTime()
	}
	return h.clock.Now()
}

// tick is the same as a number, for what the hands store as one.
func (h *hands) tick(w *World) int { return tickOf(h.now(w)) }

// in is how many ticks it is until then by the hands' clock, one at the least.
func (h *hands) in(w *World, then time.Time) int {
	left := then.Sub(h.now(w))
	return max(int((left+time.Second-1)/time.Second), 1)
}

// shortest and longest are how many ticks a wait of the hands may take: as many as it says, unless the API server's
// clock was set, which theirs then follows by one part in so many.
func (w *World) shortest(d time.Duration) int {
	if w.clocks.served {
		d = d * clock.Pace / (clock.Pace + 1)
	}
	return int((d + time.Second - 1) / time.Second)
}

func (w *World) longest(d time.Duration) int {
	if w.clocks.served {
		d = d * clock.Pace / (clock.Pace - 1)
	}
	return int((d + time.Second - 1) / time.Second)
}

// strikes sets a clock in the tick that the fault names.
func (f Fault) strikes(w *World) {
	if f.Do < MachineAhead || f.N != w.Tick {
		return
	}
	by := int(stepSize / time.Second)
	if f.Do == MachineBehind || f.Do == MachineBehindAnew || f.Do == ServerBehind {
		by = -by
	}
	w.say("-- %s", f.Do)
	w.setClock(Action{N: btoi(f.Do >= ServerAhead), M: by})
	if f.Do == MachineAheadAnew || f.Do == MachineBehindAnew {
		w.disturb(disturbs(Action{Verb: DoTakeOver}))
		w.hands.crash(w, 0)
	}
}

// clockFaults set each clock at each tick until the story is over: the API server's only where people do not have to be
// heard by it.
func (w *World) clockFaults(s Scenario) (all []Fault) {
	if !s.Clocks {
		return nil
	}
	last := ServerBehind
	if slices.ContainsFunc(s.Config.Plan.Steps, func(step release.Step) bool { return step.Approval != nil }) {
		last = MachineBehindAnew
	}
	for n := 41; n < w.checks.lastWrite+10; n++ {
		for do := MachineAhead; do <= last; do++ {
			all = append(all, Fault{Do: do, N: n})
		}
	}
	return all
}

// clockStories are those in which a good deal is waited for by the clock, and those in which the machine's is set in
// such a wait. The API server's is set by faults alone: together with a restart what is left of its step counts at
// once.
func clockStories(add func(string, ...Trigger) *Scenario) {
	timed := func(name string, triggers ...Trigger) *Scenario {
		s := add(name, triggers...)
		s.Config.Plan.ReleaseDeadline, s.Config.Plan.DrainDelay = 3*stepSize, 20*time.Second
		for i := range s.Config.Plan.Steps {
			s.Config.Plan.Steps[i].Pause = release.Pause{Kind: release.PauseTimed, Duration: 30 * time.Second}
		}
		s.Config.AutoPromote = false
		return s
	}
	timed("clock").Clocks = true
	timed("clock-abort", on(reached(1), Action{Verb: DoAbort})).ends(release.AbortedByUser).Clocks = true
	approved := timed("clock-approval").wants(2)
	approved.Clocks, approved.Config.AutoApprove = true, true
	hour := int(stepSize / time.Second)
	for _, by := range []int{hour, -hour} {
		name := map[bool]string{true: "-ahead", false: "-behind"}[by > 0]
		timed("clock-machine"+name, later(20, reached(1), Action{Verb: DoClock, M: by}))
		timed("clock-machine-anew"+name, later(20, reached(1), Action{Verb: DoClock, M: by}, Action{Verb: DoTakeOver}))
		timed("clock-asked"+name, on(reached(0), Action{Verb: DoClock, M: by})).wants(2).Config.AutoApprove = true
	}
	// Since when gateways are given time is stored with a word, and counts after a restart.
	slow := timed("clock-slow-routes", later(1, written(1), Action{Verb: DoPause}),
		later(3, byHand, Action{Verb: DoResume}),
		later(6, written(1), Action{Verb: DoTakeOver}))
	slow.Config.SlowRoutes, slow.Config.EarlyAccepted = 8, true
}

// byHand: a person has paused the release, and everybody can see it.
var byHand = remembered(func(m release.Memory) bool { return m.PausedBy != "" })

// written: a layer has the weight of that step, which is not in force yet.
func written(step int) Moment {
	return first(func(p *Picture) bool {
		r := p.Release
		return r.Memory.Step == step && r.Memory.StepReachedAt.IsZero() && p.Weight > 0 && p.Weight == r.Spec.Steps[step].Weight
	})
}

// setsClocks sets the machine's clock in one story of three, once or more. All else in the story stays as it is
// without.
func setsClocks(seed uint64, actions []Action) []Action {
	r := rand.New(rand.NewPCG(seed, 0xc10c))
	if len(actions) == 0 || r.IntN(3) > 0 {
		return actions
	}
	for range 1 + r.IntN(3) {
		at := actions[r.IntN(len(actions))].At
		by := []int{1, -1}[r.IntN(2)] * int(stepSize/time.Second)
		actions = append(actions, Action{At: at, Verb: DoClock, M: by})
	}
	slices.SortStableFunc(actions, func(a, b Action) int { return a.At - b.At })
	return actions
}
