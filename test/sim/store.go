package sim

import "reflect"

// Actor is who writes.
type Actor uint8

// The actors.
const (
	Sluice Actor = iota
	Kubernetes
	Gateway
	Autoscaler
	Agent
	Person
	Meddler
	Analyst
)

var actorNames = []string{"sluice", "kubernetes", "gateway", "autoscaler", "agent", "person", "meddler", "analyst"}

// String is the actor's name.
func (a Actor) String() string { return actorNames[a] }

// Object is one stored object at one version. Value is nil where there is none; RV then says when it went.
type Object struct {
	RV    int
	Value any
}

// Event is one change of one object, as a watch delivers it.
type Event struct {
	Object
	N    int
	Tick int
	// Lost events are never delivered; only a later one or a relist shows what they would have.
	Lost bool
}

// Change is a write that was stored, as the checkers see it.
type Change struct {
	Tick   int
	Actor  Actor
	Key    Key
	Before any
	After  any
}

// table is objects by kind and number.
type table [Kinds][]Object

func (t *table) get(k Key) Object {
	if k.N >= len(t[k.Kind]) {
		return Object{}
	}
	return t[k.Kind][k.N]
}

func (t *table) set(k Key, o Object) {
	for k.N >= len(t[k.Kind]) {
		t[k.Kind] = append(t[k.Kind], Object{})
	}
	t[k.Kind][k.N] = o
}

// at is the object of that key as a T; false where there is none.
func at[T any](t *table, k Key) (T, bool) {
	v, ok := t.get(k).Value.(T)
	return v, ok
}

// must is the same for objects that are always asked for together with whether they exist.
func must[T any](t *table, k Key) T {
	v, _ := t.get(k).Value.(T)
	return v
}

// Store is the API server.
type Store struct {
	table
	rv  int
	log [Kinds][]Event
	// written is the version of each object that Sluice's last write to it made: truth for the checkers, and
	// unlike the hands' own it survives their crashes.
	written [Kinds][]int
}

// put stores a value, or with nil removes the object; it returns the version and whether anything changed.
func (w *World) put(a Actor, k Key, v any) (int, bool) {
	old := w.store.get(k)
	if v != nil && old.Value != nil {
		v = w.admit(a, k, old.Value, v)
	}
	if same(k.Kind, old.Value, v) {
		return old.RV, false
	}
	v = nextGeneration(old.Value, v)
	w.store.rv++
	o := Object{RV: w.store.rv, Value: v}
	w.store.set(k, o)
	w.store.log[k.Kind] = append(w.store.log[k.Kind], Event{Object: o, N: k.N, Tick: w.Tick, Lost: w.loses(k.Kind)})
	w.propagate(k, v)
	if a == Sluice {
		w.note(k, o.RV)
	}
	w.trace(a, k, old.Value, v)
	w.checks.written(w, Change{w.Tick, a, k, old.Value, v})
	return o.RV, true
}

// nextGeneration counts the changes of a spec that has a status beside it.
func nextGeneration(old, v any) any {
	switch v := v.(type) {
	case Route:
		if was, _ := old.(Route); v.Split != was.Split || v.Team != was.Team {
			v.Generation++
		}
		return v
	case ReplicaSet:
		if was, _ := old.(ReplicaSet); v.Desired != was.Desired {
			v.Generation++
		}
		return v
	}
	return v
}

func (w *World) note(k Key, rv int) {
	s := &w.store.written[k.Kind]
	for k.N >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[k.N] = rv
}

// loses says whether the event that is appended now is the one that the fault drops.
func (w *World) loses(k Kind) bool {
	f := w.Fault
	if f.Do != DropEvent || f.Kind != k || f.N != len(w.store.log[k]) {
		return false
	}
	w.disturb(2 * recheck)
	w.checks.excuse.blind(w.Tick + recheck)
	return true
}

// same compares two values; only Releases and Decisions hold what == cannot compare.
func same(k Kind, a, b any) bool {
	if k == KRelease || k == KDecision {
		return reflect.DeepEqual(a, b)
	}
	return a == b
}

// Deployment is what is stored now; false where there is none.
func (w *World) deployment() (Deployment, bool) { return at[Deployment](&w.store.table, deploymentKey) }

func (w *World) replicaSet(v Version) (ReplicaSet, bool) {
	return at[ReplicaSet](&w.store.table, replicaSetKey(v))
}

func (w *World) service(n int) (Service, bool) { return at[Service](&w.store.table, serviceKey(n)) }

func (w *World) endpoints(n int) Endpoints { return must[Endpoints](&w.store.table, endpointsKey(n)) }

func (w *World) release() (Release, bool) { return at[Release](&w.store.table, releaseKey) }

func (w *World) rollout() (Rollout, bool) { return at[Rollout](&w.store.table, rolloutKey) }
