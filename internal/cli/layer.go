package cli

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
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
			err = s.readIngress(ctx, v, t.Ingress.Name, &l)
		case t.HTTPRoute != nil:
			err = s.readHTTPRoute(ctx, v, t.HTTPRoute.Name, &l)
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

func (s sources) readIngress(ctx context.Context, v *view, name string, l *layer) error {
	l.state = noCanaryRoute
	beside, err := s.canaryIngress(ctx, v, name)
	if beside == nil || err != nil {
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

// canaryIngress is the one that the release has made beside an Ingress, nil if there is none. Each Rollout's has a name of
// its own, which begins with the Ingress'.
func (s sources) canaryIngress(ctx context.Context, v *view, name string) (*networkingv1.Ingress, error) {
	if v.release == nil {
		return nil, nil
	}
	var list networkingv1.IngressList
	err := s.routes.List(ctx, &list, client.InNamespace(v.rollout.Namespace), client.MatchingLabels{v1alpha1.LabelRelease: v.release.Name})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		in := &list.Items[i]
		if metav1.IsControlledBy(in, v.release) && strings.HasPrefix(in.Name, name+"-canary") {
			return in, nil
		}
	}
	return nil, nil
}

// twins are the canary Services that the release has in an HTTPRoute, by the Services that they stand beside.
func (s sources) twins(ctx context.Context, v *view, route string) (map[string]string, error) {
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(v.rollout.Namespace)); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, h := range holds.Items {
		for _, share := range h.Spec.Shares {
			if h.Spec.Target.Name != route || v.release == nil || share.UID != string(v.release.UID) {
				continue
			}
			for _, sv := range share.Services {
				out[sv.Stable] = sv.Canary
			}
		}
	}
	return out, nil
}

func (s sources) readHTTPRoute(ctx context.Context, v *view, name string, l *layer) error {
	ns := v.rollout.Namespace
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(httpRouteKind)
	if err := s.routes.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, route); err != nil {
		if sayNotInstalled(err) != "" {
			return fmt.Errorf("the cluster does not know HTTPRoutes (gateway.networking.k8s.io/v1)")
		}
		return err
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	twins, err := s.twins(ctx, v, name)
	if err != nil {
		return err
	}
	share, matched, found := canaryShare(rules, twins)
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

// canaryShare is the canaries' share of what the rules send to the workload, and whether a rule sends them everything.
func canaryShare(rules []any, twins map[string]string) (share int64, matched, found bool) {
	canaries := map[string]bool{}
	for _, c := range twins {
		canaries[c] = true
	}
	for _, rule := range maps(rules) {
		canary, total := int64(0), int64(0)
		stable, names := false, false
		refs, _, _ := unstructured.NestedSlice(rule, "backendRefs")
		for _, r := range maps(refs) {
			weight, set, _ := unstructured.NestedInt64(r, "weight")
			if !set {
				weight = 1
			}
			name, _, _ := unstructured.NestedString(r, "name")
			switch {
			case canaries[name]:
				names = true
				canary += weight
				total += weight
			case twins[name] != "":
				stable = true
				total += weight
			}
		}
		switch {
		case !names:
		case !stable:
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
