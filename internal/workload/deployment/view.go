package deployment

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The kinds of this driver.
var (
	Kind           = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	ReplicaSetKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}
)

// Replicas is the number of pods that an object asks for; the API server's default is 1.
func Replicas(obj *unstructured.Unstructured) int {
	n, found, err := unstructured.NestedInt64(obj.Object, "spec", "replicas")
	if err != nil || !found {
		return 1
	}
	return int(n)
}

// Paused says whether a Deployment is paused.
func Paused(d *unstructured.Unstructured) bool {
	p, _, _ := unstructured.NestedBool(d.Object, "spec", "paused")
	return p
}

// PodTemplateHash is the hash label that a ReplicaSet's pods bear. It selects pods; what the template is, only its Hash
// says.
func PodTemplateHash(rs *unstructured.Unstructured) string {
	return rs.GetLabels()[v1alpha1.LabelPodTemplateHash]
}
