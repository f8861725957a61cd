package e2e

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// doors are Services in front of the shop that no layer leads to.
const doors = `
{apiVersion: v1, kind: Service, metadata: {name: shop-metrics}, spec: {selector: {app: shop}, ports: [{port: 9090, targetPort: http}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: shop-inside}, spec: {selector: {app: shop}, ports: [{port: 80, targetPort: http}]}}
`

// TestFaultB16Services: a Service that is left as it is keeps its selector in a release and so leads to both revisions, one
// that is not is held to the stable pods, and the twin of the one that a layer leads to is found by whatever finds that.
func TestFaultB16Services(t *testing.T) {
	w := newWorld(t)
	objects := append(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml"), w.objects(doors)...)
	rollout := only(objects, "Rollout")
	steps(rollout, step(20))
	set(rollout, []any{map[string]any{"name": "shop-metrics", "policy": "leave"}}, "spec", "services")
	w.start(objects...)
	w.kubectl("label", "service", "shop", "monitored=yes", "app.kubernetes.io/managed-by=Helm")
	w.kubectl("annotate", "service", "shop", "prometheus.io/scrape=true", "meta.helm.sh/release-name=shop")
	before, load := w.team(), w.load()
	selector := func(name string) map[string]string {
		s := &corev1.Service{}
		must(t, w.get(s, name))
		return s.Spec.Selector
	}
	w.says(0, "service/shop-inside: no layer leads to it", "plan", "shop")

	w.setImage("green")
	rel := w.atStep("shop-1", 1)
	if diff := cmp.Diff(map[string]string{"app": "shop"}, selector("shop-metrics")); diff != "" {
		t.Errorf("the Service that is left (-want +got):\n%s", diff)
	}
	if got := selector("shop-inside")[v1alpha1.LabelPodTemplateHash]; got != rel.Spec.From.PodTemplateHash {
		t.Errorf("the Service that is not listed selects %v", selector("shop-inside"))
	}
	twin := &corev1.Service{}
	must(t, w.get(twin, "shop-canary"))
	labels := map[string]string{"monitored": "yes", v1alpha1.LabelRollout: "shop", v1alpha1.LabelRelease: "shop-1"}
	maps.DeleteFunc(twin.Annotations, func(k, _ string) bool { return k != "prometheus.io/scrape" && k != "meta.helm.sh/release-name" })
	if diff := cmp.Diff(labels, twin.Labels) + cmp.Diff(map[string]string{"prometheus.io/scrape": "true"}, twin.Annotations); diff != "" {
		t.Errorf("the twin (-want +got):\n%s", diff)
	}
	w.says(0, "left as it is: leads to both revisions", "get", "shop")
	load.sharedOut(t, 300, "green", 20)

	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}
