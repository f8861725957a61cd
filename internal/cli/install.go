package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube/install"
)

func newInstall(e *env) *cobra.Command {
	var o install.Options
	c := &cobra.Command{
		Use:   "install",
		Short: "Install Sluice in the cluster: kinds, rights, admission policies, controller",
		Long: `Install Sluice in the cluster: kinds, rights, admission policies and the controller. It may be repeated: what
is as it should be is left alone.

With --namespaces the controller gets rights in these namespaces only, by a Role in each, and looks after these. The kinds
and the admission policies are the cluster's all the same, so installing takes a cluster administrator. Repeat the flag
with every upgrade; with another list, namespaces are added and left, the latter only when they have no Rollout any more.`,
		Example: `  sluice install
  sluice install --controller-flag=--prometheus-address=http://prometheus.monitoring:9090 --controller-flag=--request-metrics=ingress-nginx
  sluice install --namespaces shop,billing
  sluice install --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := e.config()
			if err != nil {
				return err
			}
			if o.Namespace, err = e.home(c); err != nil {
				return err
			}
			o.Out = e.out
			return install.Install(c.Context(), cfg, o)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&o.Namespaces, "namespaces", nil, "Namespaces in which the controller gets rights, and which it "+
		"looks after. Default: all")
	f.BoolVar(&o.AllNamespaces, "all-namespaces", false, "Give the controller rights in all namespaces, where it has "+
		"them in some so far")
	f.BoolVar(&o.NoNetworkPolicy, "no-network-policy", false, "Leave the controller's NetworkPolicy out")
	f.StringVar(&o.ControllerImage, "image", "", "The controller's image. Default: the one of this version")
	f.StringArrayVar(&o.ControllerFlags, "controller-flag", nil, "A further flag of the controller, as "+
		"--metric-hosts=prometheus.monitoring; may be repeated")
	// No backquotes in this text: pflag would take what stands in them for the name of the flag's value.
	f.BoolVar(&o.SkipController, "skip-controller", false, "Leave the controller out, where it runs "+
		"elsewhere (sluice controller)")
	f.BoolVar(&o.DryRun, "dry-run", false, "Ask the API server what would happen, and change nothing")
	f.DurationVar(&o.Timeout, "timeout", install.DefaultTimeout, "How long it may take in all")
	return c
}

// home is the namespace of the controller: the one of -n, and not the one of the user's context. A context's
// namespace is where its user works; Sluice must not be installed there by accident.
func (e *env) home(c *cobra.Command) (string, error) {
	if !c.Flags().Changed("namespace") {
		return deploy.Namespace, nil
	}
	return e.namespace()
}

// putBack does what a controller would do to Rollouts that are being deleted, in this very process, until ctx ends.
// It is for a cluster in which no controller runs any more: without it the Rollouts' finalizers would keep them for
// ever.
type putBack func(ctx context.Context, cfg *rest.Config, namespaces []string) error

func newUninstall(e *env, back putBack) *cobra.Command {
	var o install.UninstallOptions
	var sure bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take Sluice out of the cluster, after everything that it changed has been put back",
		Long: `Take Sluice out of the cluster: all Rollouts are deleted, releases under way are taken back, everything that
they changed is put back and held revisions are let go; only then are the controller, the admission policies and
the rights removed. The workloads run on untouched.

The records of releases are kept unless --delete-crds is given.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !sure && !o.Force {
				return fmt.Errorf("this deletes every Rollout in the cluster; say --yes if that is meant")
			}
			cfg, err := e.config()
			if err != nil {
				return err
			}
			if o.Namespace, err = e.home(c); err != nil {
				return err
			}
			o.Out = e.out
			if back != nil {
				// The admission policies let only the controller's user put things back, whatever rights an
				// administrator has.
				as := install.AsController(cfg, o.Namespace)
				o.PutBack = func(ctx context.Context, namespaces []string) error { return back(ctx, as, namespaces) }
			}
			return install.Uninstall(c.Context(), cfg, o)
		},
	}
	f := c.Flags()
	f.BoolVarP(&sure, "yes", "y", false, "Delete every Rollout in the cluster")
	f.BoolVar(&o.DeleteCRDs, "delete-crds", false, "Delete the kinds too, and with them every record")
	f.BoolVar(&o.Force, "force", false, "Go on when Rollouts are not put back in time, and print what is left changed")
	f.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "How long it may take in all")
	return c
}
