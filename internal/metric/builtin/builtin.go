// Package builtin has ready-made questions to Prometheus about the requests that a traffic layer sends to the new
// version, by the names that each layer's metrics have.
//
// It may import api, and nothing else of Sluice's.
package builtin

import (
	"fmt"
	"maps"
	"math"
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
	// requests is the counter of requests, and labels are those of one Service's; failed tells the ones that it is to
	// blame for.
	requests, labels, failed string
	// stable are the labels of the stable version's requests, in each form that they may have, where they are other ones.
	stable []string
	// buckets is a histogram of how long they took, in units of so many milliseconds: 1 or 1000.
	buckets string
	unit    float64
	// counts are the traffic layers whose requests it counts, by their fields in spec.traffic.
	counts []string
}

// dialects by the name that --request-metrics takes.
var dialects = map[string]dialect{
	// ingress-nginx tells the canary by its own label, the name of the alternative upstream (kubernetes/ingress-nginx
	// pull request 7696, since v1.0.4); it does so for requests, and not for durations before v1.2. That label is empty
	// for stable's requests, which the Service of the Ingress tells; Prometheus puts exported_ before its name and that of
	// the namespace where honor_labels is off.
	"ingress-nginx": {
		requests: `nginx_ingress_controller_requests`, failed: `status=~"5.."`,
		labels: `canary=~"{{namespace}}-{{version}}-.*",canary!~"{{namespace}}-{{version}}-.*canary-.*"`,
		stable: []string{
			`canary="",namespace="{{namespace}}",service="{{version}}"`,
			`canary="",exported_namespace="{{namespace}}",exported_service="{{version}}"`,
		},
		buckets: `nginx_ingress_controller_request_duration_seconds_bucket`,
		unit:    1000, counts: []string{"ingress"},
	},
	// Istio's standard metrics, for its VirtualServices and for its implementation of the Gateway API. A request is
	// reported at both ends; who sends it, or a waypoint, knows to which Service.
	"istio": {
		requests: `istio_requests_total`, failed: `response_code=~"5.."`,
		labels:  `reporter=~"source|waypoint",destination_service_namespace="{{namespace}}",destination_service_name="{{version}}"`,
		buckets: `istio_request_duration_milliseconds_bucket`,
		unit:    1, counts: []string{"httpRoute", "grpcRoute"},
	},
	// Traefik names a Kubernetes Service namespace-service-port@provider; Prometheus' own label of that name makes it
	// exported_service where honor_labels is off. shop-canary begins as shop does, and so the port's name has no dash.
	"traefik": {
		requests: `traefik_service_requests_total`, failed: `code=~"5.."`,
		labels:  `exported_service=~"{{namespace}}-{{version}}-[^-@]+@kubernetes.*"`,
		buckets: `traefik_service_request_duration_seconds_bucket`,
		unit:    1000, counts: []string{"httpRoute", "grpcRoute"},
	},
	// Two implementations of the Gateway API on Envoy, which name its clusters after the Services: Contour as
	// namespace_service_port, kgateway with kube_ before it. Envoy counts each completed request in one of the classes.
	// Envoy Gateway has one cluster for all backends of a rule (envoyproxy/gateway issue 6742).
	"contour":  envoy(`{{namespace}}_{{version}}_[0-9]+`),
	"kgateway": envoy(`kube_{{namespace}}_{{version}}_[0-9]+`),
	// The gateway of Sluice's own playground, which is scraped each second.
	"playground": {
		requests: `sluice_gateway_requests_total`, failed: `code=~"5.."`,
		labels:  `namespace="{{namespace}}",service="{{version}}"`,
		buckets: `sluice_gateway_request_duration_seconds_bucket`,
		unit:    1000, counts: []string{"ingress", "httpRoute"},
	},
}

// envoy tells the versions apart by the names of Envoy's clusters.
func envoy(cluster string) dialect {
	return dialect{
		requests: `envoy_cluster_upstream_rq_xx`, failed: `envoy_response_code_class="5"`,
		labels:  `envoy_cluster_name=~"` + cluster + `"`,
		buckets: `envoy_cluster_upstream_rq_time_bucket`,
		unit:    1, counts: []string{"httpRoute", "grpcRoute"},
	}
}

// both are the series of whichever version is asked about, with these further labels. Only one of the forms has any.
func (d dialect) both(name, further string) string {
	all := make([]string, 0, 1+len(d.stable))
	for _, labels := range append([]string{d.labels}, d.stable...) {
		all = append(all, with(name, labels, further))
	}
	return strings.Join(all, " or ")
}

// with is a selector.
func with(name string, labels ...string) string {
	labels = slices.DeleteFunc(labels, func(l string) bool { return l == "" })
	return name + "{" + strings.Join(labels, ",") + "}"
}

// Dialects are the names that --request-metrics takes.
func Dialects() []string { return slices.Sorted(maps.Keys(dialects)) }

// The times that follow from how often Prometheus collects: it has a new series at the second collection after the
// first request, and a rate over less than four of them is at times of nothing.
const (
	collectionsOfRate  = 4
	collectionsAtFirst = 2
	// collectionsWaited and leastWait are how long no data is waited for.
	collectionsWaited = 6
	leastWait         = 2 * time.Minute
)

// DefaultCollection is how often Prometheus collects unless it is told otherwise. It stands in where nothing is known.
const DefaultCollection = time.Minute

const (
	defaultInterval = 10 * time.Second
	defaultCount    = 3
	defaultQuantile = "0.95"
)

// Metric is the measurement that a builtin stands for. Pause is the step's timed pause, or 0; an open measurement goes
// on until it is concluded. Collection is how often Prometheus collects the metrics, 0 where that is not known.
func Metric(name string, a *v1alpha1.StepAnalysis, open bool, pause, collection time.Duration) (
	v1alpha1.Metric, error,
) {
	d, known := dialects[name]
	if !known {
		return v1alpha1.Metric{}, fmt.Errorf("builtin: the controller does not know whose metrics to ask for: start it "+
			"with --request-metrics (%s) and --prometheus-address, or name templates instead",
			strings.Join(Dialects(), ", "))
	}
	interval := defaultInterval
	if a.Interval != nil {
		interval = a.Interval.Duration
	}
	if collection <= 0 {
		collection = DefaultCollection
	}
	m := v1alpha1.Metric{
		Name: a.Builtin, Interval: &metav1.Duration{Duration: interval}, Count: a.Count, FailureLimit: a.FailureLimit,
		// What was asked before the first requests have been counted says nothing.
		InitialDelay: &metav1.Duration{Duration: max(interval, collectionsAtFirst*collection)},
		WaitForData:  &metav1.Duration{Duration: max(leastWait, collectionsWaited*collection)},
	}
	if a.Compare == nil && m.Count == nil && !open && pause < defaultCount*interval {
		m.Count = ptr.To(int32(defaultCount))
	}
	if a.Compare != nil {
		d.compare(&m, a, open)
		return m, nil
	}
	query, condition := d.question(a, max(interval, collectionsOfRate*collection))
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

// compare counts the requests of each version: all and bad ones, or by how long they took. In a step the first proof is
// enough.
func (d dialect) compare(m *v1alpha1.Metric, a *v1alpha1.StepAnalysis, open bool) {
	m.Compare = &v1alpha1.Comparison{ComparisonBounds: *a.Compare}
	if a.Builtin == v1alpha1.BuiltinLatency {
		m.Compare.Quantile, m.Compare.Unit = quantile(a), map[float64]string{1: "ms", 1000: "s"}[d.unit]
		m.Provider = asking("sum by (le) (" + d.both(d.buckets, "") + ")")
	} else {
		m.Compare.Bad = "sum(" + d.both(d.requests, d.failed) + ") or vector(0)"
		m.Provider = asking("sum(" + d.both(d.requests, "") + ")")
	}
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
	over := fmt.Sprintf("[%ds]", int(math.Ceil(window.Seconds())))
	if a.Builtin == v1alpha1.BuiltinLatency {
		query = fmt.Sprintf("histogram_quantile(%s, sum by (le) (rate(%s%s))) * %g", quantile(a), with(d.buckets, d.labels),
			over, d.unit)
		return query, fmt.Sprintf("value <= double(%s)", bound(a.Max))
	}
	// Without a failed request there is no series of them, and that is 0.
	query = fmt.Sprintf("100 * (1 - (sum(rate(%[2]s%[3]s)) or vector(0)) / sum(rate(%[1]s%[3]s)))",
		with(d.requests, d.labels), with(d.requests, d.labels, d.failed), over)
	return query, fmt.Sprintf("value >= double(%s)", bound(a.Min))
}

// quantile of the latency that is asked for.
func quantile(a *v1alpha1.StepAnalysis) *v1alpha1.Decimal {
	if a.Quantile != nil {
		return a.Quantile
	}
	d, _ := v1alpha1.NewDecimal(defaultQuantile) // It is a number.
	return &d
}

func bound(d *v1alpha1.Decimal) string {
	if d == nil {
		return "0" // The API refuses it before.
	}
	return d.String()
}
