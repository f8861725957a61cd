package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

func ptr[T any](v T) *T { return &v }

// seen gives what arrived as text: method, host, path and chosen headers.
func seen(names ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", r.Method, r.Host, r.URL.RequestURI())
		for _, n := range names {
			fmt.Fprintf(w, "%s: %s\n", n, strings.Join(r.Header[n], "|"))
		}
	})
}

func (f *fixture) serve(t testing.TB, rule gatewayv1.HTTPRouteRule, pods map[string]http.Handler) {
	t.Helper()
	f.change(func() {
		for name, h := range pods {
			f.pods[name] = []*pod{startPod(t, name, h)}
		}
		f.world.HTTPRoutes = []*gatewayv1.HTTPRoute{f.httpRoute("shop.demo", rule)}
	})
}

func TestForwarding(t *testing.T) {
	f := newFixture(t)
	f.change(func() {
		f.pods["shop"] = []*pod{startPod(t, "shop", seen("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "User-Agent"))}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	r := f.request(t, "GET", "shop.demo", "/a%2Fb?x=1;y=%zz")
	r.Header.Set("X-Forwarded-For", "6.6.6.6") // a client's claim is not passed on
	r.Header.Set("User-Agent", "test")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	want := "GET shop.demo /a%2Fb?x=1;y=%zz\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Host: shop.demo\nX-Forwarded-Proto: http\nUser-Agent: test\n"
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Error(diff)
	}
	if got := resp.Header.Get(servedBy); got != "demo/shop" {
		t.Errorf("%s is %q", servedBy, got)
	}
}

func TestFilters(t *testing.T) {
	f := newFixture(t)
	ref := backendRef("shop", 1)
	ref.Filters = []gatewayv1.HTTPRouteFilter{
		{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Add: []gatewayv1.HTTPHeader{{Name: "x-lane", Value: "ref"}}}},
		{Type: gatewayv1.HTTPRouteFilterResponseHeaderModifier, ResponseHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "X-By", Value: "ref"}}}},
	}
	f.serve(t, gatewayv1.HTTPRouteRule{
		Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Value: ptr("/api")}}},
		Filters: []gatewayv1.HTTPRouteFilter{
			{Type: gatewayv1.HTTPRouteFilterRequestHeaderModifier, RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{
				Set: []gatewayv1.HTTPHeader{{Name: "x-lane", Value: "rule"}}, Remove: []string{"x-secret"},
			}},
			{Type: gatewayv1.HTTPRouteFilterURLRewrite, URLRewrite: &gatewayv1.HTTPURLRewriteFilter{
				Hostname: ptr(gatewayv1.PreciseHostname("inner.demo")),
				Path:     &gatewayv1.HTTPPathModifier{Type: gatewayv1.PrefixMatchHTTPPathModifier, ReplacePrefixMatch: ptr("/v2")},
			}},
		},
		BackendRefs: []gatewayv1.HTTPBackendRef{ref},
	}, map[string]http.Handler{"shop": seen("X-Lane", "X-Secret")})
	r := f.request(t, "GET", "shop.demo", "/api/x?q=1")
	r.Header.Set("X-Secret", "s")
	r.Header.Set("X-Lane", "client")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if diff := cmp.Diff("GET inner.demo /v2/x?q=1\nX-Lane: rule|ref\nX-Secret: \n", string(body)); diff != "" {
		t.Error(diff)
	}
	if got := resp.Header.Get("X-By"); got != "ref" {
		t.Errorf("X-By is %q", got)
	}
}

func TestRedirect(t *testing.T) {
	for _, tc := range []struct {
		redirect gatewayv1.HTTPRequestRedirectFilter
		want     string
	}{
		{gatewayv1.HTTPRequestRedirectFilter{}, "302 http://shop.demo:8080/old/x?q=1"},
		{gatewayv1.HTTPRequestRedirectFilter{Scheme: ptr("https"), StatusCode: ptr(301)}, "301 https://shop.demo/old/x?q=1"},
		{gatewayv1.HTTPRequestRedirectFilter{Hostname: ptr(gatewayv1.PreciseHostname("new.demo")), Port: ptr(gatewayv1.PortNumber(80))}, "302 http://new.demo/old/x?q=1"},
		{gatewayv1.HTTPRequestRedirectFilter{Port: ptr(gatewayv1.PortNumber(81)), Path: &gatewayv1.HTTPPathModifier{ReplacePrefixMatch: ptr("/new")}}, "302 http://shop.demo:81/new/x?q=1"},
	} {
		f := newFixture(t)
		f.serve(t, gatewayv1.HTTPRouteRule{
			Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Value: ptr("/old")}}},
			Filters: []gatewayv1.HTTPRouteFilter{{Type: gatewayv1.HTTPRouteFilterRequestRedirect, RequestRedirect: &tc.redirect}},
		}, nil)
		w := httptest.NewRecorder()
		f.proxy.ServeHTTP(w, httptest.NewRequest("GET", "http://shop.demo:8080/old/x?q=1", nil))
		if got := fmt.Sprint(w.Code, " ", w.Header().Get("Location")); got != tc.want {
			t.Errorf("%+v: got %s, want %s", tc.redirect, got, tc.want)
		}
	}
}

func TestMirror(t *testing.T) {
	f := newFixture(t)
	copies := make(chan string, 1)
	f.serve(t, gatewayv1.HTTPRouteRule{
		Filters: []gatewayv1.HTTPRouteFilter{{
			Type: gatewayv1.HTTPRouteFilterRequestMirror,
			RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{
				BackendRef: gatewayv1.BackendObjectReference{Name: "shadow", Port: ptr(gatewayv1.PortNumber(80))}, Percent: ptr(int32(100)),
			},
		}},
		BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("shop", 1)},
	}, map[string]http.Handler{
		"shop": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }),
		"shadow": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			copies <- fmt.Sprintf("%s %s %s %s", r.Method, r.Host, r.URL.RequestURI(), b)
			http.Error(w, "nobody sees this", http.StatusInternalServerError)
		}),
	})
	r := f.request(t, "POST", "shop.demo", "/buy?n=1")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("order")), 5
	if code, body := do(t, r); code != 200 || body != "order" {
		t.Errorf("got %d %q", code, body)
	}
	select {
	case got := <-copies:
		if want := "POST shop.demo /buy?n=1 order"; got != want {
			t.Errorf("the mirror got %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Error("no copy arrived")
	}
}

func TestTimeouts(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	for name, timeouts := range map[string]gatewayv1.HTTPRouteTimeouts{
		"request": {Request: ptr(gatewayv1.Duration("50ms"))},
		"backend": {BackendRequest: ptr(gatewayv1.Duration("50ms"))},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.serve(t, gatewayv1.HTTPRouteRule{
				Timeouts: &timeouts, BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("shop", 1)},
			}, map[string]http.Handler{"shop": slow})
			if code, _ := do(t, f.request(t, "GET", "shop.demo", "/")); code != http.StatusGatewayTimeout {
				t.Errorf("got %d", code)
			}
		})
	}
}

func TestNoPodAnswers(t *testing.T) {
	f := newFixture(t)
	dead := startPod(t, "dead", said("dead"))
	_ = dead.server.Close()
	f.change(func() {
		f.pods["dead"], f.pods["empty"] = []*pod{dead}, nil
		f.world.Ingresses = []*networkingv1.Ingress{
			f.ingress("dead", "dead.demo", "dead", nil), f.ingress("empty", "empty.demo", "empty", nil), f.ingress("gone", "gone.demo", "gone", nil),
		}
	})
	for host, want := range map[string]int{"dead.demo": 502, "empty.demo": 503, "gone.demo": 503, "other.demo": 404} {
		if code, body := do(t, f.request(t, "GET", host, "/")); code != want {
			t.Errorf("%s: got %d %s, want %d", host, code, body, want)
		}
	}
}

// TestFreshTable: all pods of the choice are gone, but the table in force knows
// their successor.
func TestFreshTable(t *testing.T) {
	f := newFixture(t)
	started, goOn := make(chan struct{}), make(chan struct{})
	old := startPod(t, "old", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(started)
		<-goOn
		panic(http.ErrAbortHandler) // drops the connection without an answer
	}))
	f.change(func() {
		f.pods["shop"] = []*pod{old}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	result := make(chan string, 1)
	go func() {
		code, body := do(t, f.request(t, "GET", "shop.demo", "/"))
		result <- fmt.Sprint(code, " ", body)
	}()
	<-started
	f.change(func() { f.pods["shop"] = []*pod{startPod(t, "new", said("new"))} })
	close(goOn)
	if got := <-result; got != "200 new" {
		t.Errorf("got %s", got)
	}
}

func TestNotRepeated(t *testing.T) {
	f := newFixture(t)
	calls := make(chan string, 10)
	drop := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		calls <- r.Method
		panic(http.ErrAbortHandler)
	})
	f.change(func() {
		f.pods["shop"] = []*pod{startPod(t, "a", drop), startPod(t, "b", drop)}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	r := f.request(t, "POST", "shop.demo", "/buy")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("order")), 5
	if code, _ := do(t, r); code != http.StatusBadGateway {
		t.Errorf("got %d", code)
	}
	if len(calls) != 1 {
		t.Errorf("an order was placed %d times", len(calls))
	}
	if code, _ := do(t, f.request(t, "GET", "shop.demo", "/")); code != http.StatusBadGateway {
		t.Errorf("got %d", code)
	}
	if len(calls) != 3 {
		t.Errorf("a GET reached %d pods, want both", len(calls)-1)
	}
}

func TestUpgrade(t *testing.T) {
	f := newFixture(t)
	f.change(func() {
		f.pods["shop"] = []*pod{startPod(t, "shop", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			fmt.Fprint(rw, "echo "+line)
			_ = rw.Flush()
		}))}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: shop.demo\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	rd := bufio.NewReader(conn)
	resp, err := http.ReadResponse(rd, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := rd.ReadString('\n'); line != "echo hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

func TestMetrics(t *testing.T) {
	f := newFixture(t)
	f.change(func() {
		f.pods["shop"], f.pods["canary"] = []*pod{startPod(t, "shop", said("blue"))}, []*pod{startPod(t, "canary", said("green"))}
		f.world.Ingresses = []*networkingv1.Ingress{
			f.ingress("shop", "shop.demo", "shop", nil), f.ingress("shop-canary", "shop.demo", "canary", canaryAnnotations(0)),
		}
	})
	for range 3 {
		do(t, f.request(t, "GET", "shop.demo", "/"))
	}
	r := f.request(t, "GET", "shop.demo", "/")
	r.Header.Set("X-Canary", "always")
	do(t, r)
	do(t, f.request(t, "GET", "unknown-host-of-a-client", "/"))
	admin := adminHandler(f.proxy, f.proxy.metrics)
	for _, want := range []string{
		`sluice_gateway_requests_total{canary="false",class="2xx",code="200",host="shop.demo",kind="Ingress",namespace="demo",route="shop",service="shop"} 3`,
		`sluice_gateway_requests_total{canary="true",class="2xx",code="200",host="shop.demo",kind="Ingress",namespace="demo",route="shop-canary",service="canary"} 1`,
		`sluice_gateway_requests_total{canary="false",class="4xx",code="404",host="",kind="",namespace="",route="",service=""} 1`,
		`sluice_gateway_request_duration_seconds_count{host="shop.demo",namespace="demo",service="shop"} 3`,
	} {
		// A request is counted just after its last byte has gone out.
		eventually(t, "line "+want, func() bool { return strings.Contains(fetch(admin, "/metrics"), want) })
	}
	if routes := fetch(admin, "/debug/routes"); !strings.Contains(routes, `"weight": "0/100"`) {
		t.Errorf("/debug/routes gives\n%s", routes)
	}
}

func fetch(h http.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Body.String()
}

// eventually waits for a condition, at most ten seconds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
