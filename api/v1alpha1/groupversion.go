package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of all kinds here.
var GroupVersion = schema.GroupVersion{Group: "sluice.dev", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&Rollout{}, &RolloutList{},
		&Release{}, &ReleaseList{},
		&Hold{}, &HoldList{},
		&Decision{}, &DecisionList{},
		&AnalysisTemplate{}, &AnalysisTemplateList{},
		&ClusterAnalysisTemplate{}, &ClusterAnalysisTemplateList{},
		&AnalysisRun{}, &AnalysisRunList{},
		&ReleaseWindow{}, &ReleaseWindowList{},
		&Notifier{}, &NotifierList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}

// Names that Sluice writes on objects that are not its own.
const (
	// LabelRollout on a workload says which Rollout releases its revisions. The admission policy
	// that holds new revisions matches this label.
	LabelRollout = "sluice.dev/rollout"
	// LabelRelease on everything that a release creates names that Release.
	LabelRelease = "sluice.dev/release"
	// AnnotationHeld on a workload is set by the admission policy in the write that changes the pod
	// template; its value is the user who made that write. While it is there, writes by others than
	// Sluice cannot clear spec.paused.
	AnnotationHeld = "sluice.dev/held-change-by"
	// AnnotationAuthors on a workload is set with it: all users who changed the pod template since the stable revision,
	// one on a line. "?" stands for one who is not known.
	AnnotationAuthors = "sluice.dev/held-authors"
	// FinalizerRollout keeps a Rollout until all that it changed has been put back.
	FinalizerRollout = "sluice.dev/put-back"
	// LabelPodTemplateHash is the label by which Kubernetes tells the pods of a Deployment's
	// revisions apart.
	LabelPodTemplateHash = "pod-template-hash"
)
