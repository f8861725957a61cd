package deploy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/deploy"
)

// The table of docs/threat-model.md stands between these.
const tableBegins, tableEnds = "<!-- rights -->", "<!-- end of rights -->"

// TestFaultA14Rights proves that the manifests give exactly the rights that docs/threat-model.md lists, each with a reason:
// whoever gives a role one more right writes down there why.
func TestFaultA14Rights(t *testing.T) {
	objects, err := deploy.Access(deploy.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	var given []string
	for _, object := range objects {
		given = append(given, rightsOf(t, object)...)
	}
	allowed := allowList(t)
	slices.Sort(given)
	slices.Sort(allowed)
	if diff := cmp.Diff(allowed, given); diff != "" {
		t.Errorf("rights (-in docs/threat-model.md +in deploy/rbac):\n%s", diff)
	}
	// What makes whoever has it as good as an administrator, and no role of ours has.
	for _, right := range given {
		for _, word := range []string{" secrets list", " secrets watch", "impersonate", "escalate", " bind", "serviceaccounts", "pods/exec", "*", "rbac.authorization.k8s.io"} {
			if strings.Contains(right, word) {
				t.Errorf("%s", right)
			}
		}
	}
}

// rightsOf are the rights that a role gives, one for each resource: "ROLE GROUP/RESOURCE[NAMES] VERBS".
func rightsOf(t *testing.T, role *unstructured.Unstructured) []string {
	t.Helper()
	rules, found, err := unstructured.NestedSlice(role.Object, "rules")
	if err != nil || !found {
		return nil
	}
	var out []string
	for _, item := range rules {
		rule := item.(map[string]any)
		for key := range rule {
			if !slices.Contains([]string{"apiGroups", "resources", "resourceNames", "verbs"}, key) {
				t.Errorf("%s has a rule with %s", role.GetName(), key)
			}
		}
		words := func(key string) []string { list, _, _ := unstructured.NestedStringSlice(rule, key); return list }
		names := ""
		if list := words("resourceNames"); len(list) > 0 {
			names = "[" + strings.Join(list, ",") + "]"
		}
		for _, group := range words("apiGroups") {
			for _, resource := range words("resources") {
				if group != "" {
					resource = group + "/" + resource
				}
				out = append(out, fmt.Sprintf("%s %s%s %s", role.GetName(), resource, names, strings.Join(words("verbs"), " ")))
			}
		}
	}
	return out
}

// allowList is the table of docs/threat-model.md: role, resources, verbs, why.
func allowList(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), tableBegins)
	table, _, ended := strings.Cut(table, tableEnds)
	if !found || !ended {
		t.Fatalf("docs/threat-model.md has no table between %s and %s", tableBegins, tableEnds)
	}
	var out []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) < 4 || !strings.Contains(cells[0], "`") {
			continue
		}
		if len(strings.TrimSpace(cells[3])) < 10 {
			t.Errorf("no reason in %s", line)
		}
		role, verbs := strings.Trim(cells[0], " `"), strings.ReplaceAll(strings.Trim(cells[2], " `"), ", ", " ")
		for resource := range strings.SplitSeq(strings.Trim(cells[1], " `"), ", ") {
			out = append(out, role+" "+resource+" "+verbs)
		}
	}
	return out
}
