package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// drive takes the running release one decision further: ask the core, store what must be remembered, carry out
// one barrier of actions, answer the people.
func (r *Reconciler) drive(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release) (
	ctrl.Result, error,
) {
	if err := r.observeTraffic(ctx, w); err != nil {
		return loop.Retry(err)
	}
	switch err := (&carrier{r: r, write: write, w: w, rel: rel}).leaveServices(ctx); {
	case isObstacle(err):
		w.trouble = err.Error()
	case err != nil:
		return loop.Retry(err)
	}
	spec := translate.Spec(rel.Spec.Plan, rel.Spec.From.Hash, rel.Spec.To.Hash)
	spec.Authors, spec.Namespace = rel.Spec.Authors, rel.Namespace
	memory := readMemory(rel, w.now)
	// What this process has seen of the layers is newer than what is stored: it is stored only together with something
	// else.
	memory.Layers = r.layersSeen.of(rel.UID, memory.Layers)
	observed := w.observed(rel)
	r.askPods(ctx, w, memory, &observed)
	r.observeServed(w, rel, &observed)
	var err error
	if observed.PlanChanged, err = r.planChanged(ctx, w, rel, memory); err != nil {
		return ctrl.Result{}, err
	}
	// A write that was refused in the last look shows nowhere in the cluster. The core has to be told, so that the
	// release says what it waits for.
	if t := r.troubles.of(rel.UID); observed.Trouble == "" {
		observed.Trouble = t
	}
	out := release.Decide(spec, observed, memory, w.now)
	r.askServed(w, rel, out)
	r.layersSeen.keep(rel.UID, out.Memory)

	status := r.project(w, rel, spec, out)
	// Stored first, done second: a process that dies before its writes finds in the status what it was about to do. In
	// the other order it would find changes that it cannot explain.
	if r.due(rel, status, memory, out, w.now) {
		after, err := storeStatus(ctx, write, rel, status, out)
		if err != nil {
			return loop.Retry(err)
		}
		// Only after the status is stored: on a conflict the same decision is made again, and would be told twice. A crash
		// just before this line costs an Event, and the status says the same.
		r.tell(w.rollout, rel, out)
		rel = after
	}
	c := &carrier{r: r, write: write, w: w, rel: rel}
	// The guard judges by the memory after the decision: that is what the actions are to be right for.
	guard := func(actions []release.Action) error {
		if v := release.Check(spec, observed, out.Memory, actions); len(v) > 0 {
			return &obstacle{release.GuardMessage(v[0])}
		}
		return nil
	}
	if err := c.carryOut(ctx, out, guard); err != nil {
		return r.failed(ctx, write, w, rel, out, err)
	}
	// All writes went through, so what the API server said to an earlier one is over.
	r.troubles.clear(rel.UID)
	// After the actions, so that an answer never speaks of what was not done. The answers are in the stored memory, so a
	// crash before this line loses none.
	if err := r.answerAll(ctx, write, w, rel); err != nil {
		return loop.Retry(err)
	}
	if err := r.mirror(ctx, write, w, rel, out); err != nil {
		return loop.Retry(err)
	}
	is := classOf(rel.Spec.Cause, out.Memory.Phase)
	r.queue.note(client.ObjectKeyFromObject(w.rollout), is)
	after, tells := r.wake(w, rel, out)
	if tells {
		is = telling
	}
	return ctrl.Result{RequeueAfter: after, Priority: new(int(is))}, nil
}

// carryOut carries out one barrier of actions, and then sets right what others have changed. The guard is asked about
// all that is about to be written.
func (c *carrier) carryOut(ctx context.Context, out release.Outcome, guard func([]release.Action) error) error {
	if err := guard(out.Actions); err != nil {
		return err
	}
	for _, a := range out.Actions {
		log.FromContext(ctx).Info("carry out", "release", c.rel.Name,
			"action", fmt.Sprintf("%T", a)[len("release."):], "with", fmt.Sprintf("%+v", a))
		if err := c.do(ctx, a); err != nil {
			return err
		}
	}
	if out.Memory.Phase.Terminal() {
		return nil
	}
	return c.restore(ctx, out.Actions, guard)
}

// storeStatus writes the release's status and returns the release as it is then. If the API server finds the status too
// large or not valid, a shorter one is written. If that fails, too, an abort goes on without: taking a release back is
// more urgent than remembering it.
func storeStatus(ctx context.Context, write *kube.Writer, rel *v1alpha1.Release, status v1alpha1.ReleaseStatus,
	out release.Outcome,
) (*v1alpha1.Release, error) {
	after := rel.DeepCopy()
	after.Status = status
	err := write.PatchStatus(ctx, rel, after)
	if tooMuch(err) {
		log.FromContext(ctx).Error(err, "the status is not stored as it is; one that says less is written", "release",
			rel.Name)
		after = rel.DeepCopy()
		after.Status = degraded(rel, status)
		err = write.PatchStatus(ctx, rel, after)
	}
	if tooMuch(err) && out.Memory.Phase == release.Aborting {
		return rel.DeepCopy(), nil
	}
	return after, err
}

// failed sorts a write's error: a conflict or a busy API server passes; a refusal is for a person to mend and is
// said in the release's status, and from the second time on in the Rollout's.
func (r *Reconciler) failed(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release,
	out release.Outcome, err error,
) (ctrl.Result, error) {
	switch p, ok := errors.AsType[*measure.Problem](err); {
	case ok:
		r.troubles.set(rel.UID, p.Error())
	case isObstacle(err):
		r.troubles.set(rel.UID, err.Error())
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err):
		r.troubles.set(rel.UID, refusal(err))
	}
	if out.Reason.Code == release.ReasonTrouble {
		if e := r.mirror(ctx, write, w, rel, out); e != nil {
			return loop.Retry(e)
		}
	}
	return loop.Retry(err)
}

// refusal is the sentence about a write that the API server refused, with the remedy.
func refusal(err error) string {
	if apierrors.IsForbidden(err) {
		return fmt.Sprintf("the API server refused a write: %v; give the controller's ServiceAccount this right (sluice "+
			"install sets them), or change the admission policy that says no", err)
	}
	return fmt.Sprintf("the API server refused a write: %v", err)
}

const (
	// recheck bounds how long a missed watch event can delay a release.
	recheck = 30 * time.Second
	// passing is how long a wait may last before it is written to the status: pods that start and routes that
	// come into force are mostly seen by then, and a release of many steps would spend half of its writes on
	// telling of them. What a person is asked for is told at once.
	passing = 4 * time.Second
)

// wake is when the release has to be looked at again though nothing happens, and whether that is only to tell of a
// wait.
func (r *Reconciler) wake(w *world, rel *v1alpha1.Release, out release.Outcome) (after time.Duration, tells bool) {
	if out.Memory.Phase.Terminal() {
		r.waits.forget(rel.UID)
		return time.Millisecond, false // Once more, for what comes next.
	}
	if w.unheard() {
		return soon, false
	}
	at := w.now.Add(recheck)
	earliest := func(t time.Time) (is bool) {
		if is = t.After(w.now) && t.Before(at); is {
			at = t
		}
		return is
	}
	earliest(out.Wake)
	for _, s := range w.services {
		earliest(s.readySince.Add(w.propagation()))
	}
	release, rollout := earliest(r.waits.due(rel.UID)), earliest(r.waits.due(w.rollout.UID))
	// controller-runtime takes a RequeueAfter of 0 for none at all.
	return max(at.Sub(w.now), time.Millisecond), release || rollout
}

// answerAll tells people what became of their Decisions, and removes old ones.
func (r *Reconciler) answerAll(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release) error {
	for _, words := range []func(context.Context, *kube.Writer, *world, *v1alpha1.Release) error{
		r.answer, r.answerOthers,
		r.refuseFlood,
	} {
		if err := words(ctx, write, w, rel); err != nil {
			return err
		}
	}
	return r.pruneDecisions(ctx, write, w)
}

// answer writes to each Decision what became of it. The answers stand in the release's memory until they are there.
func (r *Reconciler) answer(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release) error {
	if rel.Status.Memory == nil {
		return nil
	}
	for _, a := range rel.Status.Memory.Answers {
		for _, d := range w.decisions {
			if d.Name != a.Decision || d.Spec.Release != rel.Name {
				continue
			}
			if err := r.answerOne(ctx, write, d, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerOne writes the outcome into a Decision's status.
func (r *Reconciler) answerOne(ctx context.Context, write *kube.Writer, d *v1alpha1.Decision,
	a v1alpha1.DecisionAnswer,
) error {
	after := d.DeepCopy()
	now := metav1.NewTime(r.Now())
	after.Status = v1alpha1.DecisionStatus{Outcome: a.Outcome, Reason: a.Reason, Message: a.Message, At: &now}
	err := write.PatchStatus(ctx, d, after)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
