// Package registry holds the explicit lists of what is built in. A new adapter is one folder and one line here.
package registry

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/ingress"
)

// Traffic returns the provider of a layer and the name of its object; nil if the layer names none.
func Traffic(l v1alpha1.TrafficLayer) (traffic.Provider, string) {
	switch {
	case l.Ingress != nil:
		return ingress.Of(l.Ingress.Controller), l.Ingress.Name
	case l.HTTPRoute != nil:
		return gatewayapi.New(), l.HTTPRoute.Name
	}
	return nil, ""
}
