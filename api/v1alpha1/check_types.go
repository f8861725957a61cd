package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CheckStatus says whether Sluice can read the spec. The API server refuses most of what is wrong when it is written;
// the rest is told here at once, before a release meets it.
type CheckStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions: Valid.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionValid says whether Sluice can read the spec of a ReleaseWindow, an analysis template or a Notifier. Its
// message names the field and what to do.
const ConditionValid = "Valid"

// Reasons of the Valid condition.
const (
	// ReasonValid: the spec can be read.
	ReasonValid = "SpecValid"
	// ReasonInvalid: the spec cannot be read.
	ReasonInvalid = "SpecInvalid"
)
