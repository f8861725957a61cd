package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Hold is one object of the team's that a release, or several, have changed: what it was, so that it is put back, and
// so that nobody undoes the change by applying the original again. Sluice makes and removes Holds itself.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:categories=sluice
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.target.kind`
// +kubebuilder:printcolumn:name="Object",type=string,JSONPath=`.spec.target.name`
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.spec.release`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Hold struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is held.
	// +required
	Spec HoldSpec `json:"spec"`
}

// HoldList is a list of Holds.
//
// +kubebuilder:object:root=true
type HoldList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Holds.
	Items []Hold `json:"items"`
}

// HoldSpec is what is held.
type HoldSpec struct {
	// release that changed the object first, of those that work on it now. Empty while none is under way: then Sluice
	// keeps the object so that it goes on leading to pods that run.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release,omitempty"`
	// target is the changed object, in the Hold's namespace.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.target: cannot be changed; what is held is put back first, then another Hold is made"
	Target HoldTarget `json:"target"`
	// original holds the fields of the target's spec that were changed, as they were before.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	Original *runtime.RawExtension `json:"original"`
	// targetUID is the uid of the object that original was read from.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	TargetUID string `json:"targetUID,omitempty"`
	// generation is the target's metadata.generation that this Hold was written for. It says nothing about an
	// older state of the target.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Generation int64 `json:"generation,omitempty"`
	// shares are the releases that divide the requests of the target, an object of a traffic layer. Several Rollouts
	// may have a release under way on one; the Hold goes with the last of them. A Service belongs to one Rollout, so
	// its Hold has none.
	// +optional
	// +listType=map
	// +listMapKey=rollout
	// +kubebuilder:validation:MaxItems=32
	Shares []HoldShare `json:"shares,omitempty"`
}

// HoldShare is one release's part in a held object.
type HoldShare struct {
	// rollout whose release it is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rollout string `json:"rollout"`
	// release is its name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release"`
	// uid of the release: another one of the same name has no part.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid"`
	// services are the workload's, with their canaries. The weights stand in the target itself.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Services []HoldService `json:"services,omitempty"`
	// match selects the requests that go to the canary whatever the weight.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Match []RequestMatch `json:"match,omitempty"`
}

// HoldService is a Service of a workload, and its canary.
type HoldService struct {
	// stable is the name of the team's Service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Stable string `json:"stable"`
	// canary is the name of the Service that a release made beside it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Canary string `json:"canary"`
}

// HoldTarget names a held object.
type HoldTarget struct {
	// apiVersion of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	APIVersion string `json:"apiVersion"`
	// kind of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}
