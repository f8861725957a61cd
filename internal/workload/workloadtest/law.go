// Package workloadtest is the law of the workload drivers: what holds of each of them, whatever kind of workload it
// releases. A driver's own test calls Run with a workload of its kind.
package workloadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Case is a workload of a driver's kind.
type Case struct {
	Driver workload.Driver
	// Object is the workload as the team has it, with a UID. It runs its template.
	Object *unstructured.Unstructured
	// Part runs that template. The workload controls it, and it is as large as the workload.
	Part *unstructured.Unstructured
	// Edit writes a new template into the workload, and holds it as the admission policy does.
	Edit func(*unstructured.Unstructured)
}

// Run checks the law.
func Run(t *testing.T, c Case) {
	t.Helper()
	for name, law := range map[string]func(*bench){
		"a release goes through":         through,
		"a release is taken back":        back,
		"the template is written back":   reverted,
		"a hand-over is taken back":      handedBack,
		"the workload is given back":     givenBack,
		"an earlier revision is written": rolledBack,
		"only its owner makes a part":    forged,
		"a workload that is gone":        gone,
	} {
		t.Run(name, func(t *testing.T) { law(newBench(t, c)) })
	}
}

// bench is a namespace with one workload.
type bench struct {
	*testing.T
	c       Case
	world   workload.World
	records map[workload.Ref]*unstructured.Unstructured
	made    int
}

func newBench(t *testing.T, c Case) *bench {
	t.Helper()
	b := &bench{T: t, c: c, records: map[workload.Ref]*unstructured.Unstructured{}}
	b.world = workload.World{
		Rollout: &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Object.GetNamespace(), Name: "law",
			UID: "rollout",
		}},
		Object: c.Object.DeepCopy(), Owned: []*unstructured.Unstructured{c.Part.DeepCopy()},
	}
	return b
}

// read asks the driver, which must change nothing in place.
func (b *bench) read() workload.Seen {
	b.Helper()
	before := snapshot(b.world)
	seen := b.c.Driver.Read(b.world)
	if diff := cmp.Diff(before, snapshot(b.world)); diff != "" {
		b.Errorf("Read changes what it is shown:\n%s", diff)
	}
	return seen
}

// do carries an action out, and then once more: the repetition must change nothing.
func (b *bench) do(a workload.Action) {
	b.Helper()
	b.once(a)
	before := snapshot(b.world)
	b.once(a)
	if diff := cmp.Diff(before, snapshot(b.world)); diff != "" {
		b.Errorf("%T: a repetition changes:\n%s", a, diff)
	}
}

func (b *bench) once(a workload.Action) {
	b.Helper()
	shown := b.world
	shown.Whole = map[workload.Ref]*unstructured.Unstructured{}
	for range 9 {
		before := snapshot(b.world)
		doing, err := b.c.Driver.Do(shown, a)
		if diff := cmp.Diff(before, snapshot(b.world)); diff != "" {
			b.Fatalf("Do(%T) changes what it is shown:\n%s", a, diff)
		}
		if err != nil {
			b.Fatalf("Do(%T): %v", a, err)
		}
		if len(doing.Needs) == 0 {
			for _, w := range doing.Writes {
				b.write(w)
			}
			return
		}
		for _, n := range doing.Needs {
			shown.Whole[n.Ref] = b.find(n.Ref)
		}
	}
	b.Fatalf("Do(%T) asks for ever", a)
}

func (b *bench) find(ref workload.Ref) *unstructured.Unstructured {
	if b.world.Object != nil && workload.RefOf(b.world.Object) == ref {
		return b.world.Object
	}
	for _, o := range b.world.Owned {
		if workload.RefOf(o) == ref {
			return o
		}
	}
	return b.records[ref]
}

func (b *bench) write(w workload.Write) {
	b.Helper()
	switch w.Verb {
	case workload.Create:
		if b.find(workload.RefOf(w.After)) != nil {
			b.Fatalf("%s %s is made, and it is there", w.After.GetKind(), w.After.GetName())
		}
		after := w.After.DeepCopy()
		b.made++
		after.SetUID(types.UID(fmt.Sprintf("made-%d", b.made)))
		b.world.Owned = append(b.world.Owned, after)
	case workload.Delete, workload.Orphan:
		b.world.Owned = without(b.world.Owned, w.Before.GetUID())
	case workload.Patch, workload.PatchSpec:
		if b.world.Object != nil && w.After.GetUID() == b.world.Object.GetUID() {
			b.world.Object = b.patched(b.world.Object, w)
			return
		}
		for i, o := range b.world.Owned {
			if o.GetUID() == w.After.GetUID() {
				b.world.Owned = slices.Clone(b.world.Owned)
				b.world.Owned[i] = b.patched(o, w)
				return
			}
		}
		b.Fatalf("%s %s is written, and was not shown", w.After.GetKind(), w.After.GetName())
	}
}

// patched is an object after the difference between the two states of a write, which is all that reaches the API
// server.
func (b *bench) patched(o *unstructured.Unstructured, w workload.Write) *unstructured.Unstructured {
	b.Helper()
	raw := func(o *unstructured.Unstructured) []byte {
		out, err := json.Marshal(o.Object)
		if err != nil {
			b.Fatal(err)
		}
		return out
	}
	patch, err := jsonpatch.CreateMergePatch(raw(w.Before), raw(w.After))
	if err != nil {
		b.Fatal(err)
	}
	after, err := jsonpatch.MergePatch(raw(o), patch)
	if err != nil {
		b.Fatal(err)
	}
	out := &unstructured.Unstructured{}
	if err := out.UnmarshalJSON(after); err != nil {
		b.Fatal(err)
	}
	prune(out.Object)
	return out
}

// prune drops empty labels and annotations, as the API server does.
func prune(o map[string]any) {
	for key, v := range o {
		m, is := v.(map[string]any)
		if is && len(m) == 0 && (key == "labels" || key == "annotations") {
			delete(o, key)
		}
		prune(m)
	}
}

func without(all []*unstructured.Unstructured, uid types.UID) (out []*unstructured.Unstructured) {
	for _, o := range all {
		if o.GetUID() != uid {
			out = append(out, o)
		}
	}
	return out
}

// snapshot is all that is there, for a comparison.
func snapshot(w workload.World) map[string]any {
	out := map[string]any{}
	if w.Object != nil {
		out["workload"] = w.Object.DeepCopy().Object
	}
	for _, o := range w.Owned {
		out["part "+o.GetName()] = o.DeepCopy().Object
	}
	return out
}

// begin takes the workload over and begins a release of a new template.
func (b *bench) begin() {
	b.Helper()
	b.do(release.TakeOver{})
	seen := b.read()
	if seen.Running == nil || seen.Running.Hash != seen.Template.Hash || seen.Updating {
		b.Fatalf("runs %+v, updating %v; want its template %s", seen.Running, seen.Updating, seen.Template.Hash)
	}
	b.world.Stable = seen.Running
	b.do(release.KeepStable{})
	edited := b.world.Object.DeepCopy()
	b.c.Edit(edited)
	b.world.Object = edited
	seen = b.read()
	switch {
	case !seen.Workload.Held || !seen.Paused.BySluice(false) || seen.Workload.Desired == b.world.Stable.Hash:
		b.Fatalf("the new revision: %+v, held by Sluice %v", seen.Workload, seen.Paused)
	case seen.Stable == nil || seen.Stable.Track.Desired != seen.Workload.Replicas:
		b.Fatalf("the stable part: %+v", seen.Stable)
	}
	mark, _ := b.c.Driver.Place(b.world, seen.Template.Hash, 0)
	b.world.Release = &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: "law-1", UID: "release"},
		Spec: v1alpha1.ReleaseSpec{
			From: *b.world.Stable, To: v1alpha1.Revision{Hash: seen.Template.Hash, PodTemplateHash: mark},
		},
	}
	b.world.Makers = []types.UID{"release"}
}

// scale has the canary have so many pods.
func (b *bench) scale(n int) {
	b.Helper()
	b.do(release.ScaleCanary{Replicas: n})
	seen := b.read()
	c := seen.Canary
	switch {
	case c == nil:
		b.Fatalf("scaled to %d: there is no canary", n)
	case c.Track.Desired != n || c.Track.Adopted || !workload.OwnedBy(c.Object, b.world.Release.UID):
		b.Fatalf("scaled to %d: %+v of %v", n, c.Track, c.Object.GetOwnerReferences())
	case c.Is(seen.Stable) || c.Mark == seen.Stable.Mark || c.Mark != b.world.Release.Spec.To.PodTemplateHash:
		b.Fatalf("marks: canary %q, stable %q", c.Mark, seen.Stable.Mark)
	case c.Template.Hash != seen.Template.Hash:
		b.Fatalf("the canary runs %s, want the workload's %s", c.Template.Hash, seen.Template.Hash)
	case seen.Stable.Track.Desired != seen.Workload.Replicas:
		b.Fatalf("the stable part shrinks to %d", seen.Stable.Track.Desired)
	}
}

func through(b *bench) {
	b.begin()
	all := b.read().Workload.Replicas
	b.scale(1)
	b.scale(all)
	b.do(release.HandOver{})
	if seen := b.read(); !seen.Canary.Now().Adopted || seen.Template.Hash != b.world.Release.Spec.To.Hash {
		b.Fatalf("handed over: %+v", seen.Canary)
	}
	b.do(release.ResumeWorkload{})
	if seen := b.read(); seen.Workload.Held || seen.Paused.BySluice(false) {
		b.Errorf("resumed, and still held: %+v", seen.Workload)
	}
}

func back(b *bench) {
	b.begin()
	b.scale(2)
	b.scale(0)
	b.do(release.RemoveCanary{})
	if seen := b.read(); seen.Canary != nil || seen.Stable == nil || !seen.Workload.Held {
		b.Errorf("taken back: canary %v, stable %v, %+v", seen.Canary, seen.Stable, seen.Workload)
	}
}

func reverted(b *bench) {
	b.begin()
	b.scale(1)
	b.do(release.RevertTemplate{})
	if seen := b.read(); seen.Template.Hash != b.world.Stable.Hash || seen.Workload.Held {
		b.Errorf("written back: %+v", seen.Workload)
	}
}

func handedBack(b *bench) {
	b.begin()
	b.scale(b.read().Workload.Replicas)
	b.do(release.HandOver{})
	b.do(release.TakeBack{})
	seen := b.read()
	if seen.Canary.Now().Adopted || !workload.OwnedBy(seen.Canary.Object, b.world.Release.UID) ||
		!seen.Stable.Now().Adopted {
		b.Errorf("taken back: canary %+v, stable %+v", seen.Canary.Now(), seen.Stable.Now())
	}
}

// givenBack: as the Rollout goes, the workload is the team's again to the byte; what was not released does not run.
func givenBack(b *bench) {
	b.do(release.TakeOver{})
	b.do(release.GiveBack{})
	if diff := cmp.Diff(b.c.Object.Object, b.world.Object.Object); diff != "" {
		b.Errorf("taken over and given back (-before +after):\n%s", diff)
	}
	b = newBench(b.T, b.c)
	b.begin()
	b.world.Release = nil
	b.do(release.GiveBack{})
	if seen := b.read(); seen.Template.Hash != b.world.Stable.Hash || seen.Workload.Held || b.world.Ours() {
		b.Errorf("given back with a revision that was not released: %+v", seen.Workload)
	}
}

func rolledBack(b *bench) {
	b.begin()
	b.world.Release = nil
	b.do(workload.WriteRevision{Revision: *b.world.Stable, By: "ann"})
	seen := b.read()
	if seen.Template.Hash != b.world.Stable.Hash || !seen.Paused.BySluice(false) ||
		b.world.Object.GetAnnotations()[v1alpha1.AnnotationHeld] != "ann" {
		b.Errorf("written: %+v with %v", seen.Workload, b.world.Object.GetAnnotations())
	}
	_, err := b.c.Driver.Do(b.world, workload.WriteRevision{Revision: v1alpha1.Revision{Hash: "unknown"}})
	shown := b.world
	shown.Whole = map[workload.Ref]*unstructured.Unstructured{
		workload.RefOf(b.world.Object): b.world.Object,
		{GroupVersionKind: workload.RecordKind, Name: workload.RecordName("law", "unknown")}: nil,
	}
	if err == nil {
		_, err = b.c.Driver.Do(shown, workload.WriteRevision{Revision: v1alpha1.Revision{Hash: "unknown"}})
	}
	if !errors.Is(err, workload.ErrNoTemplate) {
		b.Errorf("a revision that is kept nowhere: %v", err)
	}
}

// forged: labels and names make nothing a part of a revision.
func forged(b *bench) {
	b.begin()
	b.scale(1)
	seen := b.read()
	other := seen.Stable.Object.DeepCopy()
	other.SetName(seen.Canary.Name() + "x")
	other.SetUID("forged")
	other.SetLabels(seen.Canary.Object.GetLabels())
	b.world.Owned = append(b.world.Owned, other)
	if got := b.read(); got.Canary.UID() != seen.Canary.UID() {
		b.Errorf("the canary is %s by its labels, want %s", got.Canary.Name(), seen.Canary.Name())
	}
}

// gone: without a workload nothing is written to it, and nothing panics.
func gone(b *bench) {
	b.begin()
	b.scale(1)
	b.world.Object = nil
	if seen := b.read(); seen.Workload.Exists {
		b.Errorf("gone: %+v", seen.Workload)
	}
	for _, a := range []workload.Action{
		release.ScaleCanary{Replicas: 0},
		release.HandOver{},
		release.PauseWorkload{},
		release.ResumeWorkload{},
		release.RevertTemplate{},
		release.RemoveLoose{},
		release.RemoveCanary{},
		release.KeepStable{},
		release.RemakeStable{},
		release.GiveBack{},
		release.RemoveRemains{},
	} {
		b.once(a)
	}
}
