// Package workload is the room of the workload drivers: each folder below knows how the revisions of one kind of
// workload run beside each other, and how the new one takes over. Drivers are pure: objects in, objects out. They call
// no API and keep no state. The controller carries out what they return, and names no kind itself.
//
// It may import api, release, naming, podtemplate and apimachinery. Drivers import this package and never each other.
package workload

import (
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// Driver releases one kind of workload.
type Driver interface {
	Kinds() Kinds
	// Traits are how the kind is released; the core has a row for each way.
	Traits() release.Traits
	// Parts are what runs the pods of each revision. Only World's Rollout, Release, Object, Owned and Kept are read.
	Parts(World) []Part
	// Read says what there is.
	Read(World) Seen
	// Place is where the part of a new revision of World's Object would be: the mark that its pods would bear, and its
	// name. Another salt gives another place, for the case that one is taken.
	Place(w World, hash string, salt int) (mark string, at Ref)
	// Do says what an action comes to: one of release's, or one of those below. The error is ErrNoTemplate where the pod
	// template that the action needs is kept nowhere.
	Do(World, Action) (Doing, error)
}

// Kinds are the kinds that a driver works on.
type Kinds struct {
	// Workload is the team's object.
	Workload schema.GroupVersionKind
	// Part is what runs the pods of one revision. The workload or a Release controls it.
	Part schema.GroupVersionKind
	// Mark is the label by whose value the pods of one revision are told from those of another.
	Mark string
}

// World is what a driver sees. Nothing in it may be changed in place.
type World struct {
	// Rollout that looks after the workload.
	Rollout *v1alpha1.Rollout
	// Release under way, or nil.
	Release *v1alpha1.Release
	// Makers are the UIDs of the Rollout's releases.
	Makers []types.UID
	// Object is the workload, or nil. Its pod template may be condensed; see Condense.
	Object *unstructured.Unstructured
	// Owned are the parts that the workload controls, or one of the Rollout's releases.
	Owned []*unstructured.Unstructured
	// Kept are those without a controller that name the Rollout as an owner: a workload that is gone has left them.
	Kept []*unstructured.Unstructured
	// Stable is the revision that was released last, or nil. With a release under way it is the one to go back to.
	Stable *v1alpha1.Revision
	// KeepPaused: no admission policy holds new revisions, so the workload is kept paused all the time.
	KeepPaused bool
	// Whole are the objects that Do has asked for; nil stands for one that is not there.
	Whole map[Ref]*unstructured.Unstructured
}

// Ref names an object in the workload's namespace.
type Ref struct {
	schema.GroupVersionKind
	Name string
}

// RefOf names an object.
func RefOf(o *unstructured.Unstructured) Ref { return Ref{o.GroupVersionKind(), o.GetName()} }

// Seen is what there is, in words that fit every kind of workload.
type Seen struct {
	// Workload in the core's words; zero where there is none.
	Workload release.Workload
	// Template of the workload; zero where there is none.
	Template Template
	// Parts of all revisions.
	Parts []Part
	// Stable runs the stable revision, Canary the one that the release brings. Each is nil where there is none.
	Stable, Canary *Part
	// Running is the revision that a workload runs which is taken over; nil while that is not known.
	Running *v1alpha1.Revision
	// Updating: the workload is busy with a rolling update of its own.
	Updating bool
	// Paused says who has paused the workload.
	Paused release.Pauser
	// Needs is the number of ready pods with which the workload counts as available.
	Needs int
	// Refusal says why the workload cannot be released as it is; empty if it can.
	Refusal string
	// Left are the parts that a workload which is gone has left behind.
	Left []Part
}

// Doing is what an action comes to.
type Doing struct {
	// Needs are to be read whole before the driver is asked again. While there are any, nothing is written.
	Needs []Need
	// Writes in their order. Each is safe to repeat.
	Writes []Write
	// Tell is for people, once the writes are done.
	Tell []release.Reason
}

// Need is an object that has to be read past the cache.
type Need struct {
	Ref
	// Unchanged: what is to be done relies on what the cache shows of it.
	Unchanged bool
}

// Verb is a way to write.
type Verb int

// The verbs.
const (
	// Patch writes the difference between Before and After, on condition that nobody has written the object since.
	Patch Verb = iota
	// PatchSpec does the same, but the status may have changed.
	PatchSpec
	// Create makes After.
	Create
	// Delete removes Before.
	Delete
	// Orphan removes Before, and leaves its pods.
	Orphan
)

// Write is one write.
type Write struct {
	Verb          Verb
	Before, After *unstructured.Unstructured
}

// ErrNoTemplate: the pod template of a revision is kept nowhere.
var ErrNoTemplate = errors.New("its pod template is kept nowhere")

// Action is what a driver is asked to do: a release.Action or release.RestAction about the workload, or one of those
// below.
type Action any

// Free takes the Rollout's marks off a workload that is not the Rollout's.
type Free struct{ Object *unstructured.Unstructured }

// WriteRevision writes the template of an earlier revision to the workload for somebody. The workload is held.
type WriteRevision struct {
	Revision v1alpha1.Revision
	By       string
}

// Reasons that drivers tell of.
const (
	// ReasonStableRemade: the part of the stable revision was deleted or edited, and has been made anew.
	ReasonStableRemade = "StableReplicaSetRemade"
	// ReasonLeftPaused: a workload could not be given back with its stable template.
	ReasonLeftPaused = "LeftPaused"
)
