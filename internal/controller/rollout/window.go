package rollout

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/window"
)

// observeWindows looks whether a release may go on now. A window that makes no sense is shut: somebody meant to keep
// releases out. A rollback is the way back to what was released before, and waits for no window.
func (r *Reconciler) observeWindows(ctx context.Context, w *world) error {
	if rel := w.active(); rel == nil || rel.Spec.Cause == v1alpha1.CauseRollback {
		return nil
	}
	list := &v1alpha1.ReleaseWindowList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace)); err != nil {
		return fmt.Errorf("list ReleaseWindows: %w", err)
	}
	var windows []window.Window
	for i := range list.Items {
		rw := &list.Items[i]
		selects, err := selected(rw.Spec.Selector, w.rollout)
		if err == nil && !selects {
			continue
		}
		var parsed window.Window
		if err == nil {
			parsed, err = window.Parse(rw.Spec)
		}
		if err != nil {
			w.shut = release.Shut{Window: rw.Name, Message: fmt.Sprintf("the ReleaseWindow %q keeps releases out, since it cannot be read: %v", rw.Name, err)}
			return nil
		}
		parsed.Name = rw.Name
		windows = append(windows, parsed)
	}
	if state := window.Look(windows, r.Calendar()); !state.Open {
		w.shut = release.Shut{Window: "shut", Message: state.Reason, Opens: state.Until}
	}
	return nil
}

// selected says whether a selector selects the Rollout; none selects all.
func selected(s *metav1.LabelSelector, ro *v1alpha1.Rollout) (bool, error) {
	if s == nil {
		return true, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false, fmt.Errorf("spec.selector: %w", err)
	}
	return selector.Matches(labels.Set(ro.Labels)), nil
}
