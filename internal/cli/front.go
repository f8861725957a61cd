package cli

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// front is a Service in front of the workload that gets no step, since no traffic layer leads to it.
type front struct {
	// name is "service/shop-lb (LoadBalancer)"; fate says where its requests go in a release.
	name, fate string
}

// frontsOf are the Services that none of the layers leads to.
func frontsOf(services []corev1.Service, layers []layer, rules []v1alpha1.ServiceRule) []front {
	var out []front
	for _, s := range services {
		routed := slices.ContainsFunc(layers, func(l layer) bool { return l.leadsTo(s.Name) })
		f := front{name: "service/" + s.Name, fate: "no layer leads to it: all its requests go to stable until the release completes"}
		if translate.Leaves(rules, s.Name) {
			f.fate = "left as it is: leads to both revisions"
		}
		if kind := kindOfService(&s); kind != "" {
			f.name += fmt.Sprintf(" (%s)", kind)
		}
		if !routed {
			out = append(out, f)
		}
	}
	return out
}

// kindOfService tells of what makes a Service a door of its own.
func kindOfService(s *corev1.Service) string {
	switch {
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return "headless"
	case s.Spec.Type == corev1.ServiceTypeClusterIP:
		return ""
	}
	return string(s.Spec.Type)
}

// addFronts tells of the Services that get no step, while a release is under way that has layers.
func (s sources) addFronts(ctx context.Context, v *view) {
	if !v.underWay() || v.workload == nil || translate.Divide(v.release.Spec.Plan.Traffic) != release.ByLayers {
		return
	}
	if slices.ContainsFunc(v.layers, func(l layer) bool { return l.provider == nil }) {
		return // It is told of with the layer, and what leads where is not known.
	}
	services, err := servicesOf(ctx, s.routes, v.workload)
	if err != nil {
		v.skip("services", err)
		return
	}
	v.fronts = frontsOf(services, v.layers, v.release.Spec.Plan.Services)
}

// byRule parts the Services that a release divides from those that it leaves as they are.
func byRule(services []corev1.Service, rules []v1alpha1.ServiceRule) (divided, left []corev1.Service) {
	for _, s := range services {
		if translate.Leaves(rules, s.Name) {
			left = append(left, s)
		} else {
			divided = append(divided, s)
		}
	}
	return divided, left
}

func serviceNames(services []corev1.Service) []string {
	var out []string
	for _, s := range services {
		out = append(out, s.Name)
	}
	return out
}

// checkFronts tells which Services get no step, and refuses to leave one as it is that a layer leads to.
func (w *surroundings) checkFronts(r *v1alpha1.Rollout, all []corev1.Service) {
	var layers []layer
	for i := range r.Spec.Traffic {
		if l, known := w.layers[i]; known {
			layers = append(layers, l)
		}
	}
	for _, s := range all {
		for _, l := range layers {
			if translate.Leaves(r.Spec.Services, s.Name) && l.leadsTo(s.Name) {
				w.refuse("%s: %s", preflight.Field(r.Spec.Services, s.Name), preflight.LeftRouted(s.Name, l.name))
			}
		}
	}
	if len(layers) == 0 || len(layers) < len(r.Spec.Traffic) {
		return // There are no layers, or it is not known where they lead.
	}
	for _, f := range frontsOf(all, layers, r.Spec.Services) {
		w.note("%s: %s", f.name, f.fate)
	}
	for _, rule := range r.Spec.Services {
		if !slices.Contains(serviceNames(all), rule.Name) {
			w.note("%s: no service/%s leads to deployment/%s now; one that comes is left as it is", preflight.Field(r.Spec.Services, rule.Name), rule.Name, r.Spec.Workload.Name)
		}
	}
}
