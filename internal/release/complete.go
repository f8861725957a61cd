package release

import (
	"fmt"
	"time"
)

// The way through completion: all requests to the new pods by the Services themselves, every layer given back,
// the old pods drained, the ReplicaSet handed over, the workload resumed, and what Sluice added removed.

// startCompleting begins completion.
func (p *pass) startCompleting() {
	p.m.Phase = Completing
	p.m.leaveStep()
	p.m.StepStartedAt, p.m.DrainFrom = p.now, time.Time{}
	p.happened("Completing", "", "completion began: the workload is to take the new revision over")
}

// handedOver says that the workload has the new ReplicaSet. From here there is only one way: on.
func (p *pass) handedOver() bool {
	return p.m.Phase == Completing && p.m.HandedOver && p.o.Canary.Adopted
}

func (p *pass) complete() (again bool) {
	if p.handedOver() {
		return p.finish()
	}
	if again, judged := p.judged(); judged {
		return again
	}
	p.measure()
	emptying := p.m.PausedBy != "" && p.o.demand() == 0 // Then it is the new pods that drain, see zero.go.
	if !p.m.DrainFrom.IsZero() && !p.stableIdle() && !emptying {
		p.m.DrainFrom = time.Time{}
	}
	if p.m.PausedBy != "" {
		if p.o.demand() == 0 {
			p.empty()
		} else {
			p.first(p.way.finishHeld)
		}
		p.out.Reason = p.handPause()
		return false
	}
	r, passed := p.bounded(p.first(p.way.finish))
	if passed {
		return p.overdue(r)
	}
	p.out.Reason = r
	return false
}

// scaleExactly brings the new pods to the very number that the workload has: only then does it take the new
// ReplicaSet for complete, and end the old one at once.
func (p *pass) scaleExactly() Reason {
	c, need := p.o.Canary, p.o.demand()
	if c.Desired == need && c.Pods == need {
		return Reason{}
	}
	if c.Desired != need {
		p.do(ScaleCanary{Replicas: need})
	}
	return awaiting(ReasonPodsStopping, byKubernetes, "%d new pods are being reduced to the workload's %d", c.Pods, need)
}

// finish is the rest, after the hand-over. A template that was edited since stays held for a release of its
// own.
func (p *pass) finish() (again bool) {
	if r := p.first(p.way.after); r.Code != "" {
		p.out.Reason = p.handOverWaits(r)
		return false
	}
	p.m.Phase = Succeeded
	p.happened(string(Succeeded), "", "%s", p.result())
	return true
}

// handOverWaits bounds the wait for the workload. There is no way back from here, so what comes of a passed
// deadline is that a person is told where to look.
func (p *pass) handOverWaits(r Reason) Reason {
	r, passed := p.bounded(r)
	if passed && r.Code == ReasonHandingOver {
		r.Code, r.Who = ReasonHandOverOverdue, "whoever runs the cluster's controllers"
		r.Message += fmt.Sprintf("; this has taken longer than %s: look whether the Deployment controller runs, "+
			"and at the events of the workload", p.s.ProgressDeadline)
	}
	return r
}

// scaleFull waits for as many new pods as the whole load needs.
func (p *pass) scaleFull() Reason {
	need := p.o.demand()
	return p.scaleTo(max(need, p.o.Canary.Desired), need)
}

// unroute gives every layer back; the Service itself leads to the right version now.
func (p *pass) unroute() Reason {
	var waits string
	for i := range p.o.Layers {
		if l := &p.o.Layers[i]; l.Routed || l.Held {
			p.do(Unroute{Layer: l.Name})
			waits = l.Name
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being given back", waits)
}

// stableIdle says that no request reaches stable: every Service and every layer leads to the new pods.
func (p *pass) stableIdle() bool {
	return p.oldIdle() && p.routesGone()
}

// routesGone says that every layer is as the team made it, and that this is in force.
func (p *pass) routesGone() bool {
	for i := range p.o.Layers {
		if l := &p.o.Layers[i]; l.Routed || !l.Settled && !p.unsettledLongEnough() {
			return false
		}
	}
	return true
}

func (p *pass) stableDrained() Reason { return p.drain("the old revision") }

// drain gives a version that gets no more requests the time to finish those under way.
func (p *pass) drain(version string) Reason {
	if p.m.DrainFrom.IsZero() {
		p.m.DrainFrom = p.now
	}
	end := p.m.DrainFrom.Add(p.drainDelay())
	if !p.now.Before(end) {
		return Reason{}
	}
	return p.until(ReasonDraining, version+" finishes the requests under way", byPassing, p.m.DrainFrom, end)
}

// handOver gives the new ReplicaSet to the workload. This is remembered first.
func (p *pass) handOver() Reason {
	if !p.m.HandedOver {
		p.m.HandedOver = true
		p.happened("HandedOver", "", "the workload takes over the new ReplicaSet with %s",
			plural(p.o.Canary.Ready, "ready pod"))
	}
	p.do(HandOver{KeepOld: p.s.KeepOld > 0 && p.o.Stable.Desired > 0})
	return awaiting(ReasonHandingOver, byKubernetes, "the workload is taking over the new ReplicaSet")
}

// alone waits until the workload has ended its old pods and runs the new ones alone.
func (p *pass) alone() Reason {
	newer := !p.m.KeptFrom.IsZero() && p.o.Workload.Desired != p.s.To // It was alone, and what follows may mend its pods.
	if p.o.Workload.Alone || newer {
		return Reason{}
	}
	return awaiting(ReasonHandingOver, byKubernetes, "%d of %d new pods are the workload's and ready; pods of the old "+
		"revision that have not ended: %d",
		p.o.Canary.Ready, p.o.demand(), p.o.Stable.Pods)
}

// resume ends the pause of the workload, if it still names what was released.
func (p *pass) resume() Reason {
	if !p.isToResume() || p.o.Workload.Desired != p.s.To {
		return Reason{}
	}
	p.do(ResumeWorkload{})
	return awaiting(ReasonTidyingUp, byKubernetes, "the workload is being resumed")
}

// isToResume says whether this release has to end the pause of the workload. It leaves a workload that is always kept
// paused as it is, once it names a revision that runs: the stable one, or the one that it has taken over.
func (p *pass) isToResume() bool {
	w := p.o.Workload
	runs := w.Desired == p.s.From || p.m.Phase == Completing && p.m.HandedOver
	return w.Held && !(w.Kept && runs)
}

// putBack gives back everything of the team's and removes what Sluice added.
func (p *pass) putBack() Reason {
	for i := range p.o.Services {
		sv := &p.o.Services[i]
		if (sv.Selects != SelectsAll || sv.Held) && !p.keeps(sv) {
			p.do(SelectService{Service: sv.Name, To: SelectsAll})
		}
	}
	if r := p.unroute(); r.Code != "" {
		return r
	}
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.CanaryExists {
			p.do(RemoveCanaryService{Service: sv.Name})
		}
	}
	if c := p.o.Canary; c.Exists && !c.Adopted {
		p.do(RemoveCanary{})
	}
	if len(p.out.Actions) == 0 {
		p.tellKept()
		return Reason{}
	}
	return awaiting(ReasonTidyingUp, byKubernetes, "what Sluice added is being removed")
}
