// Package ingress is the layer of Ingresses whose controller reads ingress-nginx's canary annotations. It adds
// one canary Ingress beside the team's and never changes the team's own, so there is nothing to hold and
// nothing to put back but the removal of what was added.
//
// It may import traffic, release and apimachinery. Only the registry imports it.
package ingress
