package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

const (
	// minDebounce gathers the events of one change; a big world whose
	// translation is slow waits longer, so that it does not eat a core.
	minDebounce = 5 * time.Millisecond
	maxDebounce = 50 * time.Millisecond

	byService = "service"
)

// watcher follows the API server and keeps the proxy's table equal to it.
type watcher struct {
	options  Options
	proxy    *proxy
	metrics  *metrics
	log      *slog.Logger
	factory  informers.SharedInformerFactory
	stores   stores
	gateway  *gatewayAPI
	status   *statusWriter
	problems *reporter
	address  string
	ready    chan struct{}

	wake     chan struct{}
	changed  atomic.Int64 // when the oldest change not yet in a table was seen, Unix nanoseconds
	building atomic.Bool
}

// stores are the informers' caches, by kind.
type stores struct {
	ingresses, services, slices, namespaces cache.Indexer
}

// clients talk to the API server.
type clients struct {
	core    kubernetes.Interface
	gateway versioned.Interface
}

func newClients(base *rest.Config) (clients, error) {
	config := rest.CopyConfig(base)
	config.UserAgent = userAgent
	config.QPS = -1 // statuses are worth no delay, and are few
	gateway, err := versioned.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("make the gateway's client for the Gateway API: %w", err)
	}
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return clients{}, fmt.Errorf("make the gateway's client: %w", err)
	}
	return clients{core: core, gateway: gateway}, nil
}

func newWatcher(o Options, c clients, p *proxy, m *metrics, addr net.Addr) (*watcher, error) {
	gateway := newGatewayAPI(c.gateway)
	w := &watcher{
		options: o, proxy: p, metrics: m, log: o.Log, gateway: gateway,
		factory:  informers.NewSharedInformerFactoryWithOptions(c.core, 0, informers.WithTransform(slim)),
		status:   newStatusWriter(gateway, o.ControllerName, m, o.Log),
		problems: newReporter(c.core, o.Log),
		address:  hostOf(addr),
		ready:    make(chan struct{}),
		wake:     make(chan struct{}, 1),
	}
	return w, w.inform()
}

func hostOf(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || tcp.IP == nil || tcp.IP.IsUnspecified() {
		return "127.0.0.1"
	}
	return tcp.IP.String()
}

// inform makes the core informers and says which of their events count.
func (w *watcher) inform() error {
	ingresses := w.factory.Networking().V1().Ingresses().Informer()
	services := w.factory.Core().V1().Services().Informer()
	slices := w.factory.Discovery().V1().EndpointSlices().Informer()
	namespaces := w.factory.Core().V1().Namespaces().Informer()
	if err := slices.AddIndexers(cache.Indexers{byService: sliceService}); err != nil {
		return fmt.Errorf("index EndpointSlices: %w", err)
	}
	w.stores = stores{ingresses.GetIndexer(), services.GetIndexer(), slices.GetIndexer(), namespaces.GetIndexer()}
	for informer, counts := range map[cache.SharedIndexInformer]func(any) bool{
		ingresses:  func(any) bool { return true },
		services:   w.serviceCounts,
		slices:     w.sliceCounts,
		namespaces: func(any) bool { return true },
	} {
		if err := w.handle(informer, counts); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) handle(informer cache.SharedIndexInformer, counts func(any) bool) error {
	on := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if counts(obj) {
			w.mark()
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    on,
		DeleteFunc: on,
		UpdateFunc: func(old, obj any) {
			if sameMeaning(old, obj) {
				return
			}
			on(obj)
		},
	})
	if err != nil {
		return fmt.Errorf("watch %T: %w", informer, err)
	}
	return nil
}

// sameMeaning leaves out updates that only touch a status: generation, labels
// and annotations are unchanged. Kinds without a generation always count.
func sameMeaning(old, obj any) bool {
	a, err := meta.Accessor(old)
	if err != nil {
		return false
	}
	b, err := meta.Accessor(obj)
	if err != nil || a.GetGeneration() == 0 {
		return false
	}
	switch obj.(type) {
	case *networkingv1.Ingress:
		return a.GetGeneration() == b.GetGeneration() && reflect.DeepEqual(a.GetAnnotations(), b.GetAnnotations())
	}
	return false
}

func sliceService(obj any) ([]string, error) {
	s, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return nil, nil
	}
	return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}, nil
}

func (w *watcher) serviceCounts(obj any) bool {
	s, ok := obj.(*corev1.Service)
	return ok && w.named(s.Namespace, s.Name)
}

func (w *watcher) sliceCounts(obj any) bool {
	s, ok := obj.(*discoveryv1.EndpointSlice)
	return ok && w.named(s.Namespace, s.Labels[discoveryv1.LabelServiceName])
}

// named leaves out the changes of Services that no route names. A table under
// construction may have begun to name it after it looked, hence the first half;
// the order of the two questions matters.
func (w *watcher) named(namespace, service string) bool {
	return w.building.Load() || w.proxy.table.Load().Names(namespace, service)
}

func (w *watcher) mark() {
	w.changed.CompareAndSwap(0, time.Now().UnixNano())
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run follows until ctx ends.
func (w *watcher) run(ctx context.Context) error {
	w.factory.Start(ctx.Done())
	defer w.factory.Shutdown()
	for kind, ok := range w.factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("list %v: the gateway was stopped before the API server answered", kind)
		}
	}
	if err := w.gateway.start(ctx, w); err != nil {
		return err
	}
	w.changed.Store(0) // what was there before us is no change
	w.build(ctx)
	if w.options.Habits.EarlyAccepted {
		w.status.update(route.Translate(w.world()))
	}
	close(w.ready)
	go w.status.run(ctx)
	go w.problems.run(ctx)
	return w.follow(ctx)
}

func (w *watcher) follow(ctx context.Context) error {
	pause, h, last := minDebounce, w.options.Habits, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		if !sleep(ctx, pause) {
			return nil
		}
		if h.EarlyAccepted {
			w.status.update(route.Translate(w.world()))
		}
		if !sleep(ctx, time.Until(last.Add(h.SyncEvery))) { // What comes meanwhile is in the same batch.
			return nil
		}
		last = time.Now()
		pause = min(max(minDebounce, 2*w.build(ctx)), maxDebounce)
	}
}

// sleep returns false if the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// build puts the present world in force and gives the time that it took to read it.
func (w *watcher) build(ctx context.Context) time.Duration {
	w.building.Store(true)
	select { // what has woken us by now is in the stores
	case <-w.wake:
	default:
	}
	since := w.changed.Swap(0)
	start := time.Now()
	result := route.Translate(w.world())
	took := time.Since(start)
	if d := w.options.Habits.Delay; d > 0 && !sleep(ctx, d) {
		return took
	}
	w.proxy.table.Store(result.Table)
	w.building.Store(false)
	lag := took
	if since != 0 {
		lag = time.Since(time.Unix(0, since))
	}
	w.metrics.swapped(lag, took)
	if !w.options.Habits.EarlyAccepted { // Otherwise they have been told, perhaps of something newer.
		w.status.update(result)
	}
	w.problems.update(result.Problems)
	return took
}

func (w *watcher) world() route.World {
	world := route.World{
		Ingresses: list[*networkingv1.Ingress](w.stores.ingresses),
		Service: func(ns, name string) *corev1.Service {
			return get[*corev1.Service](w.stores.services,
				ns+"/"+name)
		},
		EndpointSlices:  w.endpointSlices,
		NamespaceLabels: w.namespaceLabels,
		IngressClass:    w.options.IngressClass,
		Controller:      gatewayv1.GatewayController(w.options.ControllerName),
		Address:         w.address,
	}
	w.gateway.fill(&world)
	return world
}

func (w *watcher) endpointSlices(namespace, service string) []*discoveryv1.EndpointSlice {
	objects, err := w.stores.slices.ByIndex(byService, namespace+"/"+service)
	if err != nil {
		return nil // only for an index that does not exist
	}
	found := make([]*discoveryv1.EndpointSlice, 0, len(objects))
	for _, o := range objects {
		if s, ok := o.(*discoveryv1.EndpointSlice); ok {
			found = append(found, s)
		}
	}
	return found
}

func (w *watcher) namespaceLabels(name string) map[string]string {
	if ns := get[*corev1.Namespace](w.stores.namespaces, name); ns != nil {
		return ns.Labels
	}
	return nil
}

func list[T metav1.Object](store cache.Store) []T {
	objects := store.List()
	typed := make([]T, 0, len(objects))
	for _, o := range objects {
		if t, ok := o.(T); ok {
			typed = append(typed, t)
		}
	}
	return typed
}

func get[T metav1.Object](store cache.Store, key string) T {
	var zero T
	o, exists, err := store.GetByKey(key)
	if err != nil || !exists {
		return zero
	}
	t, _ := o.(T)
	return t
}

// slim drops what no route reads, before it is kept.
func slim(obj any) (any, error) {
	if o, err := meta.Accessor(obj); err == nil {
		o.SetManagedFields(nil)
	}
	return obj, nil
}
