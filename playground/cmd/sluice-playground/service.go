package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
)

const (
	// The names under which the audit log shows what runs in this process.
	nodeUser    = "system:sluice-playground:node"
	gatewayUser = "system:sluice-playground:gateway"
	adminGroup  = "system:masters"

	servicesTimeout = 30 * time.Second
	nodePoll        = 25 * time.Millisecond
)

// services are the parts of the playground that run in this process: the nodes and the gateway.
type services struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	failed chan error

	gatewayAddr, adminAddr string
}

// startServices starts nodes and gateway and returns when pods can be scheduled and requests served.
func startServices(ctx context.Context, cp *controlplane.ControlPlane, f upFlags, log *slog.Logger) (*services, error) {
	nodeOptions, gatewayOptions, err := serviceOptions(cp, f, log)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	s := &services{cancel: cancel, failed: make(chan error, 2)}
	gatewayReady, nodesReady := make(chan struct{}), make(chan struct{})
	var address atomic.Pointer[string]
	gatewayOptions.Ready = func(addr, adminAddr string) {
		s.gatewayAddr, s.adminAddr = addr, adminAddr
		address.Store(&addr)
		close(gatewayReady)
	}
	nodeOptions.Ready = func() { close(nodesReady) }
	nodeOptions.GatewayAddr = func() string {
		if a := address.Load(); a != nil {
			return *a
		}
		return ""
	}
	s.run(running, "gateway", func() error { return gateway.Run(running, gatewayOptions) })
	s.run(running, "node", func() error { return node.Run(running, nodeOptions) })
	if err := s.awaitReady(ctx, cp, f, gatewayReady, nodesReady); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func serviceOptions(cp *controlplane.ControlPlane, f upFlags, log *slog.Logger) (node.Options, gateway.Options, error) {
	nodeConfig, err := cp.ConfigFor(nodeUser, adminGroup)
	if err != nil {
		return node.Options{}, gateway.Options{}, err
	}
	gatewayConfig, err := cp.ConfigFor(gatewayUser, adminGroup)
	if err != nil {
		return node.Options{}, gateway.Options{}, err
	}
	kubeletTLS, err := cp.KubeletTLS()
	if err != nil {
		return node.Options{}, gateway.Options{}, err
	}
	pods := network.New()
	n := node.Options{
		Config: rest.AddUserAgent(nodeConfig, "sluice-playground-node"), Names: f.nodeNames(), Network: pods,
		TLS: kubeletTLS, Log: log.With("part", "node"),
	}
	g := gateway.Options{
		Config: gatewayConfig, Listen: f.gateway, AdminListen: f.gatewayAdmin, Dial: pods.DialContext,
		Log: log.With("part", "gateway"),
	}
	return n, g, nil
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

func (s *services) awaitReady(ctx context.Context, cp *controlplane.ControlPlane, f upFlags, ready ...<-chan struct{}) error {
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
				err = fmt.Errorf("wait for gateway and nodes: %w; see the logs in %s", ctx.Err(), cp.LogDir())
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

// stop ends both and waits until they have ended.
func (s *services) stop() {
	s.cancel()
	s.group.Wait()
}
