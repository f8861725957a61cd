package rollout

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/measure"
)

// checkJobs refuses a Rollout that has Jobs run where the controller has not been let, before anything moves: a release
// would come to a halt in the middle. It is looked at again from time to time, since nothing tells of a RoleBinding.
func (r *Reconciler) checkJobs(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	field := measure.Jobs(w.plan)
	if field == "" || r.MayRunJobs == nil {
		return false, ctrl.Result{}, nil
	}
	namespace := w.rollout.Namespace
	may, err := r.MayRunJobs(ctx, namespace)
	if err != nil {
		return true, ctrl.Result{}, fmt.Errorf("ask whether Jobs may be run in namespace %s: %w", namespace, err)
	}
	if may {
		return false, ctrl.Result{}, nil
	}
	return r.stall(ctx, write, w, ReasonSpecRefused,
		"%s runs a Job, and the controller may not create Jobs in namespace %s; %s", field, namespace, deploy.LetRunJobs(namespace))
}
