package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// This file looks at the Services in front of the workload.

// service is one Service in front of the workload.
type service struct {
	object   *corev1.Service
	twin     *corev1.Service
	hold     *v1alpha1.Hold
	original map[string]string
	routed   bool
	// ready endpoints by ReplicaSet name, foreign those of other workloads.
	ready     map[string]int
	twinReady map[string]int
	// readySince is when the twin was first seen to have a ready endpoint.
	readySince time.Time
	foreign    []string
}

// observeTraffic reads Services, endpoints and routes. Only a release, and the check before one, needs them.
func (r *Reconciler) observeTraffic(ctx context.Context, w *world) error {
	if w.deploy == nil && w.active() == nil || len(w.traffic()) == 0 {
		return nil
	}
	if err := r.observeServices(ctx, w); err != nil {
		return err
	}
	for _, t := range w.traffic() {
		l, err := r.observeLayer(ctx, w, t)
		if err != nil {
			return err
		}
		if l != nil {
			w.layers = append(w.layers, l)
		}
	}
	for _, s := range w.services {
		s.routed = slices.ContainsFunc(w.layers, func(l *layer) bool { return l.mentions(s.object.Name) })
		if s.routed && s.twin != nil && !w.ours(s.twin) {
			w.trouble = preflight.TwinTaken(s.twin.Name, s.object.Name)
		}
	}
	return nil
}

func (r *Reconciler) observeServices(ctx context.Context, w *world) error {
	list := &corev1.ServiceList{}
	// There may be thousands, of which one is copied below.
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	for i := range list.Items {
		svc := &list.Items[i]
		if len(svc.Spec.Selector) == 0 || w.isTwin(svc, list.Items) {
			continue
		}
		s := &service{object: svc, hold: w.holds[serviceTarget(svc.Name)]}
		s.original = w.originalSelector(s.hold, svc.Spec.Selector)
		if s.hold == nil && !labels.SelectorFromSet(s.original).Matches(w.podLabels()) {
			continue
		}
		s.object, s.original = svc.DeepCopy(), maps.Clone(s.original)
		if err := r.observeEndpoints(ctx, w, s); err != nil {
			return err
		}
		w.services = append(w.services, s)
	}
	slices.SortFunc(w.services, func(a, b *service) int { return strings.Compare(a.object.Name, b.object.Name) })
	return nil
}

// isTwin says whether a Service is one that a release has made beside another: by its owner and by its name. Whoever may
// edit Services can set an owner; then the name still says of which Service it would be the twin.
func (w *world) isTwin(s *corev1.Service, all []corev1.Service) bool {
	return w.ours(s) && slices.ContainsFunc(all, func(o corev1.Service) bool { return w.twinName(o.Name) == s.Name })
}

// podLabels are those of the workload's pods; of a workload that is gone, those of the pods that it has left.
func (w *world) podLabels() labels.Set {
	if w.deploy == nil && len(w.sets) > 0 {
		return deployment.TemplateOf(w.sets[0]).Labels
	}
	return w.template.Labels
}

// originalSelector is the team's own selector of a Service: the Hold's, or, when the team has edited the Service since
// or somebody has removed the Hold, what it is now without our mark.
func (w *world) originalSelector(h *v1alpha1.Hold, current map[string]string) map[string]string {
	mark := current[v1alpha1.LabelPodTemplateHash]
	if h == nil && mark == "" {
		return current // As are nearly all Services of a namespace.
	}
	stable, canary := w.hashes()
	if h == nil {
		if mark == stable || mark == canary {
			return narrowed(current, "")
		}
		return current
	}
	var o struct {
		Selector map[string]string `json:"selector"`
	}
	if h.Spec.Original == nil || json.Unmarshal(h.Spec.Original.Raw, &o) != nil || o.Selector == nil {
		return narrowed(current, "")
	}
	for _, hash := range []string{"", stable, canary} {
		if equalSelectors(current, narrowed(o.Selector, hash)) {
			return o.Selector
		}
	}
	return narrowed(current, "")
}

func (r *Reconciler) observeEndpoints(ctx context.Context, w *world, s *service) error {
	var err error
	if s.ready, s.foreign, err = r.endpoints(ctx, w, s.object.Name); err != nil {
		return err
	}
	twin := &corev1.Service{}
	key := types.NamespacedName{Namespace: s.object.Namespace, Name: w.twinName(s.object.Name)}
	switch err := r.Kube.Get(ctx, key, twin); {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read Service %s: %w", key, err)
	}
	s.twin = twin
	if s.twinReady, _, err = r.endpoints(ctx, w, twin.Name); err != nil {
		return err
	}
	s.readySince = r.firstReady.since(twin.UID, len(s.twinReady) > 0, w.now)
	return nil
}

// endpoints counts a Service's ready endpoints by ReplicaSet, and names those that are of no ReplicaSet of ours.
func (r *Reconciler) endpoints(ctx context.Context, w *world, name string) (map[string]int, []string, error) {
	list := &discoveryv1.EndpointSliceList{}
	err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexService: name})
	if err != nil {
		return nil, nil, fmt.Errorf("list EndpointSlices of Service %s: %w", name, err)
	}
	pods := map[string]bool{}
	for i := range list.Items {
		for _, e := range list.Items[i].Endpoints {
			if e.TargetRef != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				pods[e.TargetRef.Name] = true
			}
		}
	}
	ready := map[string]int{}
	var foreign []string
	for pod := range pods {
		i := slices.IndexFunc(w.sets, func(rs *unstructured.Unstructured) bool { return deployment.Names(rs, pod) })
		if i >= 0 {
			ready[w.sets[i].GetName()]++
		} else {
			foreign = append(foreign, pod)
		}
	}
	slices.Sort(foreign)
	return ready, foreign, nil
}

// turned says whether a Service leads to the new revision.
func (w *world) turned() bool {
	_, canary := w.hashes()
	return slices.ContainsFunc(w.services, func(s *service) bool {
		return canary != "" && s.object.Spec.Selector[v1alpha1.LabelPodTemplateHash] == canary
	})
}

func (s *service) observed(w *world) release.Service {
	stable, canary := w.hashes()
	out := release.Service{
		Name: s.object.Name, Held: s.hold != nil, Routed: s.routed, Selects: release.SelectsAll,
		ReadyStable: s.ready[nameOf(w.stable())], ReadyCanary: s.ready[nameOf(w.canary())],
	}
	switch s.object.Spec.Selector[v1alpha1.LabelPodTemplateHash] {
	case "":
	case stable:
		out.Selects = release.SelectsStable
	case canary:
		out.Selects = release.SelectsCanary
	}
	if s.twin != nil && canary != "" && w.ours(s.twin) {
		out.CanaryExists = s.twin.Spec.Selector[v1alpha1.LabelPodTemplateHash] == canary
		out.CanaryReady = s.twinReady[nameOf(w.canary())]
	}
	return out
}

func serviceTarget(name string) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: "v1", Kind: "Service", Name: name}
}

// narrowed is a selector with our mark set to hash, or, with an empty hash, taken off.
func narrowed(selector map[string]string, hash string) map[string]string {
	out := make(map[string]string, len(selector)+1)
	for k, v := range selector {
		if k != v1alpha1.LabelPodTemplateHash {
			out[k] = v
		}
	}
	if hash != "" {
		out[v1alpha1.LabelPodTemplateHash] = hash
	}
	return out
}

func equalSelectors(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}
