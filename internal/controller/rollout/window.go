package rollout

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
)

// observeWindows looks whether a release may go on now. A window that makes no sense is shut: somebody meant to keep
// releases out. A rollback is the way back to what was released before, and waits for no window.
func (r *Reconciler) observeWindows(ctx context.Context, w *world) error {
	rel := w.active()
	if rel == nil || rel.Spec.Cause == v1alpha1.CauseRollback {
		return nil
	}
	list := &v1alpha1.ReleaseWindowList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace)); err != nil {
		return fmt.Errorf("list ReleaseWindows: %w", err)
	}
	switch broken, message, opens := preflight.Shut(list.Items, w.rollout, r.Calendar()); {
	case broken != "":
		message += fmt.Sprintf(", or let this release through with: sluice override %s -m WHY", rel.Name)
		w.shut = release.Shut{Window: broken, Message: message}
	case message != "":
		w.shut = release.Shut{Window: "shut", Message: message, Opens: opens}
	}
	return nil
}
