package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// conditional is the difference between two states of an object as a JSON patch that fails as a whole unless the
// object is the same one, asks for the same, and has the old value in every field that changes.
func conditional(before, after client.Object) ([]byte, error) {
	data, err := client.MergeFrom(before).Data(after)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	var change map[string]any
	if err := json.Unmarshal(data, &change); err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	old, err := runtime.DefaultUnstructuredConverter.ToUnstructured(before)
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	tests := []operation{
		{Op: "test", Path: "/metadata/uid", Value: string(before.GetUID())},
		{Op: "test", Path: "/metadata/generation", Value: before.GetGeneration()},
	}
	out, err := operations("", old, change)
	if err != nil {
		return nil, err
	}
	return json.Marshal(append(tests, out...))
}

// operations are those that make a merge patch's change below a path, each after a test of what it replaces.
func operations(path string, old, change map[string]any) ([]operation, error) {
	var out []operation
	for _, key := range slices.Sorted(maps.Keys(change)) {
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		was, had := old[key]
		wanted := change[key]
		if below, deeper := wanted.(map[string]any); deeper {
			inside, ok := was.(map[string]any)
			if !ok {
				// What is cached need not be all that is there: a new whole could overwrite what is not known.
				return nil, fmt.Errorf("%s is not known, so what is to be in it cannot be added", at)
			}
			nested, err := operations(at, inside, below)
			if err != nil {
				return nil, err
			}
			out = append(out, nested...)
			continue
		}
		if had {
			out = append(out, operation{Op: "test", Path: at, Value: was})
		}
		if wanted == nil {
			out = append(out, operation{Op: "remove", Path: at})
		} else {
			out = append(out, operation{Op: "add", Path: at, Value: wanted})
		}
	}
	return out, nil
}

// unmet turns the API server's word for a failed test into the one for a conflict, which is what it is. A spec that
// is refused as invalid names the object's kind; a patch that does not apply has nothing to name.
func unmet(obj client.Object, err error) error {
	status := apierrors.APIStatus(nil)
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return err
	}
	if d := status.Status().Details; d != nil && d.Kind != "" && len(d.Causes) > 0 {
		return err
	}
	gvk := obj.GetObjectKind().GroupVersionKind()
	return apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, obj.GetName(), err)
}
