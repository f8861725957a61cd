// Package traffic is the room of the traffic layers: each folder below turns one Split into the objects of
// its layer. Providers are pure: objects in, objects out. They call no API, keep no state, send no events; the
// controller carries out the Changes that they return.
//
// It may import release for its types, and apimachinery. Providers import this package and never each other.
package traffic

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/release"
)

// Provider is one traffic layer that a Rollout names. It knows the names of the team's objects from the Rollout, and
// everything else from the World.
type Provider interface {
	// Objects are all objects that the layer reads or writes, the team's and Sluice's, in the order in which they are
	// looked at. What it writes follows from the names in the Rollout alone: whatever becomes of the other objects, it is
	// found again and given back, and the Rollout's author is asked for his right on each of them by its name. What it
	// only reads may be named in other objects, and is known once the World has those. Until then it is listed without a
	// name and is not looked at, so that the kinds are known in any World, also in an empty one: the rights, the watches
	// and the admission policies are held against them.
	Objects(w World) []Object
	// Targets are the Services that an object of one of the layer's kinds sends requests to, in the object's order. One
	// that it names several times is there as often. It need not be an object of this layer: routes of others that lead
	// to a canary are found so.
	Targets(object *unstructured.Unstructured) []Target
	// Needs is what the layer needs, whatever its objects are.
	Needs() Needs
	// Check refuses, before anything moves, what this layer cannot do with these objects: the error names the
	// field and the remedy. splits are those of spec.canary.steps, in that order. The error is a *Busy where it
	// cannot be done only because of one of the Parties, who are all asked for what they have planned.
	Check(w World, splits []Split) error
	// Apply has the layer do the split. Where it already does, there are no changes. It also works in what
	// the team has edited since, so it is to be asked again whenever one of the objects has changed. The process may end
	// after any of the writes that it asks for: asked again, it asks for the rest.
	Apply(w World, s Split) []Change
	// Restore gives everything back as it was before the first Apply, with the team's own edits since then
	// kept. Where nothing is to be given back, there are no changes.
	Restore(w World) []Change
	// Read says what the layer does now.
	Read(w World) State
}

// Ref names an object in the Rollout's namespace.
type Ref struct {
	schema.GroupVersionKind
	Name string
}

// String names the object for people.
func (r Ref) String() string { return r.Kind + " " + r.Name }

// MarshalText lets maps by object be written as JSON.
func (r Ref) MarshalText() ([]byte, error) {
	return []byte(r.GroupVersionKind.String() + " " + r.Name), nil
}

// RefOf names an object.
func RefOf(u *unstructured.Unstructured) Ref { return Ref{u.GroupVersionKind(), u.GetName()} }

// Object is an object that a layer has to do with.
type Object struct {
	Ref
	Part Part
	// Optional: the object is the team's, and need not be there.
	Optional bool
}

// Part is what a layer does with an object.
type Part string

// The parts.
const (
	// Reads: the object is the team's, and stays as it is.
	Reads Part = "reads"
	// Changes: the object is the team's. It is changed under a Hold, and put back.
	Changes Part = "changes"
	// Makes: the object is Sluice's. It is made for a release, and removed.
	Makes Part = "makes"
)

// Needs is what a layer needs, whatever its objects are.
type Needs struct {
	// Settle is how long the layer may take to follow a change after it was accepted, where the Rollout does not say. It
	// is written down in the plan of a release. A layer that knows it only from its objects says it in State.Settle.
	Settle time.Duration
	// Propagation is how long the layer may take to learn of a new endpoint. The first weight waits for so long after the
	// canary's first endpoint is ready: the layer learns of endpoints and of routes on different ways, and fails requests
	// while it knows the one and not the other. It is 0 for layers that fall back to the stable Service meanwhile.
	Propagation time.Duration
}

// Split is what a layer is to do with the requests for the workload.
type Split struct {
	// Weight is the canary's share in percent, 0 to 100.
	Weight int
	// Matches go to the canary whatever the weight.
	Matches []release.Match
}

// Backend is one of the team's Services that selects the workload's pods, and its canary twin.
type Backend struct {
	Stable, Canary Address
	// Ports of the stable Service; the twin has the same.
	Ports []Port
}

// Address is where the pods of one version get requests.
type Address struct {
	// Service is the name of their Service.
	Service string
	// Labels are what that Service selects now, for layers that select pods themselves. They are nil where the Service is
	// not there yet, and for other workloads' backends.
	Labels map[string]string
}

// Twins is a backend by the names of its two Services.
func Twins(stable, canary string) Backend {
	return Backend{Stable: Address{Service: stable}, Canary: Address{Service: canary}}
}

// Port is a port of a Service.
type Port struct {
	Name   string
	Number int64
}

// Target is a Service of an object's namespace that the object sends requests to.
type Target struct {
	Service string
	// Port is as the object names it: by its number, or by its name; neither where it names none.
	Port Port
}

// Busy is what Check returns where a layer could do what is asked, but not at the same time as what it does for
// another release. The release that came later waits.
type Busy struct {
	// Release that was there first.
	Release string
	// Why the two cannot be under way together, as a clause.
	Why string
}

func (b *Busy) Error() string {
	return fmt.Sprintf("waits until release %s has ended: %s", b.Release, b.Why)
}

// Change is what is to be done with one object, in the order of the fields. Changes are carried out in their order,
// each on condition that nobody has written the object since it was read.
type Change struct {
	// Ref is the object, one of Provider.Objects.
	Ref Ref
	// Hold, when not nil, is to be recorded in the object's Hold before the object is changed. It may come alone.
	Hold *Record
	// After, when not nil, is what the object is to become. Of an object that the layer Changes only the spec differs, and
	// in it only the fields that the Hold's original names. Of one that it Makes it is all that is Sluice's, so that
	// what an earlier Apply set and this one does not is removed; the controller adds owner and labels.
	After *unstructured.Unstructured
	// Remove asks for the removal of an object that the layer Makes.
	Remove bool
	// ReleaseHold asks for this release's name to be taken off the object's Hold, after the object has nothing of its
	// split any more. The Hold goes with the last name.
	ReleaseHold bool
}

// Record is what a Hold is to say.
type Record struct {
	// Original are the fields of the object's spec that are changed, as the team has them. They replace what the Hold
	// had, for the team may have edited the object in the meantime.
	Original map[string]any
	// Matches of this release's split. A layer may need them to read its own rules back.
	Matches []release.Match
}

// State is what a layer does now.
type State struct {
	// Routed: the layer has a canary route, or Sluice still has its hands on one of the team's objects.
	Routed bool
	Split
	// Accepted: the objects are as Apply would leave them for this Split, and the layer reports that it has taken them. Of
	// layers that report nothing only the first is asked.
	Accepted bool
	// Version changes with each change of the objects that steers requests, and with nothing else. It is empty where
	// there is none of Sluice's.
	Version string
	// Problem says why Accepted is false; it is empty otherwise.
	Problem string
	// Settle is how long the layer, as its objects show it, may take to follow a change after it was accepted. 0 where
	// Needs says it.
	Settle time.Duration
	// Sticky: the team's objects ask for sessions to be kept where they are by a cookie that names their Service.
	Sticky bool
}

// Splits are those of a release's steps.
func Splits(s release.Spec) []Split {
	out := make([]Split, 0, len(s.Steps))
	for _, st := range s.Steps {
		out = append(out, Split{Weight: st.Weight, Matches: st.Matches})
	}
	return out
}

// SplitChecker is implemented by layers that can say without the team's objects what they cannot do.
type SplitChecker interface {
	// CheckSplits gives what the layer can do for no object. Each error begins with the field and a colon.
	CheckSplits(splits []Split) []error
}

// Class is the class of an object and the controller behind it.
type Class struct {
	// Name that the object gives; empty if it names none.
	Name string
	// Controller is what reads objects of that class; empty if there is no such class.
	Controller string
	// Unreadable: there is no right to look.
	Unreadable bool
}

// Classed is implemented by layers whose objects name the controller that reads them by an IngressClass.
type Classed interface {
	// Class is the name of the objects' class; empty if they name none.
	Class(w World) string
}

// Contended is implemented by layers that heed one divider of the same requests alone, also where an object of another
// name asks for it.
type Contended interface {
	// Divides says whether an object of one of the layer's kinds asks for requests to be divided.
	Divides(object *unstructured.Unstructured) bool
	// Contention says who else divides the same requests, with the remedy; empty if nobody does.
	Contention(w World) string
}
