package rollout

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
)

// workers is the number of Rollouts that are looked at at the same time. None is held in a call to anything but
// the API server.
const workers = 16

// Setup wires the Reconciler to a manager. Changed is a channel of names to look at again.
func (r *Reconciler) Setup(ctx context.Context, mgr manager.Manager, changed <-chan event.GenericEvent) error {
	r.init()
	if err := index(ctx, mgr.GetFieldIndexer(), r.Workloads, r.Layers); err != nil {
		return err
	}
	// The priority queue lets an abort overtake other work, see queue.go. After errors a Rollout is tried again at the
	// latest after 30 s: controller-runtime's own limit grows to 1000 s, and a release in its middle must not stand still
	// for that long.
	c, err := controller.New("rollout", mgr, controller.Options{
		Reconciler: r, MaxConcurrentReconciles: workers, UsePriorityQueue: ptr.To(true),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond,
			30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("make controller: %w", err)
	}
	r.woken = loop.NewWaker()
	m := &mapper{reader: mgr.GetClient(), looks: &r.looks, fronts: r.fronts, layers: r.Layers}
	sources := []source.Source{
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Rollout{}, r.by(itself)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Release{}, r.atLeast(m.ofRelease, classOfRelease)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Hold{}, r.by(ofHold)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.AnalysisRun{}, r.atLeast(label, classOfResult)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.AnalysisTemplate{}, r.by(m.ofTemplate)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ClusterAnalysisTemplate{},
			handler.EnqueueRequestsFromMapFunc(m.ofClusterTemplate)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ReleaseWindow{}, r.by(m.ofWindow)),
		// Decisions are watched twice: one without an answer is urgent, one with an answer is only to be removed some day.
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Decision{}, r.atLeast(ofDecision, classOfDecision)),
		source.Kind[client.Object](mgr.GetCache(), &v1alpha1.Decision{}, ofAnswered()),
		source.Kind[client.Object](mgr.GetCache(), &corev1.Service{}, r.by(m.ofService)),
		source.Kind[client.Object](mgr.GetCache(), &discoveryv1.EndpointSlice{}, r.by(m.ofEndpoints)),
		source.Channel(changed, &handler.EnqueueRequestForObject{}),
		r.woken.Source(),
	}
	// Workloads and their parts are watched as untyped objects, since that is how they are read: the cache keeps typed
	// and untyped objects of one kind apart.
	for _, driver := range r.Workloads {
		kinds := driver.Kinds()
		sources = append(sources,
			source.Kind[client.Object](mgr.GetCache(), untyped(kinds.Workload), r.by(m.ofWorkload)),
			source.Kind[client.Object](mgr.GetCache(), untyped(kinds.Part), r.by(m.ofPart)))
	}
	for _, s := range sources {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	r.Watch = r.watcher(mgr, c, m)
	return nil
}

// watcher has kinds of traffic objects watched from when the first Rollout names one. Most clusters serve few of the
// kinds that Sluice has layers for, and a watch of a kind that is not served cannot start. Several workers may ask at
// once, so a lock guards what is watched.
func (r *Reconciler) watcher(mgr manager.Manager, c controller.Controller,
	m *mapper,
) func(schema.GroupVersionKind) error {
	var mu sync.Mutex
	watched := map[schema.GroupVersionKind]bool{}
	return func(gvk schema.GroupVersionKind) error {
		mu.Lock()
		defer mu.Unlock()
		if watched[gvk] {
			return nil
		}
		// A kind that the cluster does not serve ends here with the NoMatch error that Watch promises, before a watch
		// begins that would never be filled.
		if _, err := mgr.GetRESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version); err != nil {
			return err
		}
		if err := c.Watch(source.Kind[client.Object](mgr.GetCache(), untyped(gvk), r.by(m.ofRoute))); err != nil {
			return fmt.Errorf("watch %s: %w", gvk.Kind, err)
		}
		// Only now: a watch that failed is tried again with the next look.
		watched[gvk] = true
		return nil
	}
}
