package deployment

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// The released ReplicaSet has its Rollout as a second owner, one that controls nothing. While that owner is there, the
// garbage collector leaves the ReplicaSet alone when the Deployment goes, and a Deployment that is made anew, as by
// kubectl replace --force, takes it over by its selector: the released pods serve on.

// Kept is a ReplicaSet that has keeper as its second owner.
func Kept(rs *unstructured.Unstructured, keeper metav1.OwnerReference) *unstructured.Unstructured {
	out := rs.DeepCopy()
	if !KeptBy(rs, keeper.UID) {
		out.SetOwnerReferences(append(slices.Clone(rs.GetOwnerReferences()), keeper))
	}
	return out
}

// NotKept is a ReplicaSet that goes with its Deployment.
func NotKept(rs *unstructured.Unstructured, keeper types.UID) *unstructured.Unstructured {
	out := rs.DeepCopy()
	out.SetOwnerReferences(slices.DeleteFunc(slices.Clone(rs.GetOwnerReferences()), func(o metav1.OwnerReference) bool {
		return o.UID == keeper
	}))
	return out
}

// KeptBy says whether a ReplicaSet has this second owner.
func KeptBy(rs *unstructured.Unstructured, keeper types.UID) bool {
	return keeper != "" && slices.ContainsFunc(rs.GetOwnerReferences(),
		func(o metav1.OwnerReference) bool { return o.UID == keeper })
}
