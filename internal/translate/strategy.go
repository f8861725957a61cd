package translate

import (
	"fmt"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// traits are how each kind of workload is released. They follow from the kind alone, so no plan records them.
var traits = map[string]release.Traits{
	"Deployment": {Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel},
}

// Divide says what divides the requests, where a Rollout or a plan names these layers.
func Divide(layers []v1alpha1.TrafficLayer) release.Divide {
	if len(layers) > 0 {
		return release.ByLayers
	}
	return release.ByPods
}

// TwoAtOnce is the sentence that refuses a Deployment which asks that two of its revisions never run at once.
func TwoAtOnce(name string) string {
	return fmt.Sprintf("the Deployment %q has spec.strategy.type Recreate, so two of its revisions must never run at once, "+
		"but a release runs the new one beside the old: set spec.strategy.type to RollingUpdate if two may run at once, "+
		"or delete the Rollout", name)
}
