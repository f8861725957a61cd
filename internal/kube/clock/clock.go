// Package clock is the time by which the controller acts: the API server's, told by a watch of our own that nobody
// sets.
//
// It may import the standard library alone, so that the simulation can run on it. The controllers, and the simulation,
// may import it.
package clock

import (
	"net/http"
	"sync"
	"time"
)

const (
	// resolution is that of a Date: whole seconds, cut off.
	resolution = time.Second
	// Pace bounds how fast Now follows the API server: by one part in so many of the time that passes. A wait is then a
	// tenth longer at most.
	Pace = 11
	// far is a disagreement that no drift explains. This machine was suspended, or the clock that it began with was quite
	// wrong; to go after it slowly would take a day.
	far = 2 * time.Hour
	// sure is for how long every Date must have said the same before it counts as more than one server's error.
	sure = time.Minute
	// notable is a disagreement that somebody should be told of.
	notable = 5 * time.Second
)

// Clock tells the time by which the controller acts. The API server's clock is the one that counts, since it puts the
// time on what people say, and since it is one for all controllers that come after each other. Each of its responses
// tells it, in the header Date; between them the time is counted by the monotonic clock, which nobody sets.
//
// The clock of this machine serves until the first response, and afterwards if it agrees with that; else the API
// server's does. From then on, however this machine's clock is set does not matter. Where the Dates disagree with Now,
// by more than they can tell, Now follows them by one part in eleven of the time that passes, and never goes backwards:
//
//	a wait of an hour lasts between 55 and 66 minutes, whatever either clock is set to.
//
// With several API servers Now so tends to what most Dates say; a connection that is kept hears one of them alone, and
// goes by that. The bound has two exceptions. When for a minute every Date has been more than two hours off, all to the
// same side, the last one is taken as it is, forwards or backwards: what is remembered from before may then look older
// than it is, or be still to come, and the core begins a wait anew whose beginning is still to come. And a new process
// begins with the API server's clock as it is then, so that what is left of a step of that clock counts at once.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	tell    func(what string, by time.Duration)

	mu    sync.Mutex
	heard bool
	// base is what Now was when the monotonic clock showed at; behind is how far it was then behind the API server's.
	base   time.Time
	at     time.Duration
	behind time.Duration
	// lost is how long every Date has been far off.
	lost streak
	// machine: this machine's clock is off; own: Now is.
	machine, own state
}

// What is told, once for each change. By how much is positive where that clock is ahead of the API server's.
const (
	MachineOff = "this machine's clock is not the API server's, which is the one that counts"
	MachineOn  = "this machine's clock agrees with the API server's"
	OwnOff     = "the API server's clock was set, or this machine stood still; the time by which we act follows it slowly"
	OwnOn      = "the time by which we act agrees with the API server's clock"
	Jumped     = "the API server's clock is more than two hours off; the time by which we act was set to it"
)

// New makes a Clock of this machine's clock and a monotonic one. What changes is told to tell, if there is one.
func New(wall func() time.Time, elapsed func() time.Duration, tell func(what string, by time.Duration)) *Clock {
	return &Clock{wall: wall, elapsed: elapsed, tell: tell}
}

// Machine makes a Clock of the clocks that this machine has.
func Machine(tell func(what string, by time.Duration)) *Clock {
	start := time.Now()
	return New(time.Now, func() time.Duration { return time.Since(start) }, tell)
}

// Now is the time by which the controller acts. It has no monotonic reading: it is compared with times that were
// stored.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.heard {
		return c.wall().Round(0)
	}
	return c.read(c.elapsed())
}

// Calendar is the API server's time as it told it last, which steps when that is set. It is for what people and others
// reckon by their own clocks: release windows, what is asked of a metric source, signatures. Waits go by Now.
func (c *Clock) Calendar() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.heard {
		return c.wall().Round(0)
	}
	return c.base.Add(c.elapsed() - c.at + c.behind)
}

func (c *Clock) read(elapsed time.Duration) time.Time {
	passed := elapsed - c.at
	most := passed / Pace
	return c.base.Add(passed + min(max(c.behind, -most), most))
}

// Observe hears what the API server's clock showed at some time between when the request was sent, by the monotonic
// clock, and now.
func (c *Clock) Observe(date time.Time, sent time.Duration) {
	for _, n := range c.observe(date, sent) {
		if c.tell != nil {
			c.tell(n.what, n.by)
		}
	}
}

type note struct {
	what string
	by   time.Duration
}

// observe returns what is to be told, when nothing is locked any more.
func (c *Clock) observe(date time.Time, sent time.Duration) []note {
	c.mu.Lock()
	defer c.mu.Unlock()
	elapsed, wall := c.elapsed(), c.wall().Round(0)
	trip := elapsed - sent
	machine := behind(date, wall, trip)
	if !c.heard {
		c.heard, c.base, c.at = true, wall, elapsed
		if machine != 0 {
			c.base = date.UTC() // It is later than this, if anything: a word must not seem older than what it answers.
		}
		c.machine.off = notably(machine)
		return c.machine.note(c.machine.off, MachineOff, MachineOn, machine)
	}
	now := c.read(elapsed)
	c.base, c.at, c.behind = now, elapsed, behind(date, now, trip)
	notes := c.machine.note(c.machine.turns(elapsed, notably(machine)), MachineOff, MachineOn, machine)
	if c.lost.lasts(elapsed, side(c.behind)) {
		notes = append(notes, note{Jumped, -c.behind})
		c.base, c.behind, c.own, c.lost = date.UTC(), 0, state{}, streak{}
		return notes
	}
	return append(notes, c.own.note(c.own.turns(elapsed, notably(c.behind)), OwnOff, OwnOn, c.behind)...)
}

// behind is how far a clock that shows now is behind the API server's at the least; negative if it is ahead, 0 if it
// cannot be told. The API server's is later than the Date by up to what that cuts off and by the round trip, in which
// Now may have gone somewhat faster.
func behind(date, now time.Time, trip time.Duration) time.Duration {
	latest := date.Add(resolution + trip + trip/Pace)
	switch {
	case now.Before(date):
		return date.Sub(now)
	case now.After(latest):
		return latest.Sub(now)
	}
	return 0
}

func notably(off time.Duration) bool { return off.Abs() > notable }

// side is where somebody is who is far off.
func side(off time.Duration) int {
	switch {
	case off > far:
		return 1
	case off < -far:
		return -1
	}
	return 0
}

// streak is since when every Date has said the same.
type streak struct {
	what  int
	since time.Duration
}

// lasts says whether it has been so for long enough to be sure.
func (s *streak) lasts(elapsed time.Duration, what int) bool {
	if what != s.what {
		*s = streak{what, elapsed}
	}
	return what != 0 && elapsed-s.since >= sure
}

// state is whether a clock is off. It changes only when every Date says so for a while: one server among several that
// says otherwise is not worth a line for each of its responses.
type state struct {
	off      bool
	contrary streak
}

func (s *state) turns(elapsed time.Duration, off bool) bool {
	what := 0
	if off != s.off {
		what = 1
	}
	if !s.contrary.lasts(elapsed, what) {
		return false
	}
	s.off, s.contrary = off, streak{}
	return true
}

// note is what is to be told of a change.
func (s *state) note(changed bool, off, on string, behind time.Duration) []note {
	switch {
	case !changed:
		return nil
	case s.off:
		return []note{{off, -behind}}
	}
	return []note{{on, 0}}
}

// Wrap has the Clock hear the responses that come by a connection; it is for rest.Config.Wrap.
func (c *Clock) Wrap(next http.RoundTripper) http.RoundTripper { return listener{c, next} }

type listener struct {
	clock *Clock
	next  http.RoundTripper
}

// RoundTrip returns when the headers have come, also where the body goes on for long, as that of a watch.
func (l listener) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := l.clock.elapsed()
	res, err := l.next.RoundTrip(r)
	if err != nil {
		return res, err
	}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		l.clock.Observe(date, sent)
	}
	return res, nil
}
