package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const argoYAML = `apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {namespace: argo-0, name: argo-0}
spec:
  replicas: 1
  selector: {matchLabels: {app: argo-0}}
  template:
    metadata: {labels: {app: argo-0}}
    spec:
      containers:
      - {name: web, image: "argoproj/rollouts-demo:blue", ports: [{name: http, containerPort: 8080}], resources: {}}
  strategy:
    canary:
      stableService: argo-0
      canaryService: argo-0-canary
      trafficRouting: {nginx: {stableIngress: argo-0}}
      steps:
      - {setWeight: 20}
      - {pause: {duration: 10s}}
      - {setWeight: 50}
      - {pause: {}}
      - {setWeight: 100}
`

func argoTeam() team {
	return rolledBy(argo, crowdTeams("argo", 1, []v1alpha1.CanaryStep{
		step(20, &v1alpha1.Pause{Duration: seconds(10)}), step(50, &v1alpha1.Pause{}), step(100, nil),
	}))[0]
}

func TestArgoObjects(t *testing.T) {
	objects, err := argoTeam().objects()
	if err != nil {
		t.Fatal(err)
	}
	var services []string
	for _, o := range objects {
		switch x := o.(type) {
		case *corev1.Service:
			services = append(services, x.Name)
		case *unstructured.Unstructured:
			got, err := yaml.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parsed(t, argoYAML), parsed(t, string(got))); diff != "" {
				t.Error(diff)
			}
		}
	}
	if diff := cmp.Diff([]string{"argo-0", "argo-0-canary"}, services); diff != "" || len(objects) != 4 {
		t.Errorf("%d objects, Services: %s", len(objects), diff)
	}
}

func parsed(t *testing.T, text string) (out map[string]any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestArgoState(t *testing.T) {
	for name, c := range map[string]struct{ field, value, want string }{
		"released":             {"phase", "Healthy", runs(before)},
		"under way":            {"phase", "Paused", "Paused"},
		"edit not seen yet":    {"observedGeneration", "1", "Healthy"},
		"new pods not stable":  {"stableRS", "old", "Healthy"},
		"no pods yet":          {"currentPodHash", "", "Healthy"},
		"phase not told (yet)": {"phase", "", ""},
	} {
		u := &unstructured.Unstructured{Object: parsed(t, argoYAML)}
		u.SetGeneration(2)
		status := map[string]any{
			"phase": "Healthy", "observedGeneration": "2", "currentPodHash": "new", "stableRS": "new", c.field: c.value,
		}
		u.Object["status"] = status
		if got := stateOf(u); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestReadCRDs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n",
		"a.yaml":             "---\nkind: CustomResourceDefinition\nmetadata: {name: a}\n---\nkind: Deployment\n---\n",
		"b.yml":              "kind: CustomResourceDefinition\nmetadata: {name: b}\n",
		"notes.txt":          "not YAML: [",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]int{dir: 2, filepath.Join(dir, "b.yml"): 1} {
		if got, err := readCRDs(path); err != nil || len(got) != want {
			t.Errorf("%s: %d found, error %v, want %d", path, len(got), err, want)
		}
	}
	for _, path := range []string{filepath.Join(dir, "kustomization.yaml"), filepath.Join(dir, "notes.txt"), "/none"} {
		if got, err := readCRDs(path); err == nil {
			t.Errorf("%s: %d found and no error", path, len(got))
		}
	}
}
