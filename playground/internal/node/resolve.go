package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

const (
	byService   = "service"
	byClusterIP = "clusterIP"
)

// resolver is the cluster's DNS and kube-proxy in one: it finds a ready endpoint of the
// Service that a name or a cluster IP stands for. Any other name with a dot is taken
// for a host of the gateway.
type resolver struct {
	services corev1listers.ServiceLister
	byIP     cache.Indexer
	slices   cache.Indexer
	gateway  func() string
}

var _ network.Resolver = (*resolver)(nil)

// newResolver makes a resolver over informers of the factory, which the caller starts.
func newResolver(f informers.SharedInformerFactory, gateway func() string) (*resolver, error) {
	services := f.Core().V1().Services()
	endpoints := f.Discovery().V1().EndpointSlices().Informer()
	err := services.Informer().AddIndexers(cache.Indexers{byClusterIP: func(o any) ([]string, error) {
		return o.(*corev1.Service).Spec.ClusterIPs, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("index services: %w", err)
	}
	err = endpoints.AddIndexers(cache.Indexers{byService: func(o any) ([]string, error) {
		s := o.(*discoveryv1.EndpointSlice)
		return []string{s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]}, nil
	}})
	if err != nil {
		return nil, fmt.Errorf("index endpoint slices: %w", err)
	}
	return &resolver{
		services: services.Lister(), byIP: services.Informer().GetIndexer(),
		slices: endpoints.GetIndexer(), gateway: gateway,
	}, nil
}

// Resolve implements network.Resolver.
func (r *resolver) Resolve(_ context.Context, namespace, host string, port int) (string, bool, error) {
	if s := r.service(namespace, host); s != nil {
		addr, err := r.endpoint(s, port)
		return addr, err == nil, err
	}
	if r.gateway == nil || !strings.Contains(host, ".") || clusterName(host) || net.ParseIP(host) != nil {
		return "", false, nil
	}
	addr := r.gateway()
	return addr, addr != "", nil
}

func clusterName(host string) bool {
	return strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".cluster.local")
}

func (r *resolver) service(namespace, host string) *corev1.Service {
	if net.ParseIP(host) != nil {
		if found, _ := r.byIP.ByIndex(byClusterIP, host); len(found) > 0 {
			return found[0].(*corev1.Service)
		}
		return nil
	}
	name := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(host, "."), ".cluster.local"), ".svc")
	name, other, dotted := strings.Cut(name, ".")
	if dotted {
		namespace = other
	}
	s, err := r.services.Services(namespace).Get(name)
	if err != nil {
		return nil
	}
	return s
}

// endpoint chooses a ready endpoint; one that serves while it terminates only if there
// is no ready one, as kube-proxy does; and refuses where there is none at all.
func (r *resolver) endpoint(s *corev1.Service, port int) (string, error) {
	found, err := r.slices.ByIndex(byService, s.Namespace+"/"+s.Name)
	if err != nil {
		return "", err
	}
	var ready, serving []string
	for _, o := range found {
		slice := o.(*discoveryv1.EndpointSlice)
		target, ok := targetPort(s, slice, port)
		if !ok {
			continue
		}
		for _, e := range slice.Endpoints {
			addr := net.JoinHostPort(e.Addresses[0], strconv.Itoa(target))
			switch c := e.Conditions; {
			case c.Ready == nil || *c.Ready:
				ready = append(ready, addr)
			case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
				serving = append(serving, addr)
			}
		}
	}
	if len(ready) == 0 {
		ready = serving
	}
	if len(ready) == 0 {
		return "", os.NewSyscallError("connect", fmt.Errorf("service %s/%s has no ready endpoint for port %d: %w",
			s.Namespace, s.Name, port, syscall.ECONNREFUSED))
	}
	return ready[rand.IntN(len(ready))], nil
}

// targetPort finds the pods' port behind a Service's port. A headless Service has no
// ports of its own: the pods' are called as they are.
func targetPort(s *corev1.Service, slice *discoveryv1.EndpointSlice, port int) (int, bool) {
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		return port, true
	}
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port })
	if i < 0 {
		return 0, false
	}
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil && s.Spec.Ports[i].Name == "" || p.Name != nil &&
			*p.Name == s.Spec.Ports[i].Name) {
			return int(*p.Port), true
		}
	}
	return 0, false
}
