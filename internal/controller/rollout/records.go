package rollout

import (
	"cmp"
	"context"
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
)

// This file keeps the records of releases when their Rollout is deleted.

// annotationFormer on a Release says of which Rollout, by its UID, it is a record. That Rollout has been deleted.
const annotationFormer = "sluice.dev/former-rollout"

// keepRecords lets the Releases go from the Rollout that is being deleted: otherwise the garbage collector would take
// the record of who released what with it. All have ended by now, and nothing acts on them any more.
func (r *Reconciler) keepRecords(ctx context.Context, write *kube.Writer, w *world) error {
	for _, rel := range w.releases {
		if !bound(rel) {
			continue
		}
		after := rel.DeepCopy()
		after.SetOwnerReferences(nil)
		if after.Annotations == nil {
			after.Annotations = map[string]string{}
		}
		after.Annotations[annotationFormer] = string(w.rollout.UID)
		if err := write.Patch(ctx, rel, after); err != nil {
			return err
		}
	}
	return nil
}

// bound says whether the record of a release that has ended would go together with its Rollout.
func bound(rel *v1alpha1.Release) bool {
	return rel.DeletionTimestamp == nil && rel.Status.Phase.Terminal() && len(rel.OwnerReferences) > 0
}

// isFormer says whether a Release is the record of an earlier Rollout of this name. The workload was the team's alone
// in between, so the record says nothing of what runs now: it only counts in the numbers, and among the records that
// are kept.
func isFormer(rel *v1alpha1.Release, ro *v1alpha1.Rollout) bool {
	uid := rel.Annotations[annotationFormer]
	return uid != "" && uid != string(ro.UID)
}

// records are all Releases that are kept for a Rollout, the newest first.
func (w *world) records() []*v1alpha1.Release {
	return slices.SortedFunc(slices.Values(append(slices.Clone(w.releases), w.former...)),
		func(a, b *v1alpha1.Release) int { return cmp.Compare(b.Spec.Number, a.Spec.Number) })
}
