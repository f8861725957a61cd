package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayfake "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned/fake"
)

// watched is a watcher over client-go's fakes.
type watched struct {
	core    *fake.Clientset
	gateway *gatewayfake.Clientset
	proxy   *proxy
	metrics *metrics
}

func newWatched(t *testing.T, kinds ...string) *watched {
	t.Helper()
	return newWatchedWith(t, Habits{}, kinds...)
}

func newWatchedWith(t *testing.T, h Habits, kinds ...string) *watched {
	t.Helper()
	// Not NewClientset: it guesses that several Gateways are "gatewaies".
	w := &watched{core: fake.NewClientset(), gateway: gatewayfake.NewSimpleClientset(), metrics: newMetrics()}
	w.serve(kinds...)
	w.proxy = newProxy((&net.Dialer{}).DialContext, rand.IntN, w.metrics, slog.New(slog.DiscardHandler))
	o := Options{Log: slog.New(slog.DiscardHandler), Habits: h}.withDefaults()
	watcher, err := newWatcher(o, clients{w.core, w.gateway}, w.proxy, w.metrics, &net.TCPAddr{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- watcher.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-watcher.ready:
	case <-time.After(20 * time.Second):
		t.Fatal("the watcher was not ready within 20 s")
	}
	return w
}

// serve makes the fake API server say that it has these Gateway API kinds.
func (w *watched) serve(kinds ...string) {
	if len(kinds) == 0 {
		return
	}
	list := &metav1.APIResourceList{GroupVersion: gatewayv1.GroupVersion.String()}
	for _, k := range kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: k})
	}
	w.gateway.Lock()
	defer w.gateway.Unlock()
	w.gateway.Resources = []*metav1.APIResourceList{list}
}

func (w *watched) service(t *testing.T, name string) {
	t.Helper()
	if _, err := w.core.CoreV1().Services("demo").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.core.DiscoveryV1().EndpointSlices("demo").Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"198.18.0.1"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// choice is the Service that the table in force chooses for a host, "" for none.
func (w *watched) choice(host string) string {
	c := w.proxy.table.Load().Match(httptest.NewRequest("GET", "http://"+host+"/", nil), func(int) int { return 0 })
	if c.Status != 0 {
		return ""
	}
	return c.Backend.Service
}

func (w *watched) tables(t *testing.T) float64 {
	t.Helper()
	families, err := w.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sluice_gateway_config_generation" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no generation is exported")
	return 0
}

var allKinds = []string{"GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant"}

// TestWatch: objects in any order lead to the right table.
func TestWatch(t *testing.T) {
	w := newWatched(t, allKinds...)
	ingress := (&fixture{}).ingress("shop", "shop.demo", "shop", nil)
	if _, err := w.core.NetworkingV1().Ingresses("demo").Create(t.Context(), ingress, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a route to a Service that does not exist", func() bool { return w.proxy.table.Load().Names("demo", "shop") })
	w.service(t, "shop")
	eventually(t, "its pods", func() bool { return w.choice("shop.demo") == "shop" })
	if err := w.core.NetworkingV1().Ingresses("demo").Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Ingress to go", func() bool { return w.choice("shop.demo") == "" })
}

// TestWatchLeavesOthersAlone: Services that no route names cost no table.
func TestWatchLeavesOthersAlone(t *testing.T) {
	w := newWatched(t, allKinds...)
	before := w.tables(t)
	for _, name := range []string{"a", "b", "c"} {
		w.service(t, name)
	}
	ingress := (&fixture{}).ingress("b", "b.demo", "b", nil)
	if _, err := w.core.NetworkingV1().Ingresses("demo").Create(t.Context(), ingress, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that is named", func() bool { return w.choice("b.demo") == "b" })
	// One table for the Ingress, and at most one for each of b's two objects.
	if n := w.tables(t) - before; n > 3 {
		t.Errorf("%v tables were built", n)
	}
}

// TestGatewayAPIComesLater: Ingresses are served while the CRDs are missing, and
// routes as soon as they are there; their statuses say so.
func TestGatewayAPIComesLater(t *testing.T) {
	w := newWatched(t)
	w.service(t, "shop")
	f := &fixture{}
	if _, err := w.core.NetworkingV1().Ingresses("demo").Create(t.Context(), f.ingress("shop", "shop.demo", "shop", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Ingress", func() bool { return w.choice("shop.demo") == "shop" })
	v1 := w.gateway.GatewayV1()
	_, err := v1.GatewayClasses().Create(t.Context(), &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: defaultControllerName},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v1.Gateways("demo").Create(t.Context(), &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "gw", Namespace: "demo"},
		Spec:       gatewayv1.GatewaySpec{GatewayClassName: "c", Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := f.httpRoute("gw.demo", gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("shop", 1)}})
	r.Generation = 4
	if _, err := v1.HTTPRoutes("demo").Create(t.Context(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.serve(allKinds...)
	eventually(t, "the route", func() bool { return w.choice("gw.demo") == "shop" })
	eventually(t, "the route's status", func() bool {
		r, err := v1.HTTPRoutes("demo").Get(t.Context(), "route", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Status.Parents) != 1 {
			return false
		}
		c := meta.FindStatusCondition(r.Status.Parents[0].Conditions, "Accepted")
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == 4 && !c.LastTransitionTime.IsZero()
	})
}
