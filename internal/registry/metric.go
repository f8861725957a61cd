package registry

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/metric/cloudwatch"
	"github.com/sluice-dev/sluice/internal/metric/datadog"
	"github.com/sluice-dev/sluice/internal/metric/http"
	"github.com/sluice-dev/sluice/internal/metric/influxdb"
	"github.com/sluice-dev/sluice/internal/metric/plugin"
	"github.com/sluice-dev/sluice/internal/metric/prometheus"
	"github.com/sluice-dev/sluice/internal/metric/skywalking"
)

// metrics are the sources that need nothing but HTTP; job and kubernetes are the controller's own.
var metrics = map[string]metric.Source{
	"prometheus": prometheus.New(),
	"http":       http.New(),
	"datadog":    datadog.New(),
	"influxDB":   influxdb.New(),
	"cloudWatch": cloudwatch.New(),
	"skyWalking": skywalking.New(),
	"plugin":     plugin.New(),
}

// Metric returns the source that a provider names, and its name; the source is nil for job and kubernetes, which need
// the API server, and if none is named.
func Metric(p v1alpha1.MetricProvider) (metric.Source, string) {
	name := metric.Name(p)
	return metrics[name], name
}
