package prometheus

import (
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

// The jobs, by which series tell who was scraped.
const (
	GatewayJob = "gateway"
	PodsJob    = "pods"
)

// Targets is what there is to scrape, told by those who run it. It is safe for concurrent
// use.
type Targets struct {
	changed chan struct{} // holds one token: it is read after the change that it stands for

	mu   sync.Mutex
	jobs map[string]map[string]map[string]string // job -> address -> labels
}

// NewTargets returns an empty list.
func NewTargets() *Targets {
	return &Targets{
		changed: make(chan struct{}, 1),
		jobs:    map[string]map[string]map[string]string{GatewayJob: {}, PodsJob: {}},
	}
}

// SetGateway says where the gateway serves /metrics.
func (t *Targets) SetGateway(address string) { t.set(GatewayJob, address, map[string]string{}) }

// SetPod says where a pod serves /metrics, and what labels its series get; with nil
// labels, that it does no more.
func (t *Targets) SetPod(address string, labels map[string]string) { t.set(PodsJob, address, labels) }

func (t *Targets) set(job, address string, labels map[string]string) {
	t.mu.Lock()
	if labels == nil {
		delete(t.jobs[job], address)
	} else {
		t.jobs[job][address] = maps.Clone(labels)
	}
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// groups are the targets as the scraper wants them, one group for each.
func (t *Targets) groups() map[string][]*targetgroup.Group {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[string][]*targetgroup.Group, len(t.jobs))
	for job, targets := range t.jobs {
		all[job] = []*targetgroup.Group{}
		for _, address := range slices.Sorted(maps.Keys(targets)) {
			all[job] = append(all[job], group(address, targets[address]))
		}
	}
	return all
}

func group(address string, labels map[string]string) *targetgroup.Group {
	set := make(model.LabelSet, len(labels))
	for name, value := range labels {
		set[model.LabelName(name)] = model.LabelValue(value)
	}
	return &targetgroup.Group{
		Source:  address,
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(address)}},
		Labels:  set,
	}
}
