package analysis

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/metric"
)

// refused is why the API server will not have a Job, however often it is asked; empty if it may have it later. RBAC's
// refusal comes with the remedy. Other refusals (a quota, an admission policy, a field) speak for themselves.
func refused(err error, namespace string) string {
	status := apierrors.APIStatus(nil)
	switch {
	case err == nil || !errors.As(err, &status):
		return ""
	case !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
		return ""
	case apierrors.IsForbidden(err) && strings.Contains(status.Status().Message, `cannot create resource "jobs"`):
		return "the controller may not create Jobs in namespace " + namespace + "; " + deploy.LetRunJobs(namespace)
	}
	return "the API server refuses the Job: " + status.Status().Message
}

// cannotAsk makes a measurement of the fact that a metric cannot be measured: it counts as an error, so that the run
// ends by its consecutiveErrorLimit and says why.
func (r *Reconciler) cannotAsk(run *v1alpha1.AnalysisRun, name, why string, now time.Time) {
	o := outcome{metric: name, at: now, measurement: v1alpha1.Measurement{
		At: metav1.NewTime(now), Phase: v1alpha1.AnalysisError, Message: metric.Bounded(why, messageLimit),
	}}
	r.flights.start(run, name, "job", func(context.Context) outcome { return o }, func() { r.bringBack(run) })
}
