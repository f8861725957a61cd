package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks at the traffic layers.

// layer is one traffic layer.
type layer struct {
	name string
	// settle is how long the layer is given to follow a change.
	settle   time.Duration
	provider traffic.Provider
	// propagation is how long the layer may take to learn of a canary's first endpoints.
	propagation time.Duration
	world       traffic.World
	// hold is the Hold of the route, which releases of other Rollouts may have made.
	hold  *v1alpha1.Hold
	state traffic.State
	// taken says that the name of the object beside the route is another's; empty if it is not.
	taken string
}

// errNotServed: the cluster does not know the kind of a traffic object.
var errNotServed = errors.New("kind is not served")

func (r *Reconciler) observeLayer(ctx context.Context, w *world, t v1alpha1.TrafficLayer) (*layer, error) {
	provider, name := registry.Traffic(t)
	if provider == nil {
		return nil, nil
	}
	gvk := provider.Kind()
	l := &layer{provider: provider, name: translate.LayerOf(t).String()}
	if p, ok := provider.(traffic.Propagating); ok {
		l.propagation = p.Propagation()
	}
	route, err := r.route(ctx, gvk, w.rollout.Namespace, name)
	switch {
	case errors.Is(err, errNotServed):
		w.trouble = preflight.KindNotServed(gvk.Kind, name, gvk.GroupVersion().String())
		return nil, nil
	case err != nil:
		return nil, err
	case route == nil && !w.ending():
		w.trouble = preflight.RouteMissing(gvk.Kind, name, w.rollout.Namespace)
	}
	l.world = traffic.World{Rollout: w.rollout.Name, Route: route, Now: w.now, Backends: w.backends()}
	if err := r.observeOurs(ctx, w, l, name); err != nil {
		return nil, err
	}
	if err := r.observeReaders(ctx, w, l); err != nil {
		return nil, err
	}
	// Without the team's route only what is ours counts, which is still to be taken away.
	if route == nil && !l.world.Held && l.world.Beside == nil && !w.ending() {
		return nil, nil
	}
	if l.taken != "" && !w.ending() {
		w.trouble = l.taken
	}
	l.state, l.settle = provider.Read(l.world), settleOf(t, provider, l.world)
	return l, nil
}

// observeOurs reads what a release has added to a layer: the object beside the team's, and the Hold.
func (r *Reconciler) observeOurs(ctx context.Context, w *world, l *layer, name string) (err error) {
	gvk := l.provider.Kind()
	if beside := l.provider.BesideName(name, w.rollout.Name); beside != "" {
		if l.world.Beside, err = r.route(ctx, gvk, w.rollout.Namespace, beside); err != nil {
			return err
		}
	}
	if b := l.world.Beside; b != nil && !w.madeBeside(l.provider, b) {
		l.taken = preflight.BesideTaken(gvk.Kind, b.GetName())
		l.world.Beside = nil
	}
	return r.observeHold(ctx, w, l, v1alpha1.HoldTarget{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: name})
}

// madeBeside says whether a release of this Rollout made an object beside a route: it controls it, or somebody has taken that
// off one that leads to the new pods of the release under way, which nobody else's does.
func (w *world) madeBeside(p traffic.Provider, b *unstructured.Unstructured) bool {
	if w.ours(b) || w.active() == nil || metav1.GetControllerOf(b) != nil {
		return w.ours(b)
	}
	return slices.ContainsFunc(w.services, func(s *service) bool {
		return s.twin != nil && w.madeTwin(s.twin) && traffic.LeadsTo(p, b, s.twin.Name)
	})
}

// ending says whether a release takes back what it has added, and adds nothing more: what it would need to go on is no
// trouble any longer.
func (w *world) ending() bool {
	rel := w.active()
	return rel != nil && (rel.Status.Phase == v1alpha1.ReleaseCompleting || rel.Status.Phase == v1alpha1.ReleaseAborting)
}

// route reads a traffic object, and has its kind watched from then on. It returns nil if there is none.
func (r *Reconciler) route(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	if err := r.Watch(gvk); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, errNotServed
		}
		return nil, fmt.Errorf("watch %s: %w", gvk.Kind, err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", gvk.Kind, namespace, name, err)
	}
	return u, nil
}

func (w *world) backends() []traffic.Backend {
	out := make([]traffic.Backend, 0, len(w.services))
	for _, s := range w.services {
		b := traffic.Backend{Stable: s.object.Name, Canary: w.twinName(s.object.Name)}
		for _, p := range s.object.Spec.Ports {
			b.Ports = append(b.Ports, traffic.Port{Name: p.Name, Number: int64(p.Port)})
		}
		out = append(out, b)
	}
	return out
}

// together is what a layer sees when the others of the same release are taken into account as well.
func (l *layer) together(w *world) traffic.World {
	seen := l.world
	seen.Parties = slices.Clone(seen.Parties)
	for _, o := range w.layers {
		if o != l && o.provider.Kind() == l.provider.Kind() && o.world.Route != nil {
			seen.Parties = append(seen.Parties, traffic.Party{Route: o.world.Route, Backends: o.world.Backends})
		}
	}
	return seen
}

// propagation is the longest of the layers'.
func (w *world) propagation() time.Duration {
	var longest time.Duration
	for _, l := range w.layers {
		longest = max(longest, l.propagation)
	}
	return longest
}

func (l *layer) observed() release.Layer {
	// A layer that leads to none of the workload's Services, and never did or no longer does, has nothing to follow.
	accepted := l.state.Accepted || !l.state.Routed && (len(l.world.Backends) == 0 || l.world.Route == nil)
	return release.Layer{
		Name: l.name, Routed: l.state.Routed, Held: l.world.Held,
		Weight: l.state.Weight, Matches: l.state.Matches, Version: l.state.Version,
		Settled: accepted, Settle: l.settle, Problem: l.state.Problem,
	}
}

// settleOf is how long a layer is given to follow a change: what the Rollout says, or what the layer needs.
func settleOf(t v1alpha1.TrafficLayer, provider traffic.Provider, w traffic.World) time.Duration {
	if given := translate.LayerOf(t).Settle; given != nil {
		return given.Duration
	}
	if s, ok := provider.(traffic.Settling); ok {
		return s.Settle(w)
	}
	return 0
}

// leadsTo says whether the layer's object sends requests to a Service.
func (l *layer) leadsTo(service string) bool {
	return traffic.LeadsTo(l.provider, l.world.Route, service)
}

func targetOf(route *unstructured.Unstructured) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: route.GetAPIVersion(), Kind: route.GetKind(), Name: route.GetName()}
}
