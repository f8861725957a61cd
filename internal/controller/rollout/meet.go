package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file has a release wait for those of other Rollouts that its traffic layers have no room beside.

// beginnings are the releases that were begun here and that the cache may not show yet. Under its lock a release
// looks whether another is in its way, and begins: of two that are in each other's way one is the first.
type beginnings struct {
	mu   sync.Mutex
	made map[types.UID]*v1alpha1.Release
}

func newBeginnings() *beginnings { return &beginnings{made: map[types.UID]*v1alpha1.Release{}} }

// underWay are the releases of other Rollouts in the namespace that have not ended. The lock of beginnings has to be
// held.
func (r *Reconciler) underWay(ctx context.Context, w *world) ([]*v1alpha1.Release, error) {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Releases: %w", err)
	}
	var out []*v1alpha1.Release
	for i := range list.Items {
		rel := &list.Items[i]
		// The cache shows it now.
		delete(r.beginnings.made, rel.UID)
		if rel.Spec.Rollout != w.rollout.Name && !rel.Status.Phase.Terminal() {
			out = append(out, rel)
		}
	}
	for _, rel := range r.beginnings.made {
		if rel.Namespace == w.rollout.Namespace && rel.Spec.Rollout != w.rollout.Name {
			out = append(out, rel)
		}
	}
	// As they came.
	slices.SortFunc(out, func(a, b *v1alpha1.Release) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out, nil
}

// busy says which release the Rollout's next one has to wait for, nil if it can begin.
func (r *Reconciler) busy(ctx context.Context, w *world) (*traffic.Busy, error) {
	if len(w.layers) == 0 {
		return nil, nil
	}
	running, err := r.underWay(ctx, w)
	if err != nil || len(running) == 0 {
		return nil, err
	}
	spec := translate.Spec(w.plan, "from", "to")
	for _, l := range w.layers {
		seen := l.world
		if seen.Parties, err = r.others(ctx, w, l, running); err != nil {
			return nil, err
		}
		if b, ok := errors.AsType[*traffic.Busy](l.provider.Check(seen, traffic.Splits(spec))); ok {
			return b, nil
		}
	}
	return nil, nil
}

// others are the releases that work on a layer of the same kind: those that the Holds of its objects name, and those
// that may have their part in them yet.
func (r *Reconciler) others(ctx context.Context, w *world, l *layer, running []*v1alpha1.Release) (
	[]traffic.Party, error,
) {
	out := slices.Clone(l.world.Parties)
	for _, rel := range running {
		if slices.ContainsFunc(out, func(p traffic.Party) bool { return p.Release == rel.Name }) {
			continue
		}
		for _, t := range rel.Spec.Plan.Traffic {
			provider := r.Layers.Of(t)
			if provider == nil || translate.LayerOf(t).Field != l.field {
				continue
			}
			p := traffic.Party{Release: rel.Name, Planned: planned(rel)}
			var err error
			if p.Objects, err = r.teamOf(ctx, w.rollout.Namespace, provider); err != nil {
				return nil, err
			}
			if len(p.Objects) == 0 {
				continue // There is nothing left for it to divide.
			}
			if p.Backends, err = r.backendsOf(ctx, rel); err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// teamOf are the team's objects of a layer.
func (r *Reconciler) teamOf(
	ctx context.Context, namespace string, p traffic.Provider,
) ([]*unstructured.Unstructured, error) {
	seen, err := traffic.Look(p, traffic.World{}, func(o traffic.Object) (*unstructured.Unstructured, error) {
		if o.Part == traffic.Makes {
			return nil, nil
		}
		return r.object(ctx, namespace, o.Ref)
	})
	return traffic.Team(p, seen), err
}

// backendsOf are the Services in front of another release's workload.
func (r *Reconciler) backendsOf(ctx context.Context, rel *v1alpha1.Release) ([]traffic.Backend, error) {
	driver := r.driver(rel.Spec.Plan.Workload.Kind)
	d := untyped(driver.Kinds().Workload)
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: rel.Namespace, Name: rel.Spec.Plan.Workload.Name}, d)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", d.GetKind(), rel.Namespace, rel.Spec.Plan.Workload.Name, err)
	}
	pods := labels.Set(workload.TemplateOf(d).Labels)
	list := &corev1.ServiceList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(rel.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Services: %w", err)
	}
	var out []traffic.Backend
	for i := range list.Items {
		selector := unhashed(list.Items[i].Spec.Selector, driver.Kinds().Mark)
		if len(selector) > 0 && labels.SelectorFromSet(selector).Matches(pods) {
			out = append(out, traffic.Twins(list.Items[i].Name, translate.Twins(rel).Of(list.Items[i].Name)))
		}
	}
	return out, nil
}

// ofRelease brings back the Rollout of a release and, when it has ended, those that may have waited for that.
func (m *mapper) ofRelease(ctx context.Context, o client.Object) []string {
	out := byLabel(o)
	if rel := o.(*v1alpha1.Release); !rel.Status.Phase.Terminal() && rel.DeletionTimestamp == nil {
		return out
	}
	return append(out, namesOf(m.all(ctx, o.GetNamespace(), waitsForLayer))...)
}

// waitsForLayer says whether a Rollout waits for the release of another. Its status says so, which a restart does not
// lose.
func waitsForLayer(ro *v1alpha1.Rollout) bool {
	return slices.ContainsFunc(ro.Status.Conditions,
		func(c metav1.Condition) bool { return c.Reason == release.ReasonLayerBusy })
}
