package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

// pod is a server on an address of its own.
type pod struct {
	name   string
	addr   *net.TCPAddr
	server *http.Server
}

func startPod(t testing.TB, name string, h http.Handler) *pod {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{name: name, addr: l.Addr().(*net.TCPAddr), server: &http.Server{Handler: h}}
	go func() { _ = p.server.Serve(l) }()
	t.Cleanup(func() { _ = p.server.Close() })
	return p
}

func (p *pod) stop(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		t.Errorf("stop pod %s: %v", p.name, err)
	}
}

// fixture is a gateway without an API server: a world that a test may change.
type fixture struct {
	proxy  *proxy
	server *httptest.Server

	mu    sync.Mutex
	world route.World
	pods  map[string][]*pod // by Service
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{pods: map[string][]*pod{}}
	f.proxy = newProxy((&net.Dialer{}).DialContext, rand.IntN, newMetrics(), slog.New(slog.DiscardHandler))
	f.server = httptest.NewUnstartedServer(f.proxy)
	f.server.Config = newServer(f.proxy, slog.New(slog.DiscardHandler))
	f.server.Start()
	t.Cleanup(f.server.Close)
	f.world = route.World{
		IngressClass: "nginx", Controller: "test", Address: "127.0.0.1",
		NamespaceLabels: func(string) map[string]string { return nil },
		Service: func(ns, name string) *corev1.Service {
			if _, ok := f.pods[name]; !ok {
				return nil
			}
			return &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
				Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
			}
		},
		EndpointSlices: f.slices,
		GatewayClasses: []*gatewayv1.GatewayClass{{
			ObjectMeta: metav1.ObjectMeta{Name: "test"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "test"},
		}},
		Gateways: []*gatewayv1.Gateway{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "gw"},
			Spec: gatewayv1.GatewaySpec{
				GatewayClassName: "test",
				Listeners:        []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
			},
		}},
	}
	return f
}

// slices gives one slice per pod, since pods of a test differ in their ports.
func (f *fixture) slices(ns, service string) []*discoveryv1.EndpointSlice {
	var out []*discoveryv1.EndpointSlice
	name := "http"
	for _, p := range f.pods[service] {
		port := int32(p.addr.Port)
		out = append(out, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: ns},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{p.addr.IP.String()}}},
		})
	}
	return out
}

// change edits the world and puts it in force.
func (f *fixture) change(edit func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit()
	f.proxy.table.Store(route.Translate(f.world).Table)
}

func (f *fixture) ingress(name, host, service string, annotations map[string]string) *networkingv1.Ingress {
	class, prefix := "nginx", networkingv1.PathTypePrefix
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, Annotations: annotations},
		Spec: networkingv1.IngressSpec{
			IngressClassName: &class,
			Rules: []networkingv1.IngressRule{{
				Host: host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
					Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: &prefix, Backend: networkingv1.IngressBackend{
						Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}},
					}}},
				}},
			}},
		},
	}
}

func canaryAnnotations(weight int) map[string]string {
	return map[string]string{
		"nginx.ingress.kubernetes.io/canary":           "true",
		"nginx.ingress.kubernetes.io/canary-weight":    strconv.Itoa(weight),
		"nginx.ingress.kubernetes.io/canary-by-header": "X-Canary",
	}
}

func (f *fixture) httpRoute(host string, rule gatewayv1.HTTPRouteRule) *gatewayv1.HTTPRoute {
	return &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "route"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(host)},
			Rules:           []gatewayv1.HTTPRouteRule{rule},
		},
	}
}

func backendRef(service string, weight int32) gatewayv1.HTTPBackendRef {
	port := int32(80)
	return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(service), Port: &port},
		Weight:                 &weight,
	}}
}

// request makes a request to the gateway for a host.
func (f *fixture) request(t testing.TB, method, host, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return r
}

func said(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, name) })
}
