package admission_test

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// TestFaultA4Canary proves that the canary Service and the canary Ingress of a release stay what they are: who takes their
// owner off would make them his own, and requests would go to the new version whatever becomes of its release.
func TestFaultA4Canary(t *testing.T) {
	w := newWorld(t)
	alice := w.certificate("alice")
	const owner = `ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: Release, name: shop-1, uid: x, controller: true}], finalizers: [test/keep]`
	w.create(sluice, services, `{apiVersion: v1, kind: Service, metadata: {name: shop-canary, `+owner+`}, spec: {selector: {app: shop, pod-template-hash: a}, ports: [{port: 80}]}}`)
	w.create(sluice, ingresses, `{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop-canary, `+owner+`,
		annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-weight: "20"}},
		spec: {defaultBackend: {service: {name: shop-canary, port: {number: 80}}}}}`)
	for _, resource := range []schema.GroupVersionResource{services, ingresses} {
		t.Cleanup(func() {
			_, _ = w.as("", resource).Patch(context.Background(), "shop-canary", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		})
	}
	patch := func(resource schema.GroupVersionResource, text string) error {
		_, err := w.over(alice, resource).Patch(t.Context(), "shop-canary", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "alice"})
		return err
	}
	const free = `{"metadata":{"ownerReferences":null}}`
	w.eventually("the policy is in force", func(context.Context) error {
		if patch(services, free) == nil {
			return errors.New("it is not")
		}
		return nil
	})
	const stays = "belongs to a release: its spec and its owners stay as they are"
	for name, test := range map[string]struct {
		resource    schema.GroupVersionResource
		patch, says string
	}{
		"Service: owner":        {services, free, stays},
		"Service: selector":     {services, `{"spec":{"selector":{"pod-template-hash":null}}}`, stays},
		"Ingress: owner":        {ingresses, free, stays},
		"Ingress: backend":      {ingresses, `{"spec":{"defaultBackend":{"service":{"name":"other"}}}}`, stays},
		"Ingress: weight":       {ingresses, `{"metadata":{"annotations":{"nginx.ingress.kubernetes.io/canary-weight":"100"}}}`, "what steers the canary"},
		"Ingress: header":       {ingresses, `{"metadata":{"annotations":{"nginx.ingress.kubernetes.io/canary-by-header":"x"}}}`, "what steers the canary"},
		"Ingress: no canary":    {ingresses, `{"metadata":{"annotations":{"nginx.ingress.kubernetes.io/canary":null}}}`, "what steers the canary"},
		"Service: labels":       {services, `{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}}}`, ""},
		"Ingress: its class's":  {ingresses, `{"metadata":{"annotations":{"example.com/seen":"yes"}}}`, ""},
		"Service: nothing else": {services, `{"metadata":{"annotations":{"c":null}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := patch(test.resource, test.patch)
			if test.says != "" {
				wantForbidden(t, err, test.says)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}
