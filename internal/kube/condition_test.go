package kube

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/playground"
)

func TestMain(m *testing.M) { playground.Main(m) }

func TestOperations(t *testing.T) {
	old := map[string]any{"a": "1", "deep": map[string]any{"x/y": "2", "z": true}}
	tests := []struct {
		name   string
		change map[string]any
		want   []operation
		fails  bool
	}{
		{name: "replace", change: map[string]any{"a": "9"}, want: []operation{{"test", "/a", "1"}, {"add", "/a", "9"}}},
		{name: "remove, with a name to escape", change: map[string]any{"deep": map[string]any{"x/y": nil}}, want: []operation{{"test", "/deep/x~1y", "2"}, {"remove", "/deep/x~1y", nil}}},
		{name: "add a leaf", change: map[string]any{"deep": map[string]any{"new": 3.0}}, want: []operation{{"add", "/deep/new", 3.0}}},
		{name: "below what is not known", change: map[string]any{"other": map[string]any{"new": 3.0}}, fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := operations("", old, tt.change)
			if (err != nil) != tt.fails {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPatchSpec: a status that is written meanwhile does not stand in the way of a change of the spec, an edit does.
func TestPatchSpec(t *testing.T) {
	cluster := playground.Start(t)
	direct, err := client.New(cluster.Config, client.Options{Scheme: scheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "shop"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace(t), Name: "shop", Annotations: map[string]string{"sluice.dev/test": "yes", "other": "kept"}},
		Spec: appsv1.DeploymentSpec{
			Paused: true, Replicas: ptr.To(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "argoproj/rollouts-demo:blue"}}},
			},
		},
	}
	if err := direct.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	read := func() *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
		if err := direct.Get(t.Context(), client.ObjectKeyFromObject(d), u); err != nil {
			t.Fatal(err)
		}
		return u
	}
	write := New(direct, direct, time.Now).For(types.NamespacedName{Name: "test"})
	loosened := func(u *unstructured.Unstructured) *unstructured.Unstructured {
		after := u.DeepCopy()
		unstructured.RemoveNestedField(after.Object, "spec", "paused")
		unstructured.RemoveNestedField(after.Object, "metadata", "annotations", "sluice.dev/test")
		return after
	}

	before := read()
	if err := direct.Patch(t.Context(), d, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":1}}`))); err != nil {
		t.Fatal(err)
	}
	if err := write.PatchSpec(t.Context(), before, loosened(before)); !apierrors.IsConflict(err) {
		t.Errorf("after an edit: %v, want a conflict", err)
	}
	if now := read(); now.GetAnnotations()["sluice.dev/test"] != "yes" {
		t.Error("the refused patch was written all the same")
	}

	before = read()
	status := &unstructured.Unstructured{Object: before.DeepCopy().Object}
	message := []byte(`{"status":{"conditions":[{"type":"Test","status":"True"}]}}`)
	if err := direct.Status().Patch(t.Context(), status, client.RawPatch(types.MergePatchType, message)); err != nil {
		t.Fatal(err)
	}
	if status.GetResourceVersion() == before.GetResourceVersion() {
		t.Fatal("the status was not written")
	}
	if err := write.PatchSpec(t.Context(), before, loosened(before)); err != nil {
		t.Errorf("after a report: %v", err)
	}
	now := read()
	paused, _, _ := unstructured.NestedBool(now.Object, "spec", "paused")
	if _, marked := now.GetAnnotations()["sluice.dev/test"]; paused || marked || now.GetAnnotations()["other"] != "kept" {
		t.Errorf("paused %v, annotations %v", paused, now.GetAnnotations())
	}

	invalid := now.DeepCopy()
	if err := unstructured.SetNestedField(invalid.Object, int64(-1), "spec", "replicas"); err != nil {
		t.Fatal(err)
	}
	if err := write.PatchSpec(t.Context(), now, invalid); !apierrors.IsInvalid(err) || apierrors.IsConflict(err) {
		t.Errorf("an invalid spec: %v, want it to be told as one", err)
	}
}
