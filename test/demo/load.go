package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"sync"
	"time"
)

// answer is what came back for one request.
type answer struct {
	sent   time.Time
	colour string
	failed string // why; empty for a good one
}

func (a answer) err() error {
	if a.failed == "" {
		return nil
	}
	return fmt.Errorf("%s", a.failed)
}

var customer = &http.Client{
	Timeout:   30 * time.Second, // as long as the shop's Ingress allows
	Transport: &http.Transport{MaxIdleConnsPerHost: rate, MaxIdleConns: 2 * rate},
}

// ask sends one request. Anything but a colour is a failure.
func ask(ctx context.Context, url string, header map[string]string) answer {
	a := answer{sent: time.Now()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		a.failed = err.Error()
		return a
	}
	req.Host = host
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := customer.Do(req)
	if err != nil {
		a.failed = err.Error()
		return a
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		a.failed = err.Error()
	case res.StatusCode != http.StatusOK:
		a.failed = res.Status
	case json.Unmarshal(body, &a.colour) != nil || a.colour == "":
		a.failed = fmt.Sprintf("no colour in the answer %.40q", body)
	}
	return a
}

// load is a client that sends at a fixed rate, however long the answers take.
type load struct {
	url    string
	ending chan struct{}
	busy   sync.WaitGroup

	mu      sync.Mutex
	all     *tally
	open    map[*tally]bool
	seconds [history]second
}

// history is the number of seconds that are remembered one by one.
const history = 72

// second is what was answered to the requests of one second.
type second struct {
	unix   int64
	counts map[string]int
	failed int
}

// tally counts the answers to requests that were sent after it was begun.
type tally struct {
	from    time.Time
	limit   int // requests; 0 for no limit
	counts  map[string]int
	total   int
	failed  int
	example string        // of a failure
	full    chan struct{} // closed at the limit
}

func startLoad(url string, perSecond int) *load {
	l := &load{url: url, ending: make(chan struct{}), open: map[*tally]bool{}}
	l.all = l.count(0)
	l.busy.Add(1)
	go l.run(time.Second / time.Duration(perSecond))
	return l
}

func (l *load) run(every time.Duration) {
	defer l.busy.Done()
	for next := time.Now(); ; next = next.Add(every) {
		select {
		case <-l.ending:
			return
		case <-time.After(time.Until(next)):
		}
		l.busy.Add(1)
		go func() {
			defer l.busy.Done()
			l.add(ask(context.Background(), l.url, nil)) // ends by the client's own time-out
		}()
	}
}

// stop ends the sending and waits for the answers under way.
func (l *load) stop() {
	select {
	case <-l.ending:
	default:
		close(l.ending)
	}
	l.busy.Wait()
}

func (l *load) add(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for t := range l.open {
		if t.add(a) {
			delete(l.open, t)
		}
	}
	s := &l.seconds[a.sent.Unix()%history]
	if s.unix != a.sent.Unix() {
		*s = second{unix: a.sent.Unix(), counts: map[string]int{}}
	}
	if a.failed != "" {
		s.failed++
	} else {
		s.counts[a.colour]++
	}
}

// add says whether the tally is full.
func (t *tally) add(a answer) bool {
	if a.sent.Before(t.from) {
		return false
	}
	t.total++
	if a.failed != "" {
		t.failed++
		t.example = a.sent.Format("15:04:05.000 ") + a.failed
	} else {
		t.counts[a.colour]++
	}
	if t.total != t.limit {
		return false
	}
	close(t.full)
	return true
}

// count begins a tally of the next requests.
func (l *load) count(limit int) *tally {
	t := &tally{from: time.Now(), limit: limit, counts: map[string]int{}, full: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[t] = true
	return t
}

// close ends a tally.
func (l *load) close(t *tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, t)
}

// next is the tally of the next n requests.
func (l *load) next(ctx context.Context, n int) (*tally, error) {
	t := l.count(n)
	select {
	case <-t.full:
		return t, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read is a tally as it is now.
func (l *load) read(t *tally) tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := *t
	out.counts = map[string]int{}
	for k, n := range t.counts {
		out.counts[k] = n
	}
	return out
}

// last gives the most recent whole seconds, oldest first.
func (l *load) last(n int) []second {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []second
	now := time.Now().Unix()
	for at := now - int64(n); at < now; at++ {
		s := second{unix: at, counts: map[string]int{}}
		if kept := l.seconds[at%history]; kept.unix == at {
			s.failed = kept.failed
			for k, c := range kept.counts {
				s.counts[k] = c
			}
		}
		out = append(out, s)
	}
	return out
}

// why is the last failure, if there was one.
func (t *tally) why() string {
	if t.example == "" {
		return ""
	}
	return ", as at " + t.example
}

// deviations says by how many standard deviations the share of a colour is off.
func (t *tally) deviations(colour string, percent float64) float64 {
	n, p := float64(t.total), percent/100
	if n == 0 {
		return math.Inf(1)
	}
	if p == 0 || p == 1 {
		if float64(t.counts[colour]) == n*p {
			return 0
		}
		return math.Inf(1)
	}
	return math.Abs(float64(t.counts[colour])-n*p) / math.Sqrt(n*p*(1-p))
}
