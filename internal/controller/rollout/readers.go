package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks at who reads the objects of a traffic layer, and who else divides the same requests.

// observeReaders fills in the class of a layer's object, and looks for another divider of its requests.
func (r *Reconciler) observeReaders(ctx context.Context, w *world, l *layer) error {
	if len(traffic.Missing(l.provider, l.world)) > 0 {
		return nil
	}
	if err := r.observeClass(ctx, w, l); err != nil {
		return err
	}
	c, ok := l.provider.(traffic.Contended)
	if rel := w.active(); !ok || rel != nil && !divides(rel.Status.Phase) {
		return nil // Where the layer is being given back, nobody else is in the way.
	}
	if err := r.observeOthers(ctx, w, l, c); err != nil {
		return err
	}
	if problem := c.Contention(l.world); problem != "" && w.trouble == "" {
		w.trouble = problem
	}
	return nil
}

// observeOthers shows a layer all objects of its kinds.
func (r *Reconciler) observeOthers(ctx context.Context, w *world, l *layer, c traffic.Contended) error {
	rel := w.active()
	for _, kind := range kindsOf(l.provider) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		// There may be thousands, none of which is changed.
		if err := r.Kube.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list objects of kind %s: %w", kind.Kind, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if rel == nil && c.Divides(o) && r.madeInRelease(ctx, o) || rel != nil && metav1.IsControlledBy(o, rel) {
				continue // startInTurn waits for that release; or it is this release's own, also in another layer.
			}
			l.world.Others = append(l.world.Others, o)
		}
	}
	return nil
}

// observeClass fills in the class of a layer's object. It is checked before a release, and fixed from then on.
func (r *Reconciler) observeClass(ctx context.Context, w *world, l *layer) (err error) {
	if c, ok := l.provider.(traffic.Classed); ok && w.active() == nil {
		l.world.Class, err = r.classes.of(ctx, r.Kube.Live, c.Class(l.world), w.now)
	}
	return err
}

// madeInRelease says whether a release under way has made the object. The owner's name alone is no proof.
func (r *Reconciler) madeInRelease(ctx context.Context, o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != "Release" {
		return false
	}
	rel := &v1alpha1.Release{}
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: o.GetNamespace(), Name: owner.Name}, rel)
	return err == nil && rel.UID == owner.UID && !rel.Status.Phase.Terminal()
}

// divides says whether a release in this phase has requests divided.
func divides(phase v1alpha1.ReleasePhase) bool {
	switch phase {
	case "", v1alpha1.ReleasePending, v1alpha1.ReleaseProgressing, v1alpha1.ReleasePaused:
		return true
	case v1alpha1.ReleaseCompleting, v1alpha1.ReleaseSucceeded, v1alpha1.ReleaseAborting, v1alpha1.ReleaseAborted,
		v1alpha1.ReleaseSuperseded:
	}
	return false
}

// classLife is how long it is remembered what an IngressClass says: its controller cannot be changed, but it can be
// made, or removed, and the right to look can be given.
const classLife = 30 * time.Second

// classes remembers what IngressClasses say. They are in no cache: there are few, and a controller with rights in some
// namespaces only may not list them.
type classes struct {
	mu   sync.Mutex
	seen map[string]seenClass
}

type seenClass struct {
	class traffic.Class
	until time.Time
}

func newClasses() *classes { return &classes{seen: map[string]seenClass{}} }

// of is the class of that name.
func (c *classes) of(ctx context.Context, live client.Reader, name string, now time.Time) (*traffic.Class, error) {
	if name == "" {
		return &traffic.Class{}, nil
	}
	c.mu.Lock()
	got, known := c.seen[name]
	c.mu.Unlock()
	if known && now.Before(got.until) {
		return &got.class, nil
	}
	found := &networkingv1.IngressClass{}
	err := live.Get(ctx, types.NamespacedName{Name: name}, found)
	class := traffic.Class{Name: name, Controller: found.Spec.Controller}
	switch {
	case apierrors.IsForbidden(err):
		class.Unreadable = true
	case err != nil && !apierrors.IsNotFound(err):
		return nil, fmt.Errorf("read IngressClass %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for other, seen := range c.seen {
		if now.After(seen.until) {
			delete(c.seen, other)
		}
	}
	c.seen[name] = seenClass{class: class, until: now.Add(classLife)}
	return &class, nil
}

// contends says whether an object that came or went may divide requests that Rollouts of its namespace divide. Those of
// other namespaces are found when a Rollout is looked at the next time.
func contends(kinds translate.LayerKinds, o client.Object) bool {
	u, is := o.(*unstructured.Unstructured)
	if !is || o.GetLabels()[v1alpha1.LabelRollout] != "" {
		return false
	}
	return slices.ContainsFunc(kinds.Each(), func(p traffic.Provider) bool {
		c, is := p.(traffic.Contended)
		return is && slices.Contains(kindsOf(p), u.GroupVersionKind()) && c.Divides(u)
	})
}
