package view

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Version is one of the revisions that run side by side.
type Version struct {
	Role Role
	// Images say what it is, for people.
	Images   string
	Revision v1alpha1.Revision
	// ReplicaSet runs its pods; empty where it was not found.
	ReplicaSet string
	// Counted: Ready and Desired are known.
	Counted        bool
	Ready, Desired int32
	// Share of requests in percent; nil where nothing tells.
	Share *int32
	Pods  []Pod
}

// Role is what a version is in a release.
type Role string

// The roles.
const (
	Stable Role = "stable"
	Canary Role = "canary"
)

// Pod is one pod of a version.
type Pod struct {
	// State is in the words of kubectl.
	Name, State string
	Ready       bool
	Restarts    int32
	Created     metav1.Time
}

func (o Objects) versions() []Version {
	out := o.revisions()
	for i := range out {
		o.count(&out[i])
		out[i].Images = Images(out[i].Revision)
	}
	return out
}

// revisions are the versions with their shares of the requests.
func (s Subject) revisions() []Version {
	if s.UnderWay() {
		stable := Version{Role: Stable, Revision: s.Release.Spec.From}
		canary := Version{Role: Canary, Revision: s.Release.Spec.To}
		if w := s.Release.Status.Weight; w != nil {
			rest := 100 - *w
			stable.Share, canary.Share = &rest, w
		}
		return []Version{stable, canary}
	}
	if s.Rollout.Status.Stable == nil {
		return nil
	}
	return []Version{{Role: Stable, Revision: *s.Rollout.Status.Stable, Share: new(int32(100))}}
}

// count finds the version's ReplicaSet and its pods. The ReplicaSet is the release's own, or the one with the
// label of the version's pods.
func (o Objects) count(v *Version) {
	v.Counted = o.Workload != nil && o.Sets != nil
	hash := v.Revision.PodTemplateHash
	i := slices.IndexFunc(o.Sets, func(rs appsv1.ReplicaSet) bool {
		own := v.Role == Canary && rs.Labels[v1alpha1.LabelRelease] == o.Release.Name
		return own || hash != "" && rs.Labels[v1alpha1.LabelPodTemplateHash] == hash
	})
	if i >= 0 {
		set := &o.Sets[i]
		hash = set.Labels[v1alpha1.LabelPodTemplateHash]
		v.ReplicaSet, v.Ready, v.Desired = set.Name, set.Status.AvailableReplicas, 1
		if set.Spec.Replicas != nil {
			v.Desired = *set.Spec.Replicas
		}
	}
	v.Revision.PodTemplateHash = hash
	for j := range o.Pods {
		if hash != "" && o.Pods[j].Labels[v1alpha1.LabelPodTemplateHash] == hash {
			v.Pods = append(v.Pods, podOf(&o.Pods[j]))
		}
	}
	slices.SortFunc(v.Pods, func(a, b Pod) int { return strings.Compare(a.Name, b.Name) })
}

func podOf(p *corev1.Pod) Pod {
	out := Pod{Name: p.Name, State: string(p.Status.Phase), Created: p.CreationTimestamp}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			out.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		out.Restarts += c.RestartCount
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			out.State = c.State.Waiting.Reason
		}
	}
	if p.DeletionTimestamp != nil {
		out.State, out.Ready = "Terminating", false
	}
	if !out.Ready && out.State == "Running" {
		out.State = "Running, not ready"
	}
	return out
}

// Images of a revision: "web=repo:tag", without the container's name where there is only one.
func Images(r v1alpha1.Revision) string {
	var out []string
	for _, i := range r.Images {
		if len(r.Images) == 1 {
			return i.Image
		}
		out = append(out, i.Container+"="+i.Image)
	}
	if len(out) == 0 {
		return r.Hash[:min(len(r.Hash), 10)]
	}
	return strings.Join(out, ", ")
}

// Beside names a revision next to another one. Where both have the same images, it says what tells them apart.
func Beside(r v1alpha1.Revision, other *v1alpha1.Revision) string {
	name := Images(r)
	if other == nil || Images(*other) != name || r.Hash == other.Hash {
		return name
	}
	return name + " with the pod template " + shortHash(r) +
		" (the stable one has the same images and the pod template " + shortHash(*other) + ")"
}

func shortHash(r v1alpha1.Revision) string {
	if r.PodTemplateHash != "" {
		return r.PodTemplateHash
	}
	return r.Hash[:min(len(r.Hash), 10)]
}
