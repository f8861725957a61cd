package metric

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Source takes a measurement.
type Source interface {
	// Measure asks once. Where the source has nothing to say, or no number, the error is a NoData.
	Measure(ctx context.Context, q Query) (Result, error)
}

// Query is what to measure, and with what.
type Query struct {
	// Metric is its name.
	Metric string
	// Provider with its arguments filled in.
	Provider v1alpha1.MetricProvider
	// By is a label, as le, that tells the series of the answer apart: the value is then a map by it. Only Prometheus has
	// labels; no other source is asked with it.
	By string
	// Now ends the time that is asked for.
	Now time.Time
	// Secret reads one value of a Secret in the namespace of the run. Where the Secret is there and the key is not, the
	// error is ErrNoKey.
	Secret func(name, key string) (string, error)
	// Egress makes the HTTP clients.
	Egress *Egress
	// Prometheus is the address of the installation's own.
	Prometheus string
	// Context is what a plugin is told of the release.
	Context map[string]string
}

// Result is what was measured.
type Result struct {
	// Value is a float64, a string, a bool, a list or a map of them, or Absent; all numbers are float64. Never NaN,
	// infinite or nil. Its type follows from the provider, see ShapeOf, or is whatever a service answers.
	Value any
	// Status of the HTTP answer.
	Status int
	// Note is a sentence about the value, as that it may be in part only.
	Note string
}

// NoData says that the source has answered, and that there is no value in it.
type NoData struct{ Why string }

func (n NoData) Error() string { return "no data: " + n.Why }

// ErrNoKey says that a Secret does not have the key.
var ErrNoKey = errors.New("the Secret has no such key")

// Name is the field of the provider that is set; empty if none is.
func Name(p v1alpha1.MetricProvider) string {
	switch {
	case p.Prometheus != nil:
		return "prometheus"
	case p.HTTP != nil:
		return "http"
	case p.Job != nil:
		return "job"
	case p.Kubernetes != nil:
		return "kubernetes"
	case p.Datadog != nil:
		return "datadog"
	case p.InfluxDB != nil:
		return "influxDB"
	case p.CloudWatch != nil:
		return "cloudWatch"
	case p.SkyWalking != nil:
		return "skyWalking"
	case p.Plugin != nil:
		return "plugin"
	}
	return ""
}
