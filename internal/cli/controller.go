package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/measure"
)

// ControllerOptions are the flags of `sluice controller`.
type ControllerOptions struct {
	// LeaderElect has only one of several controllers act.
	LeaderElect bool
	// MetricsAddress and ProbeAddress are listened on; "0" switches one off.
	MetricsAddress, ProbeAddress string
	// Namespaces are looked after; none for all.
	Namespaces []string
	// MetricHosts may be asked for measurements, and NotifyHosts be sent notifications; AllowLoopback lets this
	// machine be among them. None by default: whoever may write an AnalysisTemplate or a Notifier could otherwise
	// have the controller send requests to whatever it can reach.
	MetricHosts, NotifyHosts []string
	AllowLoopback            bool
	// PrometheusAddress is asked where a metric names none, RequestMetrics says whose metrics are found there.
	PrometheusAddress, RequestMetrics string
	// ScrapeInterval is how often that Prometheus collects them; 0 has it learned.
	ScrapeInterval time.Duration
	// Verbosity of the log: 0 for what was done, 1 for every decision too.
	Verbosity int
}

func newController(e *env, run func(context.Context, *rest.Config, ControllerOptions) error) *cobra.Command {
	var o ControllerOptions
	c := &cobra.Command{
		Use:   "controller",
		Short: "Run the controller, which carries releases out",
		Long: `Run the controller, which carries releases out. "sluice install" runs it in the cluster.

Outside of the cluster it has to be the user whom the admission policies know as Sluice:
  sluice controller --as system:serviceaccount:sluice-system:sluice`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := e.config()
			if err != nil {
				return err
			}
			// Only a -n that was typed. The namespace of the kubeconfig's context is the default of commands that
			// read, and must not silently confine the controller.
			if c.Flags().Changed("namespace") {
				namespace, err := e.namespace()
				if err != nil {
					return err
				}
				o.Namespaces = append(o.Namespaces, namespace)
			}
			return run(c.Context(), cfg, o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.LeaderElect, "leader-elect", false, "Act only while holding the lease, so that several can run")
	f.StringVar(&o.MetricsAddress, "metrics-bind-address", ":8080", `Address for Prometheus metrics; "0" for none`)
	f.StringVar(&o.ProbeAddress, "health-probe-bind-address", ":8081", `Address for /healthz and /readyz; "0" for none`)
	f.StringSliceVar(&o.Namespaces, "namespaces", nil, "Namespaces to look after, as -n adds one; all by default")
	f.StringSliceVar(&o.MetricHosts, "metric-hosts", nil, `Hosts that measurements may ask: NAME[:PORT], *.SUFFIX, or * for the public internet; none by default`)
	f.StringSliceVar(&o.NotifyHosts, "notify-hosts", nil, `Hosts that Notifiers may send to, as in --metric-hosts; none by default`)
	f.BoolVar(&o.AllowLoopback, "metric-hosts-loopback", false, "Let measurements ask, and Notifiers send to, this "+
		"very machine; for the playground only")
	f.StringVar(&o.PrometheusAddress, "prometheus-address", "", "Prometheus to ask where a metric names none, as "+
		"http://prometheus.monitoring:9090")
	f.StringVar(&o.RequestMetrics, "request-metrics", "", "Whose request metrics that Prometheus has, for "+
		"analysis.builtin: "+strings.Join(measure.RequestMetrics(), ", "))
	f.DurationVar(&o.ScrapeInterval, "scrape-interval", 0, "How often that Prometheus collects the request metrics; "+
		"learned from them if not given, and 1m where that fails")
	f.IntVarP(&o.Verbosity, "verbosity", "v", 0, "Log level: 0 what was done, 1 every decision too")
	return c
}
