// Package controller runs Sluice's controllers in one process. The rooms below it are one for each kind that is
// reconciled.
//
// It may import the controllers, kube, admission and controller-runtime; cmd imports it, cli does not.
package controller

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/analysis"
	"github.com/sluice-dev/sluice/internal/controller/check"
	"github.com/sluice-dev/sluice/internal/controller/meter"
	"github.com/sluice-dev/sluice/internal/controller/notify"
	"github.com/sluice-dev/sluice/internal/controller/rollout"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/kube/clock"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/registry"
)

// Options say how the controllers run.
type Options struct {
	// LeaderElect has only one of several processes act; LeaseNamespace is where its Lease is.
	LeaderElect    bool
	LeaseNamespace string
	// MetricsAddress and ProbeAddress are listened on; "0" or empty switches one off.
	MetricsAddress, ProbeAddress string
	// Namespaces are looked after; none for all.
	Namespaces []string
	// MetricHosts may be asked for measurements and NotifyHosts be sent notifications, but never APIServer; AllowLoopback
	// lets this machine be among them.
	MetricHosts, NotifyHosts, APIServer []string
	AllowLoopback                       bool
	// PrometheusAddress is asked where a metric names none, RequestMetrics says whose metrics are found there.
	PrometheusAddress, RequestMetrics string
	// ScrapeInterval is how often that Prometheus collects them; 0 has it learned.
	ScrapeInterval time.Duration
}

// leaseName is the Lease by which one of several controllers is the one that acts.
const leaseName = "sluice-controller"

// Run runs the controllers until the context ends. An error ends the process; whatever runs it, a Deployment in the
// cluster, starts it anew.
func Run(ctx context.Context, cfg *rest.Config, o Options) error {
	now := clock.Machine(tellClock(ctx))
	// Before the manager is made: its cache is made for the namespaces that are left in the options.
	absent, err := servable(ctx, cfg, &o)
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg, o, now)
	if err != nil {
		return err
	}
	changed := make(chan event.GenericEvent)
	policy, err := watchPolicy(ctx, mgr, changed)
	if err != nil {
		return err
	}
	r := &rollout.Reconciler{
		Kube:   kube.New(mgr.GetClient(), mgr.GetAPIReader(), now.Now),
		Events: mgr.GetEventRecorder("sluice"), Now: now.Now, Calendar: now.Calendar, PolicyInForce: policy.inForce.Load,
		RequestMetrics: o.RequestMetrics,
	}
	o.APIServer = append(slices.Clone(o.APIServer), behindService(ctx, mgr.GetAPIReader())...)
	egress, err := metricEgress(o)
	if err != nil {
		return err
	}
	if err := setupMeter(mgr, o, now, egress, r); err != nil {
		return err
	}
	asked, err := rightsOf(mgr.GetConfig(), now.Now)
	if err != nil {
		return err
	}
	r.MayRunJobs = asked.mayRunJobs
	if err := r.Setup(ctx, mgr, changed); err != nil {
		return err
	}
	if err := setupAnalysis(ctx, mgr, o, now, egress); err != nil {
		return err
	}
	if err := setupNotify(mgr, o, now); err != nil {
		return err
	}
	if err := check.Setup(mgr, func() *kube.Client {
		return kube.New(mgr.GetClient(), mgr.GetAPIReader(),
			now.Now)
	}); err != nil {
		return err
	}
	if err := mgr.Add(policy); err != nil {
		return fmt.Errorf("add the policy watch: %w", err)
	}
	if absent != nil {
		if err := mgr.Add(absent); err != nil {
			return fmt.Errorf("add the watch for namespaces: %w", err)
		}
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the controllers: %w", err)
	}
	return nil
}

// behindService are the API server's own addresses, behind its Service. Where they may not be read, as with rights in
// one namespace only, the Service's address has to do.
func behindService(ctx context.Context, live client.Reader) []string {
	list := &discoveryv1.EndpointSliceList{}
	err := live.List(ctx, list, client.InNamespace(metav1.NamespaceDefault),
		client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"})
	if err != nil {
		ctrl.LoggerFrom(ctx).Info("the API server's own addresses are not known, and not barred to measurements", "error",
			err.Error())
		return nil
	}
	var out []string
	for _, s := range list.Items {
		for _, e := range s.Endpoints {
			for _, p := range s.Ports {
				if len(e.Addresses) > 0 && p.Port != nil {
					out = append(out, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port))))
				}
			}
		}
	}
	return out
}

// metricEgress says what may be measured.
func metricEgress(o Options) (*metric.Egress, error) {
	if u, err := url.Parse(o.PrometheusAddress); err == nil && u.Host != "" {
		o.MetricHosts = append(slices.Clone(o.MetricHosts), u.Host) // Whoever names it means it to be asked.
	}
	return metric.NewEgress(metric.EgressOptions{
		Hosts: o.MetricHosts, APIServer: o.APIServer,
		AllowLoopback: o.AllowLoopback,
	})
}

// setupMeter adds what counts the gateway's requests, where it is known whose metrics Prometheus has.
func setupMeter(mgr manager.Manager, o Options, now *clock.Clock, egress *metric.Egress, r *rollout.Reconciler) error {
	if o.PrometheusAddress == "" || o.RequestMetrics == "" {
		return nil
	}
	source, _ := registry.Metric(v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{}})
	m := &meter.Meter{
		Of: o.RequestMetrics, Source: source, Egress: egress, Address: o.PrometheusAddress,
		Calendar: now.Calendar, Fixed: o.ScrapeInterval,
	}
	r.Meter = m
	if err := mgr.Add(m); err != nil {
		return fmt.Errorf("add the meter: %w", err)
	}
	return nil
}

// setupAnalysis adds the controller of AnalysisRuns. What it remembers of its writes is its own.
func setupAnalysis(ctx context.Context, mgr manager.Manager, o Options, now *clock.Clock, egress *metric.Egress) error {
	pods, err := corev1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make the client for logs: %w", err)
	}
	a := analysis.New(kube.New(mgr.GetClient(), mgr.GetAPIReader(), now.Now), now.Now)
	a.Egress, a.Prometheus, a.Calendar = egress, o.PrometheusAddress, now.Calendar
	a.Logs = func(ctx context.Context, namespace, pod, container string, lines int64) (string, error) {
		raw, err := pods.Pods(namespace).GetLogs(pod,
			&corev1.PodLogOptions{Container: container, TailLines: &lines}).DoRaw(ctx)
		return string(raw), err
	}
	return a.Setup(ctx, mgr)
}

// setupNotify adds the controller of Notifiers. Whom it may reach has a list of its own: who is told need not be who is
// asked.
func setupNotify(mgr manager.Manager, o Options, now *clock.Clock) error {
	egress, err := metric.NewEgress(metric.EgressOptions{
		Flag: "--notify-hosts", Hosts: o.NotifyHosts, APIServer: o.APIServer, AllowLoopback: o.AllowLoopback,
	})
	if err != nil {
		return err
	}
	n := notify.New(kube.New(mgr.GetClient(), mgr.GetAPIReader(), now.Now), egress, now.Now)
	n.Calendar = now.Calendar
	return n.Setup(mgr)
}

// tellClock logs what becomes of the clocks. Without a word of it nobody would look for the reason there.
func tellClock(ctx context.Context) func(string, time.Duration) {
	log := ctrl.LoggerFrom(ctx).WithName("clock")
	return func(what string, by time.Duration) {
		log.Info(what, "ahead", by.Round(time.Second).String())
	}
}

// newManager makes a manager on whose connection the clock hears the API server's time.
func newManager(cfg *rest.Config, o Options, now *clock.Clock) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register kinds: %w", err)
		}
	}
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(now.Wrap)
	// API priority and fairness is the limit; a limit of our own would hold aborts up behind other releases.
	cfg.QPS, cfg.Burst, cfg.RateLimiter = -1, 0, nil
	cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	cacheOptions := rollout.Cache()
	maps.Copy(cacheOptions.ByObject, analysis.Cache())
	if len(o.Namespaces) > 0 {
		cacheOptions.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range o.Namespaces {
			cacheOptions.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: scheme, Cache: cacheOptions,
		// Workloads and routes are read as untyped objects, each of which would go to the API server otherwise.
		Client:                 client.Options{Cache: &client.CacheOptions{Unstructured: true}},
		Metrics:                server.Options{BindAddress: off(o.MetricsAddress)},
		HealthProbeBindAddress: off(o.ProbeAddress),
		LeaderElection:         o.LeaderElect, LeaderElectionID: leaseName, LeaderElectionNamespace: o.LeaseNamespace,
		// Whoever waits need not wait until the lease has run out. That is safe since the process ends with the manager.
		LeaderElectionReleaseOnCancel: true,
		// The process ends when the lease is lost, so that two never act.
		GracefulShutdownTimeout: ptr.To(10 * time.Second),
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	// A process that waits for the lease is ready as well: it is there to take over.
	ready := func(*http.Request) error { return nil }
	if err := mgr.AddHealthzCheck("ping", ready); err != nil {
		return nil, fmt.Errorf("add health check: %w", err)
	}
	if err := mgr.AddReadyzCheck("ping", ready); err != nil {
		return nil, fmt.Errorf("add readiness check: %w", err)
	}
	return mgr, nil
}

// off is an address to listen on. "0" switches a listener off in controller-runtime, where an empty address may mean
// the default.
func off(address string) string {
	if address == "" {
		return "0"
	}
	return address
}
