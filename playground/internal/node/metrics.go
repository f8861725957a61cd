package node

import (
	"maps"
	"net"
	"strconv"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// podLabels are the labels of a pod that its metrics carry, and as what. All others stay
// away: a pod's label named code or le would hide one of the metrics' own.
var podLabels = map[string]string{
	"app":                                  "app",
	appsv1.DefaultDeploymentUniqueLabelKey: "pod_template_hash",
	appsv1.ControllerRevisionHashLabelKey:  "controller_revision_hash",
}

// scraped tells where a pod's containers serve metrics, from the moment that they listen
// until they stop to, and with the labels that the pod has now. It has a lock of its own,
// since programs listen with and without the pod's. A pod without metrics costs no memory
// beyond the struct.
type scraped struct {
	tell func(address string, labels map[string]string) // nil: nobody wants to know

	mu  sync.Mutex
	api *corev1.Pod
	at  map[string]string // address -> container
}

func metricLabels(api *corev1.Pod, container string) map[string]string {
	labels := map[string]string{
		"namespace": api.Namespace, "pod": api.Name, "node": api.Spec.NodeName, "container": container,
	}
	for of, as := range podLabels {
		if v, ok := api.Labels[of]; ok {
			labels[as] = v
		}
	}
	return labels
}

// relabel takes the pod as it is now.
func (s *scraped) relabel(api *corev1.Pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.api
	s.api = api
	for address, container := range s.at {
		if now := metricLabels(api, container); !maps.Equal(now, metricLabels(was, container)) {
			s.tell(address, now)
		}
	}
}

// serves says that the listener's server has /metrics, until it is closed.
func (s *scraped) serves(l net.Listener, container, ip string, port int) net.Listener {
	if s == nil || s.tell == nil {
		return l
	}
	address := net.JoinHostPort(ip, strconv.Itoa(port))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string]string{}
	}
	s.at[address] = container
	s.tell(address, metricLabels(s.api, container))
	return &scrapedListener{Listener: l, end: sync.OnceFunc(func() { s.ends(address) })}
}

func (s *scraped) ends(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, address)
	s.tell(address, nil)
}

// scrapedListener tells the end before the address is free for another container.
type scrapedListener struct {
	net.Listener
	end func()
}

func (l *scrapedListener) Close() error {
	l.end()
	return l.Listener.Close()
}
