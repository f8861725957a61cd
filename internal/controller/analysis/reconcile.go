package analysis

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	pure "github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
)

// Reconciler looks after AnalysisRuns.
type Reconciler struct {
	Kube *kube.Client
	// Now is the time that intervals go by; Calendar the one that sources are asked for, which may step.
	Now, Calendar func() time.Time
	// Egress says what may be asked; Prometheus is the address of the installation's own.
	Egress     *metric.Egress
	Prometheus string
	// Logs reads the end of a container's log.
	Logs func(ctx context.Context, namespace, pod, container string, lines int64) (string, error)

	flights *flights
	// landed has runs looked at again whose measurement has come in.
	landed *loop.Waker
}

// New makes a Reconciler; its other fields are the caller's to set.
func New(client *kube.Client, now func() time.Time) *Reconciler {
	return &Reconciler{Kube: client, Now: now, Calendar: now, flights: newFlights(), landed: loop.NewWaker()}
}

// Reconcile takes one run further: what has come in is written down, what is due is asked.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	return loop.Run(ctx, r.Kube, req.NamespacedName, func(ctx context.Context, write *kube.Writer) (ctrl.Result, error) {
		return r.look(ctx, write, req.NamespacedName)
	})
}

func (r *Reconciler) look(ctx context.Context, write *kube.Writer, key types.NamespacedName) (ctrl.Result, error) {
	run := &v1alpha1.AnalysisRun{}
	err := r.Kube.Get(ctx, key, run)
	if apierrors.IsNotFound(err) || err == nil && (run.Status.FinishedAt != nil || run.DeletionTimestamp != nil) {
		r.flights.cancel(key)
		r.Kube.Forget(key)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("read AnalysisRun %s: %w", key, err)
	}
	end, err := r.endOf(ctx, run)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.further(ctx, write, run, end)
}

// end is what the release has come to, for its analyses.
type end int

const (
	goesOn end = iota
	// concludes: what was measured gives the verdict.
	concludes
	// cancels: nobody asks for a verdict any more.
	cancels
)

// endOf looks at the release that the run belongs to. Without it nothing is measured.
func (r *Reconciler) endOf(ctx context.Context, run *v1alpha1.AnalysisRun) (end, error) {
	rel := &v1alpha1.Release{}
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.Release}, rel)
	if apierrors.IsNotFound(err) {
		return cancels, nil
	}
	if err != nil {
		return goesOn, fmt.Errorf("read Release %s: %w", run.Spec.Release, err)
	}
	switch {
	case !metav1.IsControlledBy(run, rel):
		return cancels, nil
	case rel.Status.Phase == v1alpha1.ReleaseSucceeded:
		return concludes, nil
	case rel.Status.Phase == v1alpha1.ReleaseAborting || rel.Status.Phase.Terminal():
		return cancels, nil
	case run.Spec.Conclude:
		return concludes, nil
	}
	return goesOn, nil
}

// further writes down what has come in and asks what is due.
func (r *Reconciler) further(ctx context.Context, write *kube.Writer, run *v1alpha1.AnalysisRun, e end) (
	ctrl.Result, error,
) {
	key, now := types.NamespacedName{Namespace: run.Namespace, Name: run.Name}, r.Now()
	after := run.DeepCopy()
	if after.Status.StartedAt == nil {
		after.Status.StartedAt = &metav1.Time{Time: now}
	}
	notAhead(&after.Status, now)
	jobs, err := r.jobs(ctx, run)
	if err != nil {
		return ctrl.Result{}, err
	}
	for _, job := range jobs.strays {
		// Without the right to delete it the run goes on: a stray Job measures nothing.
		if err := write.Delete(ctx, job); err != nil && !apierrors.IsForbidden(err) {
			return ctrl.Result{}, err
		}
	}
	landed := append(r.flights.landed(run), jobs.outcomes...)
	for _, o := range landed {
		record(after, o)
	}
	p := pure.Look(metricsOf(run), resultsOf(after), after.Status.StartedAt.Time, now, e == concludes)
	project(after, p, now)
	if e == cancels {
		cancelled(after, now)
	}
	// What has come in is written before more is asked, so a process that dies asks at most for what was under way once
	// more.
	if err := write.PatchStatus(ctx, run, after); err != nil {
		return ctrl.Result{}, err
	}
	r.flights.written(run, landed)
	if after.Status.FinishedAt != nil {
		r.flights.cancel(key)
		// A finished run is not looked at again. If the process dies here, or the deletion fails, a Job that still runs
		// ends by its deadline.
		return ctrl.Result{}, r.endJobs(ctx, write, run)
	}
	for _, name := range p.Due {
		if err := r.ask(ctx, write, after, metricOf(after, name), jobs, now); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{RequeueAfter: wake(p, now)}, nil
}

// recheck bounds how long a missed event can delay a run.
const recheck = 30 * time.Second

// wake is when the run is looked at again. controller-runtime takes a time of 0 for never, so it is a millisecond at
// least.
func wake(p pure.Progress, now time.Time) time.Duration {
	if p.Wake.IsZero() || p.Wake.Sub(now) > recheck {
		return recheck
	}
	return max(p.Wake.Sub(now), time.Millisecond)
}
