package registry

import (
	"slices"

	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// Workloads are the drivers that are built in, one for each kind of workload.
var Workloads = []workload.Driver{deployment.New()}

// Workload returns the driver of a kind that spec.workload.kind names. An empty one stands for the first.
func Workload(kind string) workload.Driver {
	i := slices.IndexFunc(Workloads, func(d workload.Driver) bool { return d.Kinds().Workload.Kind == kind })
	if i < 0 && kind != "" {
		return nil
	}
	return Workloads[max(i, 0)]
}
