// Package loop has what every reconciler shares: it acts only upon a cache that shows its own writes, looks again at
// once after a conflict, and is woken by what comes in beside the cache.
package loop

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/internal/kube"
)

var (
	writes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sluice_writes_total", Help: "Writes to the API server, Events not counted.",
	})
	stale = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sluice_stale_total",
		Help: "Looks at the world that were put off because the cache was behind our own last write.",
	})
)

func init() { metrics.Registry.MustRegister(writes, stale) }

const (
	// ConflictDelay is how long after a conflict an object is looked at again, if no event comes first.
	ConflictDelay = 50 * time.Millisecond
	// StaleDelay is how long to wait for the cache, if no event comes first.
	StaleDelay = 250 * time.Millisecond
)

// Look is one look at one object. What it writes goes through the Writer.
type Look func(ctx context.Context, write *kube.Writer) (ctrl.Result, error)

// Run looks at an object, unless the cache is behind what was written for it before: then it is looked at later.
func Run(ctx context.Context, c *kube.Client, key types.NamespacedName, look Look) (ctrl.Result, error) {
	switch behind, err := c.Fresh(ctx, key); {
	case err != nil:
		return ctrl.Result{}, err
	case behind != nil:
		stale.Inc()
		return ctrl.Result{RequeueAfter: StaleDelay}, nil
	}
	write := c.For(key)
	defer func() { writes.Add(float64(write.Writes())) }()
	result, err := look(ctx, write)
	if err != nil {
		return Retry(err)
	}
	return result, nil
}

// Retry has a conflict looked at again at once, without the back-off that is for errors: the watch event that caused it
// is on its way. Other errors it returns.
func Retry(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: ConflictDelay}, nil
	}
	return ctrl.Result{}, err
}

// Waker has objects looked at again of which something has come in that no watch tells of. It keeps
// nothing: Wake waits until the controller listens.
type Waker struct{ woken chan event.GenericEvent }

// NewWaker returns a Waker. Whoever wakes waits until its Source is watched.
func NewWaker() *Waker { return &Waker{woken: make(chan event.GenericEvent)} }

// Wake has an object looked at again. It waits until somebody listens, or the context ends.
func (w *Waker) Wake(ctx context.Context, o client.Object) {
	select {
	case w.woken <- event.GenericEvent{Object: o}:
	case <-ctx.Done():
	}
}

// Woken has an event for each object that is to be looked at again.
func (w *Waker) Woken() <-chan event.GenericEvent { return w.woken }

// Source is what a controller watches for that.
func (w *Waker) Source() source.Source {
	return source.Channel(w.Woken(), &handler.EnqueueRequestForObject{})
}
