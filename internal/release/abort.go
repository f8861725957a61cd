package release

import "time"

// The way back: requests to stable as fast as it can carry them, the new pods drained and ended, everything of
// the team's given back, and the workload resumed where its template may run.

// abort leads a release back to the stable revision.
func (p *pass) abort() (again bool) {
	p.m.HandedOver = p.m.HandedOver && p.o.Canary.Adopted // until it is seen to be taken back
	if c := p.o.Canary; !p.m.DrainFrom.IsZero() && (c.Pods > 0 || c.Desired > 0) && !p.canaryIdle() {
		p.m.DrainFrom = time.Time{}
	}
	r := p.first(p.way.back)
	if r.Code == "" {
		return p.ended()
	}
	r, passed := p.bounded(r)
	if passed && !p.m.Overdue {
		p.out.Actions = nil
		p.m.Overdue, p.m.StepStartedAt = true, p.now
		p.happened("AbortOverdue", "", "the way back has taken %s (%s) and goes on with the stable pods that are ready",
			p.s.ProgressDeadline, r.Message)
		return true
	}
	p.out.Reason = r
	return false
}

// ended closes a release that was taken back.
func (p *pass) ended() (again bool) {
	p.m.Phase = Aborted
	if p.m.End == NewerRevision || p.m.End == PlanChanged {
		p.m.Phase = Superseded
	}
	p.happened(string(p.m.Phase), "", "%s", p.m.EndMessage)
	return true
}

// unsettledLongEnough: a layer that has not reported for two deadlines is not going to.
func (p *pass) unsettledLongEnough() bool {
	return p.m.Phase == Aborting && p.m.Overdue && !p.now.Before(p.m.StepStartedAt.Add(p.s.ProgressDeadline))
}

// takeBack takes the new ReplicaSet back if an edit crossed the hand-over, also when a scale to zero crossed it as well
// and it is empty: it would be the workload's newest, and the first to grow again. One without pods that this release
// has not handed over is left to the workload: it belongs to its history.
func (p *pass) takeBack() Reason {
	if r := p.withhold(); r.Code != "" {
		return r
	}
	c := p.o.Canary
	history := c.Desired == 0 && c.Pods == 0 && !p.m.HandedOver && !p.servesByService()
	if !c.Adopted || history || p.o.Stable.Taken || p.goneItsWay() {
		return Reason{}
	}
	return p.takenBack()
}

// goneItsWay: the workload has the new revision's pods and is not held any more, or is itself gone. Then they are not
// this release's to drain or to end, and the Services select whatever the team wrote.
func (p *pass) goneItsWay() bool {
	return p.o.Canary.Adopted && (!p.o.Workload.Exists || !p.o.Workload.Held)
}

// keepServing keeps the new pods at full number while a Service still leads to them and stable cannot take it
// back (the workload may have divided its pods when an edit crossed the hand-over).
func (p *pass) keepServing() Reason {
	if p.o.Canary.Pods > 0 && p.o.Canary.Desired < p.o.demand() && p.servesByService() && !p.carries() {
		p.do(ScaleCanary{Replicas: p.o.demand()})
	}
	return Reason{}
}

func (p *pass) servesByService() bool {
	for i := range p.o.Services {
		if p.o.Services[i].Selects == SelectsCanary {
			return true
		}
	}
	return false
}

func (p *pass) carries() bool { return stableCarriesAll(&p.o, &p.m, p.o.Stable.Ready) }

// servicesBack points the Services at stable again. One that was not narrowed yet has to be only if there are
// new pods that it could select.
func (p *pass) servicesBack() Reason {
	if p.goneItsWay() {
		return Reason{}
	}
	if p.standsIn() {
		p.serveByNew()
	}
	var waits string
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		idle := sv.Selects == SelectsAll && p.o.Canary.Pods == 0 && p.o.Canary.Desired == 0
		if sv.Selects == SelectsStable && !p.standsIn() || idle && !p.keeps(sv) {
			continue
		}
		waits = sv.Name
		if !p.standsIn() && p.canPointToStable(sv) {
			p.do(SelectService{Service: sv.Name, To: SelectsStable})
		}
	}
	switch {
	case waits == "":
		return Reason{}
	case !p.carries():
		return p.stableNotReady(p.o.Stable.Ready)
	}
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the stable pods", waits)
}

func (p *pass) stableNotReady(ready int) Reason {
	r := awaiting(ReasonStableNotReady, byKubernetes, "%d of %d stable pods are ready to take the requests back%s",
		ready, p.o.demand(), problemOf(p.o.Stable.Problem))
	if ready == 0 && p.m.Overdue {
		r.Message += "; the new pods serve meanwhile; mend the stable ones, or scale the workload to 0 to give up what is " +
			"served"
		r.Who = byScaler
	}
	return r
}

// requestsBack gives back every layer as soon as stable can take its requests; until then the canary's weight
// falls as far as stable can carry, and never rises.
func (p *pass) requestsBack() Reason {
	written, waits := false, false
	for i := range p.o.Layers {
		l := &p.o.Layers[i]
		if !l.Routed && !l.Held {
			continue
		}
		w := p.lowestWeight(l)
		switch {
		case w == 0:
			p.do(Unroute{Layer: l.Name})
			written = true
		case w < l.Weight:
			p.do(Route{Layer: l.Name, Weight: w})
			written = true
		}
		waits = waits || w > 0
	}
	switch {
	case waits:
		return p.stableNotReady(p.o.stableReady())
	case written:
		return awaiting(ReasonRouteNotInForce, byGateway, "all requests are being sent back to stable")
	}
	return Reason{}
}

// lowestWeight is how far a layer's canary weight may fall now.
func (p *pass) lowestWeight(l *Layer) int {
	ready := p.o.stableReady()
	switch {
	case l.Weight == 0 || stableCarriesAll(&p.o, &p.m, ready):
		return 0
	case p.o.canaryReady() == 0 && ready > 0:
		return 0
	}
	return min(l.Weight, 100-carried(ready, p.o.demand()))
}

// routesBack waits until the layers have reported that they are as the team made them.
func (p *pass) routesBack() Reason {
	if p.routesGone() {
		return Reason{}
	}
	return p.routesInForce()
}

// canaryIdle says that no request reaches the new pods.
func (p *pass) canaryIdle() bool { return p.servicesLeaveCanary() && p.routesGone() }

// servicesLeaveCanary says that every Service leads to stable alone.
func (p *pass) servicesLeaveCanary() bool {
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.Selects != SelectsStable || sv.ReadyCanary > 0 {
			return false
		}
	}
	return true
}

func (p *pass) canaryDrained() Reason {
	if p.goneItsWay() || p.o.Canary.Pods == 0 && p.o.Canary.Desired == 0 {
		return Reason{}
	}
	if !p.canaryIdle() {
		return awaiting(ReasonEndpointsPending, byKubernetes, "a Service still shows endpoints of the new revision")
	}
	return p.drain("the new revision")
}

// shrink ends the new pods where requests are divided by pods alone: all but the ready ones that stable cannot do
// without.
func (p *pass) shrink() Reason {
	keep := 0
	if !p.carries() {
		keep = min(p.o.demand()-p.o.Stable.Ready, p.o.Canary.Ready)
	}
	shrinks := keep < p.o.Canary.Desired
	if shrinks {
		p.do(ScaleCanary{Replicas: keep})
	}
	switch {
	case keep > 0:
		return p.stableNotReady(p.o.stableReady())
	case shrinks:
		return p.podsStopping()
	}
	return Reason{}
}

func (p *pass) podsStopping() Reason {
	return awaiting(ReasonPodsStopping, byKubernetes, "pods of the new revision that have not ended: %d", p.o.Canary.Pods)
}

// canaryGone waits until the last new pod has ended.
func (p *pass) canaryGone() Reason {
	c := p.o.Canary
	if c.Adopted || c.Pods == 0 && c.Desired == 0 {
		if p.o.Workload.Taken > 0 {
			return p.stableNotReady(p.o.Stable.Ready) // Until then what the resumed workload has started serves.
		}
		return Reason{}
	}
	if c.Exists && c.Desired > 0 {
		p.do(ScaleCanary{Replicas: 0})
	}
	return p.podsStopping()
}

// leaving: the Rollout goes, so nothing is held any more afterwards.
func (p *pass) leaving() bool { return p.o.Removing || p.m.End == RolloutRemoved }

// endHold resumes the workload where its template may run: it is the stable one, or is made so. A
// template that was rejected, or is newer, stays held, unless the Rollout itself goes.
func (p *pass) endHold() Reason {
	w := p.o.Workload
	switch {
	case !w.Exists || p.goneItsWay() && p.o.Canary.Pods > 0:
		return Reason{}
	case w.Desired == p.s.To && (p.s.Revert || p.leaving()):
		p.do(RevertTemplate{})
	case p.isToResume() && (w.Desired == p.s.From || p.leaving()):
		p.do(ResumeWorkload{})
	default:
		return Reason{}
	}
	return awaiting(ReasonTidyingUp, byKubernetes, "the workload is being resumed")
}
