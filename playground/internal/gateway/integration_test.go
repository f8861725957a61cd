package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
)

// cluster is a real API server with a gateway of its own class and namespace,
// so that it does not meet one that runs already. Pods are local servers behind
// EndpointSlices that the test writes.
type cluster struct {
	core      kubernetes.Interface
	gateway   versioned.Interface
	namespace string
	class     string
	addr      string
	admin     string
	pods      map[string]*pod // by the address in the API
	podCount  int
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Skip("KUBECONFIG is not set; point it at a playground to run this test")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1 // the test must not be slower than what it measures
	c := &cluster{
		core: kubernetes.NewForConfigOrDie(config), gateway: versioned.NewForConfigOrDie(config),
		class: fmt.Sprintf("gwtest-%d", time.Now().UnixNano()), pods: map[string]*pod{},
	}
	ns, err := c.core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "gwtest-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.namespace = ns.Name
	t.Cleanup(func() { c.clean(t) })

	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan [2]string, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Config: config, Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Dial: c.dial,
			IngressClass: c.class, ControllerName: "sluice.dev/" + c.class,
			Log:   slog.New(slog.NewTextHandler(t.Output(), nil)),
			Ready: func(addr, admin string) { ready <- [2]string{addr, admin} },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case a := <-ready:
		c.addr, c.admin = a[0], a[1]
	case err := <-ended:
		ended <- err
		t.Fatalf("Run ended early: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the gateway was not ready within 30 s")
	}
	return c
}

func (c *cluster) clean(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, err := range []error{
		c.core.CoreV1().Namespaces().Delete(ctx, c.namespace, metav1.DeleteOptions{}),
		c.gateway.GatewayV1().GatewayClasses().Delete(ctx, c.class, metav1.DeleteOptions{}),
	} {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("clean up: %v", err)
		}
	}
}

func (c *cluster) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if p := c.pods[host]; p != nil {
		addr = p.addr.String()
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// service makes a Service without a selector and its slice with one pod.
func (c *cluster) service(t *testing.T, name string) {
	t.Helper()
	c.podCount++
	ip := fmt.Sprintf("198.18.250.%d", c.podCount)
	c.pods[ip] = startPod(t, name, said(name))
	ports := []corev1.ServicePort{{Name: "http", Port: 80}}
	if _, err := c.core.CoreV1().Services(c.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Ports: ports},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.core.DiscoveryV1().EndpointSlices(c.namespace).Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name + "-test", Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr("http"), Port: ptr(int32(8080))}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{ip}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) get(t *testing.T, host string, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+c.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	code, body := do(t, r)
	if code != 200 {
		return fmt.Sprint(code)
	}
	return body
}

func (c *cluster) ingress(t *testing.T, name, service string, annotations map[string]string) {
	t.Helper()
	i := (&fixture{}).ingress(name, "shop.demo", service, annotations)
	i.Namespace, i.Spec.IngressClassName = c.namespace, &c.class
	if _, err := c.core.NetworkingV1().Ingresses(c.namespace).Create(t.Context(), i, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestAgainstAPIServer follows an Ingress with its canary and an HTTPRoute on a
// real API server, and measures how long a change takes to be in force.
func TestAgainstAPIServer(t *testing.T) {
	c := newCluster(t)
	c.service(t, "blue")
	c.service(t, "green")
	t.Run("Ingress", c.testIngress)
	t.Run("Events", c.testEvents)
	t.Run("HTTPRoute", c.testHTTPRoute)
	t.Run("Quiet", c.testQuiet)
}

func (c *cluster) testIngress(t *testing.T) {
	c.ingress(t, "shop", "blue", nil)
	eventually(t, "the Ingress", func() bool { return c.get(t, "shop.demo") == "blue" })
	c.ingress(t, "shop-canary", "green", canaryAnnotations(0))
	eventually(t, "the canary", func() bool { return c.get(t, "shop.demo", "X-Canary", "always") == "green" })
	if got := c.get(t, "shop.demo"); got != "blue" {
		t.Errorf("weight 0 gave %s", got)
	}
	var worst time.Duration
	for i := range 20 {
		weight, want := "100", "green"
		if i%2 == 1 {
			weight, want = "0", "blue"
		}
		body := fmt.Sprintf(`{"metadata":{"annotations":{"nginx.ingress.kubernetes.io/canary-weight":%q}}}`, weight)
		if _, err := c.core.NetworkingV1().Ingresses(c.namespace).Patch(t.Context(), "shop-canary", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		eventually(t, "weight "+weight, func() bool { return c.get(t, "shop.demo") == want })
		worst = max(worst, time.Since(start))
	}
	t.Logf("the slowest of 20 changes was in force after %v", worst)
	if worst > 500*time.Millisecond { // 100 ms on an idle machine
		t.Errorf("a change took %v to be in force", worst)
	}
}

func (c *cluster) testEvents(t *testing.T) {
	bad := canaryAnnotations(0)
	bad["nginx.ingress.kubernetes.io/canary-weight"] = "plenty"
	c.ingress(t, "bad", "green", bad)
	eventually(t, "an Event on the Ingress", func() bool {
		events, err := c.core.CoreV1().Events(c.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Name == "bad" && e.Reason == "InvalidAnnotation" && strings.Contains(e.Message, "plenty") {
				return true
			}
		}
		return false
	})
}

func (c *cluster) testHTTPRoute(t *testing.T) {
	v1 := c.gateway.GatewayV1()
	all := gatewayv1.NamespacesFromAll
	if _, err := v1.GatewayClasses().Create(t.Context(), &gatewayv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: c.class}, Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController("sluice.dev/" + c.class)},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := v1.Gateways(c.namespace).Create(t.Context(), &gatewayv1.Gateway{
		ObjectMeta: metav1.ObjectMeta{Name: "gw"},
		Spec: gatewayv1.GatewaySpec{GatewayClassName: gatewayv1.ObjectName(c.class), Listeners: []gatewayv1.Listener{{
			Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType,
			AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}},
		}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := (&fixture{}).httpRoute("gw.demo", gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("blue", 100), backendRef("green", 0)}})
	r.Namespace = c.namespace
	if _, err := v1.HTTPRoutes(c.namespace).Create(t.Context(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.awaitRoute(t, "Accepted", "True", "Accepted")
	c.awaitRoute(t, "ResolvedRefs", "True", "ResolvedRefs")
	if got := c.get(t, "gw.demo"); got != "blue" {
		t.Errorf("an accepted route gave %s", got)
	}
	eventually(t, "Gateway Programmed", func() bool {
		g, err := v1.Gateways(c.namespace).Get(t.Context(), "gw", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return meta.IsStatusConditionTrue(g.Status.Conditions, "Programmed") && len(g.Status.Listeners) == 1 && g.Status.Listeners[0].AttachedRoutes == 1
	})
	c.patchRoute(t, backendRef("blue", 0), backendRef("green", 1))
	start := time.Now()
	c.awaitRoute(t, "Accepted", "True", "Accepted")
	t.Logf("the route was accepted at its new generation after %v", time.Since(start))
	if got := c.get(t, "gw.demo"); got != "green" {
		t.Errorf("the route accepted at its generation gave %s", got)
	}
	c.patchRoute(t, backendRef("nobody", 1))
	c.awaitRoute(t, "ResolvedRefs", "False", "BackendNotFound")
	c.awaitRoute(t, "Accepted", "True", "Accepted")
	if got := c.get(t, "gw.demo"); got != "500" {
		t.Errorf("a missing Service gave %s", got)
	}
	c.service(t, "nobody")
	c.awaitRoute(t, "ResolvedRefs", "True", "ResolvedRefs")
	eventually(t, "the new Service", func() bool { return c.get(t, "gw.demo") == "nobody" })
}

func (c *cluster) patchRoute(t *testing.T, refs ...gatewayv1.HTTPBackendRef) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"spec": map[string]any{"rules": []any{map[string]any{"backendRefs": refs}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Patch(t.Context(), "route", types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitRoute waits for a condition at the route's present generation.
func (c *cluster) awaitRoute(t *testing.T, kind, status, reason string) {
	t.Helper()
	var last atomic.Value
	defer func() {
		if t.Failed() {
			t.Logf("the route's status: %v", last.Load())
		}
	}()
	eventually(t, kind+"="+status+" "+reason, func() bool {
		r, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Get(t.Context(), "route", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		last.Store(fmt.Sprintf("generation %d: %+v", r.Generation, r.Status))
		for _, p := range r.Status.Parents {
			c := meta.FindStatusCondition(p.Conditions, kind)
			if c != nil && string(c.Status) == status && c.Reason == reason && c.ObservedGeneration == r.Generation {
				return true
			}
		}
		return false
	})
}

// testQuiet: only the change that a status depends on costs a write.
func (c *cluster) testQuiet(t *testing.T) {
	before := c.metric(t, `sluice_gateway_status_writes_total{kind="HTTPRoute",result="ok"}`)
	for i := range 5 {
		tables := c.metric(t, "sluice_gateway_config_generation")
		body := fmt.Sprintf(`{"metadata":{"annotations":{"x":"%d"}}}`, i)
		if _, err := c.gateway.GatewayV1().HTTPRoutes(c.namespace).Patch(t.Context(), "route", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a table after the change", func() bool { return c.metric(t, "sluice_gateway_config_generation") > tables })
	}
	c.patchRoute(t, backendRef("blue", 1))
	c.awaitRoute(t, "Accepted", "True", "Accepted")
	eventually(t, "the write to be counted", func() bool {
		return c.metric(t, `sluice_gateway_status_writes_total{kind="HTTPRoute",result="ok"}`) > before
	})
	if after := c.metric(t, `sluice_gateway_status_writes_total{kind="HTTPRoute",result="ok"}`); after != before+1 {
		t.Errorf("%v status writes for one change that needs one", after-before)
	}
}

// metric reads one series of the admin address; one that is not there is 0.
func (c *cluster) metric(t *testing.T, series string) float64 {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+c.admin+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, text := do(t, r)
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	return 0
}
