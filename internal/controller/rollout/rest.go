package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks after a Rollout that has no release under way, as drive.go does with one that has: ask the core,
// carry out what it says, answer the people, and tell where the Rollout stands.

// atRest takes such a Rollout one decision further.
func (r *Reconciler) atRest(ctx context.Context, write *kube.Writer, w *world) (ctrl.Result, error) {
	spec := r.restSpec(w)
	seen, err := r.restSeen(ctx, w)
	if err != nil {
		return loop.Retry(err)
	}
	out := release.Rest(spec, seen, w.now)
	// Pods are in no cache, so they are asked only where the answer is to be told: the core says first that they are not
	// ready, and then, with what they say, why.
	if out.Reason.Code == release.ReasonStablePodsNotReady && seen.StablePods.Problem == "" {
		seen.StablePods.Problem = r.askStable(ctx, w)
		out = release.Rest(spec, seen, w.now)
	}
	// An error of the writes that a person has to mend is told in the status below, and returned after that, so that the
	// write is tried again with growing delays.
	err = r.carryRest(ctx, write, w, spec, seen, &out)
	switch busy, waits := errors.AsType[*traffic.Busy](err); {
	case waits: // It was not asked before, since one begins at a time.
		seen.Busy, err = release.Busy{Release: busy.Release, Message: busy.Error()}, nil
		out = release.Rest(spec, seen, w.now)
	case isObstacle(err):
		out.Phase, out.Again = release.RestStalled, false
		out.Reason = release.Reason{Code: release.ReasonGuardRefused, Message: err.Error(), Who: "the maintainers of Sluice"}
	case forbidden(err):
		seen.Refused = refusal(err)
		out = release.Rest(spec, seen, w.now)
	case err != nil:
		return loop.Retry(err)
	case slices.Contains(out.Actions, release.RestAction(release.RemoveFinalizer{})):
		return ctrl.Result{}, nil // The Rollout is gone.
	}
	r.rests.keep(w.rollout.UID, out.Memory)
	if out.Memory.Follows != "" {
		r.queue.note(client.ObjectKeyFromObject(w.rollout), beginning)
	}
	again, e := r.tellRest(ctx, write, w, out)
	if err = errors.Join(err, e); err != nil {
		return loop.Retry(err)
	}
	return w.whenAtRest(out, again), nil
}

// whenAtRest is when the Rollout is looked at again. further is when something else wants it to be, zero for never.
func (w *world) whenAtRest(out release.RestOutcome, further time.Time) ctrl.Result {
	switch {
	case w.unheard():
		return ctrl.Result{RequeueAfter: soon}
	case out.Again:
		return ctrl.Result{RequeueAfter: loop.ConflictDelay}
	}
	at := out.Wake
	if at.IsZero() || further.After(w.now) && further.Before(at) {
		at = further
	}
	if !at.After(w.now) {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: at.Sub(w.now)}
}

// carryRest carries out what the core says, in its order, and answers the people. Where the stable part cannot be made
// anew it goes on without.
func (r *Reconciler) carryRest(ctx context.Context, write *kube.Writer, w *world, spec release.RestSpec,
	seen release.RestSeen, out *release.RestOutcome,
) error {
	c := &carrier{r: r, write: write, w: w}
	for _, a := range out.Actions {
		err := c.rest(ctx, a, out)
		if errors.Is(err, errNotRemade) {
			seen.NotRemade = true
			// Told that it was not made, the core does not ask for it again, so this calls itself once at most.
			*out = release.Rest(spec, seen, w.now)
			return r.carryRest(ctx, write, w, spec, seen, out)
		}
		if err != nil {
			return err
		}
	}
	// After the actions. A process that dies in between decides anew, and each action is safe to repeat.
	for _, a := range inAPI(out.Answers) {
		if err := r.answerOne(ctx, write, w.decision(a.Decision), a); err != nil {
			return err
		}
	}
	return r.pruneDecisions(ctx, write, w)
}

// errNotRemade: the stable part could not be made anew, which is no reason to stop.
var errNotRemade = errors.New("the part of the stable revision is not made anew")

// rest carries one action out.
func (c *carrier) rest(ctx context.Context, a release.RestAction, out *release.RestOutcome) error {
	switch a := a.(type) {
	case release.AddFinalizer:
		return c.finalizer(ctx, controllerutil.AddFinalizer)
	case release.RemoveFinalizer:
		return c.forget(ctx)
	case release.RemoveOrphans:
		return c.removeOrphans(ctx)
	case release.FreeRecords:
		return c.r.keepRecords(ctx, c.write, c.w)
	case release.RemoveRecord:
		return c.removeRecord(ctx, a.Release)
	case release.RetryRelease:
		return c.retryRelease(ctx, a, out)
	case release.WriteRevision:
		return c.writeRevision(ctx, a, out)
	case release.StartRelease:
		return c.startInTurn(ctx, out)
	case release.SelectService:
		return c.selectService(ctx, a)
	case release.RemoveCanaryService:
		return c.removeTwin(ctx, a.Service)
	case release.Unroute:
		return c.unroute(ctx, a.Layer)
	case release.RemakeStable:
		if !c.r.remakeStable(ctx, c.write, c.w) {
			return errNotRemade
		}
		return nil
	case release.TakeOver, release.GiveBack, release.KeepStable, release.RemoveRemains, release.PauseWorkload,
		release.ResumeWorkload:
		_, err := c.r.do(ctx, c.write, c.w, a)
		return err
	}
	return fmt.Errorf("carry out %T: no such action", a)
}

func (c *carrier) finalizer(ctx context.Context, change func(client.Object, string) bool) error {
	after := c.w.rollout.DeepCopy()
	change(after, v1alpha1.FinalizerRollout)
	if err := c.write.Patch(ctx, c.w.rollout, after); err != nil {
		return err
	}
	// The next write of this look is conditional on the version that this one has made.
	c.w.rollout = after
	return nil
}

// forget lets the Rollout go, and everything that is remembered of it.
func (c *carrier) forget(ctx context.Context) error {
	if err := c.finalizer(ctx, controllerutil.RemoveFinalizer); err != nil {
		return err
	}
	// Only once the finalizer is off: until then the Rollout is looked at again, and needs what is remembered.
	r, key, uid := c.r, client.ObjectKeyFromObject(c.w.rollout), c.w.rollout.UID
	r.Kube.Forget(key)
	r.fronts.forget(key)
	r.rests.forget(uid)
	r.waits.forget(uid)
	r.looks.forget(uid)
	for _, rel := range c.w.releases {
		r.waits.forget(rel.UID)
	}
	return nil
}

// removeRecord removes the record of a release, and the pod template that only this record speaks of.
func (c *carrier) removeRecord(ctx context.Context, name string) error {
	records := c.w.records()
	i := slices.IndexFunc(records, func(rel *v1alpha1.Release) bool { return rel.Name == name })
	if i < 0 {
		return nil
	}
	if err := c.write.Delete(ctx, records[i]); err != nil {
		return err
	}
	c.r.waits.forget(records[i].UID)
	// A process that dies before the template is removed leaves it behind. The Rollout owns it, so it goes with the
	// Rollout.
	left := records[:min(historyLimit(c.w.rollout), i)]
	return c.r.forgetTemplate(ctx, c.write, c.w, records[i].Spec.From.Hash, left)
}

// tellRest writes the status. It returns when the pods that serve are to be looked at again, zero for never.
func (r *Reconciler) tellRest(ctx context.Context, write *kube.Writer, w *world, out release.RestOutcome) (
	time.Time, error,
) {
	if out.Phase == "" {
		return time.Time{}, nil
	}
	again := r.observeForeign(ctx, w)
	phase := v1alpha1.RolloutPhase(out.Phase)
	rejected := w.rejectedOf(out.Rejected)
	out.Reason.Message = clip(translate.OwnFields(&w.rollout.Spec, out.Reason.Message))
	err := r.report(ctx, write, w, func(s *v1alpha1.RolloutStatus) {
		if out.Stable.Hash != "" {
			s.Stable = w.settled
		}
		if out.RejectedKnown {
			s.Rejected = rejected
		}
	}, phase, out.Reason)
	if err != nil {
		return again, err
	}
	for _, e := range out.Events {
		r.warn(w.rollout, release.Reason{Code: e.Code, Message: e.Message})
	}
	return again, nil
}

// rejectedOf is a revision that was taken back, as the status has it.
func (w *world) rejectedOf(of *release.Rejected) *v1alpha1.RejectedRevision {
	switch rel := w.latest(); {
	case of == nil:
		return nil
	case rel != nil && rel.Name == of.Release:
		return &v1alpha1.RejectedRevision{
			Revision: rel.Spec.To, Release: of.Release, Message: of.Message,
			Changes: of.Changes,
		}
	}
	// The record is gone or not the latest; the status has what it said.
	return w.rollout.Status.Rejected
}

// rests keeps what one look at a Rollout has for the next. After a restart a wait is made once more.
type rests struct {
	mu    sync.Mutex
	known map[types.UID]release.RestMemory
}

func (m *rests) of(id types.UID) release.RestMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[id]
}

func (m *rests) keep(id types.UID, memory release.RestMemory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if memory == (release.RestMemory{}) {
		delete(m.known, id)
		return
	}
	if m.known == nil {
		m.known = map[types.UID]release.RestMemory{}
	}
	m.known[id] = memory
}

func (m *rests) forget(id types.UID) { m.keep(id, release.RestMemory{}) }

// historyLimit is the number of records of ended releases that are kept.
func historyLimit(ro *v1alpha1.Rollout) int {
	if ro.Spec.HistoryLimit == nil {
		return translate.DefaultHistoryLimit
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

// forbidden says whether the API server refuses a write, and will do so again. A conflict or a busy API server passes,
// so those are no refusal.
func forbidden(err error) bool {
	var s apierrors.APIStatus
	return errors.As(err, &s) && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
}
