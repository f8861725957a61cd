// Package podtemplate tells pod templates apart: by their whole SHA-256, and for people by what differs. It is pure,
// works on JSON as the API server gives it, so that fields newer than our libraries count too, and imports nothing of
// Sluice's.
package podtemplate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// labelHash is the label by which Kubernetes tells the pods of a Deployment's ReplicaSets apart.
const labelHash = "pod-template-hash"

// Former is the annotation by which Sluice marks the template of a ReplicaSet that a hand-over is about to replace. Its
// only value is "true".
const Former = "sluice.dev/former"

// HashLength is the number of hex digits of a Hash.
const HashLength = 2 * sha256.Size

// Plain takes off a template what is not its author's: the creation time, the pod-template-hash label, and Former's
// mark. It changes template, and says whether the mark was there.
func Plain(template map[string]any) (former bool) {
	meta, ok := template["metadata"].(map[string]any)
	if !ok {
		return false
	}
	delete(meta, "creationTimestamp")
	without(meta, "labels", labelHash)
	if annotations, ok := meta["annotations"].(map[string]any); ok && annotations[Former] == "true" {
		former = true
		without(meta, "annotations", Former)
	}
	return former
}

// without removes an entry of a map, and the map if nothing else is in it, so that no trace is left.
func without(meta map[string]any, field, key string) {
	m, ok := meta[field].(map[string]any)
	if !ok {
		return
	}
	delete(m, key)
	if len(m) == 0 {
		delete(meta, field)
	}
}

// Hash is the SHA-256 of a plain template's JSON, 64 hex digits. Nothing shorter may be compared: whoever may edit a
// workload can search two templates of the same short hash within seconds.
func Hash(template map[string]any) string {
	raw, err := json.Marshal(template) // Map keys are sorted, so equal templates give equal bytes.
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}
