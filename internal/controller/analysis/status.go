package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	pure "github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/metric"
)

const (
	// keptMeasurements is the number of measurements of a metric that are kept.
	keptMeasurements = 20
	// messageLimit and logLimit are in bytes; logLimit is for the message of a Job, which has the end of its log.
	messageLimit = 1024
	logLimit     = 4096

	// defaultErrorLimit is the number of errors in a row that are borne; one more makes the metric an error.
	defaultErrorLimit = 4
)

// metricsOf are the run's metrics in the words of the pure core.
func metricsOf(run *v1alpha1.AnalysisRun) []pure.Metric {
	out := make([]pure.Metric, 0, len(run.Spec.Metrics))
	for i := range run.Spec.Metrics {
		out = append(out, ruleOf(&run.Spec.Metrics[i]))
	}
	return out
}

// ruleOf is how a metric is judged, in the words of the pure core, with the defaults filled in.
func ruleOf(m *v1alpha1.Metric) pure.Metric {
	return pure.Metric{
		Name: m.Name, InitialDelay: duration(m.InitialDelay), Interval: duration(m.Interval), Count: number(m.Count, 0),
		FailureLimit: number(m.FailureLimit, 0), InconclusiveLimit: number(m.InconclusiveLimit, inconclusiveLimit(m)),
		WaitForData: duration(m.WaitForData), ConsecutiveErrorLimit: number(m.ConsecutiveErrorLimit, defaultErrorLimit),
		ConsecutiveSuccessLimit: number(m.ConsecutiveSuccessLimit, 0), DryRun: m.DryRun,
	}
}

// inconclusiveLimit: as long as a comparison has proven nothing, it goes on. The test needs more requests then, not
// another verdict. Of other metrics none is borne by default.
func inconclusiveLimit(m *v1alpha1.Metric) int {
	if m.Compare != nil {
		return math.MaxInt32
	}
	return 0
}

func duration(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}

func number(n *int32, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return int(*n)
}

func metricOf(run *v1alpha1.AnalysisRun, name string) *v1alpha1.Metric {
	for i := range run.Spec.Metrics {
		if run.Spec.Metrics[i].Name == name {
			return &run.Spec.Metrics[i]
		}
	}
	return nil
}

func resultsOf(run *v1alpha1.AnalysisRun) []pure.Result {
	out := make([]pure.Result, 0, len(run.Status.Metrics))
	for i := range run.Status.Metrics {
		out = append(out, readResult(&run.Status.Metrics[i]))
	}
	return out
}

func readResult(m *v1alpha1.MetricResult) pure.Result {
	r := pure.Result{
		Name: m.Name, Phase: pure.Phase(m.Phase), Message: m.Message,
		Successful: int(m.Successful), Failed: int(m.Failed), Inconclusive: int(m.Inconclusive), Errors: int(m.Errors),
		ConsecutiveErrors: int(m.ConsecutiveErrors), ConsecutiveSuccesses: int(m.ConsecutiveSuccesses),
	}
	if m.LastAt != nil {
		r.LastAt = m.LastAt.Time
	}
	return r
}

// writeResult writes a result into the API's. Times are cut to the microsecond as they are stored, so that record
// knows a measurement that is there already.
func writeResult(m *v1alpha1.MetricResult, r pure.Result) {
	m.Phase, m.Message = v1alpha1.AnalysisPhase(r.Phase), metric.Bounded(r.Message, messageLimit)
	m.Successful, m.Failed, m.Inconclusive, m.Errors = int32(r.Successful), int32(r.Failed), int32(r.Inconclusive),
		int32(r.Errors)
	m.ConsecutiveErrors, m.ConsecutiveSuccesses = int32(r.ConsecutiveErrors), int32(r.ConsecutiveSuccesses)
	if !r.LastAt.IsZero() {
		m.LastAt = &metav1.MicroTime{Time: r.LastAt.Truncate(time.Microsecond)}
	}
}

// resultIn is the result of a metric in a status, made if need be.
func resultIn(s *v1alpha1.AnalysisRunStatus, name string, dryRun bool) *v1alpha1.MetricResult {
	for i := range s.Metrics {
		if s.Metrics[i].Name == name {
			return &s.Metrics[i]
		}
	}
	s.Metrics = append(s.Metrics, v1alpha1.MetricResult{Name: name, Phase: v1alpha1.AnalysisPending, DryRun: dryRun})
	return &s.Metrics[len(s.Metrics)-1]
}

// record takes a measurement into the status. One that stands there already, since the answer to its write was lost, is
// not taken twice.
func record(run *v1alpha1.AnalysisRun, o outcome) {
	m := metricOf(run, o.metric)
	if m == nil {
		return
	}
	result := resultIn(&run.Status, m.Name, m.DryRun)
	at := o.at.Truncate(time.Microsecond)
	if result.Phase.Ended() || result.LastAt != nil && !at.After(result.LastAt.Time) {
		return
	}
	if m.Compare != nil && o.read != nil {
		judge(result, m.Compare, &o)
	}
	if o.noData {
		withoutData(run, ruleOf(m), &o)
	}
	said := o.measurement.Value
	if o.measurement.Message != "" && said != "" {
		said += ": "
	}
	writeResult(result, readResult(result).Take(ruleOf(m), pure.Measurement{
		At: at, Phase: pure.Phase(o.measurement.Phase),
		Message: metric.Bounded(said+inShort(o.measurement.Message), messageLimit/2),
	}))
	// The next Job of the metric may be made now.
	result.Job, result.JobUID = "", ""
	result.Measurements = append(result.Measurements, o.measurement)
	result.Measurements = result.Measurements[max(0, len(result.Measurements)-keptMeasurements):]
}

// withoutData says of an answer without data whether it is waited for. What is waited for is no error.
func withoutData(run *v1alpha1.AnalysisRun, m pure.Metric, o *outcome) {
	started := run.Status.StartedAt.Time
	if !m.WaitsForData(started, o.at) {
		return
	}
	o.measurement.Phase = v1alpha1.AnalysisPending
	o.measurement.Message = metric.Bounded(fmt.Sprintf("%s; that is waited for until %s after the analysis began",
		o.measurement.Message, m.WaitForData), messageLimit)
}

// notAhead brings times to come back to now: the clock was set back, and nothing would be measured until it is there
// again.
func notAhead(s *v1alpha1.AnalysisRunStatus, now time.Time) {
	if s.StartedAt.Time.After(now) {
		s.StartedAt = &metav1.Time{Time: now}
	}
	for i := range s.Metrics {
		if m := &s.Metrics[i]; m.LastAt != nil && m.LastAt.Time.After(now) {
			m.LastAt = &metav1.MicroTime{Time: now.Truncate(time.Microsecond)}
		}
	}
}

// inShort is the first line of a message and, of a log below it, the last, which mostly sums it up. The measurement has
// it all.
func inShort(message string) string {
	first, log, found := strings.Cut(strings.TrimSpace(message), "\n")
	if !found {
		return first
	}
	return first + ": " + strings.TrimSpace(log[strings.LastIndexByte(log, '\n')+1:])
}

// measurementBytes bounds what the measurements of a run take: the API server stores no object of more than 1.5 MiB.
const measurementBytes = 384 << 10

// trim drops the oldest measurements of the metrics that have most, until all fit. The counts of each metric stay.
func trim(s *v1alpha1.AnalysisRunStatus) {
	bytes := func(m *v1alpha1.MetricResult) (n int) {
		for i := range m.Measurements {
			n += 120 + 2*(len(m.Measurements[i].Value)+len(m.Measurements[i].Message))
		}
		return n
	}
	sizes, all := make([]int, len(s.Metrics)), 0
	for i := range s.Metrics {
		sizes[i] = bytes(&s.Metrics[i])
		all += sizes[i]
	}
	for all > measurementBytes {
		i := slices.Index(sizes, slices.Max(sizes))
		m := &s.Metrics[i]
		if len(m.Measurements) > 1 {
			m.Measurements = m.Measurements[1:]
		} else {
			m.Measurements[0].Message = metric.Bounded(m.Measurements[0].Message, messageLimit/4)
			m.Measurements[0].Value = metric.Bounded(m.Measurements[0].Value, messageLimit/4)
		}
		now := bytes(m)
		if now == sizes[i] {
			return // As short as it gets.
		}
		all += now - sizes[i]
		sizes[i] = now
	}
}

// project writes what a run has come to.
func project(run *v1alpha1.AnalysisRun, p pure.Progress, now time.Time) {
	s := &run.Status
	for i, r := range p.Results {
		writeResult(resultIn(s, r.Name, run.Spec.Metrics[i].DryRun), r)
	}
	trim(s)
	s.Phase, s.Message = v1alpha1.AnalysisPhase(p.Phase), metric.Bounded(p.Message, messageLimit)
	if p.Over {
		s.FinishedAt = &metav1.Time{Time: now}
	}
}

// cancelled ends a run that nobody waits for; a verdict that it has come to stays.
func cancelled(run *v1alpha1.AnalysisRun, now time.Time) {
	s := &run.Status
	if s.FinishedAt != nil {
		return
	}
	s.FinishedAt = &metav1.Time{Time: now}
	if !s.Phase.Ended() {
		s.Phase, s.Message = v1alpha1.AnalysisCancelled,
			metric.Bounded("the release ended before there was a verdict: "+s.Message, messageLimit)
	}
}
