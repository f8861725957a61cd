package route

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ingress gives an Ingress manifest for one host and path.
func ingress(name, host, path, kind, service string, annotations ...string) string {
	return fmt.Sprintf(`---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: %s, namespace: demo, annotations: {%s}}
spec:
  ingressClassName: nginx
  rules:
  - {host: %q, http: {paths: [{path: %s, pathType: %s, backend: {service: {name: %s, port: {number: 80}}}}]}}
`, name, strings.Join(annotations, ", "), host, path, kind, service)
}

func canaryIngress(annotations ...string) string {
	all := []string{annotationPrefix + `canary: "true"`}
	for _, a := range annotations {
		all = append(all, annotationPrefix+a)
	}
	return ingress("shop-canary", "shop.demo", "/", "Prefix", "canary", all...)
}

// service gives a Service and its slice with the named addresses.
func service(name string, ips ...string) string {
	out := fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: demo}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: demo, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: []
`, name)
	if len(ips) > 0 {
		out = strings.Replace(out, "endpoints: []", "endpoints:", 1)
	}
	for _, ip := range ips {
		out += "- {addresses: [" + ip + "]}\n"
	}
	return out
}

func tableOf(t testing.TB, manifests ...string) *Table {
	t.Helper()
	return Translate(worldOf(t, []byte(strings.Join(manifests, "")))).Table
}

// seldom and often stand for the ends of what chance can say.
func seldom(n int) int { return n - 1 }
func often(int) int    { return 0 }

// chosen is the Service, with the status when there is one.
func chosen(c Choice) string {
	var name string
	if c.Backend != nil {
		name = c.Backend.Service
	}
	if c.Status != 0 {
		name = strings.TrimSpace(fmt.Sprintf("%d %s", c.Status, name))
	}
	return name
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestCanaryPrecedence(t *testing.T) {
	byAll := []string{`canary-by-header: X-Canary`, `canary-by-cookie: canary`, `canary-weight: "50"`}
	value := append([]string{`canary-by-header-value: eu`}, byAll...)
	pattern := append([]string{`canary-by-header-pattern: "^(eu|us)-"`}, byAll...)
	both := append([]string{`canary-by-header-pattern: us`}, value...)
	bad := append([]string{`canary-by-header-pattern: "("`}, byAll...)
	for _, tc := range []struct {
		name        string
		annotations []string
		header      []string
		intn        IntN
		want        string
	}{
		{"header always", byAll, []string{"X-Canary", "always"}, seldom, "canary"},
		{"header always before cookie never", byAll, []string{"X-Canary", "always", "Cookie", "canary=never"}, seldom, "canary"},
		{"header never before cookie always", byAll, []string{"X-Canary", "never", "Cookie", "canary=always"}, often, "shop"},
		{"header never before weight", byAll, []string{"X-Canary", "never"}, often, "shop"},
		{"another header value goes on to the cookie", byAll, []string{"X-Canary", "yes", "Cookie", "canary=always"}, seldom, "canary"},
		{"another header value goes on to the weight", byAll, []string{"X-Canary", "yes"}, often, "canary"},
		{"two header lines are one value", byAll, []string{"X-Canary", "always", "X-Canary", "x"}, seldom, "shop"},
		{"cookie never before weight", byAll, []string{"Cookie", "a=b; canary=never"}, often, "shop"},
		{"cookie always before weight", byAll, []string{"Cookie", "a=b;canary=always; c=d"}, seldom, "canary"},
		{"another cookie value goes on to the weight", byAll, []string{"Cookie", "canary=yes"}, often, "canary"},
		{"a cookie's name is read without case", byAll, []string{"Cookie", "Canary=always"}, seldom, "canary"},
		{"weight below", byAll, nil, often, "canary"},
		{"weight above", byAll, nil, seldom, "shop"},
		{"header-value equal", value, []string{"X-Canary", "eu"}, seldom, "canary"},
		{"header-value makes never ordinary", value, []string{"X-Canary", "never"}, often, "canary"},
		{"header-value makes always ordinary", value, []string{"X-Canary", "always"}, seldom, "shop"},
		{"header-value different goes on to the cookie", value, []string{"X-Canary", "us", "Cookie", "canary=never"}, often, "shop"},
		{"pattern matches", pattern, []string{"X-Canary", "us-1"}, seldom, "canary"},
		{"pattern makes never ordinary", pattern, []string{"X-Canary", "never"}, often, "canary"},
		{"pattern different goes on to the weight", pattern, []string{"X-Canary", "asia-1"}, seldom, "shop"},
		{"value wins over pattern", both, []string{"X-Canary", "us"}, seldom, "shop"},
		{"a bad pattern keeps its header off", bad, []string{"X-Canary", "always"}, often, "shop"},
		{"a bad pattern leaves the rest alone", bad, nil, often, "canary"},
		{"weight 0", []string{`canary-weight: "0"`}, nil, often, "shop"},
		{"no rule at all", nil, nil, often, "shop"},
		{"weight 100", []string{`canary-weight: "100"`}, nil, seldom, "canary"},
		{"weight of a larger total", []string{`canary-weight: "100"`, `canary-weight-total: "1000"`}, nil, seldom, "shop"},
		{"a total below 100 is 100", []string{`canary-weight: "50"`, `canary-weight-total: "50"`}, nil, seldom, "shop"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := tableOf(t, ingress("shop", "shop.demo", "/", "Prefix", "shop"), canaryIngress(tc.annotations...),
				service("shop", "198.18.0.1"), service("canary", "198.18.0.2"))
			got := table.Match(request("GET", "http://shop.demo/x", tc.header...), tc.intn)
			if chosen(got) != tc.want {
				t.Errorf("got %s, want %s", chosen(got), tc.want)
			}
			if got.Canary != (tc.want == "canary") {
				t.Errorf("Canary is %v", got.Canary)
			}
		})
	}
}

func TestCanaryFallback(t *testing.T) {
	always := canaryIngress(`canary-weight: "100"`, `canary-by-header: X-Canary`)
	for _, tc := range []struct {
		name      string
		manifests []string
		want      string
	}{
		{"canary without endpoints falls back", []string{service("shop", "198.18.0.1"), service("canary")}, "shop"},
		{"canary without Service falls back", []string{service("shop", "198.18.0.1")}, "shop"},
		{"main without endpoints hides the canary", []string{service("shop"), service("canary", "198.18.0.2")}, "503 shop"},
		{"main without Service hides the canary", []string{service("canary", "198.18.0.2")}, "503 shop"},
		{"both", []string{service("shop", "198.18.0.1"), service("canary", "198.18.0.2")}, "canary"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := tableOf(t, append(tc.manifests, ingress("shop", "shop.demo", "/", "Prefix", "shop"), always)...)
			if got := chosen(table.Match(request("GET", "http://shop.demo/", "X-Canary", "always"), often)); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestIngressPaths(t *testing.T) {
	table := tableOf(t,
		ingress("a", "shop.demo", "/", "Prefix", "root"),
		ingress("b", "shop.demo", "/api", "Prefix", "api"),
		ingress("c", "shop.demo", "/api", "Exact", "exact"),
		ingress("d", "shop.demo", "/api/v2/", "Prefix", "v2"),
		ingress("e", "shop.demo", "/raw", "ImplementationSpecific", "raw"),
		ingress("f", "*.demo", "/", "Prefix", "wild"),
		ingress("g", "", "/all", "Prefix", "all"),
		service("root", "198.18.0.1"), service("api", "198.18.0.1"), service("exact", "198.18.0.1"), service("v2", "198.18.0.1"),
		service("raw", "198.18.0.1"), service("wild", "198.18.0.1"), service("all", "198.18.0.1"))
	for target, want := range map[string]string{
		"http://shop.demo/":            "root",
		"http://SHOP.demo:8080/x":      "root",
		"http://shop.demo/apix":        "root",
		"http://shop.demo/api":         "exact",
		"http://shop.demo/api/":        "api",
		"http://shop.demo/api/v1":      "api",
		"http://shop.demo/api/v2":      "v2",
		"http://shop.demo/api/v2/x":    "v2",
		"http://shop.demo/rawer":       "raw",
		"http://other.demo/x":          "wild",
		"http://a.b.demo/all":          "all",
		"http://a.b.demo/x":            "404",
		"http://demo/x":                "404",
		"http://unknown.test/all/x":    "all",
		"http://shop.demo/all":         "root",
		"http://127.0.0.1:8080/all?x=": "all",
	} {
		if got := chosen(table.Match(request("GET", target), often)); got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

const testGateway = `---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: playground}
spec: {controllerName: sluice.dev/playground}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: demo}
spec: {gatewayClassName: playground, listeners: [{name: http, port: 80, protocol: HTTP}]}
`

func httpRoute(name, hostnames, rules string) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %s, namespace: demo}
spec:
  parentRefs: [{name: gw}]
  hostnames: %s
  rules:
%s`, name, hostnames, rules)
}

func TestRoutePrecedence(t *testing.T) {
	table := tableOf(t, testGateway,
		httpRoute("a", "[shop.demo]", `  - backendRefs: [{name: root, port: 80}]
  - matches: [{path: {value: /api}}]
    backendRefs: [{name: api, port: 80}]
  - matches: [{path: {type: Exact, value: /api}}]
    backendRefs: [{name: exact, port: 80}]
  - matches: [{path: {value: /api}, headers: [{name: x-v, value: "2"}]}]
    backendRefs: [{name: header, port: 80}]
  - matches: [{path: {value: /api}, method: POST}]
    backendRefs: [{name: post, port: 80}]
  - matches: [{path: {value: /api}, queryParams: [{name: v, type: RegularExpression, value: "[23]"}]}]
    backendRefs: [{name: query, port: 80}]
  - matches: [{path: {type: RegularExpression, value: "/api/[0-9]+"}}]
    backendRefs: [{name: regex, port: 80}]
`),
		httpRoute("b", `["*.demo"]`, `  - backendRefs: [{name: wild, port: 80}]
`),
		httpRoute("c", "[empty.demo]", `  - matches: [{path: {value: /zero}}]
    backendRefs: [{name: root, port: 80, weight: 0}]
  - matches: [{path: {value: /none}}]
  - matches: [{path: {value: /missing}}]
    backendRefs: [{name: nobody, port: 80}]
  - matches: [{path: {value: /unready}}]
    backendRefs: [{name: unready, port: 80}]
`),
		ingress("i", "shop.demo", "/", "Prefix", "ingress"), ingress("j", "exact.demo", "/", "Prefix", "ingress"),
		service("root", "198.18.0.1"), service("api", "198.18.0.1"), service("exact", "198.18.0.1"), service("header", "198.18.0.1"),
		service("post", "198.18.0.1"), service("query", "198.18.0.1"), service("regex", "198.18.0.1"), service("wild", "198.18.0.1"),
		service("unready"), service("ingress", "198.18.0.1"))
	for _, tc := range []struct {
		r    *http.Request
		want string
	}{
		{request("GET", "http://shop.demo/"), "root"},
		{request("GET", "http://shop.demo/apis"), "root"},
		{request("GET", "http://shop.demo/api/x"), "api"},
		{request("POST", "http://shop.demo/api", "X-V", "2"), "exact"},
		{request("GET", "http://shop.demo/api/x", "X-V", "2"), "header"},
		{request("GET", "http://shop.demo/api/x", "X-V", "3"), "api"},
		{request("POST", "http://shop.demo/api/x", "X-V", "2"), "post"},
		{request("GET", "http://shop.demo/api/x?v=2", "X-V", "2"), "header"},
		{request("GET", "http://shop.demo/api/x?v=3"), "query"},
		{request("GET", "http://shop.demo/api/x?v=23"), "api"},
		{request("GET", "http://shop.demo/api/77"), "regex"},
		{request("GET", "http://shop.demo/api/77x"), "api"},
		{request("GET", "http://x.y.demo/"), "wild"},
		{request("GET", "http://exact.demo/"), "ingress"},
		{request("GET", "http://empty.demo/zero"), "500"},
		{request("GET", "http://empty.demo/none"), "500"},
		{request("GET", "http://empty.demo/missing"), "500"},
		{request("GET", "http://empty.demo/unready"), "503 unready"},
		{request("GET", "http://empty.demo/else"), "wild"},
		{request("GET", "http://demo/"), "404"},
	} {
		if got := chosen(table.Match(tc.r, often)); got != tc.want {
			t.Errorf("%s %s %v: got %s, want %s", tc.r.Method, tc.r.URL, tc.r.Header, got, tc.want)
		}
	}
}

// TestWeights draws with a fixed seed: each share must lie within four standard
// deviations of what was asked.
func TestWeights(t *testing.T) {
	const n = 20000
	table := tableOf(t, testGateway,
		ingress("shop", "shop.demo", "/", "Prefix", "shop"), canaryIngress(`canary-weight: "20"`),
		httpRoute("r", "[gw.demo]", `  - backendRefs: [{name: shop, port: 80, weight: 3}, {name: third, port: 80, weight: 0}, {name: canary, port: 80, weight: 1}, {name: gone, port: 80, weight: 1}]
`),
		service("shop", "198.18.0.1"), service("canary", "198.18.0.2"), service("third", "198.18.0.3"))
	for host, want := range map[string]map[string]float64{
		"shop.demo": {"shop": .8, "canary": .2},
		"gw.demo":   {"shop": .6, "canary": .2, "500": .2},
	} {
		random := rand.New(rand.NewPCG(1, 2))
		got := map[string]int{}
		r := request("GET", "http://"+host+"/")
		for range n {
			got[chosen(table.Match(r, random.IntN))]++
		}
		for name, share := range want {
			if off := math.Abs(float64(got[name]) - share*n); off > 4*math.Sqrt(n*share*(1-share)) {
				t.Errorf("%s: %d of %d to %s, want about %v", host, got[name], n, name, share*n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: got %v", host, got)
		}
	}
}

func TestPathEdit(t *testing.T) {
	full, root, foo := "/full", "/", "/foo/"
	for _, tc := range []struct {
		edit               *PathEdit
		path, prefix, want string
	}{
		{nil, "/a", "/", "/a"},
		{&PathEdit{Full: &full}, "/a/b", "/a", "/full"},
		{&PathEdit{Prefix: &root}, "/a/b", "/a", "/b"},
		{&PathEdit{Prefix: &root}, "/a", "/a", "/"},
		{&PathEdit{Prefix: &foo}, "/a/b", "/a/", "/foo/b"},
		{&PathEdit{Prefix: &foo}, "/a", "/a", "/foo"},
		{&PathEdit{Prefix: &foo}, "/a", "/", "/foo/a"},
	} {
		if got := tc.edit.Apply(tc.path, tc.prefix); got != tc.want {
			t.Errorf("%v on %s under %s: got %s, want %s", tc.edit, tc.path, tc.prefix, got, tc.want)
		}
	}
}

func TestHeaderEdit(t *testing.T) {
	h := http.Header{"A": {"1"}, "B": {"2"}, "C": {"3"}}
	e := HeaderEdit{Set: []Header{{"A", "x"}}, Add: []Header{{"B", "y"}}, Remove: []string{"C"}}
	e.Apply(h)
	if diff := cmp.Diff(http.Header{"A": {"x"}, "B": {"2", "y"}}, h); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkMatch(b *testing.B) {
	var manifests []string
	for i := range 200 {
		host := fmt.Sprintf("h%d.demo", i)
		manifests = append(manifests, ingress(fmt.Sprintf("i%d", i), host, "/", "Prefix", "shop"))
	}
	manifests = append(manifests, ingress("shop", "shop.demo", "/", "Prefix", "shop"),
		canaryIngress(`canary-weight: "20"`, `canary-by-header: X-Canary`, `canary-by-cookie: canary`),
		testGateway, httpRoute("r", "[gw.demo]", `  - backendRefs: [{name: shop, port: 80, weight: 80}, {name: canary, port: 80, weight: 20}]
`), service("shop", "198.18.0.1"), service("canary", "198.18.0.2"))
	table := tableOf(b, manifests...)
	for _, host := range []string{"shop.demo", "gw.demo"} {
		b.Run(host, func(b *testing.B) {
			r := request("GET", "http://"+host+"/color", "Cookie", "session=abc; theme=dark")
			b.ReportAllocs()
			for b.Loop() {
				table.Match(r, rand.IntN)
			}
		})
	}
}

func BenchmarkTranslate(b *testing.B) {
	var manifests []string
	for i := range 500 {
		manifests = append(manifests, ingress(fmt.Sprintf("i%d", i), fmt.Sprintf("h%d.demo", i), "/", "Prefix", fmt.Sprintf("s%d", i)),
			service(fmt.Sprintf("s%d", i), "198.18.0.1", "198.18.0.2"))
	}
	w := worldOf(b, []byte(strings.Join(manifests, "")))
	b.ReportAllocs()
	for b.Loop() {
		Translate(w)
	}
}
