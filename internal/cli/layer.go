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
)

// layer is one traffic layer as its objects show it.
type layer struct {
	name, state string
	// on: requests go to the canary through it.
	on bool
	// provider and the world that it is asked about, if they are known.
	provider traffic.Provider
	world    traffic.World
}

func (l layer) leadsTo(service string) bool {
	return l.provider != nil && traffic.LeadsTo(l.provider, l.world, service)
}

const noCanaryRoute = "all requests to the Service, no canary route"

func (s sources) addLayers(ctx context.Context, v *view) {
	entries := v.rollout.Spec.Traffic
	if v.underWay() {
		entries = v.release.Spec.Plan.Traffic
	}
	for _, t := range entries {
		l := layer{name: translate.LayerOf(t).String()}
		if err := s.readLayer(ctx, v, t, &l); err != nil {
			v.skip(l.name, err)
		}
		v.layers = append(v.layers, l)
	}
	if len(entries) == 0 {
		v.layers = append(v.layers, layer{name: "pods", state: "requests are shared by the pods behind the Service"})
	}
}

// readLayer asks the layer's provider, which is what the controller does.
func (s sources) readLayer(ctx context.Context, v *view, t v1alpha1.TrafficLayer, l *layer) error {
	provider := s.layers.Of(t)
	if provider == nil {
		return nil
	}
	w := traffic.World{Rollout: v.rollout.Name, Now: s.now(), Holds: map[traffic.Ref]traffic.Hold{}}
	w, err := traffic.Look(provider, w, func(o traffic.Object) (*unstructured.Unstructured, error) {
		return s.readObject(ctx, v, o)
	})
	if err != nil {
		return err
	}
	l.provider, l.world = provider, w
	if w.Backends, err = s.backends(ctx, v); err != nil {
		return err
	}
	if err := s.readHolds(ctx, v, provider, &w); err != nil {
		return err
	}
	l.world = w
	l.on, l.state = layerText(provider.Read(w))
	return nil
}

// readObject reads one of a layer's objects. One that Sluice makes counts only if the release has made it.
func (s sources) readObject(ctx context.Context, v *view, o traffic.Object) (*unstructured.Unstructured, error) {
	if o.Part == traffic.Makes && v.release == nil {
		return nil, nil
	}
	found, err := objectOf(ctx, s.routes, v.rollout.Namespace, o.Ref)
	switch {
	case o.Optional && apierrors.IsNotFound(err): // It, or its kind.
		return nil, nil
	case err != nil && sayNotInstalled(err) != "":
		return nil, fmt.Errorf("the cluster does not know %ss (%s)", o.Kind, o.GroupVersion())
	case o.Part != traffic.Makes || err != nil && !missing(err):
		return found, err
	case err != nil || !metav1.IsControlledBy(found, v.release):
		return nil, nil
	}
	return found, nil
}

// backends are the workload's Services with their canary Services.
func (s sources) backends(ctx context.Context, v *view) ([]traffic.Backend, error) {
	if v.workload == nil {
		return nil, nil
	}
	rules, suffix := v.rollout.Spec.Services, naming.PlainSuffix
	if v.underWay() {
		rules, suffix = v.release.Spec.Plan.Services, v.release.Spec.CanarySuffix
	}
	all, err := allServices(ctx, s.routes, v.workload.Namespace)
	if err != nil {
		return nil, err
	}
	divided, _ := byRule(inFront(all, v.workload), rules)
	return backendsOf(divided, suffix, all), nil
}

// readHolds reads which releases have a share in the team's objects.
func (s sources) readHolds(ctx context.Context, v *view, provider traffic.Provider, w *traffic.World) error {
	if v.release == nil {
		return nil
	}
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(v.rollout.Namespace)); err != nil {
		return err
	}
	seen := w.Backends
	for _, o := range provider.Objects(*w) {
		i := slices.IndexFunc(holds.Items, func(h v1alpha1.Hold) bool { return h.Spec.Target == translate.Target(o.Ref) })
		if i < 0 || o.Part != traffic.Changes {
			continue
		}
		var own traffic.Hold
		var err error
		if own.Original, err = translate.Original(&holds.Items[i]); err != nil {
			return err
		}
		for _, share := range holds.Items[i].Spec.Shares {
			if share.UID == string(v.release.UID) {
				own.Held, own.Matches = true, translate.Matches(share.Match)
				w.Backends = known(translate.Backends(share), seen)
			} else {
				w.Join(translate.Party(share, o.Ref))
			}
		}
		w.Holds[o.Ref] = own
	}
	return nil
}

// known are backends with what is seen of them, besides their names.
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

// layerText says what a layer does.
func layerText(state traffic.State) (on bool, text string) {
	text = noCanaryRoute
	if state.Routed {
		text = fmt.Sprintf("%d%%", state.Weight)
		if match := matchText(translate.RequestMatches(state.Matches)); match != "" {
			text += " " + match
		}
		text += " to the canary"
	}
	if state.Problem != "" {
		text += "; " + state.Problem
	}
	return state.Routed, text
}
