package admission_test

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestFaultA13ReplicaSetOfARelease proves that the pods of one version cannot be made to pass for another by an edit of
// their ReplicaSet's template, which leaves the pods as they are.
func TestFaultA13ReplicaSetOfARelease(t *testing.T) {
	w := newWorld(t)
	alice := w.certificate("alice")
	w.create(sluice, replicaSets, `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: shop-1, labels: {app: shop, sluice.dev/rollout: shop},
		ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: Release, name: shop-1, uid: x, controller: true}], finalizers: [test/keep]},
		spec: {replicas: 0, selector: {matchLabels: {app: shop}}, template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: web, image: "shop:1"}]}}}}`)
	t.Cleanup(func() {
		_, _ = w.as("", replicaSets).Patch(context.Background(), "shop-1", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	const image = `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"shop:2"}]}}}}`
	patch := func(kind types.PatchType, text string) error {
		_, err := w.over(alice, replicaSets).Patch(t.Context(), "shop-1", kind, []byte(text), metav1.PatchOptions{FieldManager: "alice"})
		return err
	}
	w.eventually("the policy is in force", func(context.Context) error {
		if patch(types.StrategicMergePatchType, image) == nil {
			return errors.New("it is not")
		}
		return nil
	})
	for name, test := range map[string]struct {
		kind   types.PatchType
		patch  string
		refuse bool
	}{
		"image":        {types.StrategicMergePatchType, image, true},
		"pod's label":  {types.MergePatchType, `{"spec":{"template":{"metadata":{"labels":{"a":"b"}}}}}`, true},
		"no label":     {types.MergePatchType, `{"metadata":{"labels":{"sluice.dev/rollout":null}}}`, true},
		"other label":  {types.JSONPatchType, `[{"op":"replace","path":"/metadata/labels/sluice.dev~1rollout","value":"other"}]`, true},
		"label, image": {types.MergePatchType, `{"metadata":{"labels":{"sluice.dev/rollout":null}},"spec":{"template":{"spec":{"serviceAccountName":"x"}}}}`, true},
		"size":         {types.MergePatchType, `{"spec":{"replicas":1}}`, false},
		"annotation":   {types.MergePatchType, `{"metadata":{"annotations":{"a":"b"}}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := patch(test.kind, test.patch)
			if test.refuse {
				wantForbidden(t, err, "replicaset "+w.namespace+"/shop-1 belongs to a release: its spec.template and its label sluice.dev/rollout stay as they are")
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFaultA5StableReplicaSet proves that the released ReplicaSet, which has the Rollout among its owners, keeps its pod
// template and that owner.
func TestFaultA5StableReplicaSet(t *testing.T) {
	w := newWorld(t)
	alice := w.certificate("alice")
	w.create("", replicaSets, `{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: shop-1, labels: {app: shop}, finalizers: [test/keep],
		ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: Rollout, name: shop, uid: x}, {apiVersion: apps/v1, kind: Deployment, name: shop, uid: z, controller: true}]},
		spec: {replicas: 0, selector: {matchLabels: {app: shop}}, template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: web, image: "shop:1"}]}}}}`)
	t.Cleanup(func() {
		_, _ = w.as("", replicaSets).Patch(context.Background(), "shop-1", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	patch := func(text string) error {
		_, err := w.over(alice, replicaSets).Patch(t.Context(), "shop-1", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "alice"})
		return err
	}
	const image = `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"shop:2"}]}}}}`
	w.eventually("the policy is in force", func(context.Context) error {
		if patch(image) == nil {
			return errors.New("it is not")
		}
		return nil
	})
	wantForbidden(t, patch(image), "its spec.template and its label sluice.dev/rollout stay as they are")
	wantForbidden(t, patch(`{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"shop","uid":"z","controller":true}]}}`), "is the released one: its Rollout stays among its owners")
	if err := patch(`{"metadata":{"annotations":{"a":"b"}},"spec":{"replicas":1}}`); err != nil {
		t.Error(err)
	}
}
