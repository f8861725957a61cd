package analysis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	pure "github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/metric"
)

const (
	// defaultTolerance is for bad requests, in percent points: with 0.5, 1.4% of them are no worse than 1.0%.
	defaultTolerance = 0.5
	// defaultSlower is the tolerance for latencies: at the quantile 0.95, 7% of slow requests are as good as 5%. Also in
	// percent points.
	defaultSlower = 2
	// defaultErrorRate is the probability of a wrong verdict over a whole run, in percent.
	defaultErrorRate = 5
	// defaultMinSamples is the number of requests that each version must have had before there is a verdict.
	defaultMinSamples = 100
)

// evidence is what a comparison remembers between looks.
type evidence struct {
	// Rate is of shares of bad requests, Quantile of latencies.
	Rate     pure.RateState     `json:"rate,omitzero"`
	Quantile pure.QuantileState `json:"quantile,omitzero"`
	// Read are the counters as they were read last; nil before.
	Read *reading `json:"read,omitempty"`
}

// evidenceLimit is what the API takes of it, in bytes.
const evidenceLimit = 8192

// compareOnce is a measurement of which the meaning is told when it is written down, beside the evidence so far.
func (r *Reconciler) compareOnce(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	now time.Time,
) outcome {
	o := outcome{metric: m.Name, at: now, measurement: v1alpha1.Measurement{
		At:    metav1.NewTime(now),
		Phase: v1alpha1.AnalysisError,
	}}
	read, err := r.readCounters(ctx, run, m, r.Calendar())
	if err != nil {
		o.measurement.Message, o.noData = metric.Bounded(err.Error(), messageLimit), isNoData(err)
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
	switch {
	case err != nil: // Plain numbers always marshal.
		return
	case len(raw) > evidenceLimit:
		phase = v1alpha1.AnalysisError
		message = fmt.Sprintf("the histogram has %d buckets, more than can be remembered: leave some out in "+
			"provider.prometheus.query, as by le=~\"0.1|0.25|0.5|1|[+]Inf\"",
			len(o.read.Stable.Buckets))
	default:
		result.Evidence = string(raw)
	}
	o.measurement.Phase, o.measurement.Message = phase, metric.Bounded(message, messageLimit)
}

// weigh gives the evidence after one more reading, and what it says. The first reading says nothing: the counters
// count since ever, so only a difference of two tells what came meanwhile.
func weigh(before evidence, c *v1alpha1.Comparison, read reading) (evidence, v1alpha1.AnalysisPhase, string) {
	bounds, err := bounds(c)
	if err != nil {
		return before, v1alpha1.AnalysisError, err.Error()
	}
	after := before
	after.Read = &read
	if before.Read == nil {
		return after, v1alpha1.AnalysisInconclusive, "the requests of both versions are counted from now on"
	}
	var j pure.Judgement
	if c.Quantile == nil {
		after.Rate, j = before.Rate.Look(bounds.Comparison, pure.RateSample{
			Canary: read.Canary.counts().Since(before.Read.Canary.counts()),
			Stable: read.Stable.counts().Since(before.Read.Stable.counts()),
		})
	} else {
		after, j = weighLatencies(after, bounds, *before.Read)
	}
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

// weighLatencies weighs what came in each bucket, and remembers the buckets that the next look needs.
func weighLatencies(e evidence, c pure.QuantileComparison, before reading) (evidence, pure.Judgement) {
	var in pure.QuantileSample
	var j pure.Judgement
	var err error
	if in.Canary, err = e.Read.Canary.Buckets.Since(before.Canary.Buckets); err != nil {
		j.Problem = fmt.Sprintf("the histogram of the canary %v", err)
	} else if in.Stable, err = e.Read.Stable.Buckets.Since(before.Stable.Buckets); err != nil {
		j.Problem = fmt.Sprintf("the histogram of stable %v", err)
	} else {
		e.Quantile, j = e.Quantile.Look(c, in)
	}
	e.Read = &reading{
		Canary: counted{Buckets: e.Quantile.Needed(e.Read.Canary.Buckets)},
		Stable: counted{Buckets: e.Quantile.Needed(e.Read.Stable.Buckets)},
	}
	return e, j
}

// bounds are those of a comparison in the judge's words; one of shares has no quantile.
func bounds(c *v1alpha1.Comparison) (pure.QuantileComparison, error) {
	out := pure.QuantileComparison{Comparison: pure.Comparison{
		Tolerance:  defaultTolerance,
		MinSamples: defaultMinSamples,
	}, Unit: c.Unit}
	percent := float64(defaultErrorRate)
	if c.Quantile != nil {
		out.Tolerance = defaultSlower
	}
	var errs []error
	for _, f := range []struct {
		from *v1alpha1.Decimal
		into *float64
	}{{c.Tolerance, &out.Tolerance}, {c.ErrorRate, &percent}, {c.Quantile, &out.Quantile}} {
		if f.from != nil {
			number, err := strconv.ParseFloat(f.from.String(), 64)
			*f.into, errs = number, append(errs, err)
		}
	}
	if c.MinSamples != nil {
		out.MinSamples = *c.MinSamples
	}
	out.ErrorRate = percent / 100
	if c.Quantile != nil {
		errs = append(errs, out.Validate())
	} else {
		errs = append(errs, out.Comparison.Validate())
	}
	return out, errors.Join(errs...)
}
