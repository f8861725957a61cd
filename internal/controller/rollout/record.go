package rollout

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// This file keeps the pod templates of revisions that were stable, and finds them again. Kubernetes keeps as few old
// ReplicaSets as spec.revisionHistoryLimit says, and anybody who may edit the workload may remove or edit them.
//
// A template is kept as a ControllerRevision, Kubernetes' own kind for this. Who may read Deployments may read it, and
// nobody else; the roles edit and admin do not write it. Its content counts only if its whole hash is the recorded one.

// recordKind is the kind of a kept template.
var recordKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ControllerRevision"}

// errNoTemplate: the pod template of a revision is to be found nowhere.
var errNoTemplate = errors.New("its pod template is kept nowhere")

// recordKey is where the template with this hash is kept. 16 digits tell those of one Rollout apart by far.
func recordKey(ro *v1alpha1.Rollout, hash string) types.NamespacedName {
	return types.NamespacedName{Namespace: ro.Namespace, Name: ro.Name + "-" + hash[:min(len(hash), 16)]}
}

// keepTemplate records a template under its hash. One that is recorded already stays.
func (r *Reconciler) keepTemplate(ctx context.Context, write *kube.Writer, w *world, hash string, template map[string]any) error {
	key, yes := recordKey(w.rollout, hash), true
	record := untyped(recordKind)
	record.SetNamespace(key.Namespace)
	record.SetName(key.Name)
	record.SetLabels(map[string]string{v1alpha1.LabelRollout: w.rollout.Name})
	record.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: w.rollout.Name, UID: w.rollout.UID, Controller: &yes,
	}})
	record.Object["revision"] = w.rollout.Status.LastNumber
	record.Object["data"] = map[string]any{"spec": map[string]any{"template": template}}
	return ignoreExists(write.CreateUncached(ctx, record))
}

// forgetTemplate removes the record of a revision that no release speaks of any more.
func (r *Reconciler) forgetTemplate(ctx context.Context, write *kube.Writer, w *world, hash string, left []*v1alpha1.Release) error {
	for _, rel := range left {
		if rel.Spec.From.Hash == hash {
			return nil
		}
	}
	record := untyped(recordKind)
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

// template is the whole pod template of a revision, read afresh: from the ReplicaSet that runs it or ran it, or else from
// the workload that asks for it, or from the record. Wherever it is from, its hash is the revision's, or the error is errNoTemplate.
func (r *Reconciler) template(ctx context.Context, w *world, rev *v1alpha1.Revision) (map[string]any, error) {
	if rev == nil {
		return nil, errNoTemplate
	}
	sources := []*unstructured.Unstructured{untyped(recordKind)}
	keys, paths := []types.NamespacedName{recordKey(w.rollout, rev.Hash)}, [][]string{{"data", "spec", "template"}}
	if w.deploy != nil && w.template.Hash == rev.Hash {
		sources = append(sources, untyped(deployment.Kind))
		keys, paths = append(keys, client.ObjectKeyFromObject(w.deploy)), append(paths, []string{"spec", "template"})
	}
	if rs := w.set(rev); rs != nil {
		sources = append(sources, untyped(deployment.ReplicaSetKind))
		keys, paths = append(keys, client.ObjectKeyFromObject(rs)), append(paths, []string{"spec", "template"})
	}
	for i := len(sources) - 1; i >= 0; i-- {
		err := r.Kube.Live.Get(ctx, keys[i], sources[i])
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read %s %s: %w", sources[i].GetKind(), keys[i], err)
		}
		template, found, err := unstructured.NestedMap(sources[i].Object, paths[i]...)
		if !found || err != nil {
			continue
		}
		podtemplate.Plain(template)
		if podtemplate.Hash(template) == rev.Hash {
			return template, nil
		}
	}
	return nil, errNoTemplate
}

// live is the workload as it is now, whole. It is an error if it has changed since the cache showed it.
func (r *Reconciler) live(ctx context.Context, w *world) (*unstructured.Unstructured, error) {
	whole := untyped(deployment.Kind)
	if err := r.Kube.Live.Get(ctx, client.ObjectKeyFromObject(w.deploy), whole); err != nil {
		return nil, fmt.Errorf("read Deployment %s: %w", w.deploy.GetName(), err)
	}
	if whole.GetResourceVersion() != w.deploy.GetResourceVersion() {
		// Changed this very moment. What follows relies on what was seen.
		return nil, fmt.Errorf("read Deployment %s: %w", w.deploy.GetName(), apierrors.NewConflict(
			schema.GroupResource{Group: deployment.Kind.Group, Resource: "deployments"}, w.deploy.GetName(), errChanged))
	}
	return whole, nil
}

// writeTemplate gives the workload the template of one of its revisions, and changes the rest by then.
func (r *Reconciler) writeTemplate(ctx context.Context, write *kube.Writer, w *world, rev *v1alpha1.Revision, then func(*unstructured.Unstructured)) error {
	whole, err := r.live(ctx, w)
	if err != nil {
		return err
	}
	template, err := r.template(ctx, w, rev)
	if err != nil {
		return err
	}
	after := whole.DeepCopy()
	if err := unstructured.SetNestedMap(after.Object, template, "spec", "template"); err != nil {
		return fmt.Errorf("set spec.template of Deployment %s: %w", w.deploy.GetName(), err)
	}
	then(after)
	return write.Patch(ctx, whole, after)
}

// changes records the stable template, and says in what the workload's differs from it.
func (r *Reconciler) changes(ctx context.Context, write *kube.Writer, w *world) ([]string, error) {
	whole, err := r.live(ctx, w)
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
