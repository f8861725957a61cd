package release

import (
	"fmt"
	"strings"
	"time"
)

// Reason says why a release is where it is: the same words go to status, event, log and command line.
type Reason struct {
	// Code is a stable word for programs.
	Code string
	// Message is a sentence for people, with the numbers that were compared.
	Message string
	// Since and Until bound the wait; zero where nothing is waited for.
	Since, Until time.Time
	// Who can end the wait.
	Who string
}

// The codes of a Reason. They are stable: programs may rely on them. A release that has ended has its phase
// as code.
const (
	// ReasonScaledToZero: the workload is to have no pods, so there is nothing to release step by step.
	ReasonScaledToZero = "ScaledToZero"
	// ReasonServicesNarrowing: the Services are being held to the stable revision before a new pod starts.
	ReasonServicesNarrowing = "ServicesNarrowing"
	// ReasonPodsStarting: not as many new pods are ready as are needed.
	ReasonPodsStarting = "PodsStarting"
	// ReasonEndpointsPending: pods are ready, but the endpoints of a Service do not show it yet.
	ReasonEndpointsPending = "EndpointsPending"
	// ReasonHeldAt: the Rollout says that its releases stop at this step.
	ReasonHeldAt = "HeldAt"
	// ReasonKeepingOld: the old pods are kept after the hand-over, so that a rollback needs no new ones.
	ReasonKeepingOld = "KeepingOld"
	// ReasonRouteNotInForce: a route was written, but the layer has not reported that it is in force.
	ReasonRouteNotInForce = "RouteNotInForce"
	// ReasonCanaryNotReady: no new pod is ready any more, so its requests were sent back to stable.
	ReasonCanaryNotReady = "CanaryNotReady"
	// ReasonPausedForTime: the step's pause has not passed.
	ReasonPausedForTime = "PausedForTime"
	// ReasonPausedForPerson: the step waits until somebody promotes it.
	ReasonPausedForPerson = "PausedForPerson"
	// ReasonPausedByHand: somebody paused the release.
	ReasonPausedByHand = "PausedByHand"
	// ReasonStepFailed: the step failed, and the spec says to ask a person.
	ReasonStepFailed = "StepFailed"
	// ReasonAnalysing: what is measured in the step has not come to a verdict.
	ReasonAnalysing = "Analysing"
	// ReasonAnalysisUnclear: what was measured is neither good nor bad, or could not be measured, so a person is asked.
	ReasonAnalysisUnclear = "AnalysisUnclear"
	// ReasonAwaitingApproval: people have to approve.
	ReasonAwaitingApproval = "AwaitingApproval"
	// ReasonWindowShut: a release window is shut.
	ReasonWindowShut = "WindowShut"
	// ReasonServicesTurning: the Services are being pointed at the other version.
	ReasonServicesTurning = "ServicesTurning"
	// ReasonDraining: a version that gets no more requests is given time to finish those under way.
	ReasonDraining = "Draining"
	// ReasonHandingOver: the workload is taking over the new pods.
	ReasonHandingOver = "HandingOver"
	// ReasonHandOverOverdue: the workload has not taken the new pods over within the progress deadline.
	ReasonHandOverOverdue = "HandOverOverdue"
	// ReasonStableNotReady: requests cannot go back to stable before more of its pods are ready.
	ReasonStableNotReady = "StableNotReady"
	// ReasonStillChanging: what a release would follow is still being changed, so it has not begun yet.
	ReasonStillChanging = "StillChanging"
	// ReasonPausingAgain: somebody has resumed the workload, and it is being paused again.
	ReasonPausingAgain = "PausingAgain"
	// ReasonServiceKept: a Service is not given back, since its own selector would lead to no pod.
	ReasonServiceKept = "ServiceKept"
	// ReasonPodsStopping: the new revision's pods are ending.
	ReasonPodsStopping = "PodsStopping"
	// ReasonTidyingUp: what Sluice added is being removed.
	ReasonTidyingUp = "TidyingUp"
	// ReasonTakingBack: the new ReplicaSet is being taken back from the workload.
	ReasonTakingBack = "TakingBack"
	// ReasonTrouble: something stands in the way that no waiting mends.
	ReasonTrouble = "Trouble"
	// ReasonMemoryInvalid: the release's memory was changed by somebody else and makes no sense.
	ReasonMemoryInvalid = "MemoryInvalid"
	// ReasonSpecInvalid: the release's plan makes no sense.
	ReasonSpecInvalid = "SpecInvalid"
	// ReasonGuardRefused: the guard stopped a decision.
	ReasonGuardRefused = "GuardRefused"
)

// The codes of a Reason while no release is under way.
const (
	// ReasonHealthy: nothing is waited for.
	ReasonHealthy = "Healthy"
	// ReasonStablePodsNotReady: too few pods of the stable revision are ready.
	ReasonStablePodsNotReady = "StablePodsNotReady"
	// ReasonNoReadyEndpoints: a Service to which a layer leads has no ready endpoint.
	ReasonNoReadyEndpoints = "NoReadyEndpoints"
	// ReasonWorkloadNotFound: the spec names a workload that is not there.
	ReasonWorkloadNotFound = "WorkloadNotFound"
	// ReasonWorkloadGone: the workload was deleted, and its released pods serve on for a while.
	ReasonWorkloadGone = "WorkloadGone"
	// ReasonWorkloadTaken: another Rollout names the same workload.
	ReasonWorkloadTaken = "WorkloadTaken"
	// ReasonWorkloadUpdating: the workload's own update is under way.
	ReasonWorkloadUpdating = "WorkloadUpdating"
	// ReasonPausedByTeam: the team has paused the workload.
	ReasonPausedByTeam = "PausedByTeam"
	// ReasonSpecRefused: the spec asks for something that cannot be done.
	ReasonSpecRefused = "SpecRefused"
	// ReasonRevisionRejected: the pod template names a revision that was taken back.
	ReasonRevisionRejected = "RevisionRejected"
	// ReasonStarting: a release begins.
	ReasonStarting = "Starting"
	// ReasonStableSetMissing: what runs the stable revision is gone, and no record of its pod template is left.
	ReasonStableSetMissing = "StableReplicaSetMissing"
	// ReasonServiceLost: a Service that was in front of the workload selects no pod.
	ReasonServiceLost = "ServiceSelectsNothing"
	// ReasonWriteRefused: the API server has refused a write.
	ReasonWriteRefused = "WriteRefused"
	// ReasonLayerBusy: a traffic layer has no room beside another release.
	ReasonLayerBusy = "LayerBusy"
)

// Who can end a wait.
const (
	byKubernetes = "Kubernetes"
	byGateway    = "the traffic layer"
	byTime       = "time, or anyone who may promote"
	byPassing    = "time"
	byPromoter   = "anyone who may promote"
	byResumer    = "anyone who may resume or promote"
	// byResumerAlone: a step that is not in force cannot be promoted.
	byResumerAlone = "anyone who may resume"
	byHolder       = "anyone who may change the Rollout"
	byOverrider    = "time, or anyone who may override"
	byAnalysis     = "the analysis"
	byScaler       = "anyone who may scale the workload"
	byAborter      = "anyone who may abort"
	byOwner        = "anyone who may change the Rollout or what it names"
	byMaintainers  = "the maintainers of Sluice"
)

// awaiting is a wait that the progress deadline bounds: Since and Until are filled in from the phase's clock.
func awaiting(code, who, format string, args ...any) Reason {
	return Reason{Code: code, Message: fmt.Sprintf(format, args...), Who: who}
}

// until is a wait with an end of its own.
func (p *pass) until(code, message, who string, since, end time.Time) Reason {
	p.wake(end)
	return Reason{Code: code, Message: message, Since: since, Until: end, Who: who}
}

// untilDeadline is a wait that only the release's own deadline ends by itself.
func (p *pass) untilDeadline(code, message, who string, since time.Time) Reason {
	return p.until(code, message, who, since, p.releaseDeadline())
}

// bounded fills in the progress deadline where a wait has no end of its own, and says whether it has passed.
func (p *pass) bounded(r Reason) (_ Reason, passed bool) {
	if !r.Until.IsZero() {
		return r, false
	}
	if p.o.Trouble != "" {
		r.Code, r.Message, r.Who = ReasonTrouble, p.o.Trouble, "whoever can mend it"
	}
	r.Since = p.clock()
	r.Until = r.Since.Add(p.s.ProgressDeadline)
	p.wake(r.Until)
	p.wake(p.releaseDeadline())
	return r, !p.now.Before(r.Until)
}

// clock is when the wait began that the progress deadline bounds. A drain is no such wait.
func (p *pass) clock() time.Time {
	if drained := p.m.DrainFrom.Add(p.drainDelay()); !p.m.DrainFrom.IsZero() && drained.After(p.m.StepStartedAt) {
		return drained
	}
	return p.m.StepStartedAt
}

func (p *pass) releaseDeadline() time.Time { return p.m.StartedAt.Add(p.s.ReleaseDeadline) }

// problemOf adds a known cause to a sentence.
func problemOf(p string) string {
	if p == "" {
		return ""
	}
	return ": " + p
}

// inWords are the first of a list after a few words, and how many more there are; nothing where there are none.
func inWords(before string, list []string) string {
	const most = 3
	switch more := len(list) - most; {
	case len(list) == 0:
		return ""
	case more > 0:
		list = append(list[:most:most], fmt.Sprintf("and %d more", more))
	}
	return before + strings.Join(list, ", ")
}

// plural is "1 pod", "2 pods".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
