package traffic

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/release"
)

// World is what a provider sees. Nothing in it may be changed in place.
type World struct {
	// Rollout is the name of the Rollout that asks.
	Rollout string
	// Objects are those of Provider.Objects that are there; see Look. One that the layer Makes is there only if a release
	// of the Rollout has made it.
	Objects map[Ref]*unstructured.Unstructured
	// Holds are what is recorded of the objects that the layer Changes.
	Holds map[Ref]Hold
	// Backends of the workload.
	Backends []Backend
	// Class is that of the team's objects, for layers that are Classed; nil if nobody has looked.
	Class *Class
	// Others are all objects of the team's objects' kinds that can be seen, in all namespaces, for layers that are
	// Contended.
	Others []*unstructured.Unstructured
	// Parties are the releases of other workloads that are under way on the same kind of layer. Those that the Hold of
	// an object names have their split in it now; every Apply and Restore keeps it as it is there.
	Parties []Party
	// Now is the time of the decision.
	Now time.Time
}

// Hold is what the Hold of one of the team's objects says.
type Hold struct {
	// Original holds the fields of the object's spec that were changed, as they were before; nil when nobody has changed
	// the object. It is the same for all releases that work on the object.
	Original map[string]any
	// Held: the Hold names this release.
	Held bool
	// Matches are the last that this release recorded in it.
	Matches []release.Match
}

// Party is another workload's release.
type Party struct {
	// Release is its name; empty for another layer of the same release.
	Release string
	// Objects are the team's that it works on. They may be the World's own.
	Objects []*unstructured.Unstructured
	// Held are the World's objects whose Holds name it, with the matches that it has recorded there.
	Held map[Ref][]release.Match
	// Gone: its record is gone, and so whatever it has left in the objects is to be taken out.
	Gone bool
	// Backends of its workload. Only the names of the Services are known.
	Backends []Backend
	// Planned are the splits of its steps, which only Check needs.
	Planned []Split
}

// Look gives the World all objects that the provider names. What it names may depend on what is there, so it is asked
// until it names nothing new. read returns nil for an object that is not there.
func Look(p Provider, w World, read func(Object) (*unstructured.Unstructured, error)) (World, error) {
	w.Objects = map[Ref]*unstructured.Unstructured{}
	seen := map[Ref]bool{}
	for {
		news := slices.DeleteFunc(slices.Clone(p.Objects(w)), func(o Object) bool { return o.Name == "" || seen[o.Ref] })
		if len(news) == 0 {
			return w, nil
		}
		for _, o := range news {
			found, err := read(o)
			if err != nil {
				return w, err
			}
			if seen[o.Ref] = true; found != nil {
				w.Objects[o.Ref] = found
			}
		}
	}
}

// Held says whether a Hold of one of the objects names this release.
func (w World) Held() bool {
	for _, h := range w.Holds {
		if h.Held {
			return true
		}
	}
	return false
}

// Join adds a release that the Hold of an object names to the Parties.
func (w *World) Join(p Party) {
	i := slices.IndexFunc(w.Parties, func(o Party) bool { return o.Release == p.Release })
	if i < 0 {
		w.Parties = append(w.Parties, p)
		return
	}
	joined := w.Parties[i]
	joined.Held = maps.Clone(joined.Held)
	maps.Copy(joined.Held, p.Held)
	joined.Objects = slices.Concat(joined.Objects, p.Objects)
	w.Parties[i] = joined
}

// Team are the team's objects that are there, in the layer's order.
func Team(p Provider, w World) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range p.Objects(w) {
		if u := w.Objects[o.Ref]; u != nil && o.Part != Makes {
			out = append(out, u)
		}
	}
	return out
}

// Missing are the team's objects that are not there and have to be.
func Missing(p Provider, w World) []Ref {
	var out []Ref
	for _, o := range p.Objects(w) {
		if o.Name != "" && o.Part != Makes && !o.Optional && w.Objects[o.Ref] == nil {
			out = append(out, o.Ref)
		}
	}
	return out
}

// Made says whether an object that the layer Makes is there.
func Made(p Provider, w World) bool {
	return slices.ContainsFunc(p.Objects(w), func(o Object) bool { return o.Part == Makes && w.Objects[o.Ref] != nil })
}

// TargetsOf are the Services that the team's objects send requests to.
func TargetsOf(p Provider, w World) []Target {
	var out []Target
	for _, u := range Team(p, w) {
		out = append(out, p.Targets(u)...)
	}
	return out
}

// LeadsTo says whether the team's objects send requests to a Service.
func LeadsTo(p Provider, w World, service string) bool {
	return slices.ContainsFunc(TargetsOf(p, w), func(t Target) bool { return t.Service == service })
}

// Kinds are the layer's kinds with what it does with an object of each. Names are left out.
func Kinds(p Provider) []Object {
	var out []Object
	for _, o := range p.Objects(World{}) {
		if o.Name, o.Optional = "", false; !slices.Contains(out, o) {
			out = append(out, o)
		}
	}
	return out
}
