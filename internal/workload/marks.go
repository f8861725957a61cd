package workload

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	// annotationCause was written by earlier versions and proves nothing. It is taken off.
	annotationCause = "sluice.dev/held-change-cause"
	// AnnotationKept on a workload says that it was Sluice who paused it, and no admission policy: the cluster has
	// none, or it was not in force when the revision came.
	AnnotationKept = "sluice.dev/kept-paused"
)

// marks are the annotations on a workload that only Sluice and its admission policy write.
var marks = []string{v1alpha1.AnnotationHeld, v1alpha1.AnnotationAuthors, annotationCause, AnnotationKept}

// Unmark takes Sluice's annotations off a workload.
func Unmark(o *unstructured.Unstructured) {
	annotations := o.GetAnnotations()
	for _, mark := range marks {
		delete(annotations, mark)
	}
	o.SetAnnotations(annotations)
}

// Marked says whether Sluice or its admission policy says of a workload that it is held.
func Marked(o *unstructured.Unstructured) bool {
	annotations := o.GetAnnotations()
	_, held := annotations[v1alpha1.AnnotationHeld]
	_, kept := annotations[AnnotationKept]
	return held || kept
}

// Annotate sets an annotation.
func Annotate(o *unstructured.Unstructured, key, value string) {
	all := o.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	o.SetAnnotations(all)
}

// Label sets a label; with an empty value it takes it off.
func Label(o *unstructured.Unstructured, key, value string) {
	all := o.GetLabels()
	if all == nil {
		all = map[string]string{}
	}
	if all[key] = value; value == "" {
		delete(all, key)
	}
	o.SetLabels(all)
}
