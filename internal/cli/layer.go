package cli

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/translate"
)

// layer is one traffic layer as its objects show it.
type layer struct {
	name, state string
	// on: requests go to the canary through it.
	on bool
}

const noCanaryRoute = "all requests to the Service, no canary route"

func (s sources) addLayers(ctx context.Context, v *view) {
	traffic := v.rollout.Spec.Traffic
	if v.underWay() {
		traffic = v.release.Spec.Plan.Traffic
	}
	for _, t := range traffic {
		l := layer{name: translate.LayerName(t)}
		var err error
		switch {
		case t.Ingress != nil:
			err = s.readIngress(ctx, v.rollout.Namespace, t.Ingress.Name, &l)
		case t.HTTPRoute != nil:
			err = s.readHTTPRoute(ctx, v.rollout.Namespace, t.HTTPRoute.Name, &l)
		}
		if err != nil {
			v.skip(l.name, err)
		}
		v.layers = append(v.layers, l)
	}
	if len(traffic) == 0 {
		v.layers = append(v.layers, layer{name: "pods", state: "requests are shared by the pods behind the Service"})
	}
}

const canaryAnnotation = "nginx.ingress.kubernetes.io/canary"

func (s sources) readIngress(ctx context.Context, ns, name string, l *layer) error {
	var beside networkingv1.Ingress
	err := s.routes.Get(ctx, client.ObjectKey{Namespace: ns, Name: naming.CanaryIngress(name)}, &beside)
	if missing(err) || (err == nil && beside.Labels[v1alpha1.LabelRelease] == "") {
		l.state = noCanaryRoute
		return nil
	}
	if err != nil {
		return err
	}
	a := beside.Annotations
	parts := []string{a[canaryAnnotation+"-weight"] + "%"}
	if h := a[canaryAnnotation+"-by-header"]; h != "" {
		value := a[canaryAnnotation+"-by-header-value"]
		if value == "" {
			value = "always"
		}
		if p := a[canaryAnnotation+"-by-header-pattern"]; p != "" {
			value = "~" + p
		}
		parts = append(parts, "header "+h+"="+value)
	}
	if c := a[canaryAnnotation+"-by-cookie"]; c != "" {
		parts = append(parts, "cookie "+c+"=always")
	}
	l.on = true
	l.state = strings.Join(parts, " or ") + " to the canary"
	return nil
}

func (s sources) readHTTPRoute(ctx context.Context, ns, name string, l *layer) error {
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(httpRouteKind)
	if err := s.routes.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, route); err != nil {
		if sayNotInstalled(err) != "" {
			return fmt.Errorf("the cluster does not know HTTPRoutes (gateway.networking.k8s.io/v1)")
		}
		return err
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	share, matched, found := canaryShare(rules)
	l.on = found
	l.state = noCanaryRoute
	if found {
		l.state = fmt.Sprintf("%d%%", share)
		if matched {
			l.state += " or a match"
		}
		l.state += " to the canary"
	}
	if !accepted(route) {
		l.state += ", not accepted by the gateway yet"
	}
	return nil
}

// canaryShare is the share that the rules send to a canary Service besides the stable one, and whether a rule
// sends it everything.
func canaryShare(rules []any) (share int64, matched, found bool) {
	for _, rule := range maps(rules) {
		canary, total := int64(0), int64(0)
		names := false
		refs, _, _ := unstructured.NestedSlice(rule, "backendRefs")
		for _, r := range maps(refs) {
			weight, set, _ := unstructured.NestedInt64(r, "weight")
			if !set {
				weight = 1
			}
			total += weight
			if name, _, _ := unstructured.NestedString(r, "name"); strings.HasSuffix(name, "-canary") {
				names = true
				canary += weight
			}
		}
		switch {
		case !names:
		case len(refs) == 1:
			matched, found = true, true
		case total > 0:
			share, found = 100*canary/total, true
		}
	}
	return share, matched, found
}

// accepted says whether every gateway that answers for the route accepts it as it is now.
func accepted(route *unstructured.Unstructured) bool {
	parents, _, _ := unstructured.NestedSlice(route.Object, "status", "parents")
	for _, p := range maps(parents) {
		conditions, _, _ := unstructured.NestedSlice(p, "conditions")
		for _, c := range maps(conditions) {
			seen, _, _ := unstructured.NestedInt64(c, "observedGeneration")
			if c["type"] == "Accepted" && (c["status"] != "True" || seen < route.GetGeneration()) {
				return false
			}
		}
	}
	return len(parents) > 0
}

// maps are the entries of a list that are objects.
func maps(list []any) []map[string]any {
	var out []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
