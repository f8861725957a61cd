package cli

import (
	"context"
	"fmt"
	"slices"

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
	// provider and route, if they are known.
	provider traffic.Provider
	route    *unstructured.Unstructured
}

func (l layer) leadsTo(service string) bool {
	return l.provider != nil && traffic.LeadsTo(l.provider, l.route, service)
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
	if s.layers == nil {
		return nil
	}
	provider, name := s.layers(t)
	if provider == nil {
		return nil
	}
	w := traffic.World{Rollout: v.rollout.Name, Now: s.now()}
	kind := provider.Kind()
	var err error
	if w.Route, err = routeOf(ctx, s.routes, kind, v.rollout.Namespace, name); err != nil {
		if sayNotInstalled(err) != "" {
			return fmt.Errorf("the cluster does not know %ss (%s)", kind.Kind, kind.GroupVersion())
		}
		return err
	}
	l.provider, l.route = provider, w.Route
	if w.Backends, err = s.backends(ctx, v); err != nil {
		return err
	}
	if err := s.readOurs(ctx, v, provider, name, &w); err != nil {
		return err
	}
	l.on, l.state = layerText(provider.Read(w))
	return nil
}

// readOurs reads what the release has added to a layer.
func (s sources) readOurs(ctx context.Context, v *view, provider traffic.Provider, name string, w *traffic.World) error {
	if v.release == nil {
		return nil
	}
	if beside := provider.BesideName(name, v.rollout.Name); beside != "" {
		found, err := routeOf(ctx, s.routes, provider.Kind(), v.rollout.Namespace, beside)
		switch {
		case err == nil && metav1.IsControlledBy(found, v.release):
			w.Beside = found
		case err != nil && !missing(err):
			return err
		}
	}
	return s.readHold(ctx, v, provider, name, w)
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
	services, err := servicesOf(ctx, s.routes, v.workload)
	if err != nil {
		return nil, err
	}
	divided, _ := byRule(services, rules)
	return backendsOf(divided, suffix), nil
}

// readHold reads which releases have a share in the team's object.
func (s sources) readHold(ctx context.Context, v *view, provider traffic.Provider, name string, w *traffic.World) error {
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(v.rollout.Namespace)); err != nil {
		return err
	}
	kind := provider.Kind()
	i := slices.IndexFunc(holds.Items, func(h v1alpha1.Hold) bool {
		return h.Spec.Target.Name == name && h.Spec.Target.Kind == kind.Kind && h.Spec.Target.APIVersion == kind.GroupVersion().String()
	})
	if i < 0 {
		return nil
	}
	var err error
	if w.Original, err = translate.Original(&holds.Items[i]); err != nil {
		return err
	}
	for _, share := range holds.Items[i].Spec.Shares {
		if share.UID == string(v.release.UID) {
			w.Held, w.Matches, w.Backends = true, translate.Matches(share.Match), translate.Backends(share)
		} else {
			w.Parties = append(w.Parties, translate.Party(share))
		}
	}
	return nil
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
