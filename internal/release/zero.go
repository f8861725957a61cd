package release

import "time"

// A workload that is scaled to zero while it is released: the team's scale counts for both versions. The new pods end,
// too, in the safe order: first no layer sends them requests, then they drain, then they go. Scaling up goes on with
// the step that the release is in.

// atZero keeps a release waiting while the workload is to have no pods.
func (p *pass) atZero() (again bool) {
	if r := p.keepPaused(); r.Code != "" {
		p.out.Reason, _ = p.bounded(r)
		return false
	}
	refused := p.refuseFull(Decision{})
	if p.beganAtZero() && refused.code == "" {
		p.happened("ReleasedAtZero", "",
			"the workload has no pods, so there is nothing to release step by step: it takes the new revision over, which is "+
				"what comes up")
		p.promoteFull()
		return true
	}
	p.stand()
	p.m.StepStartedAt, p.m.StepReachedAt = time.Time{}, time.Time{} // No deadline but the release's own runs.
	message := "the workload has no pods; scale it up to go on, or promote --full to release without steps"
	if refused.code != "" {
		message = "the workload has no pods; scale it up to go on: " + refused.message
	}
	message += problemOf(p.empty().Message)
	p.out.Reason = p.untilDeadline(ReasonScaledToZero, message, byScaler, p.m.StartedAt)
	return false
}

// beganAtZero: neither version has had a pod since the release began, so nobody was served by either.
func (p *pass) beganAtZero() bool {
	c, s := p.o.Canary, p.o.Stable
	fresh := !c.Exists || c.Adopted && c.Desired == 0 && c.Pods == 0
	return fresh && s.Desired == 0 && s.Pods == 0 && p.m.Step == 0 && p.m.PausedBy == ""
}

// empty ends the new pods of a workload that is to have none.
func (p *pass) empty() Reason {
	c := p.o.Canary
	if !c.Exists || c.Adopted && c.Desired == 0 && c.Pods == 0 {
		return Reason{} // The release has none, but perhaps one of the workload's history.
	}
	return p.first(p.way.zero)
}

// weightless takes every request away from the new pods.
func (p *pass) weightless() Reason {
	waits := ""
	for i := range p.o.Layers {
		if l := &p.o.Layers[i]; l.Weight > 0 || len(l.Matches) > 0 {
			p.do(Route{Layer: l.Name})
			waits = l.Name
		}
	}
	if waits == "" {
		return Reason{}
	}
	p.m.DrainFrom = time.Time{}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being set to 0%%", waits)
}

// unledDrained gives the new pods, to which no layer leads any more, the time to finish the requests under way.
func (p *pass) unledDrained() Reason {
	if c := p.o.Canary; c.Desired == 0 && c.Pods == 0 {
		return Reason{}
	}
	return p.drain("the new revision")
}

// emptied ends the new pods.
func (p *pass) emptied() Reason {
	c := p.o.Canary
	if c.Desired == 0 && c.Pods == 0 {
		return Reason{}
	}
	if c.Desired > 0 {
		p.do(ScaleCanary{Replicas: 0})
	}
	return p.podsStopping()
}
