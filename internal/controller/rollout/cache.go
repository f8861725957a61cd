package rollout

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/registry"
	"github.com/sluice-dev/sluice/internal/workload"
)

// Cache is what the manager's cache keeps of each kind.
func Cache() cache.Options {
	kept := map[client.Object]cache.ByObject{
		&discoveryv1.EndpointSlice{}: {Transform: condenseEndpoints},
		&v1alpha1.Release{}:          {Transform: condenseRelease},
	}
	// The transform has to be on the untyped form, which is the one that is read: the cache keeps the two forms apart.
	for _, driver := range registry.Workloads {
		kinds := driver.Kinds()
		kept[untyped(kinds.Workload)] = cache.ByObject{Transform: workload.Condense}
		kept[untyped(kinds.Part)] = cache.ByObject{Transform: workload.Condense}
	}
	return cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: kept}
}

// condenseRelease leaves the templates of a release that has ended out: it measures nothing any more, and its record
// may be kept for long. Its spec is never written.
func condenseRelease(in any) (any, error) {
	rel, ok := in.(*v1alpha1.Release)
	if !ok {
		return in, nil
	}
	rel.ManagedFields = nil
	if rel.Status.Phase.Terminal() {
		rel.Spec.Plan.Templates = nil
	}
	return rel, nil
}

// condenseEndpoints keeps which pods are ready and which ports lead there, and nothing else.
func condenseEndpoints(in any) (any, error) {
	s, ok := in.(*discoveryv1.EndpointSlice)
	if !ok {
		return in, nil
	}
	s.ManagedFields, s.Annotations = nil, nil
	for i, p := range s.Ports {
		s.Ports[i] = discoveryv1.EndpointPort{Name: p.Name}
	}
	for i, e := range s.Endpoints {
		kept := discoveryv1.Endpoint{Conditions: discoveryv1.EndpointConditions{Ready: e.Conditions.Ready}}
		if e.TargetRef != nil {
			kept.TargetRef = &corev1.ObjectReference{Name: e.TargetRef.Name}
		}
		s.Endpoints[i] = kept
	}
	return s, nil
}
