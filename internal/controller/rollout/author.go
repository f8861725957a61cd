package rollout

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// This file reads who changed the workload's template. The admission policy writes down each author, and lets nobody else
// write there. Where no policy is in force anybody could, so then nobody is known.

// unknownAuthor among the authors stands for one who is not known: his name was too long to be written down, or there
// were too many.
const unknownAuthor = "?"

// ourMarks are the annotations on a workload that only Sluice and its admission policy write.
var ourMarks = []string{v1alpha1.AnnotationHeld, v1alpha1.AnnotationAuthors, annotationCause, annotationKept}

// authors are all who changed the template since the stable revision; none if one of them is not known. The author is
// the last of them.
func (w *world) authors() (last string, all []string) {
	annotations := w.deploy.GetAnnotations()
	_, unwatched := annotations[annotationKept]
	if w.keptPaused || unwatched { // A revision came in while no policy was in force.
		return "", nil
	}
	last = annotations[v1alpha1.AnnotationHeld]
	for _, name := range strings.Split(annotations[v1alpha1.AnnotationAuthors], "\n") {
		if name == unknownAuthor {
			return last, nil
		}
		if name != "" {
			all = append(all, name)
		}
	}
	if len(all) > 0 && last != "" && !slices.Contains(all, last) {
		all = append(all, last)
	}
	return last, all
}

// unmarked takes our marks off a workload that is not ours yet: whoever may edit it may have written them.
func unmarked(d *unstructured.Unstructured) {
	annotations := d.GetAnnotations()
	for _, mark := range ourMarks {
		delete(annotations, mark)
	}
	d.SetAnnotations(annotations)
}
