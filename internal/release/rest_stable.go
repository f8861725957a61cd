package release

import "time"

// This file has the rows for a workload that no release follows: its pod template names the stable revision, or one
// that was taken back, or it cannot be released yet.

// passing is how long a state may last before people are told of it: most of what is not as it should be passes at
// once.
const passing = 4 * time.Second

// onStable looks after a workload whose pod template names the stable revision. It is held no longer.
func (r *rest) onStable() finding {
	w := r.o.Workload
	if !w.Template.is(r.stable) {
		return goOn
	}
	r.judge(nil)
	if r.heldByUs() && !r.s.KeepPaused || w.SaysHeld {
		r.do(ResumeWorkload{})
	}
	if phase, reason := r.atTheServices(); reason.Code != "" {
		r.wake(r.now.Add(recheckAtRest))
		return finding{ends: true, phase: phase, reason: reason}
	}
	if bad := r.unserved(); bad.reason.Code != "" && r.lasts(bad.reason.Code) {
		return bad
	}
	return says(RestHealthy, ReasonHealthy, "", "revision %s is released and nothing is under way%s", r.stable.Name,
		r.cameWith())
}

// unserved says why the stable revision does not serve as it should, if it does not.
func (r *rest) unserved() finding {
	w, pods := r.o.Workload, r.o.StablePods
	if pods.Ready < w.Needs {
		return says(RestDegraded, ReasonStablePodsNotReady, "whoever can mend the pods, or release another revision",
			"revision %s is released, but %d of its %d pods are ready%s",
			r.stable.Name, pods.Ready, w.Replicas, problemOf(pods.Problem))
	}
	for i := range r.o.Services {
		if s := &r.o.Services[i]; s.Routed && w.Replicas > 0 && s.ReadyStable == 0 {
			return says(RestDegraded, ReasonNoReadyEndpoints, "whoever may change the Service or the pod template",
				"revision %s is released, but Service %q, to which a traffic layer leads, has no ready endpoint: "+
					"compare its selector with the labels of the pods", r.stable.Name, s.Name)
		}
	}
	return goOn
}

// lasts says whether what is the matter is to be told: it has lasted for a while, or something is told already.
func (r *rest) lasts(code string) bool {
	since := r.memory.UnservedSince
	if r.memory.Unserved != code {
		since = r.now
	}
	r.out.Memory.Unserved, r.out.Memory.UnservedSince = code, since
	end := since.Add(passing)
	r.wake(end)
	return r.o.Told.Phase != RestHealthy || !r.now.Before(end)
}

// cameWith says what the release changed that brought the revision which runs.
func (r *rest) cameWith() string {
	rel := r.o.Latest
	if rel == nil || rel.Phase != Succeeded || !rel.To.is(r.stable) {
		return ""
	}
	return inWords("; "+rel.Name+" changed ", rel.Changes)
}

// judge says which revision is rejected, nil for none.
func (r *rest) judge(rejected *Rejected) { r.out.RejectedKnown, r.out.Rejected = true, rejected }

// onRejected has a revision rest that was taken back, until somebody changes the pod template or says that it is to be
// tried again.
func (r *rest) onRejected() finding {
	rejected := r.rejected()
	r.judge(rejected)
	if rejected == nil || !r.o.Workload.Template.is(rejected.Revision) {
		return goOn
	}
	v := says(RestRejected, ReasonRevisionRejected, "anyone who may change the workload or retry",
		"revision %s was taken back by %s (%s) and is not running%s; "+
			"change the pod template, or try it again with: sluice retry %s",
		rejected.Name, rejected.Release, rejected.Message,
		inWords("; it differs from the stable one in ", rejected.Changes), r.s.Rollout)
	if _, reason := r.atTheServices(); reason.Code != "" {
		v.reason.Message += "; " + reason.Message
	}
	return v
}

// rejected is the revision that the newest release failed to bring, if it was not superseded.
func (r *rest) rejected() *Rejected {
	rel, told := r.o.Latest, r.o.Told
	switch {
	case rel == nil || rel.Number < r.o.LastNumber:
		return told.Rejected // The record is gone, its verdict is not.
	case rel.Phase != Aborted || rel.Retried:
		return nil
	case told.Phase.atRest() && told.Release == rel.Name:
		return nil // The template has been the stable one since: whoever brings it again means it.
	}
	switch rel.End {
	case NotEnding, BackToStable, RolloutRemoved, WorkloadRemoved:
		return nil // Nobody has found fault with it.
	default:
		return &Rejected{Revision: rel.To, Release: rel.Name, Message: rel.EndMessage, Changes: rel.Changes}
	}
}

// pausedByTeam waits for the team to resume a workload that it has paused itself.
func (r *rest) pausedByTeam() finding {
	if r.o.Workload.Paused == NotPaused || r.heldByUs() {
		return goOn
	}
	return says(RestPending, ReasonPausedByTeam, "anyone who may change the workload",
		"the %s %q was paused by the team before its template changed: "+
			"resume it (kubectl rollout resume) to begin the release", r.s.Kind, r.s.Workload)
}

// stableMissing stalls a release that would have nothing to go back to.
func (r *rest) stableMissing() finding {
	if r.o.StablePods.Exists {
		return goOn
	}
	return says(RestStalled, ReasonStableSetMissing, "anyone who may change the Rollout",
		"the %s of the stable revision %s is gone; delete the Rollout and create it again to begin from what runs now",
		r.s.Part, r.stable.Name)
}

// pruned removes the oldest records.
func (r *rest) pruned() finding {
	for i, kept := range r.o.Records {
		if i >= r.s.History && !kept.Going {
			r.do(RemoveRecord{Release: kept.Name})
		}
	}
	return goOn
}
