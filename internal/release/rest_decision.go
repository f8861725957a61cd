package release

import "fmt"

// This file answers decisions on releases that are not under way: to try a revision again and to go back to an
// earlier one begin a new release, the others come too late.
//
// A release without steps and approvals follows only from a decision on a release that succeeded. No annotation on
// the workload says so: whoever may edit the workload could.

// The codes of an Answer to a decision on a release that is not under way. ReasonReleaseUnderWay is the answer to one
// that would begin a release while another is under way.
const (
	AnswerRetried    = "Retried"
	AnswerRolledBack = "RolledBack"

	ReasonUnknownDecision    = "ReleaseNotFound"
	ReasonReleaseEnded       = "ReleaseEnded"
	ReasonReleaseUnderWay    = "ReleaseUnderWay"
	ReasonNothingToRetry     = "NothingToRetry"
	ReasonNothingToRollBack  = "NothingToRollBack"
	ReasonRevisionNotInCache = "RevisionGone"
)

// answered answers people. A decision that has something done ends the look, since everything else depends on it.
func (r *rest) answered() finding {
	for i := range r.o.Decisions {
		answer, action := r.hear(&r.o.Decisions[i])
		r.out.Answers = append(r.out.Answers, answer)
		if action != nil {
			r.do(action)
			return r.lookAgain()
		}
	}
	return goOn
}

// AnswerLate answers a decision on a release that has ended while another one is under way.
func AnswerLate(s RestSpec, seen RestSeen, d RestDecision, running string) Answer {
	answer, action := (&rest{s: s, o: seen, stable: seen.Stable}).hear(&d)
	if action == nil {
		return answer
	}
	return d.refused(ReasonReleaseUnderWay, "%s is under way; abort it, or let it end, before you %s", running, d.Verb)
}

// RevisionGone is the answer to a decision whose revision turned out to be kept nowhere.
func RevisionGone(s RestSpec, decision string) Answer {
	d := RestDecision{ID: decision}
	return d.refused(ReasonRevisionNotInCache,
		"the pod template of that revision is not kept any more, neither by a %s (spec.revisionHistoryLimit of the %s) "+
			"nor by a release's record; write it to the %s %q yourself", s.Part, s.Kind, s.Kind, s.Workload)
}

// refused is an answer that says no.
func (d *RestDecision) refused(code, format string, args ...any) Answer {
	return Answer{ID: d.ID, Code: code, Message: fmt.Sprintf(format, args...)}
}

// applied is an answer that says yes.
func (d *RestDecision) applied(code, format string, args ...any) Answer {
	return Answer{ID: d.ID, Applied: true, Code: code, Message: fmt.Sprintf(format, args...)}
}

// hear says what becomes of a decision, and what has to be done before whoever made it is told so.
func (r *rest) hear(d *RestDecision) (Answer, RestAction) {
	rel := d.Record
	switch {
	case rel != nil && d.Older:
		return d.refused(ReasonUnknownDecision,
			"the decision is older than release %s, which it cannot have meant; decide again", rel.Name), nil
	case rel == nil && d.Ours:
		return d.refused(ReasonUnknownDecision, "there is no release %s of Rollout %s; see sluice history %s",
			d.Release, r.s.Rollout, r.s.Rollout), nil
	case rel == nil:
		return d.refused(ReasonUnknownDecision, "there is no release %s", d.Release), nil
	case d.Given != nil:
		return *d.Given, nil
	case d.Verb == Retry:
		return r.hearRetry(d)
	case d.Verb == RollBack:
		return r.hearRollBack(d)
	}
	return d.refused(ReasonReleaseEnded, "%s has ended (%s); there is nothing to %s", rel.Name, rel.Phase, d.Verb), nil
}

func (r *rest) hearRetry(d *RestDecision) (Answer, RestAction) {
	rejected, name := r.rejected(), d.Record.Name
	last := r.o.Latest != nil && r.o.Latest.Name == name
	if !last || rejected == nil || !rejected.is(r.o.Workload.Template) {
		return d.refused(ReasonNothingToRetry,
			"%s is not the release whose revision was rejected last and is still in the pod template; "+
				"there is nothing to try again", name), nil
	}
	return d.applied(AnswerRetried, "the revision of %s is tried again by a new release", name),
		RetryRelease{Decision: d.ID, Release: name}
}

func (r *rest) hearRollBack(d *RestDecision) (Answer, RestAction) {
	rel, to := d.Record, d.Record.To
	if d.Before {
		to = rel.From
	}
	switch {
	case !r.o.Workload.Exists:
		return d.refused(ReasonWorkloadNotFound, "the %s %q is gone", r.s.Kind, r.s.Workload), nil
	case rel.Phase != Succeeded:
		return d.refused(ReasonNothingToRollBack,
			"%s ended as %s, so its revision was never released; choose one that succeeded: sluice history %s",
			rel.Name, rel.Phase, r.s.Rollout), nil
	case r.stable.is(to) && r.o.Workload.Template.is(r.stable):
		return d.refused(ReasonNothingToRollBack, "the revision %s is the one that runs", to.Name), nil
	case !to.known():
		return RevisionGone(r.s, d.ID), nil
	}
	return d.applied(AnswerRolledBack, "the pod template of %s is written back and released", to.Name),
		WriteRevision{Decision: d.ID, Release: rel.Name, To: to, By: d.User}
}
