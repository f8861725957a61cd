package rollout

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Reconciler looks after Rollouts and their Releases.
type Reconciler struct {
	Kube   *kube.Client
	Events events.EventRecorder
	// Now is the time that waits go by; Calendar the one that release windows do, which may step.
	Now, Calendar func() time.Time
	// PolicyInForce says whether the API server holds new revisions; without it workloads are kept paused.
	PolicyInForce func() bool
	// RequestMetrics says whose metrics the builtins ask Prometheus for, as "ingress-nginx"; empty if nothing is known.
	RequestMetrics string
	// Workloads are the drivers of the kinds of workload; nil for registry.Workloads.
	Workloads []workload.Driver
	// Layers are the kinds of traffic layers; nil for registry.Layers.
	Layers translate.LayerKinds
	// Meter counts the requests that the gateway sends; nil if nothing is known of them.
	Meter RequestMeter
	// MayRunJobs says whether the controller has been let run Jobs in a namespace; nil for yes.
	MayRunJobs func(ctx context.Context, namespace string) (bool, error)
	// Watch has a kind of traffic object watched from then on; a kind that the cluster does not serve gives a
	// NoMatch error. It is called again and again.
	Watch func(schema.GroupVersionKind) error

	// woken has Rollouts looked at again of which something has come in.
	woken *loop.Waker

	queue      queueClasses
	looks      looks
	once       sync.Once
	shares     *shares
	waits      *waits
	troubles   *troubles
	firstReady *sightings
	classes    *classes
	layersSeen *layersSeen
	beginnings *beginnings
	fronts     *fronts
	rests      rests
}

// init fills in what the creator of a Reconciler has left out. Setup calls it, and Reconcile too, since tests
// reconcile without a Setup.
func (r *Reconciler) init() {
	r.once.Do(func() {
		if r.Workloads == nil {
			r.Workloads = registry.Workloads
		}
		if r.Layers == nil {
			r.Layers = registry.Layers
		}
		r.waits, r.troubles, r.firstReady = newWaits(passing), newTroubles(), newSightings()
		r.classes, r.shares, r.layersSeen, r.beginnings = newClasses(), newShares(), newLayersSeen(), newBeginnings()
		r.fronts = newFronts()
	})
}

// Reconcile takes one Rollout one decision further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	r.init()
	key := req.NamespacedName
	return loop.Run(ctx, r.Kube, key, func(ctx context.Context, write *kube.Writer) (ctrl.Result, error) {
		return r.look(ctx, write, key)
	})
}

// look observes, and acts upon what it has seen.
func (r *Reconciler) look(ctx context.Context, write *kube.Writer, key types.NamespacedName) (ctrl.Result, error) {
	w, err := r.observe(ctx, key)
	if err != nil {
		return ctrl.Result{}, err
	}
	// This comes before all else and needs no Rollout: also one that is gone may have left its mark on a workload.
	if err := r.freeStrays(ctx, write, key, w); err != nil {
		return ctrl.Result{}, err
	}
	if w == nil {
		result, err := r.answerStrays(ctx, write, key)
		// The cache may never show what was written for a Rollout that is gone. Without this, each later look would wait
		// for it.
		r.Kube.Forget(key)
		return result, err
	}
	if rel := w.active(); rel != nil {
		if r.remakeStable(ctx, write, w) {
			// The decision relies on the stable part, so it waits until the cache shows the new one.
			return ctrl.Result{RequeueAfter: loop.ConflictDelay}, nil
		}
		return r.drive(ctx, write, w, rel)
	}
	// Before atRest, which puts the Rollout into a higher class where a release is about to begin.
	r.queue.note(key, resting)
	result, err := r.atRest(ctx, write, w)
	result.Priority = new(int(r.queue.of(key)))
	return result, err
}

// wakeUp has a Rollout looked at again. It blocks until the controller listens. Without Setup, as in tests, nobody
// does, and it returns at once.
func (r *Reconciler) wakeUp(key types.NamespacedName) {
	if r.woken != nil {
		r.woken.Wake(context.Background(), &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace,
			Name:      key.Name,
		}})
	}
}

// keepsPaused says whether the controller has to keep workloads paused itself. Without the policy nothing else stops
// the Deployment controller from rolling a new template out at once.
func (r *Reconciler) keepsPaused() bool { return !r.PolicyInForce() }
