package route

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// parent is one Gateway of ours.
type parent struct {
	gateway   *gatewayv1.Gateway
	listeners []*listener
}

// listener is one listener of a Gateway. All of them share the gateway's one
// address; a listener's port only takes part in the matching of parentRefs.
type listener struct {
	spec     *gatewayv1.Listener
	hostname string
	invalid  string // why no route may attach, "" when they may
	attached int32
}

// gatewayAPI translates classes, Gateways and HTTPRoutes.
func (t *translator) gatewayAPI() {
	parents := t.parents()
	entries := map[string][]*entry{}
	for _, r := range byAge(t.world.HTTPRoutes) {
		t.httpRoute(r, parents, entries)
	}
	for host, es := range entries {
		slices.SortStableFunc(es, func(a, b *entry) int {
			switch {
			case a.order.before(b.order):
				return -1
			case b.order.before(a.order):
				return 1
			}
			return 0
		})
		t.table.routes.set(host, es)
	}
	for name, p := range parents {
		t.result.Gateways[name] = p.status(t.world.Address)
	}
}

func (t *translator) parents() map[types.NamespacedName]*parent {
	parents := map[types.NamespacedName]*parent{}
	for _, c := range t.world.GatewayClasses {
		if c.Spec.ControllerName == t.world.Controller {
			t.result.Classes[c.Name] = []metav1.Condition{condition("Accepted", true, "Accepted", "", c.Generation)}
		}
	}
	for _, g := range t.world.Gateways {
		if _, ours := t.result.Classes[string(g.Spec.GatewayClassName)]; ours {
			parents[types.NamespacedName{Namespace: g.Namespace, Name: g.Name}] = newParent(g)
		}
	}
	return parents
}

func newParent(g *gatewayv1.Gateway) *parent {
	p := &parent{gateway: g}
	for i := range g.Spec.Listeners {
		l := &listener{spec: &g.Spec.Listeners[i]}
		l.hostname = strings.ToLower(string(deref(l.spec.Hostname)))
		if l.spec.Protocol != gatewayv1.HTTPProtocolType {
			l.invalid = fmt.Sprintf("protocol %s is not served, only HTTP", l.spec.Protocol)
		}
		p.listeners = append(p.listeners, l)
	}
	return p
}

// attachment is where one parentRef of a route leads.
type attachment struct {
	hosts   []string
	reason  gatewayv1.RouteConditionReason // Accepted, or why not
	message string
}

// attach finds the listeners that take the route and the hosts it gets there.
func (t *translator) attach(r *gatewayv1.HTTPRoute, ref gatewayv1.ParentReference, p *parent) attachment {
	a := attachment{reason: gatewayv1.RouteReasonNoMatchingParent, message: "the Gateway has no HTTP listener with " +
		"this sectionName and port"}
	for _, l := range p.listeners {
		if !l.named(ref) || l.invalid != "" {
			continue
		}
		if !t.allows(l, p.gateway, r) {
			a.lack(gatewayv1.RouteReasonNotAllowedByListeners, "the listener's allowedRoutes do not allow this route's "+
				"namespace or kind")
			continue
		}
		hosts := intersect(l.hostname, r.Spec.Hostnames)
		if len(hosts) == 0 {
			a.lack(gatewayv1.RouteReasonNoMatchingListenerHostname, "no hostname of the route is one of the listener's")
			continue
		}
		l.attached++
		a.hosts = append(a.hosts, hosts...)
	}
	if len(a.hosts) > 0 {
		a.reason, a.message = gatewayv1.RouteReasonAccepted, ""
	}
	return a
}

// lack keeps the reason of the listener that came closest.
func (a *attachment) lack(reason gatewayv1.RouteConditionReason, message string) {
	if a.reason != gatewayv1.RouteReasonNoMatchingListenerHostname {
		a.reason, a.message = reason, message
	}
}

func (l *listener) named(ref gatewayv1.ParentReference) bool {
	return (ref.SectionName == nil || *ref.SectionName == l.spec.Name) && (ref.Port == nil || *ref.Port == l.spec.Port)
}

func (t *translator) allows(l *listener, g *gatewayv1.Gateway, r *gatewayv1.HTTPRoute) bool {
	allowed := l.spec.AllowedRoutes
	if allowed == nil {
		return r.Namespace == g.Namespace
	}
	return allowsKind(allowed.Kinds) && t.allowsNamespace(allowed.Namespaces, g.Namespace, r.Namespace)
}

func allowsKind(kinds []gatewayv1.RouteGroupKind) bool {
	for _, k := range kinds {
		if k.Kind == "HTTPRoute" && (k.Group == nil || *k.Group == gatewayv1.GroupName) {
			return true
		}
	}
	return len(kinds) == 0
}

func (t *translator) allowsNamespace(n *gatewayv1.RouteNamespaces, gateway, route string) bool {
	if n == nil || n.From == nil {
		return gateway == route
	}
	switch *n.From {
	case gatewayv1.NamespacesFromAll:
		return true
	case gatewayv1.NamespacesFromSelector:
		selector, err := metav1.LabelSelectorAsSelector(n.Selector)
		return err == nil && selector.Matches(labels.Set(t.world.NamespaceLabels(route)))
	default:
		return *n.From == gatewayv1.NamespacesFromSame && gateway == route
	}
}

// intersect gives the hosts that both the listener and the route want; ""
// means all hosts.
func intersect(listener string, route []gatewayv1.Hostname) []string {
	if len(route) == 0 {
		return []string{listener}
	}
	var hosts []string
	for _, h := range route {
		if both, ok := intersectOne(listener, strings.ToLower(string(h))); ok {
			hosts = append(hosts, both)
		}
	}
	return hosts
}

func intersectOne(a, b string) (string, bool) {
	switch {
	case a == "" || a == b:
		return b, true
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	}
	return "", false
}

// covers: "*.b.c" covers "a.b.c" and "*.a.b.c".
func covers(pattern, host string) bool {
	return strings.HasPrefix(pattern, "*.") && wildcardMatches(pattern, strings.TrimPrefix(host, "*"), true)
}

// status says what became of the Gateway.
func (p *parent) status(address string) gatewayv1.GatewayStatus {
	generation := p.gateway.Generation
	ip := gatewayv1.IPAddressType
	s := gatewayv1.GatewayStatus{Addresses: []gatewayv1.GatewayStatusAddress{{Type: &ip, Value: address}}}
	bad := 0
	for _, l := range p.listeners {
		s.Listeners = append(s.Listeners, l.status(generation))
		if l.invalid != "" {
			bad++
		}
	}
	accepted := condition("Accepted", bad < len(p.listeners), "Accepted", "", generation)
	if bad > 0 {
		accepted.Reason, accepted.Message = "ListenersNotValid", "some listeners are not served; see their conditions"
	}
	s.Conditions = []metav1.Condition{accepted, condition("Programmed", bad < len(p.listeners), "Programmed", "",
		generation)}
	if bad == len(p.listeners) {
		s.Conditions[1].Reason = "Invalid"
	}
	return s
}

func (l *listener) status(generation int64) gatewayv1.ListenerStatus {
	group := gatewayv1.Group(gatewayv1.GroupName)
	s := gatewayv1.ListenerStatus{
		Name:           l.spec.Name,
		SupportedKinds: []gatewayv1.RouteGroupKind{{Group: &group, Kind: "HTTPRoute"}},
		AttachedRoutes: l.attached,
	}
	ok := l.invalid == ""
	accepted := condition("Accepted", ok, "Accepted", "", generation)
	programmed := condition("Programmed", ok, "Programmed", "", generation)
	if !ok {
		accepted.Reason, accepted.Message = "UnsupportedProtocol", l.invalid
		programmed.Reason, programmed.Message = "Invalid", l.invalid
	}
	s.Conditions = []metav1.Condition{
		accepted, programmed,
		condition("ResolvedRefs", true, "ResolvedRefs", "", generation),
		condition("Conflicted", false, "NoConflicts", "", generation),
	}
	return s
}

func condition(kind string, status bool, reason, message string, generation int64) metav1.Condition {
	c := metav1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message,
		ObservedGeneration: generation,
	}
	if status {
		c.Status = metav1.ConditionTrue
	}
	return c
}
