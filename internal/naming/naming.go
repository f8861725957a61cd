// Package naming gives the objects that Sluice creates their names. There is one function for each kind of object, and
// what it returns is always short enough for the API server: a name that would be too long is cut, and a short hash of
// the whole keeps it unique. So no release fails halfway because of a long name.
//
// The package is pure: text in, text out. Everybody may import it; it imports nothing of ours and nothing of
// Kubernetes.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The limits of the API server.
const (
	// MaxLabel is the limit of a Service's name and of a label's value (RFC 1123 label).
	MaxLabel = 63
	// MaxObject is the limit of most other names (RFC 1123 subdomain).
	MaxObject = 253
	// maxGenerated is what the API server keeps of metadata.generateName.
	maxGenerated = MaxLabel - 5
)

// MaxRollout is the longest name of a Rollout: its releases, of up to ten digits, are label values.
const MaxRollout = MaxLabel - len("-") - 10

// hashSize is the number of hexadecimal digits that keep a cut name unique.
const hashSize = 8

// Fit is base with a suffix, in at most limit characters. Where it does not fit, base is cut, and a hash of the whole
// base stands before the suffix: "a-very-long-na-1f2e3d4c-canary".
func Fit(base, suffix string, limit int) string {
	if len(base)+len(suffix) <= limit {
		return base + suffix
	}
	room := max(limit-len(suffix)-hashSize-1, 0)
	kept := strings.TrimRight(base[:min(room, len(base))], "-._")
	if kept != "" {
		kept += "-"
	}
	return kept + Hash(base) + suffix
}

// pairSize is the number of hexadecimal digits that tell pairs of names apart.
const pairSize = 10

// Hash is a short hash of a text, for names only: it proves nothing.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashSize]
}

// Release is the name of a Rollout's release: "shop-12".
func Release(rollout string, number int64) string {
	return Fit(rollout, "-"+strconv.FormatInt(number, 10), MaxLabel)
}

// canary is what the objects for the new revision end in.
const canary = "-canary"

// PlainSuffix is what the name of a canary Service has after that of the team's Service, unless its release says
// otherwise.
const PlainSuffix = canary

// CanaryService is the name of the Service beside one of the team's, for the new revision's pods: "shop-canary". suffix
// is that of the release; empty means PlainSuffix.
func CanaryService(service, suffix string) string {
	if suffix == "" {
		suffix = PlainSuffix
	}
	return Fit(service, suffix, MaxLabel)
}

// Twins names the canary Services of one release. The zero value has the plain suffix.
type Twins struct {
	// Suffix of their names; empty means PlainSuffix.
	Suffix string
	// PreviewOf is the Service whose canary Service has a name of its own, Preview.
	PreviewOf, Preview string
}

// Of is the name of the canary Service beside one of the team's.
func (t Twins) Of(service string) string {
	if t.PreviewOf != "" && service == t.PreviewOf {
		return t.Preview
	}
	return CanaryService(service, t.Suffix)
}

// CanaryObject is the name of an object of a traffic layer beside one of the team's, an Ingress say, for a Rollout:
// "shop-canary" where both have one name, and otherwise, since several Rollouts may share the team's object, with a
// hash of both: "web-canary-4586ae564e". No two pairs have the same.
func CanaryObject(object, rollout string) string {
	if object == rollout {
		return Fit(object, canary, MaxObject)
	}
	sum := sha256.Sum256([]byte(object + "/" + rollout)) // A "/" is in no name.
	return Fit(object, canary+"-"+hex.EncodeToString(sum[:])[:pairSize], MaxObject)
}

// SharedHold is the name of the Hold of an object that releases of several Rollouts may change: "httproute.shop".
func SharedHold(kind, object string) string {
	return Fit(strings.ToLower(kind)+"."+object, "", MaxObject)
}

// ReplicaSet is the name that the Deployment controller would give the ReplicaSet of a pod template, and so do we
// (k8s.io/kubernetes/pkg/controller/deployment: generateReplicaSetName).
func ReplicaSet(deployment, hash string) string {
	room := MaxObject - len("-") - len(hash)
	return deployment[:min(len(deployment), max(room, 0))] + "-" + hash
}

// Hold is the name of the Hold by which a release holds one object: "shop-12-service-shop".
func Hold(release, kind, object string) string {
	return Fit(release+"-"+strings.ToLower(kind)+"-"+object, "", MaxObject)
}

// AnalysisRun is the name of an analysis of a release: "shop-12-smoke" in a step, "shop-12.background" beside the
// steps, when step is empty. A further attempt adds its number: "shop-12-smoke.2".
func AnalysisRun(release, step string, attempt int) string {
	base := release + "-" + step
	if step == "" {
		base = release + ".background" // No step's name has a dot.
	}
	suffix := ""
	if attempt > 0 {
		suffix = fmt.Sprintf(".%d", attempt+1)
	}
	return Fit(base, suffix, MaxObject)
}

// Job is the metadata.generateName of the Job that makes one measurement of an AnalysisRun. The API server adds five
// characters, so that nobody can take the name before. Its pods bear the name as a label.
func Job(run, metric string, nth int) string {
	plain := strings.NewReplacer("_", "-", ".", "-")
	suffix := fmt.Sprintf("-%s-%d-", strings.ToLower(plain.Replace(metric)), nth)
	if len(suffix) > 40 {
		suffix = fmt.Sprintf("-%s-%d-", Hash(metric), nth)
	}
	return Fit(plain.Replace(run), suffix, maxGenerated)
}

// Decision is the metadata.generateName of a decision on a release or a pipeline run: "shop-12-approve-". The API
// server adds five characters.
func Decision(object, verb string) string {
	return Fit(object, "-"+strings.ToLower(verb)+"-", maxGenerated)
}
