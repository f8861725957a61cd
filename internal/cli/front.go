package cli

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

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
	leads := func(service string) bool {
		return slices.ContainsFunc(layers, func(l layer) bool { return l.leadsTo(service) })
	}
	for _, f := range view.Fronts(all, leads, r.Spec.Services) {
		w.note("%s: %s", f.Name, f.Fate)
	}
	for _, rule := range r.Spec.Services {
		if !slices.Contains(serviceNames(all), rule.Name) {
			w.note("%s: no service/%s leads to deployment/%s now; one that comes is left as it is",
				preflight.Field(r.Spec.Services, rule.Name), rule.Name, r.Spec.Workload.Name)
		}
	}
}
