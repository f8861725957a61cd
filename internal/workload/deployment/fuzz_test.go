package deployment

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/workloadtest"
)

// FuzzView: whatever an object has, and whatever annotation or label somebody has added, nothing panics, and the cache's
// view of the pod template is the template's own.
func FuzzView(f *testing.F) {
	const rs = `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"shop-1","labels":{"app":"shop"}},"spec":{"replicas":3,"template":{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"web","image":"shop:1"}]}}}}`
	for _, seed := range [][3]string{
		{rs, "sluice.dev/cached-template", `{"hash":"abc","labels":{"app":"other"}}`},
		{rs, "sluice.dev/cached-template", `{`},
		{rs, annotationMax, "many"},
		{rs, annotationDesired, "-1"},
		{rs, v1alpha1.LabelPodTemplateHash, ""},
		{`{"spec":{"selector":{"matchExpressions":[{"key":"x","operator":"DoesNotExist"}]},"template":{"spec":{}}}}`, "a", ""},
		{`{"metadata":{"labels":null,"annotations":null},"spec":{"replicas":-3,"template":{}}}`, "", ""},
		{`{"metadata":{"labels":[1],"annotations":{"a":1}},"spec":{"template":{"metadata":{"annotations":{"sluice.dev/former":1}},"spec":{"containers":[1,{"name":2}],"initContainers":{}}},"selector":[]},"status":{"conditions":[1,{"type":2}],"replicas":"x"}}`, annotationFormer, "x"},
		{`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":{"maxSurge":"x%"}},"selector":{"matchLabels":5},"template":{"spec":{"volumes":[{"secret":{"name":{}}}]}}}}`, "a", "b"},
	} {
		f.Add([]byte(seed[0]), seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, raw []byte, key, value string) {
		obj := &unstructured.Unstructured{}
		if utiljson.Unmarshal(raw, &obj.Object) != nil || obj.Object == nil {
			return
		}
		workload.Annotate(obj, key, value)
		obj.SetGroupVersionKind(ReplicaSetKind)
		cached, err := workload.Condense(obj.DeepCopy())
		if err != nil {
			t.Fatal(err)
		}
		seen := cached.(*unstructured.Unstructured)
		if template, found, err := unstructured.NestedMap(obj.Object, "spec", "template"); found && err == nil {
			if d := cmp.Diff(workload.ReadTemplate(template), workload.TemplateOf(seen), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("the cache's view of the template (-template +view):\n%s", d)
			}
		}
		useAll(obj, seen)
	})
}

// TestTemplateWithoutLabels: its ReplicaSet has the hash for its only label, and the same template.
func TestTemplateWithoutLabels(t *testing.T) {
	d := workloadtest.Object(t, `
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchExpressions: [{key: app, operator: DoesNotExist}]}
  template: {metadata: {creationTimestamp: null}, spec: {containers: [{name: web, image: "shop:1"}]}}
`)
	rs := Next(d, owner, marks, "5d41402abc", 1)
	if got, want := workload.TemplateOf(rs).Hash, workload.TemplateOf(d).Hash; got != want || PodTemplateHash(rs) != "5d41402abc" {
		t.Errorf("the template of the ReplicaSet is %s with the label %s, the Deployment's %s", got, PodTemplateHash(rs), want)
	}
}

// useAll calls all that reads objects of others.
func useAll(whole, seen *unstructured.Unstructured) {
	owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Release", Name: "r", UID: "u"}
	labels := map[string]string{v1alpha1.LabelRelease: "r"}
	_, template, _ := unstructured.NestedMap(whole.Object, "spec", "template")
	_, selector, _ := unstructured.NestedMap(whole.Object, "spec", "selector")
	if template && selector { // The API server takes no Deployment without.
		Next(whole, owner, labels, "5d41402abc", 1)
	}
	for _, o := range []*unstructured.Unstructured{whole, seen} {
		Taken(o, owner, labels)
		Scaled(HandedOver(o, seen), 2)
		Former(o)
		Unmark(o, seen)
		ReadTrack(o, "u")
		Names(o, "shop-1-abcde")
		Idle(o)
		workload.Shared(workload.TemplateOf(o), workload.TemplateOf(seen))
		podtemplate.Plain(o.DeepCopy().Object)
	}
}
