package podtemplate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const shop = `
metadata: {labels: {app: shop}, annotations: {team.example/note: x}}
spec:
  terminationGracePeriodSeconds: 30
  containers:
  - name: web
    image: shop:v1
    resources: {limits: {cpu: 100m}}
    env: [{name: MODE, value: fast}, {name: TOKEN, value: secret1}]
    args: [-a, -b]
`

func template(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := yaml.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFaultB10Diff: people are told what differs, also where the images are the same, and no secret value is shown.
func TestFaultB10Diff(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		want           []string
	}{
		{"nothing", "", "", nil},
		{"the image", "shop:v1", "shop:v2", []string{"containers[web].image: shop:v1 -> shop:v2"}},
		{"a variable", "secret1", "secret2", []string{"containers[web].env[TOKEN].value changed"}},
		{"a new variable", "{name: MODE, value: fast}", "{name: MODE, value: fast}, {name: NEW, value: deep}", []string{"containers[web].env[NEW] added"}},
		{"resources", "100m", "200m", []string{"containers[web].resources.limits.cpu: 100m -> 200m"}},
		{"a number", "30", "60", []string{"terminationGracePeriodSeconds: 30 -> 60"}},
		{"an argument", "-b]", "-c]", []string{"containers[web].args[1] changed"}},
		{"an annotation", "note: x", "note: y", []string{"metadata.annotations[team.example/note] changed"}},
		{"a label less", "labels: {app: shop}, ", "", []string{"metadata.labels removed"}},
		{"an escape in an image", "image: shop:v1", `image: "shop:\e[31m"`, []string{"containers[web].image: shop:v1 -> shop:\ufffd[31m"}},
	} {
		after := strings.Replace(shop, tt.old, tt.new, 1)
		got := Diff(template(t, shop), template(t, after))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestDiffIsBounded: whatever differs, it has room in a status.
func TestDiffIsBounded(t *testing.T) {
	before, after := template(t, shop), template(t, shop)
	for i := range 100 {
		after["spec"].(map[string]any)[fmt.Sprintf("%0400d", i)] = "x"
	}
	got := Diff(before, after)
	if len(got) != MostChanges || got[MostChanges-1] != "and 85 more" {
		t.Errorf("%d lines, the last %q", len(got), got[len(got)-1])
	}
	for _, line := range got {
		if len(line) > LongestChange {
			t.Errorf("%d bytes: %s", len(line), line)
		}
	}
}

// TestFaultA1OnlyTheMarkItself: what users can write under the name of our mark counts as theirs.
func TestFaultA1OnlyTheMarkItself(t *testing.T) {
	plain, marked, forged := template(t, shop), template(t, shop), template(t, shop)
	note := func(tm map[string]any) map[string]any {
		return tm["metadata"].(map[string]any)["annotations"].(map[string]any)
	}
	note(marked)[Former] = "true"
	note(forged)[Former] = "anything else"
	if !Plain(marked) || Plain(forged) || Plain(plain) {
		t.Error("the mark is not told apart")
	}
	if Hash(marked) != Hash(plain) || Hash(forged) == Hash(plain) || len(Hash(plain)) != HashLength {
		t.Errorf("hashes %s, %s, %s", Hash(plain), Hash(marked), Hash(forged))
	}
}
