package release

import (
	"fmt"
	"slices"
	"time"
)

// The codes of an Answer.
const (
	AnswerPromoted     = "Promoted"
	AnswerPromotedFull = "PromotedFull"
	AnswerPaused       = "Paused"
	AnswerResumed      = "Resumed"
	AnswerAborting     = "Aborting"

	RefusedReleaseEnded     = "ReleaseEnded"
	RefusedAlreadyEnding    = "AlreadyEnding"
	RefusedHandedOver       = "HandedOver"
	RefusedPlanMismatch     = "PlanMismatch"
	RefusedWrongStep        = "WrongStep"
	RefusedNothingToPromote = "NothingToPromote"
	RefusedAlreadyPromoted  = "AlreadyPromoted"
	RefusedAlreadyPaused    = "AlreadyPaused"
	RefusedNotPaused        = "NotPaused"
	RefusedStepNotInForce   = "StepNotInForce"
	RefusedMemoryInvalid    = "MemoryInvalid"
	RefusedUnknownVerb      = "UnknownVerb"
)

// refusal is why a decision is not applied; the zero value is none.
type refusal struct{ code, message string }

// answer looks at people's decisions, oldest first, each in the light of those before it.
func (t *turn) answer() {
	for _, d := range t.o.Decisions {
		if r := t.refuse(d); r.code != "" {
			t.reply(d, false, r.code, r.message)
			continue
		}
		code, message := t.apply(d)
		t.reply(d, true, code, message)
	}
}

func (t *turn) reply(d Decision, applied bool, code, message string) {
	t.out.Answers = append(t.out.Answers, Answer{ID: d.ID, Applied: applied, Code: code, Message: message})
}

// refuse says why a decision cannot be applied now.
func (t *turn) refuse(d Decision) refusal {
	if r := t.refuseAny(d); r.code != "" {
		return r
	}
	switch d.Verb {
	case Abort:
		return refusal{}
	case Approve, Reject:
		return t.refuseWord(d)
	case Override:
		return t.refuseOverride(d)
	case Promote:
		return t.refusePromote(d)
	case PromoteFull:
		return t.refuseFull(d)
	case PauseNow:
		if t.m.PausedBy != "" {
			return refusal{RefusedAlreadyPaused, fmt.Sprintf("the release is paused already, by %s since %s", t.m.PausedBy, t.m.PausedAt.Format(time.RFC3339))}
		}
		return refusal{}
	case Resume:
		if t.m.PausedBy == "" {
			return refusal{RefusedNotPaused, "the release is not paused by hand; promote ends the pause of a step"}
		}
		return t.refuseUnseen(d)
	}
	return refusal{RefusedUnknownVerb, fmt.Sprintf("spec.verb %q is none that a running release knows; use promote, promoteFull, pause, resume, abort, approve, reject or override", d.Verb)}
}

// refuseAny holds for all verbs.
func (t *turn) refuseAny(d Decision) refusal {
	switch {
	case t.m.Phase.Terminal():
		return refusal{RefusedReleaseEnded, fmt.Sprintf("the release has ended (%s)", t.m.Phase)}
	case d.PlanMismatch:
		return refusal{RefusedPlanMismatch, "spec.planDigest is not this release's; look at the release and decide again"}
	case t.m.Phase == Aborting:
		return refusal{RefusedAlreadyEnding, "the release is being taken back already: " + t.m.EndMessage}
	case t.handedOver():
		return refusal{RefusedHandedOver, "the workload has taken the new revision over; to go back, release the former one"}
	case d.Verb != Abort && t.broken != "":
		return refusal{RefusedMemoryInvalid, t.broken}
	case d.Verb != Abort && d.Step != "" && d.Step != t.stepName():
		return refusal{RefusedWrongStep, fmt.Sprintf("spec.step is %q, but the release is at %s", d.Step, t.stepLabel())}
	}
	return refusal{}
}

// refusePromote: a promotion ends the pause of a step that is in force, and that its speaker has seen in force. Where a
// failure has paused the release, it is the answer to that.
func (t *turn) refusePromote(d Decision) refusal {
	switch {
	case t.m.PausedBy == pausedByFailure && !t.crosses(d):
		return refusal{}
	case t.m.Phase == Completing && (t.m.PausedBy == "" || t.crosses(d)):
		return refusal{RefusedNothingToPromote, "all steps are done and the release is being completed"}
	case t.m.Phase == Completing:
		return refusal{}
	}
	if r := t.refuseEarly(d); r.code != "" {
		return r
	}
	switch {
	case t.m.PausedBy != "" && !t.crosses(d):
		return refusal{}
	case t.m.Promoted:
		return refusal{RefusedAlreadyPromoted, t.stepLabel() + " is promoted already and goes on as soon as nothing else holds it"}
	case t.approval() != nil && !t.m.AskedAt.IsZero():
		return refusal{RefusedApprovalNeeded, fmt.Sprintf("%s waits for approval by %s; promote ends pauses only", t.stepLabel(), t.approval().who())}
	case len(t.s.Steps) == 0 || t.current().Pause.Kind == PauseNone:
		return refusal{RefusedNothingToPromote, t.stepLabel() + " has no pause and goes on by itself; promote --full skips the steps to come"}
	}
	return refusal{}
}

// refuseEarly says why a word on the current step is too early: the step is not in force, or was not when the word was
// spoken.
func (t *turn) refuseEarly(d Decision) refusal {
	reached := t.m.StepReachedAt
	switch {
	case reached.IsZero():
		return refusal{RefusedStepNotInForce, fmt.Sprintf("%s is not in force yet%s; decide again when it is", t.stepLabel(), problemOf(t.onItsWay()))}
	case t.m.PausedBy != "" && !t.crosses(d): // The release was paused after that.
		return refusal{}
	case d.unseen(reached):
		return refusal{RefusedStepNotInForce, fmt.Sprintf("%s is in force since %s, and this was decided before it was seen in force; look, and decide again",
			t.stepLabel(), reached.Format(time.RFC3339Nano))}
	}
	return refusal{}
}

// onItsWay says what the current step waits for before it is in force.
func (t *turn) onItsWay() string {
	if t.m.PausedBy != "" {
		return "the release is paused; resume it first"
	}
	if !t.o.Workload.Exists || len(t.s.Steps) == 0 || len(Validate(t.s)) > 0 {
		return ""
	}
	if t.o.demand() == 0 {
		return "the workload is scaled to zero"
	}
	if r := t.window(); r.Code != "" {
		return r.Message
	}
	look := *t // Asked without a trace: nothing of this turn changes by the question.
	look.out = Outcome{}
	return look.first(t.gates()).Message
}

// refuseUnseen refuses what was said before the release was paused, or stopped to ask a person.
func (t *turn) refuseUnseen(d Decision) refusal {
	switch {
	case !t.crosses(d):
		return refusal{}
	case t.m.PausedBy == pausedByFailure:
		return refusal{RefusedNotPaused, "the release has stopped since you decided: " + t.m.EndMessage + "; look, and decide again"}
	}
	return refusal{RefusedNotPaused, fmt.Sprintf("%s paused the release after you decided; look, and decide again", t.m.PausedBy)}
}

func (t *turn) refuseFull(d Decision) refusal {
	if t.m.Phase == Completing && t.m.PausedBy == "" {
		return refusal{RefusedNothingToPromote, "all steps are done and the release is being completed"}
	}
	if r := t.window(); r.Code != "" && t.m.Phase != Completing {
		return refusal{RefusedWindowShut, t.o.Shut.Message + "; override it first"}
	}
	if step, needed := t.approvalNeeded(); needed {
		return refusal{RefusedApprovalNeeded, fmt.Sprintf("step %q needs approval, which promote --full does not replace", step)}
	}
	return t.refuseUnseen(d)
}

// apply records what a decision says, does it, and returns the answer.
func (t *turn) apply(d Decision) (code, message string) {
	code, message = t.heard(d)
	if end, ends := endedBy[d.Verb]; ends {
		message += problemOf(d.Comment)
		t.end(end, d.User, message)
		return code, message
	}
	t.happened(code, d.User, "%s%s", message, problemOf(d.Comment))
	switch d.Verb {
	case PauseNow:
		t.pause(d.person())
	case Resume:
		t.remeasure(false)
		t.unpause()
	case Promote:
		inForce := t.m.Phase != Completing && !t.m.StepReachedAt.IsZero()
		if !t.crosses(d) {
			t.remeasure(true)
			t.unpause()
		}
		t.m.Promoted = t.m.Promoted || inForce
	case PromoteFull:
		t.promoteFull()
	case Approve:
		t.m.Approvals = append(slices.Clone(t.m.Approvals), Approved{User: d.User, Comment: d.Comment, At: t.now})
	case Override:
		t.m.OverriddenBy = d.User
	case Abort, Reject: // The end, see above.
	}
	return code, message
}

// endedBy are the words that take a release back.
var endedBy = map[Verb]EndReason{Abort: AbortedByUser, Reject: RejectedByUser}

// heard is the answer to a decision that is applied.
func (t *turn) heard(d Decision) (code, message string) {
	switch at := t.placeLabel(); d.Verb {
	case Promote:
		if t.m.Phase != Completing && t.m.StepReachedAt.IsZero() {
			return AnswerResumed, fmt.Sprintf("%s goes on trying, as %s says", at, d.User)
		}
		return AnswerPromoted, fmt.Sprintf("%s promoted by %s", at, d.User)
	case PromoteFull:
		return AnswerPromotedFull, fmt.Sprintf("promoted past all steps by %s, at %s", d.User, at)
	case PauseNow:
		return AnswerPaused, fmt.Sprintf("paused by %s at %s", d.User, at)
	case Resume:
		return AnswerResumed, fmt.Sprintf("resumed by %s at %s", d.User, at)
	case Abort:
		return AnswerAborting, fmt.Sprintf("aborted by %s at %s", d.User, at)
	case Approve:
		return AnswerApproved, fmt.Sprintf("%s approved by %s", at, d.User)
	case Reject:
		return AnswerRejected, fmt.Sprintf("%s rejected by %s", at, d.User)
	case Override:
		return AnswerOverridden, fmt.Sprintf("the release windows are overridden by %s at %s", d.User, at)
	}
	return "", ""
}

// promoteFull goes straight to completion; the capacity that it needs is waited for there.
func (t *turn) promoteFull() {
	t.unpause()
	t.m.Full = true
	if t.m.Phase != Completing {
		t.startCompleting()
	}
}

// pause stops the advance. Completing stays Completing, so that it is known where to go on.
func (t *turn) pause(by string) {
	t.m.PausedBy, t.m.PausedAt = by, t.now
	if t.m.Phase != Completing {
		t.m.Phase = Paused
	}
}

// unpause lets the advance go on. What was awaited gets its whole time again.
func (t *turn) unpause() {
	if t.m.PausedBy == "" {
		return
	}
	t.m.PausedBy, t.m.PausedAt, t.m.EndMessage = "", time.Time{}, ""
	t.m.Told, t.m.ToldBackground = Measuring, Measuring
	if t.m.StepReachedAt.IsZero() || t.m.StepStartedAt.After(t.m.StepReachedAt) {
		t.m.StepStartedAt = t.now
	}
	if t.m.Phase == Paused {
		t.m.Phase = Progressing
	}
}
