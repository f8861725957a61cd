package analysis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/registry"
)

// ask has one metric measured.
func (r *Reconciler) ask(ctx context.Context, write *kube.Writer, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	jobs *jobs, now time.Time,
) error {
	if m == nil {
		return nil
	}
	if m.Provider.Job != nil {
		err := r.startJob(ctx, write, run, m, jobs)
		if why := refused(err, run.Namespace); why != "" {
			r.cannotAsk(run.DeepCopy(), m.Name, why, now)
			return nil
		}
		return err
	}
	// The measurement outlives this look, so it gets copies of its own.
	run, m = run.DeepCopy(), m.DeepCopy()
	r.flights.start(run, m.Name, sourceOf(m), func(ctx context.Context) (o outcome) {
		defer survive(&o, run, m, now)
		if m.Compare != nil {
			return r.compareOnce(ctx, run, m, now)
		}
		o = outcome{metric: m.Name, at: now}
		o.measurement, o.noData = r.measure(ctx, run, m, now)
		return o
	}, func() { r.bringBack(run) })
	return nil
}

// survive makes an error of a panic: whatever a source answers concerns the run that asked it, and nobody else's.
func survive(o *outcome, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, now time.Time) {
	p := recover()
	if p == nil {
		return
	}
	ctrl.Log.WithName("analysis").Error(fmt.Errorf("%v", p), "Observed a panic in a measurement", "run", key(run),
		"metric", m.Name, "stack", string(debug.Stack()))
	*o = outcome{metric: m.Name, at: now, measurement: v1alpha1.Measurement{
		At: metav1.NewTime(now), Phase: v1alpha1.AnalysisError, Message: "Sluice failed over what the source answered; " +
			"please report this",
	}}
}

// bringBack has a run looked at again.
func (r *Reconciler) bringBack(run *v1alpha1.AnalysisRun) {
	r.landed.Wake(context.Background(), run)
}

// sourceOf names what is asked, so that not too much is asked of it at once.
func sourceOf(m *v1alpha1.Metric) string {
	p := m.Provider
	switch {
	case p.Prometheus != nil:
		return hostOf("prometheus", p.Prometheus.Address)
	case p.HTTP != nil:
		return hostOf("http", p.HTTP.URL)
	case p.Plugin != nil:
		return hostOf("plugin", p.Plugin.URL)
	case p.InfluxDB != nil:
		return hostOf("influxDB", p.InfluxDB.Address)
	case p.SkyWalking != nil:
		return hostOf("skyWalking", p.SkyWalking.Address)
	}
	return metric.Name(p)
}

// hostOf is the kind and the host of a source. Two paths on one host are one source, since the limit is there for
// the host.
func hostOf(kind, address string) string {
	if u, err := url.Parse(address); err == nil {
		return kind + " " + u.Host
	}
	return kind
}

// measure asks once, and says what the answer means, and whether it had no data.
func (r *Reconciler) measure(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	now time.Time,
) (out v1alpha1.Measurement, noData bool) {
	out = v1alpha1.Measurement{At: metav1.NewTime(now), Phase: v1alpha1.AnalysisError}
	condition, err := metric.Compile(metric.ShapeOf(m.Provider), m.SuccessCondition, m.FailureCondition)
	if err != nil {
		out.Message = metric.Bounded(err.Error(), messageLimit)
		return out, false
	}
	result, err := r.value(ctx, run, m, r.Calendar())
	if err != nil {
		out.Message = metric.Bounded(err.Error(), messageLimit)
		return out, isNoData(err)
	}
	out.Value = metric.Text(result.Value)
	if err := condition.Measured(result.Value); err != nil {
		out.Message = metric.Bounded(err.Error(), messageLimit)
		return out, isNoData(err)
	}
	out.Phase, out.Message = condition.Judge(result.Value, result.Status)
	if result.Note != "" {
		out.Message = metric.Bounded(out.Message+" ("+result.Note+")", messageLimit)
	}
	return out, false
}

// isNoData says whether a source has answered and has nothing for the query, which may be waited for (waitForData).
func isNoData(err error) bool {
	_, is := errors.AsType[metric.NoData](err)
	return is
}

// value asks the source of a metric once. Sources are given no client of the API server, so what needs one is measured
// here.
func (r *Reconciler) value(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	now time.Time,
) (metric.Result, error) {
	if m.Provider.Kubernetes != nil {
		return r.pods(ctx, run, m.Provider.Kubernetes)
	}
	source, name := registry.Metric(m.Provider)
	if source == nil {
		return metric.Result{}, fmt.Errorf("provider %q is not known; name one of those in kubectl explain "+
			"analysistemplate.spec.metrics.provider", name)
	}
	return source.Measure(ctx, metric.Query{
		Metric: m.Name, Provider: m.Provider, By: labelOf(m), Now: now, Egress: r.Egress, Prometheus: r.Prometheus,
		Secret: r.secrets(ctx, run.Namespace),
		Context: map[string]string{
			"namespace": run.Namespace, "release": run.Spec.Release, "step": run.Spec.Step,
			"stableHash": run.Spec.StableHash, "canaryHash": run.Spec.CanaryHash,
		},
	})
}

// secrets reads Secrets of the run's namespace. They are in no cache, and nothing of them is kept.
func (r *Reconciler) secrets(ctx context.Context, namespace string) func(name, key string) (string, error) {
	return func(name, key string) (string, error) {
		s := &corev1.Secret{}
		err := r.Kube.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s)
		switch {
		case apierrors.IsNotFound(err):
			return "", fmt.Errorf("the Secret %q is not in namespace %s; create it, or correct the name", name, namespace)
		case apierrors.IsForbidden(err):
			return "", fmt.Errorf("the Secret %q cannot be read; %s", name, deploy.LetReadSecrets(namespace))
		case err != nil:
			return "", fmt.Errorf("the Secret %q cannot be read: %s", name, reasonOf(err))
		}
		value, ok := s.Data[key]
		if !ok {
			return "", fmt.Errorf("%w: %q in Secret %q", metric.ErrNoKey, key, name)
		}
		return string(value), nil
	}
}

// reasonOf is what the API server says in a word: its messages may quote what was asked for.
func reasonOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "the API server did not answer in time"
	}
	if reason := apierrors.ReasonForError(err); reason != "" {
		return string(reason)
	}
	return "the API server cannot be reached"
}
