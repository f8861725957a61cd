package rollout

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file says which objects are this Rollout's, and what the label is that a new revision's pods bear.

// makers are the UIDs of the Rollout's releases. The last one is remembered when its record has been removed by force.
func (w *world) makers() []types.UID {
	var out []types.UID
	for _, rel := range w.releases {
		out = append(out, rel.UID)
	}
	if last := types.UID(w.rollout.Status.CurrentReleaseUID); last != "" && !slices.Contains(out, last) {
		out = append(out, last)
	}
	return out
}

// recordLost says whether somebody has removed the record of the last release.
func (w *world) recordLost() bool {
	last := types.UID(w.rollout.Status.CurrentReleaseUID)
	return last != "" && !slices.ContainsFunc(w.releases, func(rel *v1alpha1.Release) bool { return rel.UID == last })
}

// owners are the UIDs that may control a part of this Rollout's workload: the workload and the releases.
func (w *world) owners() []types.UID {
	if w.object == nil {
		return w.makers()
	}
	return append(w.makers(), w.object.GetUID())
}

// ours says whether a release of this Rollout made the object: it is its controller, by UID. A label says nothing.
func (w *world) ours(o client.Object) bool {
	c := metav1.GetControllerOf(o)
	return c != nil && slices.Contains(w.makers(), c.UID)
}

// located is a revision with the label that its pods bear now.
func (w *world) located(rev *v1alpha1.Revision) *v1alpha1.Revision {
	if rev == nil {
		return nil
	}
	w.modern(rev, "")
	if p := workload.Find(w.seen.Parts, rev); p != nil {
		rev.PodTemplateHash = p.Mark
	}
	return rev
}

// next is the revision of the workload's template, with the label that its pods are going to bear. The label differs
// from that of every part that is there, since Services tell the versions apart by it.
func (r *Reconciler) next(ctx context.Context, w *world) (v1alpha1.Revision, error) {
	rev := v1alpha1.Revision{Hash: w.seen.Template.Hash, Images: w.seen.Template.Images}
	if p := workload.Find(w.seen.Parts, &rev); p != nil {
		rev.PodTemplateHash = p.Mark
		return rev, nil
	}
	for salt := range mostSalts {
		mark, at := w.driver.Place(w.shown(), rev.Hash, salt)
		free, err := r.free(ctx, w, mark, at)
		if err != nil {
			return rev, err
		}
		if free {
			rev.PodTemplateHash = mark
			return rev, nil
		}
	}
	kinds := w.driver.Kinds()
	return rev, fmt.Errorf("name the %[1]s of %[2]s %[3]s: %[4]d names are taken; remove each %[1]s that is not the "+
		"%[2]s's",
		kinds.Part.Kind, kinds.Workload.Kind, w.object.GetName(), mostSalts)
}

// mostSalts bounds the search for a free name. Whoever may create the parts can take names, and the search must not
// keep a worker for ever.
const mostSalts = 100

// free says whether no part has the mark, and none the name that goes with it.
func (r *Reconciler) free(ctx context.Context, w *world, mark string, at workload.Ref) (bool, error) {
	if w.settled.PodTemplateHash == mark ||
		slices.ContainsFunc(w.seen.Parts, func(p workload.Part) bool { return p.Mark == mark }) {
		return false, nil
	}
	key := types.NamespacedName{Namespace: w.object.GetNamespace(), Name: at.Name}
	err := r.Kube.Get(ctx, key, untyped(at.GroupVersionKind))
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("read %s %s: %w", at.Kind, key, err)
	}
	return err != nil, nil
}

// modernise gives the releases that an earlier Sluice recorded by short hashes the whole ones, so that an upgrade
// neither begins a release nor forgets a rejection.
func (w *world) modernise() {
	for _, rel := range w.releases {
		w.modern(&rel.Spec.From, "")
		w.modern(&rel.Spec.To, w.seen.Template.Hash)
	}
	if rejected := w.rollout.Status.Rejected; rejected != nil {
		w.modern(&rejected.Revision, w.seen.Template.Hash)
	}
}

// modern gives a revision its whole hash where it has the short one: that of the part with the recorded mark, or
// else the other given one. Both count only if the recorded short hash is theirs.
func (w *world) modern(rev *v1alpha1.Revision, other string) {
	short := rev.Hash
	if len(short) == len(w.seen.Template.Hash) {
		return
	}
	if other != "" && workload.Short(other, 0) == short {
		rev.Hash = other
	}
	for _, p := range w.seen.Parts {
		if whole := p.Template.Hash; p.Mark == rev.PodTemplateHash && workload.Short(whole, 0) == short {
			rev.Hash = whole
		}
	}
}
