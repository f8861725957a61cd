package release

import (
	"fmt"
	"slices"
)

// endIfDue looks for what ends a release from outside: the workload or the Rollout goes, the pod template
// changes again, or the release has taken too long.
func (p *pass) endIfDue() {
	if p.m.Phase.Terminal() || p.m.Phase == Aborting {
		return
	}
	if p.handedOver() {
		p.endIfCrossed()
		p.takeBackIfScaled()
	}
	if p.m.Phase == Aborting || p.handedOver() {
		return
	}
	if end, message := p.dueEnd(); end != NotEnding {
		p.end(end, "", message)
	}
}

// dueEnd is the reason to end a release that has not been handed over, if there is one.
func (p *pass) dueEnd() (EndReason, string) {
	w := p.o.Workload
	switch {
	case !w.Exists:
		return WorkloadRemoved, "the workload is gone"
	case p.o.Removing:
		return RolloutRemoved, "the Rollout is being removed at " + p.stepLabel()
	case w.Desired == p.s.From:
		return BackToStable, "reverted: the pod template was set back to the stable revision at " + p.stepLabel()
	case w.Desired != p.s.To:
		return NewerRevision, fmt.Sprintf("superseded by revision %s at %s", shortly(w.Desired), p.stepLabel())
	case p.o.PlanChanged && p.nothingSent():
		return PlanChanged, "the steps, or what they measure, were changed before any request was sent to the new pods; a " +
			"release with the new plan follows"
	case p.approvalExpired():
		return ApprovalExpired, fmt.Sprintf("%s was not approved within %s, which counts as a rejection",
			p.stepLabel(), p.approval().ExpiresAfter)
	case !p.now.Before(p.releaseDeadline()):
		return DeadlinePassed, fmt.Sprintf("the release did not end within %s; it was at %s",
			p.s.ReleaseDeadline, p.stepLabel())
	}
	return NotEnding, ""
}

// endIfCrossed ends a release after the hand-over only where an edit crossed it. Then the workload, being
// held, sees two ReplicaSets that are both not its newest and divides its pods between them.
func (p *pass) endIfCrossed() {
	w := p.o.Workload
	switch {
	case !w.Exists:
		p.end(WorkloadRemoved, "", "the workload is gone")
	case w.Desired == p.s.From && p.keepingOld():
		p.end(BackToStable, "", "reverted: the pod template was set back to the former revision, whose pods were kept")
	case w.Desired == p.s.To || w.Alone || !p.m.KeptFrom.IsZero(): // It has had the new pods alone for a while.
	case w.Desired == p.s.From:
		p.end(BackToStable, "", "reverted: the pod template was set back to the stable revision during the hand-over")
	default:
		p.end(NewerRevision, "", fmt.Sprintf("superseded by revision %s during the hand-over", shortly(w.Desired)))
	}
}

// shortly is as much of a hash as people are shown. Nothing that is compared is so short.
func shortly(hash string) string { return hash[:min(len(hash), 10)] }

// takeBackIfScaled sees a change of scale that crossed the hand-over. The workload, being held, divides its pods
// between two ReplicaSets if the new one is not exactly as large as it is itself; so the new one is taken back, and
// handed over anew.
func (p *pass) takeBackIfScaled() {
	if !p.handedOver() || p.o.Stable.Desired == 0 || p.o.Stable.Taken || p.o.Canary.Desired == p.o.demand() {
		return
	}
	p.m.HandedOver = false
	p.happened("TakenBack", "", "the workload was scaled to %d during the hand-over, which is made anew", p.o.demand())
}

// end has the release taken back from here on.
func (p *pass) end(why EndReason, user, message string) {
	p.happened(string(why), user, "%s", message)
	m := Memory{
		Phase: Aborting, Step: p.m.Step, StartedAt: p.m.StartedAt, StepStartedAt: p.now,
		End: why, EndMessage: message, Layers: p.m.Layers,
		// Also if it was just to be taken back for another reason.
		HandedOver: p.m.Phase == Completing && p.o.Canary.Adopted,
	}
	if p.neverServed() {
		m.DrainFrom = p.m.StartedAt.Add(-p.drainDelay())
	}
	p.m = m
	p.out.Actions = nil
}

// neverServed says that the new revision has not had a single request through a layer, so that there is
// nothing to drain. A layer that is still held was routed at some time, although it may not be any more: its
// weight was taken back when no new pod was ready, or somebody else undid it.
func (p *pass) neverServed() bool {
	return p.beforeFirstStep() && p.canaryIdle() && !p.anyHeld() && !p.m.StoodIn
}

// beforeFirstStep says that the release is still on the way into its first step.
func (p *pass) beforeFirstStep() bool {
	return p.m.Step == 0 && p.m.StepReachedAt.IsZero() && p.m.Phase != Completing && p.m.Phase != Aborting
}

// nothingSent says that no layer leads to the new revision before its first step, and that nobody has been asked
// anything. It may be that a route was about to be made when Sluice died: then the drain is waited for, as neverServed
// says. Without layers a pod gets requests as soon as it is ready.
func (p *pass) nothingSent() bool {
	routed := slices.ContainsFunc(p.o.Layers, func(l Layer) bool { return l.Routed })
	led := p.m.StoodIn || p.anyHeld() || routed || !p.servicesLeaveCanary() || !p.way.apart && p.o.Canary.Ready > 0
	return p.beforeFirstStep() && !led && p.m.End == NotEnding && p.m.PausedBy != pausedByFailure
}

func (p *pass) anyHeld() bool {
	return slices.ContainsFunc(p.o.Layers, func(l Layer) bool { return l.Held })
}

// overdue is what becomes of a release whose wait has reached its deadline.
func (p *pass) overdue(r Reason) (again bool) {
	if r.Code == ReasonStableNotReady {
		// To take the new revision back would send more requests to what cannot answer them. So a person decides.
		p.ask(string(StepFailed), fmt.Sprintf("%s failed: after %s, %s", p.placeLabel(), p.s.ProgressDeadline, r.Message))
		return true
	}
	return p.fail(StepFailed, fmt.Sprintf("%s failed: after %s, %s", p.placeLabel(), p.s.ProgressDeadline, r.Message))
}

// fail takes a release back, or has it wait for a person, as its spec says.
func (p *pass) fail(why EndReason, message string) (again bool) {
	if p.s.OnFailure != FailurePauses {
		p.end(why, "", message)
		return true
	}
	p.ask(string(why), message)
	return true
}

// ask pauses the release for a person to decide. Only what has just happened is asked for, and once.
func (p *pass) ask(code, message string) {
	p.happened(code, "", "%s", message)
	if p.m.PausedBy == pausedByFailure && p.m.EndMessage != "" {
		message = p.m.EndMessage + "; " + message
	}
	p.pause(pausedByFailure)
	p.m.EndMessage = message
	p.out.Actions = nil
}

// pausedByFailure stands in Memory.PausedBy when no person paused the release.
const pausedByFailure = "sluice"

// person is the name to remember of who paused a release: never the one that stands for a failure.
func (d Decision) person() string {
	if d.User == pausedByFailure {
		return "user " + d.User
	}
	return d.User
}

func (p *pass) placeLabel() string {
	if p.m.Phase == Completing {
		return "completion"
	}
	return p.stepLabel()
}

// result sums up how the release ended.
func (p *pass) result() string {
	if p.m.Phase == Succeeded {
		return "released: the workload runs the new revision alone, and nothing of the release is left"
	}
	return p.m.EndMessage
}
