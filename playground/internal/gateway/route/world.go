package route

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// World is what the API server holds, as far as routes depend on it. Objects
// are only read. Services, slices and namespaces are looked up rather than
// listed, so that a translation costs what the routes name, not what exists.
type World struct {
	Ingresses      []*networkingv1.Ingress
	GatewayClasses []*gatewayv1.GatewayClass
	Gateways       []*gatewayv1.Gateway
	HTTPRoutes     []*gatewayv1.HTTPRoute
	Grants         []*gatewayv1.ReferenceGrant

	Service         func(namespace, name string) *corev1.Service
	EndpointSlices  func(namespace, service string) []*discoveryv1.EndpointSlice
	NamespaceLabels func(name string) map[string]string

	// IngressClass is the class of the Ingresses to serve.
	IngressClass string
	// Controller is the controllerName of the GatewayClasses to serve.
	Controller gatewayv1.GatewayController
	// Address is where the gateway listens, for Gateway statuses.
	Address string
}

// Result is all that a World means.
type Result struct {
	Table    *Table
	Problems []Problem
	// Conditions come without a transition time: the writer keeps or sets it.
	Classes  map[string][]metav1.Condition
	Gateways map[types.NamespacedName]gatewayv1.GatewayStatus
	Routes   map[types.NamespacedName][]gatewayv1.RouteParentStatus
}

// Problem is something that a user wrote and that cannot be served as written.
type Problem struct {
	Object  corev1.ObjectReference
	Reason  string
	Message string
}

// Translate builds the table. It never fails: what is wrong becomes a Problem
// or a condition, and the rest is served.
func Translate(w World) Result {
	t := &translator{
		world:    w,
		backends: newBackends(w),
		table:    &Table{},
		said:     map[Problem]bool{},
		result: Result{
			Classes:  map[string][]metav1.Condition{},
			Gateways: map[types.NamespacedName]gatewayv1.GatewayStatus{},
			Routes:   map[types.NamespacedName][]gatewayv1.RouteParentStatus{},
		},
	}
	t.ingresses()
	t.gatewayAPI()
	t.table.backends = t.backends.known
	t.table.services = make(map[[2]string]bool, len(t.backends.known))
	for k := range t.backends.known {
		t.table.services[[2]string{k.Namespace, k.Service}] = true
	}
	t.result.Table = t.table
	return t.result
}

type translator struct {
	world    World
	backends *backends
	table    *Table
	result   Result
	said     map[Problem]bool
}

// byAge orders objects as ingress-nginx and the Gateway API break ties: oldest
// first, then by name.
func byAge[T metav1.Object](objects []T) []T {
	return slices.SortedFunc(slices.Values(objects), func(a, b T) int {
		return cmp.Or(
			cmp.Compare(a.GetCreationTimestamp().Unix(), b.GetCreationTimestamp().Unix()),
			cmp.Compare(a.GetNamespace(), b.GetNamespace()),
			cmp.Compare(a.GetName(), b.GetName()),
		)
	})
}
