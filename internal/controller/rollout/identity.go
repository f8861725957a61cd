package rollout

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// This file says which ReplicaSet runs which revision. Users of the namespace can write every name and every label, so
// neither proves anything. Two things do: the UID of the controller, and the whole hash of the pod template.

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

// owners are the UIDs that may control a ReplicaSet of this Rollout: the workload and the releases.
func (w *world) owners() []types.UID {
	if w.deploy == nil {
		return w.makers()
	}
	return append(w.makers(), w.deploy.GetUID())
}

// ours says whether a release of this Rollout made the object: it is its controller, by UID. A label says nothing.
func (w *world) ours(o client.Object) bool {
	c := metav1.GetControllerOf(o)
	return c != nil && slices.Contains(w.makers(), c.UID)
}

// set is the ReplicaSet whose pod template is the revision's, or nil. Of several it is the one whose pods bear the
// recorded label, then the one with the most pods, then the oldest.
func (w *world) set(rev *v1alpha1.Revision) *unstructured.Unstructured {
	if rev == nil || rev.Hash == "" {
		return nil
	}
	var found []*unstructured.Unstructured
	for _, rs := range w.sets {
		if deployment.TemplateOf(rs).Hash == rev.Hash {
			found = append(found, rs)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return slices.MinFunc(found, func(a, b *unstructured.Unstructured) int {
		labelled := func(rs *unstructured.Unstructured) int {
			if deployment.PodTemplateHash(rs) == rev.PodTemplateHash {
				return 1
			}
			return 0
		}
		if c := labelled(b) - labelled(a); c != 0 {
			return c
		}
		if c := deployment.Replicas(b) - deployment.Replicas(a); c != 0 {
			return c
		}
		return a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time)
	})
}

// located is a revision with the label that its pods bear now.
func (w *world) located(rev *v1alpha1.Revision) *v1alpha1.Revision {
	if rev == nil {
		return nil
	}
	w.modern(rev, "")
	if rs := w.set(rev); rs != nil {
		rev.PodTemplateHash = deployment.PodTemplateHash(rs)
	}
	return rev
}

// stable is the ReplicaSet of the recorded stable revision, or nil.
func (w *world) stable() *unstructured.Unstructured {
	if rel := w.active(); rel != nil {
		return w.set(&rel.Spec.From)
	}
	return w.set(w.settled)
}

// canary is the ReplicaSet of the revision that the running release brings, or nil: the release's own, or one of
// the workload's history with the same template.
func (w *world) canary() *unstructured.Unstructured {
	rel := w.active()
	if rel == nil {
		return nil
	}
	var found *unstructured.Unstructured
	for _, rs := range w.sets {
		switch {
		case deployment.TemplateOf(rs).Hash != rel.Spec.To.Hash:
		case deployment.OwnedBy(rs, rel.UID):
			return rs
		case found == nil || rs.GetCreationTimestamp().Time.Before(found.GetCreationTimestamp().Time):
			found = rs // As the Deployment controller does, the oldest.
		}
	}
	return found
}

// loose are ReplicaSets of neither version: free ones, which the workload has made and filled while somebody had resumed
// it in mid-release, and those of them that the release has taken from it.
func (w *world) loose(rel *v1alpha1.Release) (free, taken []*unstructured.Unstructured) {
	stable, canary, edited := w.stable(), w.canary(), w.editedStable(&rel.Spec.From)
	for _, rs := range w.sets {
		switch {
		case stable != nil && rs.GetUID() == stable.GetUID() || canary != nil && rs.GetUID() == canary.GetUID():
		case edited != nil && rs.GetUID() == edited.GetUID(): // Its pods are of the stable template; see remake.go.
		case deployment.OwnedBy(rs, rel.UID):
			taken = append(taken, rs)
		case w.deploy != nil && deployment.OwnedBy(rs, w.deploy.GetUID()) && deployment.Replicas(rs) > 0:
			free = append(free, rs)
		}
	}
	return free, taken
}

// next is the revision of the workload's template, with the label that its pods are going to bear. The label differs
// from that of every ReplicaSet that is there, since Services tell the versions apart by it.
func (r *Reconciler) next(ctx context.Context, w *world) (v1alpha1.Revision, error) {
	rev := v1alpha1.Revision{Hash: w.template.Hash, Images: w.template.Images}
	if rs := w.set(&rev); rs != nil {
		rev.PodTemplateHash = deployment.PodTemplateHash(rs)
		return rev, nil
	}
	for salt := range mostSalts {
		short := deployment.Short(rev.Hash, salt)
		free, err := r.free(ctx, w, short)
		if err != nil {
			return rev, err
		}
		if free {
			rev.PodTemplateHash = short
			return rev, nil
		}
	}
	return rev, fmt.Errorf("name the ReplicaSet of Deployment %s: %d names are taken; remove ReplicaSets that are not the Deployment's", w.deploy.GetName(), mostSalts)
}

// mostSalts bounds the search for a free name.
const mostSalts = 100

// free says whether no ReplicaSet has the label, and none the name that goes with it.
func (r *Reconciler) free(ctx context.Context, w *world, short string) (bool, error) {
	if w.settled.PodTemplateHash == short ||
		slices.ContainsFunc(w.sets, func(rs *unstructured.Unstructured) bool { return deployment.PodTemplateHash(rs) == short }) {
		return false, nil
	}
	key := types.NamespacedName{Namespace: w.deploy.GetNamespace(), Name: deployment.NameOf(w.deploy, short)}
	err := r.Kube.Get(ctx, key, untyped(deployment.ReplicaSetKind))
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("read ReplicaSet %s: %w", key, err)
	}
	return err != nil, nil
}

// modernise gives the releases that an earlier Sluice recorded by short hashes the whole ones, so that an upgrade neither
// begins a release nor forgets a rejection.
func (w *world) modernise() {
	for _, rel := range w.releases {
		w.modern(&rel.Spec.From, "")
		w.modern(&rel.Spec.To, w.template.Hash)
	}
	if rejected := w.rollout.Status.Rejected; rejected != nil {
		w.modern(&rejected.Revision, w.template.Hash)
	}
}

// modern gives a revision its whole hash where it has the short one: that of the ReplicaSet with the recorded label, or
// else the other given one. Both count only if the recorded short hash is theirs.
func (w *world) modern(rev *v1alpha1.Revision, other string) {
	short := rev.Hash
	if len(short) == len(w.template.Hash) {
		return
	}
	if other != "" && deployment.Short(other, 0) == short {
		rev.Hash = other
	}
	for _, rs := range w.sets {
		if whole := deployment.TemplateOf(rs).Hash; deployment.PodTemplateHash(rs) == rev.PodTemplateHash && deployment.Short(whole, 0) == short {
			rev.Hash = whole
		}
	}
}
