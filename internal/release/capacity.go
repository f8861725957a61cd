package release

// This file is the only place where weights and pods are computed. A share of requests always needs the next
// whole pod: what is needed is rounded up, and what can be carried is rounded down.

// share is the number of pods that a weight, in percent, of the load on so many pods needs.
func share(weight, replicas int) int { return (weight*replicas + 99) / 100 }

// carried is the weight, in percent, that so many ready pods can carry of the load on so many replicas.
func carried(ready, replicas int) int {
	if replicas <= 0 || ready >= replicas {
		return 100
	}
	return 100 * max(ready, 0) / replicas
}

// podsToCarry is the number of canary pods that a step needs where a layer divides the requests: those that carry its
// weight.
func podsToCarry(step Step, replicas int) int {
	return max(step.least(replicas), share(step.Weight, replicas), 1)
}

// podsToShare is the number of canary pods that a step needs where requests are divided by pods alone: c pods
// beside R get c/(R+c) of them. It is rounded to the nearest pod, since the division can be no finer, and is
// at least 1.
func podsToShare(step Step, replicas int) int {
	if step.Weight >= 100 {
		return max(step.least(replicas), replicas, 1)
	}
	rest := 100 - step.Weight
	return max(step.least(replicas), (2*replicas*step.Weight+rest)/(2*rest), 1)
}

// least is the number of canary pods that the step asks for whatever its weight.
func (s *Step) least(replicas int) int { return max(s.Replicas, share(s.Share, replicas)) }

// podsAhead is the number of canary pods to ask for in a step where a layer divides the requests. A step that waits
// for nothing but its own pods and routes leads at once to the next, so the pods of all the steps up to the next wait
// start together: no step of such a chain waits for pods that an earlier one could have started. A step that names a
// number of pods gets that. The number never falls, since a falling one would have to wait for a drain.
func podsAhead(s *Spec, step, replicas, has int) int {
	pods := max(podsToCarry(s.Steps[step], replicas), has)
	for ; s.Steps[step].passes(); step++ {
		if step+1 == len(s.Steps) {
			return max(pods, replicas)
		}
		pods = max(pods, podsToCarry(s.Steps[step+1], replicas))
	}
	return pods
}

// passes says that a step is left as soon as it is in force.
func (s *Step) passes() bool {
	return s.Pause.Kind == PauseNone && !s.Analysis && s.Approval == nil && s.Replicas == 0 && s.Share == 0
}

// lasting is the world without the pods that are on their way out: what is ready beyond the number asked for will
// not be so for long, and is no capacity.
func (o Observed) lasting() Observed {
	o.Stable.Ready = min(o.Stable.Ready, o.Stable.Desired)
	o.Canary.Ready = min(o.Canary.Ready, o.Canary.Desired)
	return o
}

// demand is the number of pods that the whole load needs.
func (o *Observed) demand() int { return max(o.Workload.Replicas, 0) }

// stableReady is the number of stable pods that can take requests by every way that a layer sends them.
func (o *Observed) stableReady() int {
	n := o.Stable.Ready
	for i := range o.Services {
		if o.Services[i].Routed {
			n = min(n, o.Services[i].ReadyStable)
		}
	}
	return n
}

// canaryReady is the same for the canary, by its twin Services.
func (o *Observed) canaryReady() int {
	n := o.Canary.Ready
	for i := range o.Services {
		if o.Services[i].Routed {
			n = min(n, o.Services[i].CanaryReady)
		}
	}
	return n
}

// stableCarriesAll says whether the stable pods can take all requests. An abort whose own deadline has passed
// is content with one ready pod; a workload that is gone or scaled to zero is to have none.
func stableCarriesAll(o *Observed, m *Memory, ready int) bool {
	if !o.Workload.Exists || ready >= o.demand() {
		return true
	}
	return m.Phase == Aborting && m.Overdue && ready > 0
}

// weightInForce is the highest weight that any layer has.
func (o *Observed) weightInForce() int {
	w := 0
	for i := range o.Layers {
		w = max(w, o.Layers[i].Weight)
	}
	return w
}

// nearestPercent is the share that so many canary pods have beside the stable ones.
func nearestPercent(canary, stable int) int {
	all := canary + stable
	if all == 0 {
		return 0
	}
	return (200*canary + all) / (2 * all)
}
