package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// app is a workload with its Service and a Rollout of one step, which waits at 50%.
const app = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: NAME}, spec: {replicas: 2, selector: {matchLabels: {app: NAME}},
  template: {metadata: {labels: {app: NAME, tier: one}}, spec: {containers: [{name: web, image: "argoproj/rollouts-demo:blue",
  ports: [{name: http, containerPort: 8080}], readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: NAME}, spec: {selector: {app: NAME, tier: one}, ports: [{port: 80, targetPort: http}]}}
---
{apiVersion: sluice.dev/v1alpha1, kind: Rollout, metadata: {name: NAME}, spec: {workload: {kind: Deployment, name: NAME},
  traffic: [LAYER], canary: {steps: [{weight: 50, pause: {}}]}}}
`

func (w *world) app(name, layer string) []*unstructured.Unstructured {
	w.Helper()
	return w.objects(strings.NewReplacer("NAME", name, "LAYER", layer).Replace(app))
}

const twoPaths = `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: web}, spec: {ingressClassName: nginx, rules: [{host: canary.demo, http: {paths: [
  {path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}},
  {path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {number: 80}}}}]}}]}}`

// oneRule sends nine of ten requests to the shop and the tenth to the cart.
const oneRule = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: web}, spec: {parentRefs: [{name: playground, namespace: default}],
  hostnames: [canary.demo], rules: [{backendRefs: [{name: shop, port: 80, weight: 9}, {name: cart, port: 80, weight: 1}]}]}}`

// TestFaultB3SharedIngress: two Rollouts on two paths of one Ingress are released at the same time, each to its own end.
func TestFaultB3SharedIngress(t *testing.T) {
	w := newWorld(t)
	w.start(append(append(w.app("shop", "{ingress: {name: web}}"), w.app("cart", "{ingress: {name: web}}")...), w.objects(twoPaths)...)...)
	shop, cart := w.loadOn(w.to("/color"), 2), w.loadOn(w.to("/cart"), 2)
	for _, name := range []string{"shop", "cart"} {
		w.kubectl("set", "image", "deployment/"+name, "web=argoproj/rollouts-demo:green")
	}
	w.atStep("shop-1", 1)
	w.atStep("cart-1", 1)
	shop.sharedOut(t, 300, "green", 50)
	cart.sharedOut(t, 300, "green", 50)
	w.mustSluice("promote", "cart")
	w.ended("cart-1", v1alpha1.ReleaseSucceeded)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	noneFailed(t, shop.end())
	noneFailed(t, cart.end())
}

// TestFaultB4SharedRule: two Rollouts in one rule of an HTTPRoute are released at the same time. The manifest is applied
// again meanwhile, which changes nothing, and at the end the rule is what it was.
func TestFaultB4SharedRule(t *testing.T) {
	w := newWorld(t)
	route := w.objects(oneRule)
	w.start(append(append(w.app("shop", "{httpRoute: {name: web}}"), w.app("cart", "{httpRoute: {name: web}}")...), route...)...)
	load := w.load()
	spec := func() (rules any, generation int64) {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"})
		must(t, w.get(u, "web"))
		return u.Object["spec"], u.GetGeneration()
	}
	before, _ := spec()
	for _, name := range []string{"shop", "cart"} {
		w.kubectl("set", "image", "deployment/"+name, "web=argoproj/rollouts-demo:green")
	}
	w.atStep("shop-1", 1)
	w.atStep("cart-1", 1)
	split, generation := spec()
	for range 3 {
		w.apply(route...)
	}
	if again, g := spec(); g != generation || cmp.Diff(split, again) != "" {
		t.Errorf("applied again: generation %d became %d, %s", generation, g, cmp.Diff(split, again))
	}
	if generation > 20 {
		t.Errorf("the HTTPRoute was written %d times", generation)
	}
	load.sharedOut(t, 300, "green", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.mustSluice("abort", "cart")
	w.ended("cart-1", v1alpha1.ReleaseAborted)
	if after, _ := spec(); cmp.Diff(before, after) != "" {
		t.Errorf("the rule is not what it was (-want +got):\n%s", cmp.Diff(before, after))
	}
	noneFailed(t, load.end())
}

// seen is how long it may take until a Service that leads to nobody leads to pods again: the EndpointSlice controller waits
// for a second where its cache is behind.
const seen = 3 * time.Second

// TestFaultB1Relabelled: a chart changes a label of the pods and the Service's selector in one go, with a new image. But for
// the moment until Sluice and the EndpointSlices have seen that the Service leads to nobody, both versions are served
// throughout, also when it is taken back and when it is promoted.
func TestFaultB1Relabelled(t *testing.T) {
	w := newWorld(t)
	ingress := strings.Replace(twoPaths, "name: cart", "name: shop", 1)
	w.start(append(w.app("shop", "{ingress: {name: web}}"), w.objects(ingress)...)...)
	load := w.load()
	relabelled := without(w.objects(strings.NewReplacer("NAME", "shop", "LAYER", "{ingress: {name: web}}", "tier: one", "tier: two", ":blue", ":green").Replace(app)), "Rollout")
	w.apply(relabelled...)
	applied := time.Now()
	w.atStep("shop-1", 1)
	var later []sample
	for _, s := range load.end() {
		if s.at.After(applied.Add(seen)) {
			later = append(later, s)
		}
	}
	noneFailed(t, later)
	load = w.load()
	load.sharedOut(t, 300, "green", 50)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.allFrom("blue", 40, w.to("/color"))
	w.mustSluice("retry", "shop")
	w.atStep("shop-2", 1)
	w.mustSluice("promote", "shop")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.allFrom("green", 40, w.to("/color"))
	if out := fmt.Sprint(w.kubectl("get", "service", "shop", "-o", "jsonpath={.spec.selector}")); out != `{"app":"shop","tier":"two"}` {
		t.Errorf("the Service selects %s at the end", out)
	}
	noneFailed(t, load.end())
}
