package deployment

import (
	"maps"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Annotations by which the Deployment controller knows that a ReplicaSet has the size that it gave it
// (k8s.io/kubernetes/pkg/controller/deployment/util: IsSaturated, getMaxReplicasAnnotation).
const (
	annotationDesired = "deployment.kubernetes.io/desired-replicas"
	annotationMax     = "deployment.kubernetes.io/max-replicas"

	// annotationFormer in a pod template marks the revision that a hand-over replaces.
	annotationFormer = podtemplate.Former
	// formerMax is the maximum that a former ReplicaSet is said to have had.
	formerMax = "1073741824"
)

// Next is the ReplicaSet of a Deployment's current template, beside it: named and labelled as the Deployment
// controller would, owned by the Release. short is the value of its pod-template-hash label and the end of its name. d
// must be whole, not condensed.
func Next(d *unstructured.Unstructured, owner metav1.OwnerReference, labels map[string]string, short string,
	replicas int,
) *unstructured.Unstructured {
	template, _, _ := unstructured.NestedMap(d.Object, "spec", "template")
	podtemplate.Plain(template)
	// The API server takes a template without labels, where the selector asks only that some be missing.
	podLabels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
	podLabels = with(podLabels, map[string]string{v1alpha1.LabelPodTemplateHash: short})
	_ = unstructured.SetNestedStringMap(template, podLabels, "metadata", "labels")

	selector, _, _ := unstructured.NestedMap(d.Object, "spec", "selector")
	_ = unstructured.SetNestedField(selector, short, "matchLabels", v1alpha1.LabelPodTemplateHash)

	rs := &unstructured.Unstructured{Object: map[string]any{}}
	rs.SetGroupVersionKind(ReplicaSetKind)
	rs.SetNamespace(d.GetNamespace())
	rs.SetName(NameOf(d, short))
	rs.SetLabels(with(podLabels, labels))
	rs.SetOwnerReferences([]metav1.OwnerReference{owner})
	rs.Object["spec"] = map[string]any{
		"replicas": int64(replicas), "selector": selector, "template": template,
	}
	if ready, found, _ := unstructured.NestedInt64(d.Object, "spec", "minReadySeconds"); found {
		_ = unstructured.SetNestedField(rs.Object, ready, "spec", "minReadySeconds")
	}
	return rs
}

// Anew is the ReplicaSet of one of a Deployment's revisions, made again as it was. It has no controller, so that the
// Deployment controller takes it over, by its selector, with all pods that bear its labels. d must be whole.
func Anew(d *unstructured.Unstructured, template map[string]any, keeper metav1.OwnerReference,
	short string,
) *unstructured.Unstructured {
	of := d.DeepCopy()
	_ = unstructured.SetNestedMap(of.Object, template, "spec", "template")
	replicas := Replicas(d)
	rs := Next(of, keeper, nil, short, replicas)
	workload.Annotate(rs, annotationDesired, strconv.Itoa(replicas))
	workload.Annotate(rs, annotationMax, strconv.Itoa(replicas+maxSurge(d)))
	return rs
}

// NameOf is the name of a Deployment's ReplicaSet with this pod-template-hash label.
func NameOf(d *unstructured.Unstructured, short string) string {
	return naming.ReplicaSet(d.GetName(), short)
}

// with is labels with more of them.
func with(labels, more map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, labels)
	maps.Copy(all, more)
	return all
}

// Scaled is a ReplicaSet with another number of pods.
func Scaled(rs *unstructured.Unstructured, replicas int) *unstructured.Unstructured {
	out := rs.DeepCopy()
	_ = unstructured.SetNestedField(out.Object, int64(replicas), "spec", "replicas")
	return out
}

// Taken is a ReplicaSet that belongs to the Release: one from the Deployment's history, or one that is taken back
// after a hand-over.
func Taken(rs *unstructured.Unstructured, owner metav1.OwnerReference,
	labels map[string]string,
) *unstructured.Unstructured {
	out := rs.DeepCopy()
	out.SetLabels(with(out.GetLabels(), labels)) // Somebody may have taken all of its own off.
	out.SetOwnerReferences([]metav1.OwnerReference{owner})
	return out
}

// HandedOver is a ReplicaSet that belongs to the Deployment, with the size marks by which the Deployment
// controller sees that there is nothing to scale.
func HandedOver(rs, d *unstructured.Unstructured) *unstructured.Unstructured {
	out := rs.DeepCopy()
	out.SetOwnerReferences([]metav1.OwnerReference{Owner(d)})
	labels := out.GetLabels()
	delete(labels, v1alpha1.LabelRelease)
	delete(labels, v1alpha1.LabelRollout)
	out.SetLabels(labels)
	replicas := Replicas(d)
	workload.Annotate(out, annotationDesired, strconv.Itoa(replicas))
	workload.Annotate(out, annotationMax, strconv.Itoa(replicas+maxSurge(d)))
	return out
}

// Former marks the ReplicaSet of the revision that a hand-over is about to replace, so that whatever crosses the
// hand-over, the Deployment controller takes no new pod down, which by then serve everybody:
//
//   - an edit back to the old template: by the mark in its own template the old ReplicaSet equals no template of the
//     Deployment's, so it is not taken for the complete new one, whose siblings are to go;
//   - a scale-down: by its huge former maximum the old ReplicaSet pays for all of it, where the controller scales in
//     proportion (k8s.io/kubernetes/pkg/controller/deployment/util: GetReplicaSetProportion).
func Former(rs *unstructured.Unstructured) *unstructured.Unstructured {
	out := rs.DeepCopy()
	workload.Annotate(out, annotationMax, formerMax)
	if !workload.TemplateOf(rs).Former {
		_ = unstructured.SetNestedField(out.Object, "true", "spec", "template", "metadata", "annotations", annotationFormer)
	}
	return out
}

// Unmark is the change, from before to after, that takes the marks off again, where the old ReplicaSet is to stay.
func Unmark(rs, d *unstructured.Unstructured) (before, after *unstructured.Unstructured) {
	before, after = rs.DeepCopy(), rs.DeepCopy()
	if rs.GetAnnotations()[annotationMax] == formerMax {
		workload.Annotate(after, annotationMax, strconv.Itoa(Replicas(d)+maxSurge(d)))
	}
	if workload.TemplateOf(rs).Former {
		before, after = Unmarked(before, after)
	}
	return before, after
}

// Unmarked adds to the change from before to after that the template loses Former's mark. Of a template that is not
// known as a whole nothing else is touched.
func Unmarked(before, after *unstructured.Unstructured) (_, _ *unstructured.Unstructured) {
	path := []string{"spec", "template", "metadata", "annotations", annotationFormer}
	marked, plain := before.DeepCopy(), after.DeepCopy()
	_ = unstructured.SetNestedField(marked.Object, "true", path...)
	_ = unstructured.SetNestedField(plain.Object, "true", path...)
	unstructured.RemoveNestedField(plain.Object, path...)
	return marked, plain
}

// podSuffix is what Kubernetes adds to a ReplicaSet's name for a pod's, and generatedMax the length to which it cuts
// the name before (k8s.io/apiserver/pkg/storage/names).
const (
	podSuffix    = 5
	generatedMax = 63 - podSuffix
)

// Names says whether a pod of this name is one of the ReplicaSet's.
func Names(rs *unstructured.Unstructured, pod string) bool {
	base := rs.GetName() + "-"
	base = base[:min(len(base), generatedMax)]
	return len(pod) == len(base)+podSuffix && strings.HasPrefix(pod, base)
}

// Idle says whether a ReplicaSet has no pods and is to have none.
func Idle(rs *unstructured.Unstructured) bool {
	return Replicas(rs) == 0 && status(rs, "replicas") == 0
}

// Owner is the controller reference of a Deployment.
func Owner(d *unstructured.Unstructured) metav1.OwnerReference {
	yes := true
	return metav1.OwnerReference{
		APIVersion: Kind.GroupVersion().String(), Kind: Kind.Kind,
		Name: d.GetName(), UID: d.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// maxSurge is the Deployment's, in pods, rounded up as Kubernetes does; 25% where nothing is said.
func maxSurge(d *unstructured.Unstructured) int {
	value := intstr.FromString("25%")
	raw, found, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "strategy", "rollingUpdate", "maxSurge")
	switch v := raw.(type) {
	case int64:
		value = intstr.FromInt32(int32(v))
	case string:
		value = intstr.FromString(v)
	}
	if kind, _, _ := unstructured.NestedString(d.Object, "spec", "strategy", "type"); kind == "Recreate" && !found {
		return 0
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, Replicas(d), true)
	if err != nil {
		return 0
	}
	return n
}

// Recreates says whether a Deployment asks that two of its revisions never run at once.
func Recreates(d *unstructured.Unstructured) bool {
	kind, _, _ := unstructured.NestedString(d.Object, "spec", "strategy", "type")
	return kind == "Recreate"
}

// Needs is the number of pods that must be available before a Deployment counts as available: its replicas without
// maxUnavailable, which is 25 percent rounded down where nothing else is said. A workload that is to have pods needs
// one at least.
func Needs(d *unstructured.Unstructured) int {
	value := intstr.FromString("25%")
	raw, found, _ := unstructured.NestedFieldNoCopy(d.Object, "spec", "strategy", "rollingUpdate", "maxUnavailable")
	switch v := raw.(type) {
	case int64:
		value = intstr.FromInt32(int32(v))
	case string:
		value = intstr.FromString(v)
	}
	replicas := Replicas(d)
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, replicas, false)
	if err != nil || Recreates(d) && !found {
		n = 0
	}
	return max(replicas-n, min(replicas, 1))
}

// ReadTrack is what a ReplicaSet's status says of a version's pods; owner is the workload's UID.
func ReadTrack(rs *unstructured.Unstructured, owner types.UID) release.Track {
	if rs == nil {
		return release.Track{}
	}
	t := release.Track{
		Exists: true, Adopted: workload.OwnedBy(rs, owner), Desired: Replicas(rs),
		Pods: status(rs, "replicas"), Ready: status(rs, "availableReplicas"),
	}
	// Pods above the size are on their way out and serve nobody for long.
	t.Ready = min(t.Ready, t.Desired)
	if Behind(rs) {
		// The count may be older than the size: no pods may be taken for gone.
		t.Pods = max(t.Pods, t.Desired, 1)
	}
	t.Problem = failure(rs)
	return t
}

// Behind says whether a ReplicaSet's status speaks of an older size than it has.
func Behind(rs *unstructured.Unstructured) bool {
	return rs != nil && status(rs, "observedGeneration") < int(rs.GetGeneration())
}

// failure is why the ReplicaSet could not make a pod (quota, admission, bad template), if it says.
func failure(rs *unstructured.Unstructured) string {
	conditions, _, _ := unstructured.NestedSlice(rs.Object, "status", "conditions")
	for _, c := range conditions {
		m, ok := c.(map[string]any)
		if ok && m["type"] == "ReplicaFailure" && m["status"] == "True" {
			return text(m["message"])
		}
	}
	return ""
}

func status(obj *unstructured.Unstructured, field string) int {
	n, _, _ := unstructured.NestedInt64(obj.Object, "status", field)
	return int(n)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
