package workload

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
)

// cachedTemplate is where Condense keeps what is needed of a pod template; it never reaches the API server.
const cachedTemplate = "sluice.dev/cached-template"

// Template is what is needed of a pod template.
type Template struct {
	// Hash identifies the template: its whole SHA-256, 64 hex digits. The pod-template-hash label and our own mark do
	// not count, so that a Deployment's template and its ReplicaSet's have the same.
	Hash   string                    `json:"hash"`
	Labels map[string]string         `json:"labels,omitempty"`
	Images []v1alpha1.ContainerImage `json:"images,omitempty"`
	// Refs are the ConfigMaps and Secrets that the template names.
	Refs []v1alpha1.SharedObject `json:"refs,omitempty"`
	// Former: the template bears the mark of a revision that is being replaced, as a Deployment's hand-over sets it.
	Former bool `json:"former,omitempty"`
}

// Condense is an informer's transform: it replaces the pod template of a workload or one of its parts by what is needed
// of it, and drops what nobody reads. With thousands of ReplicaSets that is most of the memory.
func Condense(in any) (any, error) {
	obj, ok := in.(*unstructured.Unstructured)
	if !ok {
		return in, nil
	}
	obj.SetManagedFields(nil)
	raw, found, err := unstructured.NestedMap(obj.Object, "spec", "template")
	if err != nil || !found {
		return obj, nil //nolint:nilerr // An object that is not ours to judge; it is kept as it is.
	}
	t, err := json.Marshal(ReadTemplate(raw))
	if err != nil {
		return nil, fmt.Errorf("condense %s: %w", obj.GetName(), err)
	}
	annotations := map[string]string{}
	for k, v := range obj.GetAnnotations() {
		if k != "kubectl.kubernetes.io/last-applied-configuration" {
			annotations[k] = v
		}
	}
	annotations[cachedTemplate] = string(t) // Whatever somebody may have written there.
	obj.SetAnnotations(annotations)
	unstructured.RemoveNestedField(obj.Object, "spec", "template")
	return obj, nil
}

// TemplateOf is what is needed of an object's pod template, condensed or not.
func TemplateOf(obj *unstructured.Unstructured) Template {
	raw, whole, _ := unstructured.NestedMap(obj.Object, "spec", "template")
	if s, ok := obj.GetAnnotations()[cachedTemplate]; ok && !whole { // Of a whole object it may be anybody's.
		var t Template
		if json.Unmarshal([]byte(s), &t) == nil {
			return t
		}
	}
	return ReadTemplate(raw)
}

// ReadTemplate reads a pod template. It changes raw.
func ReadTemplate(raw map[string]any) Template {
	former := podtemplate.Plain(raw)
	t := Template{Hash: podtemplate.Hash(raw), Refs: references(raw), Former: former}
	t.Labels, _, _ = unstructured.NestedStringMap(raw, "metadata", "labels")
	for _, field := range []string{"initContainers", "containers"} {
		list, _, _ := unstructured.NestedSlice(raw, "spec", field)
		for _, c := range list {
			if m, ok := c.(map[string]any); ok {
				t.Images = append(t.Images, v1alpha1.ContainerImage{Container: text(m["name"]), Image: text(m["image"])})
			}
		}
	}
	// The main containers come first: the first image is what people call "the image".
	slices.SortStableFunc(t.Images, func(a, b v1alpha1.ContainerImage) int {
		return rank(raw, b.Container) - rank(raw, a.Container)
	})
	return t
}

func rank(raw map[string]any, container string) int {
	list, _, _ := unstructured.NestedSlice(raw, "spec", "containers")
	for _, c := range list {
		if m, ok := c.(map[string]any); ok && text(m["name"]) == container {
			return 1
		}
	}
	return 0
}

// Short is a template's name: ten letters and digits for a label and for a ReplicaSet's name, as Kubernetes' own
// pod-template-hash. It proves nothing. Two templates may have the same; then another salt gives another name.
func Short(hash string, salt int) string {
	if salt > 0 {
		sum := sha256.Sum256([]byte(hash + "/" + strconv.Itoa(salt)))
		hash = hex.EncodeToString(sum[:])
	}
	return rand.SafeEncodeString(hash[:min(len(hash), shortLength)])
}

// shortLength is the length of a Short.
const shortLength = 10

// references finds the ConfigMaps and Secrets that a template names, wherever they stand.
func references(raw map[string]any) []v1alpha1.SharedObject {
	seen := map[v1alpha1.SharedObject]bool{}
	walk(raw, func(key string, value map[string]any) {
		switch key {
		case "configMap", "configMapRef", "configMapKeyRef":
			seen[v1alpha1.SharedObject{Kind: "ConfigMap", Name: text(value["name"])}] = true
		case "secret", "secretRef", "secretKeyRef":
			seen[v1alpha1.SharedObject{Kind: "Secret", Name: text(value["name"]) + text(value["secretName"])}] = true
		}
	})
	out := make([]v1alpha1.SharedObject, 0, len(seen))
	for r := range seen {
		if r.Name != "" {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.SharedObject) int {
		return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name)
	})
	return out
}

func walk(v any, visit func(key string, value map[string]any)) {
	switch x := v.(type) {
	case map[string]any:
		for k, child := range x {
			if m, ok := child.(map[string]any); ok {
				visit(k, m)
			}
			walk(child, visit)
		}
	case []any:
		for _, child := range x {
			walk(child, visit)
		}
	}
}

// Shared lists what two templates both name.
func Shared(a, b Template) []v1alpha1.SharedObject {
	var out []v1alpha1.SharedObject
	for _, r := range a.Refs {
		if slices.Contains(b.Refs, r) {
			out = append(out, r)
		}
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
