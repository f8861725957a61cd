package release

import (
	"fmt"
	"time"
)

// A release over a stable revision that serves nothing: no pod of it is ready. Whatever share the steps leave to it
// fails, so the release says so, and what to do about it; where the spec lets it, it goes to the new revision by
// itself.

// StableDownPolicy says what a stable revision without a ready pod leads to.
type StableDownPolicy string

// The policies.
const (
	// StableDownWaits: the step is not in force before stable serves its share, and people are told.
	StableDownWaits StableDownPolicy = "wait"
	// StableDownPromotes: the new revision takes over as soon as pods of it are ready, as by promote --full.
	StableDownPromotes StableDownPolicy = "promote"
)

// downFor is how long the stable revision must have been without a ready pod before the release goes past its steps:
// pods that are only restarted are back by then.
const downFor = 30 * time.Second

// stableDown says that no pod of the stable revision is ready although the workload is to have some.
func (p *pass) stableDown() bool {
	return p.o.Workload.Exists && p.o.demand() > 0 && p.o.Stable.Ready == 0
}

// standInAfter is how long the stable revision must have been without a ready pod before a Service that Sluice has
// narrowed to it leads to the new pods instead.
const standInAfter = 10 * time.Second

// watchStable notes since when the stable revision has had no ready pod. After the hand-over it has none to have.
func (p *pass) watchStable() {
	switch {
	case p.m.Phase.Terminal() || p.handedOver():
	case !p.stableDown():
		p.m.DownSince = time.Time{}
	case p.m.DownSince.IsZero():
		p.m.DownSince = p.now
	}
}

// standsIn says that the new pods answer in the place of stable ones: none of these has been ready for a while, and a
// narrowed Service would lead to nobody although there are pods that can answer.
func (p *pass) standsIn() bool {
	if !p.stableDown() || p.o.Canary.Ready == 0 || p.m.DownSince.IsZero() {
		return false
	}
	end := p.m.DownSince.Add(standInAfter)
	p.wake(end)
	return !p.now.Before(end)
}

// serveByNew points every Service at the new pods.
func (p *pass) serveByNew() Reason {
	var waits string
	for i := range p.o.Services {
		if sv := &p.o.Services[i]; sv.Selects != SelectsCanary || !sv.Held {
			waits, p.m.StoodIn = sv.Name, true
			p.do(SelectService{Service: sv.Name, To: SelectsCanary})
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the new pods, since no stable "+
		"pod is ready", waits)
}

// leaveDown goes past all steps when the stable revision serves nothing and the new one can, where the spec says so and
// nobody has to be asked.
func (p *pass) leaveDown() (again bool) {
	if p.s.OnStableDown != StableDownPromotes {
		return false
	}
	if !p.stableDown() {
		return false
	}
	if end := p.m.DownSince.Add(downFor); p.now.Before(end) {
		p.wake(end)
		return false
	}
	if p.o.Canary.Ready == 0 || p.m.PausedBy != "" || p.refuseFull(Decision{}).code != "" {
		return false
	}
	p.happened("StableDown", "",
		"the stable revision has had no ready pod since %s, so the new one takes over without the steps to come",
		p.m.DownSince.Format(time.RFC3339))
	p.promoteFull()
	return true
}

// tellDown adds to what a release waits for that the stable revision serves nothing, and the way out.
func (p *pass) tellDown() {
	if p.m.Phase != Progressing && p.m.Phase != Paused || !p.stableDown() || p.out.Reason.Code == "" {
		return
	}
	says := "`sluice promote --full` goes to the new revision at once"
	if r := p.refuseFull(Decision{}); r.code != "" {
		says = r.message
	}
	comes := "its share of the requests fails"
	if p.servesByService() {
		comes = "the new pods get all requests"
	}
	p.out.Reason.Message += fmt.Sprintf("; the stable revision has 0 of %d ready pods%s, so %s: %s",
		p.o.demand(), problemOf(p.o.Stable.Problem), comes, says)
}
