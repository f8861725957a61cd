package release

import (
	"fmt"
	"slices"
)

// endIfDue looks for what ends a release from outside: the workload or the Rollout goes, the pod template
// changes again, or the release has taken too long.
func (t *turn) endIfDue() {
	if t.m.Phase.Terminal() || t.m.Phase == Aborting {
		return
	}
	if t.handedOver() {
		t.endIfCrossed()
		t.takeBackIfScaled()
	}
	if t.m.Phase == Aborting || t.handedOver() {
		return
	}
	if end, message := t.dueEnd(); end != NotEnding {
		t.end(end, "", message)
	}
}

// dueEnd is the reason to end a release that has not been handed over, if there is one.
func (t *turn) dueEnd() (EndReason, string) {
	w := t.o.Workload
	switch {
	case !w.Exists:
		return WorkloadRemoved, "the workload is gone"
	case t.o.Removing:
		return RolloutRemoved, "the Rollout is being removed at " + t.stepLabel()
	case w.Desired == t.s.From:
		return BackToStable, "reverted: the pod template was set back to the stable revision at " + t.stepLabel()
	case w.Desired != t.s.To:
		return NewerRevision, fmt.Sprintf("superseded by revision %s at %s", shortly(w.Desired), t.stepLabel())
	case t.o.PlanChanged && t.nothingSent():
		return PlanChanged, "the steps, or what they measure, were changed before any request was sent to the new pods; a release with the new plan follows"
	case t.approvalExpired():
		return ApprovalExpired, fmt.Sprintf("%s was not approved within %s, which counts as a rejection", t.stepLabel(), t.approval().ExpiresAfter)
	case !t.now.Before(t.releaseDeadline()):
		return DeadlinePassed, fmt.Sprintf("the release did not end within %s; it was at %s", t.s.ReleaseDeadline, t.stepLabel())
	}
	return NotEnding, ""
}

// endIfCrossed ends a release after the hand-over only where an edit crossed it. Then the workload, being
// held, sees two ReplicaSets that are both not its newest and divides its pods between them.
func (t *turn) endIfCrossed() {
	w := t.o.Workload
	switch {
	case !w.Exists:
		t.end(WorkloadRemoved, "", "the workload is gone")
	case w.Desired == t.s.To || w.Settled:
	case w.Desired == t.s.From:
		t.end(BackToStable, "", "reverted: the pod template was set back to the stable revision during the hand-over")
	default:
		t.end(NewerRevision, "", fmt.Sprintf("superseded by revision %s during the hand-over", shortly(w.Desired)))
	}
}

// shortly is as much of a hash as people are shown. Nothing that is compared is so short.
func shortly(hash string) string { return hash[:min(len(hash), 10)] }

// takeBackIfScaled sees a change of scale that crossed the hand-over. The workload, being held, divides its pods
// between two ReplicaSets if the new one is not exactly as large as it is itself; so the new one is taken back, and
// handed over anew.
func (t *turn) takeBackIfScaled() {
	if !t.handedOver() || t.o.Stable.Desired == 0 || t.o.Canary.Desired == t.o.demand() {
		return
	}
	t.m.HandedOver = false
	t.happened("TakenBack", "", "the workload was scaled to %d during the hand-over, which is made anew", t.o.demand())
}

// end has the release taken back from here on.
func (t *turn) end(why EndReason, user, message string) {
	t.happened(string(why), user, "%s", message)
	m := Memory{
		Phase: Aborting, Step: t.m.Step, StartedAt: t.m.StartedAt, StepStartedAt: t.now,
		End: why, EndMessage: message, Layers: t.m.Layers,
		// Also if it was just to be taken back for another reason.
		HandedOver: t.m.Phase == Completing && t.o.Canary.Adopted,
	}
	if t.neverServed() {
		m.DrainFrom = t.m.StartedAt.Add(-t.drainDelay())
	}
	t.m = m
	t.out.Actions = nil
}

// neverServed says that the new revision has not had a single request through a layer, so that there is
// nothing to drain. A layer that is still held was routed at some time, although it may not be any more: its
// weight was taken back when no new pod was ready, or somebody else undid it.
func (t *turn) neverServed() bool {
	return t.beforeFirstStep() && t.canaryIdle() && !t.anyHeld() && !t.m.StoodIn
}

// beforeFirstStep says that the release is still on the way into its first step.
func (t *turn) beforeFirstStep() bool {
	return t.m.Step == 0 && t.m.StepReachedAt.IsZero() && t.m.Phase != Completing && t.m.Phase != Aborting
}

// nothingSent says that no layer leads to the new revision before its first step, and that nobody has been asked anything.
// It may be that a route was about to be made when Sluice died: then the drain is waited for, as neverServed says. Without
// layers a pod gets requests as soon as it is ready.
func (t *turn) nothingSent() bool {
	routed := slices.ContainsFunc(t.o.Layers, func(l Layer) bool { return l.Routed })
	led := t.m.StoodIn || t.anyHeld() || routed || !t.servicesLeaveCanary() || t.split() && t.o.Canary.Ready > 0
	return t.beforeFirstStep() && !led && t.m.End == NotEnding && t.m.PausedBy != pausedByFailure
}

func (t *turn) anyHeld() bool {
	return slices.ContainsFunc(t.o.Layers, func(l Layer) bool { return l.Held })
}

// overdue is what becomes of a release whose wait has reached its deadline.
func (t *turn) overdue(r Reason) (again bool) {
	if r.Code == ReasonStableNotReady {
		// To take the new revision back would send more requests to what cannot answer them. So a person decides.
		t.ask(string(StepFailed), fmt.Sprintf("%s failed: after %s, %s", t.placeLabel(), t.s.ProgressDeadline, r.Message))
		return true
	}
	return t.fail(StepFailed, fmt.Sprintf("%s failed: after %s, %s", t.placeLabel(), t.s.ProgressDeadline, r.Message))
}

// fail takes a release back, or has it wait for a person, as its spec says.
func (t *turn) fail(why EndReason, message string) (again bool) {
	if t.s.OnFailure != FailurePauses {
		t.end(why, "", message)
		return true
	}
	t.ask(string(why), message)
	return true
}

// ask pauses the release for a person to decide. Only what has just happened is asked for, and once.
func (t *turn) ask(code, message string) {
	t.happened(code, "", "%s", message)
	if t.m.PausedBy == pausedByFailure && t.m.EndMessage != "" {
		message = t.m.EndMessage + "; " + message
	}
	t.pause(pausedByFailure)
	t.m.EndMessage = message
	t.out.Actions = nil
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

func (t *turn) placeLabel() string {
	if t.m.Phase == Completing {
		return "completion"
	}
	return t.stepLabel()
}

// result sums up how the release ended.
func (t *turn) result() string {
	if t.m.Phase == Succeeded {
		return "released: the workload runs the new revision alone, and nothing of the release is left"
	}
	return t.m.EndMessage
}
