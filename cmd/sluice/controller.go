package main

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	_ "time/tzdata" // for the time zones of ReleaseWindows, where the image has none

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/internal/controller"
	"github.com/sluice-dev/sluice/internal/kube"
)

// runController is `sluice controller`: the only way from the command line to the controllers.
func runController(ctx context.Context, cfg *rest.Config, o cli.ControllerOptions) error {
	// logr's levels count up where slog's count down.
	handler := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.Level(-o.Verbosity)})
	log := logr.FromSlogHandler(handler)
	ctrl.SetLogger(log)
	klog.SetLogger(log)
	if err := kube.Faulty(cfg, os.Getenv(kube.FaultEnv)); err != nil {
		return err
	}
	return controller.Run(ctx, cfg, controller.Options{
		LeaderElect: o.LeaderElect, LeaseNamespace: home(cfg),
		MetricsAddress: o.MetricsAddress, ProbeAddress: o.ProbeAddress, Namespaces: o.Namespaces,
		MetricHosts: o.MetricHosts, NotifyHosts: o.NotifyHosts, APIServer: apiServer(cfg), AllowLoopback: o.AllowLoopback,
		PrometheusAddress: o.PrometheusAddress, RequestMetrics: o.RequestMetrics, ScrapeInterval: o.ScrapeInterval,
	})
}

// apiServer is where the API server is, which no measurement may ask, and no notification be sent to: as this process
// reaches it, and by its Service. Names need not be listed, since what is dialed is looked at after they are resolved.
func apiServer(cfg *rest.Config) []string {
	var known []string
	for _, address := range []string{cfg.Host, os.Getenv("KUBERNETES_SERVICE_HOST")} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			address = u.Host
		}
		if address != "" {
			known = append(known, address)
		}
	}
	return known
}

// home is where the Lease is: in the cluster the controller's own namespace, which controller-runtime finds by
// itself; elsewhere the usual one.
func home(cfg *rest.Config) string {
	if cfg.BearerTokenFile != "" {
		return ""
	}
	return deploy.Namespace
}
