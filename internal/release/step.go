package release

import (
	"slices"
	"time"
)

// The way into a step, in order. Each gate is looked at again in every turn as long as the step lasts, so that
// what somebody else undid is put right.
var (
	layeredStep = []gate{
		(*turn).ours, together((*turn).protect, (*turn).narrow), together((*turn).twins, (*turn).scale), (*turn).endpoints,
		(*turn).routes, (*turn).routesInForce, (*turn).stableServes, (*turn).served, (*turn).untroubled,
	}
	splitStep = []gate{(*turn).ours, (*turn).scale, (*turn).untroubled}

	// pausedStep keeps what serves able to serve.
	pausedStep = []gate{(*turn).ours, together((*turn).protect, (*turn).narrow), (*turn).follow}
)

// step brings the release into its current step, keeps it there, and leaves it when its gates are open.
func (t *turn) step() (again bool) {
	if again, judged := t.judged(); judged {
		return again
	}
	if t.o.demand() == 0 {
		return t.atZero()
	}
	t.m.DrainFrom = time.Time{}
	if t.leaveDown() {
		return true
	}
	if r := t.window(); r.Code != "" && t.m.StepReachedAt.IsZero() {
		t.m.Phase, t.m.StepStartedAt = Paused, time.Time{} // No deadline but the release's own runs.
		return t.standStill(r)
	}
	t.startClock()
	if t.m.PausedBy != "" && t.m.StepReachedAt.IsZero() {
		t.m.Phase = Paused
		return t.standStill(t.handPause())
	}
	reached := !t.m.StepReachedAt.IsZero()
	if r := t.first(t.gates()); r.Code != "" {
		if reached && t.m.StepReachedAt.IsZero() && t.shut() {
			t.out.Actions = nil // It has to be reached again, which the window does not let it.
			return true
		}
		return t.stepWaits(r)
	}
	t.reach()
	t.measure()
	if r := t.first(pauses); r.Code != "" {
		t.m.Phase = Paused
		t.out.Reason = r
		return false
	}
	t.advance()
	return true
}

// gates are the way into a step.
func (t *turn) gates() []gate {
	if t.split() {
		return splitStep
	}
	return layeredStep
}

// startClock begins the step, or its time anew after the workload had no pods.
func (t *turn) startClock() {
	if !t.m.StepStartedAt.IsZero() {
		return
	}
	t.m.StepStartedAt = t.now
	if t.m.Phase == Paused && t.m.PausedBy == "" {
		t.m.Phase = Progressing
	}
	if t.m.StepReachedAt.IsZero() {
		t.happened("StepStarted", "", "%s began: weight %d%%, %s", t.stepLabel(), t.current().Weight,
			plural(stepPods(t.current(), t.o.demand(), t.split()), "new pod"))
	}
}

// stepWaits waits for a gate on the way into the step. If the step was reached before, it has lost something:
// its clock runs from now on, and its pause goes on meanwhile.
func (t *turn) stepWaits(r Reason) (again bool) {
	if reached := t.m.StepReachedAt; !reached.IsZero() && !t.m.StepStartedAt.After(reached) {
		t.m.StepStartedAt = t.now
	}
	if t.m.PausedBy == pausedByFailure {
		t.out.Reason = t.handPause()
		return false
	}
	r, passed := t.bounded(r)
	if passed {
		return t.overdue(r)
	}
	t.out.Reason = r
	return false
}

// reach notes that the step's pods are ready and its routes in force.
func (t *turn) reach() {
	if !t.m.StepReachedAt.IsZero() {
		if t.m.StepStartedAt.After(t.m.StepReachedAt) {
			t.m.StepStartedAt = t.m.StepReachedAt
		}
		return
	}
	t.m.StepReachedAt, t.m.Reached = t.now, max(t.m.Reached, t.m.Step+1)
	t.happened("StepReached", "", "%s is in force: %d%% of requests, %s ready", t.stepLabel(), t.weight(),
		plural(t.o.Canary.Ready, "new pod"))
}

// weight is the share of requests that the step gives to the new pods, as it comes out.
func (t *turn) weight() int {
	if t.split() {
		return nearestPercent(t.o.Canary.Ready, t.o.Stable.Ready)
	}
	return t.current().Weight
}

// advance goes on to the next step, or after the last one to completion.
func (t *turn) advance() {
	if t.m.Step+1 >= len(t.s.Steps) {
		t.startCompleting()
		return
	}
	t.m.Step++
	t.m.Phase = Progressing
	t.m.leaveStep()
	if r := t.window(); r.Code == "" {
		t.startClock()
	}
}

// protect takes requests away from new pods that cannot answer any, and undoes a weight that somebody else
// raised beyond the step's. The step has to be reached again afterwards.
func (t *turn) protect() Reason {
	dead := t.o.canaryReady() == 0
	limit := t.current().Weight
	if t.m.Phase == Completing {
		limit = 100
	}
	if dead {
		limit = 0
	}
	lowered := false
	for i := range t.o.Layers {
		l := &t.o.Layers[i]
		gets := l.Weight > limit || dead && len(l.Matches) > 0
		if !gets || !t.stableTakes(limit, dead) {
			continue
		}
		r := Route{Layer: l.Name, Weight: min(l.Weight, limit)}
		if !dead {
			r.Matches = l.Matches
		}
		t.do(r)
		lowered = true
	}
	if !lowered {
		return Reason{}
	}
	return t.lowered(dead)
}

// stableTakes says whether stable can take the requests that a lower canary weight leaves to it. Where no new
// pod can answer, one ready stable pod is better than none.
func (t *turn) stableTakes(weight int, dead bool) bool {
	ready := t.o.stableReady()
	return ready >= share(100-weight, t.o.demand()) || dead && ready > 0
}

// holdsFor: a step that was in force for a quarter of the progress deadline gets the whole deadline again when it
// loses its pods. One that was not has never held, and its time goes on: so pods that come and go fail in the end.
const holdsFor = 4

// lowered notes that a step has to be reached again, and why.
func (t *turn) lowered(dead bool) Reason {
	if !dead {
		return awaiting(ReasonRouteNotInForce, byGateway, "a weight above the step's %d%% is being put right", t.current().Weight)
	}
	if !t.m.StepReachedAt.IsZero() {
		if t.now.Sub(t.m.StepReachedAt) >= t.s.ProgressDeadline/holdsFor {
			t.m.StepStartedAt = t.now
		}
		t.lose()
		t.happened(ReasonCanaryNotReady, "", "%s lost its last ready new pod; its requests go to stable until one is ready again%s",
			t.stepLabel(), problemOf(t.o.Canary.Problem))
		if t.m.Phase == Paused && t.m.PausedBy == "" {
			t.m.Phase = Progressing
		}
	}
	return awaiting(ReasonCanaryNotReady, byKubernetes, "no new pod is ready, so their requests go to stable%s", problemOf(t.o.Canary.Problem))
}

// routes writes the step's weight and matches to every layer. A weight of 0 without matches needs no route.
func (t *turn) routes() Reason {
	step := t.current()
	needless := step.Weight == 0 && len(step.Matches) == 0
	var waits string
	for i := range t.o.Layers {
		l := &t.o.Layers[i]
		if l.Weight == step.Weight && sameMatches(l.Matches, step.Matches) && (l.Routed || needless) {
			continue
		}
		waits = l.Name
		if l.Weight > step.Weight && !t.stableTakes(step.Weight, false) {
			return t.stableNotReady(t.o.stableReady())
		}
		t.remember(l)
		t.do(Route{Layer: l.Name, Weight: step.Weight, Matches: step.Matches})
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being set to %d%%", waits, step.Weight)
}

// routesInForce waits until every layer has reported that what it has is in force.
func (t *turn) routesInForce() Reason {
	if missing := len(t.s.Layers) - len(t.o.Layers); missing > 0 && t.m.Phase != Aborting {
		return awaiting(ReasonRouteNotInForce, "whoever may create it", "%s is not there", t.s.Layers[len(t.o.Layers)])
	}
	for i := range t.o.Layers {
		l := &t.o.Layers[i]
		switch {
		case l.settling:
			return t.settling(l)
		case !l.Settled:
			return awaiting(ReasonRouteNotInForce, byGateway, "%s has not reported that %d%% are in force%s", l.Name, l.Weight, problemOf(l.Problem))
		}
	}
	return Reason{}
}

// untroubled keeps a release from going on while something is wrong that no waiting mends.
func (t *turn) untroubled() Reason {
	if t.o.Trouble == "" {
		return Reason{}
	}
	return awaiting(ReasonTrouble, "whoever can mend it", "%s", t.o.Trouble)
}

// standStill keeps the world as it is while a release waits that has not reached its step: nothing is raised, but
// what serves stays able to serve.
func (t *turn) standStill(r Reason) (again bool) {
	if t.o.Canary.Exists {
		t.first(pausedStep)
	} else {
		t.held()
		t.keepStableServed()
	}
	t.out.Reason = r
	return false
}

// follow keeps as many canary pods as what they serve needs when the workload grows.
func (t *turn) follow() Reason {
	weight := t.o.weightInForce()
	if t.servesByService() {
		weight = 100
	}
	if need := share(weight, t.o.demand()); t.o.Canary.Desired < need {
		t.do(ScaleCanary{Replicas: need})
	}
	return Reason{}
}

func sameMatches(a, b []Match) bool {
	return slices.EqualFunc(a, b, func(x, y Match) bool {
		return slices.Equal(x.Headers, y.Headers) && slices.Equal(x.Cookies, y.Cookies)
	})
}
