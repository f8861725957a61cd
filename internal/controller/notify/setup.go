package notify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// workers is the number of Notifiers that are looked at at the same time; none waits for a sink.
const workers = 2

// lastWrites bounds the time in which the process that ends writes down what has arrived. It is less than the 10 s
// that the manager waits for its parts to end (GracefulShutdownTimeout).
const lastWrites = 5 * time.Second

// Setup wires the Reconciler to a manager. Only the process that leads tells anything.
func (r *Reconciler) Setup(mgr manager.Manager) error {
	c, err := controller.New("notify", mgr, controller.Options{
		Reconciler: r, MaxConcurrentReconciles: workers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond,
			30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("make controller: %w", err)
	}
	for _, s := range []source.Source{
		source.Kind(mgr.GetCache(), &v1alpha1.Notifier{}, &handler.TypedEnqueueRequestForObject[*v1alpha1.Notifier]{}),
		source.Kind(mgr.GetCache(), &v1alpha1.Release{}, handler.TypedEnqueueRequestsFromMapFunc(r.notifiersOf), tells),
		r.landed.Source(),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		// The manager's context has ended, and the last writes need one that has not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrites)
		defer cancel()
		r.Close(ctx)
		return nil
	}))
	if err != nil {
		return fmt.Errorf("add the end of deliveries: %w", err)
	}
	return nil
}

// tells lets through what has something new to tell.
var tells = predicate.TypedFuncs[*v1alpha1.Release]{
	DeleteFunc: func(event.TypedDeleteEvent[*v1alpha1.Release]) bool { return false },
	UpdateFunc: func(e event.TypedUpdateEvent[*v1alpha1.Release]) bool {
		return !slices.EqualFunc(factsOf(e.ObjectOld), factsOf(e.ObjectNew), func(a, b fact) bool { return a.key == b.key })
	},
}

// notifiersOf are the Notifiers of a release's namespace. Where they cannot be listed nobody is brought back: a
// mapping function cannot return an error.
func (r *Reconciler) notifiersOf(ctx context.Context, rel *v1alpha1.Release) []reconcile.Request {
	list := &v1alpha1.NotifierList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(rel.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return out
}
