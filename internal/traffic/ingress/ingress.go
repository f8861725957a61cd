package ingress

import (
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// ChangedAt is the annotation of the canary Ingress that says when Sluice last changed it.
const ChangedAt = "sluice.dev/changed-at"

// settle is how long an Ingress controller, which reports nothing, is given to follow a change. It is for ingress-nginx
// as it ships: at most one sync every 3.3 s (--sync-rate-limit 0.3), up to 2.5 s for the sync itself (5.8 s at most
// were measured from write to post), and its workers look for the result each second.
const settle = 7 * time.Second

var kind = schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}

// Provider is the layer of one Ingress; it has no state.
type Provider struct {
	// name of the team's Ingress.
	name string
	// controller is what the Rollout says of the Ingress controller.
	controller string
}

// New returns the layer of the Ingress of that name. controller is what the Rollout says of the annotations that its
// controller reads: "nginx", or "" for no word.
func New(name, controller string) traffic.Provider {
	return Provider{name: name, controller: controller}
}

var (
	_ traffic.Provider     = Provider{}
	_ traffic.SplitChecker = Provider{}
	_ traffic.Contended    = Provider{}
	_ traffic.Classed      = Provider{}
)

// Objects are the team's Ingress and the canary Ingress beside it.
func (p Provider) Objects(w traffic.World) []traffic.Object {
	return []traffic.Object{
		{Ref: p.route(), Part: traffic.Reads},
		{Ref: p.beside(w), Part: traffic.Makes},
	}
}

// Needs is the time to follow. ingress-nginx learns of endpoints as it learns of Ingresses.
func (Provider) Needs() traffic.Needs { return traffic.Needs{Settle: settle} }

func (p Provider) route() traffic.Ref { return traffic.Ref{GroupVersionKind: kind, Name: p.name} }

func (p Provider) beside(w traffic.World) traffic.Ref {
	return traffic.Ref{GroupVersionKind: kind, Name: naming.CanaryObject(p.name, w.Rollout)}
}

// view is the World as this layer sees it: the team's Ingress, and the canary Ingress beside it. Each may be nil.
type view struct {
	traffic.World
	route, beside *unstructured.Unstructured
}

func (p Provider) view(w traffic.World) view {
	return view{World: w, route: w.Objects[p.route()], beside: w.Objects[p.beside(w)]}
}

// Apply adds the canary Ingress or brings it up to date.
func (p Provider) Apply(w traffic.World, s traffic.Split) []traffic.Change {
	v := p.view(w)
	if v.route == nil {
		return nil
	}
	want := canary(v, s)
	if !routes(spec(want)) { // The API server takes no Ingress without a backend.
		if v.beside == nil {
			return nil
		}
		return []traffic.Change{{Ref: p.beside(w), Remove: true}}
	}
	if v.beside != nil && upToDate(v.beside, want) {
		return nil
	}
	annotations := want.GetAnnotations()
	annotations[ChangedAt] = w.Now.UTC().Format(time.RFC3339Nano)
	want.SetAnnotations(annotations)
	return []traffic.Change{{Ref: p.beside(w), After: want}}
}

// Restore removes the canary Ingress. Where it is being removed and somebody's finalizer keeps it, it is told to send
// nobody to the canary, and counts as gone.
func (p Provider) Restore(w traffic.World) []traffic.Change {
	beside := p.view(w).beside
	switch {
	case beside == nil || ended(beside):
		return nil
	case beside.GetDeletionTimestamp() == nil:
		return []traffic.Change{{Ref: p.beside(w), Remove: true}}
	}
	idle := beside.DeepCopy()
	annotations := idle.GetAnnotations()
	maps.DeleteFunc(annotations, func(key, _ string) bool { return steersCanary(key) })
	writeSplit(annotations, traffic.Split{})
	idle.SetAnnotations(annotations)
	return []traffic.Change{{Ref: p.beside(w), After: idle}}
}

// ended says whether a canary Ingress is being removed, and sends nobody to the canary meanwhile.
func ended(beside *unstructured.Unstructured) bool {
	split := readSplit(beside.GetAnnotations())
	return beside.GetDeletionTimestamp() != nil && split.Weight == 0 && len(split.Matches) == 0
}

// Read says what the canary Ingress asks for. ingress-nginx itself reports nothing.
func (p Provider) Read(w traffic.World) traffic.State {
	v := p.view(w)
	if v.beside == nil || ended(v.beside) {
		problem := unrouted(v)
		return traffic.State{Accepted: problem == "", Problem: problem, Sticky: sticky(v.route)}
	}
	state := traffic.State{
		Routed: true, Split: readSplit(v.beside.GetAnnotations()), Accepted: true,
		Version: version(v.beside), Sticky: sticky(v.route),
	}
	if len(p.Apply(w, state.Split)) > 0 {
		state.Accepted = false
		state.Problem = fmt.Sprintf("Ingress %s is not what Ingress %s asks for, as one of them was changed; Sluice "+
			"writes it again",
			v.beside.GetName(), p.name)
	}
	return state
}

// canary builds the canary Ingress, but for ChangedAt.
func canary(v view, s traffic.Split) *unstructured.Unstructured {
	annotations := carried(v.route.GetAnnotations())
	writeSplit(annotations, s)
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1",
		"kind":       "Ingress",
		"spec":       canarySpec(spec(v.route), services(v.Backends)),
	}}
	u.SetName(naming.CanaryObject(v.route.GetName(), v.Rollout))
	u.SetNamespace(v.route.GetNamespace())
	u.SetAnnotations(annotations)
	return u
}

// upToDate compares what is ours: the spec, and those annotations that we set or that steer the canary. What
// other controllers note on the object is theirs.
func upToDate(have, want *unstructured.Unstructured) bool {
	if !same(have.Object["spec"], want.Object["spec"]) {
		return false
	}
	has, wants := have.GetAnnotations(), want.GetAnnotations()
	if has[ChangedAt] == "" {
		return false
	}
	for k, v := range wants {
		if got, ok := has[k]; !ok || got != v {
			return false
		}
	}
	for k := range has {
		if _, ok := wants[k]; !ok && steersCanary(k) {
			return false
		}
	}
	return true
}

// spec of an Ingress, empty if it has none.
func spec(u *unstructured.Unstructured) map[string]any {
	s, _ := u.Object["spec"].(map[string]any)
	return s
}

// routes says whether an Ingress' spec has any backend.
func routes(s map[string]any) bool { return s["rules"] != nil || s["defaultBackend"] != nil }

// services maps each of the workload's Services to its canary twin.
func services(backends []traffic.Backend) map[string]string {
	twins := make(map[string]string, len(backends))
	for _, b := range backends {
		if b.Stable.Service != "" && b.Canary.Service != "" {
			twins[b.Stable.Service] = b.Canary.Service
		}
	}
	return twins
}

// copied is a deep copy, so that nothing of the team's object is shared.
func copied[T any](v T) T {
	out, _ := runtime.DeepCopyJSONValue(v).(T)
	return out
}
