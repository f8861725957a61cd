package rollout

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Kubernetes Events are for what somebody may want to act on or look back at: a release began, waits for a person,
// failed, ended. Every step is in the release's own timeline.

// started tells that a release began.
func (r *Reconciler) started(ro *v1alpha1.Rollout, rel *v1alpha1.Release) {
	r.Events.Eventf(ro, rel, corev1.EventTypeNormal, "ReleaseStarted", "Release", "%s",
		clip(fmt.Sprintf("%s releases %s", rel.Name, workload.Describe(rel.Spec.To))))
	started.Inc()
}

// heldByRelease tells on the workload itself why kubectl rollout status waits and kubectl rollout undo is refused:
// there people look who do not know of Sluice.
func (r *Reconciler) heldByRelease(w *world, rel *v1alpha1.Release) {
	if w.object == nil {
		return
	}
	r.Events.Eventf(w.object, rel, corev1.EventTypeNormal, "RevisionHeld", "Release", "%s", clip(fmt.Sprintf(
		"%[1]s brings this revision step by step, and until it has ended kubectl rollout status waits and kubectl rollout "+
			"undo is refused. "+
			"Follow it: sluice status %[2]s --wait. Take it back: sluice abort %[2]s", rel.Name, w.rollout.Name)))
}

// tell sends the events of one decision: the end of a release, a failure, a wait for a person.
func (r *Reconciler) tell(ro *v1alpha1.Rollout, rel *v1alpha1.Release, out release.Outcome) {
	before, after := rel.Status.Phase, v1alpha1.ReleasePhase(out.Memory.Phase)
	switch {
	case after.Terminal() && !before.Terminal():
		kind := corev1.EventTypeNormal
		if after == v1alpha1.ReleaseAborted {
			kind = corev1.EventTypeWarning
		}
		r.Events.Eventf(ro, rel, kind, "Release"+string(after), "Release", "%s", clip(rel.Name+": "+out.Reason.Message))
		finished.WithLabelValues(string(after)).Inc()
	case after == v1alpha1.ReleaseAborting && before != after:
		r.Events.Eventf(ro, rel, corev1.EventTypeWarning, "ReleaseAborting", "Release", "%s",
			clip(rel.Name+": "+out.Memory.EndMessage))
	case asksAPerson(out.Reason.Code) && (rel.Status.WaitingFor == nil || rel.Status.WaitingFor.Reason != out.Reason.Code):
		r.Events.Eventf(ro, rel, corev1.EventTypeNormal, out.Reason.Code, "Release", "%s",
			clip(rel.Name+": "+out.Reason.Message))
	}
}

// asksAPerson says whether a release with this reason waits for somebody. That is told at once, also where a status
// would otherwise wait to see whether the state lasts.
func asksAPerson(code string) bool {
	switch code {
	case release.ReasonPausedForPerson, release.ReasonAwaitingApproval, release.ReasonAnalysisUnclear,
		release.ReasonStepFailed, release.ReasonTrouble, release.ReasonGuardRefused:
		return true
	}
	return false
}

// warn tells that a Rollout needs a person.
func (r *Reconciler) warn(ro *v1alpha1.Rollout, reason release.Reason) {
	r.Events.Eventf(ro, nil, corev1.EventTypeWarning, reason.Code, "Check", "%s", clip(reason.Message))
}

// fitted tells that a Service was left with another selector than the team wrote, since its Rollout goes.
func (r *Reconciler) fitted(ro *v1alpha1.Rollout, s *service, selector map[string]string) {
	r.warn(ro, release.Reason{Code: release.ReasonServiceKept, Message: fmt.Sprintf(
		"Service %s now selects %s, which the running pods bear: the selector that the team wrote (%s) matches none of "+
			"them, and the Rollout goes; apply a Service whose selector they bear",
		s.object.Name, labels.FormatLabels(selector), labels.FormatLabels(s.original))})
}
