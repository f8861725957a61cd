package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sink notes when it was asked for what, and answers as the test says.
type sink struct {
	started time.Time
	asked   []string
	answer  func(ctx context.Context, m Message) error
}

func (s *sink) Send(ctx context.Context, m Message) error {
	s.asked = append(s.asked, fmt.Sprintf("%s %s", time.Since(s.started), m.Release))
	if s.answer == nil {
		return nil
	}
	return s.answer(ctx, m)
}

// options have no chance in them: the jitter is at its least, half of the backoff.
func options() Options {
	return Options{Now: time.Now, Random: func() float64 { return 0 }}
}

func release(name string) Message { return Message{Event: Waiting, Release: name} }

// run starts a queue in the time of the test, and returns how to stop it.
func run(t *testing.T, q *Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		q.Run(ctx)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// failing fails so many times.
func failing(times int, err error) func(context.Context, Message) error {
	return func(context.Context, Message) error {
		if times--; times >= 0 {
			return err
		}
		return nil
	}
}

func TestRetries(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, c := range []struct {
		name   string
		answer func(context.Context, Message) error
		change func(*Options)
		asked  []string
		want   Stats
	}{
		{"at once", nil, nil, []string{"0s a"}, Stats{Delivered: 1}},
		{"backs off", failing(4, broken), nil, []string{"0s a", "500ms a", "1.5s a", "3.5s a", "7.5s a"}, Stats{Delivered: 1}},
		{"with jitter", failing(2, broken), func(o *Options) { o.Random = func() float64 { return 0.5 } }, []string{"0s a", "750ms a", "2.25s a"}, Stats{Delivered: 1}},
		{"gives up", failing(99, broken), nil, []string{"0s a", "500ms a", "1.5s a", "3.5s a", "7.5s a", "15.5s a"}, Stats{Failed: 1, LastError: "broken pipe"}},
		{"up to an end", failing(99, broken), func(o *Options) { o.MaxBackoff, o.Attempts = 2*time.Second, 5 }, []string{"0s a", "500ms a", "1.5s a", "2.5s a", "3.5s a"}, Stats{Failed: 1, LastError: "broken pipe"}},
		{"refused for good", failing(99, &Refusal{Service: "x", Reason: "no"}), nil, []string{"0s a"}, Stats{Failed: 1, LastError: "x refused the message: no"}},
		{"waits as asked", failing(2, &Refusal{Temporary: true, RetryAfter: time.Minute}), nil, []string{"0s a", "1m0s a", "2m0s a"}, Stats{Delivered: 1}},
		{"waits longer than asked", failing(1, &Refusal{Temporary: true, RetryAfter: time.Millisecond}), nil, []string{"0s a", "500ms a"}, Stats{Delivered: 1}},
		{"is asked for too long", failing(99, &Refusal{Service: "x", Reason: "later", Temporary: true, RetryAfter: 16 * time.Minute}), nil, []string{"0s a"}, Stats{Failed: 1, LastError: "x refused the message: later"}},
		{"no answer", func(ctx context.Context, _ Message) error {
			<-ctx.Done()
			return fmt.Errorf("reach x: %w", ctx.Err())
		}, func(o *Options) { o.Attempts = 2 }, []string{"0s a", "10.5s a"}, Stats{Failed: 1, LastError: "no answer within 10s: reach x: context deadline exceeded"}},
		{"an error is kept short", failing(99, &Refusal{Reason: strings.Repeat("x", 9999)}), nil, []string{"0s a"}, Stats{Failed: 1, LastError: " refused the message: " + strings.Repeat("x", 2000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{started: time.Now(), answer: c.answer}
				o := options()
				if c.change != nil {
					c.change(&o)
				}
				q := NewQueue(s, o)
				stop := run(t, q)
				defer stop()
				q.Put(release("a"))
				time.Sleep(time.Hour) // in the time of the test
				got := q.Stats()
				if c.want.Delivered > 0 && got.LastDelivered.IsZero() || len(got.LastError) > maxError {
					t.Errorf("%+v", got)
				}
				got.LastDelivered = time.Time{}
				got.LastError, c.want.LastError = Truncate(got.LastError, 500), Truncate(Line(c.want.LastError), 500)
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(c.asked, s.asked); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestPutNeverWaits: while the sink hangs, messages pile up to the limit; then the oldest go, but for the one under way.
func TestPutNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		s := &sink{started: time.Now(), answer: func(context.Context, Message) error { <-open; return nil }}
		o := options()
		o.Limit = 3
		var results []string
		o.Done = func(r Result) {
			results = append(results, fmt.Sprintf("%s %d %v", r.Message.Release, r.Attempts, r.Err))
		}
		q := NewQueue(s, o)
		defer run(t, q)()
		q.Put(release("0"))
		synctest.Wait() // 0 is under way
		for i := range 10 {
			q.Put(release(fmt.Sprint(i + 1)))
		}
		if time.Since(s.started) != 0 {
			t.Errorf("Put took %s", time.Since(s.started))
		}
		if got := q.Stats(); got.Queued != 4 || got.Dropped != 7 {
			t.Errorf("%+v", got)
		}
		close(open)
		synctest.Wait()
		if diff := cmp.Diff([]string{"0 1 <nil>", "8 1 <nil>", "9 1 <nil>", "10 1 <nil>"}, results); diff != "" {
			t.Error(diff)
		}
		if got := q.Stats(); got.Queued != 0 || got.Delivered != 4 {
			t.Errorf("%+v", got)
		}
	})
}

// TestDropsBeforeRun: a queue that is not running yet is bounded, too.
func TestDropsBeforeRun(t *testing.T) {
	o := options()
	o.Limit = 2
	q := NewQueue(&sink{}, o)
	for i := range 5 {
		q.Put(release(fmt.Sprint(i)))
	}
	if got := q.Stats(); got.Queued != 2 || got.Dropped != 3 {
		t.Errorf("%+v", got)
	}
}

// TestStop: the end of the context ends Run in an attempt, in a wait and at rest, and what was not delivered is still
// counted; another Run takes it up.
func TestStop(t *testing.T) {
	hang := func(ctx context.Context, _ Message) error { <-ctx.Done(); return ctx.Err() }
	for name, answer := range map[string]func(context.Context, Message) error{"in an attempt": hang, "in a wait": failing(1, errors.New("broken pipe"))} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{started: time.Now(), answer: answer}
				q := NewQueue(s, options())
				stop := run(t, q)
				q.Put(release("a"))
				q.Put(release("b"))
				synctest.Wait()
				stop()
				if got := q.Stats(); got.Queued != 2 || got.Failed+got.Delivered+got.Dropped != 0 || time.Since(s.started) != 0 {
					t.Errorf("%+v after %s", got, time.Since(s.started))
				}
				s.answer = nil
				stop = run(t, q)
				synctest.Wait()
				stop()
				if got := q.Stats(); got.Queued != 0 || got.Delivered != 2 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
	t.Run("at rest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stop := run(t, NewQueue(&sink{}, options()))
			synctest.Wait()
			stop()
		})
	})
}

// TestClose: a closed queue takes nothing more, deals with what it has, and ends.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{started: time.Now(), answer: failing(1, errors.New("broken pipe"))}
		q := NewQueue(s, options())
		if !q.Put(release("a")) || !q.Put(release("b")) {
			t.Error("did not take a message")
		}
		q.Close()
		if q.Put(release("c")) {
			t.Error("took a message after Close")
		}
		q.Run(t.Context())
		if diff := cmp.Diff([]string{"0s a", "500ms a", "500ms b"}, s.asked); diff != "" {
			t.Error(diff)
		}
	})
}

// TestManyPutters: nothing is lost where many have something to tell, and each gets through in its order.
func TestManyPutters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{started: time.Now()}
		o := options()
		o.Limit = 1000
		q := NewQueue(s, o)
		defer run(t, q)()
		for p := range 10 {
			go func() {
				for i := range 50 {
					q.Put(release(fmt.Sprintf("%d/%02d", p, i)))
				}
			}()
		}
		synctest.Wait()
		last := map[string]string{}
		for _, asked := range s.asked {
			who, number, _ := strings.Cut(asked, "/")
			if last[who] >= number && last[who] != "" {
				t.Errorf("%s came after %s", asked, last[who])
			}
			last[who] = number
		}
		if got := q.Stats(); got.Delivered != 500 || len(s.asked) != 500 || got.Dropped != 0 {
			t.Errorf("%+v, asked %d times", got, len(s.asked))
		}
	})
}
