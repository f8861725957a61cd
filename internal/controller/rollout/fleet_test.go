package rollout

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/workloadtest"
)

// This file adds a kind of workload by the recipe in CONTRIBUTING: a Fleet, whose pods are run by Crews, one for each
// revision. What its controller does is simpler than what Deployments do: it gives its size to the Crew of its template.

// fleet is the driver.
type fleet struct{}

var (
	// A Fleet goes by the name of Deployment, since spec.workload.kind takes no other; it is of another group.
	fleetKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Deployment"}
	crewKind  = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Crew"}
)

const crewLabel = "example.com/crew"

func (fleet) Kinds() workload.Kinds {
	return workload.Kinds{Workload: fleetKind, Part: crewKind, Mark: crewLabel}
}

func (fleet) Traits() release.Traits {
	return release.Traits{Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel}
}

func (fleet) Place(w workload.World, hash string, salt int) (string, workload.Ref) {
	mark := workload.Short(hash, salt)
	return mark, workload.Ref{GroupVersionKind: crewKind, Name: w.Object.GetName() + "-" + mark}
}

func (fleet) Parts(w workload.World) (out []workload.Part) {
	for _, o := range w.Owned {
		if o.GetDeletionTimestamp() == nil {
			out = append(out, crewPart(w, o))
		}
	}
	return out
}

func crewPart(w workload.World, o *unstructured.Unstructured) workload.Part {
	number := func(path ...string) int {
		n, _, _ := unstructured.NestedInt64(o.Object, path...)
		return int(n)
	}
	return workload.Part{
		Object: o, Template: workload.TemplateOf(o), Mark: o.GetLabels()[crewLabel],
		Track: release.Track{
			Exists: true, Adopted: w.Object != nil && workload.OwnedBy(o, w.Object.GetUID()),
			Desired: number("spec", "replicas"), Pods: number("status", "replicas"),
			Ready: min(number("status", "availableReplicas"), number("spec", "replicas")),
		},
		Runs: func(pod string) bool { return len(pod) == len(o.GetName())+6 && pod[:len(o.GetName())] == o.GetName() },
	}
}

func (f fleet) Read(w workload.World) workload.Seen {
	s := workload.Seen{Parts: f.Parts(w)}
	s.Stable, s.Canary = workload.Find(s.Parts, w.Stable), workload.Brought(s.Parts, w.Release)
	if w.Object == nil || w.Object.GetDeletionTimestamp() != nil {
		return s
	}
	paused, _, _ := unstructured.NestedBool(w.Object.Object, "spec", "paused")
	replicas, _, _ := unstructured.NestedInt64(w.Object.Object, "spec", "replicas")
	s.Template, s.Needs = workload.TemplateOf(w.Object), int(replicas)
	switch {
	case paused && workload.Marked(w.Object):
		s.Paused = release.PausedByHold
	case paused:
		s.Paused = release.PausedByTeam
	}
	if p := workload.Find(s.Parts, &v1alpha1.Revision{Hash: s.Template.Hash}); p != nil {
		s.Running = new(p.Revision())
	}
	alone := s.Canary.Now().Adopted && s.Canary.Now().Ready >= int(replicas)
	for i := range s.Parts {
		p := &s.Parts[i]
		alone = alone && (p.Is(s.Canary) || !p.Track.Adopted || p.Track.Desired == 0 && p.Track.Pods == 0)
	}
	s.Workload = release.Workload{
		Exists: true, Desired: s.Template.Hash, Replicas: int(replicas), Held: paused, Kept: w.KeepPaused, Alone: alone,
	}
	return s
}

func (f fleet) Do(w workload.World, a workload.Action) (out workload.Doing, err error) {
	s := f.Read(w)
	patch := func(before *unstructured.Unstructured, change func(*unstructured.Unstructured)) {
		if before != nil {
			after := before.DeepCopy()
			change(after)
			out.Writes = append(out.Writes, workload.Write{Verb: workload.Patch, Before: before, After: after})
		}
	}
	canary := func(change func(*unstructured.Unstructured)) {
		if s.Canary != nil {
			patch(s.Canary.Object, change)
		}
	}
	owned := func(owner metav1.OwnerReference) func(*unstructured.Unstructured) {
		return func(o *unstructured.Unstructured) { o.SetOwnerReferences([]metav1.OwnerReference{owner}) }
	}
	resume := func(o *unstructured.Unstructured) {
		unstructured.RemoveNestedField(o.Object, "spec", "paused")
		workload.Unmark(o)
	}
	switch a := a.(type) {
	case release.ScaleCanary:
		if s.Canary == nil {
			return crewOf(w, a.Replicas), nil
		}
		canary(func(o *unstructured.Unstructured) { setReplicas(o, a.Replicas) })
	case release.HandOver:
		if w.Object != nil {
			canary(owned(*metav1.NewControllerRef(w.Object, fleetKind)))
		}
	case release.TakeBack:
		canary(owned(w.Owner()))
	case release.RemoveCanary:
		if s.Canary != nil {
			out.Writes = append(out.Writes, workload.Write{Verb: workload.Delete, Before: s.Canary.Object})
		}
	case release.PauseWorkload:
		patch(w.Object, func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(o.Object, true, "spec", "paused")
			workload.Annotate(o, workload.AnnotationKept, "true")
		})
	case release.ResumeWorkload:
		patch(w.Object, resume)
	case release.RevertTemplate:
		return fleetTemplate(w, s, w.Stable, resume)
	case release.TakeOver:
		patch(w.Object, func(o *unstructured.Unstructured) { workload.Label(o, v1alpha1.LabelRollout, w.Rollout.Name) })
	case release.GiveBack:
		free := func(o *unstructured.Unstructured) {
			workload.Label(o, v1alpha1.LabelRollout, "")
			resume(o)
		}
		if s.Paused.BySluice(w.KeepPaused) && w.Stable != nil && w.Stable.Hash != s.Template.Hash {
			return fleetTemplate(w, s, w.Stable, free)
		}
		patch(w.Object, free)
	case workload.WriteRevision:
		return fleetTemplate(w, s, &a.Revision, func(o *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(o.Object, true, "spec", "paused")
			workload.Annotate(o, v1alpha1.AnnotationHeld, a.By)
		})
	case workload.Free, release.KeepStable, release.RemakeStable, release.RemoveRemains, release.RemoveLoose:
	default:
		return out, fmt.Errorf("carry out %T: no such action of a Fleet", a)
	}
	return out, nil
}

func setReplicas(o *unstructured.Unstructured, n int) {
	_ = unstructured.SetNestedField(o.Object, int64(n), "spec", "replicas")
}

// crewOf makes the Crew of a Fleet's template, which the cache does not hold.
func crewOf(w workload.World, replicas int) (out workload.Doing) {
	if w.Object == nil {
		return out
	}
	whole, read := w.Whole[workload.RefOf(w.Object)]
	if !read {
		out.Needs = []workload.Need{{Ref: workload.RefOf(w.Object)}}
		return out
	}
	if whole == nil || workload.TemplateOf(whole).Hash != w.Release.Spec.To.Hash {
		return out
	}
	crew := newCrew(whole, w.Release.Spec.To.PodTemplateHash, replicas)
	crew.SetOwnerReferences([]metav1.OwnerReference{w.Owner()})
	out.Writes = []workload.Write{{Verb: workload.Create, After: crew}}
	return out
}

func newCrew(f *unstructured.Unstructured, mark string, replicas int) *unstructured.Unstructured {
	template, _, _ := unstructured.NestedMap(f.Object, "spec", "template")
	crew := untyped(crewKind)
	crew.SetNamespace(f.GetNamespace())
	crew.SetName(f.GetName() + "-" + mark)
	crew.SetLabels(map[string]string{crewLabel: mark})
	crew.Object["spec"] = map[string]any{"replicas": int64(replicas), "template": template}
	return crew
}

// fleetTemplate writes the template of a revision to a Fleet.
func fleetTemplate(w workload.World, s workload.Seen, rev *v1alpha1.Revision, then func(*unstructured.Unstructured)) (out workload.Doing, err error) {
	if w.Object == nil {
		return out, nil
	}
	ref := workload.RefOf(w.Object)
	whole := w.Whole[ref]
	if whole == nil {
		out.Needs = []workload.Need{{Ref: ref, Unchanged: true}}
		return out, nil
	}
	template, needs, err := w.TemplateOfRevision(s.Parts, rev)
	if err != nil || len(needs) > 0 {
		return workload.Doing{Needs: needs}, err
	}
	after := whole.DeepCopy()
	_ = unstructured.SetNestedMap(after.Object, template, "spec", "template")
	then(after)
	out.Writes = []workload.Write{{Verb: workload.Patch, Before: whole, After: after}}
	return out, nil
}

// shopFleet is a Fleet and the Crew of its template.
func shopFleet(image string) (f, crew *unstructured.Unstructured) {
	f = shopDeployment(image)
	f.SetGroupVersionKind(fleetKind)
	f.SetUID("fleet")
	crew = newCrew(f, workload.Short(workload.TemplateOf(f).Hash, 0), 4)
	crew.SetUID("crew")
	crew.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(f, fleetKind)})
	crew.Object["status"] = map[string]any{"replicas": int64(4), "availableReplicas": int64(4)}
	return f, crew
}

func TestFleetLaw(t *testing.T) {
	f, crew := shopFleet("shop:v1")
	workloadtest.Run(t, workloadtest.Case{Driver: fleet{}, Object: f, Part: crew, Edit: func(o *unstructured.Unstructured) {
		setImage(o, "shop:v2")
		_ = unstructured.SetNestedField(o.Object, true, "spec", "paused")
		workload.Annotate(o, v1alpha1.AnnotationHeld, "ann")
	}})
}

// fleetCluster is a cluster with a Fleet, and its controller.
func fleetCluster(t *testing.T) *cluster {
	t.Helper()
	f, crew := shopFleet("shop:v1")
	c := newClusterOf(t, []workload.Driver{fleet{}}, f, crew, webService(), webIngress(), canary(25, 50))
	c.runWorkload = c.runFleet
	return c
}

// runFleet gives a Fleet's size to the Crew of its template, once that is the Fleet's, and ends its other Crews.
func (c *cluster) runFleet(f *unstructured.Unstructured) (moved bool) {
	c.t.Helper()
	wanted := workload.TemplateOf(f).Hash
	paused, _, _ := unstructured.NestedBool(f.Object, "spec", "paused")
	all := c.sets()
	has := false
	for _, crew := range all {
		has = has || workload.OwnedBy(&crew, f.GetUID()) && workload.TemplateOf(&crew).Hash == wanted
	}
	if !has && paused {
		return false
	}
	if !has {
		crew := newCrew(f, workload.Short(wanted, 0), 0)
		crew.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(f, fleetKind)})
		c.add(crew)
		return true
	}
	size, _, _ := unstructured.NestedInt64(f.Object, "spec", "replicas")
	for _, crew := range all {
		want := int64(0)
		if workload.TemplateOf(&crew).Hash == wanted {
			want = size
		}
		if n, _, _ := unstructured.NestedInt64(crew.Object, "spec", "replicas"); workload.OwnedBy(&crew, f.GetUID()) && n != want {
			setReplicas(&crew, int(want))
			c.update(&crew)
			moved = true
		}
	}
	return moved
}

// TestFleet releases through the toy driver: nothing in the controller knows a kind of workload by name.
func TestFleet(t *testing.T) {
	t.Run("straight through", func(t *testing.T) {
		c := fleetCluster(t)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		c.promoteAll()
		c.expectRest("released", v1alpha1.RolloutHealthy, "shop:v2")
	})
	t.Run("abort and retry", func(t *testing.T) {
		c := fleetCluster(t)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		play(c, v1alpha1.VerbAbort)
		c.expectPods("aborted", map[string]int{"shop:v1": 4})
		c.decide(v1alpha1.VerbRetry, "shop-1")
		c.settle()
		c.promoteAll()
		c.expectRest("tried again", v1alpha1.RolloutHealthy, "shop:v2")
	})
	t.Run("the Rollout goes in mid-release", func(t *testing.T) {
		c := fleetCluster(t)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		c.delete(c.rollout())
		c.settle()
		c.expectRest("removed", "", "shop:v1")
	})
	// What holds of each write is a Deployment's test. The last case is the one that has no such write any more.
	for n, hit := 1, "the first"; hit != ""; n += 3 {
		t.Run(fmt.Sprintf("killed after write %d", n), func(t *testing.T) {
			c := fleetCluster(t)
			hit = ""
			c.diesAfter(n, &hit)
			c.settle()
			c.setImage("shop:v2")
			c.settle()
			c.promoteAll()
			c.expectRest("released", v1alpha1.RolloutHealthy, "shop:v2")
		})
	}
}
