package route

import (
	"net/http"
	"net/url"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// FuzzTranslate writes anything into what users write and asks the table with
// anything: nothing may panic, and a choice is always an answer or a backend
// with endpoints.
func FuzzTranslate(f *testing.F) {
	f.Add("20", "100", "X-Canary", "", "", "canary", "shop.demo", "/", "Prefix", int32(1), "always")
	f.Add("-1", "0", "", "v", "(", "c;=", "*.demo", "", "Exact", int32(0), "canary=always; ;;=")
	f.Add("99999999999999999999", "x", "host", "", ".*", "", "*", "//", "", int32(-3), "")
	f.Add("1", "1", " ", "", "\\", "\x00", "*.", "?", "Odd", int32(1<<30), "\xff")
	f.Fuzz(func(t *testing.T, weight, total, header, value, pattern, cookie, host, path, kind string, share int32, said string) {
		w := fuzzWorld(map[string]string{
			annotationPrefix + canaryWeight: weight, annotationPrefix + canaryWeightTotal: total,
			annotationPrefix + canaryHeader: header, annotationPrefix + canaryHeaderValue: value,
			annotationPrefix + canaryPattern: pattern, annotationPrefix + canaryCookie: cookie,
			annotationPrefix + "proxy-read-timeout": total,
		}, host, path, kind, share, value, pattern)
		table := Translate(w).Table
		table.Dump()
		for _, p := range []string{path, "/", "*", path + "/x"} {
			r := &http.Request{Method: "GET", Host: host, URL: &url.URL{Path: p, RawQuery: said}, Header: http.Header{"Cookie": {said, cookie}}}
			r.Header.Set(header, said)
			for _, intn := range []IntN{often, seldom} {
				c := table.Match(r, intn)
				if c.Status == 0 && (c.Backend == nil || len(c.Backend.Endpoints) == 0) {
					t.Errorf("neither an answer nor a backend: %+v", c)
				}
			}
		}
	})
}

func fuzzWorld(annotations map[string]string, host, path, kind string, share int32, value, pattern string) World {
	class := "nginx"
	pathType := networkingv1.PathType(kind)
	canary := map[string]string{annotationPrefix + "canary": "true"}
	for k, v := range annotations {
		canary[k] = v
	}
	ing := func(name, service string, annotations map[string]string) *networkingv1.Ingress {
		return &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, Annotations: annotations},
			Spec: networkingv1.IngressSpec{IngressClassName: &class, Rules: []networkingv1.IngressRule{{
				Host: host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: path, PathType: &pathType,
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}},
				}}}},
			}}},
		}
	}
	port, regex, http := int32(80), gatewayv1.PathMatchRegularExpression, "http"
	headerRegex := gatewayv1.HeaderMatchRegularExpression
	ref := gatewayv1.BackendObjectReference{Name: "shop", Port: &port}
	r := &gatewayv1.HTTPRoute{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "r"},
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "gw"}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(host)},
			Rules: []gatewayv1.HTTPRouteRule{{
				Matches: []gatewayv1.HTTPRouteMatch{
					{Path: &gatewayv1.HTTPPathMatch{Type: &regex, Value: &pattern}},
					{Path: &gatewayv1.HTTPPathMatch{Value: &path}, Headers: []gatewayv1.HTTPHeaderMatch{{Type: &headerRegex, Name: "Cookie", Value: pattern}}},
					{QueryParams: []gatewayv1.HTTPQueryParamMatch{{Name: gatewayv1.HTTPHeaderName(value), Value: value}}},
				},
				Filters: []gatewayv1.HTTPRouteFilter{
					{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{BackendRef: ref, Percent: &share}},
					{Type: gatewayv1.HTTPRouteFilterRequestMirror, RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{BackendRef: ref, Fraction: &gatewayv1.Fraction{Numerator: share, Denominator: &share}}},
				},
				BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{BackendObjectReference: ref, Weight: &share}}, {BackendRef: gatewayv1.BackendRef{BackendObjectReference: ref}}},
				Timeouts:    &gatewayv1.HTTPRouteTimeouts{Request: (*gatewayv1.Duration)(&value)},
			}},
		},
	}
	return World{
		IngressClass: "nginx", Controller: "c",
		Ingresses:      []*networkingv1.Ingress{ing("main", "shop", annotations), ing("canary", "canary", canary)},
		GatewayClasses: []*gatewayv1.GatewayClass{{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: gatewayv1.GatewayClassSpec{ControllerName: "c"}}},
		Gateways: []*gatewayv1.Gateway{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "gw"},
			Spec:       gatewayv1.GatewaySpec{GatewayClassName: "c", Listeners: []gatewayv1.Listener{{Port: 80, Protocol: gatewayv1.HTTPProtocolType}}},
		}},
		HTTPRoutes: []*gatewayv1.HTTPRoute{r},
		Service: func(ns, name string) *corev1.Service {
			return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
		},
		EndpointSlices: func(string, string) []*discoveryv1.EndpointSlice {
			return []*discoveryv1.EndpointSlice{{
				Ports:     []discoveryv1.EndpointPort{{Name: &http, Port: &port}},
				Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"198.18.0.1"}}},
			}}
		},
		NamespaceLabels: func(string) map[string]string { return nil },
	}
}
