package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

// metrics are what the gateway counts. Hosts are counted by the pattern of the
// route that matched, so that clients cannot make series.
type metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	retries    *prometheus.CounterVec
	mirrored   *prometheus.CounterVec
	generation prometheus.Gauge
	lag        prometheus.Histogram
	lastLag    prometheus.Gauge
	build      prometheus.Histogram
	statuses   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_gateway_requests_total",
			Help: "Requests answered, by the host pattern and the Ingress or HTTPRoute that matched, the backend Service and " +
				"the status code; canary is true when an Ingress' canary took it.",
		}, []string{"host", "kind", "namespace", "route", "service", "code", "class", "canary"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_gateway_request_duration_seconds",
			Help: "Time from a request's header to the end of its response, by the host pattern that matched and the " +
				"backend Service.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, .75, 1, 1.5, 2, 3, 5, 10, 30},
		}, []string{"host", "namespace", "service"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_gateway_retries_total",
			Help: "Tries after the first, by backend Service and by what ended the try before: dial or connection.",
		}, []string{"namespace", "service", "reason"}),
		mirrored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_gateway_mirrored_total",
			Help: "Copies of requests, by mirror Service and result.",
		}, []string{"namespace", "service", "result"}),
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_gateway_config_generation",
			Help: "How many routing tables have been put in force.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_gateway_config_lag_seconds",
			Help:    "Time from the first change seen to the table that has it.",
			Buckets: []float64{.005, .01, .02, .05, .1, .25, 1},
		}),
		lastLag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sluice_gateway_config_last_lag_seconds",
			Help: "Time from the first change seen to the table in force now.",
		}),
		build: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "sluice_gateway_config_build_seconds",
			Help:    "Time to translate all objects into a table.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .1},
		}),
		statuses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sluice_gateway_status_writes_total",
			Help: "Status writes, by kind and result: ok, conflict or error.",
		}, []string{"kind", "result"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.retries, m.mirrored, m.generation, m.lag, m.lastLag, m.build,
		m.statuses)
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *metrics) request(c *route.Choice, code int, took time.Duration) {
	var namespace, service string
	if c.Backend != nil {
		namespace, service = c.Backend.Namespace, c.Backend.Service
	}
	m.requests.WithLabelValues(c.Host, c.Source.Kind, c.Source.Namespace, c.Source.Name, service,
		itoa(code), class(code), strconv.FormatBool(c.Canary)).Inc()
	if service != "" {
		m.duration.WithLabelValues(c.Host, namespace, service).Observe(took.Seconds())
	}
}

func (m *metrics) retry(b *route.Backend, err error) {
	reason := "connection"
	var dial dialError
	if errors.As(err, &dial) {
		reason = "dial"
	}
	m.retries.WithLabelValues(b.Namespace, b.Service, reason).Inc()
}

func (m *metrics) mirror(b *route.Backend, result string) {
	m.mirrored.WithLabelValues(b.Namespace, b.Service, result).Inc()
}

func (m *metrics) swapped(lag, build time.Duration) {
	m.generation.Inc()
	m.lag.Observe(lag.Seconds())
	m.lastLag.Set(lag.Seconds())
	m.build.Observe(build.Seconds())
}

func (m *metrics) statusWrite(kind, result string) {
	m.statuses.WithLabelValues(kind, result).Inc()
}

func itoa(n int) string { return strconv.Itoa(n) }

func class(code int) string {
	switch code / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	}
	return "5xx"
}
