package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/admission"
)

// DefaultTimeout bounds the waits of an installation.
const DefaultTimeout = 2 * time.Minute

// Options say what to install.
type Options struct {
	// Namespace of the controller. Default sluice-system.
	Namespace string
	// Namespaces are the only ones in which the controller gets rights, and which it looks after. None for all.
	Namespaces []string
	// AllNamespaces says that all are meant, where Sluice is installed for some so far.
	AllNamespaces bool
	// NoNetworkPolicy leaves the NetworkPolicy out, for a cluster that has its own way.
	NoNetworkPolicy bool
	// ControllerImage is the controller's image. Default: the manifest's.
	ControllerImage string
	// ControllerFlags come after the manifest's, as --metric-hosts=prometheus.monitoring.
	ControllerFlags []string
	// SkipController leaves the controller's Deployment out, for a controller that runs elsewhere.
	SkipController bool
	// DryRun asks the API server what would happen, and changes nothing.
	DryRun bool
	// Timeout bounds all waits together. Default DefaultTimeout.
	Timeout time.Duration
	// Out gets one line per object. Nil means nowhere.
	Out io.Writer
}

// Install makes or updates everything that Sluice needs in a cluster, in order: kinds, rights, admission
// policies, controller. It waits until the kinds are served and the policies are in force, and may be
// repeated: what is as it should be is left alone.
func Install(ctx context.Context, cfg *rest.Config, o Options) error {
	o = o.complete()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, err := connect(cfg, o.Out, o.DryRun)
	if err != nil {
		return err
	}
	before, err := c.reach(ctx)
	if err != nil {
		return err
	}
	if err := c.checkReach(ctx, before, o); err != nil {
		return err
	}
	if err := c.installKinds(ctx); err != nil {
		return err
	}
	if err := c.applySet(ctx, func() (
		[]*unstructured.Unstructured, error,
	) {
		return deploy.Access(o.Namespace, o.Namespaces...)
	}); err != nil {
		return err
	}
	if err := c.installPolicies(ctx, o); err != nil {
		return err
	}
	if !o.SkipController {
		if err := c.installController(ctx, o); err != nil {
			return err
		}
	}
	return c.withdraw(ctx, before, o)
}

// installController makes the objects that run the controller.
func (c *cluster) installController(ctx context.Context, o Options) error {
	flags := o.ControllerFlags
	if len(o.Namespaces) > 0 {
		flags = append([]string{"--namespaces=" + strings.Join(o.Namespaces, ",")}, flags...)
	}
	objects, err := deploy.ControllerObjects(o.Namespace, o.ControllerImage, flags...)
	if err != nil {
		return err
	}
	ports, err := c.apiServerPorts(ctx)
	if err != nil {
		return err
	}
	var wanted []*unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == "NetworkPolicy" {
			if o.NoNetworkPolicy {
				continue
			}
			if err := deploy.OpenPorts(object, ports...); err != nil {
				return err
			}
		}
		wanted = append(wanted, object)
	}
	return c.applyAll(ctx, wanted)
}

// apiServerPorts are the ports at which the API server listens itself, behind its Service.
func (c *cluster) apiServerPorts(ctx context.Context) ([]int64, error) {
	found, err := c.dynamic.Resource(endpointSlices).Namespace(metav1.NamespaceDefault).List(ctx,
		metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("read the API server's addresses: %w", explain(err))
	}
	var ports []int64
	for _, slice := range found.Items {
		list, _, _ := unstructured.NestedSlice(slice.Object, "ports")
		for _, item := range list {
			if port, ok := item.(map[string]any)["port"].(int64); ok {
				ports = append(ports, port)
			}
		}
	}
	return ports, nil
}

var endpointSlices = schema.GroupVersionResource{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}

func (o Options) complete() Options {
	if o.Namespace == "" {
		o.Namespace = deploy.Namespace
	}
	o.Namespaces = slices.Compact(slices.Sorted(slices.Values(o.Namespaces)))
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// cluster is a connection to the API server, with the place to report to.
type cluster struct {
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	out       io.Writer
	dryRun    bool
	// pending are the namespaces that a dry run would have made, and so cannot be asked about.
	pending map[string]bool
}

func connect(cfg *rest.Config, out io.Writer, dryRun bool) (*cluster, error) {
	if cfg == nil {
		return nil, errors.New("no cluster given: set KUBECONFIG or --kubeconfig")
	}
	// What is waited for is asked often; the API server's own fairness is limit enough.
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	kinds, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make discovery client: %w", err)
	}
	return &cluster{dynamic: objects, discovery: kinds, out: out, dryRun: dryRun, pending: map[string]bool{}}, nil
}

// installKinds makes the CRDs, and waits until they are served: policies and controller refer to them.
func (c *cluster) installKinds(ctx context.Context) error {
	crds, err := deploy.CRDs()
	if err != nil {
		return err
	}
	if err := c.applyAll(ctx, crds); err != nil || c.dryRun {
		return err
	}
	for _, crd := range crds {
		if err := c.waitEstablished(ctx, crd); err != nil {
			return err
		}
	}
	return nil
}

// installPolicies makes the admission policies that this cluster can have.
func (c *cluster) installPolicies(ctx context.Context, o Options) error {
	mutating, err := admission.Supported(c.discovery)
	if err != nil {
		return err
	}
	if !mutating {
		fmt.Fprintln(c.out, "note: this cluster has no MutatingAdmissionPolicy (v1, since Kubernetes 1.36): "+
			"workloads under a Rollout are kept paused instead")
	}
	policies, err := admission.Policies(o.Namespace, mutating, o.Namespaces...)
	if err != nil {
		return err
	}
	if err := c.applyAll(ctx, policies); err != nil || c.dryRun {
		return err
	}
	return c.waitInForce(ctx, o.Namespace, mutating)
}

func (c *cluster) applySet(ctx context.Context, set func() ([]*unstructured.Unstructured, error)) error {
	objects, err := set()
	if err != nil {
		return err
	}
	return c.applyAll(ctx, objects)
}
