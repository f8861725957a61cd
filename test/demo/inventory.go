package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// inventory is every object of the namespace, whatever its kind, by "Kind/name".
type inventory map[string]*unstructured.Unstructured

// passing kinds come and go without being left behind: the pods are checked one by one elsewhere.
var passing = []string{"Pod", "Event", "PodMetrics"}

// takeInventory asks the API server which kinds it has, and lists each.
func takeInventory(ctx context.Context, cfg *rest.Config) (inventory, error) {
	kinds, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, err
	}
	objects, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	lists, err := kinds.ServerPreferredNamespacedResources()
	if err != nil {
		return nil, fmt.Errorf("ask for the kinds: %w", err)
	}
	out := inventory{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range l.APIResources {
			if !slices.Contains(r.Verbs, "list") || slices.Contains(passing, r.Kind) {
				continue
			}
			list, err := objects.Resource(gv.WithResource(r.Name)).Namespace(namespace).List(ctx, metav1.ListOptions{})
			if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", r.Name, err)
			}
			for i := range list.Items {
				out[r.Kind+"/"+list.Items[i].GetName()] = &list.Items[i]
			}
		}
	}
	return out, nil
}

// text is an object byte for byte, but for the API server's own counting of writes.
func text(o *unstructured.Unstructured) string {
	if o == nil {
		return "(gone)"
	}
	o = o.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "metadata", "managedFields")
	unstructured.RemoveNestedField(o.Object, "metadata", "resourceVersion")
	raw, err := json.Marshal(o.Object)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// unlike says what is not as it was before: routes and Services to the byte, other objects by being there. The
// records of releases, of the pod templates that they replaced and of people's decisions on them may be new, and
// ReplicaSets that are the Deployment's own.
func (before inventory) unlike(after inventory) error {
	var wrong []string
	for name, o := range before {
		kind, _, _ := strings.Cut(name, "/")
		switch {
		case after[name] == nil && kind != "ReplicaSet" && kind != "Lease":
			wrong = append(wrong, name+" is gone")
		case (kind == "Service" || kind == "Ingress") && text(o) != text(after[name]):
			wrong = append(wrong, fmt.Sprintf("%s was\n    %s\n  and is\n    %s", name, text(o), text(after[name])))
		}
	}
	for name, o := range after {
		kind, _, _ := strings.Cut(name, "/")
		may := slices.Contains([]string{"Release", "Decision", "Lease", "ReplicaSet"}, kind) || isTemplateRecord(o)
		if before[name] == nil && !may {
			wrong = append(wrong, name+" is left over")
		}
		if o.GetKind() == "ReplicaSet" {
			wrong = append(wrong, foreign(o)...)
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return fmt.Errorf("%s", strings.Join(wrong, "; "))
	}
	return nil
}

// isTemplateRecord says whether it is a pod template that a Rollout keeps, so that one can go back to it.
func isTemplateRecord(o *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(o)
	return o.GetKind() == "ControllerRevision" && owner != nil && owner.Kind == "Rollout"
}

// foreign says what of a ReplicaSet is not as the Deployment controller itself makes it.
func foreign(rs *unstructured.Unstructured) []string {
	var wrong []string
	if c := metav1.GetControllerOf(rs); c == nil || c.Kind != "Deployment" {
		wrong = append(wrong, fmt.Sprintf("ReplicaSet/%s is not the Deployment's", rs.GetName()))
	}
	for k := range rs.GetLabels() { // annotations are copied from the Deployment by its own controller
		if strings.HasPrefix(k, "sluice.dev/") {
			wrong = append(wrong, fmt.Sprintf("ReplicaSet/%s still bears %s", rs.GetName(), k))
		}
	}
	return wrong
}
