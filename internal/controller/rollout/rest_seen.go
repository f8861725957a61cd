package rollout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file shows the core what there is while no release is under way.

// restSpec is what the Rollout asks for, in the core's words.
func (r *Reconciler) restSpec(w *world) release.RestSpec {
	return release.RestSpec{
		Rollout: w.rollout.Name, Namespace: w.rollout.Namespace,
		Workload: w.rollout.Spec.Workload.Name, Kind: w.kind(), Part: w.driver.Kinds().Part.Kind,
		Label: v1alpha1.LabelRollout, KeepPaused: w.keptPaused, History: historyLimit(w.rollout),
		Plan: translate.Spec(translate.Plan(w.rollout, r.Layers), "", ""),
	}
}

// restSeen is the world in the core's words.
func (r *Reconciler) restSeen(ctx context.Context, w *world) (release.RestSeen, error) {
	o := release.RestSeen{
		Removing: w.rollout.DeletionTimestamp != nil, Told: statusTold(w.rollout.Status), Memory: r.rests.of(w.rollout.UID),
		Finalizer: controllerutil.ContainsFinalizer(w.rollout, v1alpha1.FinalizerRollout),
		Stable:    inCore(w.settled), Running: inCore(w.seen.Running), Unproven: w.unproven,
	}
	// The workload is being taken over: what it runs is the stable revision from now on. The driver reads again, since
	// it tells the parts apart by that.
	if w.settled == nil && w.seen.Running != nil {
		w.settled = w.seen.Running
		w.look()
	}
	if err := r.observeTraffic(ctx, w); err != nil {
		return o, err
	}
	o.StablePods = w.seen.Stable.Now()
	if p := w.seen.Stable; p != nil {
		o.StableLabels = labels.FormatLabels(p.Template.Labels)
	}
	o.Workload = r.restWorkload(ctx, w)
	for i := range w.seen.Left {
		o.Remains = append(o.Remains, release.Remains{Name: w.seen.Left[i].Name(), Pods: w.seen.Left[i].Track.Desired})
	}
	o.Unkept = r.wouldWrite(w, release.KeepStable{})
	w.restServices(&o)
	for _, l := range w.layers {
		// Whatever else looks like it is the team's. What somebody's finalizer keeps is gone when it steers nothing.
		ours := l.world.Held() || traffic.Made(l.provider, l.world)
		if ours && len(l.provider.Restore(l.world)) > 0 {
			o.Layers = append(o.Layers, l.name)
		}
	}
	twins, holds, err := r.orphans(ctx, w)
	if err != nil {
		return o, err
	}
	o.Orphans = len(twins)+len(holds) > 0
	w.restRecords(&o)
	o.Trouble = w.trouble
	o.Problem, err = r.problem(ctx, w)
	if w.settled == nil || w.seen.Template.Hash != w.settled.Hash { // Otherwise nothing is about to begin.
		o.Follows, o.Next = w.follows(), naming.Release(w.rollout.Name, w.nextNumber())
	}
	return o, err
}

// inCore is a revision in the core's words.
func inCore(rev *v1alpha1.Revision) release.Revision {
	if rev == nil || rev.Hash == "" {
		return release.Revision{}
	}
	return release.Revision{Hash: rev.Hash, Name: workload.Describe(*rev), Mark: rev.PodTemplateHash}
}

// statusTold is what a status says.
func statusTold(s v1alpha1.RolloutStatus) release.RestTold {
	out := release.RestTold{Phase: release.RestPhase(s.Phase), Release: s.CurrentRelease}
	if s.WaitingFor != nil {
		out.Code, out.Since = s.WaitingFor.Reason, timeOf(s.WaitingFor.Since)
	}
	if s.Rejected != nil {
		out.Rejected = &release.Rejected{
			Revision: inCore(&s.Rejected.Revision), Release: s.Rejected.Release, Message: s.Rejected.Message,
			Changes: s.Rejected.Changes,
		}
	}
	return out
}

// restWorkload shows the workload, and whose it is: ours by its label, another Rollout's by that,
// or named by an older Rollout as well.
func (r *Reconciler) restWorkload(ctx context.Context, w *world) release.RestWorkload {
	if w.object == nil {
		return release.RestWorkload{}
	}
	out := release.RestWorkload{
		Exists: true, Going: w.object.GetDeletionTimestamp() != nil,
		Template: inCore(&v1alpha1.Revision{Hash: w.seen.Template.Hash, Images: w.seen.Template.Images}),
		Labels:   labels.FormatLabels(w.seen.Template.Labels), Former: w.seen.Template.Former,
		Replicas: w.seen.Workload.Replicas, Needs: w.seen.Needs, Paused: w.seen.Paused,
		SaysHeld: w.object.GetAnnotations()[v1alpha1.AnnotationHeld] != "", Updating: w.seen.Updating,
	}
	switch by := w.object.GetLabels()[v1alpha1.LabelRollout]; {
	case by == w.rollout.Name:
		out.Ours = true
	case by != "" && r.exists(ctx, w.rollout.Namespace, by):
		out.TakenBy = by
	default:
		out.NamedBy = r.olderRollout(ctx, w.rollout)
	}
	return out
}

// restServices shows the Services. Their stable version is the one that runs, their canary version that of the
// workload's template.
func (w *world) restServices(o *release.RestSeen) {
	rollout := w.rollout.UID
	for _, s := range w.services {
		seen := s.observed(w)
		seen.Held = s.hold != nil
		seen.MissesCanary = !selects(unhashed(s.original, w.mark()), w.seen.Template.Labels)
		seen.CanaryExists = s.twin != nil && s.twin.DeletionTimestamp == nil && w.madeTwin(s.twin)
		for i := range w.seen.Parts {
			if p := &w.seen.Parts[i]; p.Template.Hash == w.seen.Template.Hash && !p.Is(w.seen.Stable) {
				seen.ReadyCanary += s.ready[p.Name()]
			}
		}
		renew := false
		if s.hold != nil {
			owner := metav1.GetControllerOf(s.hold)
			renew = owner == nil || owner.UID != rollout || !maps.Equal(originalOf(s.hold), s.original)
		}
		o.Services = append(o.Services, release.RestService{
			Service: seen, Renew: renew, OnlyNew: w.breaks(s, w.runsNow().narrow(s.original)) != nil,
		})
	}
	stray := func(s *corev1.Service) release.Misfit {
		routed := slices.ContainsFunc(w.layers, func(l *layer) bool { return l.leadsTo(s.Name) })
		return release.Misfit{Name: s.Name, Selector: labels.FormatLabels(s.Spec.Selector), Routed: routed}
	}
	for _, s := range w.leaving {
		o.Leaving = append(o.Leaving, stray(s))
	}
	for _, s := range w.lost {
		o.Lost = append(o.Lost, stray(s))
	}
}

// restRecords shows the releases that have ended, and what people say of them.
func (w *world) restRecords(o *release.RestSeen) {
	status := w.rollout.Status
	o.LastNumber = status.LastNumber
	if latest := w.latest(); latest != nil {
		o.Latest = recordOf(latest)
	}
	for _, rel := range w.records() {
		o.Records = append(o.Records, release.RecordName{Name: rel.Name, Going: rel.DeletionTimestamp != nil})
	}
	o.Bound = slices.ContainsFunc(w.releases, bound)
	if p := status.Rollback; p != nil {
		o.Rollback = release.Rollback{Hash: p.Hash, After: p.After}
	}
	for _, d := range w.decisions[:min(len(w.decisions), wordsPerLook)] {
		o.Decisions = append(o.Decisions, w.decisionAtRest(d))
	}
}

// decisionAtRest is a Decision on a release that is not under way.
func (w *world) decisionAtRest(d *v1alpha1.Decision) release.RestDecision {
	out := release.RestDecision{
		ID: d.Name, Verb: release.Verb(d.Spec.Verb), Release: d.Spec.Release, Before: d.Spec.Before, User: d.Spec.User,
		Ours: isReleaseOf(w.rollout.Name, d.Spec.Release),
	}
	rel := w.release(d.Spec.Release)
	if rel == nil {
		return out
	}
	out.Record, out.Older = recordOf(rel), !speaksOf(d, rel)
	if a := kept(rel, d.Name); a != nil {
		out.Given = &release.Answer{
			ID: a.Decision, Applied: a.Outcome == v1alpha1.DecisionApplied, Code: a.Reason, Message: a.Message,
		}
	}
	return out
}

func recordOf(rel *v1alpha1.Release) *release.Record {
	out := &release.Record{
		Name: rel.Name, Number: rel.Spec.Number, Phase: release.Phase(rel.Status.Phase),
		From: inCore(&rel.Spec.From), To: inCore(&rel.Spec.To), Changes: rel.Spec.Changes, Retried: retried(rel),
	}
	if m := rel.Status.Memory; m != nil {
		out.End, out.EndMessage = release.EndReason(m.End), m.EndMessage
	}
	return out
}

// problem is what is wrong with the plan in this world beside what the core sees, in a sentence that names the field
// and the remedy; empty if nothing is. It freezes the templates of the next release's plan.
func (r *Reconciler) problem(ctx context.Context, w *world) (string, error) {
	w.plan = translate.Plan(w.rollout, r.Layers)
	if w.object == nil {
		return "", nil
	}
	spec := translate.Spec(w.plan, "", "")
	for _, p := range release.ValidateHoldAt(spec, w.rollout.Spec.HoldAt) {
		return p.String(), nil
	}
	if translate.Apart(w.rollout) {
		if problem := w.layersProblem(spec); problem != "" {
			return problem, nil
		}
		if problem, err := r.previewProblem(ctx, w); problem != "" || err != nil {
			return problem, err
		}
	}
	err := measure.Prepare(ctx, w.rollout, &w.plan, r.templates(w.rollout.Namespace), r.requests())
	// A Problem is the plan's own and told to people. Every other error is a read that failed, and is tried again.
	if p, ok := errors.AsType[*measure.Problem](err); ok {
		return p.Error(), nil
	}
	if err != nil {
		return "", err
	}
	return r.jobsProblem(ctx, w)
}

// layersProblem is what the layers, or the Services behind them, cannot do.
func (w *world) layersProblem(spec release.Spec) string {
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
		if _, busy := errors.AsType[*traffic.Busy](err); err != nil && !busy { // A release waits for what is busy.
			return err.Error()
		}
	}
	return ""
}

// previewProblem refuses a preview Service that is there for other pods, before a release tries to make one of its
// name.
func (r *Reconciler) previewProblem(ctx context.Context, w *world) (string, error) {
	previewOf, problem := w.previewOf()
	if previewOf == "" || problem != "" {
		return problem, nil
	}
	s := &corev1.Service{}
	key := types.NamespacedName{Namespace: w.rollout.Namespace, Name: w.plan.PreviewService}
	switch err := r.Kube.Get(ctx, key, s); {
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read Service %s: %w", key, err)
	case w.isTwin(s): // One that the last release has made, and that goes.
		return "", nil
	}
	return preflight.PreviewTaken(s.Name), nil
}

// jobsProblem refuses a Rollout that has Jobs run where the controller has not been let: a release would come to a halt
// in the middle. It is looked at again from time to time, since nothing tells of a RoleBinding.
func (r *Reconciler) jobsProblem(ctx context.Context, w *world) (string, error) {
	field, namespace := measure.Jobs(w.plan), w.rollout.Namespace
	if field == "" || r.MayRunJobs == nil {
		return "", nil
	}
	may, err := r.MayRunJobs(ctx, namespace)
	if err != nil {
		return "", fmt.Errorf("ask whether Jobs may be run in namespace %s: %w", namespace, err)
	}
	if may {
		return "", nil
	}
	return fmt.Sprintf("%s runs a Job, and the controller may not create Jobs in namespace %s; %s",
		field, namespace, deploy.LetRunJobs(namespace)), nil
}
