// Package traffic is the room of the traffic layers: each folder below turns one Split into the objects of
// its layer. Providers are pure: objects in, objects out. They call no API, keep no state, send no events; the
// controller carries out the Change that they return.
//
// It may import release for its types, and apimachinery. Providers import this package and never each other.
package traffic

import (
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

// World is what a provider sees. Nothing in it may be changed in place.
type World struct {
	// Route is the team's object.
	Route *unstructured.Unstructured
	// Beside is the object that an earlier Apply added beside Route, or nil. Providers that work inside
	// Route have none.
	Beside *unstructured.Unstructured
	// Original holds the fields of Route's spec that were changed, as they were before (from the Hold);
	// nil when Route has not been changed.
	Original map[string]any
	// Backends of the workload.
	Backends []Backend
	// Class is that of Route, for layers that are Classed; nil if nobody has looked.
	Class *Class
	// Others are all objects of Route's kind that can be seen, in all namespaces, for layers that are Contended.
	Others []*unstructured.Unstructured
	// Now is the time of the decision.
	Now time.Time
}

// Change is what the controller has to do, in the order of the fields. Its zero value is: nothing.
type Change struct {
	// Original, when not nil, is to be recorded in the Hold before Route is changed; it replaces what the
	// Hold had (the team has edited the object in the meantime). It may come without Route.
	Original map[string]any
	// Route, when not nil, is what the team's object is to become. Only its spec differs, and in it only the
	// fields that Original names.
	Route *unstructured.Unstructured
	// Beside, when not nil, is the object to have beside Route: all that is ours in it, so that what an
	// earlier Apply set and this one does not is removed. The controller adds owner and labels.
	Beside *unstructured.Unstructured
	// RemoveBeside asks for that object's removal.
	RemoveBeside bool
	// ReleaseHold asks for the Hold's removal, after Route is back as it was.
	ReleaseHold bool
}

// Empty says whether there is nothing to do.
func (c Change) Empty() bool {
	return c.Original == nil && c.Route == nil && c.Beside == nil && !c.RemoveBeside && !c.ReleaseHold
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
	// BesideName is the name of the object that Apply adds beside the one of this name; empty if it adds none.
	BesideName(route string) string
	// Check refuses, before anything moves, what this layer cannot do with this object: the error names the
	// field and the remedy. splits are those of spec.canary.steps, in that order.
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
