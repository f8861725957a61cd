package route

import (
	"net"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// BackendKey names one port of one Service, as a route spells it.
type BackendKey struct {
	Namespace, Service, Port string
}

func (k BackendKey) String() string { return k.Namespace + "/" + k.Service + ":" + k.Port }

// Backend is one port of one Service with the addresses that may be asked now.
type Backend struct {
	BackendKey
	// Endpoints are "ip:port", sorted; none means the Service cannot answer.
	Endpoints []string
	// Missing says what of the Service does not exist; empty when it does.
	Missing string
}

// backends resolves each Service port once per translation.
type backends struct {
	world World
	known map[BackendKey]*Backend
}

func newBackends(w World) *backends {
	return &backends{world: w, known: map[BackendKey]*Backend{}}
}

// get always gives a backend: one that cannot be resolved has no endpoints and
// says why in Missing.
func (b *backends) get(namespace, service, port string) *Backend {
	key := BackendKey{Namespace: namespace, Service: service, Port: port}
	if be, ok := b.known[key]; ok {
		return be
	}
	be := &Backend{BackendKey: key}
	b.known[key] = be
	svc := b.world.Service(namespace, service)
	if svc == nil {
		be.Missing = "Service " + namespace + "/" + service + " does not exist"
		return be
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName {
		be.Missing = "Service " + namespace + "/" + service + " is of type ExternalName, which this gateway does not serve"
		return be
	}
	name, ok := servicePortName(svc, port)
	if !ok {
		be.Missing = "Service " + namespace + "/" + service + " has no port " + port
		return be
	}
	be.Endpoints = endpoints(b.world.EndpointSlices(namespace, service), name)
	return be
}

// servicePortName finds a Service's port by name or number and gives its name,
// under which EndpointSlices list the pods' own port numbers.
func servicePortName(svc *corev1.Service, port string) (string, bool) {
	for _, p := range svc.Spec.Ports {
		if port == p.Name || port == strconv.Itoa(int(p.Port)) {
			return p.Name, true
		}
	}
	return "", false
}

// endpoints lists the ready addresses; only when there is none, those that
// still serve while they terminate, as kube-proxy does.
func endpoints(slicesOf []*discoveryv1.EndpointSlice, port string) []string {
	var ready, leaving []string
	for _, s := range slicesOf {
		number := slicePort(s, port)
		if number == "" || s.AddressType == discoveryv1.AddressTypeFQDN {
			continue
		}
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if len(e.Addresses) == 0 {
				continue
			}
			// The addresses of one endpoint are interchangeable; consumers take the first.
			addr := net.JoinHostPort(e.Addresses[0], number)
			switch c := e.Conditions; {
			case c.Ready == nil || *c.Ready:
				ready = append(ready, addr)
			case isTrue(c.Serving) && isTrue(c.Terminating):
				leaving = append(leaving, addr)
			}
		}
	}
	if len(ready) == 0 {
		ready = leaving
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}

func slicePort(s *discoveryv1.EndpointSlice, name string) string {
	for _, p := range s.Ports {
		if p.Port != nil && deref(p.Name) == name {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}

func isTrue(b *bool) bool { return b != nil && *b }

func deref[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}
