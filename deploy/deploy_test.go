package deploy_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

// TestPoliciesSpeakOfTheSameNames: expressions cannot use Go's constants, so that they are compared here.
func TestPoliciesSpeakOfTheSameNames(t *testing.T) {
	policies, err := deploy.Policies(deploy.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	bound := map[string]bool{}
	for _, policy := range policies {
		if name, found, _ := unstructured.NestedString(policy.Object, "spec", "policyName"); found {
			bound[policy.GetKind()+"/"+name] = true
		}
	}
	for _, policy := range policies {
		if strings.HasSuffix(policy.GetKind(), "Binding") {
			continue
		}
		if !bound[policy.GetKind()+"Binding/"+policy.GetName()] {
			t.Errorf("%s %s has no binding", policy.GetKind(), policy.GetName())
		}
		text := fmt.Sprint(policy.Object)
		want := []string{"'" + deploy.Username(deploy.Namespace) + "'"}
		switch policy.GetName() {
		case "sluice-hold-workload":
			want = append(want, "'"+v1alpha1.LabelRollout+"'", "key:"+v1alpha1.LabelRollout, "'"+v1alpha1.AnnotationHeld+"'")
		case "sluice-decision-author":
			want = []string{"'" + v1alpha1.GroupVersion.Group + "'"}
			if policy.GetKind() == "MutatingAdmissionPolicy" {
				want = []string{"/spec/user"}
			}
		}
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s %s does not speak of %s", policy.GetKind(), policy.GetName(), part)
			}
		}
	}
}

// TestAnotherNamespace: everything goes there, and nothing speaks of the default one any more.
func TestAnotherNamespace(t *testing.T) {
	for name, set := range map[string]func(string) ([]*unstructured.Unstructured, error){
		"access":   func(ns string) ([]*unstructured.Unstructured, error) { return deploy.Access(ns) },
		"policies": func(ns string) ([]*unstructured.Unstructured, error) { return deploy.Policies(ns) },
		"controller": func(ns string) ([]*unstructured.Unstructured, error) {
			return deploy.ControllerObjects(ns, "other:1", "--metric-hosts=*.example.com")
		},
	} {
		objects, err := set("releases")
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(objects)
		for _, object := range objects {
			text += fmt.Sprint(object.Object)
		}
		if strings.Contains(text, deploy.Namespace) {
			t.Errorf("%s: still speaks of %s", name, deploy.Namespace)
		}
		if name == "controller" && !(strings.Contains(text, "image:other:1") && strings.Contains(text, "--leader-elect") && strings.Contains(text, "--metric-hosts=*.example.com]")) {
			t.Errorf("the image or the flags are not those asked for: %s", text)
		}
		if name == "policies" && !strings.Contains(text, deploy.Username("releases")) {
			t.Error("the policies do not know the controller")
		}
	}
}

// TestKustomization: kubectl apply -k makes what install makes.
func TestKustomization(t *testing.T) {
	data, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(data, &kustomization); err != nil {
		t.Fatal(err)
	}
	var files []string
	err = filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".yaml") && path != "kustomization.yaml" {
			files = append(files, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	slices.Sort(kustomization.Resources)
	if diff := cmp.Diff(files, kustomization.Resources); diff != "" {
		t.Errorf("kustomization.yaml (-files +resources):\n%s", diff)
	}
}
