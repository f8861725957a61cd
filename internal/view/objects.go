package view

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Subject is what a picture is of: a Rollout with the release that it speaks of, or one release.
type Subject struct {
	// Rollout is nil where it is gone and only the release is left.
	Rollout *v1alpha1.Rollout
	// Release is nil where the Rollout has had none.
	Release *v1alpha1.Release
	// Named: the release was asked for by its own name.
	Named bool
}

// UnderWay says whether there is a release that has not ended.
func (s Subject) UnderWay() bool { return s.Release != nil && !s.Release.Status.Phase.Terminal() }

// Live says whether the picture shows what runs now. A release that has ended and was asked for by its name is only a
// record, and so is one whose Rollout is gone.
func (s Subject) Live() bool { return s.Rollout != nil && (!s.Named || s.UnderWay()) }

// Traffic is the layers that are followed now: the running release's, or else the Rollout's own.
func (s Subject) Traffic() []v1alpha1.TrafficLayer {
	switch {
	case s.UnderWay():
		return s.Release.Spec.Plan.Traffic
	case s.Rollout != nil:
		return s.Rollout.Spec.Traffic
	}
	return nil
}

// Measures says whether the release under way has analyses to read.
func (s Subject) Measures() bool {
	if !s.UnderWay() {
		return false
	}
	p := s.Release.Spec.Plan
	for _, step := range p.Steps {
		if step.Analysis != nil {
			return true
		}
	}
	return p.Analysis != nil
}

// Objects are what a picture is made from. What could not be read is left out, and is said in Unread.
type Objects struct {
	Subject
	// Workload is nil where it is not there.
	Workload *appsv1.Deployment
	// TemplateHash is the hash of the Workload's whole pod template, as in a revision; empty where it is not known.
	TemplateHash string
	// Sets are the ReplicaSets that the Workload's selector selects. They are nil where they were not read.
	Sets []appsv1.ReplicaSet
	// Pods are those that the Workload's selector selects; nil where they are not to be shown.
	Pods []corev1.Pod
	// Services are those in front of the workload. They are needed while a release is under way.
	Services []corev1.Service
	// Layers are what was read of the routes. They are needed where the status does not tell; see LayersTold.
	Layers []Layer
	// Holds are those of the namespace.
	Holds []v1alpha1.Hold
	// Analyses are those with the label of the release under way.
	Analyses []v1alpha1.AnalysisRun
	// Unread says what could not be read, and why.
	Unread []string
}
