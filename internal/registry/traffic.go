// Package registry holds the explicit lists of what is built in. A new adapter is one folder and one line here.
package registry

import (
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/ingress"
	"github.com/sluice-dev/sluice/internal/translate"
)

// Layer is one kind of traffic layer.
type Layer struct {
	// Field of an entry of spec.traffic.
	Field string
	// New is the provider for an entry in which Field is set. For an empty one it is the provider as it is by default.
	New func(v1alpha1.TrafficLayer) traffic.Provider
}

// Layers are the traffic layers that are built in.
var Layers = []Layer{
	{"ingress", func(l v1alpha1.TrafficLayer) traffic.Provider {
		return ingress.Of(ptr.Deref(l.Ingress, v1alpha1.IngressReference{}).Controller)
	}},
	{"httpRoute", func(v1alpha1.TrafficLayer) traffic.Provider { return gatewayapi.New() }},
}

// Providers are one of each kind of layer, to ask what an object of its kind says.
func Providers() []traffic.Provider {
	out := make([]traffic.Provider, 0, len(Layers))
	for _, row := range Layers {
		out = append(out, row.New(v1alpha1.TrafficLayer{}))
	}
	return out
}

// Traffic returns the provider of a layer and the name of its object; nil if the layer names none.
func Traffic(l v1alpha1.TrafficLayer) (traffic.Provider, string) {
	named := translate.LayerOf(l)
	for _, row := range Layers {
		if row.Field == named.Field {
			return row.New(l), named.Name
		}
	}
	return nil, ""
}
