package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// world is what one reconcile sees of one Rollout.
type world struct {
	now     time.Time
	rollout *v1alpha1.Rollout
	// deploy is the workload, nil if there is none.
	deploy   *unstructured.Unstructured
	template deployment.Template
	// sets are the ReplicaSets of the workload and of its releases.
	sets []*unstructured.Unstructured
	// releases of the Rollout, newest first; taken is the highest number of one that is another's.
	releases []*v1alpha1.Release
	taken    int64
	// settled is the last revision that was released.
	settled *v1alpha1.Revision
	// decisions that have no outcome yet, oldest first.
	decisions []*v1alpha1.Decision
	holds     map[v1alpha1.HoldTarget]*v1alpha1.Hold
	services  []*service
	layers    []*layer
	// runs are the analyses of the release under way; shut is the release window that is shut.
	runs []*v1alpha1.AnalysisRun
	shut release.Shut
	// plan is what the next release would follow, its templates frozen; empty until it was checked.
	plan v1alpha1.ReleasePlan
	// trouble is what no waiting mends.
	trouble string
	// abandoned: the Rollout went by force, while its release was under way; rollout stands in for it.
	abandoned bool
	// keptPaused: without an admission policy the workload stays paused, released or not.
	keptPaused bool
}

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

// layer is one traffic layer.
type layer struct {
	name     string
	settle   time.Duration
	provider traffic.Provider
	// propagation is how long the layer may take to learn of a canary's first endpoints.
	propagation time.Duration
	world       traffic.World
	hold        *v1alpha1.Hold
	state       traffic.State
}

// active is the release under way, or nil.
func (w *world) active() *v1alpha1.Release {
	if len(w.releases) > 0 && !w.releases[0].Status.Phase.Terminal() {
		return w.releases[0]
	}
	return nil
}

// latest is the newest release, or nil.
func (w *world) latest() *v1alpha1.Release {
	if len(w.releases) > 0 {
		return w.releases[0]
	}
	return nil
}

// observe reads everything that concerns one Rollout. It returns nil when the Rollout is gone.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName) (*world, error) {
	w := &world{now: r.Now(), keptPaused: r.keepsPaused(), rollout: &v1alpha1.Rollout{}, holds: map[v1alpha1.HoldTarget]*v1alpha1.Hold{}}
	switch err := r.Kube.Get(ctx, key, w.rollout); {
	case apierrors.IsNotFound(err):
		if w.rollout, err = r.standIn(ctx, key, w.now); w.rollout == nil || err != nil {
			return nil, err
		}
		w.abandoned = true
	case err != nil:
		return nil, fmt.Errorf("read Rollout %s: %w", key, err)
	}
	steps := []func(context.Context, *world) error{r.observeWorkload, r.observeReleases, r.observeDecisions, r.observeHolds, r.observeRuns, r.observeWindows}
	for _, step := range steps {
		if err := step(ctx, w); err != nil {
			return nil, err
		}
	}
	w.settled = w.lastReleased()
	w.forgetReplaced()
	return w, nil
}

// standIn is what a release under way needs of a Rollout that somebody removed by force, finalizer and all: the release
// is then taken back as if the Rollout were being removed properly. It is nil where there is no such release.
func (r *Reconciler) standIn(ctx context.Context, key types.NamespacedName, now time.Time) (*v1alpha1.Rollout, error) {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(key.Namespace), client.MatchingFields{indexRollout: key.Name}); err != nil {
		return nil, fmt.Errorf("list Releases: %w", err)
	}
	for i := range list.Items {
		rel := &list.Items[i]
		if rel.Status.Phase.Terminal() {
			continue
		}
		ro := &v1alpha1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, DeletionTimestamp: &metav1.Time{Time: now}},
			Spec:       v1alpha1.RolloutSpec{Workload: rel.Spec.Plan.Workload, Traffic: rel.Spec.Plan.Traffic},
		}
		if owner := metav1.GetControllerOf(rel); owner != nil {
			ro.UID = owner.UID
		}
		return ro, nil
	}
	return nil, nil
}

// forgetReplaced sees that a workload is another than the one that was taken over: it was deleted and made anew under
// the same name. It does not bear our label, and the stable ReplicaSet went with its predecessor. To a release under
// way its workload is gone; without one the new workload is taken over as it is.
func (w *world) forgetReplaced() {
	if w.deploy == nil || w.deploy.GetLabels()[v1alpha1.LabelRollout] == w.rollout.Name || w.stable() != nil {
		return
	}
	w.settled = nil
	if w.active() != nil {
		uid := w.deploy.GetUID()
		w.sets = slices.DeleteFunc(w.sets, func(rs *unstructured.Unstructured) bool { return deployment.OwnedBy(rs, uid) })
		w.deploy, w.template = nil, deployment.Template{}
	}
}

// lastReleased is the last revision that was released: by the record of the newest release, or, where that has been
// removed or speaks of a workload that has since been made anew, by the Rollout's status.
func (w *world) lastReleased() *v1alpha1.Revision {
	latest, reported := w.latest(), w.located(w.rollout.Status.Stable.DeepCopy())
	if latest == nil || latest.Spec.Number < w.rollout.Status.LastNumber {
		return reported
	}
	recorded := latest.Spec.From.DeepCopy()
	if latest.Status.Phase == v1alpha1.ReleaseSucceeded {
		recorded = latest.Spec.To.DeepCopy()
	}
	recorded = w.located(recorded)
	if w.active() == nil && w.set(recorded) == nil && w.set(reported) != nil {
		return reported
	}
	return recorded
}

// located is a revision with the pod-template-hash of the workload's ReplicaSet that has its template, where the one
// that it names is not there: one that is full before one of the history.
func (w *world) located(rev *v1alpha1.Revision) *v1alpha1.Revision {
	if rev == nil || w.deploy == nil || w.set(rev) != nil {
		return rev
	}
	most := -1
	for _, rs := range w.sets {
		if n := deployment.Replicas(rs); n > most && deployment.TemplateOf(rs).Hash == rev.Hash && deployment.OwnedBy(rs, w.deploy.GetUID()) {
			rev.PodTemplateHash, most = deployment.PodTemplateHash(rs), n
		}
	}
	return rev
}

// set is a revision's ReplicaSet, or nil.
func (w *world) set(rev *v1alpha1.Revision) *unstructured.Unstructured {
	if rev == nil {
		return nil
	}
	for _, rs := range w.sets {
		if deployment.PodTemplateHash(rs) == rev.PodTemplateHash {
			return rs
		}
	}
	return nil
}

// traffic is the layers that are followed now: the running release's, or else the Rollout's own.
func (w *world) traffic() []v1alpha1.TrafficLayer {
	if rel := w.active(); rel != nil {
		return rel.Spec.Plan.Traffic
	}
	return w.rollout.Spec.Traffic
}

func (r *Reconciler) observeWorkload(ctx context.Context, w *world) error {
	d := &unstructured.Unstructured{}
	d.SetGroupVersionKind(deployment.Kind)
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.rollout.Spec.Workload.Name}
	err := r.Kube.Get(ctx, key, d)
	by := []client.MatchingFields{{indexRollout: w.rollout.Name}}
	switch {
	case err == nil:
		w.deploy, w.template = d, deployment.TemplateOf(d)
		by = append(by, client.MatchingFields{indexOwner: string(d.GetUID())})
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("read Deployment %s: %w", key, err)
	}
	for _, by := range by {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(deployment.ReplicaSetKind)
		if err := r.Kube.List(ctx, list, client.InNamespace(key.Namespace), by); err != nil {
			return fmt.Errorf("list ReplicaSets of %s: %w", key, err)
		}
		for i := range list.Items {
			rs := &list.Items[i]
			if rs.GetDeletionTimestamp() == nil && !slices.ContainsFunc(w.sets, func(o *unstructured.Unstructured) bool { return o.GetUID() == rs.GetUID() }) {
				w.sets = append(w.sets, rs)
			}
		}
	}
	return nil
}

func (r *Reconciler) observeReleases(ctx context.Context, w *world) error {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Releases: %w", err)
	}
	for i := range list.Items {
		rel := &list.Items[i]
		// One of an earlier Rollout of this name, which is about to be collected. One without an owner is ours: it was
		// told to stay when the Rollout is deleted.
		if owner := metav1.GetControllerOf(rel); owner != nil && owner.UID != w.rollout.UID {
			w.taken = max(w.taken, rel.Spec.Number)
			continue
		}
		w.releases = append(w.releases, rel)
	}
	slices.SortFunc(w.releases, func(a, b *v1alpha1.Release) int { return int(b.Spec.Number - a.Spec.Number) })
	return nil
}

func (r *Reconciler) observeDecisions(ctx context.Context, w *world) error {
	list := &v1alpha1.DecisionList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Decisions: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Outcome == "" {
			w.decisions = append(w.decisions, &list.Items[i])
		}
	}
	slices.SortFunc(w.decisions, func(a, b *v1alpha1.Decision) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}

func (r *Reconciler) observeHolds(ctx context.Context, w *world) error {
	list := &v1alpha1.HoldList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace), client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Holds: %w", err)
	}
	for i := range list.Items {
		w.holds[list.Items[i].Spec.Target] = &list.Items[i]
	}
	return nil
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
			w.trouble = fmt.Sprintf("the Service %q, which a release needs for the canary of Service %q, exists already and is not Sluice's: rename or remove it", s.twin.Name, s.object.Name)
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
		if svc.Labels[v1alpha1.LabelRollout] == w.rollout.Name || len(svc.Spec.Selector) == 0 {
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
	key := types.NamespacedName{Namespace: s.object.Namespace, Name: twinName(s.object.Name)}
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

// errNotServed: the cluster does not know the kind of a traffic object.
var errNotServed = errors.New("kind is not served")

func (r *Reconciler) observeLayer(ctx context.Context, w *world, t v1alpha1.TrafficLayer) (*layer, error) {
	provider, name := registry.Traffic(t)
	if provider == nil {
		return nil, nil
	}
	gvk := provider.Kind()
	l := &layer{provider: provider, name: strings.ToLower(gvk.Kind) + "/" + name}
	if p, ok := provider.(traffic.Propagating); ok {
		l.propagation = p.Propagation()
	}
	if t.Ingress != nil && t.Ingress.Settle != nil {
		l.settle = t.Ingress.Settle.Duration
	}
	route, err := r.route(ctx, gvk, w.rollout.Namespace, name)
	switch {
	case errors.Is(err, errNotServed):
		w.trouble = fmt.Sprintf("spec.traffic names the %s %q, but this cluster does not serve %s: install its CRDs, or remove the layer", gvk.Kind, name, gvk.GroupVersion())
		return nil, nil
	case err != nil:
		return nil, err
	case route == nil:
		w.trouble = fmt.Sprintf("spec.traffic names the %s %q, which is not in namespace %s: create it, or correct the name", gvk.Kind, name, w.rollout.Namespace)
	}
	l.world = traffic.World{Route: route, Now: w.now, Backends: backends(w.services)}
	if err := r.observeOurs(ctx, w, l, name); err != nil {
		return nil, err
	}
	foreign := l.world.Beside != nil && !w.ours(l.world.Beside)
	if foreign {
		w.trouble = fmt.Sprintf("the %s %q, which this release needs, exists already and is not Sluice's: rename or remove it", gvk.Kind, l.world.Beside.GetName())
	}
	// Without the team's route only what is ours counts, which is still to be taken away.
	if foreign || route == nil && l.hold == nil && l.world.Beside == nil {
		return nil, nil
	}
	l.state = provider.Read(l.world)
	return l, nil
}

// observeOurs reads what a release has added to a layer: the object beside the team's, and the Hold.
func (r *Reconciler) observeOurs(ctx context.Context, w *world, l *layer, name string) (err error) {
	gvk := l.provider.Kind()
	if beside := l.provider.BesideName(name); beside != "" {
		if l.world.Beside, err = r.route(ctx, gvk, w.rollout.Namespace, beside); err != nil {
			return err
		}
	}
	l.hold = w.holds[v1alpha1.HoldTarget{APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind, Name: name}]
	if l.hold != nil && l.hold.Spec.Original != nil {
		if err := json.Unmarshal(l.hold.Spec.Original.Raw, &l.world.Original); err != nil {
			return fmt.Errorf("read spec.original of Hold %s: %w", l.hold.Name, err)
		}
	}
	return nil
}

// route reads a traffic object, and has its kind watched from then on. It returns nil if there is none.
func (r *Reconciler) route(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	if err := r.Watch(gvk); err != nil {
		if meta.IsNoMatchError(err) {
			return nil, errNotServed
		}
		return nil, fmt.Errorf("watch %s: %w", gvk.Kind, err)
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", gvk.Kind, namespace, name, err)
	}
	return u, nil
}

func backends(services []*service) []traffic.Backend {
	out := make([]traffic.Backend, 0, len(services))
	for _, s := range services {
		b := traffic.Backend{Stable: s.object.Name, Canary: twinName(s.object.Name)}
		for _, p := range s.object.Spec.Ports {
			b.Ports = append(b.Ports, traffic.Port{Name: p.Name, Number: int64(p.Port)})
		}
		out = append(out, b)
	}
	return out
}

// stable is the ReplicaSet of the recorded stable revision, or nil.
func (w *world) stable() *unstructured.Unstructured {
	if rel := w.active(); rel != nil {
		return w.set(&rel.Spec.From)
	}
	return w.set(w.settled)
}

// hashes are the labels that tell the pods of the two revisions apart. The record knows them even when a ReplicaSet is
// gone.
func (w *world) hashes() (stable, canary string) {
	stable, canary = hashOf(w.stable()), hashOf(w.canary())
	if rel := w.active(); rel != nil {
		if stable == "" {
			stable = rel.Spec.From.PodTemplateHash
		}
		if canary == "" {
			canary = rel.Spec.To.PodTemplateHash
		}
	}
	return stable, canary
}

// canary is the ReplicaSet of the revision that the running release brings, or nil: the release's own, or one of
// the workload's history with the same template.
func (w *world) canary() *unstructured.Unstructured {
	rel := w.active()
	if rel == nil {
		return nil
	}
	var found *unstructured.Unstructured
	for _, rs := range w.sets {
		switch {
		case deployment.TemplateOf(rs).Hash != rel.Spec.To.Hash:
		case deployment.OwnedBy(rs, rel.UID):
			return rs
		case found == nil || rs.GetCreationTimestamp().Time.Before(found.GetCreationTimestamp().Time):
			found = rs // As the Deployment controller does, the oldest.
		}
	}
	return found
}

// observed is the world in the mind's words.
func (w *world) observed(rel *v1alpha1.Release) release.Observed {
	o := release.Observed{
		Removing: w.rollout.DeletionTimestamp != nil || rel.DeletionTimestamp != nil,
		Trouble:  w.trouble, Analyses: analyses(w.runs), Shut: w.shut,
	}
	for _, d := range w.decisions {
		if speaksOf(d, rel) && !answered(rel, d.Name) {
			o.Decisions = append(o.Decisions, decision(d, rel))
		}
	}
	stable, canary := w.stable(), w.canary()
	o.Canary = deployment.ReadTrack(canary, "")
	if w.deploy != nil && w.deploy.GetDeletionTimestamp() == nil {
		o.Workload = release.Workload{
			Exists: true, Desired: w.template.Hash, Replicas: deployment.Replicas(w.deploy),
			Held: deployment.Paused(w.deploy), Kept: w.keptPaused,
		}
		o.Stable = deployment.ReadTrack(stable, w.deploy.GetUID())
		if (w.turned() || len(w.traffic()) == 0) && deployment.Behind(stable) {
			o.Stable.Ready = 0 // It may have been scaled away and back: what is ready is not known.
		}
		o.Canary = deployment.ReadTrack(canary, w.deploy.GetUID())
		o.Workload.Settled = o.Canary.Adopted && w.alone(canary)
	}
	for _, s := range w.services {
		seen := s.observed(w)
		if w.now.Before(s.readySince.Add(w.propagation())) {
			seen.CanaryReady = 0 // They have to reach every gateway before the first request does.
		}
		o.Services = append(o.Services, seen)
	}
	for _, l := range w.layers {
		o.Layers = append(o.Layers, l.observed(w.now))
	}
	return o
}

// turned says whether a Service leads to the new revision.
func (w *world) turned() bool {
	_, canary := w.hashes()
	return slices.ContainsFunc(w.services, func(s *service) bool {
		return canary != "" && s.object.Spec.Selector[v1alpha1.LabelPodTemplateHash] == canary
	})
}

// propagation is the longest of the layers'.
func (w *world) propagation() time.Duration {
	var longest time.Duration
	for _, l := range w.layers {
		longest = max(longest, l.propagation)
	}
	return longest
}

// alone says whether every other ReplicaSet of the workload has no pods, and this one all it should.
func (w *world) alone(canary *unstructured.Unstructured) bool {
	uid := w.deploy.GetUID()
	for _, rs := range w.sets {
		t := deployment.ReadTrack(rs, uid)
		if rs.GetUID() != canary.GetUID() && t.Adopted && (t.Desired > 0 || t.Pods > 0) {
			return false
		}
	}
	t := deployment.ReadTrack(canary, uid)
	return t.Desired == deployment.Replicas(w.deploy) && t.Ready >= t.Desired
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

func (l *layer) observed(now time.Time) release.Layer {
	// A layer that leads to none of the workload's Services, and never did or no longer does, has nothing to follow.
	accepted := l.state.Accepted || !l.state.Routed && len(l.world.Backends) == 0
	return release.Layer{
		Name: l.name, Routed: l.state.Routed, Held: l.hold != nil,
		Weight: l.state.Weight, Matches: l.state.Matches,
		Settled: accepted && !now.Before(l.settledAt()),
		Problem: l.state.Problem,
	}
}

// settledAt is when a layer that reports nothing may be taken to have followed.
func (l *layer) settledAt() time.Time {
	if l.state.ChangedAt.IsZero() {
		return time.Time{}
	}
	return l.state.ChangedAt.Add(l.settle)
}

func decision(d *v1alpha1.Decision, rel *v1alpha1.Release) release.Decision {
	return release.Decision{
		ID: d.Name, Verb: release.Verb(d.Spec.Verb), Step: d.Spec.Step, User: d.Spec.User, Comment: d.Spec.Comment,
		At: d.CreationTimestamp.Time, Groups: d.Spec.Groups, PlanNamed: d.Spec.PlanDigest != "",
		PlanMismatch: d.Spec.PlanDigest != "" && d.Spec.PlanDigest != rel.Spec.PlanDigest,
	}
}

// speaksOf says whether a Decision is on this release. One that is older was meant for another of its name, before the
// Rollout was made anew. But an abort that names this one's plan is one: the API server's clock may have been set back.
func speaksOf(d *v1alpha1.Decision, rel *v1alpha1.Release) bool {
	stops := d.Spec.Verb == v1alpha1.VerbAbort && d.Spec.PlanDigest == rel.Spec.PlanDigest
	return d.Spec.Release == rel.Name && (stops || !d.CreationTimestamp.Before(&rel.CreationTimestamp))
}

func answered(rel *v1alpha1.Release, decision string) bool {
	return rel.Status.Memory != nil && slices.ContainsFunc(rel.Status.Memory.Answers,
		func(a v1alpha1.DecisionAnswer) bool { return a.Decision == decision })
}

// mentions says whether the layer's route names a Service.
func (l *layer) mentions(service string) bool {
	return l.world.Route != nil && mentions(l.world.Route.Object["spec"], service)
}

// mentions says whether a route's spec names a Service anywhere.
func mentions(v any, name string) bool {
	switch x := v.(type) {
	case map[string]any:
		for k, child := range x {
			if s, ok := child.(string); ok && k == "name" && s == name {
				return true
			}
			if mentions(child, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(x, func(child any) bool { return mentions(child, name) })
	}
	return false
}

// ours says whether a release of this Rollout made the object.
func (w *world) ours(o client.Object) bool {
	return o.GetLabels()[v1alpha1.LabelRollout] == w.rollout.Name
}

func nameOf(rs *unstructured.Unstructured) string {
	if rs == nil {
		return ""
	}
	return rs.GetName()
}

func hashOf(rs *unstructured.Unstructured) string {
	if rs == nil {
		return ""
	}
	return deployment.PodTemplateHash(rs)
}

func twinName(service string) string { return service + "-canary" }

func serviceTarget(name string) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: "v1", Kind: "Service", Name: name}
}

func targetOf(route *unstructured.Unstructured) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: route.GetAPIVersion(), Kind: route.GetKind(), Name: route.GetName()}
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
