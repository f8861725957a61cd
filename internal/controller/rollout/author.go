package rollout

import (
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file reads who changed the workload's template. The admission policy writes down each author, and lets nobody
// else write there. Where no policy is in force anybody could, so then nobody is known.

// unknownAuthor among the authors stands for one who is not known: his name was too long to be written down, or there
// were too many.
const unknownAuthor = "?"

// authors are all who changed the template since the stable revision; none if one of them is not known. The author is
// the last of them.
func (w *world) authors() (last string, all []string) {
	annotations := w.object.GetAnnotations()
	_, unwatched := annotations[workload.AnnotationKept]
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
