package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// world is what one reconcile sees of one Rollout.
type world struct {
	now     time.Time
	rollout *v1alpha1.Rollout
	// object is the workload, nil if there is none; driver knows its kind.
	object *unstructured.Unstructured
	driver workload.Driver
	// owned are the parts that the workload or one of its releases controls, kept those that it has left behind.
	owned, kept []*unstructured.Unstructured
	// seen is the workload and its parts, in words that fit every kind.
	seen workload.Seen
	// unreleased tells of pods that serve and that no release brought; nil where it was not looked for.
	unreleased *metav1.Condition
	// releases of the Rollout, newest first; taken is the highest number of one that is another's.
	releases []*v1alpha1.Release
	taken    int64
	// former are records of an earlier Rollout of this name.
	former []*v1alpha1.Release
	// settled is the last revision that was released.
	settled *v1alpha1.Revision
	// decisions that have no outcome yet, and those that have been answered, oldest first.
	decisions, answered []*v1alpha1.Decision
	holds               map[v1alpha1.HoldTarget]*v1alpha1.Hold
	services            []*service
	// untouched are the names of the Services in front of the workload that the Rollout leaves as they are.
	untouched []string
	// leaving are the Services that select the stable pods and none of the workload's template.
	leaving []*corev1.Service
	// lost are Services that were in front of the workload and select no pod any more.
	lost   []*corev1.Service
	layers []*layer
	// runs are the analyses of the release under way; shut is the release window that is shut.
	runs []*v1alpha1.AnalysisRun
	shut release.Shut
	// plan is what the next release would follow, its templates frozen; empty until it was checked.
	plan v1alpha1.ReleasePlan
	// unproven are objects that say that they are of this Rollout, and that none of its releases controls.
	unproven []string
	// onNew: in a release without traffic layers, a Service leads to the new pods alone.
	onNew bool
	// trouble is what no waiting mends.
	trouble string
	// abandoned: the Rollout went by force, while its release was under way; rollout stands in for it.
	abandoned bool
	// keptPaused: without an admission policy the workload stays paused, released or not.
	keptPaused bool
}

// active is the release under way, or nil.
func (w *world) active() *v1alpha1.Release {
	if len(w.releases) > 0 && !w.releases[0].Status.Phase.Terminal() {
		return w.releases[0]
	}
	return nil
}

// latest is the newest release, or nil.
func (w *world) latest() *v1alpha1.Release {
	if len(w.releases) > 0 {
		return w.releases[0]
	}
	return nil
}

// observe reads everything that concerns one Rollout. It returns nil when the Rollout is gone.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName) (*world, error) {
	w := &world{
		now: r.Now(), keptPaused: r.keepsPaused(), rollout: &v1alpha1.Rollout{},
		holds: map[v1alpha1.HoldTarget]*v1alpha1.Hold{},
	}
	switch err := r.Kube.Get(ctx, key, w.rollout); {
	case apierrors.IsNotFound(err):
		if w.rollout, err = r.standIn(ctx, key, w.now); w.rollout == nil || err != nil {
			return nil, err
		}
		w.abandoned = true
	case err != nil:
		return nil, fmt.Errorf("read Rollout %s: %w", key, err)
	}
	// In this order: observeReleases comes first, since the others ask for the release under way, and observeWorkload
	// knows by the releases which parts are ours.
	steps := []func(context.Context, *world) error{
		r.observeReleases, r.observeWorkload, r.observeDecisions,
		r.observeHolds, r.observeRuns, r.observeWindows,
	}
	for _, step := range steps {
		if err := step(ctx, w); err != nil {
			return nil, err
		}
	}
	// Whole hashes first, since the last released revision is found by them. Then the driver reads again: it needs to
	// know which revision is the stable one.
	w.modernise()
	w.settled = w.lastReleased()
	w.look()
	w.forgetReplaced()
	return w, nil
}

// standIn is what a release under way needs of a Rollout that somebody removed by force, finalizer and all: the release
// is then taken back as if the Rollout were being removed properly. It is nil where there is no such release.
func (r *Reconciler) standIn(ctx context.Context, key types.NamespacedName, now time.Time) (*v1alpha1.Rollout, error) {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(key.Namespace),
		client.MatchingFields{indexRollout: key.Name}); err != nil {
		return nil, fmt.Errorf("list Releases: %w", err)
	}
	for i := range list.Items {
		rel := &list.Items[i]
		if rel.Status.Phase.Terminal() {
			continue
		}
		ro := &v1alpha1.Rollout{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, DeletionTimestamp: &metav1.Time{Time: now}},
			Spec: v1alpha1.RolloutSpec{
				Workload: rel.Spec.Plan.Workload, Traffic: rel.Spec.Plan.Traffic,
				Services: rel.Spec.Plan.Services,
			},
		}
		// With the UID of the Rollout that is gone, observeReleases takes the release for this Rollout's own.
		if owner := metav1.GetControllerOf(rel); owner != nil {
			ro.UID = owner.UID
		}
		return ro, nil
	}
	return nil, nil
}

// forgetReplaced sees that a workload is another than the one that was taken over: it was deleted and made anew under
// the same name. It does not bear our label, and the stable part went with its predecessor. To a release under
// way its workload is gone; without one the new workload is taken over as it is.
func (w *world) forgetReplaced() {
	if w.object == nil || w.object.GetLabels()[v1alpha1.LabelRollout] == w.rollout.Name || w.seen.Stable != nil {
		return
	}
	w.settled = nil
	if w.active() != nil {
		uid := w.object.GetUID()
		w.owned = slices.DeleteFunc(w.owned, func(o *unstructured.Unstructured) bool { return workload.OwnedBy(o, uid) })
		w.object = nil
	}
	w.look()
}

// lastReleased is the last revision that was released: by the record of the newest release, or, where that has been
// removed or speaks of a workload that has since been made anew, by the Rollout's status.
func (w *world) lastReleased() *v1alpha1.Revision {
	latest, reported := w.latest(), w.located(w.rollout.Status.Stable.DeepCopy())
	if latest == nil || latest.Spec.Number < w.rollout.Status.LastNumber {
		return reported
	}
	recorded := latest.Spec.From.DeepCopy()
	if latest.Status.Phase == v1alpha1.ReleaseSucceeded {
		recorded = latest.Spec.To.DeepCopy()
	}
	recorded = w.located(recorded)
	if w.active() == nil && workload.Find(w.seen.Parts, recorded) == nil && workload.Find(w.seen.Parts, reported) != nil {
		return reported
	}
	return recorded
}

// traffic is the layers that are followed now: the running release's, or else the Rollout's own.
func (w *world) traffic() []v1alpha1.TrafficLayer {
	if rel := w.active(); rel != nil {
		return rel.Spec.Plan.Traffic
	}
	return w.rollout.Spec.Traffic
}

// rules are those for single Services that are followed now, of the same.
func (w *world) rules() []v1alpha1.ServiceRule {
	if rel := w.active(); rel != nil {
		return rel.Spec.Plan.Services
	}
	return w.rollout.Spec.Services
}

// observeReleases reads the records of the Rollout's releases, newest first. Of the releases of others with such names
// only the number counts, so that the next release gets a free name.
func (r *Reconciler) observeReleases(ctx context.Context, w *world) error {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace),
		client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Releases: %w", err)
	}
	for i := range list.Items {
		rel := &list.Items[i]
		// One of an earlier Rollout of this name, which is about to be collected. One without an owner is ours: it was
		// told to stay when the Rollout is deleted.
		former := isFormer(rel, w.rollout)
		if former {
			w.former = append(w.former, rel)
		}
		if owner := metav1.GetControllerOf(rel); owner != nil && owner.UID != w.rollout.UID ||
			rel.Spec.Rollout != w.rollout.Name || former {
			w.taken = max(w.taken, rel.Spec.Number)
			continue
		}
		w.releases = append(w.releases, rel)
	}
	slices.SortFunc(w.releases, func(a, b *v1alpha1.Release) int { return int(b.Spec.Number - a.Spec.Number) })
	return nil
}

// observeDecisions reads the Decisions on releases of the Rollout, and sorts them by whether they have been answered.
func (r *Reconciler) observeDecisions(ctx context.Context, w *world) error {
	list := &v1alpha1.DecisionList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace),
		client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Decisions: %w", err)
	}
	for i := range list.Items {
		if list.Items[i].Status.Outcome == "" {
			w.decisions = append(w.decisions, &list.Items[i])
		} else {
			w.answered = append(w.answered, &list.Items[i])
		}
	}
	slices.SortFunc(w.decisions, older)
	slices.SortFunc(w.answered, older)
	return nil
}

// older orders Decisions by age. Creation times have whole seconds only, so the name decides between equal ones: each
// look has to see the same order.
func older(a, b *v1alpha1.Decision) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// observeHolds reads the Holds of the Rollout. One that bears its label without being owned by it, or by one of its
// releases, is not acted upon: anybody can write a label. It is only told of, unless it is going.
func (r *Reconciler) observeHolds(ctx context.Context, w *world) error {
	list := &v1alpha1.HoldList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(w.rollout.Namespace),
		client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list Holds: %w", err)
	}
	for i := range list.Items {
		h := &list.Items[i]
		if w.ours(h) || metav1.IsControlledBy(h, w.rollout) { // The Rollout's own are those of a Service that is kept.
			w.holds[h.Spec.Target] = h
		} else if h.DeletionTimestamp == nil {
			w.unproven = append(w.unproven, "Hold "+h.Name)
		}
	}
	return nil
}

// hashes are the labels that tell the pods of the two revisions apart. The record knows them even when a part is
// gone.
func (w *world) hashes() (stable, canary string) {
	stable, canary = workload.MarkOf(w.seen.Stable), workload.MarkOf(w.seen.Canary)
	if rel := w.active(); rel != nil {
		if stable == "" {
			stable = rel.Spec.From.PodTemplateHash
		}
		if canary == "" {
			canary = rel.Spec.To.PodTemplateHash
		}
	}
	return stable, canary
}

// observed is the world in the core's words.
func (w *world) observed(rel *v1alpha1.Release) release.Observed {
	o := release.Observed{
		Removing: w.rollout.DeletionTimestamp != nil || rel.DeletionTimestamp != nil,
		Trouble:  w.trouble, Analyses: analyses(w.runs), Shut: w.shut, HoldAt: w.rollout.Spec.HoldAt,
	}
	for _, d := range w.heard(rel) {
		o.Decisions = append(o.Decisions, decision(d, rel))
	}
	w.observedWorkload(&o)
	for _, s := range w.services {
		seen := s.observed(w)
		if w.now.Before(s.readySince.Add(w.propagation())) {
			seen.CanaryReady = 0 // They have to reach every gateway before the first request does.
		}
		o.Services = append(o.Services, seen)
	}
	for _, l := range w.layers {
		o.Layers = append(o.Layers, l.observed())
	}
	return o
}

// observedWorkload adds the workload and the pods of both versions.
func (w *world) observedWorkload(o *release.Observed) {
	stable := w.seen.Stable
	o.Workload, o.Canary = w.seen.Workload, w.seen.Canary.Now()
	if !o.Workload.Exists {
		o.Canary.Adopted = false
		if t := stable.Now(); t.Taken {
			o.Stable = t // The release has kept it, and ends it.
		}
		return
	}
	o.Stable = stable.Now()
	if (w.turned() || w.byPods()) && stable != nil && stable.Behind {
		o.Stable.Ready = 0 // It may have been scaled away and back: what is ready is not known.
	}
	if w.onNew {
		o.Stable.Ready = 0 // No request reaches them.
	}
}

// decision is a Decision in the core's words. Whether it names another plan than the release has is told here, since
// the core does not know digests.
func decision(d *v1alpha1.Decision, rel *v1alpha1.Release) release.Decision {
	return release.Decision{
		ID: d.Name, Verb: release.Verb(d.Spec.Verb), Step: d.Spec.Step, To: d.Spec.ToStep,
		User: d.Spec.User, Comment: d.Spec.Comment,
		At: d.CreationTimestamp.Time, Since: microOf(d.Spec.Since), Groups: d.Spec.Groups, PlanNamed: d.Spec.PlanDigest != "",
		PlanMismatch: d.Spec.PlanDigest != "" && d.Spec.PlanDigest != rel.Spec.PlanDigest,
	}
}

// speaksOf says whether a Decision is on this release. One that is older was meant for another of its name, before the
// Rollout was made anew. But an abort that names this one's plan is one: the API server's clock may have been set back.
func speaksOf(d *v1alpha1.Decision, rel *v1alpha1.Release) bool {
	stops := d.Spec.Verb == v1alpha1.VerbAbort && d.Spec.PlanDigest == rel.Spec.PlanDigest
	return d.Spec.Release == rel.Name && (stops || !d.CreationTimestamp.Before(&rel.CreationTimestamp))
}

// answered says whether the release remembers an answer to a Decision. It is not shown to the core once more, though
// its own status may not have the answer yet.
func answered(rel *v1alpha1.Release, decision string) bool {
	return rel.Status.Memory != nil && slices.ContainsFunc(rel.Status.Memory.Answers,
		func(a v1alpha1.DecisionAnswer) bool { return a.Decision == decision })
}
