package deploy

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// ControllerRole is the name of the role with the controller's rights on the objects of a namespace: a ClusterRole
// where it looks after all of them, and a Role in each where it looks after some.
const ControllerRole = "sluice-controller"

// confined gives the controller its rights in these namespaces only: the ClusterRole with its rights on what is in
// namespaces, and its binding, become a Role and a RoleBinding in each.
func confined(all []*unstructured.Unstructured, only []string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, object := range all {
		kind := object.GetKind()
		if object.GetName() != ControllerRole || kind != "ClusterRole" && kind != "ClusterRoleBinding" {
			out = append(out, object)
			continue
		}
		for _, namespace := range only {
			copied := object.DeepCopy()
			copied.SetKind(strings.TrimPrefix(kind, "Cluster"))
			copied.SetNamespace(namespace)
			if kind == "ClusterRoleBinding" {
				if err := unstructured.SetNestedField(copied.Object, "Role", "roleRef", "kind"); err != nil {
					return nil, fmt.Errorf("bind %s: %w", ControllerRole, err)
				}
			}
			out = append(out, copied)
		}
	}
	return out, nil
}

// labelNamespace is the name of a namespace, as the API server puts it on each.
const labelNamespace = "kubernetes.io/metadata.name"

// narrow binds the policies on the objects of teams in these namespaces only. Policies on Sluice's own kinds go on
// binding everywhere: a Rollout that was written unchecked would count as soon as its namespace is added.
func narrow(all []*unstructured.Unstructured, only []string) error {
	ofTeams := map[string]bool{}
	for _, object := range all {
		if !strings.HasSuffix(object.GetKind(), "Binding") {
			ofTeams[object.GetKind()+"/"+object.GetName()] = matchesTeams(object)
		}
	}
	values := make([]any, 0, len(only))
	for _, namespace := range only {
		values = append(values, namespace)
	}
	for _, object := range all {
		policy, found, _ := unstructured.NestedString(object.Object, "spec", "policyName")
		kind := strings.TrimSuffix(object.GetKind(), "Binding")
		if !found || !ofTeams[kind+"/"+policy] {
			continue
		}
		selector := []any{map[string]any{"key": labelNamespace, "operator": "In", "values": slices.Clone(values)}}
		if err := unstructured.SetNestedSlice(object.Object, selector, "spec", "matchResources", "namespaceSelector",
			"matchExpressions"); err != nil {
			return fmt.Errorf("bind %s in namespaces: %w", policy, err)
		}
	}
	return nil
}

// boundsController is the policy that binds the controller, which must do so wherever its token is tried.
const boundsController = "sluice-controller"

// matchesTeams says whether a policy looks at what people do to objects of teams.
func matchesTeams(policy *unstructured.Unstructured) bool {
	if policy.GetName() == boundsController {
		return false
	}
	rules, _, _ := unstructured.NestedSlice(policy.Object, "spec", "matchConstraints", "resourceRules")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		groups, _, _ := unstructured.NestedStringSlice(fields, "apiGroups")
		if !slices.Contains(groups, "sluice.dev") {
			return true
		}
	}
	return false
}
