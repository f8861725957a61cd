package install

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// fieldManager is the name under which the installer writes.
const fieldManager = "sluice"

// labelName on our own objects is "sluice".
const labelName = "app.kubernetes.io/name"

func (c *cluster) applyAll(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		outcome, err := c.apply(ctx, object)
		if err != nil {
			return fmt.Errorf("apply %s: %w", describe(object), explain(err))
		}
		c.report(object, outcome)
	}
	return nil
}

// apply makes or updates one object and says, as kubectl does, what became of it.
func (c *cluster) apply(ctx context.Context, object *unstructured.Unstructured) (string, error) {
	if c.pending[object.GetNamespace()] {
		return "created", nil // its namespace exists only in this dry run
	}
	before, err := c.get(ctx, object)
	if err != nil {
		return "", err
	}
	if before != nil && isForeignNamespace(before) {
		return "left as it is: it was there before Sluice", nil
	}
	after, err := c.on(object).Apply(ctx, object.GetName(), object, metav1.ApplyOptions{
		FieldManager: fieldManager,
		Force:        true, // the objects are Sluice's own
		DryRun:       c.dryRunOption(),
	})
	if err != nil {
		return "", err
	}
	if before == nil {
		c.pending[object.GetName()] = c.dryRun && object.GetKind() == "Namespace"
		return "created", nil
	}
	if same(before, after) {
		return "unchanged", nil
	}
	return "configured", nil
}

// same compares what people see of an object. Resource versions would not do: a dry run never changes them.
func same(a, b *unstructured.Unstructured) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	for _, object := range []*unstructured.Unstructured{a, b} {
		object.SetManagedFields(nil)
		object.SetResourceVersion("")
		object.SetGeneration(0)
	}
	return equality.Semantic.DeepEqual(a.Object, b.Object)
}

// get reads an object; nil means that there is none.
func (c *cluster) get(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	found, err := c.on(object).Get(ctx, object.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// on is the client for an object's kind and place.
func (c *cluster) on(object *unstructured.Unstructured) dynamic.ResourceInterface {
	resource := resourceOf(object.GroupVersionKind())
	if namespace := object.GetNamespace(); namespace != "" {
		return c.dynamic.Resource(resource).Namespace(namespace)
	}
	return c.dynamic.Resource(resource)
}

// resourceOf tells the resource of one of the kinds in our manifests; all of them have regular names.
func resourceOf(kind schema.GroupVersionKind) schema.GroupVersionResource {
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	return plural
}

func (c *cluster) dryRunOption() []string {
	if c.dryRun {
		return []string{metav1.DryRunAll}
	}
	return nil
}

// report prints one line, such as "clusterrole.rbac.authorization.k8s.io/sluice-viewer created".
func (c *cluster) report(object *unstructured.Unstructured, outcome string) {
	suffix := ""
	if c.dryRun {
		suffix = " (server dry run)"
	}
	fmt.Fprintf(c.out, "%s %s%s\n", describe(object), outcome, suffix)
}

// isForeignNamespace tells a namespace that somebody else made: it keeps its labels, and outlives Sluice.
func isForeignNamespace(object *unstructured.Unstructured) bool {
	return object.GetKind() == "Namespace" && object.GetLabels()[labelName] != "sluice"
}

// describe names an object as kubectl does.
func describe(object *unstructured.Unstructured) string {
	kind := object.GroupVersionKind()
	name := strings.ToLower(kind.Kind)
	if kind.Group != "" {
		name += "." + kind.Group
	}
	return name + "/" + object.GetName()
}

// explain adds the remedy to the errors that people meet.
func explain(err error) error {
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("%w; installing and uninstalling take the rights of a cluster administrator", err)
	}
	return err
}

// compact writes a value on one line.
func compact(value any) string {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}
