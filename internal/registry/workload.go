package registry

import (
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// Workloads are the drivers that are built in, one for each kind that spec.workload.kind names.
var Workloads = []workload.Driver{deployment.New()}
