package analysis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/naming"
)

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// bench is one run of one release in a cluster without Kubernetes' own controllers.
type bench struct {
	*testing.T
	store client.WithWatch
	r     *Reconciler
	now   time.Time
	// failWrite has the next status write stored, and its answer lost.
	failWrite atomic.Bool
	writes    int
	// refuseCreate is the answer to each of creates.
	refuseCreate error
	creates      int
}

func newBench(t *testing.T, metrics ...v1alpha1.Metric) *bench {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{T: t, now: began}
	rel := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop-1", UID: "rel"},
		Status:     v1alpha1.ReleaseStatus{Phase: v1alpha1.ReleaseProgressing},
	}
	run := &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "demo", Name: "shop-1-smoke", UID: "run",
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rel, v1alpha1.GroupVersion.WithKind("Release"))},
		},
		Spec: v1alpha1.AnalysisRunSpec{Release: "shop-1", Step: "smoke", StableHash: "old", CanaryHash: "new", Metrics: metrics},
	}
	b.store = fake.NewClientBuilder().WithScheme(scheme).WithObjects(rel, run).
		WithStatusSubresource(&v1alpha1.AnalysisRun{}, &v1alpha1.Release{}, &batchv1.Job{}).
		WithIndex(&batchv1.Job{}, indexRun, func(o client.Object) []string { return ownerOf(o) }).Build()
	b.restart()
	return b
}

// restart gives the Reconciler a new process.
func (b *bench) restart() {
	c := interceptor.NewClient(b.store, interceptor.Funcs{
		Create: func(ctx context.Context, s client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if b.creates++; b.refuseCreate != nil {
				return b.refuseCreate
			}
			o.SetCreationTimestamp(metav1.NewTime(b.now))
			o.SetUID("made")
			return s.Create(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, s client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			b.writes++
			err := s.SubResource(sub).Patch(ctx, o, p, opts...)
			if err == nil && b.failWrite.Swap(false) {
				return errors.New("connection reset")
			}
			return err
		},
	})
	now := func() time.Time { return b.now }
	b.r = New(kube.New(c, c, now), now)
	egress, err := metric.NewEgress(metric.EgressOptions{Hosts: []string{"127.0.0.1"}, AllowLoopback: true})
	if err != nil {
		b.Fatal(err)
	}
	b.r.Egress = egress
	b.r.Logs = func(context.Context, string, string, string, int64) (string, error) {
		return strings.Repeat("request: status 500\n", 40) + "FAILED: 3 wrong\n", nil
	}
}

func (b *bench) run() *v1alpha1.AnalysisRun {
	b.Helper()
	run := &v1alpha1.AnalysisRun{}
	if err := b.store.Get(b.Context(), client.ObjectKey{Namespace: "demo", Name: "shop-1-smoke"}, run); err != nil {
		b.Fatal(err)
	}
	return run
}

// look reconciles once; what is asked for outside comes in before it returns.
func (b *bench) look() *v1alpha1.AnalysisRun {
	b.Helper()
	req := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: "shop-1-smoke"}}
	if _, err := b.r.Reconcile(b.Context(), req); err != nil && !strings.Contains(err.Error(), "connection reset") {
		b.Fatal(err)
	}
	for b.underWay() > 0 {
		select {
		case <-b.r.landed.Woken():
		case <-b.Context().Done():
			b.Fatal("a measurement never came in")
		}
		if _, err := b.r.Reconcile(b.Context(), req); err != nil && !strings.Contains(err.Error(), "connection reset") {
			b.Fatal(err)
		}
	}
	return b.run()
}

// underWay counts what was asked for and is not known to be written.
func (b *bench) underWay() int {
	b.r.flights.mu.Lock()
	defer b.r.flights.mu.Unlock()
	n := 0
	for _, f := range b.r.flights.runs {
		n += len(f.asked) - len(f.arrived)
	}
	return n
}

func (b *bench) after(d time.Duration) *v1alpha1.AnalysisRun {
	b.Helper()
	b.now = b.now.Add(d)
	return b.look()
}

func (b *bench) releaseIs(phase v1alpha1.ReleasePhase) {
	b.Helper()
	rel := &v1alpha1.Release{}
	if err := b.store.Get(b.Context(), client.ObjectKey{Namespace: "demo", Name: "shop-1"}, rel); err != nil {
		b.Fatal(err)
	}
	rel.Status.Phase = phase
	if err := b.store.Status().Update(b.Context(), rel); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) is(run *v1alpha1.AnalysisRun, phase v1alpha1.AnalysisPhase, words string) {
	b.Helper()
	if run.Status.Phase != phase || !strings.Contains(run.Status.Message, words) {
		b.Errorf("the run is %s: %q; want %s with %q", run.Status.Phase, run.Status.Message, phase, words)
	}
}

// server answers with what next says, and counts.
func server(t *testing.T, next func(n int) string) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, next(int(asked.Add(1))))
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func asks(url string, change func(*v1alpha1.Metric)) v1alpha1.Metric {
	m := v1alpha1.Metric{
		Name: "errors", SuccessCondition: "value < 1.0", Interval: &metav1.Duration{Duration: 10 * time.Second},
		Provider: v1alpha1.MetricProvider{HTTP: &v1alpha1.HTTPProvider{URL: url, JSONPath: "{.rate}"}},
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestMeasuresAtItsInterval(t *testing.T) {
	url, asked := server(t, func(n int) string { return fmt.Sprintf(`{"rate": 0.%d}`, n) })
	b := newBench(t, asks(url, func(m *v1alpha1.Metric) { m.Count = ptr.To(int32(3)) }))
	b.is(b.look(), v1alpha1.AnalysisRunning, "good in 1 of 1")
	b.look()
	b.after(9 * time.Second)
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times before the interval was over, want once", n)
	}
	b.after(time.Second)
	run := b.after(10 * time.Second)
	b.is(run, v1alpha1.AnalysisSuccessful, "errors was good in 3 of 3 measurements: 0.3")
	if m := run.Status.Metrics[0].Measurements; len(m) != 3 || m[1].Value != "0.2" || run.Status.FinishedAt == nil {
		t.Errorf("the record is %+v", run.Status)
	}
	writes := b.writes
	b.after(time.Hour)
	if b.writes != writes || asked.Load() != 3 {
		t.Error("something was measured or written after the end")
	}
}

func TestBadAndUnclear(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   v1alpha1.AnalysisPhase
		says   string
	}{
		"bad":       {`{"rate": 31}`, v1alpha1.AnalysisFailed, "31: successCondition does not hold: value < 1.0"},
		"no number": {`{"rate": "much"}`, v1alpha1.AnalysisError, "could not be measured once"},
		"nothing":   {`{}`, v1alpha1.AnalysisError, "could not be measured once"},
		"not JSON":  {`<html>`, v1alpha1.AnalysisError, "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := server(t, func(int) string { return tt.answer })
			b := newBench(t, asks(url, func(m *v1alpha1.Metric) { m.ConsecutiveErrorLimit = ptr.To(int32(0)) }))
			b.is(b.look(), tt.want, tt.says)
		})
	}
}

// TestAnUnreachableSourceIsAnError, after as many tries as are borne; it is never a success.
func TestAnUnreachableSourceIsAnError(t *testing.T) {
	b := newBench(t, asks("http://127.0.0.1:1/", nil))
	for range 4 {
		b.is(b.look(), v1alpha1.AnalysisRunning, "")
		b.now = b.now.Add(10 * time.Second)
	}
	b.is(b.look(), v1alpha1.AnalysisError, "could not be measured 5 times in a row (4 borne)")
}

func TestConcludes(t *testing.T) {
	url, _ := server(t, func(int) string { return `{"rate": 0}` })
	b := newBench(t, asks(url, nil))
	b.is(b.look(), v1alpha1.AnalysisRunning, "")
	run := b.run()
	run.Spec.Conclude = true
	if err := b.store.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	b.is(b.look(), v1alpha1.AnalysisSuccessful, "1 of 1")
}

// TestEndsWithItsRelease: an abort cancels, a success concludes.
func TestEndsWithItsRelease(t *testing.T) {
	for phase, want := range map[v1alpha1.ReleasePhase]v1alpha1.AnalysisPhase{
		v1alpha1.ReleaseAborting: v1alpha1.AnalysisCancelled, v1alpha1.ReleaseSuperseded: v1alpha1.AnalysisCancelled,
		v1alpha1.ReleaseSucceeded: v1alpha1.AnalysisSuccessful,
	} {
		url, _ := server(t, func(int) string { return `{"rate": 0}` })
		b := newBench(t, asks(url, nil))
		b.look()
		b.releaseIs(phase)
		b.is(b.look(), want, "")
		if b.run().Status.FinishedAt == nil {
			t.Errorf("%s: the run goes on", phase)
		}
	}
}

// TestALostAnswerIsNotCountedTwice: the measurement stands in the status though the write's answer never came.
func TestALostAnswerIsNotCountedTwice(t *testing.T) {
	url, asked := server(t, func(int) string { return `{"rate": 0}` })
	b := newBench(t, asks(url, nil))
	b.look()
	b.now = b.now.Add(10 * time.Second)
	b.failWrite.Store(true)
	b.look()
	run := b.look()
	if got := run.Status.Metrics[0]; got.Successful != 2 || len(got.Measurements) != 2 || asked.Load() != 2 {
		t.Errorf("%d counted and %d kept of %d asked; want 2", got.Successful, len(got.Measurements), asked.Load())
	}
}

// TestARestartGoesOn: what was written stays, what was under way is asked for anew.
func TestARestartGoesOn(t *testing.T) {
	url, _ := server(t, func(int) string { return `{"rate": 0}` })
	b := newBench(t, asks(url, func(m *v1alpha1.Metric) { m.Count = ptr.To(int32(2)) }))
	b.look()
	b.restart()
	b.is(b.look(), v1alpha1.AnalysisRunning, "1 of 1")
	b.is(b.after(10*time.Second), v1alpha1.AnalysisSuccessful, "2 of 2")
}

// TestASlowSourceHoldsNobodyUp: while it is asked, the worker is free, and the run's other metric is measured.
func TestASlowSourceHoldsNobodyUp(t *testing.T) {
	hung := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(hung); slow.Close() })
	url, _ := server(t, func(int) string { return `{"rate": 31}` })
	b := newBench(t, asks(slow.URL, func(m *v1alpha1.Metric) { m.Name = "slow" }), asks(url, nil))
	req := ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "demo", Name: "shop-1-smoke"}}
	if _, err := b.r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	<-b.r.landed.Woken() // The quick one's.
	if _, err := b.r.Reconcile(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	b.is(b.run(), v1alpha1.AnalysisFailed, "errors failed once")
	if b.underWay() != 0 {
		t.Error("what was asked of the slow source goes on after the end of the run")
	}
}

// TestSecretsStayOut: not a word of a Secret, nor of the server's answer, gets into the record.
func TestSecretsStayOut(t *testing.T) {
	const token = "hunter2-hunter2"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error": "bad token %s"}`, r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	b := newBench(t, asks(s.URL, func(m *v1alpha1.Metric) {
		m.Provider.HTTP.Connection = &v1alpha1.Connection{BearerToken: &v1alpha1.SecretKeyReference{Name: "api", Key: "token"}}
	}))
	b.is(b.look(), v1alpha1.AnalysisRunning, `the Secret "api" is not in namespace demo`)
	if err := b.store.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "api"}, Data: map[string][]byte{"token": []byte(token)},
	}); err != nil {
		t.Fatal(err)
	}
	run := b.after(10 * time.Second)
	b.is(run, v1alpha1.AnalysisRunning, "401")
	if text := fmt.Sprintf("%+v", run.Status); strings.Contains(text, token) {
		t.Errorf("the Secret is in the status: %s", text)
	}
}

func pod(name, hash string, ready bool, restarts int32, reason string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, Labels: map[string]string{v1alpha1.LabelPodTemplateHash: hash}}}
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if ready {
		c.Status = corev1.ConditionTrue
	}
	p.Status.Conditions = []corev1.PodCondition{c}
	s := corev1.ContainerStatus{Name: "web", RestartCount: restarts}
	if reason != "" {
		s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: reason}
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{s}
	return p
}

func TestPods(t *testing.T) {
	m := v1alpha1.Metric{
		Name: "pods", SuccessCondition: "result.restarts == 0.0 && result.readyShare >= result.stableReadyShare",
		FailureCondition: "result.oomKills > 0.0 || result.restarts > 2.0",
		Provider:         v1alpha1.MetricProvider{Kubernetes: &v1alpha1.KubernetesProvider{}},
	}
	for name, tt := range map[string]struct {
		pods []*corev1.Pod
		want v1alpha1.AnalysisPhase
		says string
	}{
		"well":         {[]*corev1.Pod{pod("a", "new", true, 0, ""), pod("b", "old", true, 7, "")}, v1alpha1.AnalysisSuccessful, ""},
		"killed":       {[]*corev1.Pod{pod("a", "new", true, 1, "OOMKilled"), pod("b", "old", true, 0, "")}, v1alpha1.AnalysisFailed, "oomKills"},
		"crash loop":   {[]*corev1.Pod{pod("a", "new", false, 3, "Error"), pod("b", "old", true, 0, "")}, v1alpha1.AnalysisFailed, "failed once"},
		"one restart":  {[]*corev1.Pod{pod("a", "new", true, 1, "Error"), pod("b", "old", true, 0, "")}, v1alpha1.AnalysisInconclusive, "neither"},
		"no pod of it": {[]*corev1.Pod{pod("b", "old", true, 0, "")}, v1alpha1.AnalysisRunning, "the new revision has no pods"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, m)
			for _, p := range tt.pods {
				if err := b.store.Create(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			b.is(b.look(), tt.want, tt.says)
		})
	}
}

func jobMetric() v1alpha1.Metric {
	return v1alpha1.Metric{Name: "smoke", Provider: v1alpha1.MetricProvider{Job: &v1alpha1.JobProvider{
		Containers: []v1alpha1.JobContainer{{Name: "check", Image: "check", Args: []string{"--url", "http://shop-canary"}}},
	}}}
}

func (b *bench) job(number int) *batchv1.Job {
	b.Helper()
	list := &batchv1.JobList{}
	if err := b.store.List(b.Context(), list); err != nil {
		b.Fatal(err)
	}
	for i := range list.Items {
		if strings.HasPrefix(list.Items[i].Name, fmt.Sprintf("shop-1-smoke-smoke-%d-", number)) {
			return &list.Items[i]
		}
	}
	b.Fatalf("no Job %d among %d", number, len(list.Items))
	return nil
}

func (b *bench) ends(j *batchv1.Job, kind batchv1.JobConditionType) {
	b.Helper()
	j.Status.Conditions = []batchv1.JobCondition{{Type: kind, Status: corev1.ConditionTrue, Message: "Job has reached the specified backoff limit"}}
	if err := b.store.Status().Update(b.Context(), j); err != nil {
		b.Fatal(err)
	}
}

func TestJob(t *testing.T) {
	b := newBench(t, jobMetric())
	b.look()
	b.look()
	j := b.job(1)
	if *j.Spec.BackoffLimit != 0 || *j.Spec.ActiveDeadlineSeconds != 600 || j.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("the Job is %+v", j.Spec)
	}
	b.restart() // A Job is found again.
	b.is(b.look(), v1alpha1.AnalysisRunning, "not measured yet")
	b.ends(b.job(1), batchv1.JobComplete)
	b.is(b.look(), v1alpha1.AnalysisSuccessful, "smoke was good in 1 of 1 measurement: completed")
}

// jobHasPod makes the pod of the Job, whose log can be read.
func (b *bench) jobHasPod() {
	b.Helper()
	job, yes := b.job(1), true
	if err := b.store.Create(b.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "demo", Name: "p", Labels: job.Spec.Template.Labels,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID, Controller: &yes}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "check"}}},
	}); err != nil {
		b.Fatal(err)
	}
}

// TestJobFails keeps the end of the log.
func TestJobFails(t *testing.T) {
	b := newBench(t, jobMetric())
	b.look()
	b.jobHasPod()
	b.ends(b.job(1), batchv1.JobFailed)
	run := b.look()
	b.is(run, v1alpha1.AnalysisFailed, "backoff limit: FAILED: 3 wrong") // The last line alone.
	if m := run.Status.Metrics[0].Measurements[0].Message; !strings.Contains(m, "FAILED: 3 wrong") || !strings.Contains(m, "backoff limit") {
		t.Errorf("the record says %q", m)
	}
}

// TestALogThatHangsHoldsNobodyUp: a node that does not answer delays the verdict by one time-out, and takes nothing else.
func TestALogThatHangsHoldsNobodyUp(t *testing.T) {
	b := newBench(t, jobMetric())
	b.look()
	b.jobHasPod()
	b.ends(b.job(1), batchv1.JobComplete)
	b.r.Logs = func(ctx context.Context, _, _, _ string, _ int64) (string, error) {
		if _, ends := ctx.Deadline(); !ends {
			t.Error("it waits without end")
		}
		return "", context.DeadlineExceeded
	}
	b.is(b.look(), v1alpha1.AnalysisSuccessful, "the API server did not answer in time")
}

// TestJobEndsWithItsRelease: nothing runs on that nobody waits for.
func TestJobEndsWithItsRelease(t *testing.T) {
	b := newBench(t, jobMetric())
	b.look()
	b.releaseIs(v1alpha1.ReleaseAborting)
	b.is(b.look(), v1alpha1.AnalysisCancelled, "")
	list := &batchv1.JobList{}
	if err := b.store.List(t.Context(), list); err != nil || len(list.Items) != 0 {
		t.Errorf("%d Jobs are left: %v", len(list.Items), err)
	}
}

// TestFaultA14JobsNotAllowed proves that a Job that the API server will never have is asked for as often as the metric's
// consecutiveErrorLimit says, and not for ever, and that the run says what to do.
func TestFaultA14JobsNotAllowed(t *testing.T) {
	resource := schema.GroupResource{Group: "batch", Resource: "jobs"}
	rbac := apierrors.NewForbidden(resource, "", errors.New(`User "system:serviceaccount:sluice-system:sluice" cannot create resource "jobs" in API group "batch" in the namespace "demo"`))
	rbac.ErrStatus.Message = `jobs.batch is forbidden: User "system:serviceaccount:sluice-system:sluice" cannot create resource "jobs" in API group "batch" in the namespace "demo"`
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"no right": {rbac, "the controller may not create Jobs in namespace demo; let the controller run Jobs in this namespace: " +
			"kubectl create rolebinding sluice-job-runner -n demo --clusterrole sluice-job-runner --serviceaccount sluice-system:sluice"},
		"quota":   {apierrors.NewForbidden(resource, "x", errors.New("exceeded quota: few")), "the API server refuses the Job: "},
		"invalid": {apierrors.NewBadRequest("no such field"), "the API server refuses the Job: no such field"},
	} {
		t.Run(name, func(t *testing.T) {
			m := jobMetric()
			m.Interval = &metav1.Duration{Duration: time.Second}
			b := newBench(t, m)
			b.refuseCreate = test.err
			var run *v1alpha1.AnalysisRun
			for range 20 {
				run = b.look()
				b.now = b.now.Add(time.Minute)
			}
			b.is(run, v1alpha1.AnalysisError, test.says)
			if n := b.creates; n == 0 || n > 10 {
				t.Errorf("%d times asked for", n)
			}
		})
	}
}

// TestNamesOfJobs fit the 63 characters of a label, and differ.
func TestNamesOfJobs(t *testing.T) {
	long := strings.Repeat("a", 63)
	seen := map[string]bool{}
	for _, run := range []string{"shop-1-smoke", "shop-1.background", long + "-" + long + ".2", long + "-" + long} {
		for _, m := range []string{"errors", "P95_latency.ms", strings.Repeat("m", 63)} {
			for _, n := range []int{1, 10000} {
				name := naming.Job(run, m, n) + "abcde"
				if len(name) > 63 || seen[name] || strings.ContainsAny(name, "._") || name != strings.ToLower(name) {
					t.Errorf("%s, %s, %d: %q", run, m, n, name)
				}
				seen[name] = true
			}
		}
	}
}

// TestSurvive: a panic over what a source has answered is an error of that measurement, and of nothing else.
func TestSurvive(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := func() (o outcome) {
		defer survive(&o, &v1alpha1.AnalysisRun{}, &v1alpha1.Metric{Name: "errors"}, now)
		panic("over an answer")
	}()
	if o.metric != "errors" || o.measurement.Phase != v1alpha1.AnalysisError || !strings.Contains(o.measurement.Message, "please report this") {
		t.Errorf("it comes to %+v", o)
	}
}

// TestSourcesAreForgotten: what was asked once is not remembered for good.
func TestSourcesAreForgotten(t *testing.T) {
	f, run := newFlights(), &v1alpha1.AnalysisRun{}
	came, release := make(chan struct{}), make(chan struct{})
	for _, metric := range []string{"a", "b"} {
		f.start(run, metric, "http x", func(context.Context) outcome { <-release; return outcome{metric: metric} }, func() { came <- struct{}{} })
	}
	if n := f.sources(); n != 1 {
		t.Errorf("%d sources while one is asked", n)
	}
	close(release)
	<-came
	<-came
	for f.sources() > 0 { // Each is forgotten right after.
		goruntime.Gosched()
	}
}

func (f *flights) sources() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.hosts)
}

// TestClockSetBack: what was written by a clock that was then set back keeps a run from measuring for one interval at most.
func TestClockSetBack(t *testing.T) {
	url, asked := server(t, func(int) string { return `{"rate": 0}` })
	b := newBench(t, asks(url, func(m *v1alpha1.Metric) { m.Count = ptr.To(int32(5)) }))
	b.look()
	b.now = b.now.Add(-3 * time.Hour)
	before := asked.Load()
	b.look()
	b.after(10 * time.Second)
	if got := asked.Load() - before; got != 1 {
		t.Errorf("asked %d times in the interval after", got)
	}
}

// TestFaultA6ForgedJob: a Job that somebody else has made counts for nothing, whatever it is called, bears or belongs to;
// nor is anybody helped by deleting Sluice's own.
func TestFaultA6ForgedJob(t *testing.T) {
	forge := func(b *bench, run *v1alpha1.AnalysisRun, name string, ended bool) {
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "demo", Name: name, UID: types.UID("forged-" + name), CreationTimestamp: metav1.NewTime(b.now),
			Labels:          map[string]string{labelMetric: "smoke", v1alpha1.LabelRelease: "shop-1"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, v1alpha1.GroupVersion.WithKind("AnalysisRun"))},
		}}
		if err := b.store.Create(b.Context(), j); err != nil {
			b.Fatal(err)
		}
		if ended {
			b.ends(j, batchv1.JobComplete)
		}
	}
	count := func(b *bench) int {
		list := &batchv1.JobList{}
		if err := b.store.List(b.Context(), list); err != nil {
			b.Fatal(err)
		}
		return len(list.Items)
	}
	t.Run("before Sluice's", func(t *testing.T) {
		b := newBench(t, jobMetric())
		run := &v1alpha1.AnalysisRun{}
		if err := b.store.Get(t.Context(), client.ObjectKey{Namespace: "demo", Name: "shop-1-smoke"}, run); err != nil {
			t.Fatal(err)
		}
		forge(b, run, "shop-1-smoke-smoke-1", true)
		b.is(b.look(), v1alpha1.AnalysisRunning, "not measured yet")
		b.ends(b.job(1), batchv1.JobFailed)
		b.is(b.look(), v1alpha1.AnalysisFailed, "failed")
	})
	t.Run("beside Sluice's, and under way", func(t *testing.T) {
		b := newBench(t, jobMetric())
		run := b.look()
		forge(b, run, "other", false)
		b.look()
		if n := count(b); n != 1 {
			t.Errorf("%d Jobs, want Sluice's alone", n)
		}
		forge(b, run, "ended", true)
		b.is(b.look(), v1alpha1.AnalysisRunning, "not measured yet")
	})
	t.Run("in the place of Sluice's", func(t *testing.T) {
		b := newBench(t, jobMetric())
		run := b.look()
		mine := b.job(1)
		if err := b.store.Delete(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		forge(b, run, mine.Name, true)
		run = b.look()
		if r := run.Status.Metrics[0]; r.Successful != 0 || r.Errors != 1 || !strings.Contains(r.Measurements[0].Message, "was deleted") {
			t.Errorf("it counts: %+v", r)
		}
	})
	t.Run("the note of the UID is lost", func(t *testing.T) {
		b := newBench(t, jobMetric())
		run := b.look()
		run.Status.Metrics[0].Job, run.Status.Metrics[0].JobUID = "", ""
		if err := b.store.Status().Update(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		b.look()
		b.look()
		if n := count(b); n != 1 {
			t.Errorf("%d Jobs, want one made anew", n)
		}
		b.ends(b.job(1), batchv1.JobComplete)
		b.is(b.look(), v1alpha1.AnalysisSuccessful, "smoke was good in 1 of 1 measurement: completed")
	})
}
