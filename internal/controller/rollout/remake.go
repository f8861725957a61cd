package rollout

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// This file makes the ReplicaSet of the stable revision anew. Whoever may edit a Deployment may delete its ReplicaSets, or
// edit them where no admission policy keeps them. The Deployment controller makes a ReplicaSet for the Deployment's own
// template only, and none while the Deployment is paused: without this file the requests of a release that is taken back
// would have nowhere to go.

// ReasonStableRemade: the ReplicaSet of the stable revision was deleted or edited, and has been made anew.
const ReasonStableRemade = "StableReplicaSetRemade"

// remakeStable makes the stable ReplicaSet anew where it is missing and Kubernetes does not. Pods that bear its labels, as
// after kubectl delete --cascade=orphan, come back under it. It says whether it wrote anything. What cannot be written is
// no reason to stop: a release has to go on, and above all back.
func (r *Reconciler) remakeStable(ctx context.Context, write *kube.Writer, w *world) bool {
	rev := w.stableRevision()
	if rev == nil || rev.PodTemplateHash == "" || w.set(rev) != nil || w.deploy == nil || w.deploy.GetDeletionTimestamp() != nil {
		return false
	}
	if !deployment.Paused(w.deploy) || w.deploy.GetLabels()[v1alpha1.LabelRollout] != w.rollout.Name || w.completes() {
		return false
	}
	made, err := r.remake(ctx, write, w, rev)
	if err != nil && !errors.Is(err, errNoTemplate) {
		log.FromContext(ctx).Error(err, "make the ReplicaSet of the stable revision anew", "rollout", w.rollout.Name)
	}
	return made && err == nil
}

// remakeAtRest does the same while no release is under way.
func (r *Reconciler) remakeAtRest(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	return r.remakeStable(ctx, write, w), ctrl.Result{RequeueAfter: conflictDelay}, nil
}

// remake removes the ReplicaSet first that has the stable one's place, but another template. Its pods stay: those that it
// has made before somebody edited it are of the stable template.
func (r *Reconciler) remake(ctx context.Context, write *kube.Writer, w *world, rev *v1alpha1.Revision) (bool, error) {
	template, err := r.template(ctx, w, rev)
	if err != nil {
		return false, err
	}
	if edited := w.editedStable(rev); edited != nil {
		if edited.GetDeletionTimestamp() != nil {
			return false, nil
		}
		return true, write.DeleteAlone(ctx, edited)
	}
	whole, err := r.live(ctx, w)
	if err != nil {
		return false, err
	}
	rs := deployment.Anew(whole, template, keeper(w.rollout), rev.PodTemplateHash)
	if err := write.Create(ctx, rs); err != nil {
		return false, err
	}
	r.warn(w.rollout, release.Reason{Code: ReasonStableRemade, Message: fmt.Sprintf(
		"the ReplicaSet %s of the stable revision %s was deleted or edited; it has been made anew from the record", rs.GetName(), describe(*rev))})
	return true, nil
}

// stableRevision is the revision that is to be gone back to.
func (w *world) stableRevision() *v1alpha1.Revision {
	if rel := w.active(); rel != nil {
		return &rel.Spec.From
	}
	return w.settled
}

// editedStable is the ReplicaSet in the stable one's place whose template somebody has edited, or nil.
func (w *world) editedStable(rev *v1alpha1.Revision) *unstructured.Unstructured {
	for _, rs := range w.sets {
		if deployment.PodTemplateHash(rs) == rev.PodTemplateHash && deployment.TemplateOf(rs).Hash != rev.Hash && !w.ours(rs) {
			return rs
		}
	}
	return nil
}

// completes says whether a release is on its way to the new revision alone, which needs the stable one no more.
func (w *world) completes() bool {
	rel := w.active()
	return rel != nil && rel.Status.Phase == v1alpha1.ReleaseCompleting
}
