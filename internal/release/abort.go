package release

import "time"

// The way back: requests to stable as fast as it can carry them, the new pods drained and ended, everything of
// the team's given back, and the workload let go where its template may run.
var (
	layeredAbort = []gate{
		(*turn).takeBack, (*turn).keepServing, (*turn).servicesBack, (*turn).requestsBack, (*turn).routesBack,
		(*turn).canaryDrained, (*turn).canaryGone, (*turn).putBack, (*turn).settleHold,
	}
	splitAbort = []gate{(*turn).takeBack, (*turn).shrink, (*turn).canaryGone, (*turn).putBack, (*turn).settleHold}
)

func (t *turn) abort() (again bool) {
	t.m.HandedOver = t.m.HandedOver && t.o.Canary.Adopted // until it is seen to be taken back
	if c := t.o.Canary; !t.m.DrainFrom.IsZero() && (c.Pods > 0 || c.Desired > 0) && !t.canaryIdle() {
		t.m.DrainFrom = time.Time{}
	}
	gates := layeredAbort
	if t.split() {
		gates = splitAbort
	}
	r := t.first(gates)
	if r.Code == "" {
		return t.ended()
	}
	r, passed := t.bounded(r)
	if passed && !t.m.Overdue {
		t.out.Actions = nil
		t.m.Overdue, t.m.StepStartedAt = true, t.now
		t.happened("AbortOverdue", "", "the way back has taken %s (%s) and goes on with the stable pods that are ready",
			t.s.ProgressDeadline, r.Message)
		return true
	}
	t.out.Reason = r
	return false
}

// ended closes a release that was taken back.
func (t *turn) ended() (again bool) {
	t.m.Phase = Aborted
	if t.m.End == NewerRevision || t.m.End == PlanChanged {
		t.m.Phase = Superseded
	}
	t.happened(string(t.m.Phase), "", "%s", t.m.EndMessage)
	return true
}

// unsettledLongEnough: a layer that has not reported for two deadlines is not going to.
func (t *turn) unsettledLongEnough() bool {
	return t.m.Phase == Aborting && t.m.Overdue && !t.now.Before(t.m.StepStartedAt.Add(t.s.ProgressDeadline))
}

// takeBack takes the new ReplicaSet back if an edit crossed the hand-over, also when a scale to zero crossed it as well
// and it is empty: it would be the workload's newest, and the first to grow again. One without pods that this release
// has not handed over is left to the workload: it belongs to its history.
func (t *turn) takeBack() Reason {
	if r := t.withhold(); r.Code != "" {
		return r
	}
	c := t.o.Canary
	history := c.Desired == 0 && c.Pods == 0 && !t.m.HandedOver && !t.servesByService()
	if !c.Adopted || history || t.goneItsWay() {
		return Reason{}
	}
	return t.takenBack()
}

// goneItsWay: the workload has the new revision's pods and is not held any more, or is itself gone. Then they are not
// this release's to drain or to end, and the Services select whatever the team wrote.
func (t *turn) goneItsWay() bool {
	return t.o.Canary.Adopted && (!t.o.Workload.Exists || !t.o.Workload.Held)
}

// keepServing keeps the new pods at full number while a Service still leads to them and stable cannot take it
// back (the workload may have divided its pods when an edit crossed the hand-over).
func (t *turn) keepServing() Reason {
	if t.o.Canary.Pods > 0 && t.o.Canary.Desired < t.o.demand() && t.servesByService() && !t.carries() {
		t.do(ScaleCanary{Replicas: t.o.demand()})
	}
	return Reason{}
}

func (t *turn) servesByService() bool {
	for i := range t.o.Services {
		if t.o.Services[i].Selects == SelectsCanary {
			return true
		}
	}
	return false
}

func (t *turn) carries() bool { return stableCarriesAll(&t.o, &t.m, t.o.Stable.Ready) }

// servicesBack points the Services at stable again. One that was not narrowed yet has to be only if there are
// new pods that it could select.
func (t *turn) servicesBack() Reason {
	if t.goneItsWay() {
		return Reason{}
	}
	if t.standsIn() {
		t.serveByNew()
	}
	var waits string
	for i := range t.o.Services {
		sv := &t.o.Services[i]
		idle := sv.Selects == SelectsAll && t.o.Canary.Pods == 0 && t.o.Canary.Desired == 0
		if sv.Selects == SelectsStable && !t.standsIn() || idle && !t.keeps(sv) {
			continue
		}
		waits = sv.Name
		if !t.standsIn() && t.canPointToStable(sv) {
			t.do(SelectService{Service: sv.Name, To: SelectsStable})
		}
	}
	switch {
	case waits == "":
		return Reason{}
	case !t.carries():
		return t.stableNotReady(t.o.Stable.Ready)
	}
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the stable pods", waits)
}

func (t *turn) stableNotReady(ready int) Reason {
	r := awaiting(ReasonStableNotReady, byKubernetes, "%d of %d stable pods are ready to take the requests back%s",
		ready, t.o.demand(), problemOf(t.o.Stable.Problem))
	if ready == 0 && t.m.Overdue {
		r.Message += "; the new pods serve meanwhile; mend the stable ones, or scale the workload to 0 to give up what is served"
		r.Who = byScaler
	}
	return r
}

// requestsBack gives back every layer as soon as stable can take its requests; until then the canary's weight
// falls as far as stable can carry, and never rises.
func (t *turn) requestsBack() Reason {
	written, waits := false, false
	for i := range t.o.Layers {
		l := &t.o.Layers[i]
		if !l.Routed && !l.Held {
			continue
		}
		w := t.lowestWeight(l)
		switch {
		case w == 0:
			t.do(Unroute{Layer: l.Name})
			written = true
		case w < l.Weight:
			t.do(Route{Layer: l.Name, Weight: w})
			written = true
		}
		waits = waits || w > 0
	}
	switch {
	case waits:
		return t.stableNotReady(t.o.stableReady())
	case written:
		return awaiting(ReasonRouteNotInForce, byGateway, "all requests are being sent back to stable")
	}
	return Reason{}
}

// lowestWeight is how far a layer's canary weight may fall now.
func (t *turn) lowestWeight(l *Layer) int {
	ready := t.o.stableReady()
	switch {
	case l.Weight == 0 || stableCarriesAll(&t.o, &t.m, ready):
		return 0
	case t.o.canaryReady() == 0 && ready > 0:
		return 0
	}
	return min(l.Weight, 100-carried(ready, t.o.demand()))
}

// routesBack waits until the layers have reported that they are as the team made them.
func (t *turn) routesBack() Reason {
	if t.routesGone() {
		return Reason{}
	}
	return t.routesInForce()
}

// canaryIdle says that no request reaches the new pods.
func (t *turn) canaryIdle() bool { return t.servicesLeaveCanary() && t.routesGone() }

// servicesLeaveCanary says that every Service leads to stable alone.
func (t *turn) servicesLeaveCanary() bool {
	for i := range t.o.Services {
		if sv := &t.o.Services[i]; sv.Selects != SelectsStable || sv.ReadyCanary > 0 {
			return false
		}
	}
	return true
}

func (t *turn) canaryDrained() Reason {
	if t.goneItsWay() || t.o.Canary.Pods == 0 && t.o.Canary.Desired == 0 {
		return Reason{}
	}
	if !t.canaryIdle() {
		return awaiting(ReasonEndpointsPending, byKubernetes, "a Service still shows endpoints of the new revision")
	}
	return t.drain("the new revision")
}

// shrink ends the new pods where requests are divided by pods alone: all but the ready ones that stable cannot do
// without.
func (t *turn) shrink() Reason {
	keep := 0
	if !t.carries() {
		keep = min(t.o.demand()-t.o.Stable.Ready, t.o.Canary.Ready)
	}
	shrinks := keep < t.o.Canary.Desired
	if shrinks {
		t.do(ScaleCanary{Replicas: keep})
	}
	switch {
	case keep > 0:
		return t.stableNotReady(t.o.stableReady())
	case shrinks:
		return t.podsStopping()
	}
	return Reason{}
}

func (t *turn) podsStopping() Reason {
	return awaiting(ReasonPodsStopping, byKubernetes, "pods of the new revision that have not ended: %d", t.o.Canary.Pods)
}

// canaryGone waits until the last new pod has ended.
func (t *turn) canaryGone() Reason {
	c := t.o.Canary
	if c.Adopted || c.Pods == 0 && c.Desired == 0 {
		if t.o.Workload.Taken > 0 {
			return t.stableNotReady(t.o.Stable.Ready) // Until then what the resumed workload has started serves.
		}
		return Reason{}
	}
	if c.Exists && c.Desired > 0 {
		t.do(ScaleCanary{Replicas: 0})
	}
	return t.podsStopping()
}

// leaving: the Rollout goes, so nothing is held any more afterwards.
func (t *turn) leaving() bool { return t.o.Removing || t.m.End == RolloutRemoved }

// settleHold ends the hold on the workload where its template may run: it is the stable one, or is made so. A
// template that was rejected, or is newer, stays held, unless the Rollout itself goes.
func (t *turn) settleHold() Reason {
	w := t.o.Workload
	switch {
	case !w.Exists || t.goneItsWay() && t.o.Canary.Pods > 0:
		return Reason{}
	case w.Desired == t.s.To && (t.s.Revert || t.leaving()):
		t.do(RevertTemplate{})
	case t.isToLetGo() && (w.Desired == t.s.From || t.leaving()):
		t.do(ReleaseHold{})
	default:
		return Reason{}
	}
	return awaiting(ReasonTidyingUp, byKubernetes, "the workload is being let go")
}
