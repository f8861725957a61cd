package workload

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// Part is what runs the pods of one revision, as a ReplicaSet does for a Deployment. Users of the namespace can write
// every name and every label, so neither proves which revision it is. Two things do: the UID of its controller, and the
// whole hash of its pod template.
type Part struct {
	// Object itself.
	Object *unstructured.Unstructured
	// Template of its pods.
	Template Template
	// Mark is the value of the label that its pods bear and those of no other part.
	Mark string
	// Track is its pods in the core's words.
	Track release.Track
	// Behind: its status speaks of an older size than it has, so what is ready is not known.
	Behind bool
	// Runs says whether a pod of this name is one of its pods.
	Runs func(pod string) bool
}

// Name of the part; empty where there is none.
func (p *Part) Name() string {
	if p == nil {
		return ""
	}
	return p.Object.GetName()
}

// UID of the part; empty where there is none.
func (p *Part) UID() types.UID {
	if p == nil {
		return ""
	}
	return p.Object.GetUID()
}

// Is says whether two are the same part.
func (p *Part) Is(other *Part) bool { return p != nil && other != nil && p.UID() == other.UID() }

// Now is its pods; none where there is no part.
func (p *Part) Now() release.Track {
	if p == nil {
		return release.Track{}
	}
	return p.Track
}

// MarkOf is its mark; empty where there is no part.
func MarkOf(p *Part) string {
	if p == nil {
		return ""
	}
	return p.Mark
}

// Revision that the part runs, as the API shows it.
func (p *Part) Revision() v1alpha1.Revision {
	return v1alpha1.Revision{Hash: p.Template.Hash, PodTemplateHash: p.Mark, Images: p.Template.Images}
}

// Find is the part whose pod template is the revision's, or nil. Of several it is the one whose pods bear the recorded
// mark, then the one with the most pods, then the oldest.
func Find(parts []Part, rev *v1alpha1.Revision) *Part {
	if rev == nil || rev.Hash == "" {
		return nil
	}
	var best *Part
	for i := range parts {
		if p := &parts[i]; p.Template.Hash == rev.Hash && (best == nil || better(p, best, rev)) {
			best = p
		}
	}
	return best
}

func better(a, b *Part, rev *v1alpha1.Revision) bool {
	if x, y := a.Mark == rev.PodTemplateHash, b.Mark == rev.PodTemplateHash; x != y {
		return x
	}
	if a.Track.Desired != b.Track.Desired {
		return a.Track.Desired > b.Track.Desired
	}
	return a.older(b)
}

func (p *Part) older(other *Part) bool {
	return p.Object.GetCreationTimestamp().Time.Before(other.Object.GetCreationTimestamp().Time)
}

// Brought is the part of the revision that a release brings, or nil: the release's own, or one of the workload's
// history with the same template. Of several of these it is the oldest, as Kubernetes has it.
func Brought(parts []Part, rel *v1alpha1.Release) *Part {
	if rel == nil {
		return nil
	}
	var found *Part
	for i := range parts {
		switch p := &parts[i]; {
		case p.Template.Hash != rel.Spec.To.Hash:
		case OwnedBy(p.Object, rel.UID):
			return p
		case found == nil || p.older(found):
			found = p
		}
	}
	return found
}

// OwnedBy says whether uid controls the object.
func OwnedBy(obj *unstructured.Unstructured, uid types.UID) bool {
	c := metav1.GetControllerOf(obj)
	return c != nil && c.UID == uid
}

// Made says whether one of the Rollout's releases controls the object.
func (w World) Made(obj *unstructured.Unstructured) bool {
	c := metav1.GetControllerOf(obj)
	return c != nil && slices.Contains(w.Makers, c.UID)
}

// Labels mark everything that the release under way makes.
func (w World) Labels() map[string]string {
	out := map[string]string{v1alpha1.LabelRollout: w.Rollout.Name}
	if w.Release != nil {
		out[v1alpha1.LabelRelease] = w.Release.Name
	}
	return out
}

// Owner is the release under way as the controller of what it makes.
func (w World) Owner() metav1.OwnerReference {
	return *NewOwner(w.Release)
}

// NewOwner is a release as the controller of what it makes. Unlike metav1.NewControllerRef it does not block the
// removal of the release.
func NewOwner(rel *v1alpha1.Release) *metav1.OwnerReference {
	yes := true
	return &metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Release", Name: rel.Name, UID: rel.UID, Controller: &yes,
	}
}

// Keeper is the Rollout as a second owner of the stable part, one that controls nothing.
func (w World) Keeper() metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: w.Rollout.Name, UID: w.Rollout.UID,
	}
}

// Ours says whether the workload bears the Rollout's mark.
func (w World) Ours() bool {
	return w.Object != nil && w.Object.GetLabels()[v1alpha1.LabelRollout] == w.Rollout.Name
}

// Removing says whether the Rollout is being removed.
func (w World) Removing() bool { return w.Rollout.DeletionTimestamp != nil }

// shownDigits is how much of a hash people are shown. Nothing that is compared is so short.
const shownDigits = 10

// Describe is a revision for people: its first image, and the beginning of its hash.
func Describe(rev v1alpha1.Revision) string {
	short := rev.Hash[:min(len(rev.Hash), shownDigits)]
	if len(rev.Images) == 0 {
		return short
	}
	return fmt.Sprintf("%s (%s)", rev.Images[0].Image, short)
}
