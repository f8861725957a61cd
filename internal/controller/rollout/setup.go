package rollout

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// The indexes over the cache.
const (
	// indexRollout finds what belongs to a Rollout by its name.
	indexRollout = "rollout"
	// indexOwner finds what an object controls by that object's UID.
	indexOwner = "owner"
	// indexKeeper finds ReplicaSets by the UID of the Rollout that keeps them.
	indexKeeper = "keeper"
	// indexService finds EndpointSlices by their Service.
	indexService = "service"
	// indexWorkload and indexTraffic find Rollouts by what they name.
	indexWorkload = "workload"
	indexTraffic  = "traffic"
	// indexTarget finds Holds by the object that they hold.
	indexTarget = "target"
)

// workers is the number of Rollouts that are looked at at the same time. None is held in a call to anything but
// the API server.
const workers = 16

// urgent is the priority of a Rollout that somebody has just decided on: people, and above all an abort, overtake
// whatever else is queued.
const urgent = 100

// Setup wires the Reconciler to a manager. Changed is a channel of names to look at again.
func (r *Reconciler) Setup(ctx context.Context, mgr manager.Manager, changed <-chan event.GenericEvent) error {
	r.init()
	if err := index(ctx, mgr.GetFieldIndexer(), r.Layers); err != nil {
		return err
	}
	c, err := controller.New("rollout", mgr, controller.Options{
		Reconciler: r, MaxConcurrentReconciles: workers, UsePriorityQueue: ptr.To(true),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, 30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("make controller: %w", err)
	}
	r.woken = make(chan event.GenericEvent)
	m := &mapper{reader: mgr.GetClient(), looks: &r.looks, fronts: r.fronts, layers: r.Layers}
	deploy, sets := untyped(deployment.Kind), untyped(deployment.ReplicaSetKind)
	sources := []source.Source{
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Rollout{}, &handler.EnqueueRequestForObject{}),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Release{}, by(m.ofRelease, 0)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Hold{}, by(ofHold, 0)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.AnalysisRun{}, by(label, urgent)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.AnalysisTemplate{}, by(m.ofTemplate, 0)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ClusterAnalysisTemplate{}, handler.EnqueueRequestsFromMapFunc(m.ofClusterTemplate)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ReleaseWindow{}, by(m.ofWindow, 0)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Decision{}, by(ofDecision, urgent)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Decision{}, ofAnswered()),
		source.Kind[client.Object](mgr.GetCache(), deploy, by(m.ofWorkload, 0)),
		source.Kind[client.Object](mgr.GetCache(), sets, by(m.ofReplicaSet, 0)),
		source.Kind[client.Object](mgr.GetCache(), &corev1.Service{}, by(m.ofService, 0)),
		source.Kind[client.Object](mgr.GetCache(), &discoveryv1.EndpointSlice{}, by(m.ofEndpoints, 0)),
		source.Channel(changed, &handler.EnqueueRequestForObject{}),
		source.Channel(r.woken, &handler.EnqueueRequestForObject{}),
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	r.Watch = watcher(mgr, c, m)
	return nil
}

// watcher has kinds of traffic objects watched from when the first Rollout names one.
func watcher(mgr manager.Manager, c controller.Controller, m *mapper) func(schema.GroupVersionKind) error {
	var mu sync.Mutex
	watched := map[schema.GroupVersionKind]bool{}
	return func(gvk schema.GroupVersionKind) error {
		mu.Lock()
		defer mu.Unlock()
		if watched[gvk] {
			return nil
		}
		if _, err := mgr.GetRESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version); err != nil {
			return err
		}
		if err := c.Watch(source.Kind[client.Object](mgr.GetCache(), untyped(gvk), by(m.ofRoute, 0))); err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
		watched[gvk] = true
		return nil
	}
}

// Cache is what the manager's cache keeps of each kind.
func Cache() cache.Options {
	return cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			untyped(deployment.Kind):           {Transform: deployment.Condense},
			untyped(deployment.ReplicaSetKind): {Transform: deployment.Condense},
			&discoveryv1.EndpointSlice{}:       {Transform: condenseEndpoints},
			&v1alpha1.Release{}:                {Transform: condenseRelease},
		},
	}
}

// condenseRelease leaves the templates of a release that has ended out: it measures nothing any more, and its record may be
// kept for long. Its spec is never written.
func condenseRelease(in any) (any, error) {
	rel, ok := in.(*v1alpha1.Release)
	if !ok {
		return in, nil
	}
	rel.ManagedFields = nil
	if rel.Status.Phase.Terminal() {
		rel.Spec.Plan.Templates = nil
	}
	return rel, nil
}

// condenseEndpoints keeps which pods are ready and which ports lead there, and nothing else.
func condenseEndpoints(in any) (any, error) {
	s, ok := in.(*discoveryv1.EndpointSlice)
	if !ok {
		return in, nil
	}
	s.ManagedFields, s.Annotations = nil, nil
	for i, p := range s.Ports {
		s.Ports[i] = discoveryv1.EndpointPort{Name: p.Name}
	}
	for i, e := range s.Endpoints {
		kept := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready}}
		if e.TargetRef != nil {
			kept.TargetRef = &corev1.ObjectReference{Name: e.TargetRef.Name}
		}
		s.Endpoints[i] = kept
	}
	return s, nil
}

func index(ctx context.Context, ix client.FieldIndexer, layers translate.LayerKinds) error {
	add := func(obj client.Object, name string, of func(client.Object) []string) error {
		if err := ix.IndexField(ctx, obj, name, of); err != nil {
			return fmt.Errorf("index %T by %s: %w", obj, name, err)
		}
		return nil
	}
	for _, err := range []error{
		add(&v1alpha1.Release{}, indexRollout, byLabel),
		add(&v1alpha1.Hold{}, indexRollout, byLabel),
		add(&v1alpha1.AnalysisRun{}, indexRollout, byLabel),
		add(&v1alpha1.Decision{}, indexRollout, func(o client.Object) []string { return one(keyOfDecision(o.(*v1alpha1.Decision))) }),
		add(&v1alpha1.Rollout{}, indexWorkload, func(o client.Object) []string { return one(o.(*v1alpha1.Rollout).Spec.Workload.Name) }),
		add(&v1alpha1.Rollout{}, indexTraffic, func(o client.Object) []string {
			return namesOfTraffic(layers, o.(*v1alpha1.Rollout))
		}),
		add(&v1alpha1.Hold{}, indexTarget, func(o client.Object) []string { return one(targetKey(o.(*v1alpha1.Hold).Spec.Target)) }),
		add(untyped(deployment.Kind), indexRollout, byLabel),
		add(untyped(deployment.ReplicaSetKind), indexOwner, byOwner),
		add(untyped(deployment.ReplicaSetKind), indexKeeper, byKeeper),
		add(&discoveryv1.EndpointSlice{}, indexService, func(o client.Object) []string { return one(o.GetLabels()[discoveryv1.LabelServiceName]) }),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func byLabel(o client.Object) []string { return one(o.GetLabels()[v1alpha1.LabelRollout]) }

func byOwner(o client.Object) []string {
	if c := metav1.GetControllerOf(o); c != nil {
		return one(string(c.UID))
	}
	return nil
}

// namesOfTraffic are the team's objects that a Rollout names. Those that are named in others are found through their
// Holds, and otherwise with the next look.
func namesOfTraffic(layers translate.LayerKinds, ro *v1alpha1.Rollout) []string {
	var out []string
	for _, t := range ro.Spec.Traffic {
		p := layers.Of(t)
		if p == nil {
			continue
		}
		for _, o := range p.Objects(traffic.World{}) {
			if key := targetKey(translate.Target(o.Ref)); o.Name != "" && o.Part != traffic.Makes && !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	return out
}

func targetKey(t v1alpha1.HoldTarget) string { return t.Kind + "/" + t.Name }

func one(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func untyped(gvk schema.GroupVersionKind) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gvk)
	return u
}

// mapper finds the Rollouts that an object concerns.
type mapper struct {
	reader client.Reader
	looks  *looks
	fronts *fronts
	layers translate.LayerKinds
}

// names of Rollouts in the object's namespace.
type names func(context.Context, client.Object) []string

// by enqueues the Rollouts that an object concerns. Unlike controller-runtime's own mapping it can say how urgent
// that is.
func by(of names, priority int) handler.EventHandler {
	add := func(ctx context.Context, o client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, n := range of(ctx, o) {
			req := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: n}}
			if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
				pq.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(priority)}, req)
			} else {
				q.Add(req)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			add(ctx, e.Object, q)
		},
	}
}

// ofTemplate brings back the Rollouts whose templates may have been missing or wrong.
func (m *mapper) ofTemplate(ctx context.Context, o client.Object) []string {
	return namesOf(m.all(ctx, o.GetNamespace(), measures))
}

func (m *mapper) ofClusterTemplate(ctx context.Context, _ client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, ro := range m.all(ctx, metav1.NamespaceAll, measures) {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(ro)})
	}
	return out
}

func (m *mapper) ofWindow(ctx context.Context, o client.Object) []string {
	return namesOf(m.all(ctx, o.GetNamespace(), func(*v1alpha1.Rollout) bool { return true }))
}

// all finds the Rollouts of a namespace that an object concerns, where no index tells.
func (m *mapper) all(ctx context.Context, namespace string, concerns func(*v1alpha1.Rollout) bool) []*v1alpha1.Rollout {
	list := &v1alpha1.RolloutList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Rollouts")
		return nil
	}
	var out []*v1alpha1.Rollout
	for i := range list.Items {
		if concerns(&list.Items[i]) {
			out = append(out, &list.Items[i])
		}
	}
	return out
}

func namesOf(rollouts []*v1alpha1.Rollout) []string {
	var out []string
	for _, ro := range rollouts {
		out = append(out, ro.Name)
	}
	return out
}

// ofHold brings back every Rollout that has something to do with a Hold.
func ofHold(_ context.Context, o client.Object) []string {
	out := byLabel(o)
	for _, s := range o.(*v1alpha1.Hold).Spec.Shares {
		out = append(out, s.Rollout)
	}
	return out
}

func label(_ context.Context, o client.Object) []string { return byLabel(o) }

func (m *mapper) ofWorkload(ctx context.Context, o client.Object) []string {
	return append(byLabel(o), m.rollouts(ctx, o.GetNamespace(), indexWorkload, o.GetName())...)
}

func (m *mapper) ofReplicaSet(ctx context.Context, o client.Object) []string {
	c := metav1.GetControllerOf(o)
	switch {
	case c == nil:
		return keepers(o)
	case c.Kind == deployment.Kind.Kind:
		return m.rollouts(ctx, o.GetNamespace(), indexWorkload, c.Name)
	}
	return one(rolloutOf(c.Name)) // A release's.
}

func (m *mapper) ofService(ctx context.Context, o client.Object) []string {
	names := append(byLabel(o), m.holders(ctx, o.GetNamespace(), "Service/"+o.GetName())...)
	return append(names, m.fronts.of(client.ObjectKeyFromObject(o))...)
}

func (m *mapper) ofEndpoints(ctx context.Context, o client.Object) []string {
	service := o.GetLabels()[discoveryv1.LabelServiceName]
	behind := m.looks.behind(types.NamespacedName{Namespace: o.GetNamespace(), Name: service})
	return slices.Concat(byLabel(o), m.holders(ctx, o.GetNamespace(), "Service/"+service), behind)
}

func (m *mapper) ofRoute(ctx context.Context, o client.Object) []string {
	if contends(m.layers, o) {
		return namesOf(m.all(ctx, o.GetNamespace(), func(ro *v1alpha1.Rollout) bool { return len(ro.Spec.Traffic) > 0 }))
	}
	key := o.GetObjectKind().GroupVersionKind().Kind + "/" + o.GetName()
	// A release under way may be on a route that its Rollout no longer names.
	out := append(byLabel(o), m.holders(ctx, o.GetNamespace(), key)...)
	return append(out, m.rollouts(ctx, o.GetNamespace(), indexTraffic, key)...)
}

func (m *mapper) rollouts(ctx context.Context, namespace, ix, value string) []string {
	list := &v1alpha1.RolloutList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{ix: value}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find Rollouts", "by", ix, "value", value)
		return nil
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out
}

func (m *mapper) holders(ctx context.Context, namespace, target string) []string {
	list := &v1alpha1.HoldList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{indexTarget: target}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find Holds", "target", target)
		return nil
	}
	var out []string
	for i := range list.Items {
		out = append(out, ofHold(ctx, &list.Items[i])...)
	}
	return out
}
