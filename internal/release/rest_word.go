package release

import "fmt"

// This file answers people's words on releases that are not under way: to try a revision again and to go back to an
// earlier one begin a new release, the others come too late.
//
// A release without steps and approvals follows only from a word on a release that succeeded. No annotation on the
// workload says so: whoever may edit the workload could.

// The codes of an Answer to a word on a release that is not under way. ReasonReleaseUnderWay is that to one that would
// begin a release while another is under way.
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

// words answers people. One that has something done ends the look, since everything else depends on it.
func (r *rest) words() verdict {
	for _, w := range r.o.Words {
		answer, action := r.hear(w)
		r.out.Answers = append(r.out.Answers, answer)
		if action != nil {
			r.do(action)
			return r.lookAgain()
		}
	}
	return goOn
}

// AnswerLate answers a word on a release that has ended while another one is under way.
func AnswerLate(s RestSpec, seen RestSeen, w Word, running string) Answer {
	answer, action := (&rest{s: s, o: seen, stable: seen.Stable}).hear(w)
	if action == nil {
		return answer
	}
	return refuseWord(w, ReasonReleaseUnderWay, "%s is under way; abort it, or let it end, before you %s", running, w.Verb)
}

// RevisionGone is the answer to a word whose revision turned out to be kept nowhere.
func RevisionGone(s RestSpec, word string) Answer {
	return refuseWord(Word{ID: word}, ReasonRevisionNotInCache,
		"the pod template of that revision is not kept any more, neither by a %s (spec.revisionHistoryLimit of the %s) "+
			"nor by a release's record; write it to the %s %q yourself", s.Part, s.Kind, s.Kind, s.Workload)
}

func refuseWord(w Word, code, format string, args ...any) Answer {
	return Answer{ID: w.ID, Code: code, Message: fmt.Sprintf(format, args...)}
}

// hear says what becomes of a word, and what has to be done before its speaker is told so.
func (r *rest) hear(w Word) (Answer, RestAction) {
	rel := w.Record
	switch {
	case rel != nil && w.Older:
		return refuseWord(w, ReasonUnknownDecision,
			"the decision is older than release %s, which it cannot have meant; decide again", rel.Name), nil
	case rel == nil && w.Ours:
		return refuseWord(w, ReasonUnknownDecision, "there is no release %s of Rollout %s; see sluice history %s",
			w.Release, r.s.Rollout, r.s.Rollout), nil
	case rel == nil:
		return refuseWord(w, ReasonUnknownDecision, "there is no release %s", w.Release), nil
	case w.Given != nil:
		return *w.Given, nil
	case w.Verb == Retry:
		return r.hearRetry(w)
	case w.Verb == RollBack:
		return r.hearRollBack(w)
	}
	return refuseWord(w, ReasonReleaseEnded, "%s has ended (%s); there is nothing to %s", rel.Name, rel.Phase, w.Verb), nil
}

func (r *rest) hearRetry(w Word) (Answer, RestAction) {
	rejected, name := r.rejected(), w.Record.Name
	last := r.o.Latest != nil && r.o.Latest.Name == name
	if !last || rejected == nil || !rejected.is(r.o.Workload.Template) {
		return refuseWord(w, ReasonNothingToRetry,
			"%s is not the release whose revision was rejected last and is still in the pod template; "+
				"there is nothing to try again", name), nil
	}
	return Answer{
		ID: w.ID, Applied: true, Code: AnswerRetried,
		Message: fmt.Sprintf("the revision of %s is tried again by a new release", name),
	}, RetryRelease{Word: w.ID, Release: name}
}

func (r *rest) hearRollBack(w Word) (Answer, RestAction) {
	rel, to := w.Record, w.Record.To
	if w.Before {
		to = rel.From
	}
	switch {
	case !r.o.Workload.Exists:
		return refuseWord(w, ReasonWorkloadNotFound, "the %s %q is gone", r.s.Kind, r.s.Workload), nil
	case rel.Phase != Succeeded:
		return refuseWord(w, ReasonNothingToRollBack,
			"%s ended as %s, so its revision was never released; choose one that succeeded: sluice history %s",
			rel.Name, rel.Phase, r.s.Rollout), nil
	case r.stable.is(to) && r.o.Workload.Template.is(r.stable):
		return refuseWord(w, ReasonNothingToRollBack, "the revision %s is the one that runs", to.Name), nil
	case !to.known():
		return RevisionGone(r.s, w.ID), nil
	}
	return Answer{
		ID: w.ID, Applied: true, Code: AnswerRolledBack,
		Message: fmt.Sprintf("the pod template of %s is written back and released", to.Name),
	}, WriteRevision{Word: w.ID, Release: rel.Name, To: to, By: w.User}
}
