package rollout

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file goes back to earlier revisions. A release without steps and approvals follows only from a Decision that was
// applied to a release that succeeded, as the Rollout's status records it, which nobody but Sluice writes. No annotation
// on the workload says so: whoever may edit the workload could.

type refuser = func(code, format string, args ...any) (v1alpha1.DecisionAnswer, act)

// target is the revision that a rollback goes back to.
func target(rel *v1alpha1.Release, d *v1alpha1.Decision) *v1alpha1.Revision {
	if d.Spec.Before {
		return &rel.Spec.From
	}
	return &rel.Spec.To
}

func (r *Reconciler) judgeRollback(w *world, rel *v1alpha1.Release, d *v1alpha1.Decision, refuse refuser) (v1alpha1.DecisionAnswer, act) {
	stable, to := w.settled, target(rel, d)
	switch {
	case w.object == nil:
		return refuse(ReasonWorkloadNotFound, "the %s %q is gone", w.kind(), w.rollout.Spec.Workload.Name)
	case rel.Status.Phase != v1alpha1.ReleaseSucceeded:
		return refuse(ReasonNothingToRollBack, "%s ended as %s, so its revision was never released; choose one that succeeded: sluice history %s", rel.Name, rel.Status.Phase, w.rollout.Name)
	case stable != nil && stable.Hash == to.Hash && w.seen.Template.Hash == stable.Hash:
		return refuse(ReasonNothingToRollBack, "the revision %s is the one that runs", workload.Describe(*to))
	}
	a := v1alpha1.DecisionAnswer{
		Decision: d.Name, Outcome: v1alpha1.DecisionApplied, Reason: "RolledBack",
		Message: clip(fmt.Sprintf("the pod template of %s is written back and released", workload.Describe(*to))),
	}
	return a, func(ctx context.Context, write *kube.Writer) error { return r.rollBack(ctx, write, w, to, d) }
}

// rollBack records what was decided, and then writes the earlier template to the workload, held, so that it gets a release
// of its own. Whatever happens in between, the Decision has no answer yet, so both are done once more.
func (r *Reconciler) rollBack(ctx context.Context, write *kube.Writer, w *world, to *v1alpha1.Revision, d *v1alpha1.Decision) error {
	if _, err := r.template(ctx, w, to); err != nil {
		return err
	}
	after := w.rollout.DeepCopy()
	after.Status.Rollback = &v1alpha1.PendingRollback{Hash: to.Hash, Release: d.Spec.Release, Decision: d.Name, User: d.Spec.User, After: w.lastNumber()}
	if err := write.PatchStatus(ctx, w.rollout, after); err != nil {
		return err
	}
	_, err := r.do(ctx, write, w, workload.WriteRevision{Revision: *to, By: d.Spec.User})
	return err
}

// unanswerable is the answer to a Decision that turned out to be impossible when it was carried out; nil if it is not
// that.
func unanswerable(w *world, d *v1alpha1.Decision, err error) *v1alpha1.DecisionAnswer {
	if !errors.Is(err, workload.ErrNoTemplate) {
		return nil
	}
	return &v1alpha1.DecisionAnswer{
		Decision: d.Name, Outcome: v1alpha1.DecisionRefused, Reason: ReasonRevisionNotInCache,
		Message: fmt.Sprintf("the pod template of that revision is not kept any more, neither by a %s (spec.revisionHistoryLimit of the %s) nor by a release's record; write it to the %[2]s %[3]q yourself", w.driver.Kinds().Part.Kind, w.kind(), w.rollout.Spec.Workload.Name),
	}
}

// rollsBack says whether the workload's template is the one that a rollback has just written back.
func (w *world) rollsBack() bool {
	p := w.rollout.Status.Rollback
	return p != nil && p.Hash == w.seen.Template.Hash && p.After == w.lastNumber()
}

// lastNumber is the number of the newest release of the Rollout, also if its record is gone.
func (w *world) lastNumber() int64 {
	if latest := w.latest(); latest != nil {
		return max(w.rollout.Status.LastNumber, latest.Spec.Number)
	}
	return w.rollout.Status.LastNumber
}

// cause is why there is a new revision.
func (w *world) cause() v1alpha1.ReleaseCause {
	if w.rollsBack() {
		return v1alpha1.CauseRollback
	}
	if rel := w.latest(); rel != nil && rel.Status.Phase == v1alpha1.ReleaseAborted && rel.Spec.To.Hash == w.seen.Template.Hash {
		return v1alpha1.CauseRetry
	}
	return v1alpha1.CauseTemplateChanged
}
