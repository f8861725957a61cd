package rollout

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// twinName is the name of the canary Service beside a Service of the team's, in the release under way or in the next.
func (w *world) twinName(service string) string {
	return canaryServiceOf(w.active(), service)
}

// canaryServiceOf is the same in this release, or in the next where rel is nil.
func canaryServiceOf(rel *v1alpha1.Release, service string) string {
	if rel == nil {
		return naming.CanaryService(service, naming.PlainSuffix)
	}
	return naming.CanaryService(service, rel.Spec.CanarySuffix)
}

// madeTwin says whether a release of this Rollout made a Service: it controls it, or somebody has taken that off one that
// still selects the new pods of the release under way, which nobody else's does.
func (w *world) madeTwin(s *corev1.Service) bool {
	rel := w.active()
	return w.ours(s) || rel != nil && rel.Spec.To.PodTemplateHash != "" && metav1.GetControllerOf(s) == nil &&
		s.Spec.Selector[v1alpha1.LabelPodTemplateHash] == rel.Spec.To.PodTemplateHash
}

// suffixOf is the suffix for a release of this number. Where sessions stay where they are by a cookie that names the
// Service, each release has a Service of its own: else whoever was sent to the new version of an earlier release would go
// straight to this one's, whatever its weight.
func (w *world) suffixOf(number int64) string {
	if slices.ContainsFunc(w.layers, (*layer).sticky) || slices.ContainsFunc(w.services, (*service).sticky) {
		return fmt.Sprintf("%s-%d", naming.PlainSuffix, number)
	}
	return naming.PlainSuffix
}

func (l *layer) sticky() bool {
	s, ok := l.provider.(traffic.Sticky)
	return ok && s.Sticky(l.world)
}

// sticky says whether annotations of the Service ask a gateway for sticky sessions, as Traefik's do
// (traefik.ingress.kubernetes.io/service.sticky.cookie).
func (s *service) sticky() bool {
	for key, value := range s.object.Annotations {
		_, name, _ := strings.Cut(key, "/")
		if value != "false" && (strings.Contains(name, "sticky") || strings.Contains(name, "affinity")) {
			return true
		}
	}
	return false
}

// twinTouched says whether a decision does something about the twin of a Service itself.
func twinTouched(actions []release.Action, service string) bool {
	return slices.ContainsFunc(actions, func(a release.Action) bool {
		switch a := a.(type) {
		case release.EnsureCanaryService:
			return a.Service == service
		case release.RemoveCanaryService:
			return a.Service == service
		default:
			return false
		}
	})
}

// without is what a map has and the other has not, or has otherwise.
func without(m, other map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		if has, ok := other[k]; !ok || has != v {
			out[k] = v
		}
	}
	return out
}
