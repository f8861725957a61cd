package route

import (
	"cmp"
	"fmt"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

const (
	annotationPrefix = "nginx.ingress.kubernetes.io/"
	classAnnotation  = "kubernetes.io/ingress.class"

	canaryWeight      = "canary-weight"
	canaryWeightTotal = "canary-weight-total"
	canaryHeader      = "canary-by-header"
	canaryHeaderValue = "canary-by-header-value"
	canaryPattern     = "canary-by-header-pattern"
	canaryCookie      = "canary-by-cookie"

	affinity          = "affinity"
	sessionCookie     = "session-cookie-name"
	defaultCookieName = "INGRESSCOOKIE"
)

// unserved are annotations that change where a request goes and that this
// gateway does not know; to ignore them in silence would mislead.
var unserved = []string{
	"auth-url", "auth-type", "backend-protocol", "mirror-target", "permanent-redirect",
	"rewrite-target", "server-alias", "temporal-redirect", "upstream-hash-by", "upstream-vhost", "use-regex",
}

// ingresses builds the sites: first what main Ingresses route, then the
// canaries, which only attach to it.
func (t *translator) ingresses() {
	var canaries []*networkingv1.Ingress
	for _, ing := range byAge(t.world.Ingresses) {
		if ingressClass(ing) != t.world.IngressClass {
			continue
		}
		if t.isCanary(ing) {
			canaries = append(canaries, ing)
			continue
		}
		t.mainIngress(ing)
	}
	for _, ing := range canaries {
		t.canaryIngress(ing)
	}
	t.table.sites.each(func(_ string, s *site) { s.sort() })
}

func ingressClass(ing *networkingv1.Ingress) string {
	if ing.Spec.IngressClassName != nil {
		return *ing.Spec.IngressClassName
	}
	return ing.Annotations[classAnnotation]
}

func (t *translator) isCanary(ing *networkingv1.Ingress) bool {
	v, ok := ing.Annotations[annotationPrefix+"canary"]
	if ok {
		canary, err := strconv.ParseBool(v)
		if err != nil {
			t.ingressProblem(ing, "InvalidAnnotation", "annotation %scanary is %q; say \"true\" or \"false\"", annotationPrefix,
				v)
		}
		if canary {
			return true
		}
	}
	for _, name := range []string{canaryWeight, canaryHeader, canaryHeaderValue, canaryPattern, canaryCookie} {
		if _, ok := ing.Annotations[annotationPrefix+name]; ok {
			t.ingressProblem(ing, "CanaryNotEnabled", "annotation %s%s has no effect without %scanary: \"true\"",
				annotationPrefix, name, annotationPrefix)
			break
		}
	}
	return false
}

func (t *translator) mainIngress(ing *networkingv1.Ingress) {
	for _, name := range unserved {
		if _, ok := ing.Annotations[annotationPrefix+name]; ok {
			t.ingressProblem(ing, "UnservedAnnotation", "annotation %s%s is not served by this gateway and is ignored",
				annotationPrefix, name)
		}
	}
	header, session := t.readTimeout(ing), t.session(ing)
	t.eachPath(ing, func(host string, p networkingv1.HTTPIngressPath) {
		s := t.siteOf(host)
		path, kind := pathOf(p)
		if other := s.find(path, kind); other != nil {
			t.ingressProblem(ing, "PathTaken", "host %q path %q is already routed by Ingress %s/%s, which is older", host, path,
				other.source.Namespace, other.source.Name)
			return
		}
		s.locations = append(s.locations, &location{
			host: host, path: path, kind: kind, source: ingressSource(ing),
			main: t.ingressBackend(ing, p.Backend), header: header, session: session,
		})
	})
}

// eachPath visits the rules' paths, then the default backend: for all hosts
// when there are no rules, else under "/" of those hosts that have no such path.
func (t *translator) eachPath(ing *networkingv1.Ingress, visit func(host string, p networkingv1.HTTPIngressPath)) {
	prefix := networkingv1.PathTypePrefix
	var rootless []string
	for i := range ing.Spec.Rules {
		r := &ing.Spec.Rules[i]
		host := strings.ToLower(r.Host)
		root := false
		if r.HTTP != nil {
			for _, p := range r.HTTP.Paths {
				root = root || p.Path == "" || p.Path == "/"
				visit(host, p)
			}
		}
		if !root {
			rootless = append(rootless, host)
		}
	}
	if ing.Spec.DefaultBackend == nil {
		return
	}
	if len(ing.Spec.Rules) == 0 {
		rootless = []string{""}
	}
	for _, host := range rootless {
		visit(host, networkingv1.HTTPIngressPath{Path: "/", PathType: &prefix, Backend: *ing.Spec.DefaultBackend})
	}
}

func (t *translator) canaryIngress(ing *networkingv1.Ingress) {
	policy := t.policy(ing)
	t.eachPath(ing, func(host string, p networkingv1.HTTPIngressPath) {
		path, kind := pathOf(p)
		loc := t.mainLocation(host, path, kind)
		if loc == nil {
			t.ingressProblem(ing, "CanaryWithoutMain", "host %q path %q (%s) is ignored: no Ingress without the canary "+
				"annotation has it too", host, path, kind)
			return
		}
		if loc.canary != nil {
			t.ingressProblem(ing, "SecondCanary", "host %q path %q is ignored: Ingress %s/%s is its canary already, and "+
				"there can be only one", host, path, loc.canary.source.Namespace, loc.canary.source.Name)
			return
		}
		be := t.ingressBackend(ing, p.Backend)
		if be == loc.main {
			t.ingressProblem(ing, "CanaryIsMain", "host %q path %q is ignored: its Service %s is the main Service", host, path,
				be.Service)
			return
		}
		loc.canary = &canary{source: ingressSource(ing), backend: be, policy: policy}
	})
}

func (t *translator) mainLocation(host, path string, kind pathKind) *location {
	s, ok := t.table.sites.get(host)
	if !ok {
		return nil
	}
	return s.find(path, kind)
}

func (t *translator) siteOf(host string) *site {
	if s, ok := t.table.sites.get(host); ok {
		return s
	}
	s := &site{host: host}
	t.table.sites.set(host, s)
	return s
}

func pathOf(p networkingv1.HTTPIngressPath) (string, pathKind) {
	kind := pathRaw
	if p.PathType != nil {
		kind = pathKind(*p.PathType)
	}
	path := p.Path
	if path == "" {
		path = "/"
	}
	if kind == pathPrefix && path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	return path, kind
}

func (t *translator) ingressBackend(ing *networkingv1.Ingress, b networkingv1.IngressBackend) *Backend {
	if b.Service == nil {
		t.ingressProblem(ing, "UnservedBackend", "a backend names a resource; this gateway serves only Services")
		return &Backend{BackendKey: BackendKey{Namespace: ing.Namespace}, Missing: "the Ingress' backend is not a Service"}
	}
	port := b.Service.Port.Name
	if port == "" {
		port = strconv.Itoa(int(b.Service.Port.Number))
	}
	be := t.backends.get(ing.Namespace, b.Service.Name, port)
	if be.Missing != "" {
		t.ingressProblem(ing, "BackendNotFound", "%s; requests for it get 503", be.Missing)
	}
	return be
}

// session is the name of the cookie by which sessions stay with a Service; empty
// if they do not.
func (t *translator) session(ing *networkingv1.Ingress) string {
	switch v := ing.Annotations[annotationPrefix+affinity]; v {
	case "":
		return ""
	case "cookie":
		return cmp.Or(ing.Annotations[annotationPrefix+sessionCookie], defaultCookieName)
	default:
		t.ingressProblem(ing, "InvalidAnnotation", "annotation %s%s is %q; ingress-nginx knows \"cookie\" only",
			annotationPrefix, affinity, v)
		return ""
	}
}

func (t *translator) readTimeout(ing *networkingv1.Ingress) time.Duration {
	seconds, ok := t.number(ing, "proxy-read-timeout")
	if !ok || seconds <= 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// policy reads the canary annotations. What does not parse is left out, as
// ingress-nginx does, but said.
func (t *translator) policy(ing *networkingv1.Ingress) Policy {
	get := func(name string) string { return ing.Annotations[annotationPrefix+name] }
	p := Policy{
		Header: textproto.CanonicalMIMEHeaderKey(get(canaryHeader)),
		Cookie: get(canaryCookie),
		Total:  100,
	}
	p.HeaderValue, p.Pattern, p.BadPattern = t.headerRule(ing, p.Header, get(canaryHeaderValue), get(canaryPattern))
	if total, ok := t.number(ing, canaryWeightTotal); ok {
		if total < 100 {
			t.ingressProblem(ing, "InvalidAnnotation", "annotation %s%s is %d; ingress-nginx takes less than 100 for 100",
				annotationPrefix, canaryWeightTotal, total)
		}
		p.Total = max(total, 100)
	}
	if weight, ok := t.number(ing, canaryWeight); ok {
		if weight < 0 || weight > p.Total {
			t.ingressProblem(ing, "InvalidAnnotation", "annotation %s%s is %d; it must be from 0 to %d", annotationPrefix,
				canaryWeight, weight, p.Total)
		}
		p.Weight = min(max(weight, 0), p.Total)
	}
	return p
}

func (t *translator) headerRule(ing *networkingv1.Ingress, header, value, pattern string) (string, *regexp.Regexp,
	bool,
) {
	switch {
	case value == "" && pattern == "":
		return "", nil, false
	case header == "":
		t.ingressProblem(ing, "InvalidAnnotation", "%s%s names no header, so its value or pattern has no effect",
			annotationPrefix, canaryHeader)
		return "", nil, false
	case value != "":
		return value, nil, false
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		t.ingressProblem(ing, "InvalidAnnotation", "annotation %s%s: %v; no request matches it (this gateway reads RE2, "+
			"without look-around)", annotationPrefix, canaryPattern, err)
		return "", nil, true
	}
	return "", re, false
}

func (t *translator) number(ing *networkingv1.Ingress, name string) (int, bool) {
	v, ok := ing.Annotations[annotationPrefix+name]
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.ingressProblem(ing, "InvalidAnnotation", "annotation %s%s is %q; it must be a whole number in quotes and is "+
			"ignored", annotationPrefix, name, v)
		return 0, false
	}
	return n, true
}

func ingressSource(ing *networkingv1.Ingress) Source {
	return Source{Kind: "Ingress", Namespace: ing.Namespace, Name: ing.Name}
}

func (t *translator) ingressProblem(ing *networkingv1.Ingress, reason, format string, args ...any) {
	t.problem(Problem{
		Object: corev1.ObjectReference{
			APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "Ingress",
			Namespace: ing.Namespace, Name: ing.Name, UID: ing.UID,
		},
		Reason: reason, Message: fmt.Sprintf(format, args...),
	})
}

// problem keeps one of each: many paths may share one fault.
func (t *translator) problem(p Problem) {
	if t.said[p] {
		return
	}
	t.said[p] = true
	t.result.Problems = append(t.result.Problems, p)
}
