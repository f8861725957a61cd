package helm

import (
	"log/slog"
	"maps"
	"time"

	action3 "helm.sh/helm/v3/pkg/action"
	loader3 "helm.sh/helm/v3/pkg/chart/loader"
	action4 "helm.sh/helm/v4/pkg/action"
	loader4 "helm.sh/helm/v4/pkg/chart/loader"
	kube4 "helm.sh/helm/v4/pkg/kube"
	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// chart is loaded anew for every call, as the commands do: rendering writes into it.
const chart = "testdata/shop"

// values of the chart that differ from values.yaml.
type values map[string]any

func (v values) with(more values) values {
	out := maps.Clone(v)
	maps.Copy(out, more)
	return out
}

// waits are flags of helm upgrade and uninstall.
type waits struct {
	// upTo is --wait with that --timeout. Zero is no --wait.
	upTo time.Duration
	// undo is --atomic of Helm 3 and --rollback-on-failure of Helm 4.
	undo bool
}

// helm is what a team calls, of either version: with the commands' defaults, and never with --force or
// --force-conflicts.
type helm interface {
	install(v values) error
	upgrade(v values, w waits) error
	rollback(revision int) error
	uninstall(w waits) error
}

type helm3 struct {
	config *action3.Configuration
	ns     string
}

func newHelm3(getter genericclioptions.RESTClientGetter, ns string) (helm, error) {
	h := helm3{config: &action3.Configuration{}, ns: ns}
	return h, h.config.Init(getter, ns, "secret", func(string, ...any) {})
}

func (h helm3) install(v values) error {
	c, err := loader3.LoadDir(chart)
	if err != nil {
		return err
	}
	a := action3.NewInstall(h.config)
	a.ReleaseName, a.Namespace = "shop", h.ns
	_, err = a.Run(c, v)
	return err
}

func (h helm3) upgrade(v values, w waits) error {
	c, err := loader3.LoadDir(chart)
	if err != nil {
		return err
	}
	a := action3.NewUpgrade(h.config)
	a.Namespace, a.MaxHistory, a.Wait, a.Timeout, a.Atomic = h.ns, 10, w.upTo > 0, w.upTo, w.undo
	_, err = a.Run("shop", c, v)
	return err
}

func (h helm3) rollback(revision int) error {
	a := action3.NewRollback(h.config)
	a.Version, a.MaxHistory = revision, 10
	return a.Run("shop")
}

func (h helm3) uninstall(w waits) error {
	a := action3.NewUninstall(h.config)
	a.Wait, a.Timeout = w.upTo > 0, w.upTo
	_, err := a.Run("shop")
	return err
}

type helm4 struct {
	config *action4.Configuration
	ns     string
	// server is --server-side: by default as the chart was applied before, which begins with true.
	server string
}

func newHelm4(getter genericclioptions.RESTClientGetter, ns, server string) (helm, error) {
	h := helm4{config: action4.NewConfiguration(action4.ConfigurationSetLogger(slog.DiscardHandler)), ns: ns, server: server}
	return h, h.config.Init(getter, ns, "secret")
}

func strategy(w waits) kube4.WaitStrategy {
	if w.upTo > 0 {
		return kube4.StatusWatcherStrategy
	}
	return kube4.HookOnlyStrategy
}

func (h helm4) install(v values) error {
	c, err := loader4.LoadDir(chart)
	if err != nil {
		return err
	}
	a := action4.NewInstall(h.config)
	a.ReleaseName, a.Namespace, a.WaitStrategy = "shop", h.ns, kube4.HookOnlyStrategy
	_, err = a.Run(c, v)
	return err
}

func (h helm4) upgrade(v values, w waits) error {
	c, err := loader4.LoadDir(chart)
	if err != nil {
		return err
	}
	a := action4.NewUpgrade(h.config)
	a.Namespace, a.MaxHistory, a.ServerSideApply = h.ns, 10, h.server
	a.WaitStrategy, a.Timeout, a.RollbackOnFailure = strategy(w), w.upTo, w.undo
	_, err = a.Run("shop", c, v)
	return err
}

func (h helm4) rollback(revision int) error {
	a := action4.NewRollback(h.config)
	a.Version, a.MaxHistory, a.ServerSideApply, a.WaitStrategy = revision, 10, h.server, kube4.HookOnlyStrategy
	return a.Run("shop")
}

func (h helm4) uninstall(w waits) error {
	a := action4.NewUninstall(h.config)
	a.WaitStrategy, a.Timeout = strategy(w), w.upTo
	_, err := a.Run("shop")
	return err
}
