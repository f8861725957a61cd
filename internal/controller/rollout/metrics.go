package rollout

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	started = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "sluice_releases_started_total", Help: "Releases that have begun.",
	})
	finished = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sluice_releases_finished_total", Help: "Releases that have ended, by the phase in which they did.",
	}, []string{"phase"})
)

// init registers them where controller-runtime's metrics server finds them.
func init() {
	metrics.Registry.MustRegister(started, finished)
}
