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

// Provider is the layer; it has no state.
type Provider struct {
	// controller is what the Rollout says of the Ingress controller.
	controller string
}

// New returns the layer.
func New() traffic.Provider { return Provider{} }

// Of returns the layer where the Rollout says what annotations the controller reads: "nginx", or "" for no word.
func Of(controller string) traffic.Provider { return Provider{controller: controller} }

var (
	_ traffic.Provider  = Provider{}
	_ traffic.Contended = Provider{}
	_ traffic.Classed   = Provider{}
	_ traffic.Sticky    = Provider{}
)

// Kind of the team's object.
func (Provider) Kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}
}

// BesideName is the name of the canary Ingress.
func (Provider) BesideName(route, rollout string) string { return naming.CanaryIngress(route, rollout) }

// Apply adds the canary Ingress or brings it up to date.
func (Provider) Apply(w traffic.World, s traffic.Split) traffic.Change {
	if w.Route == nil {
		return traffic.Change{}
	}
	want := canary(w, s)
	if !routes(spec(want)) {
		return traffic.Change{RemoveBeside: w.Beside != nil} // the API server takes no Ingress without a backend
	}
	if w.Beside != nil && upToDate(w.Beside, want) {
		return traffic.Change{}
	}
	annotations := want.GetAnnotations()
	annotations[ChangedAt] = w.Now.UTC().Format(time.RFC3339Nano)
	want.SetAnnotations(annotations)
	return traffic.Change{Beside: want}
}

// Restore removes the canary Ingress. Where it is being removed and somebody's finalizer keeps it, it is told to send nobody
// to the canary, and counts as gone.
func (Provider) Restore(w traffic.World) traffic.Change {
	switch {
	case w.Beside == nil || ended(w.Beside):
		return traffic.Change{}
	case w.Beside.GetDeletionTimestamp() == nil:
		return traffic.Change{RemoveBeside: true}
	}
	idle := w.Beside.DeepCopy()
	annotations := idle.GetAnnotations()
	maps.DeleteFunc(annotations, func(key, _ string) bool { return steersCanary(key) })
	writeSplit(annotations, traffic.Split{})
	idle.SetAnnotations(annotations)
	return traffic.Change{Beside: idle}
}

// ended says whether a canary Ingress is being removed, and sends nobody to the canary meanwhile.
func ended(beside *unstructured.Unstructured) bool {
	split := readSplit(beside.GetAnnotations())
	return beside.GetDeletionTimestamp() != nil && split.Weight == 0 && len(split.Matches) == 0
}

// Read says what the canary Ingress asks for. ingress-nginx itself reports nothing.
func (p Provider) Read(w traffic.World) traffic.State {
	if w.Beside == nil || ended(w.Beside) {
		problem := unrouted(w)
		return traffic.State{Accepted: problem == "", Problem: problem}
	}
	annotations := w.Beside.GetAnnotations()
	state := traffic.State{Routed: true, Split: readSplit(annotations), Accepted: true, Version: version(w.Beside)}
	if !p.Apply(w, state.Split).Empty() {
		state.Accepted = false
		state.Problem = fmt.Sprintf("Ingress %s is not what Ingress %s asks for, as one of them was changed; Sluice writes it again",
			w.Beside.GetName(), routeName(w))
	}
	return state
}

func routeName(w traffic.World) string {
	if w.Route == nil {
		return ""
	}
	return w.Route.GetName()
}

// canary builds the canary Ingress, but for ChangedAt.
func canary(w traffic.World, s traffic.Split) *unstructured.Unstructured {
	annotations := carried(w.Route.GetAnnotations())
	writeSplit(annotations, s)
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "networking.k8s.io/v1",
		"kind":       "Ingress",
		"spec":       canarySpec(spec(w.Route), services(w.Backends)),
	}}
	u.SetName(naming.CanaryIngress(w.Route.GetName(), w.Rollout))
	u.SetNamespace(w.Route.GetNamespace())
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
		if b.Stable != "" && b.Canary != "" {
			twins[b.Stable] = b.Canary
		}
	}
	return twins
}

// copied is a deep copy, so that nothing of the team's object is shared.
func copied[T any](v T) T {
	out, _ := runtime.DeepCopyJSONValue(v).(T)
	return out
}
