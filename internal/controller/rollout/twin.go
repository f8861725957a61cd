package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// twinName is the name of the canary Service beside a Service of the team's, in the release under way or in the next.
func (w *world) twinName(service string) string {
	return translate.Twins(w.active()).Of(service)
}

// madeTwin says whether a release of this Rollout made a Service: it controls it, or somebody has taken that off one
// that still bears the release's name and selects its new pods.
func (w *world) madeTwin(s *corev1.Service) bool {
	rel := w.active()
	return w.ours(s) || rel != nil && rel.Spec.To.PodTemplateHash != "" && metav1.GetControllerOf(s) == nil &&
		s.Labels[v1alpha1.LabelRelease] == rel.Name && s.Spec.Selector[w.mark()] == rel.Spec.To.PodTemplateHash
}

// isTwin says whether a Service is one that a release has made beside another: by its owner, and by the end of its
// name, since whoever may edit Services can set an owner. The team's own Service may be gone, as after helm uninstall.
func (w *world) isTwin(s *corev1.Service) bool {
	if !w.madeTwin(s) {
		return false
	}
	suffix, owner := naming.PlainSuffix, metav1.GetControllerOf(s)
	for _, rel := range w.releases {
		made := owner == nil && rel == w.active() || owner != nil && owner.UID == rel.UID
		if made && rel.Spec.CanarySuffix != "" {
			suffix = rel.Spec.CanarySuffix
		}
		if made && rel.Spec.PreviewOf != "" && s.Name == rel.Spec.Plan.PreviewService {
			return true
		}
	}
	return strings.HasSuffix(s.Name, suffix)
}

// orphans are the twins and the Holds of Services that are gone. While a release is under way they stay: the team may
// make its Service anew.
func (r *Reconciler) orphans(ctx context.Context, w *world) (
	twins []*corev1.Service, holds []*v1alpha1.Hold, err error,
) {
	list := &corev1.ServiceList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("list Services: %w", err)
	}
	exists := func(is func(name string) bool) bool {
		return slices.ContainsFunc(list.Items, func(s corev1.Service) bool { return is(s.Name) })
	}
	for i := range list.Items {
		s := &list.Items[i]
		if w.isTwin(s) && s.DeletionTimestamp == nil &&
			!exists(func(name string) bool { return w.twinName(name) == s.Name }) {
			twins = append(twins, s.DeepCopy())
		}
	}
	for target, h := range w.holds {
		if target.Kind == "Service" && h.DeletionTimestamp == nil &&
			!exists(func(name string) bool { return name == target.Name }) {
			holds = append(holds, h)
		}
	}
	return twins, holds, nil
}

// removeOrphans removes them.
func (c *carrier) removeOrphans(ctx context.Context) error {
	twins, holds, err := c.r.orphans(ctx, c.w)
	if err != nil {
		return err
	}
	for _, s := range twins {
		c.r.firstReady.forget(s.UID)
		if err := c.write.Delete(ctx, s); err != nil {
			return err
		}
	}
	for _, h := range holds {
		if err := c.write.Delete(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// suffixOf is the suffix for a release of this number. Where sessions stay where they are by a cookie that names the
// Service, each release has a Service of its own: else whoever was sent to the new version of an earlier release would
// go straight to this one's, whatever its weight.
func (w *world) suffixOf(number int64) string {
	byLayer := slices.ContainsFunc(w.layers, func(l *layer) bool { return l.state.Sticky })
	if byLayer || slices.ContainsFunc(w.services, (*service).sticky) {
		return fmt.Sprintf("%s-%d", naming.PlainSuffix, number)
	}
	return naming.PlainSuffix
}

// previewOf is the Service beside which the next release makes its preview Service: the one that a layer leads to, or
// without layers the only one there is. It is empty where none is asked for, or the team has made it. The problem says
// why it cannot be told.
func (w *world) previewOf() (service, problem string) {
	name := w.plan.PreviewService
	if name == "" || w.service(name) != nil || w.cause() == v1alpha1.CauseRollback {
		return "", ""
	}
	var in []string
	for _, s := range w.services {
		if s.routed || len(w.layers) == 0 {
			in = append(in, s.object.Name)
		}
	}
	if len(in) == 1 {
		return in[0], ""
	}
	return "", preflight.NoPreviewOf(name, in)
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
