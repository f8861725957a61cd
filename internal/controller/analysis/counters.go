package analysis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	pure "github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/metric"
)

// This file reads the counters that a comparison compares.

// versionName stands in the queries of a comparison for the version that is asked about.
const versionName = "{{version}}"

// bucketLabel is the label that tells the buckets of a histogram apart.
const bucketLabel = "le"

// reading are the counters of both versions, read at one moment.
type reading struct {
	Canary counted `json:"canary"`
	Stable counted `json:"stable"`
}

// counted are the requests of one version since ever: bad ones and all, or by how long they took.
type counted struct {
	Bad     float64        `json:"bad,omitempty"`
	Total   float64        `json:"total,omitempty"`
	Buckets pure.Histogram `json:"buckets,omitempty"`
}

func (c counted) counts() pure.Counts { return pure.Counts{Bad: c.Bad, Total: c.Total} }

// labelOf is the label that a metric's series are told apart by, if any.
func labelOf(m *v1alpha1.Metric) string {
	if m.Compare != nil && m.Compare.Quantile != nil {
		return bucketLabel
	}
	return ""
}

// readCounters reads the counters of both versions, all at one moment.
func (r *Reconciler) readCounters(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric,
	now time.Time,
) (out reading, err error) {
	for _, q := range []struct {
		version string
		into    *counted
	}{{run.Spec.CanaryVersion, &out.Canary}, {run.Spec.StableVersion, &out.Stable}} {
		if *q.into, err = r.requests(ctx, run, m, q.version, now); err != nil {
			return out, fmt.Errorf("count the requests of %s: %w", q.version, err)
		}
	}
	return out, nil
}

// requests reads the counters of one version.
func (r *Reconciler) requests(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, version string,
	now time.Time,
) (out counted, err error) {
	if m.Compare.Quantile != nil {
		out.Buckets, err = r.bucketsOf(ctx, run, m, version, now)
		return out, err
	}
	for _, q := range []struct {
		query string
		into  *float64
	}{{m.Provider.Prometheus.Query, &out.Total}, {m.Compare.Bad, &out.Bad}} {
		value, err := r.valueOf(ctx, run, m, q.query, version, now)
		if err != nil {
			return out, err
		}
		if *q.into, err = metric.One(value); err != nil {
			return out, err
		}
	}
	return out, nil
}

// bucketsOf reads the histogram of one version. A bucket whose count is no number counts as 0.
func (r *Reconciler) bucketsOf(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, version string,
	now time.Time,
) (pure.Histogram, error) {
	value, err := r.valueOf(ctx, run, m, m.Provider.Prometheus.Query, version, now)
	if err != nil {
		return nil, err
	}
	series, _ := value.(map[string]any) // As the source gives it where it is asked by a label.
	byLE := make(map[string]float64, len(series))
	for le, count := range series {
		byLE[le], _ = count.(float64)
	}
	buckets, err := pure.NewHistogram(byLE)
	if err != nil {
		return nil, fmt.Errorf("its histogram %w", err)
	}
	return buckets, nil
}

// valueOf asks a query about one version.
func (r *Reconciler) valueOf(ctx context.Context, run *v1alpha1.AnalysisRun, m *v1alpha1.Metric, query, version string,
	now time.Time,
) (any, error) {
	// The metric is shared by the queries of both versions.
	one := m.DeepCopy()
	one.Provider.Prometheus.Query = strings.ReplaceAll(query, versionName, version)
	result, err := r.value(ctx, run, one, now)
	return result.Value, err
}
