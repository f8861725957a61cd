package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file stands between the controller and the driver of the workload's kind: it reads what the driver wants to see,
// and carries out what the driver answers. No other file of this room knows what runs the pods.

// observeWorkload reads the workload, and the parts that run its revisions' pods.
func (r *Reconciler) observeWorkload(ctx context.Context, w *world) error {
	w.driver = r.driver(w.rollout.Spec.Workload.Kind)
	kinds := w.driver.Kinds()
	d := untyped(kinds.Workload)
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Spec.Workload.Name}
	switch err := r.Kube.Get(ctx, key, d); {
	case err == nil:
		w.object = d
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read %s %s: %w", kinds.Workload.Kind, key, err)
	}
	for _, owner := range w.owners() {
		found, err := r.parts(ctx, w, indexOwner, owner)
		if err != nil {
			return err
		}
		w.owned = append(w.owned, found...)
	}
	if w.rollout.UID != "" {
		found, err := r.parts(ctx, w, indexKeeper, w.rollout.UID)
		if err != nil {
			return err
		}
		for _, o := range found {
			if metav1.GetControllerOf(o) == nil {
				w.kept = append(w.kept, o)
			}
		}
	}
	w.look()
	w.trouble = w.seen.Refusal
	return nil
}

// driver is that of a kind of workload. The API server takes no other kinds; the first stands for what it has stored of
// kinds that a newer Sluice knew.
func (r *Reconciler) driver(kind string) workload.Driver {
	i := slices.IndexFunc(r.Workloads, func(d workload.Driver) bool { return d.Kinds().Workload.Kind == kind })
	return r.Workloads[max(i, 0)]
}

// parts lists those with this owner.
func (r *Reconciler) parts(ctx context.Context, w *world, index string, owner types.UID) (
	[]*unstructured.Unstructured, error,
) {
	kind := w.driver.Kinds().Part
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind)
	err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{index: string(owner)})
	if err != nil {
		return nil, fmt.Errorf("list %ss of %s/%s: %w", kind.Kind, w.rollout.Namespace, w.rollout.Spec.Workload.Name, err)
	}
	out := make([]*unstructured.Unstructured, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out, nil
}

// look has the driver read the workload. It is to be called again when what it relies on has changed.
func (w *world) look() { w.seen = w.driver.Read(w.shown()) }

// shown is what the driver sees.
func (w *world) shown() workload.World {
	return workload.World{
		Rollout: w.rollout, Release: w.active(), Makers: w.makers(), Object: w.object, Owned: w.owned, Kept: w.kept,
		Stable: w.stableRevision(), KeepPaused: w.keptPaused,
	}
}

// mark is the label by whose value the pods of the two versions are told apart.
func (w *world) mark() string { return w.driver.Kinds().Mark }

// kind is the workload's, for people.
func (w *world) kind() string { return w.driver.Kinds().Workload.Kind }

// do has the driver carry out an action. It reads what the driver asks for, and then writes what it answers, in order.
// It returns how much it wrote.
func (r *Reconciler) do(ctx context.Context, write *kube.Writer, w *world, a workload.Action) (writes int, err error) {
	shown := w.shown()
	shown.Whole = map[workload.Ref]*unstructured.Unstructured{}
	doing, err := w.driver.Do(shown, a)
	// The cache keeps no whole pod templates (see cache.go), and the driver reads nothing itself. So it says what it
	// needs, is shown that, and is asked again.
	for err == nil && len(doing.Needs) > 0 {
		if err := r.show(ctx, w, shown, doing.Needs); err != nil {
			return 0, err
		}
		doing, err = w.driver.Do(shown, a)
	}
	if err != nil {
		return 0, err
	}
	before := write.Writes()
	for _, x := range doing.Writes {
		if err := r.carry(ctx, write, w, x); err != nil {
			return write.Writes() - before, err
		}
		// What follows in this look is conditional on the version that this write has made.
		if w.object != nil && x.After != nil && x.After.GetUID() == w.object.GetUID() {
			w.object = x.After
		}
	}
	// Only when all is written.
	for _, reason := range doing.Tell {
		r.warn(w.rollout, reason)
	}
	return write.Writes() - before, nil
}

// show adds whole objects to what the driver sees.
func (r *Reconciler) show(ctx context.Context, w *world, shown workload.World, needs []workload.Need) error {
	for _, n := range needs {
		whole, err := r.whole(ctx, w, n)
		if err != nil {
			return err
		}
		shown.Whole[n.Ref] = whole
	}
	return nil
}

// whole reads an object past the cache; nil if it is not there.
func (r *Reconciler) whole(ctx context.Context, w *world, n workload.Need) (*unstructured.Unstructured, error) {
	o := untyped(n.GroupVersionKind)
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: n.Name}
	err := r.Kube.Live.Get(ctx, key, o)
	switch {
	case apierrors.IsNotFound(err) && !n.Unchanged:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read %s %s: %w", n.Kind, key, err)
	case n.Unchanged && w.object != nil && o.GetResourceVersion() != w.object.GetResourceVersion():
		// Changed this very moment. What follows relies on what was seen.
		return nil, fmt.Errorf("read %s %s: %w", n.Kind, key, apierrors.NewConflict(
			schema.GroupResource{Group: n.Group, Resource: n.Kind}, n.Name, errChanged))
	}
	return o, nil
}

// carry makes one write.
func (r *Reconciler) carry(ctx context.Context, write *kube.Writer, w *world, x workload.Write) error {
	switch x.Verb {
	case workload.Patch:
		return write.Patch(ctx, x.Before, x.After)
	case workload.PatchSpec:
		return write.PatchSpec(ctx, x.Before, x.After)
	case workload.Create:
		return r.create(ctx, write, w, x.After)
	case workload.Delete:
		return write.Delete(ctx, x.Before)
	case workload.Orphan:
		return write.DeleteAlone(ctx, x.Before)
	}
	return fmt.Errorf("write %v: no such verb", x.Verb)
}

// create makes a part. One of this name that is there already is the result of an earlier attempt only if the same
// object controls it and it has the same template.
func (r *Reconciler) create(ctx context.Context, write *kube.Writer, w *world, part *unstructured.Unstructured) error {
	wanted := workload.TemplateOf(part).Hash
	err := write.Create(ctx, part)
	rel := w.active()
	if !apierrors.IsAlreadyExists(err) || rel == nil || !workload.OwnedBy(part, rel.UID) {
		return err
	}
	there := untyped(part.GroupVersionKind())
	if err := r.Kube.Live.Get(ctx, client.ObjectKeyFromObject(part), there); err != nil {
		return fmt.Errorf("read %s %s: %w", part.GetKind(), part.GetName(), err)
	}
	if workload.OwnedBy(there, rel.UID) && workload.TemplateOf(there).Hash == wanted {
		return nil // The cache will show it.
	}
	return &obstacle{fmt.Sprintf("the %s %q, which release %s needs for its pods, exists already and is not this "+
		"release's, or somebody has edited it: remove it", part.GetKind(), part.GetName(), rel.Name)}
}

// stableRevision is the revision that is to be gone back to.
func (w *world) stableRevision() *v1alpha1.Revision {
	if rel := w.active(); rel != nil {
		return &rel.Spec.From
	}
	return w.settled
}

// remakeStable has the driver make the part of the stable revision anew where somebody has deleted or edited it. It
// says whether anything was written. What cannot be written is no reason to stop: a release has to go on, and above all
// back.
func (r *Reconciler) remakeStable(ctx context.Context, write *kube.Writer, w *world) bool {
	if w.seen.Stable != nil {
		return false // As nearly always; the driver need not look.
	}
	writes, err := r.do(ctx, write, w, release.RemakeStable{})
	if err != nil && !errors.Is(err, workload.ErrNoTemplate) {
		log.FromContext(ctx).Error(err, "make the part of the stable revision anew", "rollout", w.rollout.Name)
	}
	return writes > 0 && err == nil
}

// wouldWrite says whether an action would change anything, as far as that is known without reading more.
func (r *Reconciler) wouldWrite(w *world, a workload.Action) bool {
	doing, err := w.driver.Do(w.shown(), a)
	return err == nil && slices.ContainsFunc(doing.Writes, func(x workload.Write) bool {
		return x.Before == nil || x.After == nil || !equality.Semantic.DeepEqual(x.Before.Object, x.After.Object)
	})
}

// freeStrays takes our mark off workloads that bear a Rollout's name and are not its workload: copies of its manifest,
// or what is left after a Rollout was removed by force. People cannot, since the admission policy keeps the mark where
// it is.
func (r *Reconciler) freeStrays(ctx context.Context, write *kube.Writer, key types.NamespacedName, w *world) error {
	for _, driver := range r.Workloads {
		kind := driver.Kinds().Workload
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		if err := r.Kube.List(ctx, list, client.InNamespace(key.Namespace),
			client.MatchingFields{indexRollout: key.Name}); err != nil {
			return fmt.Errorf("list %ss of Rollout %s: %w", kind.Kind, key, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if w != nil && kind == w.driver.Kinds().Workload && o.GetName() == w.rollout.Spec.Workload.Name {
				continue
			}
			doing, err := driver.Do(workload.World{Rollout: &v1alpha1.Rollout{}}, workload.Free{Object: o})
			if err != nil {
				return err
			}
			for _, x := range doing.Writes {
				if err := write.Patch(ctx, x.Before, x.After); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// byKeeper finds parts by the Rollout that keeps them.
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
