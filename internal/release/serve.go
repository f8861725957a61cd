package release

import "fmt"

// This file has what stable needs while it is sent requests, and what becomes of a Service whose own selector the
// team has changed: it is not given back while it would lead to no pod.

// stableServes waits until every Service that a layer names shows the stable endpoints that the step's share needs.
// Pods alone do not tell: a selector or a port may lead past them. A step that asks for approval is let through while
// no stable pod is ready at all: promote --full does not replace the approval, so it is the only way out.
func (p *pass) stableServes() Reason {
	step := p.current()
	if p.stableDown() && step.Approval != nil {
		return Reason{}
	}
	need := share(100-step.Weight, p.o.demand())
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		if !sv.Routed || sv.ReadyStable >= need {
			continue
		}
		why := sv.Problem
		switch {
		case p.stableDown():
			why = "" // tellDown says it.
		case p.o.Stable.Ready < need:
			why = p.o.Stable.Problem
		}
		if sv.ReadyStable == 0 && need > 0 && p.o.canaryReady() > 0 && !p.stableDown() {
			why += "; only the new pods answer: to release them without steps, promote --full"
		}
		return awaiting(ReasonStableNotReady, byKubernetes,
			"Service %s shows %d of the %d stable endpoints that %d%% of the requests need (%d of %d stable pods are ready), "+
				"and %d of %d new ones%s",
			sv.Name, sv.ReadyStable, need, 100-step.Weight, p.o.Stable.Ready, p.o.demand(),
			sv.CanaryReady, p.podsNeeded(), problemOf(why))
	}
	return Reason{}
}

// keepStableServed points a Service at the stable pods whose own selector misses them. A release that stands still
// before its first pod does nothing else.
func (p *pass) keepStableServed() {
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.MissesStable && sv.Selects != SelectsStable && p.canPointToStable(sv) {
			p.do(SelectService{Service: sv.Name, To: SelectsStable})
		}
	}
}

// keeps says whether a Service stays on the version that is left at the end, since the selector that the team wrote
// matches none of its pods. Not when the Rollout goes: then the controller gives back a selector that serves.
func (p *pass) keeps(sv *Service) bool { return keeps(&p.o, &p.m, sv) }

func keeps(o *Observed, m *Memory, sv *Service) bool {
	switch {
	case !o.Workload.Exists || o.Removing || m.End == RolloutRemoved:
		return false
	case m.Phase == Completing || m.Phase == Succeeded:
		return sv.MissesCanary && m.HandedOver
	}
	letGo := o.Canary.Adopted && !o.Workload.Held
	return sv.MissesStable && !letGo
}

// tellKept says which Services are not given back, and how they will be.
func (p *pass) tellKept() {
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		if sv.Selects == SelectsAll || !p.keeps(sv) {
			continue
		}
		version := "stable"
		if p.m.Phase == Completing {
			version = "new"
		}
		p.happened(ReasonServiceKept, "", "%s", KeptMessage(sv.Name, sv.Own, version))
	}
}

// KeptMessage says that a Service is not given back, until when, and what to do.
func KeptMessage(service, own, version string) string {
	return fmt.Sprintf("Service %s stays on the %s pods, since its own selector (%s) matches none of them: "+
		"release a revision whose pods bear these labels, or give the Service a selector that the running pods bear",
		service, version, own)
}
