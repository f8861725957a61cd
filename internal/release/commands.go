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
	RefusedHeldAt           = "HeldAt"
	RefusedUnknownVerb      = "UnknownVerb"
)

// refusal is why a decision is not applied; the zero value is none.
type refusal struct{ code, message string }

// answer looks at people's decisions, oldest first, each in the light of those before it.
func (p *pass) answer() {
	for _, d := range p.o.Decisions {
		if r := p.refuse(d); r.code != "" {
			p.reply(d, false, r.code, r.message)
			continue
		}
		code, message := p.apply(d)
		p.reply(d, true, code, message)
	}
}

func (p *pass) reply(d Decision, applied bool, code, message string) {
	p.out.Answers = append(p.out.Answers, Answer{ID: d.ID, Applied: applied, Code: code, Message: message})
}

// refuse says why a decision cannot be applied now.
func (p *pass) refuse(d Decision) refusal {
	if r := p.refuseAny(d); r.code != "" {
		return r
	}
	if p.keepingOld() {
		return refusal{} // Whatever has a meaning now, see endsKeeping.
	}
	switch d.Verb {
	case Abort:
		return refusal{}
	case Approve, Reject:
		return p.refuseWord(d)
	case Override:
		return p.refuseOverride(d)
	case Promote:
		return p.refusePromote(d)
	case PromoteFull:
		return p.refuseFull(d)
	case PauseNow:
		if p.m.PausedBy != "" {
			return refusal{RefusedAlreadyPaused, fmt.Sprintf("the release is paused already, by %s since %s",
				p.m.PausedBy, p.m.PausedAt.Format(time.RFC3339))}
		}
		return refusal{}
	case Resume:
		if p.m.PausedBy == "" {
			return refusal{RefusedNotPaused, "the release is not paused by hand; promote ends the pause of a step"}
		}
		return p.refuseUnseen(d)
	case Retry, RollBack: // They speak of a release that has ended.
	}
	return refusal{RefusedUnknownVerb, fmt.Sprintf("spec.verb %q is none that a running release knows; use promote, "+
		"promoteFull, pause, resume, abort, approve, reject or override", d.Verb)}
}

// refuseAny holds for all verbs.
func (p *pass) refuseAny(d Decision) refusal {
	switch {
	case p.m.Phase.Terminal():
		return refusal{RefusedReleaseEnded, fmt.Sprintf("the release has ended (%s)", p.m.Phase)}
	case d.PlanMismatch:
		return refusal{RefusedPlanMismatch, "spec.planDigest is not this release's; look at the release and decide again"}
	case p.m.Phase == Aborting:
		return refusal{RefusedAlreadyEnding, "the release is being taken back already: " + p.m.EndMessage}
	case p.handedOver() && !(p.keepingOld() && endsKeeping(d.Verb)):
		return refusal{RefusedHandedOver, "the workload has taken the new revision over; to go back, release the former one"}
	case d.Verb != Abort && p.broken != "":
		return refusal{RefusedMemoryInvalid, p.broken}
	case d.Verb != Abort && d.Step != "" && d.Step != p.stepName():
		return refusal{RefusedWrongStep, fmt.Sprintf("spec.step is %q, but the release is at %s", d.Step, p.stepLabel())}
	}
	return refusal{}
}

// refusePromote: a promotion ends the pause of a step that is in force, and that its speaker has seen in force. Where a
// failure has paused the release, it is the answer to that.
func (p *pass) refusePromote(d Decision) refusal {
	switch {
	case p.m.PausedBy == pausedByFailure && !p.crosses(d):
		return refusal{}
	case p.m.Phase == Completing && (p.m.PausedBy == "" || p.crosses(d)):
		return refusal{RefusedNothingToPromote, "all steps are done and the release is being completed"}
	case p.m.Phase == Completing:
		return refusal{}
	}
	if r := p.refuseEarly(d); r.code != "" {
		return r
	}
	if d.To != "" {
		return p.refuseTo(d.To)
	}
	return p.refuseStep(d)
}

// refuseStep says why there is nothing in the current step that a promotion would end.
func (p *pass) refuseStep(d Decision) refusal {
	switch {
	case p.m.PausedBy != "" && !p.crosses(d):
		return refusal{}
	case p.m.Promoted:
		return refusal{
			RefusedAlreadyPromoted, p.stepLabel() + " is promoted already and goes on as soon as nothing else holds it",
		}
	case p.approval() != nil && !p.m.AskedAt.IsZero():
		return refusal{RefusedApprovalNeeded, fmt.Sprintf("%s waits for approval by %s; promote ends pauses only",
			p.stepLabel(), p.approval().who())}
	case p.o.HoldAt == p.stepName() && p.current().Pause.Kind == PauseNone:
		return refusal{RefusedHeldAt, p.stopsHere()}
	case len(p.s.Steps) == 0 || p.current().Pause.Kind == PauseNone:
		return refusal{
			RefusedNothingToPromote,
			p.stepLabel() + " has no pause and goes on by itself; promote --full skips the steps to come",
		}
	}
	return refusal{}
}

// refuseTo: a promotion up to a step leads to one that is still to come, and not past the one at which the Rollout says
// that releases stop.
func (p *pass) refuseTo(name string) refusal {
	to, stop := p.stepNamed(name), p.stepNamed(p.o.HoldAt)
	switch {
	case to < 0:
		return refusal{RefusedWrongStep, fmt.Sprintf("spec.toStep: the release has no step %q", name)}
	case to <= p.m.Step:
		return refusal{RefusedNothingToPromote, fmt.Sprintf("spec.toStep: the release is at %s, so step %q is not to come",
			p.stepLabel(), name)}
	case p.stopAhead() && to > stop:
		return refusal{RefusedHeldAt, p.stopsHere()}
	}
	return refusal{}
}

// refuseEarly says why a word on the current step is too early: the step is not in force, or was not when the word was
// spoken.
func (p *pass) refuseEarly(d Decision) refusal {
	reached := p.m.StepReachedAt
	switch {
	case reached.IsZero():
		return refusal{RefusedStepNotInForce, fmt.Sprintf("%s is not in force yet%s; decide again when it is",
			p.stepLabel(), problemOf(p.onItsWay()))}
	case p.m.PausedBy != "" && !p.crosses(d): // The release was paused after that.
		return refusal{}
	case d.unseen(reached):
		return p.decidedBefore()
	}
	return refusal{}
}

// decidedBefore is the answer to a word on a step that its speaker has not seen in force.
func (p *pass) decidedBefore() refusal {
	return refusal{RefusedStepNotInForce, fmt.Sprintf(
		"%s is in force since %s, and this was decided before it was seen in force; look, and decide again",
		p.stepLabel(), p.m.StepReachedAt.Format(time.RFC3339Nano))}
}

// onItsWay says what the current step waits for before it is in force.
func (p *pass) onItsWay() string {
	if p.m.PausedBy != "" {
		return "the release is paused; resume it first"
	}
	if !p.o.Workload.Exists || len(p.s.Steps) == 0 || len(Validate(p.s)) > 0 {
		return ""
	}
	if p.o.demand() == 0 {
		return "the workload is scaled to zero"
	}
	if r := p.window(); r.Code != "" {
		return r.Message
	}
	look := *p // Asked without a trace: nothing of this pass changes by the question.
	look.out = Outcome{}
	return look.first(p.way.into).Message
}

// refuseUnseen refuses what was said before the release was paused, or stopped to ask a person.
func (p *pass) refuseUnseen(d Decision) refusal {
	switch {
	case !p.crosses(d):
		return refusal{}
	case p.m.PausedBy == pausedByFailure:
		return refusal{
			RefusedNotPaused, "the release has stopped since you decided: " + p.m.EndMessage + "; look, and decide again",
		}
	}
	return refusal{
		RefusedNotPaused, p.m.PausedBy + " paused the release after you decided; look, and decide again",
	}
}

func (p *pass) refuseFull(d Decision) refusal {
	if p.m.Phase == Completing && p.m.PausedBy == "" {
		return refusal{RefusedNothingToPromote, "all steps are done and the release is being completed"}
	}
	if r := p.window(); r.Code != "" && p.m.Phase != Completing {
		return refusal{RefusedWindowShut, p.o.Shut.Message + "; override it first"}
	}
	if p.stopAhead() {
		return refusal{RefusedHeldAt, p.stopsHere()}
	}
	if step, needed := p.approvalNeeded(); needed {
		return refusal{RefusedApprovalNeeded, fmt.Sprintf("step %q needs approval, which promote --full does not replace",
			step)}
	}
	return p.refuseUnseen(d)
}

// apply records what a decision says, does it, and returns the answer.
func (p *pass) apply(d Decision) (code, message string) {
	code, message = p.heard(d)
	if end, ends := endedBy[d.Verb]; ends {
		message += problemOf(d.Comment)
		p.end(end, d.User, message)
		return code, message
	}
	p.happened(code, d.User, "%s%s", message, problemOf(d.Comment))
	switch d.Verb {
	case PauseNow:
		p.pause(d.person())
	case Resume:
		p.remeasure(false)
		p.unpause()
	case Promote:
		inForce := p.keepingOld() || p.m.Phase != Completing && !p.m.StepReachedAt.IsZero()
		if !p.crosses(d) {
			p.remeasure(true)
			p.unpause()
		}
		p.m.Promoted = p.m.Promoted || inForce
		p.m.PromotedTo = max(p.m.PromotedTo, p.stepNamed(d.To)+1)
	case PromoteFull:
		p.promoteFull()
	case Approve:
		p.m.Approvals = append(slices.Clone(p.m.Approvals), Approved{User: d.User, Comment: d.Comment, At: p.now})
	case Override:
		p.m.OverriddenBy = d.User
	case Abort, Reject, Retry, RollBack: // The end, see above; and what is refused.
	}
	return code, message
}

// endedBy are the words that take a release back.
var endedBy = map[Verb]EndReason{Abort: AbortedByUser, RollBack: AbortedByUser, Reject: RejectedByUser}

// endsKeeping are the words that have a meaning while old pods are kept: back to them, or on without them.
func endsKeeping(v Verb) bool { return v == Abort || v == RollBack || v == Promote }

// heard is the answer to a decision that is applied.
func (p *pass) heard(d Decision) (code, message string) {
	switch at := p.placeLabel(); d.Verb {
	case Promote:
		if p.keepingOld() {
			return AnswerPromoted, fmt.Sprintf("the old pods are given up, as %s says", d.User)
		}
		if p.m.Phase != Completing && p.m.StepReachedAt.IsZero() {
			return AnswerResumed, fmt.Sprintf("%s goes on trying, as %s says", at, d.User)
		}
		if d.To != "" {
			return AnswerPromoted, fmt.Sprintf("%s promoted by %s, up to step %q", at, d.User, d.To)
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
	case RollBack:
		return AnswerAborting, fmt.Sprintf("rolled back by %s to the old pods", d.User)
	case Retry:
	}
	return "", ""
}

// promoteFull goes straight to completion; the capacity that it needs is waited for there.
func (p *pass) promoteFull() {
	p.unpause()
	p.m.Full = true
	if p.m.Phase != Completing {
		p.startCompleting()
	}
}

// pause stops the advance. Completing stays Completing, so that it is known where to go on.
func (p *pass) pause(by string) {
	p.m.PausedBy, p.m.PausedAt = by, p.now
	if p.m.Phase != Completing {
		p.m.Phase = Paused
	}
}

// unpause lets the advance go on. What was awaited gets its whole time again.
func (p *pass) unpause() {
	if p.m.PausedBy == "" {
		return
	}
	p.m.PausedBy, p.m.PausedAt, p.m.EndMessage = "", time.Time{}, ""
	p.m.Told, p.m.ToldBackground = Measuring, Measuring
	if p.m.StepReachedAt.IsZero() || p.m.StepStartedAt.After(p.m.StepReachedAt) {
		p.m.StepStartedAt = p.now
	}
	if p.m.Phase == Paused {
		p.m.Phase = Progressing
	}
}
