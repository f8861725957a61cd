package release

import "time"

// This file has which version each of the team's Services leads to.

// point has each Service lead to the version that it is to select. It returns the last one that does not yet, and that
// version; the name is empty when all do.
func (p *pass) point(to func(*Service) Selection) (waits string, version Selection) {
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		v := to(sv)
		if sv.Selects == v && sv.Held {
			continue
		}
		waits, version = sv.Name, v
		if v == SelectsCanary || p.canPointToStable(sv) {
			p.m.StoodIn = p.m.StoodIn || v == SelectsCanary && p.way.switches && !sv.Preview
			p.do(SelectService{Service: sv.Name, To: v})
		}
	}
	return waits, version
}

// narrow has every Service lead to the one version that is due in the step: mostly to the stable one. No new pod may
// exist before this is seen to be done, or it would get requests by the old selector.
func (p *pass) narrow() Reason {
	if p.standsIn() {
		return p.serveByNew()
	}
	lost := p.way.switches && p.o.Canary.Ready == 0 && p.servesByService()
	waits, version := p.point(p.due)
	switch {
	case waits == "":
		return Reason{}
	case lost:
		return p.lowered(true)
	case version == SelectsCanary:
		return turning(waits, version)
	}
	return awaiting(ReasonServicesNarrowing, byKubernetes, "Service %s is being held to the stable revision's pods (%d "+
		"of %d ready)",
		waits, p.o.Stable.Ready, p.o.demand())
}

// due is the version that a Service is to select in a step.
func (p *pass) due(sv *Service) Selection {
	c := p.o.Canary
	switch {
	case sv.Preview && c.Ready > 0 && (sv.Selects == SelectsCanary || c.Ready >= p.podsNeeded()):
		return SelectsCanary
	case !sv.Preview && p.way.switches && p.current().Weight == 100:
		return p.wanted(sv)
	}
	return SelectsStable
}

// keepPointed leaves each Service with the version that it leads to, while pods of it are ready. It is for a release
// that stands still.
func (p *pass) keepPointed() Reason {
	waits, version := p.point(func(sv *Service) Selection {
		if sv.Selects == SelectsCanary && p.o.Canary.Ready > 0 || p.standsIn() {
			return SelectsCanary
		}
		return SelectsStable
	})
	if waits == "" {
		return Reason{}
	}
	return turning(waits, version)
}

// servicesShow waits until each Service that is to lead to the new pods shows as many of them as the step needs.
func (p *pass) servicesShow() Reason {
	need := p.podsNeeded()
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; p.due(sv) == SelectsCanary && sv.ReadyCanary < need {
			return awaiting(ReasonEndpointsPending, byKubernetes, "Service %s shows %d of %d new endpoints%s", sv.Name,
				sv.ReadyCanary, need, problemOf(sv.Problem))
		}
	}
	return Reason{}
}

// canPointToStable says whether a Service loses nothing when it selects the stable pods alone: they can carry
// what it gets, or the new ones carry none of it.
func (p *pass) canPointToStable(sv *Service) bool {
	serving := sv.ReadyCanary > 0 || sv.Selects == SelectsCanary && p.o.Canary.Ready > 0
	switch {
	case sv.Selects == SelectsStable || !serving || p.carries():
		return true
	case sv.Selects == SelectsAll || sv.ReadyCanary == 0:
		return p.o.Stable.Ready > 0
	}
	return false
}

// pointServices turns the Services to the new pods once there are enough, and keeps them so. They go back to
// stable when no new pod is ready any more.
func (p *pass) pointServices() Reason {
	waits, version := p.point(p.wanted)
	if waits == "" {
		return Reason{}
	}
	return turning(waits, version)
}

func turning(service string, to Selection) Reason {
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the %s pods", service, to)
}

// wanted is the version that a Service is to select during completion.
func (p *pass) wanted(sv *Service) Selection {
	c := p.o.Canary
	switch {
	case c.Exists && c.Ready >= p.o.demand():
		return SelectsCanary
	case sv.Selects == SelectsCanary && c.Ready > 0 || p.standsIn():
		return SelectsCanary
	}
	return SelectsStable
}

// oldReachable: a Service with the team's own selector would lead to old pods, too.
func (p *pass) oldReachable() bool {
	return p.o.Stable.Pods > 0 && (p.o.Stable.Taken || !p.o.Workload.Alone)
}

// keepTurned corrects a Service that somebody pointed at the old pods while they end, or at nobody. Where the new pods
// are all that is left, it does so also if none of them is ready.
func (p *pass) keepTurned() Reason {
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		old := sv.Selects == SelectsStable || sv.Selects == SelectsOther ||
			sv.Selects == SelectsAll && (sv.MissesCanary || p.oldReachable())
		if old && (p.o.Canary.Ready > 0 || p.o.Workload.Alone) {
			p.do(SelectService{Service: sv.Name, To: SelectsCanary})
			if p.o.Stable.Taken {
				p.m.DrainFrom = time.Time{} // Old pods that are kept may have got requests.
			}
			return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the new pods again", sv.Name)
		}
	}
	return Reason{}
}

// servicesTurned waits until the endpoints show what the selectors say.
func (p *pass) servicesTurned() Reason {
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.ReadyCanary < p.o.demand() || sv.ReadyStable > 0 {
			return awaiting(ReasonEndpointsPending, byKubernetes, "Service %s shows %d of %d new endpoints and %d old ones",
				sv.Name, sv.ReadyCanary, p.o.demand(), sv.ReadyStable)
		}
	}
	return Reason{}
}
