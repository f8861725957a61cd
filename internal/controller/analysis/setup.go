package analysis

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// workers is the number of runs that are looked at at the same time; none waits for a source.
const workers = 4

// indexRelease finds the runs of a release.
const indexRelease = "release"

// Setup wires the Reconciler to a manager.
func (r *Reconciler) Setup(ctx context.Context, mgr manager.Manager) error {
	ix := mgr.GetFieldIndexer()
	if err := ix.IndexField(ctx, &batchv1.Job{}, indexRun,
		func(o client.Object) []string { return ownerOf(o) }); err != nil {
		return fmt.Errorf("index Jobs: %w", err)
	}
	if err := ix.IndexField(ctx, &v1alpha1.AnalysisRun{}, indexRelease, func(o client.Object) []string {
		return []string{o.(*v1alpha1.AnalysisRun).Spec.Release}
	}); err != nil {
		return fmt.Errorf("index AnalysisRuns: %w", err)
	}
	c, err := controller.New("analysis", mgr, controller.Options{
		Reconciler: r, MaxConcurrentReconciles: workers,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond,
			30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("make controller: %w", err)
	}
	for _, s := range []source.Source{
		source.Kind(mgr.GetCache(), &v1alpha1.AnalysisRun{}, &handler.TypedEnqueueRequestForObject[*v1alpha1.AnalysisRun]{}),
		source.Kind(mgr.GetCache(), &batchv1.Job{},
			handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, j *batchv1.Job) []reconcile.Request {
				return named(j.Namespace, ownerOf(j)...)
			})),
		source.Kind(mgr.GetCache(), &v1alpha1.Release{}, handler.TypedEnqueueRequestsFromMapFunc(r.runsOf)),
		r.landed.Source(),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

// runsOf are the unfinished runs of a release, which end when it does. Where they cannot be listed none is brought
// back: each looks at its release itself, every recheck at the latest.
func (r *Reconciler) runsOf(ctx context.Context, rel *v1alpha1.Release) []reconcile.Request {
	if rel.Status.Phase != v1alpha1.ReleaseAborting && !rel.Status.Phase.Terminal() {
		return nil
	}
	list := &v1alpha1.AnalysisRunList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(rel.Namespace),
		client.MatchingFields{indexRelease: rel.Name}); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if list.Items[i].Status.FinishedAt == nil {
			out = append(out, named(rel.Namespace, list.Items[i].Name)...)
		}
	}
	return out
}

func named(namespace string, names ...string) []reconcile.Request {
	var out []reconcile.Request
	for _, n := range names {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: n}})
	}
	return out
}

// ownerOf is the name of the run that an object belongs to, if it does to one.
func ownerOf(o client.Object) []string {
	if c := metav1.GetControllerOf(o); c != nil && c.Kind == "AnalysisRun" {
		return []string{c.Name}
	}
	return nil
}

// Cache keeps of all Jobs only those of runs. A cluster may have thousands of others, of which nothing is asked.
func Cache() map[client.Object]cache.ByObject {
	has, err := labels.NewRequirement(labelMetric, selection.Exists, nil)
	if err != nil {
		panic(err) // The label is a constant.
	}
	return map[client.Object]cache.ByObject{&batchv1.Job{}: {Label: labels.NewSelector().Add(*has)}}
}
