package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/sluice-dev/sluice/playground/internal/controlplane"
	"github.com/sluice-dev/sluice/playground/internal/controlplane/component"
)

func upCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up --dir DIR",
		Short: "Start a cluster, or go on with the one in DIR, until Ctrl-C",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return up(c.Context(), f, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	f.register(c.Flags())
	return c
}

// up runs the whole playground until the context ends or a part of it fails. The kubeconfig appears
// when everything is ready and not before, so that others may wait for the file.
func up(ctx context.Context, f upFlags, out, errOut io.Writer) (err error) {
	begin := time.Now()
	if f, err = f.complete(); err != nil {
		return err
	}
	warnings := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
	cp, err := controlplane.Start(ctx, f.controlPlane(warnings))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cp.Stop()) }()
	log, err := openLog(cp.LogDir())
	if err != nil {
		return err
	}
	defer log.Close()
	s, err := startServices(ctx, cp, f, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		return err
	}
	defer s.stop()
	if err := cp.WriteKubeconfig(f.kubeconfig); err != nil {
		return err
	}
	summarize(out, f, s, time.Since(begin))
	return waitForEnd(ctx, cp, s)
}

// openLog is for all that runs in this process, Kubernetes' client library included.
func openLog(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "playground.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	klog.SetSlogLogger(slog.New(slog.NewTextHandler(f, nil)))
	return f, nil
}

// waitForEnd returns when the user or a failure ends the playground, and says which failure.
func waitForEnd(ctx context.Context, cp *controlplane.ControlPlane, s *services) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- cp.Wait(ctx) }()
	select {
	case err := <-failed:
		return err
	case err := <-s.failed:
		return err
	}
}

func summarize(out io.Writer, f upFlags, s *services, took time.Duration) {
	after := "the cluster stays in " + f.dir
	if f.ephemeral {
		after = "the cluster goes with it"
	}
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	fmt.Fprintf(out, `ready in %.1fs: Kubernetes %s, nodes: %d

  export KUBECONFIG=%s
  %s kubectl get nodes

  gateway     http://%s  (it serves by the Host of your Ingress or HTTPRoute)
  metrics     http://%s/metrics
%s  logs        %s

Ctrl-C ends it; %s.
`, took.Seconds(), component.Version(), f.nodes, f.kubeconfig, self, s.gatewayAddr, s.adminAddr, prometheusLine(s.prometheusAddr), filepath.Join(f.dir, "logs"), after)
}

func prometheusLine(addr string) string {
	if addr == "" {
		return ""
	}
	return fmt.Sprintf("  prometheus  http://%s  (PromQL: /api/v1/query?query=up)\n", addr)
}
