package sim

// The data plane: two gateways and the nodes' service proxies. Each applies each change in its own time.

// consumer is somebody who follows endpoints.
const (
	nginx = iota
	gateway
	proxies
	consumers
)

// pending is a value on its way.
type pending[T any] struct {
	due   int
	value T
}

// pipe delivers values in order, each after its own delay.
type pipe[T any] struct {
	now   T
	queue []pending[T]
}

func (p *pipe[T]) push(due int, v T) {
	if n := len(p.queue); n > 0 {
		due = max(due, p.queue[n-1].due)
	}
	p.queue = append(p.queue, pending[T]{due, v})
}

// deliver takes what is due; it says whether anything was.
func (p *pipe[T]) deliver(tick int) bool {
	n := 0
	for n < len(p.queue) && p.queue[n].due <= tick {
		p.now = p.queue[n].value
		n++
	}
	p.queue = p.queue[n:]
	return n > 0
}

type plane struct {
	endpoints [consumers][2 * teamServices]pipe[Endpoints]
	ingress   pipe[Ingress]
	route     pipe[Route]
	// served is the last tick at which a request may have been served by a version, ordinary the same for
	// requests without a tester's mark.
	served, ordinary [Versions]int
	// failed is the last tick at which a request may have found nobody.
	failed, requests int
	failure          string
}

// propagate sends a stored change on its way to the data plane.
func (w *World) propagate(k Key, v any) {
	due := func(c int) int { return w.Tick + 1 + w.noise(200+10*c+k.N, w.PlaneLag) }
	switch k.Kind {
	case KEndpoints:
		e, _ := v.(Endpoints)
		for c := range consumers {
			w.plane.endpoints[c][k.N].push(due(c), e)
		}
	case KIngress:
		i, _ := v.(Ingress)
		w.plane.ingress.push(w.plane.after(nginx, due(3)+w.SlowRoutes), i)
	case KRoute:
		r, _ := v.(Route)
		w.plane.route.push(w.plane.after(gateway, due(4)+w.SlowRoutes), r)
	}
}

// after is when a gateway applies a route: not before the endpoints that were stored earlier. What is known of a
// backend reaches a gateway no later than the route that first names it.
func (p *plane) after(c, due int) int {
	for n := range p.endpoints[c] {
		if q := p.endpoints[c][n].queue; len(q) > 0 {
			due = max(due, q[len(q)-1].due)
		}
	}
	return due
}

// endpointController writes the ready endpoints of a Service.
func (w *World) endpointController(n int) {
	s, ok := w.service(n)
	old, had := at[Endpoints](&w.store.table, endpointsKey(n))
	if !ok {
		if w.late(dueEndpoints+n, had, w.ControllerLag) {
			w.put(Kubernetes, endpointsKey(n), nil)
		}
		return
	}
	var e Endpoints
	for v := range Version(Versions) {
		if len(w.pods[v]) > 0 && w.selects(s.Selector, v) {
			_, ready, _ := w.count(v)
			e.Ready[v] = int16(ready)
		}
	}
	if w.late(dueEndpoints+n, !had || e != old, w.ControllerLag) {
		w.put(Kubernetes, endpointsKey(n), e)
	}
}

// dataPlane delivers what is due, and has the gateway report.
func (w *World) dataPlane() {
	for c := range consumers {
		for n := range w.plane.endpoints[c] {
			w.plane.endpoints[c][n].deliver(w.Tick)
		}
	}
	w.plane.ingress.deliver(w.Tick)
	w.plane.route.deliver(w.Tick)
	r, ok := at[Route](&w.store.table, routeKey)
	reports := w.plane.route.now.Generation
	if w.EarlyAccepted {
		reports = r.Generation
	}
	if w.late(dueStatus, ok && r.Observed < reports, w.ControllerLag) {
		r.Observed = reports
		w.put(Gateway, routeKey, r)
	}
}

// serve lets clients ask in every way there is: every version that could answer is noted, and every way in which
// nobody could.
func (w *World) serve() {
	for n := range w.Services {
		w.backend(proxies, n, true)
		if n < w.Routed {
			w.viaIngress(n)
			w.viaRoute(n)
		}
	}
}

// viaIngress asks ingress-nginx: without endpoints the main backend fails whatever the canary; a canary without
// endpoints falls back to it.
func (w *World) viaIngress(n int) {
	split := w.plane.ingress.now.Split
	main := w.plane.endpoints[nginx][n].now.total()
	canary := w.plane.endpoints[nginx][twin(n)].now.total()
	w.ask(nginx, n, split, main == 0 || canary == 0)
}

func (w *World) viaRoute(n int) { w.ask(gateway, n, w.plane.route.now.Split, false) }

func (w *World) ask(c, n int, s Split, onlyMain bool) {
	if s.Weight < 100 || onlyMain {
		w.backend(c, n, true)
	}
	if onlyMain {
		return
	}
	if s.Weight > 0 {
		w.backend(c, twin(n), true)
	}
	if s.Match != 0 {
		w.backend(c, twin(n), false)
	}
}

// backend notes who may answer there.
func (w *World) backend(c, n int, ordinary bool) {
	w.plane.requests++
	e := &w.plane.endpoints[c][n].now
	nobody := true
	for v, ready := range e.Ready {
		if ready == 0 {
			continue
		}
		if len(w.pods[v]) == 0 {
			w.fails(c, n, "still sends to pods that are gone")
		}
		nobody = false
		w.plane.served[v] = w.Tick
		if ordinary {
			w.plane.ordinary[v] = w.Tick
		}
	}
	if nobody {
		w.fails(c, n, "finds nobody")
	}
}

func (w *World) fails(c, n int, how string) {
	w.plane.failed = w.Tick
	w.plane.failure = [consumers]string{
		"ingress-nginx", "gateway",
		"service proxy",
	}[c] + " " + how + " behind " + serviceName(n)
}
