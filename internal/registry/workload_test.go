package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/internal/translate"
)

// TestEveryWorkload: what the API, the roles and the admission policies say of a kind of workload follows from its row.
func TestEveryWorkload(t *testing.T) {
	h := newHouse(t)
	has := func(rules []rule, resource string, of func(rule) []string, want ...string) bool {
		return slices.ContainsFunc(rules, func(r rule) bool {
			missing := func(w string) bool { return !slices.Contains(of(r), w) }
			return slices.Contains(r.Resources, resource) && !slices.ContainsFunc(want, missing)
		})
	}
	matches := func(file, resource string, operations ...string) bool {
		for _, p := range h.policies[file] {
			if has(p.Spec.MatchConstraints.ResourceRules, resource, rule.operations, operations...) {
				return true
			}
		}
		return false
	}
	for _, driver := range Workloads {
		kinds := driver.Kinds()
		object, part := resource(kinds.Workload).Resource, resource(kinds.Part).Resource
		name := kinds.Workload.Kind
		for lack, ok := range map[string]bool{
			"internal/translate/shape.go: say its traits":              driver.Traits() == translate.Traits(name),
			crds[0] + ": add it to the enum of WorkloadReference.kind": strings.Contains(h.text[crds[0]], "- "+name+"\n"),
			role + ": let the controller write it":                     has(h.rules, object, rule.verbs, "get", "list", "watch", "patch"),
			role + ": let the controller make its parts":               has(h.rules, part, rule.verbs, "list", "watch", "create", "patch", "delete"),
			"deploy/policies/hold-workload.yaml: hold it":              matches("deploy/policies/hold-workload.yaml", object, "UPDATE"),
			"deploy/policies/hold-new-workload.yaml: hold a new one":   matches("deploy/policies/hold-new-workload.yaml", object, "CREATE"),
			bound + ": bind the controller to it":                      matches(bound, object, "UPDATE"),
			bound + ": bind the controller to its parts":               matches(bound, part, "CREATE", "DELETE"),
			author + ": ask whether the author may write it":           strings.Contains(h.text[author], "resource('"+object+"')"),
		} {
			if !ok {
				t.Errorf("%s: %s", name, lack)
			}
		}
	}
}
