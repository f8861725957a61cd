package sim

import (
	"fmt"
	"runtime/debug"
	"time"
)

// Quiet is how many ticks without a write of Sluice's make the end: the recheck must have passed twice.
const Quiet = 2*recheck + 10

// settle heals the world and demands an end: whatever was broken is whole, people promote what waits for them,
// and within the release's own bound everything must have come to rest.
func (w *World) settle() {
	w.Fault = Fault{}
	w.healedAt = w.Tick
	w.hands.view.frozen = [Kinds]int{}
	for v := range w.pods {
		for i := range w.pods[v] {
			w.pods[v][i].outUntil = 0
		}
	}
	w.AutoPromote, w.AutoApprove, w.Stern = true, true, false
	w.do(Action{Verb: DoOpen})
	w.Agent, w.Meddler = 0, 0
	for n := range w.Services {
		if w.manifest.label[n] != 0 {
			w.relabel(n, 0, false) // What selects nobody is the team's to mend.
		}
	}
	if d, ok := w.deployment(); ok && d.Replicas == 0 {
		w.do(Action{Verb: DoScale, N: 2})
	}
	bound := int(w.Plan.ReleaseDeadline/time.Second) + 6*int(w.Plan.ProgressDeadline/time.Second) + 400
	rests := w.run(bound, w.atRest)
	if w.Bad[w.checks.promoted] {
		return // somebody has promoted, with no pods asked for, what never gets ready
	}
	if !rests && !w.checks.broken() {
		w.checks.breaks(w, "L1", "no rest within %d ticks: %s", bound, w.standing())
	}
	if !w.checks.broken() {
		w.checks.ended(w)
	}
}

// standing says where the release stands.
func (w *World) standing() string {
	r, _ := w.release()
	return fmt.Sprintf("release %d %s at step %d, %s: %s; last write at %d", r.Number, r.Memory.Phase, r.Memory.Step+1,
		w.hands.last.Reason.Code, w.hands.last.Reason.Message, w.checks.lastWrite)
}

// atRest: the last release is over, and neither Sluice nor anybody else has done anything for a good while.
func (w *World) atRest() bool {
	if len(w.people.actions) > 0 || w.Tick-max(w.checks.lastWrite, w.healedAt, w.actedAt) < Quiet ||
		w.hands.downUntil != 0 {
		return false
	}
	return cameToAnEnd(w) == ""
}

// play runs a world to its end; a panic is a violation too.
func (w *World) play(f func()) (v *Violation) {
	defer func() {
		if p := recover(); p != nil {
			v = &Violation{w.Tick, "S20", fmt.Sprintf("panic: %v\n%s", p, debug.Stack())}
		}
	}()
	f()
	return w.checks.found
}
