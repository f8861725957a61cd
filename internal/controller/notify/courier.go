package notify

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/notify"
)

// courier takes the messages of one Notifier to its sink. What it knows beyond status.cursor is lost with the process.
type courier struct {
	uid  types.UID
	sink *sink
	// queue is emptied by a goroutine of its own, which ends when gone is closed.
	queue *notify.Queue
	ctx   context.Context //nolint:containedctx // it ends what was begun, when the Notifier does
	end   context.CancelFunc
	gone  chan struct{}

	// work is held by whoever looks at the Notifier. What follows is his alone.
	work       sync.Mutex
	generation int64
	template   *notify.Template
	// flaw is what is wrong with the template.
	flaw string
	// since is when there begins to be something to tell, for this process.
	since time.Time
	// met are the facts that need no more thought, of each release.
	met map[string]map[string]bool

	mu sync.Mutex
	// sent are under way, in order.
	sent []letter
	// results are not known to be written.
	results []result
	// trouble is why the message under way, or the sink, does not come to be.
	trouble string
}

// letter is a fact on its way.
type letter struct {
	fact    fact
	message notify.Message
}

// result is what became of a fact.
type result struct {
	fact  fact
	event notify.Event
	err   error
	at    time.Time
}

// is says whether a letter has this message.
func (l letter) is(m notify.Message) bool {
	o := l.message
	return o.Event == m.Event && o.Release == m.Release && o.At.Equal(m.At) && o.Step == m.Step && o.Title == m.Title &&
		o.Text == m.Text
}

// errDropped is why a message was not tried.
type errDropped struct{}

func (errDropped) Error() string {
	return "it was dropped, since more messages waited than are kept"
}

// memory is how long ago something may have happened that is told by a process that was not there.
const memory = time.Hour

// hire starts a courier. Its context is not the look's: it ends with the Notifier or with the process.
func (r *Reconciler) hire(n *v1alpha1.Notifier) *courier {
	ctx, end := context.WithCancel(context.Background())
	c := &courier{uid: n.UID, ctx: ctx, end: end, gone: make(chan struct{}), since: r.Now().Add(-memory)}
	if made := n.CreationTimestamp.Time; made.After(c.since) {
		c.since = made
	}
	key := client.ObjectKeyFromObject(n)
	c.sink = &sink{make: r.sinkOf(n.Namespace), tried: func(err error) {
		if c.tried(err) {
			r.wake(ctx, key)
		}
	}}
	o := r.Queue
	o.Now = r.Now
	o.Done = func(done notify.Result) {
		c.done(done)
		r.wake(ctx, key)
	}
	c.queue = notify.NewQueue(c.sink, o)
	c.read(n)
	go func() {
		defer close(c.gone)
		c.sink.check(ctx)
		c.queue.Run(ctx)
	}()
	return c
}

// read takes a Notifier's spec in.
func (c *courier) read(n *v1alpha1.Notifier) {
	c.generation, c.template, c.flaw = n.Generation, nil, ""
	if n.Spec.Template != "" {
		t, err := notify.TryTemplate(n.Spec.Template)
		if err != nil {
			c.flaw = err.Error() + "; the usual text is sent"
		}
		c.template = t
	}
	c.sink.change(n.Spec.Sink)
}

// change reads a Notifier that has changed.
func (c *courier) change(n *v1alpha1.Notifier) {
	if n.Generation == c.generation {
		return
	}
	c.read(n)
	go c.sink.check(c.ctx)
}

// tried notes what came of an attempt, and says whether that is news.
func (c *courier) tried(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.trouble
	c.trouble = text
	return was != text
}

// done notes what became of a message. They come in the order in which they were put: those before it that are still
// there were dropped by the queue.
func (c *courier) done(d notify.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, l := range c.sent {
		if !l.is(d.Message) {
			continue
		}
		for _, dropped := range c.sent[:i] {
			c.results = append(c.results, result{dropped.fact, dropped.message.Event, errDropped{}, d.At})
		}
		c.results = append(c.results, result{l.fact, l.message.Event, d.Err, d.At})
		c.sent = c.sent[i+1:]
		break
	}
	if d.Err != nil {
		c.trouble = "" // It is told as what the message failed by.
	}
}

// put sends a fact on its way.
func (c *courier) put(f *fact, m notify.Message) {
	c.mu.Lock()
	// Noted before it is queued: what becomes of it may be known before Put returns, and done looks for it here.
	c.sent = append(c.sent, letter{*f, m})
	c.mu.Unlock()
	c.queue.Put(m)
}

// news are the facts of a list that this courier has not met. What was there before it is no news where the cursor has
// it.
func (c *courier) news(all []fact, mark cursor) []fact {
	first := c.met == nil
	met := map[string]map[string]bool{}
	var out []fact
	for i := range all {
		f := &all[i]
		if met[f.release] == nil {
			// A wait that is interrupted is not told again, so what was met stays as long as the release is there.
			if met[f.release] = c.met[f.release]; met[f.release] == nil {
				met[f.release] = map[string]bool{}
			}
		}
		known := met[f.release][f.key]
		met[f.release][f.key] = true
		old := f.at.Before(c.since)
		if first {
			old = old || mark.has(f)
		} else if f.wait {
			old = false // It waits since now, whatever it waits in.
		}
		if !known && !old {
			out = append(out, *f)
		}
	}
	// Facts of releases that are gone are forgotten, or the list would grow for ever.
	c.met = met
	return out
}

// state is what there is to write down: a copy.
func (c *courier) state() (results []result, trouble string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(results, c.results...), c.trouble
}

// written lets go of what stands in the status now.
func (c *courier) written(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results = c.results[n:]
}

// couriers are those of all Notifiers.
type couriers struct {
	mu     sync.Mutex
	of     map[types.NamespacedName]*courier
	closed bool
}

// get is the courier of a Notifier, hired if need be; one of a former Notifier of that name is let go. After close
// there is none.
func (s *couriers) get(key types.NamespacedName, uid types.UID, hire func() *courier) *courier {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if c := s.of[key]; c != nil {
		if c.uid == uid {
			return c
		}
		c.end()
	}
	c := hire()
	s.of[key] = c
	return c
}

// stop ends the courier of a Notifier that is gone, and whatever is under way.
func (s *couriers) stop(key types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.of[key]; c != nil {
		c.end()
		delete(s.of, key)
	}
}

// close ends all of them, waits until they are gone, and returns them. All are told to end before any is waited for.
// Waiting under the lock is safe, since no courier takes it.
func (s *couriers) close() map[types.NamespacedName]*courier {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, c := range s.of {
		c.end()
	}
	for _, c := range s.of {
		<-c.gone
	}
	return s.of
}
