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

// Layers are the kinds of traffic layers that are built in.
var Layers = translate.LayerKinds{
	{Field: "ingress", New: func(l v1alpha1.TrafficLayer) traffic.Provider {
		named := ptr.Deref(l.Ingress, v1alpha1.IngressReference{})
		return ingress.New(named.Name, named.Controller)
	}},
	{Field: "httpRoute", New: func(l v1alpha1.TrafficLayer) traffic.Provider {
		return gatewayapi.NewHTTPRoute(ptr.Deref(l.HTTPRoute, v1alpha1.HTTPRouteReference{}).Name)
	}},
	{Field: "grpcRoute", New: func(l v1alpha1.TrafficLayer) traffic.Provider {
		return gatewayapi.NewGRPCRoute(ptr.Deref(l.GRPCRoute, v1alpha1.GRPCRouteReference{}).Name)
	}},
}
