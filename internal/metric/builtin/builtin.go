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
		total:   `nginx_ingress_controller_requests{canary=~"{{namespace}}-{{version}}-.*"}`,
		failed:  `nginx_ingress_controller_requests{canary=~"{{namespace}}-{{version}}-.*",status=~"5.."}`,
		buckets: `nginx_ingress_controller_request_duration_seconds_bucket{canary=~"{{namespace}}-{{version}}-.*"}`,
		unit:    1000, window: time.Minute,
	},
	// Istio's standard metrics, for its VirtualServices and for its implementation of the Gateway API.
	"istio": {
		total:   `istio_requests_total{destination_service_namespace="{{namespace}}",destination_service_name="{{version}}"}`,
		failed:  `istio_requests_total{destination_service_namespace="{{namespace}}",destination_service_name="{{version}}",response_code=~"5.."}`,
		buckets: `istio_request_duration_milliseconds_bucket{destination_service_namespace="{{namespace}}",destination_service_name="{{version}}"}`,
		unit:    1, window: time.Minute,
	},
	// Traefik names a Kubernetes Service namespace-service-port@provider; Prometheus' own label of that name makes it
	// exported_service where honor_labels is off.
	"traefik": {
		total:   `traefik_service_requests_total{exported_service=~"{{namespace}}-{{version}}-.*@kubernetes.*"}`,
		failed:  `traefik_service_requests_total{exported_service=~"{{namespace}}-{{version}}-.*@kubernetes.*",code=~"5.."}`,
		buckets: `traefik_service_request_duration_seconds_bucket{exported_service=~"{{namespace}}-{{version}}-.*@kubernetes.*"}`,
		unit:    1000, window: time.Minute,
	},
	// The gateway of Sluice's own playground, which is scraped each second.
	"playground": {
		total:   `sluice_gateway_requests_total{namespace="{{namespace}}",service="{{version}}"}`,
		failed:  `sluice_gateway_requests_total{namespace="{{namespace}}",service="{{version}}",code=~"5.."}`,
		buckets: `sluice_gateway_request_duration_seconds_bucket{namespace="{{namespace}}",service="{{version}}"}`,
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
	if a.Compare == nil && m.Count == nil && !open && pause < defaultCount*interval {
		m.Count = ptr.To(int32(defaultCount))
	}
	if a.Compare != nil {
		d.compare(&m, a.Compare, open)
		return m, nil
	}
	query, condition := d.question(a, max(interval, d.window))
	m.SuccessCondition = condition
	m.Provider = asking(strings.ReplaceAll(query, version, "{{canaryService}}"))
	return m, nil
}

// version stands for the Service of the version that is asked about.
const version = "{{version}}"

func asking(query string) v1alpha1.MetricProvider {
	return v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Query: query}}
}

// compareCount is how often two versions are compared at most before a person is asked.
const compareCount = 180

// compare counts all and bad requests of each version. In a step the first proof is enough.
func (d dialect) compare(m *v1alpha1.Metric, bounds *v1alpha1.ComparisonBounds, open bool) {
	m.Compare = &v1alpha1.Comparison{Bad: "sum(" + d.failed + ") or vector(0)", ComparisonBounds: *bounds}
	m.Provider = asking("sum(" + d.total + ")")
	if open {
		return
	}
	m.ConsecutiveSuccessLimit = ptr.To(int32(1))
	if m.Count == nil {
		m.Count = ptr.To(int32(compareCount))
	}
}

// question is what to ask, and what answer is good.
func (d dialect) question(a *v1alpha1.StepAnalysis, window time.Duration) (query, condition string) {
	over := fmt.Sprintf("[%ds]", int(window.Seconds()))
	if a.Builtin == v1alpha1.BuiltinLatency {
		quantile := defaultQuantile
		if a.Quantile != nil {
			quantile = a.Quantile.String()
		}
		query = fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s%s))) * %g", quantile, d.buckets, over, d.unit)
		return query, fmt.Sprintf("value <= double(%s)", bound(a.Max))
	}
	// Without a failed request there is no series of them, and that is 0.
	query = fmt.Sprintf("100 * (1 - (sum(rate(%[2]s%[3]s)) or vector(0)) / sum(rate(%[1]s%[3]s)))", d.total, d.failed, over)
	return query, fmt.Sprintf("value >= double(%s)", bound(a.Min))
}

func bound(d *v1alpha1.Decimal) string {
	if d == nil {
		return "0" // The API refuses it before.
	}
	return d.String()
}
