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

	"github.com/sluice-dev/sluice/playground/internal/controlplane"
)

// upFlags are what the user said.
type upFlags struct {
	dir, kubeconfig, api, gateway, auditLog string
	ephemeral, verbose                      bool
	nodes                                   int
	featureGates, runtimeConfig             string
	apiServerArgs                           []string
}

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
	fs := c.Flags()
	fs.StringVar(&f.dir, "dir", "", "directory for everything that the cluster keeps (required, unless --ephemeral)")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "where to write the admin's kubeconfig (default DIR/kubeconfig)")
	fs.StringVar(&f.gateway, "gateway", "127.0.0.1:8080", "address of the gateway; port 0 takes a free one")
	fs.StringVar(&f.api, "api", "", "address of the API server (default: a free port, the same each time)")
	fs.BoolVar(&f.ephemeral, "ephemeral", false, "wipe DIR at the start and remove it at the end; faster, for tests")
	fs.IntVar(&f.nodes, "nodes", 1, "how many nodes")
	fs.StringVar(&f.auditLog, "audit-log", "", "file for the API server's audit log, one JSON object a line")
	fs.StringVar(&f.featureGates, "feature-gates", "", "feature gates of the API server, such as MutatingAdmissionPolicy=false")
	fs.StringVar(&f.runtimeConfig, "runtime-config", "", "APIs to serve or not, such as resource.k8s.io/v1=false")
	fs.StringArrayVar(&f.apiServerArgs, "api-server-arg", nil, "further flag of kube-apiserver; may be repeated")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "say more")
	return c
}

func up(ctx context.Context, f upFlags, out, errOut io.Writer) (err error) {
	begin := time.Now()
	if f, err = f.complete(); err != nil {
		return err
	}
	options := f.controlPlaneOptions(errOut)
	cp, err := controlplane.Start(ctx, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cp.Stop()) }()
	if err := cp.WriteKubeconfig(f.kubeconfig); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready in %.1fs\n  kubeconfig  export KUBECONFIG=%s\n", time.Since(begin).Seconds(), f.kubeconfig)
	return cp.Wait(ctx)
}

// complete refuses what cannot work before anything is started, and fills in the defaults.
func (f upFlags) complete() (upFlags, error) {
	if f.nodes < 1 {
		return f, fmt.Errorf("--nodes %d: want at least 1", f.nodes)
	}
	if f.dir == "" {
		if !f.ephemeral {
			return f, errors.New("--dir is missing: name a directory for the cluster (or try --ephemeral, which needs none)")
		}
		dir, err := os.MkdirTemp("", "sluice-playground-")
		if err != nil {
			return f, fmt.Errorf("make temporary directory: %w", err)
		}
		f.dir = dir
	}
	var err error
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return f, fmt.Errorf("resolve --dir: %w", err)
	}
	if f.kubeconfig == "" {
		f.kubeconfig = filepath.Join(f.dir, "kubeconfig")
	}
	if err := controlplane.CheckAddress(f.gateway); err != nil {
		return f, fmt.Errorf("--gateway %w: stop that process, or choose another address, such as 127.0.0.1:0 for any free port", err)
	}
	return f, nil
}

func (f upFlags) controlPlaneOptions(errOut io.Writer) controlplane.Options {
	level := slog.LevelWarn
	if f.verbose {
		level = slog.LevelDebug
	}
	args := f.apiServerArgs
	if f.featureGates != "" {
		args = append([]string{"--feature-gates=" + f.featureGates}, args...)
	}
	if f.runtimeConfig != "" {
		args = append([]string{"--runtime-config=" + f.runtimeConfig}, args...)
	}
	return controlplane.Options{
		Dir:       f.dir,
		Ephemeral: f.ephemeral,
		Listen:    f.api,
		AuditLog:  f.auditLog,
		ExtraArgs: map[string][]string{"kube-apiserver": args},
		Log:       slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level})),
	}
}
