package deployment

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Driver releases Deployments; it has no state.
type Driver struct{}

var _ workload.Driver = Driver{}

// New returns the driver.
func New() workload.Driver { return Driver{} }

// Kinds implements workload.Driver.
func (Driver) Kinds() workload.Kinds {
	return workload.Kinds{Workload: Kind, Part: ReplicaSetKind, Mark: v1alpha1.LabelPodTemplateHash}
}

// Traits implements workload.Driver.
func (Driver) Traits() release.Traits {
	return release.Traits{Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel}
}

// Place implements workload.Driver: the ReplicaSet is labelled and named as the Deployment controller would do it.
func (Driver) Place(w workload.World, hash string, salt int) (mark string, at workload.Ref) {
	mark = workload.Short(hash, salt)
	return mark, workload.Ref{GroupVersionKind: ReplicaSetKind, Name: NameOf(w.Object, mark)}
}

// Parts are the ReplicaSets. Anybody may write a second owner, so of those that a Deployment has left behind only the
// one with the released template counts.
func (Driver) Parts(w workload.World) []workload.Part {
	parts, _ := parts(w)
	return parts
}

// parts are the ReplicaSets, and those that are left of a Deployment which is gone and are not the released one.
func parts(w workload.World) (parts, strays []workload.Part) {
	for _, rs := range w.Owned {
		if rs.GetDeletionTimestamp() == nil {
			parts = append(parts, partOf(rs, w.Object))
		}
	}
	released := ""
	if s := w.Rollout.Status.Stable; s != nil {
		released = s.Hash
	}
	if w.Release != nil {
		released = w.Release.Spec.From.Hash
	}
	for _, rs := range w.Kept {
		if rs.GetDeletionTimestamp() != nil {
			continue
		}
		if p := partOf(rs, w.Object); p.Template.Hash == released {
			parts = append(parts, p)
		} else {
			strays = append(strays, p)
		}
	}
	return parts, strays
}

func partOf(rs, d *unstructured.Unstructured) workload.Part {
	owner := d
	if owner == nil {
		owner = &unstructured.Unstructured{}
	}
	return workload.Part{
		Object: rs, Template: workload.TemplateOf(rs), Mark: PodTemplateHash(rs), Behind: Behind(rs),
		Track: ReadTrack(rs, owner.GetUID()),
		Runs:  func(pod string) bool { return Names(rs, pod) },
	}
}

// Read implements workload.Driver.
func (Driver) Read(w workload.World) workload.Seen { return read(w).Seen }

// view is what the driver sees itself, beside what it shows.
type view struct {
	workload.Seen
	world workload.World
	// strays are ReplicaSets that a Deployment has left behind which is gone, and that are not of the released revision.
	strays []workload.Part
	// loose are ReplicaSets of neither version, which the Deployment has made and filled while somebody had resumed it
	// in mid-release. taken are those of them that the release has taken from it.
	loose, taken []workload.Part
	// edited has the stable ReplicaSet's place, and another template: somebody has edited it.
	edited *workload.Part
}

func read(w workload.World) view {
	v := view{world: w}
	v.Parts, v.strays = parts(w)
	v.Stable, v.Canary = workload.Find(v.Parts, w.Stable), workload.Brought(v.Parts, w.Release)
	if s := v.Stable; s != nil && w.Release != nil {
		s.Track.Taken = workload.OwnedBy(s.Object, w.Release.UID)
	}
	v.readLeft()
	v.readLoose()
	if w.Object == nil {
		return v
	}
	v.Template = workload.TemplateOf(w.Object)
	v.Paused = pauser(w.Object)
	v.Needs = Needs(w.Object)
	v.Running, v.Updating = v.running(), updating(w.Object, v.Parts)
	if Recreates(w.Object) {
		v.Refusal = TwoAtOnce(w.Object.GetName())
	}
	if w.Object.GetDeletionTimestamp() != nil {
		return v
	}
	v.Workload = release.Workload{
		Exists: true, Desired: v.Template.Hash, Replicas: Replicas(w.Object), Held: Paused(w.Object), Kept: w.KeepPaused,
		Alone: v.Canary.Now().Adopted && v.alone(), Loose: len(v.loose), Taken: len(v.taken),
	}
	return v
}

// TwoAtOnce is the sentence that refuses a Deployment which asks that two of its revisions never run at once.
func TwoAtOnce(name string) string {
	return fmt.Sprintf("the Deployment %q has spec.strategy.type Recreate, so two of its revisions must never run at "+
		"once, "+
		"but a release runs the new one beside the old: set spec.strategy.type to RollingUpdate if two may run at once, "+
		"or delete the Rollout", name)
}

// pauser says who has paused a Deployment.
func pauser(d *unstructured.Unstructured) release.Pauser {
	_, always := d.GetAnnotations()[workload.AnnotationKept]
	switch {
	case !Paused(d):
		return release.NotPaused
	case always:
		return release.PausedAlways
	case workload.Marked(d):
		return release.PausedByHold
	}
	return release.PausedByTeam
}

// heldByUs says whether a Deployment is paused by our hold and not by the team.
func heldByUs(d *unstructured.Unstructured) bool { return Paused(d) && workload.Marked(d) }

// readLeft finds what a Deployment that is gone has left behind.
func (v *view) readLeft() {
	v.Left = v.strays
	for _, p := range v.Parts {
		if metav1.GetControllerOf(p.Object) == nil {
			v.Left = append(v.Left, p)
		}
	}
}

// readLoose finds the ReplicaSets of neither version.
func (v *view) readLoose() {
	if s := v.world.Stable; s != nil {
		for i := range v.Parts {
			p := &v.Parts[i]
			if p.Mark == s.PodTemplateHash && p.Template.Hash != s.Hash && !v.world.Made(p.Object) {
				v.edited = p
				break
			}
		}
	}
	if v.world.Release == nil {
		return
	}
	for i := range v.Parts {
		switch p := &v.Parts[i]; {
		case p.Is(v.Stable), p.Is(v.Canary), p.Is(v.edited): // The edited one's pods are of the stable template.
		case workload.OwnedBy(p.Object, v.world.Release.UID):
			v.taken = append(v.taken, *p)
		case p.Track.Adopted && p.Track.Desired > 0:
			v.loose = append(v.loose, *p)
		}
	}
}

// running is the revision of a Deployment's template. Where a new template has come just after the Deployment was taken
// over, and is held, it is that of the one ReplicaSet which has pods.
func (v *view) running() *v1alpha1.Revision {
	var active []workload.Part
	for _, p := range v.Parts {
		if !p.Track.Adopted {
			continue
		}
		if p.Template.Hash == v.Template.Hash {
			return new(p.Revision())
		}
		if p.Track.Desired > 0 {
			active = append(active, p)
		}
	}
	if heldByUs(v.world.Object) && len(active) == 1 {
		return new(active[0].Revision())
	}
	return nil
}

// updating says whether the Deployment controller is still busy with a rolling update of its own: pods of several
// revisions, or a status that is behind.
func updating(d *unstructured.Unstructured, parts []workload.Part) bool {
	if status(d, "observedGeneration") < int(d.GetGeneration()) {
		return true
	}
	active := 0
	for _, p := range parts {
		if p.Track.Adopted && !Idle(p.Object) {
			active++
		}
	}
	return active > 1
}

// alone says whether every other ReplicaSet of the Deployment has no pods, and the new one all it should.
func (v *view) alone() bool {
	for i := range v.Parts {
		p := &v.Parts[i]
		if !p.Is(v.Canary) && p.Track.Adopted && (p.Track.Desired > 0 || p.Track.Pods > 0) {
			return false
		}
	}
	t := v.Canary.Now()
	return t.Desired == Replicas(v.world.Object) && t.Ready >= t.Desired
}
