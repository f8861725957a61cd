package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Reasons of a Rollout that has no release under way.
const (
	ReasonHealthy            = "Healthy"
	ReasonStablePodsNotReady = "StablePodsNotReady"
	ReasonNoReadyEndpoints   = "NoReadyEndpoints"
	ReasonWorkloadNotFound   = "WorkloadNotFound"
	ReasonWorkloadGone       = "WorkloadGone"
	ReasonWorkloadTaken      = "WorkloadTaken"
	ReasonWorkloadUpdating   = "WorkloadUpdating"
	ReasonPausedByTeam       = "PausedByTeam"
	ReasonSpecRefused        = "SpecRefused"
	ReasonRevisionRejected   = "RevisionRejected"
	ReasonStarting           = "Starting"
	ReasonStableSetMissing   = "StableReplicaSetMissing"
	ReasonServiceLost        = "ServiceSelectsNothing"
	ReasonWriteRefused       = "WriteRefused"
	ReasonUnknownDecision    = "ReleaseNotFound"
	ReasonReleaseEnded       = "ReleaseEnded"
	ReasonReleaseUnderWay    = "ReleaseUnderWay"
	ReasonNothingToRetry     = "NothingToRetry"
	ReasonNothingToRollBack  = "NothingToRollBack"
	ReasonRevisionNotInCache = "RevisionGone"
)

// step is one part of the idle path. done says that the rest has to wait for another look.
type idleStep func(ctx context.Context, write *kube.Writer, w *world) (done bool, result ctrl.Result, err error)

// idle looks after a Rollout that has no release under way: it takes the workload over, checks the spec, answers
// people, and begins a release when there is a new revision. The steps are in the order in which they matter: the
// workload is held before the spec is checked, so that a spec which is refused lets no new revision through.
func (r *Reconciler) idle(ctx context.Context, write *kube.Writer, w *world) (ctrl.Result, error) {
	steps := []idleStep{
		r.remove, r.answerEnded, r.checkWorkload, r.takeOver, r.recordStable, r.remakeAtRest, r.keep, r.checkSpec, r.prune, r.startOrRest,
	}
	for _, step := range steps {
		done, result, err := step(ctx, write, w)
		if err != nil {
			return r.idleFailed(ctx, write, w, err)
		}
		if done {
			if w.unheard() {
				result = ctrl.Result{RequeueAfter: soon}
			}
			return result, nil
		}
	}
	return ctrl.Result{}, nil
}

// idleFailed tells of a write that the API server refused, or the guard.
func (r *Reconciler) idleFailed(ctx context.Context, write *kube.Writer, w *world, err error) (ctrl.Result, error) {
	reason := release.Reason{}
	switch {
	case forbidden(err):
		reason = release.Reason{Code: ReasonWriteRefused, Message: refusal(err), Who: "a cluster administrator"}
	case isObstacle(err):
		reason = release.Reason{Code: release.ReasonGuardRefused, Message: err.Error(), Who: "the maintainers of Sluice"}
	}
	if reason.Code != "" {
		if e := r.report(ctx, write, w, nil, v1alpha1.RolloutStalled, reason); e != nil {
			return retry(e)
		}
	}
	return retry(err)
}

// remove gives everything back when the Rollout is deleted. A template that has not been released is not let loose
// by that: the stable one is written back in the write that ends the hold.
func (r *Reconciler) remove(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	if w.rollout.DeletionTimestamp == nil {
		return false, ctrl.Result{}, nil
	}
	if !controllerutil.ContainsFinalizer(w.rollout, v1alpha1.FinalizerRollout) {
		return true, ctrl.Result{}, nil
	}
	if err := r.observeTraffic(ctx, w); err != nil {
		return true, ctrl.Result{}, err
	}
	if err := r.tidy(ctx, write, w); err != nil {
		return true, ctrl.Result{}, err
	}
	if _, err := r.do(ctx, write, w, workload.GiveBack{}); err != nil {
		return true, ctrl.Result{}, err
	}
	if err := r.keepRecords(ctx, write, w); err != nil {
		return true, ctrl.Result{}, err
	}
	after := w.rollout.DeepCopy()
	controllerutil.RemoveFinalizer(after, v1alpha1.FinalizerRollout)
	if err := write.Patch(ctx, w.rollout, after); err != nil {
		return true, ctrl.Result{}, err
	}
	r.Kube.Forget(client.ObjectKeyFromObject(w.rollout))
	r.fronts.forget(client.ObjectKeyFromObject(w.rollout))
	r.still.forget(w.rollout.UID)
	r.waits.forget(w.rollout.UID)
	r.looks.forget(w.rollout.UID)
	for _, rel := range w.releases {
		r.waits.forget(rel.UID)
	}
	return true, ctrl.Result{}, nil
}

// checkWorkload says what is wrong with the workload, if anything is.
func (r *Reconciler) checkWorkload(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	name := w.rollout.Spec.Workload.Name
	if w.object == nil {
		if err := r.removeOrphans(ctx, write, w); err != nil {
			return true, ctrl.Result{}, err
		}
		if len(w.seen.Left) > 0 {
			if waits, result, err := r.gone(ctx, write, w); waits || err != nil {
				return true, result, err
			}
		}
		return r.stall(ctx, write, w, ReasonWorkloadNotFound,
			"spec.workload names the %s %q, which is not in namespace %s: create it, or correct the name", w.kind(), name, w.rollout.Namespace)
	}
	if other := w.object.GetLabels()[v1alpha1.LabelRollout]; other != "" && other != w.rollout.Name {
		if r.exists(ctx, w.rollout.Namespace, other) {
			return r.stall(ctx, write, w, ReasonWorkloadTaken,
				"spec.workload names the %s %q, which the Rollout %q releases already: delete one of the two", w.kind(), name, other)
		}
	}
	// Who has the workload keeps it: two Rollouts of the same second would otherwise each give way to the other.
	if w.object.GetLabels()[v1alpha1.LabelRollout] == w.rollout.Name {
		return false, ctrl.Result{}, nil
	}
	if older := r.olderRollout(ctx, w.rollout); older != "" {
		return r.stall(ctx, write, w, ReasonWorkloadTaken,
			"spec.workload names the %s %q, which the older Rollout %q names as well: delete one of the two", w.kind(), name, older)
	}
	return false, ctrl.Result{}, nil
}

// checkSpec refuses what cannot be done, before anything moves. The workload is held all the same.
func (r *Reconciler) checkSpec(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	if err := r.observeTraffic(ctx, w); err != nil {
		return true, ctrl.Result{}, err
	}
	if err := r.tidy(ctx, write, w); err != nil {
		return true, ctrl.Result{}, err
	}
	if _, why := w.servicesAtRest(); why.Code == ReasonServiceLost && len(w.services) == 0 {
		return r.stall(ctx, write, w, why.Code, "%s", why.Message)
	}
	if problem := r.problem(w); problem != "" {
		if err := r.keepServed(ctx, write, w); err != nil {
			return true, ctrl.Result{}, err
		}
		return r.stall(ctx, write, w, ReasonSpecRefused, "%s", problem)
	}
	w.plan = translate.Plan(w.rollout, r.Layers)
	err := measure.Prepare(ctx, w.rollout, &w.plan, r.templates(w.rollout.Namespace), r.requests())
	if p, ok := errors.AsType[*measure.Problem](err); ok {
		return r.stall(ctx, write, w, ReasonSpecRefused, "%v", p)
	}
	if err != nil {
		return true, ctrl.Result{}, err
	}
	return r.checkJobs(ctx, write, w)
}

// tidy gives back what a release has left that never came to its end, because somebody removed its record. Where every
// release has ended there is nothing to do.
func (r *Reconciler) tidy(ctx context.Context, write *kube.Writer, w *world) error {
	c := &carrier{r: r, write: write, w: w}
	for _, s := range w.services {
		if err := c.settleService(ctx, s); err != nil {
			return err
		}
	}
	for _, l := range w.layers {
		if !l.world.Held() && !traffic.Made(l.provider, l.world) {
			continue // Whatever it looks like, it is the team's.
		}
		if err := c.change(ctx, l, l.provider.Restore(l.world)); err != nil {
			return err
		}
	}
	for _, s := range w.services {
		if err := c.removeTwin(ctx, s.object.Name); err != nil {
			return err
		}
	}
	if err := r.removeOrphans(ctx, write, w); err != nil {
		return err
	}
	for _, h := range w.holds {
		if w.keepsHold(h) {
			continue
		}
		if err := write.Delete(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

// takeOver marks what is Sluice's to look after: the finalizer on the Rollout, the label on the workload. No pod
// and no route is touched.
func (r *Reconciler) takeOver(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(w.rollout, v1alpha1.FinalizerRollout) {
		after := w.rollout.DeepCopy()
		controllerutil.AddFinalizer(after, v1alpha1.FinalizerRollout)
		if err := write.Patch(ctx, w.rollout, after); err != nil {
			return true, ctrl.Result{}, err
		}
		w.rollout = after
	}
	if w.settled == nil && w.seen.Updating {
		return r.wait(ctx, write, w, ReasonWorkloadUpdating, "the %s's own rolling update is under way; Sluice takes over when it has ended", w.kind())
	}
	if _, err := r.do(ctx, write, w, workload.TakeOver{}); err != nil {
		return true, ctrl.Result{}, err
	}
	w.look()
	return false, ctrl.Result{}, nil
}

// recordStable finds the stable revision of a workload that is taken over. From then on it is recorded, never
// guessed from what runs.
func (r *Reconciler) recordStable(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	if w.settled != nil {
		return false, ctrl.Result{}, nil
	}
	if w.settled = w.seen.Running; w.settled != nil {
		w.look()
		return false, ctrl.Result{}, nil
	}
	if w.seen.Workload.Held {
		return r.stall(ctx, write, w, ReasonPausedByTeam,
			"the %s %q is paused (spec.paused) with a pod template that has never run: resume it once with kubectl rollout resume, then Sluice takes over", w.kind(), w.object.GetName())
	}
	return r.wait(ctx, write, w, ReasonWorkloadUpdating, "the %[1]s has not made the %[2]s of its pod template yet", w.kind(), w.driver.Kinds().Part.Kind)
}

// prune removes the oldest records, with their Decisions.
func (r *Reconciler) prune(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	limit := historyLimit(w.rollout)
	for i, rel := range w.records() {
		if i < limit || rel.DeletionTimestamp != nil {
			continue
		}
		if err := write.Delete(ctx, rel); err != nil {
			return true, ctrl.Result{}, err
		}
		if err := r.forgetTemplate(ctx, write, w, rel.Spec.From.Hash, w.releases[:limit]); err != nil {
			return true, ctrl.Result{}, err
		}
		r.waits.forget(rel.UID)
	}
	return false, ctrl.Result{}, r.pruneDecisions(ctx, write, w)
}

// startOrRest begins a release when the template is neither the stable one nor the rejected one.
func (r *Reconciler) startOrRest(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	stable, rejected := w.settled, w.rejected()
	record := func(s *v1alpha1.RolloutStatus) { s.Stable, s.Rejected = stable, rejected }
	if err := r.keepServed(ctx, write, w); err != nil {
		return true, ctrl.Result{}, err
	}
	if w.seen.Template.Hash == stable.Hash || rejected != nil && w.seen.Template.Hash == rejected.Hash {
		r.still.forget(w.rollout.UID)
	}
	switch {
	case w.seen.Template.Hash == stable.Hash:
		result, err := r.restOnStable(ctx, write, w, stable)
		return true, result, err
	case rejected != nil && w.seen.Template.Hash == rejected.Hash:
		reason := release.Reason{
			Code:    ReasonRevisionRejected,
			Message: clip(fmt.Sprintf("revision %s was taken back by %s (%s) and is not running%s; change the pod template, or try it again with: sluice retry %s", workload.Describe(rejected.Revision), rejected.Release, rejected.Message, inWords("; it differs from the stable one in ", rejected.Changes), w.rollout.Name)),
			Who:     "anyone who may change the workload or retry",
		}
		if _, why := w.servicesAtRest(); why.Code != "" {
			reason.Message += "; " + why.Message
		}
		return true, ctrl.Result{}, r.reportOnce(ctx, write, w, record, v1alpha1.RolloutRejected, reason)
	case w.seen.Workload.Held && !w.seen.Held:
		reason := release.Reason{
			Code: ReasonPausedByTeam, Who: "anyone who may change the workload",
			Message: fmt.Sprintf("the %s %q was paused by the team before its template changed: resume it (kubectl rollout resume) to begin the release", w.kind(), w.object.GetName()),
		}
		return true, ctrl.Result{}, r.reportOnce(ctx, write, w, record, v1alpha1.RolloutPending, reason)
	case w.seen.Stable == nil:
		reason := release.Reason{Code: ReasonStableSetMissing, Message: fmt.Sprintf("the %s of the stable revision %s is gone; delete the Rollout and create it again to begin from what runs now", w.driver.Kinds().Part.Kind, workload.Describe(*stable)), Who: "anyone who may change the Rollout"}
		return true, ctrl.Result{}, r.reportOnce(ctx, write, w, record, v1alpha1.RolloutStalled, reason)
	}
	return r.startWhenQuiet(ctx, write, w, record)
}

// restOnStable looks after a workload that names the stable revision.
func (r *Reconciler) restOnStable(ctx context.Context, write *kube.Writer, w *world, stable *v1alpha1.Revision) (ctrl.Result, error) {
	if w.seen.Held && !r.keepsPaused() || w.object.GetAnnotations()[v1alpha1.AnnotationHeld] != "" {
		if _, err := r.do(ctx, write, w, release.ResumeWorkload{}); err != nil {
			return ctrl.Result{}, err
		}
	}
	if phase, why := w.servicesAtRest(); why.Code != "" {
		record := func(s *v1alpha1.RolloutStatus) { s.Stable, s.Rejected = stable, nil }
		return ctrl.Result{RequeueAfter: recheck}, r.reportOnce(ctx, write, w, record, phase, why)
	}
	return r.rest(ctx, write, w, *stable)
}

// rejected is the revision that the newest release failed to bring, if it was not superseded.
func (w *world) rejected() *v1alpha1.RejectedRevision {
	rel := w.latest()
	if rel == nil || rel.Spec.Number < w.rollout.Status.LastNumber {
		return w.rollout.Status.Rejected // The record is gone, its verdict is not.
	}
	if rel.Status.Phase != v1alpha1.ReleaseAborted || rel.Status.Memory == nil || retried(w, rel) {
		return nil
	}
	if s := w.rollout.Status; s.Phase.AtRest() && s.CurrentRelease == rel.Name {
		return nil // The template has been the stable one since: whoever brings it again means it.
	}
	switch release.EndReason(rel.Status.Memory.End) {
	case release.BackToStable, release.RolloutRemoved, release.WorkloadRemoved:
		return nil // Nobody has found fault with it.
	default:
	}
	return &v1alpha1.RejectedRevision{Revision: rel.Spec.To, Release: rel.Name, Message: rel.Status.Memory.EndMessage, Changes: rel.Spec.Changes}
}

// stall reports what needs a person; wait what passes by itself. Both end this look at the world.
func (r *Reconciler) stall(ctx context.Context, write *kube.Writer, w *world, code, format string, args ...any) (bool, ctrl.Result, error) {
	r.still.forget(w.rollout.UID)
	reason := release.Reason{Code: code, Message: fmt.Sprintf(format, args...), Who: "anyone who may change the Rollout or what it names"}
	err := r.reportOnce(ctx, write, w, w.keepStable, v1alpha1.RolloutStalled, reason)
	return true, ctrl.Result{RequeueAfter: recheck}, err
}

func (r *Reconciler) wait(ctx context.Context, write *kube.Writer, w *world, code, format string, args ...any) (bool, ctrl.Result, error) {
	reason := release.Reason{Code: code, Message: fmt.Sprintf(format, args...), Who: "Kubernetes"}
	err := r.reportOnce(ctx, write, w, nil, v1alpha1.RolloutPending, reason)
	return true, ctrl.Result{RequeueAfter: recheck}, err
}

// reportOnce reports, and tells of it in an event when it is news.
func (r *Reconciler) reportOnce(ctx context.Context, write *kube.Writer, w *world, change func(*v1alpha1.RolloutStatus), phase v1alpha1.RolloutPhase, reason release.Reason) error {
	news := w.rollout.Status.Phase != phase
	if err := r.report(ctx, write, w, change, phase, reason); err != nil {
		return err
	}
	if news && (phase == v1alpha1.RolloutStalled || phase == v1alpha1.RolloutDegraded) {
		r.warn(w.rollout, reason)
	}
	return nil
}

func historyLimit(ro *v1alpha1.Rollout) int {
	if ro.Spec.HistoryLimit == nil {
		return defaultHistory
	}
	return int(*ro.Spec.HistoryLimit)
}

// inWords are a release's changes after a few words; nothing where none are known.
func inWords(before string, changes []string) string {
	if len(changes) == 0 {
		return ""
	}
	return before + strings.Join(preflight.FirstOf(changes, 3), ", ")
}

// cameWith says what the release changed that brought the revision that runs.
func (w *world) cameWith() string {
	rel := w.latest()
	if rel == nil || rel.Status.Phase != v1alpha1.ReleaseSucceeded || rel.Spec.To.Hash != w.settled.Hash {
		return ""
	}
	return inWords("; "+rel.Name+" changed ", rel.Spec.Changes)
}
