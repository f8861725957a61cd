package release

import (
	"slices"
	"time"
)

// step brings the release into its current step, keeps it there, and leaves it when its gates are open. The gates of
// the way into the step are looked at again in every pass as long as the step lasts, so that what somebody else undid
// is put right.
func (p *pass) step() (again bool) {
	if again, judged := p.judged(); judged {
		return again
	}
	if p.o.demand() == 0 {
		return p.atZero()
	}
	p.m.DrainFrom = time.Time{}
	if p.leaveDown() {
		return true
	}
	if r := p.window(); r.Code != "" && p.m.StepReachedAt.IsZero() {
		p.m.Phase, p.m.StepStartedAt = Paused, time.Time{} // No deadline but the release's own runs.
		return p.standStill(r)
	}
	p.startClock()
	if p.m.PausedBy != "" && p.m.StepReachedAt.IsZero() {
		p.m.Phase = Paused
		return p.standStill(p.handPause())
	}
	reached := !p.m.StepReachedAt.IsZero()
	if r := p.first(p.way.into); r.Code != "" {
		if reached && p.m.StepReachedAt.IsZero() && p.shut() {
			p.out.Actions = nil // It has to be reached again, which the window does not let it.
			return true
		}
		return p.stepWaits(r)
	}
	p.reach()
	p.measure()
	if r := p.first(pauses); r.Code != "" {
		p.m.Phase = Paused
		p.out.Reason = r
		return false
	}
	p.advance()
	return true
}

// startClock begins the step, or its time anew after the workload had no pods.
func (p *pass) startClock() {
	if !p.m.StepStartedAt.IsZero() {
		return
	}
	p.m.StepStartedAt = p.now
	if p.m.Phase == Paused && p.m.PausedBy == "" {
		p.m.Phase = Progressing
	}
	if p.m.StepReachedAt.IsZero() {
		p.happened("StepStarted", "", "%s began: weight %d%%, %s", p.stepLabel(), p.current().Weight,
			plural(p.podsNeeded(), "new pod"))
	}
}

// stepWaits waits for a gate on the way into the step. If the step was reached before, it has lost something:
// its clock runs from now on, and its pause goes on meanwhile.
func (p *pass) stepWaits(r Reason) (again bool) {
	if reached := p.m.StepReachedAt; !reached.IsZero() && !p.m.StepStartedAt.After(reached) {
		p.m.StepStartedAt = p.now
	}
	if p.m.PausedBy == pausedByFailure {
		p.out.Reason = p.handPause()
		return false
	}
	r, passed := p.bounded(r)
	if passed {
		return p.overdue(r)
	}
	p.out.Reason = r
	return false
}

// reach notes that the step's pods are ready and its routes in force.
func (p *pass) reach() {
	if !p.m.StepReachedAt.IsZero() {
		if p.m.StepStartedAt.After(p.m.StepReachedAt) {
			p.m.StepStartedAt = p.m.StepReachedAt
		}
		return
	}
	p.m.StepReachedAt, p.m.Reached = p.now, max(p.m.Reached, p.m.Step+1)
	p.happened("StepReached", "", "%s is in force: %d%% of requests, %s ready", p.stepLabel(), p.weight(),
		plural(p.o.Canary.Ready, "new pod"))
}

// weight is the share of requests that the step gives to the new pods, as it comes out.
func (p *pass) weight() int {
	return p.way.weight(p.current(), p.o.Canary.Ready, p.o.Stable.Ready)
}

// advance goes on to the next step, or after the last one to completion.
func (p *pass) advance() {
	if p.m.Step+1 >= len(p.s.Steps) {
		p.startCompleting()
		return
	}
	p.m.Step++
	p.m.Phase = Progressing
	p.m.leaveStep()
	if r := p.window(); r.Code == "" {
		p.startClock()
	}
}

// protect takes requests away from new pods that cannot answer any, and undoes a weight that somebody else
// raised beyond the step's. The step has to be reached again afterwards.
func (p *pass) protect() Reason {
	dead := p.o.canaryReady() == 0
	limit := p.current().Weight
	if p.m.Phase == Completing {
		limit = 100
	}
	if dead {
		limit = 0
	}
	lowered := false
	for i := range p.o.Layers {
		l := &p.o.Layers[i]
		gets := l.Weight > limit || dead && len(l.Matches) > 0
		if !gets || !p.stableTakes(limit, dead) {
			continue
		}
		r := Route{Layer: l.Name, Weight: min(l.Weight, limit)}
		if !dead {
			r.Matches = l.Matches
		}
		p.do(r)
		lowered = true
	}
	if !lowered {
		return Reason{}
	}
	return p.lowered(dead)
}

// stableTakes says whether stable can take the requests that a lower canary weight leaves to it. Where no new
// pod can answer, one ready stable pod is better than none.
func (p *pass) stableTakes(weight int, dead bool) bool {
	ready := p.o.stableReady()
	return ready >= share(100-weight, p.o.demand()) || dead && ready > 0
}

// holdsFor: a step that was in force for a quarter of the progress deadline gets the whole deadline again when it
// loses its pods. One that was not has never held, and its time goes on: so pods that come and go fail in the end.
const holdsFor = 4

// lowered notes that a step has to be reached again, and why.
func (p *pass) lowered(dead bool) Reason {
	if !dead {
		return awaiting(ReasonRouteNotInForce, byGateway, "a weight above the step's %d%% is being put right",
			p.current().Weight)
	}
	if !p.m.StepReachedAt.IsZero() {
		if p.now.Sub(p.m.StepReachedAt) >= p.s.ProgressDeadline/holdsFor {
			p.m.StepStartedAt = p.now
		}
		p.lose()
		p.happened(ReasonCanaryNotReady, "",
			"%s lost its last ready new pod; its requests go to stable until one is ready again%s",
			p.stepLabel(), problemOf(p.o.Canary.Problem))
		if p.m.Phase == Paused && p.m.PausedBy == "" {
			p.m.Phase = Progressing
		}
	}
	return awaiting(ReasonCanaryNotReady, byKubernetes, "no new pod is ready, so their requests go to stable%s",
		problemOf(p.o.Canary.Problem))
}

// routes writes the step's weight and matches to every layer. A weight of 0 without matches needs no route.
func (p *pass) routes() Reason {
	step := p.current()
	needless := step.Weight == 0 && len(step.Matches) == 0
	var waits string
	for i := range p.o.Layers {
		l := &p.o.Layers[i]
		if l.Weight == step.Weight && sameMatches(l.Matches, step.Matches) && (l.Routed || needless) {
			continue
		}
		waits = l.Name
		if l.Weight > step.Weight && !p.stableTakes(step.Weight, false) {
			return p.stableNotReady(p.o.stableReady())
		}
		p.remember(l)
		p.do(Route{Layer: l.Name, Weight: step.Weight, Matches: step.Matches})
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being set to %d%%", waits, step.Weight)
}

// routesInForce waits until every layer has reported that what it has is in force.
func (p *pass) routesInForce() Reason {
	if missing := len(p.s.Layers) - len(p.o.Layers); missing > 0 && p.m.Phase != Aborting {
		return awaiting(ReasonRouteNotInForce, "whoever may create it", "%s is not there", p.s.Layers[len(p.o.Layers)])
	}
	for i := range p.o.Layers {
		l := &p.o.Layers[i]
		switch {
		case l.settling:
			return p.settling(l)
		case !l.Settled:
			return awaiting(ReasonRouteNotInForce, byGateway, "%s has not reported that %d%% are in force%s", l.Name, l.Weight,
				problemOf(l.Problem))
		}
	}
	return Reason{}
}

// untroubled keeps a release from going on while something is wrong that no waiting mends.
func (p *pass) untroubled() Reason {
	if p.o.Trouble == "" {
		return Reason{}
	}
	return awaiting(ReasonTrouble, "whoever can mend it", "%s", p.o.Trouble)
}

// standStill keeps the world as it is while a release waits that has not reached its step: nothing is raised, but
// what serves stays able to serve.
func (p *pass) standStill(r Reason) (again bool) {
	if p.o.Canary.Exists {
		p.first(p.way.held)
	} else {
		p.keepPaused()
		p.keepStableServed()
	}
	p.out.Reason = r
	return false
}

// follow keeps as many canary pods as what they serve needs when the workload grows.
func (p *pass) follow() Reason {
	weight := p.o.weightInForce()
	if p.servesByService() {
		weight = 100
	}
	if need := share(weight, p.o.demand()); p.o.Canary.Desired < need {
		p.do(ScaleCanary{Replicas: need})
	}
	return Reason{}
}

func sameMatches(a, b []Match) bool {
	return slices.EqualFunc(a, b, func(x, y Match) bool {
		return slices.Equal(x.Headers, y.Headers) && slices.Equal(x.Cookies, y.Cookies)
	})
}
