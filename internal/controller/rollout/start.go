package rollout

import (
	"context"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// startInTurn begins the release of the workload's template, unless one of another Rollout is in its way: then the
// error is that, a *traffic.Busy.
func (c *carrier) startInTurn(ctx context.Context, out *release.RestOutcome) error {
	c.r.beginnings.mu.Lock()
	// The lock is held while the API server is asked and the release is made. Otherwise two Rollouts could each see that
	// nobody is in the way, and begin.
	defer c.r.beginnings.mu.Unlock()
	busy, err := c.r.busy(ctx, c.w)
	if err != nil {
		return err
	}
	if busy != nil {
		return busy
	}
	return c.start(ctx, out)
}

// start makes the Release. Before that, changes has the stable template recorded: from the first moment of a release
// there is something to go back to. A process that dies in between leaves a record that the next try finds.
func (c *carrier) start(ctx context.Context, out *release.RestOutcome) error {
	r, w := c.r, c.w
	to, err := r.next(ctx, w)
	if err != nil {
		return err
	}
	changes, err := r.changes(ctx, c.write, w)
	if err != nil {
		return err
	}
	rel := r.newRelease(w, to)
	rel.Spec.Changes = changes
	err = c.write.Create(ctx, rel)
	if apierrors.IsAlreadyExists(err) {
		out.Phase = "" // Made just now by ourselves; the cache will show it.
		return nil
	}
	if err != nil {
		return err
	}
	r.started(w.rollout, rel)
	r.heldByRelease(w, rel)
	// The cache may not show it yet when the next Rollout looks for releases in its way.
	r.beginnings.made[rel.UID] = rel
	w.releases = append([]*v1alpha1.Release{rel}, w.releases...)
	out.Reason.Message += inWords("; changed: ", changes)
	return nil
}

// newRelease is the Release of the workload's template. The plan is copied into its spec, so that an edit of the
// Rollout does not change the steps of a release in its middle.
func (r *Reconciler) newRelease(w *world, to v1alpha1.Revision) *v1alpha1.Release {
	number := w.nextNumber()
	from := *w.settled
	cause := w.cause()
	author, authors := w.authors()
	plan := planFor(w.plan, cause)
	previewOf, _ := w.previewOf()
	shared := workload.Shared(w.seen.Stable.Template, w.seen.Template)
	yes := true
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.rollout.Namespace, Name: naming.Release(w.rollout.Name, number),
			Labels: map[string]string{v1alpha1.LabelRollout: w.rollout.Name},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "Rollout", Name: w.rollout.Name, UID: w.rollout.UID,
				Controller: &yes,
			}},
		},
		Spec: v1alpha1.ReleaseSpec{
			Rollout: w.rollout.Name, Number: number, From: from, To: to, Plan: plan,
			PlanDigest: translate.Digest(plan, from, to), Author: clip(author), Authors: authors, Cause: cause,
			CanarySuffix: w.suffixOf(number), PreviewOf: previewOf,
			Shared: shared[:min(len(shared), mostShared)], MoreShared: int32(max(0, len(shared)-mostShared)),
		},
	}
}

// mostShared is the number of ConfigMaps and Secrets of both revisions that a release lists. The CRD takes no more
// (maxItems); the others are only counted.
const mostShared = 64

// answerOthers answers Decisions on releases that have ended while another is under way.
func (r *Reconciler) answerOthers(ctx context.Context, write *kube.Writer, w *world, running *v1alpha1.Release) error {
	var late []*v1alpha1.Decision
	for _, d := range w.decisions {
		if !speaksOf(d, running) {
			late = append(late, d)
		}
	}
	if len(late) == 0 {
		return nil
	}
	spec := r.restSpec(w)
	seen := release.RestSeen{
		Told: statusTold(w.rollout.Status), Workload: release.RestWorkload{Exists: w.object != nil},
		Stable: inCore(w.settled),
	}
	for _, d := range late[:min(len(late), wordsPerLook)] {
		answer := release.AnswerLate(spec, seen, w.decisionAtRest(d), running.Name)
		if err := r.answerOne(ctx, write, d, inAPI([]release.Answer{answer})[0]); err != nil {
			return err
		}
	}
	return nil
}

// reasonRetried in a release's timeline takes its rejection back.
const reasonRetried = "Retried"

// retryRelease notes on the record of a release that its revision is tried again, and keeps the answer there. Both are
// one write: should the process die before the Decision has its answer, the next look finds it here. Otherwise it
// would refuse the retry, since the release was retried already.
func (c *carrier) retryRelease(ctx context.Context, a release.RetryRelease, out *release.RestOutcome) error {
	rel, d := c.w.release(a.Release), c.w.decision(a.Decision)
	after := rel.DeepCopy()
	for _, answer := range inAPI(out.Answers) {
		if answer.Decision == a.Decision {
			after.Status.Memory.Answers = append(after.Status.Memory.Answers, answer)
		}
	}
	after.Status.Memory.Answers = after.Status.Memory.Answers[max(0, len(after.Status.Memory.Answers)-mostAnswers):]
	after.Status.Timeline = append(after.Status.Timeline, v1alpha1.TimelineEntry{
		At: metav1.NewTime(c.w.now), Reason: reasonRetried, User: d.Spec.User,
		Message: clip("its revision is tried again. " + d.Spec.Comment),
	})
	after.Status.Timeline = recent(after.Status.Timeline)
	return c.write.PatchStatus(ctx, rel, after)
}

// decision is the unanswered Decision of that name. The core names only those that it was shown, so it is there.
func (w *world) decision(name string) *v1alpha1.Decision {
	i := slices.IndexFunc(w.decisions, func(d *v1alpha1.Decision) bool { return d.Name == name })
	return w.decisions[i]
}

// retried says whether somebody has taken the rejection of the release's revision back.
func retried(rel *v1alpha1.Release) bool {
	for _, e := range rel.Status.Timeline {
		if e.Reason == reasonRetried {
			return true
		}
	}
	return false
}

// kept is the answer to a Decision that a release's record has, nil if it has none.
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

// exists says whether there is a Rollout. On an error it counts as there: no workload is taken from a Rollout on a
// guess.
func (r *Reconciler) exists(ctx context.Context, namespace, rollout string) bool {
	err := r.Kube.Get(ctx, types.NamespacedName{Namespace: namespace, Name: rollout}, &v1alpha1.Rollout{})
	return !apierrors.IsNotFound(err)
}

// olderRollout names another Rollout of the same workload that came first.
func (r *Reconciler) olderRollout(ctx context.Context, ro *v1alpha1.Rollout) string {
	list := &v1alpha1.RolloutList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(ro.Namespace),
		client.MatchingFields{indexWorkload: workloadKey(ro.Spec.Workload)}); err != nil {
		return ""
	}
	for i := range list.Items {
		o := &list.Items[i]
		if o.Name == ro.Name || o.DeletionTimestamp != nil {
			continue
		}
		// Creation times have whole seconds only; the name decides between equal ones, so that both Rollouts agree on who
		// is first.
		if c := o.CreationTimestamp.Compare(ro.CreationTimestamp.Time); c < 0 || c == 0 && o.Name < ro.Name {
			return o.Name
		}
	}
	return ""
}
