package sim

import (
	"fmt"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file watches over what the team changes beside the pod template: Services that select by another label, and
// steps that are edited.

// inForceOnBothSides: a step counts as in force only when each Service that a layer names shows the stable endpoints
// and the new ones that their shares need, as far as the hands knew.
func inForceOnBothSides(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || after.Memory.End != release.NotEnding || after.Memory.Full || after.Spec.Divide == release.ByPods {
		return ""
	}
	m := after.Memory
	reached := !m.StepReachedAt.IsZero() && !m.StepReachedAt.Equal(before.Memory.StepReachedAt)
	if !reached || m.Phase == release.Completing {
		return ""
	}
	step, demand := after.Spec.Steps[m.Step], w.knownDemand()
	from, to := versionOf(after.Spec.From), versionOf(after.Spec.To)
	if after.Spec.Divide == release.BySelector {
		return w.leadsAsTheStepSays(step, from, to, demand)
	}
	onlyApproval := step.Approval != nil && w.knownReady(from) == 0 // Nothing else leads out of this.
	for n := range w.Routed {
		if need, has := share(100-step.Weight, demand), int(w.knownEndpoints(n).Ready[from]); has < need && !onlyApproval {
			return fmt.Sprintf("%s is in force with %d of %d stable endpoints behind %s", step.Name, has, need, serviceName(n))
		}
		if need, has := max(1, share(step.Weight, demand)), int(w.knownEndpoints(twin(n)).Ready[to]); has < need {
			return fmt.Sprintf("%s is in force with %d of %d new endpoints behind %s", step.Name, has, need, serviceName(n))
		}
	}
	return ""
}

// newestPlan: the plan that the first request of a release follows is the newest that the hands knew of; and a release
// gives way to a newer plan only while no request was sent.
func newestPlan(w *World, ch Change) string {
	if before, after, ok := releases(ch); ok {
		to := versionOf(after.Spec.To)
		byPods := after.Spec.Divide == release.ByPods && w.knownReady(to) > 0
		sent := w.checks.sent || byPods || !before.Memory.StepReachedAt.IsZero()
		if before.Memory.End == release.NotEnding && after.Memory.End == release.PlanChanged && sent {
			return fmt.Sprintf("release %d gives way to a newer plan although requests were sent to it", after.Number)
		}
		return ""
	}
	r, _, _, under := w.current()
	before, after, ok := splits(ch)
	if !ok || !under || r.Memory.End != release.NotEnding || before != (Split{}) || after == (Split{}) ||
		r.Memory.Step > 0 || !r.Memory.StepReachedAt.IsZero() {
		return ""
	}
	if w.meddled() || w.checks.sent || w.mayHaveSent(r) {
		return ""
	}
	if known := must[Rollout](w.known(), rolloutKey).Plan; known != r.Plan && r.Renewals < mostRenewals {
		return fmt.Sprintf("the first request of release %d follows steps %d, and the hands knew of %d", r.Number, r.Plan,
			known)
	}
	return ""
}

// mayHaveSent says whether the hands cannot know that no request was sent to the new version. A route that is held and
// leads to stable may be one that somebody has undone, and new pods that are remembered to stand in may have been led
// to. A crash before that request looks the same, and a release keeps to its steps in either case.
func (w *World) mayHaveSent(r Release) bool {
	_, held := at[Hold](w.known(), routeHoldKey)
	return held && contains(r.Spec.Layers, "route") || r.Memory.StoodIn
}

// written is a Service's selector as the team wrote it last.
func (w *World) written(n int) Selector {
	return Selector{Team: w.manifest.service[n], Label: w.manifest.label[n], Hash: NoVersion}
}

// keptAtRest: the Service is kept, under its Hold, on the version that runs, since the team's own selector misses it.
func (w *World) keptAtRest(n int) bool {
	s, ok := w.service(n)
	own, stable := w.written(n), w.checks.promoted
	_, held := at[Hold](&w.store.table, serviceHoldKey(n))
	return ok && held && !w.selects(own, stable) && s.Selector == w.narrow(own, stable)
}

// fittedAtRest: the Rollout is gone, and the team's own selector would miss the pods that it has left: it has the value
// that they bear instead, and nothing of Sluice's.
func (w *World) fittedAtRest(n int) bool {
	s, ok := w.service(n)
	own, left := w.written(n), w.checks.promoted
	_, managed := w.rollout()
	return ok && !managed && !w.selects(own, left) && s.Selector == w.fitted(own, left)
}

// lostByTeam: the team has just given a Service another label, or one that leads to no version that could run, so that
// Kubernetes alone would serve nobody either; or had until just now. A Service that is held is Sluice's to keep
// serving.
func (w *World) lostByTeam() bool {
	e := &w.checks.excuse
	if !e.relabelled {
		return false
	}
	if w.meddled() || w.selectsNothing() {
		e.lostAt = w.Tick
	}
	unseen := e.blindFrom > 0 && e.lookedAt < e.lostAt
	return e.lostAt > 0 && (unseen || w.Tick <= max(e.lostAt, e.lostSeen)+foreignWindow/2)
}

func (w *World) selectsNothing() bool {
	d, _ := w.deployment()
	for n := range w.Services {
		_, held := at[Hold](&w.store.table, serviceHoldKey(n))
		if s, ok := w.service(n); ok && !held && !w.selects(s.Selector, d.Template) {
			return true
		}
	}
	return false
}
