package translate

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// traits are how each kind of workload is released, as its driver has it. They follow from the kind alone, so no plan
// records them.
var traits = map[string]release.Traits{
	"Deployment": {Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel},
}

// Traits are how a kind of workload is released.
func Traits(kind string) release.Traits { return traits[kind] }

// Divide says what divides the requests, where a Rollout or a plan names these layers. switches: without layers the
// Services change over.
func Divide(layers []v1alpha1.TrafficLayer, switches bool) release.Divide {
	switch {
	case len(layers) > 0:
		return release.ByLayers
	case switches:
		return release.BySelector
	}
	return release.ByPods
}
