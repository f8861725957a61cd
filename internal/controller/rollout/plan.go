package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file says which plan a release follows. People apply a new image and new steps together, but the API server gets
// them one after the other, in any order. So a release begins only when nothing has changed for a moment; and while no
// request has been sent to its pods, it gives way to one with the newer plan.

// mostRenewals bounds how often the release of one revision gives way to a newer plan in a row. Otherwise whatever
// edits the Rollout all the time would keep every release from its first step.
const mostRenewals = 5

// planFor is the plan of a release that has this cause.
func planFor(of v1alpha1.ReleasePlan, cause v1alpha1.ReleaseCause) v1alpha1.ReleasePlan {
	plan := *of.DeepCopy()
	if cause == v1alpha1.CauseRollback && len(plan.Steps) > 0 {
		// A revision that was released before goes at once: capacity is waited for, nothing else. Its
		// measurements and approvals were had then.
		plan.Steps = plan.Steps[len(plan.Steps)-1:]
		plan.Steps[0] = v1alpha1.CanaryStep{Name: "rollback", Weight: plan.Steps[0].Weight}
		plan.Analysis, plan.Templates, plan.PreviewService = nil, nil, ""
	}
	return plan
}

// planChanged says whether the Rollout asks for another plan than the release has, which is of interest only before the
// first step is in force. A Rollout whose new steps name a template that is not there asks for another plan, too; a
// template that goes is no change of the plan.
func (r *Reconciler) planChanged(ctx context.Context, w *world, rel *v1alpha1.Release, m release.Memory) (bool, error) {
	begun := m.Step > 0 || !m.StepReachedAt.IsZero() || m.Phase != release.Progressing && m.Phase != release.Paused
	// Renewals are counted on the records, and no more of those are kept than the history limit says.
	if begun || w.abandoned || w.rollout.DeletionTimestamp != nil ||
		w.renewals(rel) >= min(mostRenewals, historyLimit(w.rollout)) {
		return false, nil
	}
	now := translate.Plan(w.rollout, r.Layers)
	err := measure.Prepare(ctx, w.rollout, &now, r.templates(w.rollout.Namespace), r.requests())
	then := *rel.Spec.Plan.DeepCopy()
	if _, ok := errors.AsType[*measure.Problem](err); ok {
		now.Templates, then.Templates = nil, nil
	} else if err != nil {
		return false, err
	}
	now = planFor(now, rel.Spec.Cause)
	return fingerprint(now) != fingerprint(then), nil
}

// renewals counts the releases of this revision that have given way to a newer plan just before this one.
func (w *world) renewals(rel *v1alpha1.Release) int {
	n := 0
	for _, r := range w.releases {
		if r.Spec.Number >= rel.Spec.Number {
			continue
		}
		if r.Spec.To.Hash != rel.Spec.To.Hash || r.Status.Memory == nil ||
			release.EndReason(r.Status.Memory.End) != release.PlanChanged {
			break
		}
		n++
	}
	return n
}

// follows is everything that a release would follow, as a fingerprint.
func (w *world) follows() string {
	selectors := map[string]map[string]string{}
	for _, s := range w.services {
		selectors[s.object.Name] = s.original
	}
	return fingerprint(struct {
		To        string
		Plan      v1alpha1.ReleasePlan
		Selectors map[string]map[string]string
	}{w.seen.Template.Hash, w.plan, selectors})
}

// fingerprint is the same for what is written the same, and for nothing else.
func fingerprint(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // Plain values always marshal.
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
