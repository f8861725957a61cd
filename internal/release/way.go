package release

// This file has the ways to release, one row each. What a release does in its phases, and whatever else differs between
// two ways, is in the row: nothing outside of this file asks which way it is.

// Shape is what a way to release is known by.
type Shape struct {
	Divide Divide
	Beside bool
	Finish Finish
}

// Way is one way to release.
type Way struct {
	// into leads into a step and keeps it in force; held keeps what serves able to serve while a release stands still
	// before its step.
	into, held []gate
	// finish leads from the last step to the hand-over, finishHeld is its part while somebody has paused the completion,
	// and after leads from the hand-over to the end.
	finish, finishHeld, after []gate
	// zero ends the new pods of a workload that is scaled to zero.
	zero []gate
	// back leads back to the stable revision.
	back []gate

	// pods is how many new pods a step needs. asked is how many are asked for in it, where there are so many already.
	pods  func(st Step, replicas int) int
	asked func(s *Spec, step, replicas, has int) int
	// weight is the share of requests, in percent, that so many new pods get beside so many stable ones.
	weight func(st Step, canary, stable int) int
	// mayShrink is the guard's rule for fewer new pods.
	mayShrink func(g *guard, to int)

	// layered: traffic layers divide the requests, and can tell them apart.
	layered bool
	// apart: every Service leads to one version alone, so that new pods can be without any requests.
	apart bool
	// switches: the Services themselves change over to the new pods, in a step of weight 100.
	switches bool
	// drains: a version gets no more requests for a while before its pods end.
	drains bool

	// stepWaits and finishWaits are what `sluice plan` says that a step and the completion wait for, beside their pods.
	stepWaits   func(s *Spec, st Step) []string
	finishWaits func(s *Spec) []string
}

var ways = map[Shape]*Way{
	// The new pods run beside the old ones, layers send them their share, and the workload takes them over.
	{ByLayers, true, ByHandOver}: {
		into: []gate{
			(*pass).ours, together((*pass).protect, (*pass).narrow),
			together((*pass).keepTwins, (*pass).scale), (*pass).twins,
			(*pass).led, (*pass).endpoints, (*pass).servicesShow, (*pass).routes, (*pass).routesInForce,
			(*pass).stableServes, (*pass).served,
			(*pass).untroubled,
		},
		held: []gate{(*pass).ours, together((*pass).protect, (*pass).narrow), (*pass).follow},
		finish: []gate{
			(*pass).ours, together((*pass).protect, (*pass).pointServices), (*pass).scaleFull, (*pass).servicesTurned,
			(*pass).unroute, (*pass).routesInForce, (*pass).untroubled, (*pass).stableDrained, (*pass).scaleExactly,
			(*pass).handOver,
		},
		finishHeld: []gate{(*pass).ours, together((*pass).protect, (*pass).pointServices), (*pass).follow},
		after:      []gate{(*pass).keepTurned, (*pass).alone, (*pass).resume, (*pass).keepOld, (*pass).putBack},
		zero: []gate{
			(*pass).ours, together((*pass).protect, (*pass).narrow), (*pass).weightless, (*pass).routesInForce,
			(*pass).unledDrained, (*pass).emptied,
		},
		back: []gate{
			(*pass).recall, (*pass).takeBack, (*pass).keepServing, (*pass).servicesBack, (*pass).requestsBack,
			(*pass).routesBack,
			(*pass).canaryDrained, (*pass).returnOld, (*pass).canaryGone, (*pass).putBack, (*pass).endHold,
		},
		pods: podsToCarry, asked: podsAhead, mayShrink: (*guard).mayShrinkUnled,
		layered: true, apart: true, drains: true,
		weight:    func(st Step, _, _ int) int { return st.Weight },
		stepWaits: waitsInForce, finishWaits: waitsForDrain,
	},
	// The new pods run beside the old ones, and the Services change over to them all at once.
	{BySelector, true, ByHandOver}: {
		into: []gate{
			(*pass).ours, (*pass).narrow, together((*pass).keepTwins, (*pass).scale), (*pass).twins, (*pass).endpoints,
			(*pass).servicesShow, (*pass).untroubled,
		},
		held: []gate{(*pass).ours, (*pass).keepPointed, (*pass).follow},
		finish: []gate{
			(*pass).ours, (*pass).pointServices, (*pass).scaleFull, (*pass).servicesTurned, (*pass).untroubled,
			(*pass).stableDrained, (*pass).scaleExactly, (*pass).handOver,
		},
		finishHeld: []gate{(*pass).ours, (*pass).pointServices, (*pass).follow},
		after:      []gate{(*pass).keepTurned, (*pass).alone, (*pass).resume, (*pass).keepOld, (*pass).putBack},
		zero:       []gate{(*pass).ours, (*pass).keepPointed, (*pass).unledDrained, (*pass).emptied},
		back: []gate{
			(*pass).recall, (*pass).takeBack, (*pass).keepServing, (*pass).servicesBack, (*pass).canaryDrained,
			(*pass).returnOld, (*pass).canaryGone, (*pass).putBack, (*pass).endHold,
		},
		pods: podsToCarry, asked: podsAhead, mayShrink: (*guard).mayShrinkUnled,
		apart: true, switches: true, drains: true,
		weight:    func(st Step, _, _ int) int { return st.Weight },
		stepWaits: waitsForServices, finishWaits: waitsForDrain,
	},
	// The new pods run beside the old ones behind the same Services, and their number is their share. There is nothing to
	// narrow, to route or to drain.
	{ByPods, true, ByHandOver}: {
		into:       []gate{(*pass).ours, (*pass).scale, (*pass).untroubled},
		held:       []gate{(*pass).ours},
		finish:     []gate{(*pass).ours, (*pass).scaleFull, (*pass).untroubled, (*pass).scaleExactly, (*pass).handOver},
		finishHeld: []gate{(*pass).ours},
		after:      []gate{(*pass).alone, (*pass).resume, (*pass).putBack},
		zero:       []gate{(*pass).ours, (*pass).emptied},
		back:       []gate{(*pass).takeBack, (*pass).shrink, (*pass).canaryGone, (*pass).putBack, (*pass).endHold},
		pods:       podsToShare, mayShrink: (*guard).mayShrinkServed,
		asked:       func(s *Spec, step, replicas, _ int) int { return podsToShare(s.Steps[step], replicas) },
		weight:      func(_ Step, canary, stable int) int { return nearestPercent(canary, stable) },
		stepWaits:   func(*Spec, Step) []string { return nil },
		finishWaits: func(*Spec) []string { return nil },
	},
}

// Shape of the release that the spec asks for.
func (s *Spec) Shape() Shape {
	return Shape{Divide: s.Divide, Beside: s.Traits.Beside, Finish: s.Traits.Finish}
}

// known says whether some way divides the requests so.
func (d Divide) known() bool {
	for shape := range ways {
		if shape.Divide == d {
			return true
		}
	}
	return false
}

// way is the row of the spec's shape. A spec without a row goes nowhere but back, since Validate refuses it. It goes
// back by the row that gives most back.
func (s *Spec) way() *Way {
	if w, known := ways[s.Shape()]; known {
		return w
	}
	return ways[Shape{ByLayers, true, ByHandOver}]
}
