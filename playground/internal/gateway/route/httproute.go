package route

import (
	"fmt"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// httpRoute adds one route's entries and its status for each parent of ours.
func (t *translator) httpRoute(r *gatewayv1.HTTPRoute, parents map[types.NamespacedName]*parent,
	entries map[string][]*entry,
) {
	var hosts []string
	var statuses []gatewayv1.RouteParentStatus
	c := &routeCompiler{translator: t, route: r}
	for _, ref := range r.Spec.ParentRefs {
		p := parentOf(parents, r, ref)
		if p == nil {
			continue
		}
		c.compile()
		a := t.attach(r, ref, p)
		hosts = append(hosts, a.hosts...)
		statuses = append(statuses, gatewayv1.RouteParentStatus{
			ParentRef: ref, ControllerName: t.world.Controller, Conditions: c.conditions(a),
		})
	}
	if len(statuses) == 0 {
		return
	}
	t.result.Routes[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}] = statuses
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		entries[host] = append(entries[host], c.entries(host)...)
	}
}

func parentOf(parents map[types.NamespacedName]*parent, r *gatewayv1.HTTPRoute, ref gatewayv1.ParentReference) *parent {
	if ref.Group != nil && *ref.Group != gatewayv1.GroupName || ref.Kind != nil && *ref.Kind != "Gateway" {
		return nil
	}
	namespace := r.Namespace
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	return parents[types.NamespacedName{Namespace: namespace, Name: string(ref.Name)}]
}

// routeCompiler turns one route's rules into entries and collects what is
// wrong with them. The first fault of each condition is reported.
type routeCompiler struct {
	*translator
	route      *gatewayv1.HTTPRoute
	compiled   bool
	matches    [][]match // per rule
	rules      []*rule
	unresolved *fault
	unaccepted *fault
}

type fault struct {
	reason  gatewayv1.RouteConditionReason
	message string
}

func (c *routeCompiler) compile() {
	if c.compiled {
		return
	}
	c.compiled = true
	for i := range c.route.Spec.Rules {
		spec := &c.route.Spec.Rules[i]
		ru := c.rule(i, spec)
		c.rules = append(c.rules, ru)
		c.matches = append(c.matches, c.ruleMatches(i, spec))
	}
}

func (c *routeCompiler) conditions(a attachment) []metav1.Condition {
	generation := c.route.Generation
	accepted := condition("Accepted", a.reason == gatewayv1.RouteReasonAccepted, string(a.reason), a.message, generation)
	if f := c.unaccepted; f != nil && a.reason == gatewayv1.RouteReasonAccepted {
		accepted = condition("Accepted", false, string(f.reason), f.message, generation)
	}
	resolved := condition("ResolvedRefs", true, "ResolvedRefs", "", generation)
	if f := c.unresolved; f != nil {
		resolved = condition("ResolvedRefs", false, string(f.reason), f.message, generation)
	}
	return []metav1.Condition{accepted, resolved}
}

func (c *routeCompiler) entries(host string) []*entry {
	var es []*entry
	for i, ru := range c.rules {
		for j := range c.matches[i] {
			m := c.matches[i][j]
			o := m.order()
			o.created = c.route.CreationTimestamp.Unix()
			o.name = c.route.Namespace + "/" + c.route.Name
			o.index = i
			es = append(es, &entry{host: host, match: m, rule: ru, order: o})
		}
	}
	return es
}

func (c *routeCompiler) refuse(format string, args ...any) string {
	message := fmt.Sprintf(format, args...)
	if c.unaccepted == nil {
		c.unaccepted = &fault{gatewayv1.RouteReasonUnsupportedValue, message}
	}
	return message
}

func (c *routeCompiler) unresolve(reason gatewayv1.RouteConditionReason, format string, args ...any) string {
	message := fmt.Sprintf(format, args...)
	if c.unresolved == nil {
		c.unresolved = &fault{reason, message}
	}
	return message
}

func (c *routeCompiler) rule(i int, spec *gatewayv1.HTTPRouteRule) *rule {
	ru := &rule{source: Source{Kind: "HTTPRoute", Namespace: c.route.Namespace, Name: c.route.Name}}
	ru.filters, ru.broken = c.filters(fmt.Sprintf("rules[%d]", i), spec.Filters)
	ru.timeouts = c.timeouts(i, spec.Timeouts)
	for j := range spec.BackendRefs {
		b := &spec.BackendRefs[j]
		rf := ref{weight: 1}
		if b.Weight != nil {
			rf.weight = max(int(*b.Weight), 0)
		}
		at := fmt.Sprintf("rules[%d].backendRefs[%d]", i, j)
		rf.backend, rf.broken = c.backend(at, b.BackendObjectReference)
		filters, broken := c.filters(at, b.Filters)
		rf.filters = filters
		if broken != "" {
			rf.broken = broken
		}
		if rf.weight > 0 {
			ru.refs = append(ru.refs, rf)
			ru.total += rf.weight
		}
	}
	return ru
}

// backend resolves a reference, or says why its share answers 500.
func (c *routeCompiler) backend(at string, b gatewayv1.BackendObjectReference) (*Backend, string) {
	if deref(b.Group) != "" || b.Kind != nil && *b.Kind != "Service" {
		return nil, c.unresolve(gatewayv1.RouteReasonInvalidKind, "%s: kind %s is not served, only Service", at,
			deref(b.Kind))
	}
	namespace := c.route.Namespace
	if b.Namespace != nil {
		namespace = string(*b.Namespace)
	}
	if namespace != c.route.Namespace && !c.granted(namespace, string(b.Name)) {
		return nil, c.unresolve(gatewayv1.RouteReasonRefNotPermitted, "%s: no ReferenceGrant in namespace %s lets "+
			"HTTPRoutes of %s use Service %s", at, namespace, c.route.Namespace, b.Name)
	}
	if b.Port == nil {
		return nil, c.unresolve(gatewayv1.RouteReasonBackendNotFound, "%s: a Service needs a port", at)
	}
	be := c.backends.get(namespace, string(b.Name), strconv.Itoa(int(*b.Port)))
	if be.Missing != "" {
		return nil, c.unresolve(gatewayv1.RouteReasonBackendNotFound, "%s: %s", at, be.Missing)
	}
	return be, ""
}

func (c *routeCompiler) granted(namespace, service string) bool {
	for _, g := range c.world.Grants {
		if g.Namespace == namespace && grantsFrom(g, c.route.Namespace) && grantsTo(g, service) {
			return true
		}
	}
	return false
}

func grantsFrom(g *gatewayv1.ReferenceGrant, namespace string) bool {
	return slices.ContainsFunc(g.Spec.From, func(f gatewayv1.ReferenceGrantFrom) bool {
		return f.Group == gatewayv1.GroupName && f.Kind == "HTTPRoute" && string(f.Namespace) == namespace
	})
}

func grantsTo(g *gatewayv1.ReferenceGrant, service string) bool {
	return slices.ContainsFunc(g.Spec.To, func(to gatewayv1.ReferenceGrantTo) bool {
		return to.Group == "" && to.Kind == "Service" && (to.Name == nil || string(*to.Name) == service)
	})
}

func (c *routeCompiler) timeouts(i int, spec *gatewayv1.HTTPRouteTimeouts) Timeouts {
	if spec == nil {
		return Timeouts{}
	}
	return Timeouts{
		Request: c.duration(fmt.Sprintf("rules[%d].timeouts.request", i), spec.Request),
		Backend: c.duration(fmt.Sprintf("rules[%d].timeouts.backendRequest", i), spec.BackendRequest),
	}
}

func (c *routeCompiler) duration(at string, d *gatewayv1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	v, err := time.ParseDuration(string(*d))
	if err != nil {
		c.refuse("%s: %v", at, err)
	}
	return v
}

// ruleMatches compiles a rule's matches; none given means every path. A match
// that cannot be compiled is left out: it would match what nobody meant.
func (c *routeCompiler) ruleMatches(i int, spec *gatewayv1.HTTPRouteRule) []match {
	if len(spec.Matches) == 0 {
		return []match{{path: pathMatch{prefix: "/"}}}
	}
	var ms []match
	for j := range spec.Matches {
		m, err := compileMatch(&spec.Matches[j])
		if err != nil {
			c.refuse("rules[%d].matches[%d]: %v", i, j, err)
			continue
		}
		ms = append(ms, m)
	}
	return ms
}

func compileMatch(spec *gatewayv1.HTTPRouteMatch) (match, error) {
	m := match{method: string(deref(spec.Method))}
	var err error
	if m.path, err = compilePath(spec.Path); err != nil {
		return match{}, err
	}
	for _, h := range spec.Headers {
		name := textproto.CanonicalMIMEHeaderKey(string(h.Name))
		v, err := compileValue(name, h.Value, deref(h.Type) == gatewayv1.HeaderMatchRegularExpression)
		if err != nil {
			return match{}, fmt.Errorf("compile header %s: %w", h.Name, err)
		}
		// Of two entries for one header only the first counts.
		if !slices.ContainsFunc(m.headers, func(o valueMatch) bool { return o.name == name }) {
			m.headers = append(m.headers, v)
		}
	}
	for _, q := range spec.QueryParams {
		v, err := compileValue(string(q.Name), q.Value, deref(q.Type) == gatewayv1.QueryParamMatchRegularExpression)
		if err != nil {
			return match{}, fmt.Errorf("compile query parameter %s: %w", q.Name, err)
		}
		m.query = append(m.query, v)
	}
	return m, nil
}

func compilePath(spec *gatewayv1.HTTPPathMatch) (pathMatch, error) {
	if spec == nil {
		return pathMatch{prefix: "/"}, nil
	}
	value := "/"
	if spec.Value != nil {
		value = *spec.Value
	}
	switch deref(spec.Type) {
	case gatewayv1.PathMatchExact:
		return pathMatch{exact: value}, nil
	case gatewayv1.PathMatchRegularExpression:
		re, err := whole(value)
		if err != nil {
			return pathMatch{}, fmt.Errorf("compile path: %w", err)
		}
		return pathMatch{regex: re}, nil
	default:
		return pathMatch{prefix: value}, nil
	}
}

func compileValue(name, value string, isRegex bool) (valueMatch, error) {
	if !isRegex {
		return valueMatch{name: name, value: value}, nil
	}
	re, err := whole(value)
	return valueMatch{name: name, regex: re}, err
}

// whole compiles an expression that must match the whole value, as Envoy-based
// gateways read it.
func whole(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil {
		return nil, err // quotes the user's expression, not ours
	}
	return regexp.Compile("^(?:" + expr + ")$")
}

func headers(specs []gatewayv1.HTTPHeader) []Header {
	var hs []Header
	for _, h := range specs {
		hs = append(hs, Header{Name: textproto.CanonicalMIMEHeaderKey(string(h.Name)), Value: h.Value})
	}
	return hs
}

func headerEdit(f *gatewayv1.HTTPHeaderFilter) HeaderEdit {
	if f == nil {
		return HeaderEdit{}
	}
	e := HeaderEdit{Set: headers(f.Set), Add: headers(f.Add)}
	for _, name := range f.Remove {
		e.Remove = append(e.Remove, textproto.CanonicalMIMEHeaderKey(name))
	}
	return e
}

func pathEdit(p *gatewayv1.HTTPPathModifier) *PathEdit {
	if p == nil {
		return nil
	}
	return &PathEdit{Full: p.ReplaceFullPath, Prefix: p.ReplacePrefixMatch}
}

// filters compiles a list of filters; an unknown one breaks what it stands on,
// since to leave it out could expose what it guards.
func (c *routeCompiler) filters(at string, specs []gatewayv1.HTTPRouteFilter) (*Filters, string) {
	if len(specs) == 0 {
		return nil, ""
	}
	f := &Filters{}
	for i := range specs {
		if broken := c.filter(fmt.Sprintf("%s.filters[%d]", at, i), &specs[i], f); broken != "" {
			return nil, broken
		}
	}
	return f, ""
}

func (c *routeCompiler) filter(at string, spec *gatewayv1.HTTPRouteFilter, f *Filters) string {
	switch spec.Type {
	case gatewayv1.HTTPRouteFilterRequestHeaderModifier:
		f.Request = headerEdit(spec.RequestHeaderModifier)
	case gatewayv1.HTTPRouteFilterResponseHeaderModifier:
		f.Response = headerEdit(spec.ResponseHeaderModifier)
	case gatewayv1.HTTPRouteFilterURLRewrite:
		if w := spec.URLRewrite; w != nil {
			f.Rewrite = &Rewrite{Host: string(deref(w.Hostname)), Path: pathEdit(w.Path)}
		}
	case gatewayv1.HTTPRouteFilterRequestRedirect:
		f.Redirect = redirect(spec.RequestRedirect)
	case gatewayv1.HTTPRouteFilterRequestMirror:
		c.mirror(at, spec.RequestMirror, f)
	default:
		return c.refuse("%s: filter type %s is not served", at, spec.Type)
	}
	return ""
}

func redirect(r *gatewayv1.HTTPRequestRedirectFilter) *Redirect {
	out := &Redirect{Status: 302}
	if r == nil {
		return out
	}
	if r.StatusCode != nil {
		out.Status = *r.StatusCode
	}
	out.Scheme, out.Host = strings.ToLower(deref(r.Scheme)), string(deref(r.Hostname))
	out.Port, out.Path = int(deref(r.Port)), pathEdit(r.Path)
	return out
}

// mirror adds a mirror; one whose backend is missing is reported and left out.
func (c *routeCompiler) mirror(at string, spec *gatewayv1.HTTPRequestMirrorFilter, f *Filters) {
	if spec == nil {
		return
	}
	be, broken := c.backend(at, spec.BackendRef)
	if broken != "" {
		return
	}
	m := Mirror{Backend: be, Numerator: 100, Denominator: 100}
	switch {
	case spec.Percent != nil:
		m.Numerator = int(*spec.Percent)
	case spec.Fraction != nil:
		m.Numerator, m.Denominator = int(spec.Fraction.Numerator), 100
		if spec.Fraction.Denominator != nil {
			m.Denominator = int(*spec.Fraction.Denominator)
		}
	}
	f.Mirrors = append(f.Mirrors, m)
}
