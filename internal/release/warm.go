package release

import (
	"slices"
	"time"
)

// This file has what becomes of the old pods where the spec keeps them for a while after the hand-over. The release
// takes the old ReplicaSet from the workload as it hands the new one over. So the workload is complete and free, and
// the old pods stay ready, without requests. A rollback in this time needs no new pod. Afterwards the old ReplicaSet,
// empty, goes back to the workload's history.

// keepOld waits until the time of the old pods is over, and ends them. A newer revision ends them at once: they are
// not what its release would go back to.
func (p *pass) keepOld() Reason {
	old := p.o.Stable
	if !old.Taken {
		return Reason{}
	}
	if p.m.KeptFrom.IsZero() {
		p.m.KeptFrom = p.now
		p.happened(ReasonKeepingOld, "", "%s stay for %s: a rollback within this time needs no new ones",
			plural(old.Ready, "old pod"), p.s.KeepOld)
	}
	switch {
	case !p.oldIdle():
		p.m.DrainFrom = time.Time{} // Somebody has led a Service to them.
	case p.m.DrainFrom.IsZero():
		p.m.DrainFrom = p.now
	}
	if end := p.keptUntil(); p.now.Before(end) && !p.oldNeedless() {
		if old.Desired != p.o.demand() {
			p.do(ScaleOld{Replicas: p.o.demand()})
		}
		says := plural(old.Ready, "old pod") + " stay ready for a rollback"
		return p.until(ReasonKeepingOld, says, byPassing, p.m.KeptFrom, end)
	}
	if !p.m.StepStartedAt.After(p.m.KeptFrom) {
		p.m.StepStartedAt = p.now // The progress deadline bounds the rest.
	}
	if r := p.oldDrained(); r.Code != "" {
		return r
	}
	return p.endOld()
}

// oldIdle says that no Service leads to the old pods.
func (p *pass) oldIdle() bool {
	return !slices.ContainsFunc(p.o.Services, func(sv Service) bool {
		return sv.Selects != SelectsCanary || sv.ReadyStable > 0
	})
}

// oldDrained waits until old pods to which somebody had led a Service have finished the requests under way.
func (p *pass) oldDrained() Reason {
	switch {
	case p.o.Stable.Desired == 0:
		return Reason{}
	case !p.oldIdle():
		return awaiting(ReasonEndpointsPending, byKubernetes, "a Service still shows endpoints of the old revision")
	}
	return p.stableDrained()
}

func (p *pass) keptUntil() time.Time { return p.m.KeptFrom.Add(p.s.KeepOld) }

// oldNeedless: nobody can go back to the old pods any more.
func (p *pass) oldNeedless() bool {
	w := p.o.Workload
	return p.leaving() || !w.Exists || w.Desired != p.s.To || p.o.demand() == 0 || p.m.Promoted
}

// endOld ends the old pods that no request reaches, and gives the empty ReplicaSet back.
func (p *pass) endOld() Reason {
	old := p.o.Stable
	if old.Desired > 0 {
		p.do(ScaleOld{Replicas: 0})
	}
	if old.Desired > 0 || old.Pods > 0 {
		return awaiting(ReasonPodsStopping, byKubernetes, "pods of the old revision that have not ended: %d", old.Pods)
	}
	p.do(GiveOld{})
	return awaiting(ReasonTidyingUp, byKubernetes, "the old ReplicaSet goes back to the workload's history")
}

// keepingOld says that the hand-over is done and the old pods are still there to go back to. Once their end has begun,
// nobody can.
func (p *pass) keepingOld() bool {
	return p.handedOver() && p.o.Stable.Taken && p.o.Stable.Desired > 0
}

// recall begins to undo a hand-over whose old pods have been kept: the requests go back to them, and the workload is
// paused. It has its new pods until these are idle; see returnOld.
func (p *pass) recall() Reason {
	if !p.o.Stable.Taken {
		return Reason{}
	}
	w := p.o.Workload
	if !w.Exists {
		return p.endOld()
	}
	if p.o.Stable.Desired < p.o.demand() {
		p.do(ScaleOld{Replicas: p.o.demand()})
	}
	waits, version := p.point(p.backOr)
	if !w.Held {
		p.do(PauseWorkload{})
	}
	switch {
	case waits != "" && !p.carries():
		return p.stableNotReady(p.o.Stable.Ready)
	case waits != "":
		return turning(waits, version)
	case !w.Held:
		return awaiting(ReasonPausingAgain, byKubernetes, "the workload is being paused")
	case !p.o.Canary.Adopted:
		return p.returned()
	}
	return Reason{}
}

// backOr has a Service lead to the old pods again; one that somebody has opened to both leads to the new ones as long
// as no old one is ready.
func (p *pass) backOr(sv *Service) Selection {
	open := sv.Selects == SelectsAll || sv.Selects == SelectsOther
	if open && p.o.demand() > 0 && p.o.Stable.Ready == 0 && p.o.Canary.Ready > 0 {
		return SelectsCanary
	}
	return SelectsStable
}

// returnOld has the workload get its old ReplicaSet again, beside the new one, to which nothing leads any more and
// which is then taken from it. A workload without any pods to have would start those of the newest revision in its
// history, so it has one of the two at all times.
func (p *pass) returnOld() Reason {
	switch {
	case !p.o.Stable.Taken:
		return Reason{}
	case !p.carries():
		return p.stableNotReady(p.o.Stable.Ready)
	}
	return p.returned()
}

func (p *pass) returned() Reason {
	p.do(GiveOld{})
	return awaiting(ReasonTakingBack, byKubernetes, "the workload gets its old ReplicaSet again")
}
