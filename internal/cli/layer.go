package cli

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

// layer is one traffic layer with its objects.
type layer struct {
	name string
	// provider and the world that it is asked about, if they are known.
	provider traffic.Provider
	world    traffic.World
}

func (l layer) leadsTo(service string) bool {
	return l.provider != nil && traffic.LeadsTo(l.provider, l.world, service)
}

// addTraffic reads the routes where the status does not tell what they do, and the Services in front of the workload.
// During a release the controller writes into the status what it reads there, so a user needs no right to the routes.
func (s sources) addTraffic(ctx context.Context, o *view.Objects) {
	var read []layer
	if !o.LayersTold() {
		read = s.readLayers(ctx, o)
	}
	if !o.WantsServices() {
		return
	}
	services, err := servicesOf(ctx, s.routes, o.Workload)
	if err != nil {
		skip(o, "services", err)
		return
	}
	o.Services = services
	for i, l := range read {
		for _, service := range services {
			if l.leadsTo(service.Name) {
				o.Layers[i].Leads = append(o.Layers[i].Leads, service.Name)
			}
		}
	}
}

func (s sources) readLayers(ctx context.Context, o *view.Objects) []layer {
	var out []layer
	for _, t := range o.Traffic() {
		l := layer{name: translate.LayerOf(t).String(), provider: s.layers.Of(t)}
		shown := view.UnknownLayer(l.name)
		if l.provider != nil {
			state, err := s.readLayer(ctx, o, &l)
			if err != nil {
				skip(o, l.name, err)
			} else {
				shown = view.ReadLayer(l.name, state)
			}
			shown.Unclear = l.world.Objects == nil
		}
		out, o.Layers = append(out, l), append(o.Layers, shown)
	}
	return out
}

// readLayer asks the layer's provider, which is what the controller does.
func (s sources) readLayer(ctx context.Context, o *view.Objects, l *layer) (traffic.State, error) {
	w := traffic.World{Rollout: o.Rollout.Name, Now: s.now(), Holds: map[traffic.Ref]traffic.Hold{}}
	w, err := traffic.Look(l.provider, w, func(of traffic.Object) (*unstructured.Unstructured, error) {
		return s.readObject(ctx, o, of)
	})
	if err != nil {
		return traffic.State{}, err
	}
	l.world = w // Where one of the next reads fails, what the objects lead to is known all the same.
	if w.Backends, err = s.backends(ctx, o); err != nil {
		return traffic.State{}, err
	}
	if err := s.readHolds(ctx, o, l.provider, &w); err != nil {
		return traffic.State{}, err
	}
	l.world = w
	return l.provider.Read(w), nil
}

// readObject reads one of a layer's objects. One that Sluice makes counts only if the release has made it: an object
// of that name may be the team's, or left over from another release. Nil without an error means that it is not there.
func (s sources) readObject(
	ctx context.Context, o *view.Objects, of traffic.Object,
) (*unstructured.Unstructured, error) {
	if of.Part == traffic.Makes && o.Release == nil {
		return nil, nil
	}
	found, err := objectOf(ctx, s.routes, o.Rollout.Namespace, of.Ref)
	switch {
	case of.Optional && apierrors.IsNotFound(err): // It, or its kind.
		return nil, nil
	case err != nil && sayNotInstalled(err) != "":
		return nil, fmt.Errorf("the cluster does not know %ss (%s)", of.Kind, of.GroupVersion())
	case of.Part != traffic.Makes || err != nil && !missing(err):
		return found, err
	case err != nil || !metav1.IsControlledBy(found, o.Release):
		return nil, nil
	}
	return found, nil
}

// backends are the workload's Services with their canary Services. A release under way goes by the rules and the
// names in its own frozen plan, which the Rollout may no longer have.
func (s sources) backends(ctx context.Context, o *view.Objects) ([]traffic.Backend, error) {
	if o.Workload == nil {
		return nil, nil
	}
	rules, twins := o.Rollout.Spec.Services, naming.Twins{}
	if o.UnderWay() {
		rules, twins = o.Release.Spec.Plan.Services, translate.Twins(o.Release)
	}
	all, err := allServices(ctx, s.routes, o.Workload.Namespace)
	if err != nil {
		return nil, err
	}
	divided, _ := byRule(inFront(all, o.Workload), rules)
	return backendsOf(divided, twins, all), nil
}

// readHolds reads which releases have a share in the team's objects.
func (s sources) readHolds(
	ctx context.Context, o *view.Objects, provider traffic.Provider, w *traffic.World,
) error {
	if o.Release == nil {
		return nil
	}
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(o.Rollout.Namespace)); err != nil {
		return err
	}
	seen := w.Backends
	for _, of := range provider.Objects(*w) {
		i := slices.IndexFunc(holds.Items, func(h v1alpha1.Hold) bool { return h.Spec.Target == translate.Target(of.Ref) })
		if i < 0 || of.Part != traffic.Changes {
			continue
		}
		var own traffic.Hold
		var err error
		if own.Original, err = translate.Original(&holds.Items[i]); err != nil {
			return err
		}
		for _, share := range holds.Items[i].Spec.Shares {
			if share.UID == string(o.Release.UID) {
				own.Held, own.Matches = true, translate.Matches(share.Match)
				w.Backends = known(translate.Backends(share), seen)
			} else {
				w.Join(translate.Party(share, of.Ref))
			}
		}
		w.Holds[of.Ref] = own
	}
	return nil
}

// known are backends with what is seen of them, besides their names: a Hold records only the names, and a provider
// needs ports and labels as well.
func known(named, seen []traffic.Backend) []traffic.Backend {
	for i, n := range named {
		for _, b := range seen {
			if b.Stable.Service == n.Stable.Service && b.Canary.Service == n.Canary.Service {
				named[i] = b
			}
		}
	}
	return named
}
