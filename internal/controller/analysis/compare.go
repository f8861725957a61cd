package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	pure "github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/metric"
)

// versionName stands in the queries of a comparison for the version that is asked about.
const versionName = "{{version}}"

const (
	defaultTolerance  = 0.5
	defaultErrorRate  = 5
	defaultMinSamples = 100
)

// evidence is what a comparison remembers between looks.
type evidence struct {
	Rate pure.RateState `json:"rate"`
	// Read are the counters as they were read last; nil before.
	Read *pure.RateSample `json:"read,omitempty"`
}

// readCounts reads the counters of both versions, all at one moment.
func (r *Reconciler) readCounts(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, now time.Time) (pure.RateSample, error) {
	var out pure.RateSample
	for _, q := range []struct {
		version, query string
		into           *float64
	}{
		{run.Spec.CanaryVersion, m.Provider.Prometheus.Query, &out.Canary.Total},
		{run.Spec.CanaryVersion, m.Compare.Bad, &out.Canary.Bad},
		{run.Spec.StableVersion, m.Provider.Prometheus.Query, &out.Stable.Total},
		{run.Spec.StableVersion, m.Compare.Bad, &out.Stable.Bad},
	} {
		one := m.DeepCopy()
		one.Provider.Prometheus.Query = strings.ReplaceAll(q.query, versionName, q.version)
		result, err := r.value(ctx, run, one, now)
		if err != nil {
			return out, fmt.Errorf("count the requests of %s: %w", q.version, err)
		}
		number, ok := result.Value.(float64)
		if !ok {
			return out, fmt.Errorf("count the requests of %s: the query gives several series; sum them up", q.version)
		}
		*q.into = number
	}
	return out, nil
}

// compareOnce is a measurement of which the meaning is told when it is written down, beside the evidence so far.
func (r *Reconciler) compareOnce(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, now time.Time) outcome {
	o := outcome{metric: m.Name, at: now, measurement: v1alpha1.Measurement{At: metav1.NewTime(now), Phase: v1alpha1.AnalysisError}}
	read, err := r.readCounts(ctx, run, m, now)
	if err != nil {
		o.measurement.Message = metric.Bounded(err.Error(), messageLimit)
		return o
	}
	o.read = &read
	return o
}

// judge weighs new counts against the evidence so far.
func judge(result *v1alpha1.MetricResult, c *v1alpha1.Comparison, o *outcome) {
	var before evidence
	if result.Evidence != "" && json.Unmarshal([]byte(result.Evidence), &before) != nil {
		before = evidence{} // Somebody else wrote it: begin anew.
	}
	after, phase, message := weigh(before, c, *o.read)
	raw, err := json.Marshal(after)
	if err != nil { // Plain numbers always marshal.
		return
	}
	result.Evidence = string(raw)
	o.measurement.Phase, o.measurement.Message = phase, metric.Bounded(message, messageLimit)
}

func weigh(before evidence, c *v1alpha1.Comparison, read pure.RateSample) (evidence, v1alpha1.AnalysisPhase, string) {
	bounds, err := bounds(c)
	if err != nil {
		return before, v1alpha1.AnalysisError, err.Error()
	}
	after := evidence{Rate: before.Rate, Read: &read}
	if before.Read == nil {
		return after, v1alpha1.AnalysisInconclusive, "the requests of both versions are counted from now on"
	}
	rate, j := before.Rate.Look(bounds, pure.RateSample{
		Canary: read.Canary.Since(before.Read.Canary), Stable: read.Stable.Since(before.Read.Stable),
	})
	after.Rate = rate
	switch {
	case j.Problem != "":
		return after, v1alpha1.AnalysisError, j.Message()
	case j.Verdict == pure.Worse:
		return after, v1alpha1.AnalysisFailed, j.Message()
	case j.Verdict == pure.Same || j.Verdict == pure.Better:
		return after, v1alpha1.AnalysisSuccessful, j.Message()
	}
	return after, v1alpha1.AnalysisInconclusive, j.Message()
}

func bounds(c *v1alpha1.Comparison) (pure.Comparison, error) {
	out := pure.Comparison{Tolerance: defaultTolerance, MinSamples: defaultMinSamples}
	percent := float64(defaultErrorRate)
	var errs [2]error
	if c.Tolerance != nil {
		out.Tolerance, errs[0] = strconv.ParseFloat(c.Tolerance.String(), 64)
	}
	if c.ErrorRate != nil {
		percent, errs[1] = strconv.ParseFloat(c.ErrorRate.String(), 64)
	}
	if c.MinSamples != nil {
		out.MinSamples = *c.MinSamples
	}
	out.ErrorRate = percent / 100
	return out, errors.Join(errs[0], errs[1], out.Validate())
}
