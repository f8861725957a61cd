// Package builtin has ready-made questions to Prometheus about the requests that a traffic layer sends to the new
// version, by the names that each layer's metrics have.
//
// It may import api, and nothing else of Sluice's.
package builtin

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// dialect is how one layer's metrics name the requests to one Service. The names in braces are filled in as those of a
// template are.
type dialect struct {
	// total counts requests, failed selects those that the service is to blame for.
	total, failed string
	// buckets is a histogram of how long they took, in units of so many milliseconds.
	buckets string
	unit    float64
	// window is the least time over which a rate is taken: a few scrapes.
	window time.Duration
}

// dialects by the name that --request-metrics takes.
var dialects = map[string]dialect{
	// ingress-nginx tells the canary by its own label, the name of the alternative upstream (kubernetes/ingress-nginx
	// pull request 7696, since v1.0.4); it does so for requests, and not for durations before v1.2.
	"ingress-nginx": {
		total:   `nginx_ingress_controller_requests{canary=~"{{namespace}}-{{canaryService}}-.*"}`,
		failed:  `nginx_ingress_controller_requests{canary=~"{{namespace}}-{{canaryService}}-.*",status=~"5.."}`,
		buckets: `nginx_ingress_controller_request_duration_seconds_bucket{canary=~"{{namespace}}-{{canaryService}}-.*"}`,
		unit:    1000, window: time.Minute,
	},
	// Istio's standard metrics, for its VirtualServices and for its implementation of the Gateway API.
	"istio": {
		total:   `istio_requests_total{destination_service_namespace="{{namespace}}",destination_service_name="{{canaryService}}"}`,
		failed:  `istio_requests_total{destination_service_namespace="{{namespace}}",destination_service_name="{{canaryService}}",response_code=~"5.."}`,
		buckets: `istio_request_duration_milliseconds_bucket{destination_service_namespace="{{namespace}}",destination_service_name="{{canaryService}}"}`,
		unit:    1, window: time.Minute,
	},
	// Traefik names a Kubernetes Service namespace-service-port@provider; Prometheus' own label of that name makes it
	// exported_service where honor_labels is off.
	"traefik": {
		total:   `traefik_service_requests_total{exported_service=~"{{namespace}}-{{canaryService}}-.*@kubernetes.*"}`,
		failed:  `traefik_service_requests_total{exported_service=~"{{namespace}}-{{canaryService}}-.*@kubernetes.*",code=~"5.."}`,
		buckets: `traefik_service_request_duration_seconds_bucket{exported_service=~"{{namespace}}-{{canaryService}}-.*@kubernetes.*"}`,
		unit:    1000, window: time.Minute,
	},
	// The gateway of Sluice's own playground, which is scraped each second.
	"playground": {
		total:   `sluice_gateway_requests_total{namespace="{{namespace}}",service="{{canaryService}}"}`,
		failed:  `sluice_gateway_requests_total{namespace="{{namespace}}",service="{{canaryService}}",code=~"5.."}`,
		buckets: `sluice_gateway_request_duration_seconds_bucket{namespace="{{namespace}}",service="{{canaryService}}"}`,
		unit:    1000, window: 10 * time.Second,
	},
}

// Dialects are the names that --request-metrics takes.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

const (
	defaultInterval = 10 * time.Second
	defaultCount    = 3
	defaultQuantile = "0.95"
)

// Metric is the measurement that a builtin stands for. Pause is the step's timed pause, or 0; an open measurement goes
// on until it is concluded.
func Metric(name string, a *v1alpha1.StepAnalysis, open bool, pause time.Duration) (v1alpha1.Metric, error) {
	d, known := dialects[name]
	if !known {
		return v1alpha1.Metric{}, fmt.Errorf("builtin: the controller does not know whose metrics to ask for: start it with --request-metrics (%s) and --prometheus-address, or name templates instead",
			strings.Join(Dialects(), ", "))
	}
	interval := defaultInterval
	if a.Interval != nil {
		interval = a.Interval.Duration
	}
	m := v1alpha1.Metric{
		Name: a.Builtin, Interval: &metav1.Duration{Duration: interval}, Count: a.Count, FailureLimit: a.FailureLimit,
		// What was asked before the first requests have been counted says nothing.
		InitialDelay: &metav1.Duration{Duration: interval},
	}
	if m.Count == nil && !open && pause < defaultCount*interval {
		m.Count = ptr.To(int32(defaultCount))
	}
	query, condition := d.question(a, max(interval, d.window))
	m.SuccessCondition = condition
	m.Provider = v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Query: query}}
	return m, nil
}

// question is what to ask, and what answer is good.
func (d dialect) question(a *v1alpha1.StepAnalysis, window time.Duration) (query, condition string) {
	over := fmt.Sprintf("[%ds]", int(window.Seconds()))
	if a.Builtin == v1alpha1.BuiltinLatency {
		quantile := v1alpha1.Decimal(defaultQuantile)
		if a.Quantile != nil {
			quantile = *a.Quantile
		}
		query = fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s%s))) * %g", quantile, d.buckets, over, d.unit)
		return query, fmt.Sprintf("value <= double(%s)", bound(a.Max))
	}
	// Without a failed request there is no series of them, and that is 0.
	query = fmt.Sprintf("100 * (1 - (sum(rate(%[2]s%[3]s)) or vector(0)) / sum(rate(%[1]s%[3]s)))", d.total, d.failed, over)
	return query, fmt.Sprintf("value >= double(%s)", bound(a.Min))
}

func bound(d *v1alpha1.Decimal) v1alpha1.Decimal {
	if d == nil {
		return "0" // The API refuses it before.
	}
	return *d
}
