package release

import "time"

// A workload that is scaled to zero while it is released: the team's scale counts for both versions. The new pods end,
// too, in the safe order: first no layer sends them requests, then they drain, then they go. Scaling up goes on with the
// step that the release is in.
var (
	layeredZero = []gate{
		(*turn).ours, together((*turn).protect, (*turn).narrow), (*turn).weightless, (*turn).routesInForce, (*turn).emptied,
	}
	splitZero = []gate{(*turn).ours, (*turn).emptied}
)

// atZero keeps a release waiting while the workload is to have no pods.
func (t *turn) atZero() (again bool) {
	if r := t.held(); r.Code != "" {
		t.out.Reason, _ = t.bounded(r)
		return false
	}
	refused := t.refuseFull(Decision{})
	if t.beganAtZero() && refused.code == "" {
		t.happened("ReleasedAtZero", "",
			"the workload has no pods, so there is nothing to release step by step: it takes the new revision over, which is what comes up")
		t.promoteFull()
		return true
	}
	t.stand()
	t.m.StepStartedAt, t.m.StepReachedAt = time.Time{}, time.Time{} // No deadline but the release's own runs.
	message := "the workload has no pods; scale it up to go on, or promote --full to release without steps"
	if refused.code != "" {
		message = "the workload has no pods; scale it up to go on: " + refused.message
	}
	t.out.Reason = t.until(ReasonScaledToZero, message+problemOf(t.empty().Message), byScaler, t.m.StartedAt, t.releaseDeadline())
	return false
}

// beganAtZero: neither version has had a pod since the release began, so nobody was served by either.
func (t *turn) beganAtZero() bool {
	c, s := t.o.Canary, t.o.Stable
	fresh := !c.Exists || c.Adopted && c.Desired == 0 && c.Pods == 0
	return fresh && s.Desired == 0 && s.Pods == 0 && t.m.Step == 0 && t.m.PausedBy == ""
}

// empty ends the new pods of a workload that is to have none.
func (t *turn) empty() Reason {
	c := t.o.Canary
	if !c.Exists || c.Adopted && c.Desired == 0 && c.Pods == 0 {
		return Reason{} // The release has none, but perhaps one of the workload's history.
	}
	if t.split() {
		return t.first(splitZero)
	}
	return t.first(layeredZero)
}

// weightless takes every request away from the new pods.
func (t *turn) weightless() Reason {
	waits := ""
	for i := range t.o.Layers {
		if l := &t.o.Layers[i]; l.Weight > 0 || len(l.Matches) > 0 {
			t.do(Route{Layer: l.Name})
			waits = l.Name
		}
	}
	if waits == "" {
		return Reason{}
	}
	t.m.DrainFrom = time.Time{}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being set to 0%%", waits)
}

// emptied ends the new pods once they have drained.
func (t *turn) emptied() Reason {
	c := t.o.Canary
	if c.Desired == 0 && c.Pods == 0 {
		return Reason{}
	}
	if !t.split() {
		if r := t.drain("the new revision"); r.Code != "" {
			return r
		}
	}
	if c.Desired > 0 {
		t.do(ScaleCanary{Replicas: 0})
	}
	return t.podsStopping()
}
