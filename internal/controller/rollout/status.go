package rollout

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/release"
)

// timelineLimit is the number of entries of a release's record that are kept. The CRD takes no more (maxItems).
const timelineLimit = 100

// project is a release's status after a decision.
func (r *Reconciler) project(w *world, rel *v1alpha1.Release, spec release.Spec,
	out release.Outcome,
) v1alpha1.ReleaseStatus {
	s := *rel.Status.DeepCopy()
	s.Phase = v1alpha1.ReleasePhase(out.Memory.Phase)
	s.StepSummary = stepSummary(spec, out.Memory)
	s.Weight = ptr.To(int32(w.weight()))
	s.Replicas = w.replicas()
	s.Layers = w.layerStatus(out.Memory)
	s.WaitingFor = steady(rel.Status.WaitingFor, waiting(out.Reason, w.now))
	s.Memory = writeMemory(out.Memory, answers(w, rel, out.Answers))
	s.StartedAt = &metav1.Time{Time: out.Memory.StartedAt}
	for _, e := range out.Events {
		s.Timeline = append(s.Timeline, v1alpha1.TimelineEntry{
			At: metav1.NewTime(w.now), Reason: e.Code, Message: clip(e.Message), User: e.User,
		})
	}
	s.Timeline = recent(s.Timeline)
	if out.Memory.Phase.Terminal() {
		s.Result, s.WaitingFor = clip(out.Reason.Message), nil
		s.FinishedAt = ptr.To(metav1.NewTime(w.now))
		s.Weight, s.Layers = nil, nil
	}
	releaseConditions(&s, rel, out)
	return s
}

// timelineBytes bounds what the record takes: the API server stores no object of more than 1.5 MiB, of which a plan may
// be half.
const timelineBytes = 256 << 10

// recent are the last entries of a record, as many as there is room for.
func recent(all []v1alpha1.TimelineEntry) []v1alpha1.TimelineEntry {
	all = all[max(0, len(all)-timelineLimit):]
	size := 0
	for i := len(all) - 1; i >= 0; i-- {
		// A character that is no letter takes up to six bytes in JSON.
		if size += 100 + 6*(len(all[i].Message)+len(all[i].User)); size > timelineBytes && i < len(all)-1 {
			return all[i+1:]
		}
	}
	return all
}

// due says whether the status has to be written now: at once when there is something to remember or to record,
// after a while when only the words or the numbers have changed.
func (r *Reconciler) due(rel *v1alpha1.Release, status v1alpha1.ReleaseStatus, before release.Memory,
	out release.Outcome, now time.Time,
) bool {
	state := out.Reason.Code + status.StepSummary
	switch {
	case begins(rel, before, out):
		state = "beginning"
	case out.Memory.MustStore(before) || len(out.Events) > 0 || len(out.Answers) > 0:
		return true
	}
	told := equality.Semantic.DeepEqual(tellable(rel.Status), tellable(status))
	lasts := r.waits.lasts(rel.UID, state, told, now)
	return lasts && !nearlyOver(out.Reason, now)
}

// begins says whether all that there is to remember is that the first step began. A release without a memory is at
// its beginning, so that is known without being stored, and mostly the next look has more to store. Should the
// process end before, the first step's clock begins a few seconds later.
func begins(rel *v1alpha1.Release, before release.Memory, out release.Outcome) bool {
	after := out.Memory
	after.StepStartedAt = before.StepStartedAt
	return rel.Status.Memory == nil && after.Equal(before) && len(out.Answers) == 0 && !asksAPerson(out.Reason.Code)
}

// tellable is what of a status is worth a write of its own.
func tellable(s v1alpha1.ReleaseStatus) v1alpha1.ReleaseStatus {
	out := v1alpha1.ReleaseStatus{
		Phase: s.Phase, StepSummary: s.StepSummary, Weight: s.Weight, Replicas: s.Replicas,
		Result: s.Result,
	}
	out.WaitingFor = told(s.WaitingFor)
	return out
}

// told is a wait as it is stored: to the second.
func told(w *v1alpha1.WaitingFor) *v1alpha1.WaitingFor {
	if w == nil {
		return nil
	}
	out := w.DeepCopy()
	for _, at := range []*metav1.Time{out.Since, out.Until} {
		if at != nil {
			*at = metav1.NewTime(at.UTC().Truncate(time.Second))
		}
	}
	return out
}

// releaseConditions says where the release stands. Stalled is True only for what no waiting mends.
func releaseConditions(s *v1alpha1.ReleaseStatus, rel *v1alpha1.Release, out release.Outcome) {
	ready, reconciling, stalled := metav1.ConditionFalse, metav1.ConditionTrue, metav1.ConditionFalse
	switch {
	case out.Memory.Phase.Terminal():
		// Ready says that nothing is left to be done, also of a release that was aborted.
		ready, reconciling = metav1.ConditionTrue, metav1.ConditionFalse
	case out.Reason.Code == release.ReasonTrouble || out.Reason.Code == release.ReasonStepFailed ||
		out.Reason.Code == release.ReasonGuardRefused || out.Reason.Code == release.ReasonMemoryInvalid:
		stalled = metav1.ConditionTrue
	}
	conditions(&s.Conditions, rel.Generation, out.Reason.Code, out.Reason.Message, ready, reconciling, stalled)
}

// conditions sets the three conditions by which tools such as kstatus judge an object. The time of each changes only
// with its status.
func conditions(list *[]metav1.Condition, generation int64, reason, message string, ready, reconciling,
	stalled metav1.ConditionStatus,
) {
	// The API server takes no condition without a reason.
	if reason == "" {
		reason = "Progressing"
	}
	for _, c := range []struct {
		kind   string
		status metav1.ConditionStatus
	}{
		{v1alpha1.ConditionReady, ready},
		{v1alpha1.ConditionReconciling, reconciling},
		{v1alpha1.ConditionStalled, stalled},
	} {
		meta.SetStatusCondition(list, metav1.Condition{
			Type: c.kind, Status: c.status, Reason: reason, Message: clip(message), ObservedGeneration: generation,
		})
	}
}

// stepSummary is the step in short, as "2/5 ten percent". It is empty where the memory is at no step of the plan.
func stepSummary(spec release.Spec, m release.Memory) string {
	if m.Phase == release.Completing || m.Phase == release.Succeeded {
		return fmt.Sprintf("%d/%d done", len(spec.Steps), len(spec.Steps))
	}
	if m.Step < 0 || m.Step >= len(spec.Steps) {
		return ""
	}
	return fmt.Sprintf("%d/%d %s", m.Step+1, len(spec.Steps), spec.Steps[m.Step].Name)
}

// waiting is a reason in the API's words. A time to which something was awaited and that has passed is no bound any
// more.
func waiting(reason release.Reason, now time.Time) *v1alpha1.WaitingFor {
	if reason.Code == "" {
		return nil
	}
	w := &v1alpha1.WaitingFor{Reason: reason.Code, Message: clip(reason.Message), Who: reason.Who}
	if !reason.Since.IsZero() {
		w.Since = &metav1.Time{Time: reason.Since}
	}
	if reason.Until.After(now) {
		w.Until = &metav1.Time{Time: reason.Until}
	}
	return w
}

// steady keeps the times of a wait whose beginning no memory keeps, or every look would begin it anew and be written.
func steady(before, now *v1alpha1.WaitingFor) *v1alpha1.WaitingFor {
	if before == nil || now == nil || before.Reason != now.Reason || before.Since == nil {
		return now
	}
	if now.Reason == release.ReasonGuardRefused || now.Reason == release.ReasonMemoryInvalid {
		now.Since, now.Until = before.Since, before.Until
	}
	return now
}

// weight is the canary's share of requests in percent as the layers have it, or, without layers, its share of the
// ready pods.
func (w *world) weight() int {
	if w.turned() || w.onNew {
		return 100
	}
	if len(w.layers) > 0 {
		return w.layers[0].state.Weight
	}
	counts := w.replicas()
	if all := counts.Stable + counts.Canary; all > 0 && w.byPods() {
		return int((counts.Canary*100 + all/2) / all)
	}
	return 0
}

func (w *world) replicas() *v1alpha1.VersionReplicas {
	stable, canary := w.seen.Stable.Now(), w.seen.Canary.Now()
	return &v1alpha1.VersionReplicas{
		Stable: int32(stable.Ready), Canary: int32(canary.Ready),
		CanaryDesired: int32(canary.Desired),
	}
}

// layerStatus is what the layers do, as they were seen before the decision that left this memory.
func (w *world) layerStatus(m release.Memory) []v1alpha1.LayerStatus {
	var out []v1alpha1.LayerStatus
	for _, l := range w.layers {
		seen := l.observed()
		settled := m.SettledAt(seen)
		s := v1alpha1.LayerStatus{
			Name: l.name, Matches: int32(len(seen.Matches)), InForce: seen.Settled && !w.now.Before(settled),
			Problem: clip(seen.Problem),
		}
		if seen.Routed {
			s.Weight = ptr.To(int32(seen.Weight))
		}
		if settled.After(w.now) {
			s.Until = &metav1.Time{Time: settled}
		}
		for _, sv := range w.services {
			if l.leadsTo(sv.object.Name) {
				s.Services = append(s.Services, sv.object.Name)
			}
		}
		out = append(out, s)
	}
	return out
}

// phases of a Rollout while a release is in one of its own.
var phases = map[release.Phase]v1alpha1.RolloutPhase{
	release.Progressing: v1alpha1.RolloutProgressing,
	release.Paused:      v1alpha1.RolloutPaused,
	release.Completing:  v1alpha1.RolloutCompleting,
	release.Aborting:    v1alpha1.RolloutAborting,
}

// mirror shows the running release in its Rollout's status. States that pass at once are not shown there.
func (r *Reconciler) mirror(ctx context.Context, write *kube.Writer, w *world, rel *v1alpha1.Release,
	out release.Outcome,
) error {
	phase, running := phases[out.Memory.Phase]
	if !running || w.abandoned {
		return nil // The end is told from the record, see tellRest in rest.go.
	}
	if w.rollout.DeletionTimestamp != nil {
		phase = v1alpha1.RolloutRemoving
	}
	after := w.rollout.DeepCopy()
	s := &after.Status
	observedAt(s, after.Generation)
	s.Phase, s.CurrentRelease, s.CurrentReleaseUID, s.Rollback = phase, rel.Name, string(rel.UID), nil
	s.LastNumber = max(s.LastNumber, rel.Spec.Number)
	s.Step, s.Weight = rel.Status.StepSummary, rel.Status.Weight
	s.WaitingFor = steady(w.rollout.Status.WaitingFor, waiting(out.Reason, w.now))
	stalled := metav1.ConditionFalse
	if out.Reason.Code == release.ReasonTrouble {
		stalled = metav1.ConditionTrue
	}
	conditions(&s.Conditions, after.Generation, out.Reason.Code, out.Reason.Message, metav1.ConditionFalse,
		metav1.ConditionTrue, stalled)
	meta.SetStatusCondition(&s.Conditions, w.heldCondition(out.Reason))
	r.observeForeign(ctx, w)
	if w.unreleased != nil {
		meta.SetStatusCondition(&s.Conditions, *w.unreleased)
	}
	told := equality.Semantic.DeepEqual(mirrored(w.rollout.Status), mirrored(*s))
	lasts := r.waits.lasts(w.rollout.UID, string(s.Phase)+s.Step+out.Reason.Code, told, w.now)
	lasts = lasts && !nearlyOver(out.Reason, w.now)
	if w.rollout.Status.ObservedGeneration != s.ObservedGeneration {
		// Whoever has just changed the Rollout must not be told that nobody has looked at it.
		return write.PatchStatus(ctx, w.rollout, after)
	}
	// A release that the status does not name yet, and what a person is asked for, are shown at once.
	if told || !lasts && w.rollout.Status.CurrentRelease == rel.Name && !asksAPerson(out.Reason.Code) {
		return nil
	}
	return write.PatchStatus(ctx, w.rollout, after)
}

// nearlyOver says whether a wait ends by itself before a state that began now would be told.
func nearlyOver(reason release.Reason, now time.Time) bool {
	return !reason.Until.IsZero() && reason.Until.Before(now.Add(passing))
}

// observedAt says that a whole status speaks of this generation, those conditions too that other looks have found.
func observedAt(s *v1alpha1.RolloutStatus, generation int64) {
	s.ObservedGeneration = generation
	for i := range s.Conditions {
		s.Conditions[i].ObservedGeneration = generation
	}
}

// mirrored is what of a Rollout's status is worth a write of its own while a release is under way. That no foreign
// pods are seen is worth none, but that they are gone is.
func mirrored(s v1alpha1.RolloutStatus) v1alpha1.RolloutStatus {
	out := v1alpha1.RolloutStatus{Phase: s.Phase, CurrentRelease: s.CurrentRelease, Step: s.Step, Weight: s.Weight}
	for _, kind := range []string{v1alpha1.ConditionHeld, v1alpha1.ConditionUnreleasedPods} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c != nil &&
			(kind == v1alpha1.ConditionHeld || c.Status == metav1.ConditionTrue) {
			out.Conditions = append(out.Conditions, metav1.Condition{Type: c.Type, Status: c.Status, Reason: c.Reason})
		}
	}
	out.WaitingFor = told(s.WaitingFor)
	return out
}

// report writes the status of a Rollout that has no release under way.
func (r *Reconciler) report(ctx context.Context, write *kube.Writer, w *world, change func(*v1alpha1.RolloutStatus),
	phase v1alpha1.RolloutPhase, reason release.Reason,
) error {
	after := w.rollout.DeepCopy()
	s := &after.Status
	observedAt(s, after.Generation)
	s.Phase, s.Step, s.Weight = phase, "", nil
	s.WaitingFor = nil
	if change != nil {
		change(s)
	}
	if latest := w.latest(); latest != nil {
		s.CurrentRelease, s.CurrentReleaseUID, s.LastNumber = latest.Name, string(latest.UID),
			max(s.LastNumber, latest.Spec.Number)
	}
	if s.Rollback != nil && !w.rollsBack() {
		s.Rollback = nil // It has become a release, or something else was written.
	}
	ready, reconciling, stalled := metav1.ConditionFalse, metav1.ConditionFalse, metav1.ConditionFalse
	switch phase {
	case v1alpha1.RolloutHealthy:
		ready = metav1.ConditionTrue
		if reason.Code != release.ReasonHealthy {
			s.WaitingFor = keepSince(w.rollout.Status.WaitingFor, waiting(reason, w.now), w.now)
		}
	case v1alpha1.RolloutStalled, v1alpha1.RolloutRejected:
		stalled = metav1.ConditionTrue
		s.WaitingFor = keepSince(w.rollout.Status.WaitingFor, waiting(reason, w.now), w.now)
	default:
		reconciling = metav1.ConditionTrue
		s.WaitingFor = keepSince(w.rollout.Status.WaitingFor, waiting(reason, w.now), w.now)
	}
	conditions(&s.Conditions, after.Generation, reason.Code, reason.Message, ready, reconciling, stalled)
	meta.SetStatusCondition(&s.Conditions, w.heldCondition(reason))
	if w.unreleased == nil {
		r.observeForeign(ctx, w)
	}
	if w.unreleased != nil {
		meta.SetStatusCondition(&s.Conditions, *w.unreleased)
	}
	return write.PatchStatus(ctx, w.rollout, after)
}

// heldCondition says whether new revisions are held. reason is why the Rollout stands where it stands.
func (w *world) heldCondition(reason release.Reason) metav1.Condition {
	held, why := release.Held(
		release.RestSpec{Kind: w.kind(), Workload: w.rollout.Spec.Workload.Name, KeepPaused: w.keptPaused},
		release.RestWorkload{
			Exists: w.object != nil, Paused: w.seen.Paused,
			Ours: w.object != nil && w.object.GetLabels()[v1alpha1.LabelRollout] == w.rollout.Name,
		}, reason)
	c := metav1.Condition{
		Type: v1alpha1.ConditionHeld, Status: metav1.ConditionFalse, Reason: why.Code, Message: clip(why.Message),
		ObservedGeneration: w.rollout.Generation,
	}
	if held {
		c.Status = metav1.ConditionTrue
	}
	return c
}

// keepSince has a wait that goes on keep its beginning.
func keepSince(before, now *v1alpha1.WaitingFor, at time.Time) *v1alpha1.WaitingFor {
	if now == nil {
		return nil
	}
	if before != nil && before.Reason == now.Reason && before.Since != nil {
		now.Since = before.Since
	} else if now.Since == nil {
		now.Since = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	return now
}
