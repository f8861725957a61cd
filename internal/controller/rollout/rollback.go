package rollout

import (
	"context"
	"errors"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file goes back to earlier revisions. A release without steps and approvals follows only from a Decision that was
// applied to a release that succeeded, as the Rollout's status records it, which nobody but Sluice writes. No
// annotation on the workload says so: whoever may edit the workload could.

// writeRevision records what was decided, and then writes the earlier template to the workload, held, so that it gets a
// release of its own. Whatever happens in between, the Decision has no answer yet, so both are done once more.
func (c *carrier) writeRevision(ctx context.Context, a release.WriteRevision, out *release.RestOutcome) error {
	rel, d := c.w.release(a.Release), c.w.decision(a.Decision)
	to := &rel.Spec.To
	if d.Spec.Before {
		to = &rel.Spec.From
	}
	if _, err := c.r.template(ctx, c.w, to); errors.Is(err, workload.ErrNoTemplate) {
		i := slices.IndexFunc(out.Answers, func(answer release.Answer) bool { return answer.ID == a.Decision })
		out.Answers[i] = release.RevisionGone(c.r.restSpec(c.w), a.Decision)
		return nil
	} else if err != nil {
		return err
	}
	after := c.w.rollout.DeepCopy()
	after.Status.Rollback = &v1alpha1.PendingRollback{
		Hash: to.Hash, Release: a.Release, Decision: a.Decision, User: a.By, After: c.w.lastNumber(),
	}
	// The status first. By it the new template is known to be a rollback; without it, it would be released step by step
	// like any other.
	if err := c.write.PatchStatus(ctx, c.w.rollout, after); err != nil {
		return err
	}
	_, err := c.r.do(ctx, c.write, c.w, workload.WriteRevision{Revision: *to, By: a.By})
	return err
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

// nextNumber is that of the next release.
func (w *world) nextNumber() int64 { return max(w.lastNumber(), w.taken) + 1 }

// cause is why there is a new revision.
func (w *world) cause() v1alpha1.ReleaseCause {
	if w.rollsBack() {
		return v1alpha1.CauseRollback
	}
	if rel := w.latest(); rel != nil && rel.Status.Phase == v1alpha1.ReleaseAborted &&
		rel.Spec.To.Hash == w.seen.Template.Hash {
		return v1alpha1.CauseRetry
	}
	return v1alpha1.CauseTemplateChanged
}
