package release

// This file looks after the Services while no release moves them. Mostly there is nothing to do. But a Service whose
// selector was changed together with the labels of pods that are held, or were rejected, would lead to nobody: it is
// kept on the pods that run.

// servicesServe gives each Service back to the team, or keeps it on the pods that run.
func (r *rest) servicesServe() finding {
	for _, a := range SettleServices(r.o.Services, r.o.Removing) {
		r.do(a)
	}
	return goOn
}

// SettleServices says what is to be done about Services that no release moves. When the Rollout goes, a Service can
// be kept no longer; it is given back as one that leads to the pods that run. A release without layers leaves its
// Services alone, so the same holds for them.
func SettleServices(services []RestService, leaving bool) []SelectService {
	var out []SelectService
	for i := range services {
		s := &services[i]
		switch kept := s.kept() && !leaving; {
		case kept && (s.Selects != SelectsStable || !s.Held || s.Renew):
			out = append(out, SelectService{Service: s.Name, To: SelectsStable})
		case !kept && (s.Selects != SelectsAll || s.Held):
			out = append(out, SelectService{Service: s.Name, To: SelectsAll})
		}
	}
	return out
}

// leftovers takes away what a release has left that never came to its end, because somebody removed its record. A
// canary Service goes when no layer leads to it any more.
func (r *rest) leftovers() finding {
	for _, l := range r.o.Layers {
		r.do(Unroute{Layer: l})
	}
	for i := range r.o.Services {
		if s := &r.o.Services[i]; s.CanaryExists && len(r.o.Layers) == 0 {
			r.do(RemoveCanaryService{Service: s.Name})
		}
	}
	if r.o.Orphans && len(r.o.Layers) == 0 {
		r.do(RemoveOrphans{})
	}
	return goOn
}

// servicesLost stalls where a Service that was in front of the workload leads to nobody, and there is no other.
func (r *rest) servicesLost() finding {
	if len(r.o.Lost) == 0 || len(r.o.Services) > 0 {
		return goOn
	}
	_, reason := r.atTheServices()
	return r.stall(reason.Code, "%s", reason.Message)
}

// atTheServices says what is the matter with the Services, and which phase it makes; no phase if nothing is.
func (r *rest) atTheServices() (RestPhase, Reason) {
	const who = "anyone who may change the Service or the workload"
	if len(r.o.Lost) > 0 {
		lost := r.o.Lost[0]
		v := says(RestDegraded, ReasonServiceLost, who,
			"the Service %q selects %s, and no pod: the pods of %s %q bear %s; "+
				"apply the %s that goes with it, or give the Service its former selector",
			lost.Name, lost.Selector, r.s.Kind, r.s.Workload, r.o.Workload.Labels, r.s.Kind)
		return v.phase, v.reason
	}
	for i := range r.o.Services {
		if s := &r.o.Services[i]; s.kept() {
			return RestHealthy, Reason{Code: ReasonServiceKept, Who: who, Message: KeptMessage(s.Name, s.Own, "running")}
		}
	}
	return "", Reason{}
}
