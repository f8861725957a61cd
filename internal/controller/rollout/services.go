package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file looks at the Services in front of the workload.

// service is one Service in front of the workload.
type service struct {
	object   *corev1.Service
	twin     *corev1.Service
	hold     *v1alpha1.Hold
	original map[string]string
	routed   bool
	// pods and twinPods are the ready endpoints by pod, with the names of the Service's ports that lead there.
	pods, twinPods map[string][]string
	// ready endpoints by the name of the part, foreign those of other workloads.
	ready     map[string]int
	twinReady map[string]int
	// portless are the ports that lead to some ready pods only, by the name of the part.
	portless map[string]string
	// readySince is when the twin was first seen to have a ready endpoint.
	readySince time.Time
	foreign    []string
	// kept: it was held to the pods that run just now, although no release is under way.
	kept bool
}

// observeTraffic reads Services, endpoints and routes. Only a release, and the check before one, needs them.
func (r *Reconciler) observeTraffic(ctx context.Context, w *world) error {
	if w.object == nil && w.active() == nil && len(w.holds) == 0 {
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
		s.routed = slices.ContainsFunc(w.layers, func(l *layer) bool { return l.leadsTo(s.object.Name) })
		r.countEndpoints(w, s)
		if s.routed && s.twin != nil && !w.madeTwin(s.twin) {
			w.trouble = preflight.TwinTaken(s.twin.Name, s.object.Name)
		}
	}
	w.checkUntouched()
	return nil
}

// checkUntouched refuses to leave a Service as it is that a layer leads to: its requests would be divided by number of
// pods.
func (w *world) checkUntouched() {
	if w.ending() {
		return
	}
	for _, l := range w.layers {
		for _, name := range w.untouched {
			if l.leadsTo(name) {
				w.trouble = preflight.Field(w.rules(), name) + ": " + preflight.LeftRouted(name, l.name)
			}
		}
	}
}

// observeServices reads the Services of the namespace, and sorts out which of them are in front of the workload. The
// cache's own objects are only read; what is kept is copied.
func (r *Reconciler) observeServices(ctx context.Context, w *world) error {
	list := &corev1.ServiceList{}
	// There may be thousands, of which one is copied below.
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list Services: %w", err)
	}
	for i := range list.Items {
		svc := &list.Items[i]
		if len(svc.Spec.Selector) == 0 || w.isTwin(svc) {
			continue
		}
		s := &service{object: svc, hold: w.holds[serviceTarget(svc.Name)]}
		s.original = w.originalSelector(s.hold, svc)
		if w.leaves(s, list.Items) {
			if selects(s.original, w.podLabels()) {
				w.untouched = append(w.untouched, svc.Name)
			}
			continue
		}
		if s.hold == nil && !selects(s.original, w.podLabels()) {
			if err := r.observeLost(ctx, w, svc); err != nil {
				return err
			}
			continue
		}
		s.object, s.original = svc.DeepCopy(), maps.Clone(s.original)
		if err := r.observeEndpoints(ctx, w, s); err != nil {
			return err
		}
		w.services = append(w.services, s)
	}
	slices.SortFunc(w.services, func(a, b *service) int { return strings.Compare(a.object.Name, b.object.Name) })
	r.fronts.note(client.ObjectKeyFromObject(w.rollout), w.services, w.leaving)
	return nil
}

// leaves says whether nothing is done with a Service. One that still has something of a release is given back first.
func (w *world) leaves(s *service, all []corev1.Service) bool {
	twinned := func(o corev1.Service) bool { return o.Name == w.twinName(s.object.Name) && w.madeTwin(&o) }
	return translate.Leaves(w.rules(), s.object.Name) &&
		s.hold == nil && maps.Equal(s.object.Spec.Selector, s.original) && !slices.ContainsFunc(all, twinned)
}

// observeLost sees Services that select none of the workload's template's pods: those that select the stable ones
// still, and those that were in front of the workload before and lead to nobody now.
func (r *Reconciler) observeLost(ctx context.Context, w *world, s *corev1.Service) error {
	if selects(s.Spec.Selector, w.track(w.seen.Stable).labels) {
		w.leaving = append(w.leaving, s.DeepCopy())
		return nil
	}
	if !r.fronts.behind(client.ObjectKeyFromObject(s), w.rollout.Name) {
		return nil
	}
	pods, err := r.endpoints(ctx, w, s.Name)
	if len(pods) == 0 && err == nil {
		w.lost = append(w.lost, s.DeepCopy())
	}
	return err
}

// podLabels are those of the workload's pods; of a workload that is gone, those of the pods that it has left.
func (w *world) podLabels() labels.Set {
	if w.object == nil && len(w.seen.Parts) > 0 {
		return w.seen.Parts[0].Template.Labels
	}
	return w.seen.Template.Labels
}

// observeEndpoints reads which pods are behind the Service, and behind its twin if there is one.
func (r *Reconciler) observeEndpoints(ctx context.Context, w *world, s *service) error {
	var err error
	if s.pods, err = r.endpoints(ctx, w, s.object.Name); err != nil {
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
	s.twinPods, err = r.endpoints(ctx, w, twin.Name)
	return err
}

// endpoints are a Service's ready endpoints by pod, with the names of the ports that lead there.
func (r *Reconciler) endpoints(ctx context.Context, w *world, name string) (map[string][]string, error) {
	list := &discoveryv1.EndpointSliceList{}
	err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexService: name})
	if err != nil {
		return nil, fmt.Errorf("list EndpointSlices of Service %s: %w", name, err)
	}
	pods := map[string][]string{}
	for i := range list.Items {
		for _, e := range list.Items[i].Endpoints {
			// The API's rule: a readiness that is not known counts as ready. An endpoint without a target was written by
			// hand and leads to no pod of ours.
			if e.TargetRef == nil || e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			// A Service may have several slices, and a pod may stand in more than one of them.
			ports := pods[e.TargetRef.Name]
			for _, p := range list.Items[i].Ports {
				ports = append(ports, ptr.Deref(p.Name, ""))
			}
			pods[e.TargetRef.Name] = ports
		}
	}
	return pods, nil
}

// countEndpoints counts a Service's ready endpoints by part, and names those that are of no part of ours. A
// pod counts only if the ports that requests are sent to lead to it.
func (r *Reconciler) countEndpoints(w *world, s *service) {
	asked := w.portsAsked(s)
	s.ready, s.portless, s.foreign = w.countPods(s.pods, asked)
	if s.twin == nil {
		return
	}
	s.twinReady, _, _ = w.countPods(s.twinPods, asked)
	s.readySince = r.firstReady.since(s.twin.UID, len(s.twinReady) > 0, w.now)
}

// countPods counts the ready pods by part. A pod without one of the asked ports is not counted: a request to that port
// would fail there.
func (w *world) countPods(pods map[string][]string, asked []string) (ready map[string]int, portless map[string]string,
	foreign []string,
) {
	ready, portless = map[string]int{}, map[string]string{}
	for pod, ports := range pods {
		i := slices.IndexFunc(w.seen.Parts, func(p workload.Part) bool { return p.Runs(pod) })
		switch missing := missingPort(asked, ports); {
		case i < 0:
			foreign = append(foreign, pod)
		case missing != "":
			portless[w.seen.Parts[i].Name()] = missing
		default:
			ready[w.seen.Parts[i].Name()]++
		}
	}
	slices.Sort(foreign)
	return ready, portless, foreign
}

// turned says whether a Service leads to the new revision.
func (w *world) turned() bool {
	_, canary := w.hashes()
	return slices.ContainsFunc(w.services, func(s *service) bool {
		return canary != "" && s.object.Spec.Selector[w.mark()] == canary
	})
}

func (s *service) observed(w *world) release.Service {
	stable, canary := w.track(w.seen.Stable), w.trackOf(release.SelectsCanary)
	name, preview, previewOf := s.object.Name, "", ""
	if rel := w.active(); rel != nil {
		preview, previewOf = rel.Spec.Plan.PreviewService, rel.Spec.PreviewOf
	}
	out := release.Service{
		Name: name, Held: s.hold != nil && w.holdsNow(s.hold), Selects: s.selects(w),
		Routed: s.routed || name == previewOf, Preview: name == preview && previewOf == "",
		ReadyStable: s.ready[w.seen.Stable.Name()], ReadyCanary: s.ready[w.seen.Canary.Name()],
		MissesStable: stable.misses(s.original), MissesCanary: canary.misses(s.original),
		Own:     labels.FormatLabels(s.original),
		Problem: s.problem(w),
	}
	// One that is to go and is kept by somebody's finalizer harms nobody: no layer leads to it.
	kept := s.twin != nil && s.twin.DeletionTimestamp != nil && w.ending()
	if s.twin != nil && canary.hash != "" && w.madeTwin(s.twin) && !kept {
		of := s.twin.Spec.Selector
		out.CanaryExists = of[canary.mark] == canary.hash &&
			(canary.labels == nil || maps.Equal(of, canary.narrow(s.original)))
		out.CanaryReady = s.twinReady[w.seen.Canary.Name()]
	}
	return out
}

func serviceTarget(name string) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: "v1", Kind: "Service", Name: name}
}
