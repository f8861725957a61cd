package analysis

import (
	"context"
	"fmt"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/naming"
)

const (
	// labelMetric on a Job says what it measures.
	labelMetric = "sluice.dev/metric"
	// labelMeasurement on a Job and its pods is different for each Job.
	labelMeasurement = "sluice.dev/measurement"
	// indexRun finds the Jobs of a run.
	indexRun = "run"

	defaultJobDeadline = 10 * time.Minute
	// logLines of a Job's log are kept, within logLimit.
	logLines = 30
)

// jobs are the Jobs of one run.
type jobs struct {
	// running by metric.
	running  map[string]bool
	outcomes []outcome
	// strays say that they belong to the run and were not made by Sluice, or by one that died before it could note it.
	strays []*batchv1.Job
}

// jobs looks at the Jobs of a run. One that Sluice has made, which it knows by the UID that it was given then, is a
// measurement when it has ended. Whoever may make Jobs can give one the run as its owner, and its labels.
func (r *Reconciler) jobs(ctx context.Context, run *v1alpha1.AnalysisRun) (*jobs, error) {
	out := &jobs{running: map[string]bool{}}
	if !measuresByJob(run) {
		return out, nil
	}
	list := &batchv1.JobList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(run.Namespace),
		client.MatchingFields{indexRun: run.Name}); err != nil {
		return nil, fmt.Errorf("list Jobs: %w", err)
	}
	found := map[string]*batchv1.Job{}
	for i := range list.Items {
		found[string(list.Items[i].UID)] = &list.Items[i]
	}
	for i := range run.Status.Metrics {
		m := &run.Status.Metrics[i]
		if m.JobUID == "" {
			continue
		}
		job, err := r.jobOf(ctx, run, m, found[m.JobUID])
		if err != nil {
			return nil, err
		}
		delete(found, m.JobUID)
		done, good := false, false
		if job != nil {
			done, good = ended(job)
		}
		switch {
		case job == nil:
			out.outcomes = append(out.outcomes, gone(m, r.Now()))
		case !done:
			out.running[m.Name] = true
		default:
			out.outcomes = append(out.outcomes, r.jobOutcome(ctx, run, job, m.Name, good))
		}
	}
	for _, job := range found {
		if done, _ := ended(job); !done && metav1.IsControlledBy(job, run) {
			out.strays = append(out.strays, job)
		}
	}
	return out, nil
}

// jobOf is the Job of a metric, or nil if it is gone. What the cache does not show may only not be there yet.
func (r *Reconciler) jobOf(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.MetricResult,
	cached *batchv1.Job,
) (*batchv1.Job, error) {
	if cached != nil {
		return cached, nil
	}
	job := &batchv1.Job{}
	err := r.Kube.Live.Get(ctx, types.NamespacedName{Namespace: run.Namespace, Name: m.Job}, job)
	switch {
	case apierrors.IsNotFound(err) || err == nil && string(job.UID) != m.JobUID:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read Job %s: %w", m.Job, err)
	}
	return job, nil
}

// gone is the outcome of a Job that somebody has deleted.
func gone(m *v1alpha1.MetricResult, now time.Time) outcome {
	return outcome{metric: m.Name, at: now, measurement: v1alpha1.Measurement{
		At: metav1.NewTime(now), Phase: v1alpha1.AnalysisError, Message: "Job " + m.Job + " was deleted before it was " +
			"looked at",
	}}
}

func measuresByJob(run *v1alpha1.AnalysisRun) bool {
	for i := range run.Spec.Metrics {
		if run.Spec.Metrics[i].Provider.Job != nil {
			return true
		}
	}
	return false
}

// ended says whether the Job controller has come to an end with a Job, and whether the Job completed. Pods are not
// looked at: one that failed may be tried again (backoffLimit).
func ended(job *batchv1.Job) (done, good bool) {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete:
			return true, true
		case batchv1.JobFailed:
			return true, false
		default: // On the way.
		}
	}
	return false, false
}

// jobOutcome is what an ended Job says: it was good if it completed. An image that could not be pulled has failed by
// its deadline, and is bad.
func (r *Reconciler) jobOutcome(ctx context.Context, run *v1alpha1.AnalysisRun, job *batchv1.Job, name string,
	good bool,
) outcome {
	m := v1alpha1.Measurement{At: job.CreationTimestamp, Phase: v1alpha1.AnalysisFailed, Value: "failed"}
	if good {
		m.Phase, m.Value = v1alpha1.AnalysisSuccessful, "completed"
	}
	m.Message = metric.Bounded("Job "+job.Name+why(job), logLimit/4)
	if tail := r.tail(ctx, run.Namespace, job); tail != "" {
		m.Message += "\n" + lastOf(tail, logLimit/2) // Its lines stay lines.
	}
	return outcome{metric: name, at: job.CreationTimestamp.Time, measurement: m}
}

func why(job *batchv1.Job) string {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			return " failed: " + c.Message
		}
	}
	return " completed"
}

// tail is the end of the log of the Job's newest pod. The verdict does not depend on it, so a log that cannot be read
// is no error.
func (r *Reconciler) tail(ctx context.Context, namespace string, job *batchv1.Job) string {
	// The API server asks the pod's node, which may have hung: a worker must not wait for it longer than for a source.
	ctx, cancel := context.WithTimeout(ctx, metric.DefaultTimeout)
	defer cancel()
	list := &corev1.PodList{}
	err := r.Kube.Live.List(ctx, list, client.InNamespace(namespace), client.MatchingLabels(podsOf(job)), client.Limit(10))
	if err != nil {
		return ""
	}
	var newest *corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		if metav1.IsControlledBy(p, job) && (newest == nil || p.CreationTimestamp.After(newest.CreationTimestamp.Time)) {
			newest = p
		}
	}
	if newest == nil {
		return ""
	}
	var out []string
	for _, c := range newest.Spec.Containers {
		text, err := r.Logs(ctx, namespace, newest.Name, c.Name, logLines)
		switch {
		case err != nil:
			out = append(out, fmt.Sprintf("(the log of container %s cannot be read: %s)", c.Name, reasonOf(err)))
		case strings.TrimSpace(text) != "":
			out = append(out, lastOf(strings.TrimSpace(text), logLimit/2))
		}
	}
	return strings.Join(out, "\n")
}

// lastOf keeps the end of a text, from the beginning of a line on if there is one.
func lastOf(text string, limit int) string {
	text = strings.ToValidUTF8(text, "")
	if len(text) <= limit {
		return text
	}
	text = text[len(text)-limit:]
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[i+1:]
	}
	return strings.ToValidUTF8(text, "")
}

// startJob makes the next Job of a metric, unless one is under way, and notes its UID. Should that note be lost, the
// Job is deleted as a stray, and another one is made.
func (r *Reconciler) startJob(ctx context.Context, write *kube.Writer, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	js *jobs,
) error {
	if js.running[m.Name] {
		return nil
	}
	after := run.DeepCopy()
	result := resultIn(&after.Status, m.Name, m.DryRun)
	nth := result.Successful + result.Failed + result.Inconclusive + result.Errors + 1
	job := makeJob(run, m, int(nth), string(uuid.NewUUID()))
	if err := write.Create(ctx, job); err != nil {
		return err
	}
	// By the UID, since whoever may delete and make Jobs can put another one under this name.
	result.Job, result.JobUID = job.Name, string(job.UID)
	return write.PatchStatus(ctx, run, after)
}

// podsOf is what the pods of a Job are found by.
func podsOf(job *batchv1.Job) map[string]string {
	if job.Spec.Selector == nil {
		return map[string]string{batchv1.ControllerUidLabel: string(job.UID)}
	}
	return job.Spec.Selector.MatchLabels
}

// makeJob is the nth Job of a metric. Its pods are found by a label of Sluice's own, since the policy
// sluice-keep-measurements lets nobody but the Job controller make pods with it: the Job controller adopts any pod that
// its selector matches.
func makeJob(run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, nth int, nonce string) *batchv1.Job {
	p := m.Provider.Job
	deadline := defaultJobDeadline
	if p.Deadline != nil {
		deadline = p.Deadline.Duration
	}
	labels := map[string]string{labelMetric: m.Name, v1alpha1.LabelRelease: run.Spec.Release, labelMeasurement: nonce}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: run.Namespace, GenerateName: naming.Job(run.Name, m.Name, nth), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run,
				v1alpha1.GroupVersion.WithKind("AnalysisRun"))},
		},
		Spec: batchv1.JobSpec{
			ActiveDeadlineSeconds: ptr.To(int64(max(deadline, time.Second) / time.Second)),
			BackoffLimit:          ptr.To(int32(number(p.BackoffLimit, 0))),
			ManualSelector:        ptr.To(true),
			Selector:              &metav1.LabelSelector{MatchLabels: map[string]string{labelMeasurement: nonce}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: p.ServiceAccountName, Containers: containers(p),
				},
			},
		},
	}
}

// containers are those of the Job's pod. A Secret is named there and not read here: the kubelet puts its value in.
func containers(p *v1alpha1.JobProvider) []corev1.Container {
	var out []corev1.Container
	for _, c := range p.Containers {
		k := corev1.Container{Name: c.Name, Image: c.Image, Command: c.Command, Args: c.Args}
		for _, e := range c.Env {
			v := corev1.EnvVar{Name: e.Name, Value: e.Value}
			if e.Secret != nil {
				v.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
					LocalObjectReference: corev1.LocalObjectReference{Name: e.Secret.Name}, Key: e.Secret.Key,
				}}
			}
			k.Env = append(k.Env, v)
		}
		out = append(out, k)
	}
	return out
}

// endJobs ends the Jobs of a run that has ended. Those that ended by themselves are kept with the run, for their logs.
func (r *Reconciler) endJobs(ctx context.Context, write *kube.Writer, run *v1alpha1.AnalysisRun) error {
	if !measuresByJob(run) {
		return nil
	}
	list := &batchv1.JobList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(run.Namespace),
		client.MatchingFields{indexRun: run.Name}); err != nil {
		return fmt.Errorf("list Jobs: %w", err)
	}
	for i := range list.Items {
		job := &list.Items[i]
		if done, _ := ended(job); done || !metav1.IsControlledBy(job, run) {
			continue
		}
		err := write.Delete(ctx, job)
		if apierrors.IsForbidden(err) {
			// The right was taken away meanwhile. The Job ends by its deadline, and goes with the run.
			ctrl.LoggerFrom(ctx).Info("a Job of an ended run may not be deleted", "job", job.Name, "remedy",
				deploy.LetRunJobs(run.Namespace))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
