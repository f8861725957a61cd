package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

const defaultHistory = translate.DefaultHistoryLimit

// problem is what is wrong with the spec in this world, in a sentence that names the field and the remedy; empty if
// nothing is.
func (r *Reconciler) problem(w *world) string {
	if w.trouble != "" {
		return w.trouble
	}
	if len(w.unproven) > 0 {
		return fmt.Sprintf("%s: labelled as of this Rollout, but no release of it made it; it may come from a backup: remove it, or its label %s", strings.Join(preflight.FirstOf(w.unproven, 3), ", "), v1alpha1.LabelRollout)
	}
	plan := translate.Plan(w.rollout, r.Layers)
	spec := translate.Spec(plan, "from", "to")
	for _, p := range release.Validate(spec) {
		return p.String()
	}
	if p := w.checkLeaving(); p != "" {
		return p
	}
	if len(plan.Traffic) == 0 {
		return w.undivided()
	}
	switch {
	case len(w.services) == 0 && len(w.untouched) > 0:
		return preflight.AllLeft(w.object.GetName(), w.untouched)
	case len(w.services) == 0:
		return preflight.NoService(w.rollout.Namespace, w.object.GetName(), w.seen.Template.Labels)
	}
	for _, s := range w.services {
		if len(s.foreign) > 0 {
			return preflight.SelectsOthers(s.object.Name, w.object.GetName(), s.foreign)
		}
	}
	for _, l := range w.layers {
		err := l.provider.Check(l.together(w), traffic.Splits(spec))
		if _, busy := errors.AsType[*traffic.Busy](err); err != nil && !busy { // startInTurn waits for what is busy.
			return err.Error()
		}
	}
	return ""
}

// start begins the release of the workload's template.
func (r *Reconciler) start(ctx context.Context, write *kube.Writer, w *world, record func(*v1alpha1.RolloutStatus)) error {
	to, err := r.next(ctx, w)
	if err != nil {
		return err
	}
	changes, err := r.changes(ctx, write, w)
	if err != nil {
		return err
	}
	rel := r.newRelease(w, to)
	rel.Spec.Changes = changes
	err = write.Create(ctx, rel)
	if apierrors.IsAlreadyExists(err) {
		return nil // Made just now by ourselves; the cache will show it.
	}
	if err != nil {
		return err
	}
	r.started(w.rollout, rel)
	r.heldByRelease(w, rel)
	r.beginnings.made[rel.UID] = rel
	w.releases = append([]*v1alpha1.Release{rel}, w.releases...)
	message := clip(fmt.Sprintf("%s begins: %s%s", rel.Name, workload.Describe(rel.Spec.To), inWords("; changed: ", changes)))
	return r.report(ctx, write, w, func(s *v1alpha1.RolloutStatus) { record(s); s.Rejected = nil },
		v1alpha1.RolloutProgressing, release.Reason{Code: ReasonStarting, Message: message, Who: "Sluice"})
}

func (r *Reconciler) newRelease(w *world, to v1alpha1.Revision) *v1alpha1.Release {
	number := max(w.lastNumber(), w.taken) + 1
	from := *w.settled
	cause := w.cause()
	author, authors := w.authors()
	plan := planFor(w.plan, cause)
	shared := workload.Shared(w.seen.Stable.Template, w.seen.Template)
	yes := true
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.rollout.Namespace, Name: naming.Release(w.rollout.Name, number),
			Labels: map[string]string{v1alpha1.LabelRollout: w.rollout.Name},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: w.rollout.Name, UID: w.rollout.UID, Controller: &yes,
			}},
		},
		Spec: v1alpha1.ReleaseSpec{
			Rollout: w.rollout.Name, Number: number, From: from, To: to, Plan: plan,
			PlanDigest: translate.Digest(plan, from, to), Author: clip(author), Authors: authors, Cause: cause,
			CanarySuffix: w.suffixOf(number),
			Shared:       shared[:min(len(shared), mostShared)], MoreShared: int32(max(0, len(shared)-mostShared)),
		},
	}
}

// mostShared is the number of ConfigMaps and Secrets of both revisions that a release lists.
const mostShared = 64

// answerEnded answers Decisions on releases that are not under way: retry and rollback begin a new one, the
// others come too late.
func (r *Reconciler) answerEnded(ctx context.Context, write *kube.Writer, w *world) (bool, ctrl.Result, error) {
	for _, d := range w.decisions[:min(len(w.decisions), wordsPerLook)] {
		a, act := r.judge(w, d)
		if act != nil {
			err := act(ctx, write)
			if refused := unanswerable(w, d, err); refused != nil {
				a, act, err = *refused, nil, nil
			}
			if err != nil {
				return true, ctrl.Result{}, err
			}
		}
		if err := r.answerOne(ctx, write, d, a); err != nil {
			return true, ctrl.Result{}, err
		}
		if act != nil {
			return true, ctrl.Result{}, nil
		}
	}
	return false, ctrl.Result{}, nil
}

// answerOthers answers Decisions on releases that have ended while another is under way.
func (r *Reconciler) answerOthers(ctx context.Context, write *kube.Writer, w *world, running *v1alpha1.Release) error {
	done := 0
	for _, d := range w.decisions {
		if speaksOf(d, running) {
			continue
		}
		if done++; done > wordsPerLook {
			return nil
		}
		a, act := r.judge(w, d)
		if act != nil {
			a = v1alpha1.DecisionAnswer{
				Decision: d.Name, Outcome: v1alpha1.DecisionRefused, Reason: ReasonReleaseUnderWay,
				Message: fmt.Sprintf("%s is under way; abort it, or let it end, before you %s", running.Name, d.Spec.Verb),
			}
		}
		if err := r.answerOne(ctx, write, d, a); err != nil {
			return err
		}
	}
	return nil
}

type act func(ctx context.Context, write *kube.Writer) error

// judge says what becomes of a Decision on a release that has ended, and what has to be done before it is told so.
func (r *Reconciler) judge(w *world, d *v1alpha1.Decision) (v1alpha1.DecisionAnswer, act) {
	refuse := func(code, format string, args ...any) (v1alpha1.DecisionAnswer, act) {
		return v1alpha1.DecisionAnswer{Decision: d.Name, Outcome: v1alpha1.DecisionRefused, Reason: code, Message: fmt.Sprintf(format, args...)}, nil
	}
	rel := w.release(d.Spec.Release)
	switch {
	case rel != nil && !speaksOf(d, rel):
		return refuse(ReasonUnknownDecision, "the decision is older than release %s, which it cannot have meant; decide again", rel.Name)
	case rel == nil && isReleaseOf(w.rollout.Name, d.Spec.Release):
		// An answer kept in the memory of a release that has just ended was given by drive.go.
		return refuse(ReasonUnknownDecision, "there is no release %s of Rollout %s; see sluice history %s", d.Spec.Release, w.rollout.Name, w.rollout.Name)
	case rel == nil:
		return refuse(ReasonUnknownDecision, "there is no release %s", d.Spec.Release)
	}
	if given := kept(rel, d.Name); given != nil {
		return *given, nil
	}
	switch d.Spec.Verb {
	case v1alpha1.VerbRetry:
		if w.latest() != rel || w.rejected() == nil || w.rejected().Hash != w.seen.Template.Hash {
			return refuse(ReasonNothingToRetry, "%s is not the release whose revision was rejected last and is still in the pod template; there is nothing to try again", rel.Name)
		}
		a := v1alpha1.DecisionAnswer{Decision: d.Name, Outcome: v1alpha1.DecisionApplied, Reason: "Retried", Message: fmt.Sprintf("the revision of %s is tried again by a new release", rel.Name)}
		return a, func(ctx context.Context, write *kube.Writer) error { return r.markRetried(ctx, write, rel, d, a) }
	case v1alpha1.VerbRollback:
		return r.judgeRollback(w, rel, d, refuse)
	default:
		return refuse(ReasonReleaseEnded, "%s has ended (%s); there is nothing to %s", rel.Name, rel.Status.Phase, d.Spec.Verb)
	}
}

// reasonRetried in a release's timeline takes its rejection back.
const reasonRetried = "Retried"

// markRetried keeps the answer in the same write: should the process end before the Decision has it, the retry would
// be found done, and refused.
func (r *Reconciler) markRetried(ctx context.Context, write *kube.Writer, rel *v1alpha1.Release, d *v1alpha1.Decision, a v1alpha1.DecisionAnswer) error {
	after := rel.DeepCopy()
	after.Status.Memory.Answers = append(after.Status.Memory.Answers, a)
	after.Status.Memory.Answers = after.Status.Memory.Answers[max(0, len(after.Status.Memory.Answers)-mostAnswers):]
	after.Status.Timeline = append(after.Status.Timeline, v1alpha1.TimelineEntry{
		At: metav1.NewTime(r.Now()), Reason: reasonRetried, Message: clip("its revision is tried again. " + d.Spec.Comment), User: d.Spec.User,
	})
	after.Status.Timeline = recent(after.Status.Timeline)
	return write.PatchStatus(ctx, rel, after)
}

func retried(_ *world, rel *v1alpha1.Release) bool {
	for _, e := range rel.Status.Timeline {
		if e.Reason == reasonRetried {
			return true
		}
	}
	return false
}

func kept(rel *v1alpha1.Release, decision string) *v1alpha1.DecisionAnswer {
	if rel.Status.Memory == nil {
		return nil
	}
	for i, a := range rel.Status.Memory.Answers {
		if a.Decision == decision {
			return &rel.Status.Memory.Answers[i]
		}
	}
	return nil
}

func (w *world) release(name string) *v1alpha1.Release {
	for _, rel := range w.releases {
		if rel.Name == name {
			return rel
		}
	}
	return nil
}

// isReleaseOf says whether a release of this name would be one of the Rollout's.
func isReleaseOf(rollout, release string) bool { return rolloutOf(release) == rollout }

// rolloutOf is the Rollout's name in a release's, "shop" of "shop-12".
func rolloutOf(release string) string {
	i := strings.LastIndex(release, "-")
	if i <= 0 || strings.Trim(release[i+1:], "0123456789") != "" {
		return ""
	}
	return release[:i]
}

func (r *Reconciler) exists(ctx context.Context, namespace, rollout string) bool {
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: rollout}, &v1alpha1.Rollout{})
	return !apierrors.IsNotFound(err)
}

// olderRollout names another Rollout of the same workload that came first.
func (r *Reconciler) olderRollout(ctx context.Context, ro *v1alpha1.Rollout) string {
	list := &v1alpha1.RolloutList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(ro.Namespace), client.MatchingFields{indexWorkload: workloadKey(ro.Spec.Workload)}); err != nil {
		return ""
	}
	for i := range list.Items {
		o := &list.Items[i]
		if o.Name == ro.Name || o.DeletionTimestamp != nil {
			continue
		}
		if c := o.CreationTimestamp.Compare(ro.CreationTimestamp.Time); c < 0 || c == 0 && o.Name < ro.Name {
			return o.Name
		}
	}
	return ""
}

func forbidden(err error) bool {
	var s apierrors.APIStatus
	return errors.As(err, &s) && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
}
