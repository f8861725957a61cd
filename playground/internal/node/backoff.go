package node

import "time"

// backoff is the kubelet's rule for restarts: the first one at once, then a delay that
// doubles up to a limit and is forgotten after the container has run well.
type backoff struct {
	base, limit time.Duration
	delay       time.Duration
	since       time.Time // when the delay was last raised
}

// next says how long to wait, at now, before the restart of a container that ended at
// finished, and raises the delay for the one after.
func (b *backoff) next(finished, now time.Time) time.Duration {
	if b.delay > 0 && now.Sub(b.since) > 2*b.limit {
		b.delay = 0
	}
	wait := max(b.delay-now.Sub(finished), 0)
	b.since = now.Add(wait)
	b.fail()
	return wait
}

// fail raises the delay and returns it: for what is tried again only after a delay.
func (b *backoff) fail() time.Duration {
	b.delay = min(max(2*b.delay, b.base), b.limit)
	return b.delay
}

func (b *backoff) reset() { b.delay, b.since = 0, time.Time{} }
