package rollout

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// This file says who comes first when many Rollouts wait to be looked at. What is furthest along comes first: a release
// that is taken back, then one whose requests can move, then one that ends, then one that begins. So nothing waits in
// mid-release, with two sets of pods, for others to begin. Within a class it is first come, first served.

// class of a Rollout in the queue; the highest is looked at first.
type class int

const (
	// telling: nothing but a status is due, which says what everybody knows who looks.
	telling class = -10
	// resting: no release is under way.
	resting class = 0
	// beginning: a release is about to begin, or waits for something that is not under way.
	beginning class = 20
	// completing: a release ends well.
	completing class = 40
	// moving: a release is on its way into a step.
	moving class = 60
	// spoken: somebody has decided.
	spoken class = 90
	// takenBack: a release is being aborted, or brings back what ran before.
	takenBack class = 100
)

// classOf is the class of a release after a decision.
func classOf(cause v1alpha1.ReleaseCause, phase release.Phase) class {
	switch {
	case phase == release.Aborting || cause == v1alpha1.CauseRollback && !phase.Terminal():
		return takenBack
	case phase == release.Progressing:
		return moving
	case phase == release.Completing:
		return completing
	case phase == release.Paused:
		return beginning
	}
	return resting
}

// queueClasses are the classes of the Rollouts, as the last look at each left them. After a restart all are the same,
// until they were looked at.
type queueClasses struct {
	mu    sync.Mutex
	known map[types.NamespacedName]class
}

func (c *queueClasses) of(key types.NamespacedName) class {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

func (c *queueClasses) note(key types.NamespacedName, is class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if is == resting {
		// resting is the zero value, so it needs no entry.
		delete(c.known, key)
		return
	}
	if c.known == nil {
		c.known = map[types.NamespacedName]class{}
	}
	c.known[key] = is
}

// by enqueues the Rollouts that an object concerns, each in its class.
func (r *Reconciler) by(of names) handler.EventHandler { return r.atLeast(of, classOfNothing) }

// classOfNothing is the class of an object that says nothing of how urgent it is.
func classOfNothing(client.Object) class { return telling }

// classOfRelease is that of a release as its record has it.
func classOfRelease(o client.Object) class {
	rel := o.(*v1alpha1.Release)
	return classOf(rel.Spec.Cause, release.Phase(rel.Status.Phase))
}

// classOfDecision is that of somebody's word.
func classOfDecision(o client.Object) class {
	switch o.(*v1alpha1.Decision).Spec.Verb {
	case v1alpha1.VerbAbort, v1alpha1.VerbReject, v1alpha1.VerbRollback:
		return takenBack
	default:
		return spoken
	}
}

// classOfResult is that of a measurement's result.
func classOfResult(client.Object) class { return spoken }

// atLeast enqueues the Rollouts that an object concerns, each in its class, or in the object's if that is higher.
func (r *Reconciler) atLeast(of names, least func(client.Object) class) handler.EventHandler {
	add := func(ctx context.Context, o client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, n := range of(ctx, o) {
			key := types.NamespacedName{Namespace: o.GetNamespace(), Name: n}
			priority := int(max(least(o), r.queue.of(key)))
			if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
				pq.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, reconcile.Request{NamespacedName: key})
			} else {
				q.Add(reconcile.Request{NamespacedName: key})
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent,
			q workqueue.TypedRateLimitingInterface[reconcile.Request],
		) {
			add(ctx, e.Object, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent,
			q workqueue.TypedRateLimitingInterface[reconcile.Request],
		) {
			add(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent,
			q workqueue.TypedRateLimitingInterface[reconcile.Request],
		) {
			add(ctx, e.Object, q)
		},
	}
}
