package measure

import (
	"encoding/json"
	"fmt"
	"slices"

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

// checkSource finds what in a provider, its arguments filled in, can be known to be wrong without asking it.
func checkSource(p v1alpha1.MetricProvider) error {
	switch {
	case p.Prometheus != nil:
		return prometheus.Check(p.Prometheus)
	case p.HTTP != nil:
		return http.Check(p.HTTP)
	case p.Datadog != nil:
		return datadog.Check(p.Datadog)
	case p.InfluxDB != nil:
		return influxdb.Check(p.InfluxDB)
	case p.CloudWatch != nil:
		return cloudwatch.Check(p.CloudWatch)
	case p.SkyWalking != nil:
		return skywalking.Check(p.SkyWalking)
	case p.Plugin != nil:
		return plugin.Check(p.Plugin)
	}
	return nil
}

// speaksOf says whether one of the names stands in a provider.
func speaksOf(p v1alpha1.MetricProvider, names []string) bool {
	raw, err := json.Marshal(p)
	if err != nil { // Plain values always marshal.
		return true
	}
	return slices.ContainsFunc(metric.Names(string(raw)), func(n string) bool { return slices.Contains(names, n) })
}

// checkedSource is a metric whose provider was checked.
func checkedSource(m v1alpha1.Metric) error {
	if err := checkSource(m.Provider); err != nil {
		return fmt.Errorf("metric %s: provider.%w", m.Name, err)
	}
	return nil
}
