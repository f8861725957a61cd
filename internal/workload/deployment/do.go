package deployment

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Do implements workload.Driver.
//
//nolint:gocyclo // One case for each action.
func (Driver) Do(w workload.World, a workload.Action) (workload.Doing, error) {
	v := read(w)
	switch a := a.(type) {
	case release.ScaleCanary:
		return v.scale(a.Replicas), nil
	case release.HandOver:
		return v.handOver(a.KeepOld), nil
	case release.ScaleOld:
		return v.scaleOld(a.Replicas), nil
	case release.GiveOld:
		return v.giveOld(), nil
	case release.PauseWorkload:
		return v.pause(), nil
	case release.TakeBack:
		return v.takeBack(), nil
	case release.RemoveLoose:
		return remove(v.taken), nil
	case release.ResumeWorkload:
		return v.resume(), nil
	case release.RevertTemplate:
		return v.revert()
	case release.RemoveCanary:
		return v.removeCanary(), nil
	case release.TakeOver:
		return v.takeOver(), nil
	case release.KeepStable:
		return v.keepStable(), nil
	case release.RemakeStable:
		return v.remakeStable()
	case release.GiveBack:
		return v.giveBack()
	case workload.Free:
		return free(a.Object), nil
	case release.RemoveRemains:
		return remove(v.Left), nil
	case workload.WriteRevision:
		return v.writeTemplate(&a.Revision, func(d *unstructured.Unstructured) { holdFor(d, a.By) })
	}
	return workload.Doing{}, fmt.Errorf("carry out %T: no such action of a Deployment", a)
}

func patch(before, after *unstructured.Unstructured) workload.Write {
	return workload.Write{Verb: workload.Patch, Before: before, After: after}
}

func doing(writes ...workload.Write) workload.Doing { return workload.Doing{Writes: writes} }

func remove(parts []workload.Part) (out workload.Doing) {
	for _, p := range parts {
		out.Writes = append(out.Writes, workload.Write{Verb: workload.Delete, Before: p.Object})
	}
	return out
}

// whole is the Deployment with its template, which the cache does not hold. It is needed first where it is nil.
func (v *view) whole(unchanged bool) (*unstructured.Unstructured, workload.Doing) {
	ref := workload.RefOf(v.world.Object)
	whole, read := v.world.Whole[ref]
	if !read {
		return nil, workload.Doing{Needs: []workload.Need{{Ref: ref, Unchanged: unchanged}}}
	}
	return whole, workload.Doing{}
}

// scale makes the new ReplicaSet have so many pods. It is made from the Deployment's own template.
func (v *view) scale(replicas int) workload.Doing {
	rel := v.world.Release
	if v.Refusal != "" && replicas > v.Canary.Now().Desired {
		return workload.Doing{} // Two revisions must not run at once.
	}
	if p := v.Canary; p != nil {
		after := p.Object
		if !workload.OwnedBy(after, rel.UID) {
			after = v.asTaken(after)
		}
		return doing(patch(p.Object, Scaled(after, replicas)))
	}
	if v.world.Object == nil {
		return workload.Doing{}
	}
	whole, need := v.whole(false)
	if whole == nil {
		return need
	}
	next := Next(whole, v.world.Owner(), v.world.Labels(), rel.Spec.To.PodTemplateHash, replicas)
	if workload.TemplateOf(next).Hash != rel.Spec.To.Hash {
		return workload.Doing{} // Edited this very moment; the next decision sees it.
	}
	return doing(workload.Write{Verb: workload.Create, After: next})
}

// asTaken is a ReplicaSet that the release has taken.
func (v *view) asTaken(rs *unstructured.Unstructured) *unstructured.Unstructured {
	return Taken(rs, v.world.Owner(), v.world.Labels())
}

// handOver makes the Deployment the controller of the new ReplicaSet. Before that, the old one is marked, or taken from
// the Deployment where its pods are to stay.
func (v *view) handOver(keepOld bool) workload.Doing {
	d, rs := v.world.Object, v.Canary
	if rs == nil || d == nil || workload.OwnedBy(rs.Object, d.GetUID()) {
		return workload.Doing{}
	}
	var out workload.Doing
	switch old := v.Stable; {
	case old == nil || old.Is(rs):
	case keepOld:
		out.Writes = append(out.Writes, patch(old.Object, v.asTaken(old.Object)))
	default:
		former := Former(old.Object)
		if workload.OwnedBy(old.Object, d.GetUID()) {
			former = NotKept(former, v.world.Rollout.UID)
		}
		out.Writes = append(out.Writes, patch(old.Object, former))
	}
	kept := Kept(HandedOver(rs.Object, d), v.world.Keeper())
	out.Writes = append(out.Writes, patch(rs.Object, kept))
	return out
}

// scaleOld makes the old ReplicaSet, which the release has taken, have so many pods.
func (v *view) scaleOld(replicas int) workload.Doing {
	if !v.Stable.Now().Taken {
		return workload.Doing{}
	}
	return doing(patch(v.Stable.Object, Scaled(v.Stable.Object, replicas)))
}

// giveOld makes the Deployment the controller of its old ReplicaSet again. If it still has the new one, that is marked
// before as one that is replaced, so that its pods, and no old ones, are those that are too many. Without a Deployment,
// nobody needs the old one.
func (v *view) giveOld() workload.Doing {
	switch d := v.world.Object; {
	case !v.Stable.Now().Taken:
		return workload.Doing{}
	case d == nil || d.GetDeletionTimestamp() != nil:
		return remove([]workload.Part{*v.Stable})
	default:
		var out workload.Doing
		if p := v.Canary; p != nil && v.Stable.Now().Desired > 0 && workload.OwnedBy(p.Object, d.GetUID()) {
			out.Writes = append(out.Writes, patch(p.Object, Former(p.Object)))
		}
		after := HandedOver(v.Stable.Object, d)
		if v.completes() {
			after = Former(after) // As every hand-over leaves it in the Deployment's history.
		}
		out.Writes = append(out.Writes, patch(v.Stable.Object, after))
		return out
	}
}

// takeBack takes from the Deployment the new ReplicaSet, and those that it has made while it was resumed.
func (v *view) takeBack() (out workload.Doing) {
	if p := v.Canary; p != nil && !workload.OwnedBy(p.Object, v.world.Release.UID) {
		out.Writes = append(out.Writes, patch(p.Object, v.asTaken(p.Object)))
	}
	for _, p := range v.loose {
		out.Writes = append(out.Writes, patch(p.Object, v.asTaken(p.Object)))
	}
	out.Writes = append(out.Writes, v.unmark()...)
	return out
}

// unmark undoes the first half of a hand-over that was not finished or is taken back.
func (v *view) unmark() []workload.Write {
	if v.Stable == nil || v.world.Object == nil {
		return nil
	}
	return []workload.Write{patch(Unmark(v.Stable.Object, v.world.Object))}
}

// removeCanary removes the new ReplicaSet. One of the Deployment's history is removed only while it is empty.
func (v *view) removeCanary() workload.Doing {
	out := doing(v.unmark()...)
	if p := v.Canary; p != nil && (workload.OwnedBy(p.Object, v.world.Release.UID) || Idle(p.Object)) {
		out.Writes = append(out.Writes, workload.Write{Verb: workload.Delete, Before: p.Object})
	}
	return out
}

// labelled is a copy of the Deployment with the label of the Rollout that looks after it.
func (v *view) labelled() *unstructured.Unstructured {
	after := v.world.Object.DeepCopy()
	workload.Label(after, v1alpha1.LabelRollout, v.world.Rollout.Name)
	return after
}

// pause pauses a Deployment that somebody has resumed, or made anew, while its new revision is being released.
func (v *view) pause() workload.Doing {
	if v.world.Object == nil {
		return workload.Doing{}
	}
	after := v.labelled()
	keepPaused(after)
	if v.Stable.Now().Taken && !v.world.KeepPaused {
		holdAgain(after, &v.world.Release.Spec)
	}
	return doing(patch(v.world.Object, after))
}

// resume ends the hold: from now on the Deployment is what its template says.
func (v *view) resume() workload.Doing {
	d := v.world.Object
	if d == nil {
		return workload.Doing{}
	}
	var out workload.Doing
	if v.Stable != nil && v.Stable.Template.Hash == v.Template.Hash {
		out.Writes = v.unmark()
	}
	after := d.DeepCopy()
	unhold(after)
	if v.world.KeepPaused && !v.world.Removing() {
		keepPaused(after)
	}
	// The Deployment controller reports on its pods just now, which is nothing to this.
	out.Writes = append(out.Writes, workload.Write{Verb: workload.PatchSpec, Before: d, After: after})
	return out
}

// revert writes the stable template back and ends the hold, in one write. Since the stable ReplicaSet is at full size,
// nothing starts.
func (v *view) revert() (workload.Doing, error) {
	if v.world.Release == nil || v.world.Object == nil {
		return workload.Doing{}, nil
	}
	out, err := v.writeTemplate(&v.world.Release.Spec.From, unhold)
	if err != nil || len(out.Needs) > 0 {
		return out, err
	}
	out.Writes = append(v.unmark(), out.Writes...)
	return out, nil
}

// writeTemplate gives the Deployment the template of one of its revisions, and changes the rest by then.
func (v *view) writeTemplate(rev *v1alpha1.Revision, then func(*unstructured.Unstructured)) (workload.Doing, error) {
	whole, need := v.whole(true)
	if whole == nil {
		return need, nil
	}
	template, needs, err := v.world.TemplateOfRevision(v.Parts, rev)
	if err != nil || len(needs) > 0 {
		return workload.Doing{Needs: needs}, err
	}
	after := whole.DeepCopy()
	if err := unstructured.SetNestedMap(after.Object, template, "spec", "template"); err != nil {
		return workload.Doing{}, fmt.Errorf("set spec.template of Deployment %s: %w", whole.GetName(), err)
	}
	then(after)
	return doing(patch(whole, after)), nil
}

// takeOver marks a Deployment as the Rollout's. No pod is touched.
func (v *view) takeOver() workload.Doing {
	before, after := v.world.Object, v.labelled()
	if !v.world.Ours() && !v.world.KeepPaused {
		workload.Unmark(after) // Nobody watched who wrote our marks.
	}
	stable := v.world.Stable
	free := stable != nil && stable.Hash != v.Template.Hash && !Paused(before)
	if v.world.KeepPaused || free {
		// Kept paused for want of a policy, or a new revision slipped in while there was none.
		keepPaused(after)
	}
	if v.Template.Former && Paused(after) {
		// kubectl rollout undo has brought our mark along with the former template.
		before, after = Unmarked(before, after)
	}
	return doing(patch(before, after))
}

// keepStable has the stable ReplicaSet, and no other, outlive the Deployment.
//
// While the Deployment is scaled to zero, the ReplicaSets of its other revisions are marked as former: the Deployment
// controller, which scales the ReplicaSet of the current template up also while the Deployment is paused, does not take
// them for it. Otherwise one patch of template and replicas would run an earlier revision without a release.
func (v *view) keepStable() workload.Doing {
	if v.Stable == nil || v.world.Object == nil {
		return workload.Doing{}
	}
	var out workload.Doing
	for i := range v.Parts {
		p := &v.Parts[i]
		after := p.Object
		if p.Is(v.Stable) {
			after = Kept(after, v.world.Keeper())
		} else if KeptBy(after, v.world.Rollout.UID) {
			after = NotKept(after, v.world.Rollout.UID)
		}
		if Replicas(v.world.Object) == 0 && !p.Is(v.Stable) && p.Track.Adopted {
			after = Former(after)
		}
		out.Writes = append(out.Writes, patch(p.Object, after))
	}
	out.Writes = append(out.Writes, remove(v.strays).Writes...)
	return out
}

// giveBack takes our marks off, as the Rollout goes.
func (v *view) giveBack() (workload.Doing, error) {
	d, stable := v.world.Object, v.world.Stable
	if !v.world.Ours() {
		return workload.Doing{}, nil
	}
	free := func(d *unstructured.Unstructured) {
		workload.Label(d, v1alpha1.LabelRollout, "")
		if v.held() {
			unhold(d)
		}
	}
	if !v.held() || stable == nil || stable.Hash == v.Template.Hash {
		after := d.DeepCopy()
		free(after)
		return doing(patch(d, after)), nil
	}
	out, err := v.writeTemplate(stable, free)
	if err == nil || len(out.Needs) > 0 {
		return out, err
	}
	// Nothing is proven to be the stable template, so nothing is written; nor is the other one let loose.
	after := d.DeepCopy()
	free(after)
	_ = unstructured.SetNestedField(after.Object, true, "spec", "paused")
	out = doing(patch(d, after))
	out.Tell = []release.Reason{{Code: workload.ReasonLeftPaused, Message: fmt.Sprintf(
		"the pod template of the stable revision %s is not to be found, so the Deployment %q is left paused with a "+
			"template that was not released; write the template that you want, and resume it: "+
			"kubectl rollout resume deployment/%s", workload.Describe(*stable), d.GetName(), d.GetName())}}
	return out, nil
}

// held says whether it is Sluice who has paused the Deployment.
func (v *view) held() bool { return v.Paused.BySluice(v.world.KeepPaused) }

// free takes our marks off a Deployment that bears the Rollout's label and is not its workload.
func free(d *unstructured.Unstructured) workload.Doing {
	after := d.DeepCopy()
	workload.Label(after, v1alpha1.LabelRollout, "")
	if heldByUs(d) {
		unhold(after)
	}
	return doing(patch(d, after))
}

// remakeStable makes the stable ReplicaSet anew. Whoever may edit a Deployment may delete its ReplicaSets, or edit them
// where no admission policy keeps them. The Deployment controller makes a ReplicaSet for the Deployment's own template
// only, and none while the Deployment is paused: the requests of a release that is taken back would have nowhere to go.
//
// Pods that bear its labels, as after kubectl delete --cascade=orphan, come back under it. A ReplicaSet that has the
// stable one's place, but another template, is removed first. Its pods stay: those that it has made before somebody
// edited it are of the stable template.
func (v *view) remakeStable() (workload.Doing, error) {
	d, rev := v.world.Object, v.world.Stable
	switch {
	case rev == nil || rev.PodTemplateHash == "" || v.Stable != nil || d == nil || d.GetDeletionTimestamp() != nil:
		return workload.Doing{}, nil
	case !Paused(d) || !v.world.Ours() || v.completes():
		return workload.Doing{}, nil
	}
	template, needs, err := v.world.TemplateOfRevision(v.Parts, rev)
	if err != nil || len(needs) > 0 {
		return workload.Doing{Needs: needs}, err
	}
	if v.edited != nil {
		return doing(workload.Write{Verb: workload.Orphan, Before: v.edited.Object}), nil
	}
	whole, need := v.whole(true)
	if whole == nil {
		return need, nil
	}
	made := Anew(whole, template, v.world.Keeper(), rev.PodTemplateHash)
	out := doing(workload.Write{Verb: workload.Create, After: made})
	out.Tell = []release.Reason{{Code: workload.ReasonStableRemade, Message: fmt.Sprintf(
		"the ReplicaSet %s of the stable revision %s was deleted or edited; it has been made anew from the record",
		made.GetName(), workload.Describe(*rev))}}
	return out, nil
}

// completes says whether a release is on its way to the new revision alone, which needs the stable one no more.
func (v *view) completes() bool {
	rel := v.world.Release
	return rel != nil && rel.Status.Phase == v1alpha1.ReleaseCompleting
}

// keepPaused pauses a Deployment in our name. What it says of authors was written while no policy watched.
func keepPaused(d *unstructured.Unstructured) {
	_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	workload.Unmark(d)
	workload.Annotate(d, workload.AnnotationKept, "true")
}

// holdFor pauses a Deployment whose template Sluice itself writes for somebody.
func holdFor(d *unstructured.Unstructured, by string) {
	_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	workload.Annotate(d, v1alpha1.AnnotationHeld, by)
	workload.Annotate(d, v1alpha1.AnnotationAuthors, by)
}

// holdAgain marks a Deployment whose revision was released, and is taken back, as held for whoever had changed it.
func holdAgain(d *unstructured.Unstructured, of *v1alpha1.ReleaseSpec) {
	workload.Unmark(d)
	workload.Annotate(d, v1alpha1.AnnotationHeld, of.Author)
	if len(of.Authors) > 0 {
		workload.Annotate(d, v1alpha1.AnnotationAuthors, strings.Join(of.Authors, "\n"))
	}
}

// unhold takes our pause and our marks of a held revision off a Deployment.
func unhold(d *unstructured.Unstructured) {
	unstructured.RemoveNestedField(d.Object, "spec", "paused")
	workload.Unmark(d)
}
