package ingress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// version tells what the canary Ingress says now from what it said before. Its resourceVersion would not do: Ingress
// controllers write its status.
func version(u *unstructured.Unstructured) string {
	raw, err := json.Marshal([]any{u.GetUID(), u.GetAnnotations(), u.Object["spec"]})
	if err != nil { // What came as JSON can be written as JSON.
		return u.GetResourceVersion()
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:16])
}
