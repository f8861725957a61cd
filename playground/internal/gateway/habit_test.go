package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestFaultC8Habits: with the habits of the real ones the gateway follows late, also a removal, and takes what was written
// meanwhile in one batch.
func TestFaultC8Habits(t *testing.T) {
	h := Habits{SyncEvery: 600 * time.Millisecond, Delay: 200 * time.Millisecond}
	w := newWatchedWith(t, h, allKinds...)
	w.service(t, "shop")
	ingresses := w.core.NetworkingV1().Ingresses("demo")
	if _, err := ingresses.Create(t.Context(), (&fixture{}).ingress("shop", "shop.demo", "shop", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Ingress", func() bool { return w.choice("shop.demo") == "shop" })
	before, removed := w.tables(t), time.Now()
	if err := ingresses.Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a.demo", "b.demo", "c.demo"} {
		if _, err := ingresses.Create(t.Context(), (&fixture{}).ingress(host[:1], host, "shop", nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the removal", func() bool { return w.choice("shop.demo") == "" && w.choice("c.demo") == "shop" })
	if took := time.Since(removed); took < h.Delay {
		t.Errorf("the removal was in force after %s", took)
	}
	if n := w.tables(t) - before; n > 2 {
		t.Errorf("%v tables for one batch", n)
	}
}

// TestFaultC8EarlyAccepted: Accepted is reported before requests go by the route.
func TestFaultC8EarlyAccepted(t *testing.T) {
	w := newWatchedWith(t, Habits{Delay: 2 * time.Second, EarlyAccepted: true}, allKinds...)
	w.service(t, "shop")
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
	r := (&fixture{}).httpRoute("gw.demo", gatewayv1.HTTPRouteRule{BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("shop", 1)}})
	r.Generation = 4
	if _, err := v1.HTTPRoutes("demo").Create(t.Context(), r, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	early := false
	eventually(t, "the route", func() bool {
		r, err := v1.HTTPRoutes("demo").Get(t.Context(), "route", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		served := w.choice("gw.demo") == "shop"
		if len(r.Status.Parents) == 1 && !served {
			early = early || meta.IsStatusConditionTrue(r.Status.Parents[0].Conditions, "Accepted")
		}
		return served
	})
	if !early {
		t.Error("it was not reported before it was served")
	}
}

// TestFaultC8Session: a session stays with the Service that its cookie names, whatever the weight; a new Service of that name
// has it too, and one of another name does not.
func TestFaultC8Session(t *testing.T) {
	f := newFixture(t)
	for _, name := range []string{"shop", "shop-canary", "shop-canary-2"} {
		f.pods[name] = []*pod{startPod(t, name, said(name))}
	}
	release := func(weight int, canary string) {
		f.change(func() {
			f.world.Ingresses = append(f.world.Ingresses[:0:0],
				f.ingress("shop", "shop.demo", "shop", map[string]string{"nginx.ingress.kubernetes.io/affinity": "cookie"}),
				f.ingress("shop-canary", "shop.demo", canary, canaryAnnotations(weight)))
		})
	}
	ask := func(session string) (version, cookie string) {
		r := f.request(t, http.MethodGet, "shop.demo", "/")
		if session != "" {
			r.Header.Set("Cookie", session)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, version, _ = strings.Cut(resp.Header.Get(servedBy), "/")
		cookie, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
		return version, cookie
	}
	release(100, "shop-canary")
	version, session := ask("")
	if version != "shop-canary" || !strings.HasPrefix(session, "INGRESSCOOKIE=") {
		t.Fatalf("%s, %q", version, session)
	}
	for _, c := range []struct {
		weight       int
		canary, want string
	}{{0, "shop-canary", "shop-canary"}, {0, "shop-canary-2", "shop"}, {100, "shop-canary-2", "shop-canary-2"}} {
		release(c.weight, c.canary)
		if got, _ := ask(session); got != c.want {
			t.Errorf("the session at weight %d with %s: %s, want %s", c.weight, c.canary, got, c.want)
		}
	}
}
