package release

import (
	"fmt"
	"time"
)

// A release over a stable revision that serves nothing: no pod of it is ready. Whatever share the steps leave to it
// fails, so the release says so, and what to do about it; where the spec lets it, it goes to the new revision by itself.

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
func (t *turn) stableDown() bool {
	return t.o.Workload.Exists && t.o.demand() > 0 && t.o.Stable.Ready == 0
}

// standInAfter is how long the stable revision must have been without a ready pod before a Service that Sluice has narrowed
// to it leads to the new pods instead.
const standInAfter = 10 * time.Second

// watchStable notes since when the stable revision has had no ready pod. After the hand-over it has none to have.
func (t *turn) watchStable() {
	switch {
	case t.m.Phase.Terminal() || t.handedOver():
	case !t.stableDown():
		t.m.DownSince = time.Time{}
	case t.m.DownSince.IsZero():
		t.m.DownSince = t.now
	}
}

// standsIn says that the new pods answer in the place of stable ones: none of these has been ready for a while, and a
// narrowed Service would lead to nobody although there are pods that can answer.
func (t *turn) standsIn() bool {
	if t.split() || !t.stableDown() || t.o.Canary.Ready == 0 || t.m.DownSince.IsZero() {
		return false
	}
	end := t.m.DownSince.Add(standInAfter)
	t.wake(end)
	return !t.now.Before(end)
}

// serveByNew points every Service at the new pods.
func (t *turn) serveByNew() Reason {
	var waits string
	for i := range t.o.Services {
		if sv := &t.o.Services[i]; sv.Selects != SelectsCanary || !sv.Held {
			waits, t.m.StoodIn = sv.Name, true
			t.do(SelectService{Service: sv.Name, To: SelectsCanary})
		}
	}
	if waits == "" {
		return Reason{}
	}
	return awaiting(ReasonServicesTurning, byKubernetes, "Service %s is being pointed at the new pods, since no stable pod is ready", waits)
}

// leaveDown goes past all steps when the stable revision serves nothing and the new one can, where the spec says so and
// nobody has to be asked.
func (t *turn) leaveDown() (again bool) {
	if t.s.OnStableDown != StableDownPromotes {
		return false
	}
	if !t.stableDown() {
		return false
	}
	if end := t.m.DownSince.Add(downFor); t.now.Before(end) {
		t.wake(end)
		return false
	}
	if t.o.Canary.Ready == 0 || t.m.PausedBy != "" || t.refuseFull(Decision{}).code != "" {
		return false
	}
	t.happened("StableDown", "", "the stable revision has had no ready pod since %s, so the new one takes over without the steps to come",
		t.m.DownSince.Format(time.RFC3339))
	t.promoteFull()
	return true
}

// tellDown adds to what a release waits for that the stable revision serves nothing, and the way out.
func (t *turn) tellDown() {
	if t.m.Phase != Progressing && t.m.Phase != Paused || !t.stableDown() || t.out.Reason.Code == "" {
		return
	}
	says := "`sluice promote --full` goes to the new revision at once"
	if r := t.refuseFull(Decision{}); r.code != "" {
		says = r.message
	}
	comes := "its share of the requests fails"
	if t.servesByService() {
		comes = "the new pods get all requests"
	}
	t.out.Reason.Message += fmt.Sprintf("; the stable revision has 0 of %d ready pods%s, so %s: %s",
		t.o.demand(), problemOf(t.o.Stable.Problem), comes, says)
}
