package rollout

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file says how a workload stands that has no release under way: whether new revisions of it are held, and
// whether its released revision serves.

// keepStable records the stable revision, whatever else is the matter: it must be known when a new one comes.
func (w *world) keepStable(s *v1alpha1.RolloutStatus) {
	if w.settled != nil {
		s.Stable = w.settled
	}
}

// heldCondition claims no more than what is seen: that the workload bears our label, and that the API server's policy
// is in force, or that the workload is paused. reason is why the Rollout stands where it stands.
func (r *Reconciler) heldCondition(w *world, reason release.Reason) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionHeld, Status: metav1.ConditionFalse, ObservedGeneration: w.rollout.Generation}
	name := w.rollout.Spec.Workload.Name
	switch {
	case w.object == nil || w.object.GetLabels()[v1alpha1.LabelRollout] != w.rollout.Name:
		c.Reason, c.Message = v1alpha1.ReasonNotTakenOver, fmt.Sprintf("a new revision of %s %q would run at once", w.kind(), name)
		if reason.Code != "" {
			c.Reason, c.Message = reason.Code, clip(c.Message+": "+reason.Message)
		}
	case !r.keepsPaused():
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonAdmissionPolicy
		c.Message = "the API server holds a new revision in the write that makes it"
	case w.seen.Workload.Held:
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonKeptPaused
		c.Message = "this cluster has no mutating admission policy of Sluice's, so the workload is kept paused; its scale can still be changed"
	default:
		c.Reason = v1alpha1.ReasonResumed
		c.Message = fmt.Sprintf("somebody has resumed %s %q, which this cluster has no admission policy to prevent; Sluice pauses it again", w.kind(), name)
	}
	return c
}

// rest reports on a workload whose released revision is what its pod template says.
func (r *Reconciler) rest(ctx context.Context, write *kube.Writer, w *world, stable v1alpha1.Revision) (ctrl.Result, error) {
	phase, reason := v1alpha1.RolloutHealthy, release.Reason{
		Code: ReasonHealthy, Message: clip(fmt.Sprintf("revision %s is released and nothing is under way%s", workload.Describe(stable), w.cameWith())),
	}
	if bad := w.unserved(stable); bad.Code != "" {
		told := w.rollout.Status.Phase != v1alpha1.RolloutHealthy
		if lasts := r.waits.lasts(w.rollout.UID, bad.Code, told, w.now); told || lasts {
			phase, reason = v1alpha1.RolloutDegraded, bad
			reason.Message += problemOf(r.askStable(ctx, w))
		}
	} else {
		r.waits.forget(w.rollout.UID)
	}
	again := r.observeForeign(ctx, w)
	record := func(s *v1alpha1.RolloutStatus) { s.Stable, s.Rejected = &stable, nil }
	if err := r.reportOnce(ctx, write, w, record, phase, reason); err != nil {
		return ctrl.Result{}, err
	}
	// What lasts a moment only is not told. What is told is looked at again when a part or an endpoint changes.
	due := r.waits.due(w.rollout.UID)
	if due.IsZero() || !again.IsZero() && again.Before(due) {
		due = again
	}
	if due.After(w.now) {
		return ctrl.Result{RequeueAfter: due.Sub(w.now)}, nil
	}
	return ctrl.Result{}, nil
}

// unserved says why the released revision does not serve as it should; the zero Reason if it does.
func (w *world) unserved(stable v1alpha1.Revision) release.Reason {
	want, need := w.seen.Workload.Replicas, w.seen.Needs
	ready := w.seen.Stable.Now().Ready
	if ready < need {
		return release.Reason{
			Code: ReasonStablePodsNotReady, Who: "whoever can mend the pods, or release another revision",
			Message: fmt.Sprintf("revision %s is released, but %d of its %d pods are ready", workload.Describe(stable), ready, want),
		}
	}
	for _, s := range w.services {
		if s.routed && want > 0 && len(s.ready) == 0 {
			return release.Reason{
				Code: ReasonNoReadyEndpoints, Who: "whoever may change the Service or the pod template",
				Message: fmt.Sprintf("revision %s is released, but Service %q, to which a traffic layer leads, has no ready endpoint: compare its selector with the labels of the pods", workload.Describe(stable), s.object.Name),
			}
		}
	}
	return release.Reason{}
}

func problemOf(p string) string {
	if p == "" {
		return ""
	}
	return ": " + p
}
