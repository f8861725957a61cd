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
func (t *turn) lookAtLayers() {
	t.o.Layers = slices.Clone(t.o.Layers)
	if t.m.Phase.Terminal() {
		return
	}
	t.m.Layers = slices.Clone(t.m.Layers)
	for i := range t.o.Layers {
		l := &t.o.Layers[i]
		if l.Settle <= 0 {
			continue // What it reports is in force.
		}
		t.note(l)
		l.settledAt = t.settledAt(l)
		if l.Settled && t.now.Before(l.settledAt) {
			l.Settled, l.settling = false, true
			t.wake(l.settledAt)
		}
	}
}

// note keeps what a layer has, and since when. A layer that this release has not changed is as it was found: there is
// nothing to wait for.
func (t *turn) note(l *Layer) {
	i := t.seen(l.Name)
	switch {
	case i < 0 && !l.Routed && !l.Held:
	case i < 0:
		if l.Settled {
			t.remember(l)
		}
	case t.m.Layers[i].Version == l.Version:
	case l.Settled || t.m.Layers[i].Version == "":
		// What is not reported as accepted is not settled anyhow, so it needs no note. But "" can come again, and
		// must not be taken for the same as before.
		t.m.Layers[i] = LayerSeen{Layer: l.Name, Version: l.Version, Since: t.now}
	}
}

// remember notes that a layer is about to be changed for the first time, or that it has been: should somebody undo that
// at once, the layer must not pass for one that nobody has touched.
func (t *turn) remember(l *Layer) {
	if l.Settle > 0 && t.seen(l.Name) < 0 {
		t.m.Layers = append(t.m.Layers, LayerSeen{Layer: l.Name, Version: l.Version, Since: t.now})
	}
}

func (t *turn) seen(layer string) int {
	return slices.IndexFunc(t.m.Layers, func(s LayerSeen) bool { return s.Layer == layer })
}

// settledAt is when the layer may be taken to have followed; zero if it has nothing to follow.
func (t *turn) settledAt(l *Layer) time.Time {
	i := t.seen(l.Name)
	if i < 0 || l.Settle <= 0 {
		return time.Time{}
	}
	return t.m.Layers[i].Since.Add(l.Settle)
}

// settling says what a layer is given time for.
func (t *turn) settling(l *Layer) Reason {
	r := awaiting(ReasonRouteNotInForce, byPassing, "%s is given %s to bring %s into force, since it does not report when it has",
		l.Name, l.Settle, whatItHas(l))
	return t.within(r, l.settledAt.Add(-l.Settle), l.settledAt)
}

// within is a wait with an end of its own that the progress deadline bounds all the same: a layer that somebody changes
// again and again never settles.
func (t *turn) within(r Reason, since, end time.Time) Reason {
	t.wake(end)
	if deadline := t.clock().Add(t.s.ProgressDeadline); t.now.Before(deadline) {
		t.wake(deadline)
		r.Since, r.Until = since, end
	}
	return r
}

// drainDelay is how long a version is kept after its last request. It is at least as long as the layers need to follow,
// since they learn of endpoints as late as of routes.
func (t *turn) drainDelay() time.Duration {
	delay := max(t.s.DrainDelay, t.s.Settle)
	for i := range t.o.Layers {
		delay = max(delay, t.o.Layers[i].Settle)
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
