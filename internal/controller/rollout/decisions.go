package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
)

// This file has how many Decisions are looked at, and which first. Anybody who may write one may write thousands.

const (
	// wordsPerLook bounds the Decisions that one look answers, so that no other Rollout waits for the rest.
	wordsPerLook = 16
	// mostAnswers is the number of answers that a release's status has room for (status.memory.answers).
	mostAnswers = 32
	// mostWaiting is the number of unanswered Decisions on a release that are heard. Those beyond are refused, but for
	// those that take the release back.
	mostWaiting = 64
	// mostKept is the number of answered Decisions of a Rollout that are kept.
	mostKept = 300
	// strayFor is how long the answer to a Decision on a release that does not exist is kept, for whoever waits for it.
	strayFor = time.Hour
)

// ReasonTooManyDecisions: more unanswered Decisions wait on the release than are heard.
const ReasonTooManyDecisions = "TooManyDecisions"

// urgency is the order in which Decisions on a release are heard: what takes it back comes before all others, and first
// what cannot be refused for another plan.
func urgency(d *v1alpha1.Decision, rel *v1alpha1.Release) int {
	otherPlan := d.Spec.PlanDigest != "" && d.Spec.PlanDigest != rel.Spec.PlanDigest
	switch {
	case otherPlan:
		return 2
	case takesBack(d):
		return 0
	}
	return 1
}

// takesBack says whether a Decision takes its release back.
func takesBack(d *v1alpha1.Decision) bool {
	return d.Spec.Verb == v1alpha1.VerbAbort || d.Spec.Verb == v1alpha1.VerbReject
}

// waiting are the unanswered Decisions on a release, in the order in which they are heard: by urgency, and then in
// turns, each user's oldest first. So whoever writes thousands does not keep others waiting.
func (w *world) waiting(rel *v1alpha1.Release) []*v1alpha1.Decision {
	type turn struct {
		user    string
		urgency int
	}
	var out []*v1alpha1.Decision
	turns, nth := map[turn]int{}, map[*v1alpha1.Decision]int{}
	for _, d := range w.decisions { // As old as they are.
		if speaksOf(d, rel) && !answered(rel, d.Name) {
			out = append(out, d)
			t := turn{d.Spec.User, urgency(d, rel)}
			nth[d] = turns[t]
			turns[t]++
		}
	}
	slices.SortStableFunc(out, func(a, b *v1alpha1.Decision) int {
		return cmp.Or(urgency(a, rel)-urgency(b, rel), nth[a]-nth[b])
	})
	return out
}

// heard are the Decisions that are shown to the core in this look: no more than there is room for their answers.
func (w *world) heard(rel *v1alpha1.Release) []*v1alpha1.Decision {
	room := mostAnswers
	if m := rel.Status.Memory; m != nil {
		room -= len(m.Answers)
	}
	all := w.waiting(rel)
	return all[:min(len(all), wordsPerLook, max(room, 0))]
}

// refuseFlood answers Decisions beyond those that are heard.
func (r *Reconciler) refuseFlood(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release) error {
	all := w.waiting(rel)
	if len(all) <= mostWaiting {
		return nil
	}
	done := 0
	for _, d := range all[mostWaiting:] {
		if urgency(d, rel) == 0 {
			continue
		}
		if done++; done > wordsPerLook {
			return nil
		}
		a := v1alpha1.DecisionAnswer{
			Decision: d.Name, Outcome: v1alpha1.DecisionRefused, Reason: ReasonTooManyDecisions,
			Message: fmt.Sprintf("%d decisions on %s wait for an answer, and %d are heard; decide again", len(all), rel.Name,
				mostWaiting),
		}
		if err := r.answerOne(ctx, write, d, a); err != nil {
			return err
		}
	}
	return nil
}

// soon is when the rest is looked at, after a look that could not answer all.
const soon = 5 * time.Millisecond

// unheard says whether Decisions wait that this look has not answered.
func (w *world) unheard() bool { return len(w.decisions) > wordsPerLook }

// pruneDecisions removes answered Decisions: those whose release's record is gone, and the oldest where there are many.
func (r *Reconciler) pruneDecisions(ctx context.Context, write *kube.Writer, w *world) error {
	records := w.records()
	kept := records[:min(len(records), historyLimit(w.rollout))]
	has := func(list []*v1alpha1.Release, name string) bool {
		return slices.ContainsFunc(list, func(rel *v1alpha1.Release) bool { return rel.Name == name })
	}
	done := 0
	for i, d := range w.answered {
		pruned := !has(kept, d.Spec.Release) && (has(records, d.Spec.Release) || len(kept) < len(records))
		if old := i < len(w.answered)-mostKept; !old && !pruned && !(stray(d, w.now) && !has(kept, d.Spec.Release)) {
			continue
		}
		if done++; done > wordsPerLook {
			return nil
		}
		if err := write.Delete(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// stray says whether whoever wrote a Decision on a release that does not exist has had the time to read the answer.
func stray(d *v1alpha1.Decision, now time.Time) bool {
	return d.Status.At != nil && now.Sub(d.Status.At.Time) > strayFor
}

// answerStrays answers Decisions on releases of a Rollout that does not exist, and removes them an hour later. Those on
// a Release that is kept after its Rollout has gone are part of its record.
func (r *Reconciler) answerStrays(ctx context.Context, write *kube.Writer, key types.NamespacedName) (
	ctrl.Result, error,
) {
	list := &v1alpha1.DecisionList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(key.Namespace),
		client.MatchingFields{indexRollout: key.Name}); err != nil {
		return ctrl.Result{}, fmt.Errorf("list Decisions: %w", err)
	}
	now, done, again := r.Now(), 0, time.Duration(0)
	for i := range list.Items {
		d := &list.Items[i]
		if done == wordsPerLook {
			return ctrl.Result{RequeueAfter: soon}, nil
		}
		switch err := r.Kube.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.Release},
			&v1alpha1.Release{}); {
		case err == nil && d.Status.Outcome != "":
			continue
		case err != nil && !apierrors.IsNotFound(err):
			return ctrl.Result{}, fmt.Errorf("read Release %s: %w", d.Spec.Release, err)
		}
		if d.Status.Outcome != "" && !stray(d, now) {
			again = strayFor
			continue
		}
		done++
		if err := r.endStray(ctx, write, d); err != nil {
			return loop.Retry(err)
		}
		again = strayFor
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// endStray answers a Decision that nobody else does, or removes it if it has its answer.
func (r *Reconciler) endStray(ctx context.Context, write *kube.Writer, d *v1alpha1.Decision) error {
	if d.Status.Outcome != "" {
		return write.Delete(ctx, d)
	}
	return r.answerOne(ctx, write, d, v1alpha1.DecisionAnswer{
		Decision: d.Name, Outcome: v1alpha1.DecisionRefused, Reason: release.ReasonUnknownDecision,
		Message: fmt.Sprintf("there is no release %s under way in namespace %s, and no Rollout that it could be of; see "+
			"sluice list", d.Spec.Release, d.Namespace),
	})
}

// keyOfDecision is the Rollout that a Decision is looked at with: the one that its release is named after, or one of
// the release's own name, where that is no name of a release. So each is answered, whatever it names.
func keyOfDecision(d *v1alpha1.Decision) string {
	if name := rolloutOf(d.Spec.Release); name != "" {
		return name
	}
	return d.Spec.Release
}

// ofDecision brings back the Rollout that has to answer a Decision. An answered one asks for nothing; otherwise each
// answer would bring one more look.
func ofDecision(_ context.Context, o client.Object) []string {
	d := o.(*v1alpha1.Decision)
	if d.Status.Outcome != "" {
		return nil
	}
	return one(keyOfDecision(d))
}

// ofAnswered brings answered Decisions back when the controller starts, so that strays are removed in the end.
func ofAnswered() handler.EventHandler {
	return handler.Funcs{CreateFunc: func(_ context.Context, e event.CreateEvent,
		q workqueue.TypedRateLimitingInterface[reconcile.Request],
	) {
		if d := e.Object.(*v1alpha1.Decision); d.Status.Outcome != "" {
			q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: d.Namespace, Name: keyOfDecision(d)}},
				time.Minute)
		}
	}}
}

// tooMuch says whether the API server does not store an object as it is: it is invalid, or too large.
func tooMuch(err error) bool {
	// etcd's own limit reaches us without a reason that could be asked for, so its text has to do.
	return apierrors.IsInvalid(err) || apierrors.IsRequestEntityTooLargeError(err) || err != nil &&
		strings.Contains(err.Error(), "request is too large")
}

// degraded is a status that says the least: where the release stands and what it has to remember. It is written where
// the full one is not stored, so that nothing that people wrote can stop a release, above all not an abort.
func degraded(rel *v1alpha1.Release, full v1alpha1.ReleaseStatus) v1alpha1.ReleaseStatus {
	s := *rel.Status.DeepCopy()
	s.Phase, s.Memory, s.StartedAt, s.FinishedAt = full.Phase, full.Memory.DeepCopy(), full.StartedAt, full.FinishedAt
	s.Weight, s.Replicas, s.StepSummary, s.WaitingFor = full.Weight, full.Replicas, full.StepSummary, nil
	s.Layers = nil
	s.Timeline = s.Timeline[max(0, len(s.Timeline)-timelineLimit/4):]
	if full.Result != "" {
		s.Result = string(full.Phase)
	}
	if s.Memory != nil {
		s.Memory.EndMessage = unsaid(s.Memory.End)
		for i := range s.Memory.Answers {
			s.Memory.Answers[i].Message = ""
		}
		for i := range s.Memory.Approvals {
			s.Memory.Approvals[i].Comment = ""
		}
	}
	return s
}

// unsaid is the sentence for an end whose own sentence was not stored.
func unsaid(end string) string {
	if end == "" {
		return ""
	}
	return end + " (the record of it was too large to be stored)"
}
