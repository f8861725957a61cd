package sim

import (
	"fmt"
	"math"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file has the hands while no release is under way: what the caches show, in the core's words, and what the core's
// answer comes to.

// rest asks the core what there is to do, and queues it.
func (h *hands) rest(w *World, rollout Rollout, last Release) {
	d, exists := at[Deployment](&h.view.table, deploymentKey)
	d.Template = w.seen(d.Template)
	seen := h.seenAtRest(w, rollout, last, d, exists)
	spec := release.RestSpec{
		Rollout: "shop", Namespace: "demo", Workload: "shop", Kind: "Deployment", Part: "ReplicaSet",
		KeepPaused: !w.Policy, History: math.MaxInt, Plan: w.Plan,
	}
	out := release.Rest(spec, seen, h.now(w))
	if slices.Contains(out.Actions, release.RestAction(release.RemakeStable{})) {
		// It is made for the workload as it is now, and here no ReplicaSet goes before its workload does.
		seen.NotRemade = true
		out = release.Rest(spec, seen, h.now(w))
	}
	if w.Fumble.AnyTemplate && seen.Workload.Paused == release.PausedByHold {
		out.Actions = []release.RestAction{release.ResumeWorkload{}}
	}
	w.checks.rested(w, out)
	h.atRest, h.wake = out.Memory, h.nextWake(w, out.Wake)
	for _, a := range out.Actions {
		h.planAtRest(w, rollout, last, d, a)
	}
	h.note(rollout, last, out)
	h.dirty = h.dirty || out.Again
	if w.lines != nil {
		w.say("sluice rests %s %s: %v %s", out.Phase, out.Reason.Code, out.Actions, out.Reason.Message)
	}
}

// seenAtRest is what the caches show.
func (h *hands) seenAtRest(w *World, rollout Rollout, last Release, d Deployment, exists bool) release.RestSeen {
	stable := rollout.Stable
	o := release.RestSeen{
		Removing: rollout.Removing, Finalizer: true, Memory: h.atRest, LastNumber: int64(last.Number),
		Next: releaseName(last.Number + 1), Told: rollout.told(),
	}
	if last.Number > 0 {
		o.Latest = last.record()
		if stable = versionOf(o.Latest.From.Hash); o.Latest.Phase == release.Succeeded {
			stable = versionOf(o.Latest.To.Hash)
		}
	}
	o.Stable, o.StablePods = revisionOf(stable), observeTrack(&h.view, stable)
	o.Services = h.servicesAtRest(w, d, stable)
	if !exists {
		for i := range o.Services {
			o.Services[i].MissesStable = false // There are no pods to miss.
		}
		return o
	}
	o.Workload = release.RestWorkload{
		Exists: true, Ours: true, Template: revisionOf(d.Template), Replicas: d.Replicas, Needs: d.Replicas,
	}
	switch {
	case d.Paused && w.Policy:
		o.Workload.Paused = release.PausedByHold
	case d.Paused:
		o.Workload.Paused = release.PausedAlways
	case rollout.Removing:
		o.Workload.Ours = false // It has been given back.
	}
	for n := range w.Routed {
		if d.Template != stable && w.leaves(&h.view.table, n, d.Template) {
			o.Leaving = append(o.Leaving, release.Misfit{Name: serviceName(n), Routed: true})
		}
	}
	if o.Follows = h.follows(w, rollout, d); w.Fumble.AtOnce {
		o.Memory = release.RestMemory{Follows: o.Follows, ChangedAt: h.now(w), QuietAt: h.now(w)}
	}
	return o
}

// planAtRest turns one action into its writes.
func (h *hands) planAtRest(w *World, rollout Rollout, last Release, d Deployment, a release.RestAction) {
	stable := rollout.Stable
	if last.Number > 0 {
		stable = last.stable()
	}
	switch a := a.(type) {
	case release.SelectService:
		_, exists := at[Deployment](&h.view.table, deploymentKey)
		h.turnAtRest(w, a, rollout.Removing && exists, stable)
	case release.PauseWorkload:
		h.pause()
	case release.ResumeWorkload:
		h.letGo(w)
	case release.GiveBack:
		if d.Template == stable {
			h.letGo(w)
		} else {
			h.revert(w, stable)
		}
	case release.RemoveFinalizer:
		h.add(rolloutKey, func(any) any { return nil })
	case release.StartRelease:
		h.begin(w, rollout, d, last, a)
	case release.AddFinalizer, release.TakeOver, release.KeepStable, release.RemakeStable, release.RemoveRemains,
		release.RemoveOrphans, release.FreeRecords, release.RemoveRecord, release.RetryRelease, release.WriteRevision,
		release.Unroute, release.RemoveCanaryService:
		// The model has no marks on the workload, nobody removes a record, and no ReplicaSet stays without its
		// workload.
		panic(fmt.Sprintf("sim: %T at rest", a))
	}
}

// note has the Rollout's status tell what came out. What it tells of a release that begins is of no account before that
// has ended.
func (h *hands) note(rollout Rollout, last Release, out release.RestOutcome) {
	if out.Phase == "" || out.Phase == release.RestProgressing {
		return
	}
	next := rollout
	next.Done, next.Rests = last.Number, out.Phase == release.RestHealthy || out.Phase == release.RestDegraded
	if out.Stable.Hash != "" {
		next.Stable = versionOf(out.Stable.Hash)
	}
	if out.RejectedKnown {
		next.Rejected = NoVersion
	}
	if out.Rejected != nil {
		next.Rejected = versionOf(out.Rejected.Hash)
	}
	if next != rollout {
		h.add(rolloutKey, func(any) any { return next })
	}
}

// begin makes the next Release.
func (h *hands) begin(w *World, rollout Rollout, d Deployment, last Release, a release.StartRelease) {
	r := Release{Number: last.Number + 1, Spec: w.Plan, Memory: release.Begin(h.now(w)), Plan: rollout.Plan}
	if last.Memory.End == release.PlanChanged && last.Spec.To == a.To.Hash {
		r.Renewals = last.Renewals + 1
	}
	r.Spec.From, r.Spec.To, r.Spec.Authors = a.From.Hash, a.To.Hash, w.authors()
	if w.Fumble.TrustMark && d.Lie {
		r.Spec.Steps = []release.Step{{Name: stepName(0), Weight: 100}}
	}
	if w.Fumble.From != nil {
		r.Spec.From = w.Fumble.From(last)
	}
	h.add(releaseKey, func(any) any { return r })
}

// mostRenewals bounds how often the release of one revision gives way to a newer plan.
const mostRenewals = 5

// follows is everything that a release would follow.
func (h *hands) follows(w *World, rollout Rollout, d Deployment) string {
	print := fmt.Sprint(d.Template, rollout.Plan)
	for n := range w.Services {
		print += fmt.Sprint(must[Service](&h.view.table, serviceKey(n)).Selector)
	}
	return print
}

func releaseName(number int) string { return fmt.Sprintf("shop-%d", number) }

func revisionOf(v Version) release.Revision {
	return release.Revision{Hash: v.String(), Name: v.String(), Mark: v.String()}
}

// stable is the version that is stable after the release.
func (r Release) stable() Version {
	if r.Memory.Phase == release.Succeeded {
		return versionOf(r.Spec.To)
	}
	return versionOf(r.Spec.From)
}

// record is what is kept of a release that has ended.
func (r Release) record() *release.Record {
	return &release.Record{
		Name: releaseName(r.Number), Number: int64(r.Number), Phase: r.Memory.Phase, End: r.Memory.End,
		EndMessage: r.Memory.EndMessage, From: revisionOf(versionOf(r.Spec.From)), To: revisionOf(versionOf(r.Spec.To)),
	}
}

// told is what the status of the Rollout says.
func (r Rollout) told() release.RestTold {
	told := release.RestTold{Phase: release.RestPending, Release: releaseName(r.Done)}
	if r.Rests {
		told.Phase = release.RestHealthy
	}
	if r.Rejected != NoVersion {
		told.Rejected = &release.Rejected{Revision: revisionOf(r.Rejected), Release: told.Release}
	}
	return told
}
