package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Options of a Queue. Zero values are replaced by those named.
type Options struct {
	// Limit is how many messages wait at the most: 100. Beyond, the oldest are dropped, since the newest say what is.
	Limit int
	// Attempts for one message: 6.
	Attempts int
	// Backoff after the first attempt, doubled after each further: 1s; MaxBackoff is its end: 1m.
	Backoff, MaxBackoff time.Duration
	// MaxWait is how long a service may ask to be left alone, before the message is given up: 15m.
	MaxWait time.Duration
	// Timeout of one attempt: 10s.
	Timeout time.Duration
	// Now tells the time. Required.
	Now func() time.Time
	// Random gives numbers in [0, 1), for jitter. Default math/rand.
	Random func() float64
	// Done is told of each message that was delivered or given up, one after the other, if it is set.
	Done func(Result)
}

// Result is what became of a message.
type Result struct {
	Message  Message
	Err      error // nil when it was delivered
	Attempts int
	At       time.Time
}

// Stats are the counts of a Queue.
type Stats struct {
	// Queued wait to be delivered, the one under way included.
	Queued int
	// Delivered, given up, and dropped since the queue was full.
	Delivered, Failed, Dropped int64
	// LastDelivered is when a message was last delivered.
	LastDelivered time.Time
	// LastError is why the last that failed did; empty if none did.
	LastError string
}

// Queue takes messages to one sink, in order. Put never waits; Run does the work, and all waiting.
type Queue struct {
	sink Sink
	o    Options
	wake chan struct{}

	mu       sync.Mutex
	messages []Message
	// sending: the first message is under way, and not to be dropped.
	sending bool
	closed  bool
	stats   Stats
}

// NewQueue makes a queue; it delivers nothing until Run.
func NewQueue(s Sink, o Options) *Queue {
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	def(&o.Backoff, time.Second)
	def(&o.MaxBackoff, time.Minute)
	def(&o.MaxWait, 15*time.Minute)
	def(&o.Timeout, 10*time.Second)
	if o.Limit <= 0 {
		o.Limit = 100
	}
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Queue{sink: s, o: o, wake: make(chan struct{}, 1)}
}

// Put adds a message. Where there is no room, the oldest that is not under way is dropped. After Close it does nothing,
// and says so.
func (q *Queue) Put(m Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	oldest := 0
	if q.sending {
		oldest = 1
	}
	if len(q.messages)-oldest >= q.o.Limit {
		q.messages = append(q.messages[:oldest], q.messages[oldest+1:]...)
		q.stats.Dropped++
	}
	q.messages = append(q.messages, m)
	q.signal()
	return true
}

// Close lets Run end when all that waits has been dealt with.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// Stats are the counts until now.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.stats
	s.Queued = len(q.messages)
	return s
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // It has been woken already.
	}
}

// Run delivers until the context ends, or the queue is closed and empty. What is left is counted as Queued; a message
// that was under way is among it, since nobody knows whether it has arrived.
func (q *Queue) Run(ctx context.Context) {
	for {
		m, ok := q.take(ctx)
		if !ok {
			return
		}
		attempts, err := q.deliver(ctx, m)
		if ctx.Err() != nil && err != nil {
			q.mu.Lock()
			q.sending = false
			q.mu.Unlock()
			return
		}
		q.done(Result{Message: m, Err: err, Attempts: attempts, At: q.o.Now()})
	}
}

// take waits for a message. It stays the first of the queue while it is under way.
func (q *Queue) take(ctx context.Context) (Message, bool) {
	for ctx.Err() == nil {
		q.mu.Lock()
		if len(q.messages) > 0 {
			m := q.messages[0]
			q.sending = true
			q.mu.Unlock()
			return m, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			break
		}
		select {
		case <-ctx.Done():
		case <-q.wake:
		}
	}
	return Message{}, false
}

func (q *Queue) done(r Result) {
	q.mu.Lock()
	q.messages = q.messages[1:]
	q.sending = false
	if r.Err == nil {
		q.stats.Delivered++
		q.stats.LastDelivered = r.At
	} else {
		q.stats.Failed++
		q.stats.LastError = Truncate(Line(r.Err.Error()), maxError)
	}
	q.mu.Unlock()
	if q.o.Done != nil {
		q.o.Done(r)
	}
}

// maxError is how much of an error is kept.
const maxError = 1024

// deliver tries until it succeeds, or trying makes no more sense.
func (q *Queue) deliver(ctx context.Context, m Message) (attempts int, err error) {
	for backoff := q.o.Backoff; ; backoff = min(2*backoff, q.o.MaxBackoff) {
		attempts++
		if err = q.attempt(ctx, m); err == nil {
			return attempts, nil
		}
		again, wanted := Temporary(err)
		if !again || attempts >= q.o.Attempts || wanted > q.o.MaxWait {
			return attempts, err
		}
		// Half of the time is left to chance, so that those who failed together do not come back together.
		wait := backoff/2 + time.Duration(q.o.Random()*float64(backoff/2))
		if !sleep(ctx, max(wait, wanted)) {
			return attempts, err
		}
	}
}

func (q *Queue) attempt(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, q.o.Timeout)
	defer cancel()
	err := q.sink.Send(ctx, m)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("no answer within %s: %w", q.o.Timeout, err)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
