package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluice-dev/sluice/playground/internal/controlplane"
	"github.com/sluice-dev/sluice/playground/internal/gateway"
)

// minScrapeInterval keeps Prometheus from being the load that it measures.
const minScrapeInterval = 100 * time.Millisecond

// upFlags are what the user said.
type upFlags struct {
	dir, kubeconfig                string
	api, gatewayAddr, gatewayAdmin string
	prometheus                     string
	scrapeInterval                 time.Duration
	habits                         gateway.Habits
	auditLog                       string
	ephemeral, noMutating          bool
	nodes                          int
	featureGates, runtimeConfig    string
	apiServerArgs                  []string
}

func (f *upFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.dir, "dir", "", "directory for everything that the cluster keeps (required, unless --ephemeral)")
	fs.StringVar(&f.kubeconfig, "kubeconfig", "", "where to write the admin's kubeconfig (default DIR/kubeconfig)")
	fs.StringVar(&f.gatewayAddr, "gateway", "127.0.0.1:8080", "address of the gateway; port 0 takes a free one")
	fs.StringVar(&f.gatewayAdmin, "gateway-admin", "127.0.0.1:0", "address of the gateway's /metrics and "+
		"/debug/routes; port 0 takes a free one")
	fs.DurationVar(&f.habits.SyncEvery, "gateway-sync-every", 0, "least time between two readings of the gateway: 3.3s "+
		"as ingress-nginx has, 2s as Traefik has; 0 follows each change at once")
	fs.DurationVar(&f.habits.Delay, "gateway-delay", 0, "time from a reading of the gateway until requests go by it")
	fs.BoolVar(&f.habits.EarlyAccepted, "gateway-early-accepted", false, "report HTTPRoutes as accepted before they "+
		"are in force, as Traefik does")
	fs.StringVar(&f.prometheus, "prometheus", "127.0.0.1:0", "address of Prometheus' HTTP API; port 0 takes a free "+
		"one, an empty address leaves Prometheus out")
	fs.DurationVar(&f.scrapeInterval, "scrape-interval", time.Second, "how often Prometheus asks the gateway and each pod")
	fs.StringVar(&f.api, "api", "", "address of the API server (default: a free port, the same each time)")
	fs.BoolVar(&f.ephemeral, "ephemeral", false, "wipe DIR at the start and remove it at the end; faster, for tests")
	fs.IntVar(&f.nodes, "nodes", 1, "how many nodes")
	fs.StringVar(&f.auditLog, "audit-log", "", "file for the API server's audit log, one JSON object a line")
	fs.BoolVar(&f.noMutating, "no-mutating-policies", false, "run without MutatingAdmissionPolicy, like a cluster "+
		"before Kubernetes 1.36")
	fs.StringVar(&f.featureGates, "feature-gates", "", "feature gates of the API server, NAME=true|false[,...]")
	fs.StringVar(&f.runtimeConfig, "runtime-config", "", "APIs to serve or not, GROUP/VERSION[/RESOURCE]=true|false[,...]")
	fs.StringArrayVar(&f.apiServerArgs, "api-server-arg", nil, "further flag of kube-apiserver; may be repeated")
}

// complete refuses what cannot work before anything is started, and fills in the defaults.
func (f upFlags) complete() (upFlags, error) {
	if f.nodes < 1 {
		return f, fmt.Errorf("--nodes %d: want at least 1", f.nodes)
	}
	if f.scrapeInterval < minScrapeInterval {
		return f, fmt.Errorf("--scrape-interval %s: want at least %s", f.scrapeInterval, minScrapeInterval)
	}
	if f.habits.SyncEvery < 0 || f.habits.Delay < 0 {
		return f, errors.New("--gateway-sync-every and --gateway-delay: want 0s or more")
	}
	if err := f.checkAddresses(); err != nil {
		return f, err
	}
	if err := f.completePaths(); err != nil {
		return f, err
	}
	if err := controlplane.CheckKubeconfig(f.kubeconfig); err != nil {
		return f, fmt.Errorf("--kubeconfig: %w", err)
	}
	return f, nil
}

func (f upFlags) checkAddresses() error {
	for name, address := range map[string]string{
		"--gateway": f.gatewayAddr, "--gateway-admin": f.gatewayAdmin,
		"--prometheus": f.prometheus,
	} {
		if name == "--prometheus" && address == "" {
			continue
		}
		if err := controlplane.CheckAddress(address); err != nil {
			return fmt.Errorf("%s %w: stop that process, or choose another address, such as 127.0.0.1:0 for any free port",
				name, err)
		}
	}
	return nil
}

func (f *upFlags) completePaths() (err error) {
	if f.dir == "" {
		if !f.ephemeral {
			return errors.New("--dir is missing: name a directory for the cluster (or try --ephemeral, which needs none)")
		}
		if f.dir, err = os.MkdirTemp("", "sluice-playground-"); err != nil {
			return fmt.Errorf("make temporary directory: %w", err)
		}
	}
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return fmt.Errorf("resolve --dir: %w", err)
	}
	if f.kubeconfig == "" {
		f.kubeconfig = filepath.Join(f.dir, "kubeconfig")
	}
	if f.kubeconfig, err = filepath.Abs(f.kubeconfig); err != nil {
		return fmt.Errorf("resolve --kubeconfig: %w", err)
	}
	return nil
}

func (f upFlags) nodeNames() []string {
	names := make([]string, f.nodes)
	for i := range names {
		names[i] = fmt.Sprintf("playground-%d", i+1)
	}
	return names
}

func (f upFlags) controlPlane(log *slog.Logger) controlplane.Options {
	var args []string
	if f.featureGates != "" {
		args = append(args, "--feature-gates="+f.featureGates)
	}
	if f.runtimeConfig != "" {
		args = append(args, "--runtime-config="+f.runtimeConfig)
	}
	return controlplane.Options{
		Dir:       f.dir,
		Ephemeral: f.ephemeral,
		Listen:    f.api,
		AuditLog:  f.auditLog,

		NoMutatingPolicies: f.noMutating,

		ExtraArgs: map[string][]string{"kube-apiserver": append(args, f.apiServerArgs...)},
		Log:       log,
	}
}
