package release

import "slices"

// This file has the gates before the first request: the Services are held to the stable revision, then the
// new pods start, then their own Services show them.

// ours makes sure that the new ReplicaSet is this release's, and not the workload's, before it is handed over.
func (p *pass) ours() Reason {
	if r := p.withhold(); r.Code != "" {
		return r
	}
	c := p.o.Canary
	switch {
	case !p.o.Workload.Exists || !c.Adopted:
		return Reason{}
	case c.Desired == 0 && c.Pods == 0:
		// The revision was released before, and this is its old, empty ReplicaSet. It is made afresh, so that the
		// newest ReplicaSet is always that of the newest release: this is how Kubernetes picks one in doubt.
		p.do(RemoveCanary{})
		return awaiting(ReasonPodsStarting, byKubernetes, "the empty ReplicaSet of an earlier release of this revision is "+
			"being removed")
	}
	return p.takenBack()
}

// keepPaused pauses the workload again when somebody has resumed it, which only an admission policy can prevent. Its
// own controller would bring a revision to everybody that is not released.
func (p *pass) keepPaused() Reason {
	w := &p.o.Workload
	free := p.m.HandedOver || w.Desired == p.s.From || p.leaving() && w.Desired != p.s.To
	if !w.Exists || w.Held || free {
		return Reason{}
	}
	p.do(PauseWorkload{})
	return awaiting(ReasonPausingAgain, byKubernetes,
		"somebody has resumed the workload, which would bring its pod template to everybody; it is being paused again")
}

// withhold keeps the workload from bringing a revision by itself: it is paused, and what it has started while it was
// resumed is taken from it, and ended once nobody needs it.
func (p *pass) withhold() Reason {
	if r := p.keepPaused(); r.Code != "" {
		return r
	}
	if p.o.Workload.Loose > 0 && p.o.Workload.Held && !p.m.HandedOver {
		return p.takenBack()
	}
	if p.o.Workload.Taken > 0 && loosePodsIdle(&p.o) {
		p.do(RemoveLoose{})
		return awaiting(ReasonPodsStopping, byKubernetes, "the pods that the resumed workload has started are being ended")
	}
	return Reason{}
}

// loosePodsIdle: no request needs the pods that were taken from the workload: no Service leads to them, or the pods of
// one version carry all.
func loosePodsIdle(o *Observed) bool {
	all := func(s Service) bool { return s.Selects == SelectsAll || s.Selects == SelectsOther }
	carried := max(o.Stable.Ready, o.Canary.Ready) >= o.demand()
	return !o.Workload.Exists || carried || len(o.Services) > 0 && !slices.ContainsFunc(o.Services, all)
}

func (p *pass) takenBack() Reason {
	p.do(TakeBack{})
	return awaiting(ReasonTakingBack, byKubernetes, "the new ReplicaSet is being taken back from the workload")
}

// scale gets the step's pods ready. Their number does not fall while stable has not all of its own ready.
func (p *pass) scale() Reason {
	want := p.way.asked(&p.s, p.m.Step, p.o.demand(), p.o.Canary.Desired)
	if p.o.Stable.Ready < p.o.demand() {
		want = max(want, p.o.Canary.Desired)
	}
	return p.scaleTo(want, p.podsNeeded())
}

// podsNeeded is how many new pods the current step needs.
func (p *pass) podsNeeded() int { return p.way.pods(p.current(), p.o.demand()) }

// scaleTo asks for a number of canary pods and waits until as many as are needed are ready.
func (p *pass) scaleTo(want, need int) Reason {
	c := p.o.Canary
	if !c.Exists || c.Desired != want {
		p.do(ScaleCanary{Replicas: want})
	} else if c.Ready >= need {
		return Reason{}
	}
	if c.Desired > want {
		return awaiting(ReasonPodsStopping, byKubernetes, "%d new pods are being reduced to %d", c.Desired, want)
	}
	return awaiting(ReasonPodsStarting, byKubernetes, "%d of %d new pods are ready%s", c.Ready, need, problemOf(c.Problem))
}

// keepTwins makes canary Services anew that somebody has deleted while a layer leads to them.
func (p *pass) keepTwins() Reason {
	if !slices.ContainsFunc(p.o.Layers, func(l Layer) bool { return l.Routed }) {
		return Reason{}
	}
	return p.twins()
}

// twins makes the canary Service of every Service that a layer names. Its pods are ready by then. Kubernetes sees a
// Service whose pods come one by one change several times in a moment, and its EndpointSlice controller then waits for
// a second before it tries again ("EndpointSlice informer cache is out of date").
func (p *pass) twins() Reason {
	var waits string
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.Routed && !sv.CanaryExists {
			p.do(EnsureCanaryService{Service: sv.Name})
			waits = sv.Name
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonEndpointsPending, byKubernetes, "the canary Service beside %s is being made", waits)
}

// led waits until a traffic layer names one of the Services.
func (p *pass) led() Reason {
	if slices.ContainsFunc(p.o.Services, func(sv Service) bool { return sv.Routed }) {
		return Reason{}
	}
	return awaiting(ReasonEndpointsPending, "whoever may edit the Services or the routes",
		"no Service in front of the workload is named by a traffic layer")
}

// endpoints waits until every canary Service shows the pods that the step needs.
func (p *pass) endpoints() Reason {
	need := p.podsNeeded()
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		if !sv.Routed {
			continue
		}
		if sv.CanaryReady < need {
			return awaiting(ReasonEndpointsPending, byKubernetes, "the canary Service beside %s shows %d of %d endpoints",
				sv.Name, sv.CanaryReady, need)
		}
	}
	return Reason{}
}
