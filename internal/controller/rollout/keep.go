package rollout

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// This file keeps the released ReplicaSet when the workload goes, in case that it is made anew; see
// designs/made-anew.md.

// goneFor is how long the released pods outlive their workload. Whoever replaces one makes it anew within a second.
const goneFor = 30 * time.Second

// keeper is the Rollout as the second owner of its released ReplicaSet.
func keeper(ro *v1alpha1.Rollout) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: ro.Name, UID: ro.UID}
}

// observeKept finds what a workload that is gone has left behind: ReplicaSets without a controller whose second owner is
// the Rollout. Anybody may write such an owner, so one counts as the released one only by its whole pod template.
func (r *Reconciler) observeKept(ctx context.Context, w *world) error {
	if w.rollout.UID == "" {
		return nil
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(deployment.ReplicaSetKind)
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexKeeper: string(w.rollout.UID)}); err != nil {
		return fmt.Errorf("list ReplicaSets kept by Rollout %s: %w", w.rollout.Name, err)
	}
	released := ""
	if s := w.rollout.Status.Stable; s != nil {
		released = s.Hash
	}
	if rel := w.active(); rel != nil {
		released = rel.Spec.From.Hash
	}
	for i := range list.Items {
		switch rs := &list.Items[i]; {
		case rs.GetDeletionTimestamp() != nil || metav1.GetControllerOf(rs) != nil:
		case deployment.TemplateOf(rs).Hash == released:
			w.sets = append(w.sets, rs)
		default:
			w.strays = append(w.strays, rs)
		}
	}
	return nil
}

// keep makes the Rollout the second owner of the released ReplicaSet, and of no other. What is left of a workload that
// was made anew with another selector goes.
//
// While the workload is scaled to zero, the ReplicaSets of its other revisions are marked as former: the Deployment
// controller, which scales the ReplicaSet of the current template up also while the Deployment is paused, does not take
// them for it. Otherwise one patch of template and replicas would run an earlier revision without a release.
func (r *Reconciler) keep(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	stable := w.stable()
	if stable == nil {
		return false, ctrl.Result{}, nil
	}
	for _, rs := range w.sets {
		after := rs
		if rs.GetUID() == stable.GetUID() {
			after = deployment.Kept(rs, keeper(w.rollout))
		} else if deployment.KeptBy(rs, w.rollout.UID) {
			after = deployment.NotKept(rs, w.rollout.UID)
		}
		if idle := deployment.Replicas(w.deploy) == 0; idle && rs.GetUID() != stable.GetUID() && deployment.OwnedBy(rs, w.deploy.GetUID()) {
			after = deployment.Former(after)
		}
		if err := write.Patch(ctx, rs, after); err != nil {
			return true, ctrl.Result{}, err
		}
	}
	for _, rs := range w.strays {
		if err := write.Delete(ctx, rs); err != nil {
			return true, ctrl.Result{}, err
		}
	}
	return false, ctrl.Result{}, nil
}

// left are the ReplicaSets that the workload has left behind.
func (w *world) left() []*unstructured.Unstructured {
	out := w.strays
	for _, rs := range w.sets {
		if metav1.GetControllerOf(rs) == nil {
			out = append(out, rs)
		}
	}
	return out
}

// gone looks after what a workload has left behind that is gone: its released pods serve on for a while, in case that it
// is made anew, and then end as Kubernetes would have ended them.
func (r *Reconciler) gone(ctx context.Context, write *kube.Writer, w *world, left []*unstructured.Unstructured) (bool, ctrl.Result, error) {
	since := w.now
	if s := w.rollout.Status.WaitingFor; s != nil && s.Reason == ReasonWorkloadGone && s.Since != nil {
		since = s.Since.Time
	}
	until := since.Add(goneFor)
	if !w.now.Before(until) {
		for _, rs := range left {
			if err := write.Delete(ctx, rs); err != nil {
				return true, ctrl.Result{}, err
			}
		}
		return false, ctrl.Result{}, nil
	}
	reason := release.Reason{
		Code: ReasonWorkloadGone, Since: since, Until: until, Who: "anyone who may create the Deployment",
		Message: fmt.Sprintf("the Deployment %q was deleted; its released ReplicaSet %s serves on with %d pods for %s, in case that the Deployment is made anew, and is then removed; kubectl delete replicaset %s ends it now",
			w.rollout.Spec.Workload.Name, left[0].GetName(), deployment.Replicas(left[0]), goneFor, left[0].GetName()),
	}
	err := r.reportOnce(ctx, write, w, w.keepStable, v1alpha1.RolloutPending, reason)
	return true, ctrl.Result{RequeueAfter: until.Sub(w.now)}, err
}

// byKeeper finds ReplicaSets by the Rollout that keeps them.
func byKeeper(o client.Object) []string {
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == "Rollout" && owner.APIVersion == v1alpha1.GroupVersion.String() {
			return one(string(owner.UID))
		}
	}
	return nil
}

// keepers are the names of those Rollouts.
func keepers(o client.Object) []string {
	var out []string
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == "Rollout" && owner.APIVersion == v1alpha1.GroupVersion.String() {
			out = append(out, owner.Name)
		}
	}
	return out
}
