package release

import (
	"fmt"
	"time"
)

// The way through completion: all requests to the new pods by the Services themselves, every layer given back,
// the old pods drained, the ReplicaSet handed over, the workload let go, and what Sluice added removed.
var (
	layeredCompletion = []gate{
		(*turn).ours, together((*turn).protect, (*turn).pointServices), (*turn).scaleFull, (*turn).servicesTurned, (*turn).unroute,
		(*turn).routesInForce, (*turn).untroubled, (*turn).stableDrained, (*turn).scaleExactly, (*turn).handOver,
	}
	splitCompletion  = []gate{(*turn).ours, (*turn).scaleFull, (*turn).untroubled, (*turn).scaleExactly, (*turn).handOver}
	pausedCompletion = []gate{(*turn).ours, together((*turn).protect, (*turn).pointServices), (*turn).follow}
	afterHandOver    = []gate{(*turn).keepTurned, (*turn).settled, (*turn).letGo, (*turn).putBack}
)

// startCompleting begins completion.
func (t *turn) startCompleting() {
	t.m.Phase = Completing
	t.m.leaveStep()
	t.m.StepStartedAt, t.m.DrainFrom = t.now, time.Time{}
	t.happened("Completing", "", "completion began: the workload is to take the new revision over")
}

// handedOver says that the workload has the new ReplicaSet. From here there is only one way: on.
func (t *turn) handedOver() bool {
	return t.m.Phase == Completing && t.m.HandedOver && t.o.Canary.Adopted
}

func (t *turn) complete() (again bool) {
	if t.handedOver() {
		return t.finish()
	}
	if again, judged := t.judged(); judged {
		return again
	}
	t.measure()
	emptying := t.m.PausedBy != "" && t.o.demand() == 0 // Then it is the new pods that drain, see zero.go.
	if !t.m.DrainFrom.IsZero() && !t.stableIdle() && !emptying {
		t.m.DrainFrom = time.Time{}
	}
	if t.m.PausedBy != "" {
		if t.o.demand() == 0 {
			t.empty()
		} else {
			t.first(pausedCompletion)
		}
		t.out.Reason = t.handPause()
		return false
	}
	gates := layeredCompletion
	if t.split() {
		gates = splitCompletion
	}
	r, passed := t.bounded(t.first(gates))
	if passed {
		return t.overdue(r)
	}
	t.out.Reason = r
	return false
}

// scaleExactly brings the new pods to the very number that the workload has: only then does it take the new
// ReplicaSet for complete, and end the old one at once.
func (t *turn) scaleExactly() Reason {
	c, need := t.o.Canary, t.o.demand()
	if c.Desired == need && c.Pods == need {
		return Reason{}
	}
	if c.Desired != need {
		t.do(ScaleCanary{Replicas: need})
	}
	return awaiting(ReasonPodsStopping, byKubernetes, "%d new pods are being reduced to the workload's %d", c.Pods, need)
}

// finish is the rest, after the hand-over. A template that was edited since stays held for a release of its
// own.
func (t *turn) finish() (again bool) {
	if r := t.first(afterHandOver); r.Code != "" {
		t.out.Reason = t.handOverWaits(r)
		return false
	}
	t.m.Phase = Succeeded
	t.happened(string(Succeeded), "", "%s", t.result())
	return true
}

// handOverWaits bounds the wait for the workload. There is no way back from here, so what comes of a passed
// deadline is that a person is told where to look.
func (t *turn) handOverWaits(r Reason) Reason {
	r, passed := t.bounded(r)
	if passed && r.Code == ReasonHandingOver {
		r.Code, r.Who = ReasonHandOverOverdue, "whoever runs the cluster's controllers"
		r.Message += fmt.Sprintf("; this has taken longer than %s: look whether the Deployment controller runs, and at the events of the workload", t.s.ProgressDeadline)
	}
	return r
}

// pointServices turns the Services to the new pods once there are enough, and keeps them so. They go back to
// stable when no new pod is ready any more.
func (t *turn) pointServices() Reason {
	var waits, whose string
	for i := range t.o.Services {
		sv := &t.o.Services[i]
		to := t.wanted(sv)
		if sv.Selects == to && sv.Held {
			continue
		}
		waits, whose = sv.Name, string(to)
		if to == SelectsCanary || t.canPointToStable(sv) {
			t.do(SelectService{Service: sv.Name, To: to})
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the %s pods", waits, whose)
}

// wanted is the version that a Service is to select during completion.
func (t *turn) wanted(sv *Service) Selection {
	c := t.o.Canary
	switch {
	case c.Exists && c.Ready >= t.o.demand():
		return SelectsCanary
	case sv.Selects == SelectsCanary && c.Ready > 0 || t.standsIn():
		return SelectsCanary
	}
	return SelectsStable
}

// keepTurned corrects a Service that somebody pointed at the old pods while they end, or at nobody. Where the new pods are
// all that is left, it does so also if none of them is ready.
func (t *turn) keepTurned() Reason {
	for i := range t.o.Services {
		sv := &t.o.Services[i]
		old := sv.Selects == SelectsStable || sv.Selects == SelectsOther ||
			sv.Selects == SelectsAll && (sv.MissesCanary || t.o.Stable.Pods > 0 && !t.o.Workload.Settled)
		if old && (t.o.Canary.Ready > 0 || t.o.Workload.Settled) {
			t.do(SelectService{Service: sv.Name, To: SelectsCanary})
			return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the new pods again", sv.Name)
		}
	}
	return Reason{}
}

// scaleFull waits for as many new pods as the whole load needs.
func (t *turn) scaleFull() Reason {
	need := t.o.demand()
	return t.scaleTo(max(need, t.o.Canary.Desired), need)
}

// servicesTurned waits until the endpoints show what the selectors say.
func (t *turn) servicesTurned() Reason {
	for i := range t.o.Services {
		if sv := &t.o.Services[i]; sv.ReadyCanary < t.o.demand() || sv.ReadyStable > 0 {
			return awaiting(ReasonEndpointsPending, byKubernetes, "Service %s shows %d of %d new endpoints and %d old ones",
				sv.Name, sv.ReadyCanary, t.o.demand(), sv.ReadyStable)
		}
	}
	return Reason{}
}

// unroute gives every layer back; the Service itself leads to the right version now.
func (t *turn) unroute() Reason {
	var waits string
	for i := range t.o.Layers {
		if l := &t.o.Layers[i]; l.Routed || l.Held {
			t.do(Unroute{Layer: l.Name})
			waits = l.Name
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonRouteNotInForce, byGateway, "%s is being given back", waits)
}

// stableIdle says that no request reaches stable: every Service and every layer leads to the new pods.
func (t *turn) stableIdle() bool {
	for i := range t.o.Services {
		if sv := &t.o.Services[i]; sv.Selects != SelectsCanary || sv.ReadyStable > 0 {
			return false
		}
	}
	return t.routesGone()
}

// routesGone says that every layer is as the team made it, and that this is in force.
func (t *turn) routesGone() bool {
	for i := range t.o.Layers {
		if l := &t.o.Layers[i]; l.Routed || !l.Settled && !t.unsettledLongEnough() {
			return false
		}
	}
	return true
}

func (t *turn) stableDrained() Reason { return t.drain("the old revision") }

// drain gives a version that gets no more requests the time to finish those under way.
func (t *turn) drain(version string) Reason {
	if t.m.DrainFrom.IsZero() {
		t.m.DrainFrom = t.now
	}
	end := t.m.DrainFrom.Add(t.drainDelay())
	if !t.now.Before(end) {
		return Reason{}
	}
	return t.until(ReasonDraining, version+" finishes the requests under way", byPassing, t.m.DrainFrom, end)
}

// handOver gives the new ReplicaSet to the workload. This is remembered first.
func (t *turn) handOver() Reason {
	if !t.m.HandedOver {
		t.m.HandedOver = true
		t.happened("HandedOver", "", "the workload takes over the new ReplicaSet with %s", plural(t.o.Canary.Ready, "ready pod"))
	}
	t.do(HandOver{})
	return awaiting(ReasonHandingOver, byKubernetes, "the workload is taking over the new ReplicaSet")
}

// settled waits until the workload has ended its old pods.
func (t *turn) settled() Reason {
	if t.o.Workload.Settled {
		return Reason{}
	}
	return awaiting(ReasonHandingOver, byKubernetes, "%d of %d new pods are the workload's and ready; pods of the old revision that have not ended: %d",
		t.o.Canary.Ready, t.o.demand(), t.o.Stable.Pods)
}

// letGo ends the hold on the workload, if it still names what was released.
func (t *turn) letGo() Reason {
	if !t.isToLetGo() || t.o.Workload.Desired != t.s.To {
		return Reason{}
	}
	t.do(ReleaseHold{})
	return awaiting(ReasonTidyingUp, byKubernetes, "the workload is being let go")
}

// isToLetGo says whether the workload is held by this release. One that is always kept paused is not, once it names a
// revision that runs: the stable one, or the one that it has taken over.
func (t *turn) isToLetGo() bool {
	w := t.o.Workload
	runs := w.Desired == t.s.From || t.m.Phase == Completing && t.m.HandedOver
	return w.Held && !(w.Kept && runs)
}

// putBack gives back everything of the team's and removes what Sluice added.
func (t *turn) putBack() Reason {
	for i := range t.o.Services {
		sv := &t.o.Services[i]
		if (sv.Selects != SelectsAll || sv.Held) && !t.keeps(sv) {
			t.do(SelectService{Service: sv.Name, To: SelectsAll})
		}
	}
	if r := t.unroute(); r.Code != "" {
		return r
	}
	for i := range t.o.Services {
		if sv := &t.o.Services[i]; sv.CanaryExists {
			t.do(RemoveCanaryService{Service: sv.Name})
		}
	}
	if c := t.o.Canary; c.Exists && !c.Adopted {
		t.do(RemoveCanary{})
	}
	if len(t.out.Actions) == 0 {
		t.tellKept()
		return Reason{}
	}
	return awaiting(ReasonTidyingUp, byKubernetes, "what Sluice added is being removed")
}
