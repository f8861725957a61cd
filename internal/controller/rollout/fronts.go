package rollout

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// fronts keeps which Services were last seen in front of which Rollout's workload, so that an edit of one is looked at
// at once also while no release is under way, and also when it selects the workload's pods no more. Nothing else
// depends on it: after a restart it is known again with the first look.
type fronts struct {
	mu   sync.Mutex
	seen map[types.NamespacedName]map[string]bool
}

func newFronts() *fronts { return &fronts{seen: map[types.NamespacedName]map[string]bool{}} }

// note adds the Services that are seen in front of a Rollout's workload now. Those seen before stay: one that has lost
// its pods is not seen any more.
func (f *fronts) note(rollout types.NamespacedName, services []*service, leaving []*corev1.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	add := func(name string) {
		key := types.NamespacedName{Namespace: rollout.Namespace, Name: name}
		if f.seen[key] == nil {
			f.seen[key] = map[string]bool{}
		}
		f.seen[key][rollout.Name] = true
	}
	for _, s := range services {
		add(s.object.Name)
	}
	for _, s := range leaving {
		add(s.Name)
	}
}

// of are the names of the Rollouts behind a Service.
func (f *fronts) of(service types.NamespacedName) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.seen[service]))
}

// behind says whether a Service was seen in front of a Rollout's workload.
func (f *fronts) behind(service types.NamespacedName, rollout string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[service][rollout]
}

// forget drops a Rollout that is gone.
func (f *fronts) forget(rollout types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for service, names := range f.seen {
		if service.Namespace == rollout.Namespace {
			delete(names, rollout.Name)
		}
		if len(names) == 0 {
			delete(f.seen, service)
		}
	}
}
