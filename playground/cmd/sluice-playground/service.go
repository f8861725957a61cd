package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/playground/internal/controlplane"
	"github.com/sluice-dev/sluice/playground/internal/gateway"
	"github.com/sluice-dev/sluice/playground/internal/network"
	"github.com/sluice-dev/sluice/playground/internal/node"
	"github.com/sluice-dev/sluice/playground/internal/prometheus"
)

const (
	// The names under which the audit log shows what runs in this process.
	nodeUser       = "system:sluice-playground:node"
	gatewayUser    = "system:sluice-playground:gateway"
	prometheusUser = "system:sluice-playground:prometheus"
	adminGroup     = "system:masters"

	servicesTimeout = 30 * time.Second
	nodePoll        = 25 * time.Millisecond
)

// services are the parts of the playground that run in this process: the nodes, the gateway and Prometheus.
type services struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	failed chan error

	gatewayAddr, adminAddr string
	prometheusAddr         string // empty without Prometheus
}

// startServices starts the services and returns when pods can be scheduled, requests served and metrics queried.
func startServices(ctx context.Context, cp *controlplane.ControlPlane, f upFlags, log *slog.Logger) (*services, error) {
	o, err := serviceOptions(cp, f, log)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	s := &services{cancel: cancel, failed: make(chan error, 3)}
	gatewayReady, nodesReady, prometheusReady := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var address atomic.Pointer[string]
	o.gateway.Ready = func(addr, adminAddr string) {
		s.gatewayAddr, s.adminAddr = addr, adminAddr
		o.prometheus.Targets.SetGateway(adminAddr)
		address.Store(&addr)
		close(gatewayReady)
	}
	o.node.Ready = func() { close(nodesReady) }
	o.node.GatewayAddr = func() string {
		if a := address.Load(); a != nil {
			return *a
		}
		return ""
	}
	o.prometheus.Ready = func(addr string) {
		s.prometheusAddr = addr
		close(prometheusReady)
	}
	s.run(running, "gateway", func() error { return gateway.Run(running, o.gateway) })
	s.run(running, "node", func() error { return node.Run(running, o.node) })
	if f.prometheus != "" {
		s.run(running, "Prometheus", func() error { return prometheus.Run(running, o.prometheus) })
	} else {
		close(prometheusReady)
	}
	if err := s.awaitReady(ctx, cp, f, gatewayReady, nodesReady, prometheusReady); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// options are those of all services; they share the pods' network and the list of what to scrape.
type options struct {
	node       node.Options
	gateway    gateway.Options
	prometheus prometheus.Options
}

func serviceOptions(cp *controlplane.ControlPlane, f upFlags, log *slog.Logger) (*options, error) {
	configs := map[string]*rest.Config{}
	for _, user := range []string{nodeUser, gatewayUser, prometheusUser} {
		c, err := cp.ConfigFor(user, adminGroup)
		if err != nil {
			return nil, err
		}
		configs[user] = c
	}
	kubeletTLS, err := cp.KubeletTLS()
	if err != nil {
		return nil, err
	}
	pods, targets := network.New(), prometheus.NewTargets()
	o := &options{
		node: node.Options{
			Config: rest.AddUserAgent(configs[nodeUser], "sluice-playground-node"), Names: f.nodeNames(), Network: pods,
			TLS: kubeletTLS, Log: log.With("part", "node"),
		},
		gateway: gateway.Options{
			Config: configs[gatewayUser], Listen: f.gatewayAddr, AdminListen: f.gatewayAdmin, Dial: pods.DialContext,
			Habits: f.habits,
			Log:    log.With("part", "gateway"),
		},
		prometheus: prometheus.Options{
			Config: rest.AddUserAgent(configs[prometheusUser], "sluice-playground-prometheus"), Listen: f.prometheus,
			Dir: filepath.Join(f.dir, "prometheus"), Ephemeral: f.ephemeral, Interval: f.scrapeInterval,
			Targets: targets, Network: pods, Log: log.With("part", "prometheus"),
		},
	}
	if f.prometheus != "" {
		o.node.Scraped = targets.SetPod
	}
	return o, nil
}

// run reports an end that nobody asked for as a failure, whether or not it names a reason.
func (s *services) run(ctx context.Context, name string, service func() error) {
	s.group.Go(func() {
		err := service()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		s.failed <- fmt.Errorf("run %s: %w", name, err)
	})
}

func (s *services) awaitReady(ctx context.Context, cp *controlplane.ControlPlane, f upFlags,
	ready ...<-chan struct{},
) error {
	ctx, cancel := context.WithTimeout(ctx, servicesTimeout)
	defer cancel()
	controlPlane := make(chan error, 1)
	go func() { controlPlane <- cp.Wait(ctx) }()
	for _, r := range ready {
		select {
		case <-r:
		case err := <-s.failed:
			return err
		case err := <-controlPlane:
			if err == nil {
				err = fmt.Errorf("wait for gateway, nodes and Prometheus: %w; see the logs in %s", ctx.Err(), cp.LogDir())
			}
			return err
		}
	}
	return awaitNodes(ctx, cp.Config(), f.nodeNames())
}

// awaitNodes waits until pods can be scheduled: a node that has become ready carries the taint of one
// that is not until a controller has taken it off.
func awaitNodes(ctx context.Context, config *rest.Config, names []string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	for _, name := range names {
		err := wait.PollUntilContextCancel(ctx, nodePoll, true, func(ctx context.Context) (bool, error) {
			n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			return err == nil && schedulable(n), err
		})
		if err != nil {
			return fmt.Errorf("wait for node %s to take pods: %w", name, err)
		}
	}
	return nil
}

func schedulable(n *corev1.Node) bool {
	for _, t := range n.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			return false
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// stop ends all and waits until they have ended.
func (s *services) stop() {
	s.cancel()
	s.group.Wait()
}
