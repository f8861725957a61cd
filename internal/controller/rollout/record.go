package rollout

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file keeps the pod templates of revisions that were stable, and finds them again. Kubernetes keeps as few old
// ReplicaSets as spec.revisionHistoryLimit says, and anybody who may edit the workload may remove or edit them.
//
// A template is kept as a ControllerRevision, Kubernetes' own kind for this. Who may read Deployments may read it, and
// nobody else; the roles edit and admin do not write it. Its content counts only if its whole hash is the recorded one.

// recordKey is where the template with this hash is kept.
func recordKey(ro *v1alpha1.Rollout, hash string) types.NamespacedName {
	return types.NamespacedName{Namespace: ro.Namespace, Name: workload.RecordName(ro.Name, hash)}
}

// keepTemplate records a template under its hash. One that is recorded already stays.
func (r *Reconciler) keepTemplate(ctx context.Context, write *kube.Writer, w *world, hash string,
	template map[string]any,
) error {
	key, yes := recordKey(w.rollout, hash), true
	record := untyped(workload.RecordKind)
	record.SetNamespace(key.Namespace)
	record.SetName(key.Name)
	record.SetLabels(map[string]string{v1alpha1.LabelRollout: w.rollout.Name})
	record.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: w.rollout.Name, UID: w.rollout.UID,
		Controller: &yes,
	}})
	record.Object["revision"] = w.rollout.Status.LastNumber
	record.Object["data"] = map[string]any{"spec": map[string]any{"template": template}}
	// No cache holds ControllerRevisions, so nothing waits to see it there. One that exists has the same hash in its
	// name; whoever reads it checks its content by that hash.
	return ignoreExists(write.CreateUncached(ctx, record))
}

// forgetTemplate removes the record of a revision that no release speaks of any more.
func (r *Reconciler) forgetTemplate(ctx context.Context, write *kube.Writer, w *world, hash string,
	left []*v1alpha1.Release,
) error {
	for _, rel := range left {
		if rel.Spec.From.Hash == hash {
			return nil
		}
	}
	record := untyped(workload.RecordKind)
	err := r.Kube.Live.Get(ctx, recordKey(w.rollout, hash), record)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read ControllerRevision %s: %w", recordKey(w.rollout, hash), err)
	}
	if c := metav1.GetControllerOf(record); c == nil || c.UID != w.rollout.UID {
		return nil // Somebody else's.
	}
	return write.DeleteUncached(ctx, record)
}

// template is the whole pod template of a revision, read afresh; the error is workload.ErrNoTemplate where it is kept
// nowhere.
func (r *Reconciler) template(ctx context.Context, w *world, rev *v1alpha1.Revision) (map[string]any, error) {
	shown := w.shown()
	shown.Whole = map[workload.Ref]*unstructured.Unstructured{}
	for {
		template, needs, err := shown.TemplateOfRevision(w.seen.Parts, rev)
		if err != nil || len(needs) == 0 {
			return template, err
		}
		if err := r.show(ctx, w, shown, needs); err != nil {
			return nil, err
		}
	}
}

// changes records the stable template, and says in what the workload's differs from it.
func (r *Reconciler) changes(ctx context.Context, write *kube.Writer, w *world) ([]string, error) {
	whole, err := r.whole(ctx, w, workload.Need{Ref: workload.RefOf(w.object), Unchanged: true})
	if err != nil {
		return nil, err
	}
	before, err := r.template(ctx, w, w.settled)
	if err != nil {
		return nil, fmt.Errorf("read the stable revision: %w", err)
	}
	if err := r.keepTemplate(ctx, write, w, w.settled.Hash, before); err != nil {
		return nil, err
	}
	after, _, _ := unstructured.NestedMap(whole.Object, "spec", "template")
	podtemplate.Plain(after)
	return podtemplate.Diff(before, after), nil
}
