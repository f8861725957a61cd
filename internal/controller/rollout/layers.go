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
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks at the traffic layers.

// layer is one traffic layer.
type layer struct {
	// name is that of the entry in spec.traffic, field the one that is set there.
	name, field string
	// settle is how long the layer is given to follow a change.
	settle   time.Duration
	provider traffic.Provider
	world    traffic.World
	// holds are those of the team's objects. Releases of other Rollouts may have made them.
	holds map[traffic.Ref]*v1alpha1.Hold
	state traffic.State
	// taken says that the name of an object beside the team's is another's; empty if it is not.
	taken string
}

// errNotServed: the cluster does not know the kind of a traffic object.
type errNotServed struct{ of traffic.Ref }

func (e *errNotServed) Error() string { return e.of.Kind + " is not served" }

// observeLayer reads one entry of spec.traffic. It returns nil where there is nothing to act on: then the reason is in
// the world's trouble, or the entry names a layer that this Sluice does not know.
func (r *Reconciler) observeLayer(ctx context.Context, w *world, t v1alpha1.TrafficLayer) (*layer, error) {
	provider, named := r.Layers.Of(t), translate.LayerOf(t)
	if provider == nil {
		return nil, nil
	}
	l := &layer{provider: provider, name: named.String(), field: named.Field, holds: map[traffic.Ref]*v1alpha1.Hold{}}
	l.world = traffic.World{Rollout: w.rollout.Name, Now: w.now, Backends: w.backends()}
	err := r.observeObjects(ctx, w, l)
	if e, not := errors.AsType[*errNotServed](err); not {
		w.trouble = preflight.KindNotServed(e.of.Kind, e.of.Name, e.of.GroupVersion().String())
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	missing := traffic.Missing(provider, l.world)
	if len(missing) > 0 && !w.ending() {
		w.trouble = preflight.RouteMissing(missing[0].Kind, missing[0].Name, w.rollout.Namespace)
	}
	if err := r.observeShares(ctx, w, l); err != nil {
		return nil, err
	}
	if err := r.observeReaders(ctx, w, l); err != nil {
		return nil, err
	}
	// Without all of the team's objects only what is ours counts, which is still to be taken away.
	if len(missing) > 0 && !l.world.Held() && !traffic.Made(provider, l.world) && !w.ending() {
		return nil, nil
	}
	if l.taken != "" && !w.ending() {
		w.trouble = l.taken
	}
	l.state = provider.Read(l.world)
	l.settle = settleOf(named, provider.Needs(), l.state)
	return l, nil
}

// observeObjects reads the layer's objects, the team's and those that a release has added to them.
func (r *Reconciler) observeObjects(ctx context.Context, w *world, l *layer) (err error) {
	l.world, err = traffic.Look(l.provider, l.world, func(o traffic.Object) (*unstructured.Unstructured, error) {
		found, err := r.object(ctx, w.rollout.Namespace, o.Ref)
		if _, unknown := errors.AsType[*errNotServed](err); unknown && o.Optional {
			return nil, nil
		}
		if found == nil || err != nil || o.Part != traffic.Makes || w.madeBeside(l.provider, found) {
			return found, err
		}
		l.taken = preflight.BesideTaken(o.Kind, o.Name)
		return nil, nil
	})
	return err
}

// madeBeside says whether a release of this Rollout made an object beside the team's: it controls it, or somebody has
// taken that off one that leads to the new pods of the release under way, which nobody else's does.
func (w *world) madeBeside(p traffic.Provider, b *unstructured.Unstructured) bool {
	if w.ours(b) || w.active() == nil || metav1.GetControllerOf(b) != nil {
		return w.ours(b)
	}
	return slices.ContainsFunc(w.services, func(s *service) bool {
		return s.twin != nil && w.madeTwin(s.twin) && leads(p, b, s.twin.Name)
	})
}

// leads says whether an object of a layer sends requests to a Service.
func leads(p traffic.Provider, object *unstructured.Unstructured, service string) bool {
	return slices.ContainsFunc(p.Targets(object), func(t traffic.Target) bool { return t.Service == service })
}

// ending says whether a release takes back what it has added, and adds nothing more: what it would need to go on is no
// trouble any longer.
func (w *world) ending() bool {
	rel := w.active()
	return rel != nil && (rel.Status.Phase == v1alpha1.ReleaseCompleting || rel.Status.Phase == v1alpha1.ReleaseAborting)
}

// object reads a traffic object, and has its kind watched from then on. It returns nil if there is none.
func (r *Reconciler) object(ctx context.Context, namespace string, of traffic.Ref) (*unstructured.Unstructured, error) {
	if err := r.Watch(of.GroupVersionKind); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, &errNotServed{of}
		}
		return nil, fmt.Errorf("watch %s: %w", of.Kind, err)
	}
	u := untyped(of.GroupVersionKind)
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: of.Name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", of.Kind, namespace, of.Name, err)
	}
	return u, nil
}

// backends are the Services in front of the workload, as layers look for them. Only a twin of our own counts as the
// canary's.
func (w *world) backends() []traffic.Backend {
	out := make([]traffic.Backend, 0, len(w.services))
	for _, s := range w.services {
		b := traffic.Twins(s.object.Name, w.twinName(s.object.Name))
		b.Stable.Labels = s.object.Spec.Selector
		if s.twin != nil && w.madeTwin(s.twin) {
			b.Canary.Labels = s.twin.Spec.Selector
		}
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
		if o == l || o.field != l.field {
			continue
		}
		if team := traffic.Team(o.provider, o.world); len(team) > 0 {
			seen.Parties = append(seen.Parties, traffic.Party{Objects: team, Backends: o.world.Backends})
		}
	}
	return seen
}

// propagation is the longest time that one of the layers may take to learn of a canary's first endpoints.
func (w *world) propagation() time.Duration {
	var longest time.Duration
	for _, l := range w.layers {
		longest = max(longest, l.provider.Needs().Propagation)
	}
	return longest
}

func (l *layer) observed() release.Layer {
	// A layer that leads to none of the workload's Services, and never did or no longer does, has nothing to follow.
	leadsNowhere := len(l.world.Backends) == 0 || len(traffic.Missing(l.provider, l.world)) > 0
	accepted := l.state.Accepted || !l.state.Routed && leadsNowhere
	return release.Layer{
		Name: l.name, Routed: l.state.Routed, Held: l.world.Held(),
		Weight: l.state.Weight, Matches: l.state.Matches, Version: l.state.Version,
		Settled: accepted, Settle: l.settle, Problem: l.state.Problem,
	}
}

// settleOf is how long a layer is given to follow a change: what the Rollout says, or what the layer needs.
func settleOf(named translate.Layer, needs traffic.Needs, seen traffic.State) time.Duration {
	switch {
	case named.Settle != nil:
		return named.Settle.Duration
	case seen.Settle > 0:
		return seen.Settle
	}
	return needs.Settle
}

// leadsTo says whether the layer's objects send requests to a Service.
func (l *layer) leadsTo(service string) bool { return traffic.LeadsTo(l.provider, l.world, service) }

// part is what the layer does with one of its objects; empty if it is none.
func (l *layer) part(of traffic.Ref) traffic.Part {
	for _, o := range l.provider.Objects(l.world) {
		if o.Ref == of {
			return o.Part
		}
	}
	return ""
}

// kindsOf are the kinds of the team's objects of a layer.
func kindsOf(p traffic.Provider) []schema.GroupVersionKind {
	var out []schema.GroupVersionKind
	for _, o := range traffic.Kinds(p) {
		if o.Part != traffic.Makes && !slices.Contains(out, o.GroupVersionKind) {
			out = append(out, o.GroupVersionKind)
		}
	}
	return out
}
