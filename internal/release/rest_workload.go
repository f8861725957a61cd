package release

import (
	"strings"
	"time"
)

// This file has the rows about the workload itself: whether it is there, whose it is, whether new revisions of it are
// held, and what it runs.

// goneFor is how long the released pods outlive their workload. Whoever replaces one makes it anew within a second.
const goneFor = 30 * time.Second

// workloadGone looks after what a workload has left behind that is gone: its released pods serve on for a while, in
// case that it is made anew, and then end as Kubernetes would have ended them.
func (r *rest) workloadGone() finding {
	if r.o.Workload.Exists {
		return goOn
	}
	if r.o.Orphans {
		r.do(RemoveOrphans{})
	}
	if len(r.o.Remains) > 0 {
		since := r.now
		if told := r.o.Told; told.Code == ReasonWorkloadGone && !told.Since.IsZero() {
			since = told.Since
		}
		if until := since.Add(goneFor); r.now.Before(until) {
			return r.serveOn(since, until)
		}
		r.do(RemoveRemains{})
	}
	r.servicesServe() // One that was kept on the pods which ran is given back.
	return r.stall(ReasonWorkloadNotFound,
		"spec.workload names the %s %q, which is not in namespace %s: create it, or correct the name",
		r.s.Kind, r.s.Workload, r.s.Namespace)
}

// serveOn has the released pods serve on without their workload.
func (r *rest) serveOn(since, until time.Time) finding {
	r.wake(until)
	left := r.o.Remains[0]
	v := says(RestPending, ReasonWorkloadGone, "anyone who may create the "+r.s.Kind,
		"the %[1]s %[2]q was deleted; its released %[3]s %[4]s serves on with %[5]d pods for %[6]s, "+
			"in case that the %[1]s is made anew, and is then removed; kubectl delete %[7]s %[4]s ends it now",
		r.s.Kind, r.s.Workload, r.s.Part, left.Name, left.Pods, goneFor, strings.ToLower(r.s.Part))
	v.reason.Since, v.reason.Until = since, until
	return v
}

// workloadTaken refuses a workload that another Rollout has. Who has it keeps it: two Rollouts of the same second would
// otherwise each give way to the other.
func (r *rest) workloadTaken() finding {
	w := r.o.Workload
	switch {
	case w.TakenBy != "":
		return r.stall(ReasonWorkloadTaken,
			"spec.workload names the %s %q, which the Rollout %q releases already: delete one of the two",
			r.s.Kind, r.s.Workload, w.TakenBy)
	case !w.Ours && w.NamedBy != "":
		return r.stall(ReasonWorkloadTaken,
			"spec.workload names the %s %q, which the older Rollout %q names as well: delete one of the two",
			r.s.Kind, r.s.Workload, w.NamedBy)
	}
	return goOn
}

// finalizer has the Rollout stay until everything is given back.
func (r *rest) finalizer() finding {
	if !r.o.Finalizer {
		r.do(AddFinalizer{})
	}
	return goOn
}

// updating waits for the workload's own update, whose pods no release has brought.
func (r *rest) updating() finding {
	if r.stable.known() || !r.o.Workload.Updating {
		return goOn
	}
	return r.wait(ReasonWorkloadUpdating,
		"the %s's own rolling update is under way; Sluice takes over when it has ended", r.s.Kind)
}

// marked takes the workload over. kubectl rollout undo brings a mark of Sluice's along with the former template,
// which is taken off again.
func (r *rest) marked() finding {
	w := r.o.Workload
	if w.Ours && !(w.Former && w.Paused != NotPaused) {
		return goOn
	}
	r.do(TakeOver{})
	return r.lookAgain()
}

// paused pauses a workload that runs a revision free which was not released: it came while no policy held it. Where
// there is no policy at all, the workload is kept paused in Sluice's name.
func (r *rest) paused() finding {
	w, released := r.o.Workload, r.o.released()
	free := released.known() && !w.Template.is(released) && w.Paused == NotPaused
	if !free && !(r.s.KeepPaused && w.Paused != PausedAlways) {
		return goOn
	}
	r.do(PauseWorkload{})
	return r.lookAgain()
}

func (r *rest) heldByUs() bool { return r.o.Workload.Paused.BySluice(r.s.KeepPaused) }

// stableRecorded finds the stable revision of a workload that is taken over. From then on it is recorded, and never
// guessed from what runs.
func (r *rest) stableRecorded() finding {
	switch {
	case r.stable.known():
		return goOn
	case r.o.Running.known():
		r.stable = r.o.Running
		return goOn
	case r.o.Workload.Paused != NotPaused:
		return r.stall(ReasonPausedByTeam,
			"the %s %q is paused (spec.paused) with a pod template that has never run: "+
				"resume it once with kubectl rollout resume, then Sluice takes over", r.s.Kind, r.s.Workload)
	}
	return r.wait(ReasonWorkloadUpdating, "the %s has not made the %s of its pod template yet", r.s.Kind, r.s.Part)
}

// stableRemade brings the pods of the stable revision back where Kubernetes does not: it makes nothing for a workload
// that is paused. What cannot be brought back is no reason to stop.
func (r *rest) stableRemade() finding {
	w := r.o.Workload
	if r.o.StablePods.Exists || r.stable.Mark == "" || w.Going || w.Paused == NotPaused || r.o.NotRemade {
		return goOn
	}
	r.do(RemakeStable{})
	return r.lookAgain()
}

// stableKept has the stable pods outlive their workload.
func (r *rest) stableKept() finding {
	if r.o.StablePods.Exists && r.o.Unkept {
		r.do(KeepStable{})
	}
	return goOn
}

// removed gives everything back when the Rollout is being removed, one thing after the other: what leads to the pods,
// then the workload, then the records, and last the Rollout itself.
func (r *rest) removed() finding {
	switch {
	case !r.o.Removing:
		return goOn
	case !r.o.Finalizer:
		return unsaid // There is nothing of Sluice's any more.
	}
	r.servicesServe()
	r.leftovers()
	switch {
	case len(r.out.Actions) > 0:
	case r.o.Workload.Exists && r.o.Workload.Ours:
		r.do(GiveBack{})
	case r.o.Bound:
		r.do(FreeRecords{})
	default:
		r.do(RemoveFinalizer{})
		return unsaid
	}
	return r.lookAgain()
}
