// Package traffic is the room of the traffic layers: each folder below turns one Split into the objects of
// its layer. Providers are pure: objects in, objects out. They call no API, keep no state, send no events; the
// controller carries out the Change that they return.
//
// It may import release for its types, and apimachinery. Providers import this package and never each other.
package traffic

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/release"
)

// Split is what a layer is to do with the requests for the workload.
type Split struct {
	// Weight is the canary's share in percent, 0 to 100.
	Weight int
	// Matches go to the canary whatever the weight.
	Matches []release.Match
}

// Backend is one of the team's Services that selects the workload's pods, and its canary twin.
type Backend struct {
	// Stable and Canary are the names of the two Services.
	Stable, Canary string
	// Ports of the stable Service; the twin has the same.
	Ports []Port
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

// World is what a provider sees. Nothing in it may be changed in place.
type World struct {
	// Rollout is the name of the Rollout that asks.
	Rollout string
	// Route is the team's object.
	Route *unstructured.Unstructured
	// Beside is the object that an earlier Apply added beside Route, or nil. Providers that work inside
	// Route have none.
	Beside *unstructured.Unstructured
	// Original holds the fields of Route's spec that were changed, as they were before (from the Hold);
	// nil when nobody has changed Route. It is the same for all releases that work on Route.
	Original map[string]any
	// Held: the Hold of Route names this release.
	Held bool
	// Matches are the last that this release recorded in the Hold.
	Matches []release.Match
	// Backends of the workload.
	Backends []Backend
	// Class is that of Route, for layers that are Classed; nil if nobody has looked.
	Class *Class
	// Others are all objects of Route's kind that can be seen, in all namespaces, for layers that are Contended.
	Others []*unstructured.Unstructured
	// Parties are the releases of other workloads that are under way on the same kind of object. Those that the
	// Hold of Route names have their split in Route now; every Apply and Restore keeps it as it is there.
	Parties []Party
	// Now is the time of the decision.
	Now time.Time
}

// Party is another workload's release.
type Party struct {
	// Release is its name.
	Release string
	// Route is the object that it works on; nil if that is the World's own.
	Route *unstructured.Unstructured
	// Held: the Hold of the World's Route names it.
	Held bool
	// Gone: its record is gone, and so whatever it has left in Route is to be taken out.
	Gone bool
	// Backends of its workload.
	Backends []Backend
	// Matches that it has recorded in the Hold.
	Matches []release.Match
	// Planned are the splits of its steps, which only Check needs.
	Planned []Split
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

// Change is what the controller has to do, in the order of the fields. Its zero value is: nothing.
type Change struct {
	// Hold, when not nil, is to be recorded in the Hold before Route is changed. It may come without Route.
	Hold *Record
	// Route, when not nil, is what the team's object is to become. Only its spec differs, and in it only the
	// fields that the Hold's original names.
	Route *unstructured.Unstructured
	// Beside, when not nil, is the object to have beside Route: all that is ours in it, so that what an
	// earlier Apply set and this one does not is removed. The controller adds owner and labels.
	Beside *unstructured.Unstructured
	// RemoveBeside asks for that object's removal.
	RemoveBeside bool
	// ReleaseHold asks for this release's name to be taken off the Hold, after Route has nothing of its split any
	// more. The Hold goes with the last name.
	ReleaseHold bool
}

// Record is what a Hold is to say.
type Record struct {
	// Original are the fields of Route's spec that are changed, as the team has them. They replace what the Hold
	// had, for the team may have edited the object in the meantime.
	Original map[string]any
	// Matches of this release's split. A layer may need them to read its own rules back.
	Matches []release.Match
}

// Empty says whether there is nothing to do.
func (c Change) Empty() bool {
	return c.Hold == nil && c.Route == nil && c.Beside == nil && !c.RemoveBeside && !c.ReleaseHold
}

// State is what a layer does now.
type State struct {
	// Routed: the layer has a canary route, or Sluice still has its hands on the team's object.
	Routed bool
	Split
	// Accepted: the object is as Apply would leave it for this Split, and the layer reports that it has taken it. Of
	// layers that report nothing only the first is asked.
	Accepted bool
	// Version changes with each change of the object that steers requests, and with nothing else. It is empty where
	// there is none of Sluice's.
	Version string
	// Problem says why Accepted is false; it is empty otherwise.
	Problem string
}

// Provider is one kind of traffic layer.
type Provider interface {
	// Kind of the team's object.
	Kind() schema.GroupVersionKind
	// BesideName is the name of the object that Apply adds, for a Rollout, beside the one of this name; empty if it
	// adds none. It is a valid name whatever the two are, and no other pair has the same.
	BesideName(route, rollout string) string
	// Targets are the Services that an object of this kind sends requests to, in the object's order. One that it names
	// several times is there as often.
	Targets(route *unstructured.Unstructured) []Target
	// Check refuses, before anything moves, what this layer cannot do with this object: the error names the
	// field and the remedy. splits are those of spec.canary.steps, in that order. The error is a *Busy where it
	// cannot be done only because of one of the Parties, who are all asked for what they have planned.
	Check(w World, splits []Split) error
	// Apply has the layer do the split. Where it already does, the Change is empty. It also works in what
	// the team has edited since, so it is to be asked again whenever one of the objects has changed.
	Apply(w World, s Split) Change
	// Restore gives everything back as it was before the first Apply, with the team's own edits since then
	// kept. Where nothing is to be given back, the Change is empty.
	Restore(w World) Change
	// Read says what the layer does now.
	Read(w World) State
}

// LeadsTo says whether an object sends requests to a Service of its namespace.
func LeadsTo(p Provider, route *unstructured.Unstructured, service string) bool {
	return route != nil && slices.ContainsFunc(p.Targets(route), func(t Target) bool { return t.Service == service })
}

// Splits are those of a release's steps.
func Splits(s release.Spec) []Split {
	out := make([]Split, 0, len(s.Steps))
	for _, st := range s.Steps {
		out = append(out, Split{Weight: st.Weight, Matches: st.Matches})
	}
	return out
}

// SplitChecker is implemented by layers that can say without the team's object what they cannot do.
type SplitChecker interface {
	// CheckSplits gives what the layer can do for no object. Each error begins with the field and a colon.
	CheckSplits(splits []Split) []error
}

// Propagating is implemented by layers that fail requests while they do not know of a canary's endpoints yet. They
// learn of endpoints and of routes on different ways; the first weight waits for so long after the first endpoint is
// ready. Layers that fall back to the stable Service meanwhile do not need it.
type Propagating interface {
	// Propagation is how long the layer may take to learn of a new endpoint.
	Propagation() time.Duration
}

// Settling is implemented by layers that are not in force as soon as they say so.
type Settling interface {
	// Settle is how long the layer may take to follow a change after it was accepted, where the Rollout does not say.
	Settle(w World) time.Duration
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

// Classed is implemented by layers whose objects name the controller that reads them by a class.
type Classed interface {
	// Class is the name of the object's class; empty if it names none.
	Class(route *unstructured.Unstructured) string
}

// Contended is implemented by layers that heed one divider of the same requests alone, also where an object of another
// name asks for it.
type Contended interface {
	// Contention says who else divides the same requests, with the remedy; empty if nobody does.
	Contention(w World) string
}

// Sticky is implemented by layers that may keep a session where it is by a cookie that names its Service.
type Sticky interface {
	// Sticky says whether the team's object asks for that.
	Sticky(w World) bool
}
