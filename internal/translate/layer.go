package translate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// LayerKind is one kind of traffic layer: a field of an entry of spec.traffic, and what does its work.
type LayerKind struct {
	// Field of the entry, as in the API: "ingress".
	Field string
	// New is the provider for an entry in which Field is set. For an empty entry it stands for the kind of layer: it knows
	// its kinds of objects, and what an object of these says.
	New func(v1alpha1.TrafficLayer) traffic.Provider
}

// LayerKinds are all that there are. Those that are built in are in internal/registry, which few may import; the others
// are given the list.
type LayerKinds []LayerKind

// Of is the provider for an entry of spec.traffic; nil if it sets no field that is known here.
func (k LayerKinds) Of(l v1alpha1.TrafficLayer) traffic.Provider {
	field := LayerOf(l).Field
	for _, kind := range k {
		if kind.Field == field {
			return kind.New(l)
		}
	}
	return nil
}

// Each is one provider of each kind of layer.
func (k LayerKinds) Each() []traffic.Provider {
	out := make([]traffic.Provider, 0, len(k))
	for _, kind := range k {
		out = append(out, kind.New(v1alpha1.TrafficLayer{}))
	}
	return out
}

// Objects are the kinds of all objects that the layers have to do with.
func (k LayerKinds) Objects() []schema.GroupVersionKind {
	var out []schema.GroupVersionKind
	for _, p := range k.Each() {
		for _, o := range traffic.Kinds(p) {
			if !slices.Contains(out, o.GroupVersionKind) {
				out = append(out, o.GroupVersionKind)
			}
		}
	}
	return out
}

// fillSettle writes down in a plan how long its layers are given to follow, where the Rollout does not say and the
// layer does whatever its objects are.
func (k LayerKinds) fillSettle(layers []v1alpha1.TrafficLayer) {
	for i := range layers {
		o, p := optionsOf(&layers[i]), k.Of(layers[i])
		if o == nil || o.Settle != nil || p == nil {
			continue
		}
		if by := p.Needs().Settle; by > 0 {
			o.Settle = &metav1.Duration{Duration: by}
		}
	}
}

// Layer is one entry of spec.traffic, whichever of its fields is set.
type Layer struct {
	// Field that is set, as in the API: "ingress".
	Field string
	// Name that the field gives.
	Name string
	// LayerOptions are what the Rollout says of the layer.
	v1alpha1.LayerOptions
}

// String is the name by which the core and people speak of a layer: "ingress/shop".
func (l Layer) String() string {
	if l.Field == "" {
		return ""
	}
	return strings.ToLower(l.Field) + "/" + l.Name
}

// LayerOf reads an entry of spec.traffic; it is zero for one that sets no field. Every kind of layer is a field with a
// name and LayerOptions, so none is known by its own name here.
func LayerOf(l v1alpha1.TrafficLayer) Layer {
	field, of := set(&l)
	if field == "" {
		return Layer{}
	}
	return Layer{Field: field, Name: of.Elem().FieldByName("Name").String(), LayerOptions: *optionsOf(&l)}
}

// optionsOf are those of the field that is set; nil if none is.
func optionsOf(l *v1alpha1.TrafficLayer) *v1alpha1.LayerOptions {
	field, of := set(l)
	if field == "" {
		return nil
	}
	return of.Interface().(interface{ Options() *v1alpha1.LayerOptions }).Options()
}

// set is the first field that is set, by its name in the API.
func set(l *v1alpha1.TrafficLayer) (field string, of reflect.Value) {
	fields := reflect.ValueOf(l).Elem()
	for i := range fields.NumField() {
		if of := fields.Field(i); !of.IsNil() {
			name, _, _ := strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
			return name, of
		}
	}
	return "", reflect.Value{}
}

// Party is another release that has a share in the Hold of an object.
func Party(s v1alpha1.HoldShare, of traffic.Ref) traffic.Party {
	return traffic.Party{
		Release: s.Release, Held: map[traffic.Ref][]release.Match{of: Matches(s.Match)}, Backends: Backends(s),
	}
}

// Backends are the Services of a share in the Hold of an object. Their ports and labels are not known.
func Backends(s v1alpha1.HoldShare) []traffic.Backend {
	out := make([]traffic.Backend, 0, len(s.Services))
	for _, sv := range s.Services {
		out = append(out, traffic.Twins(sv.Stable, sv.Canary))
	}
	return out
}

// Target names an object in a Hold.
func Target(of traffic.Ref) v1alpha1.HoldTarget {
	return v1alpha1.HoldTarget{APIVersion: of.GroupVersion().String(), Kind: of.Kind, Name: of.Name}
}

// Original is what a Hold keeps of its object's spec, as the team has it; nil if it keeps nothing.
func Original(h *v1alpha1.Hold) (map[string]any, error) {
	if h.Spec.Original == nil {
		return nil, nil
	}
	var out map[string]any
	if err := json.Unmarshal(h.Spec.Original.Raw, &out); err != nil {
		return nil, fmt.Errorf("read spec.original of Hold %s: %w", h.Name, err)
	}
	return out, nil
}
