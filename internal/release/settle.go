package release

import (
	"fmt"
	"slices"
	"time"
)

// This file knows how long a layer is given to follow a change. A gateway follows later than the API server stores,
// and most of them do not say when they have followed. So every change is waited for: a new route, another weight,
// and the removal. The wait begins when the release first sees the change, which is after the API server has answered
// the write, and it is remembered: a restart may make it longer, and never shorter.

// LayerSeen is what a layer had when the release looked last.
type LayerSeen struct {
	// Layer is its name.
	Layer string
	// Version is that of Layer.Version.
	Version string
	// Since is when this version was first seen to be there and reported as accepted.
	Since time.Time
}

// lookAtLayers notes what each layer has now. A layer is settled when it has reported, and was given its time after
// that.
func (p *pass) lookAtLayers() {
	p.o.Layers = slices.Clone(p.o.Layers)
	if p.m.Phase.Terminal() {
		return
	}
	p.m.Layers = slices.Clone(p.m.Layers)
	for i := range p.o.Layers {
		l := &p.o.Layers[i]
		if l.Settle <= 0 {
			continue // What it reports is in force.
		}
		p.note(l)
		l.settledAt = p.settledAt(l)
		if l.Settled && p.now.Before(l.settledAt) {
			l.Settled, l.settling = false, true
			p.wake(l.settledAt)
		}
	}
}

// note keeps what a layer has, and since when. A layer that this release has not changed is as it was found: there is
// nothing to wait for.
func (p *pass) note(l *Layer) {
	i := p.seen(l.Name)
	switch {
	case i < 0 && !l.Routed && !l.Held:
	case i < 0:
		if l.Settled {
			p.remember(l)
		}
	case p.m.Layers[i].Version == l.Version:
	case l.Settled || p.m.Layers[i].Version == "":
		// What is not reported as accepted is not settled anyhow, so it needs no note. But "" can come again, and
		// must not be taken for the same as before.
		p.m.Layers[i] = LayerSeen{Layer: l.Name, Version: l.Version, Since: p.now}
	}
}

// remember notes that a layer is about to be changed for the first time, or that it has been: should somebody undo that
// at once, the layer must not pass for one that nobody has touched.
func (p *pass) remember(l *Layer) {
	if l.Settle > 0 && p.seen(l.Name) < 0 {
		p.m.Layers = append(p.m.Layers, LayerSeen{Layer: l.Name, Version: l.Version, Since: p.now})
	}
}

func (p *pass) seen(layer string) int {
	return slices.IndexFunc(p.m.Layers, func(s LayerSeen) bool { return s.Layer == layer })
}

// settledAt is when the layer may be taken to have followed; zero if it has nothing to follow.
func (p *pass) settledAt(l *Layer) time.Time { return p.m.SettledAt(*l) }

// SettledAt is when a layer may be taken to have followed what it has now; zero if it has nothing to follow.
func (m Memory) SettledAt(l Layer) time.Time {
	i := slices.IndexFunc(m.Layers, func(s LayerSeen) bool { return s.Layer == l.Name })
	if i < 0 || l.Settle <= 0 {
		return time.Time{}
	}
	return m.Layers[i].Since.Add(l.Settle)
}

// settling says what a layer is given time for.
func (p *pass) settling(l *Layer) Reason {
	r := awaiting(ReasonRouteNotInForce, byPassing, "%s is given %s to bring %s into force, since it does not report "+
		"when it has",
		l.Name, l.Settle, whatItHas(l))
	return p.within(r, l.settledAt.Add(-l.Settle), l.settledAt)
}

// within is a wait with an end of its own that the progress deadline bounds all the same: a layer that somebody changes
// again and again never settles.
func (p *pass) within(r Reason, since, end time.Time) Reason {
	p.wake(end)
	if deadline := p.clock().Add(p.s.ProgressDeadline); p.now.Before(deadline) {
		p.wake(deadline)
		r.Since, r.Until = since, end
	}
	return r
}

// drainDelay is how long a version is kept after its last request. It is at least as long as the layers need to follow,
// since they learn of endpoints as late as of routes.
func (p *pass) drainDelay() time.Duration {
	delay := max(p.s.DrainDelay, p.s.Settle)
	for i := range p.o.Layers {
		delay = max(delay, p.o.Layers[i].Settle)
	}
	return delay
}

// whatItHas says for people what a layer has been told to do.
func whatItHas(l *Layer) string {
	if !l.Routed {
		return "the removal of the canary"
	}
	return fmt.Sprintf("%d%%", l.Weight)
}
