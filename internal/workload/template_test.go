package workload_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/workloadtest"
)

// TestHash: it stays the same where Kubernetes or Sluice itself has written, and changes with all else.
func TestHash(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*unstructured.Unstructured)
		same bool
	}{
		"nothing":               {func(*unstructured.Unstructured) {}, true},
		"the pods' hash label":  {workloadtest.Set("abc", "spec", "template", "metadata", "labels", v1alpha1.LabelPodTemplateHash), true},
		"a creation time":       {workloadtest.Set("2026-11-20T00:00:00Z", "spec", "template", "metadata", "creationTimestamp"), true},
		"our mark":              {workloadtest.Set("true", "spec", "template", "metadata", "annotations", podtemplate.Former), true},
		"the size":              {workloadtest.Set(int64(9), "spec", "replicas"), true},
		"the object's own note": {workloadtest.Set("x", "metadata", "annotations", "note"), true},
		"a label":               {workloadtest.Set("x", "spec", "template", "metadata", "labels", "more"), false},
		"an annotation":         {workloadtest.Set("x", "spec", "template", "metadata", "annotations", "restartedAt"), false},
		"a field of tomorrow":   {workloadtest.Set("x", "spec", "template", "spec", "futureField", "deep"), false},
		"the grace":             {workloadtest.Set(int64(5), "spec", "template", "spec", "terminationGracePeriodSeconds"), false},
	} {
		t.Run(name, func(t *testing.T) {
			before, after := workloadtest.Object(t, workloadtest.Shop), workloadtest.Object(t, workloadtest.Shop)
			tt.edit(after)
			if same := workload.TemplateOf(before).Hash == workload.TemplateOf(after).Hash; same != tt.same {
				t.Errorf("the same: %v, want %v", same, tt.same)
			}
		})
	}
}

func TestTemplate(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	whole := d.DeepCopy()
	got := workload.TemplateOf(d)
	if diff := cmp.Diff(whole, d); diff != "" {
		t.Errorf("reading changed it:\n%s", diff)
	}
	want := workload.Template{
		Hash:   got.Hash,
		Labels: map[string]string{"app": "shop", "tier": "front"},
		Images: []v1alpha1.ContainerImage{{Container: "web", Image: "shop:v1"}, {Container: "side", Image: "side:3"}, {Container: "prepare", Image: "prepare:1"}},
		Refs: []v1alpha1.SharedObject{
			{Kind: "ConfigMap", Name: "env"},
			{Kind: "ConfigMap", Name: "files"},
			{Kind: "ConfigMap", Name: "two"},
			{Kind: "Secret", Name: "cert"},
			{Kind: "Secret", Name: "deep"},
			{Kind: "Secret", Name: "keys"},
			{Kind: "Secret", Name: "one"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(got.Hash) != 64 || strings.Trim(got.Hash, "0123456789abcdef") != "" {
		t.Errorf("hash %q, want a whole SHA-256", got.Hash)
	}
	if a, b := workload.Short(got.Hash, 0), workload.Short(got.Hash, 1); a == b || len(a) != 10 || len(b) != 10 || strings.Trim(a+b, "bcdfghjklmnpqrstvwxz2456789") != "" {
		t.Errorf("short names %q and %q", a, b)
	}
	other := got
	other.Refs = []v1alpha1.SharedObject{{Kind: "ConfigMap", Name: "two"}, {Kind: "Secret", Name: "two"}}
	if diff := cmp.Diff([]v1alpha1.SharedObject{{Kind: "ConfigMap", Name: "two"}}, workload.Shared(got, other)); diff != "" {
		t.Errorf("shared (-want +got):\n%s", diff)
	}
}

func TestCondense(t *testing.T) {
	d := workloadtest.Object(t, workloadtest.Shop)
	want := workload.TemplateOf(d)
	out, err := workload.Condense(d)
	if err != nil {
		t.Fatal(err)
	}
	got := out.(*unstructured.Unstructured)
	if diff := cmp.Diff(want, workload.TemplateOf(got)); diff != "" {
		t.Errorf("the template (-want +got):\n%s", diff)
	}
	if n, _, _ := unstructured.NestedInt64(got.Object, "spec", "replicas"); n != 4 || got.GetAnnotations()["team.example.com/owner"] != "web" {
		t.Errorf("what is read elsewhere is gone: %v", got.Object)
	}
	raw, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, dropped := range []string{"managedFields", "last-applied", "futureField", "volumes"} {
		if strings.Contains(string(raw), dropped) {
			t.Errorf("%s is kept", dropped)
		}
	}
	if _, err := workload.Condense(got.DeepCopy()); err != nil {
		t.Errorf("again: %v", err)
	}
	if out, err := workload.Condense("a tombstone"); out != "a tombstone" || err != nil {
		t.Errorf("what is no object: %v, %v", out, err)
	}
}

// TestCondenseProperty: whatever a template is, the cache says the same of it as the object, and saying it again
// changes nothing.
func TestCondenseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := value(3).Draw(t, "spec")
		u := &unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": "x"},
			"spec":     map[string]any{"template": map[string]any{"metadata": value(2).Draw(t, "metadata"), "spec": spec}},
		}}
		if _, ok := spec.(map[string]any); !ok {
			t.Skip("no template")
		}
		want := workload.TemplateOf(u)
		for range 2 {
			if _, err := workload.Condense(u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, workload.TemplateOf(u), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}

// value is JSON of the words that matter in a template, in any order.
func value(depth int) *rapid.Generator[any] {
	word := rapid.SampledFrom([]string{
		"labels", "annotations", "containers", "initContainers", "name", "image", "secretName", "secret", "configMap", "secretRef",
		"configMapKeyRef", v1alpha1.LabelPodTemplateHash, podtemplate.Former, "creationTimestamp", "other",
	})
	leaf := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return word.Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Int64Range(0, 9).Draw(t, "number") }),
		rapid.Just[any](true), rapid.Just[any](nil),
	)
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf,
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(value(depth-1), 0, 3).Draw(t, "list") }),
		rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(word, value(depth-1), 0, 5).Draw(t, "map") }),
	)
}
