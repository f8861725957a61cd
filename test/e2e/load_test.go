package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// request is what a client sends again and again.
type request struct {
	url, host string
	header    map[string]string
	timeout   time.Duration
}

// sample is one answered request.
type sample struct {
	at     time.Time
	took   time.Duration
	status int
	// version that answered: the colour.
	version string
	err     error
}

func (s sample) failed() bool { return s.err != nil || s.status != http.StatusOK }

func (s sample) String() string {
	return fmt.Sprintf("%s after %s: status %d, version %q, error %v",
		s.at.Format("15:04:05.000"), s.took.Round(time.Millisecond), s.status, s.version, s.err)
}

// load is a client that sends at a fixed rate, whatever the answers take.
type load struct {
	request request
	client  *http.Client

	stop    context.CancelFunc
	stopped chan struct{}
	mu      sync.Mutex
	samples []sample
}

func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
			// The gateway may be reached by an address that is in no certificate.
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // only colours are asked for
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// startLoad sends requests until it is stopped.
func startLoad(r request, perSecond int) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{request: r, client: newClient(), stop: cancel, stopped: make(chan struct{})}
	go l.run(ctx, time.Second/time.Duration(perSecond))
	return l
}

func (l *load) run(ctx context.Context, every time.Duration) {
	defer close(l.stopped)
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTicker(every)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A ticker drops what comes too late; the rate is kept all the same.
		for due := int(time.Since(begin) / every); sent < due; sent++ {
			under.Go(func() { l.record(ask(l.client, l.request)) })
		}
	}
}

func (l *load) record(s sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, s)
}

// ask sends one request.
func ask(c *http.Client, r request) sample {
	s := sample{at: time.Now()}
	timeout := r.timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		s.err = err
		return s
	}
	req.Host = r.host
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	res, err := c.Do(req)
	s.took = time.Since(s.at)
	if err != nil {
		s.err = err
		return s
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	s.took = time.Since(s.at)
	s.status, s.err = res.StatusCode, err
	if s.status == http.StatusOK && json.Unmarshal(body, &s.version) != nil {
		s.err = fmt.Errorf("the answer is no colour: %.80q", body)
	}
	return s
}

// end stops the client and returns all that it has seen, in order.
func (l *load) end() []sample {
	l.stop()
	<-l.stopped
	l.client.CloseIdleConnections()
	return l.between(time.Time{}, time.Now())
}

// between returns the requests that began in a span of time and have been answered.
func (l *load) between(from, to time.Time) []sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []sample
	for _, s := range l.samples {
		if !s.at.Before(from) && s.at.Before(to) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b sample) int { return a.at.Compare(b.at) })
	return out
}

// next waits for the answers to the next n requests.
func (l *load) next(t testing.TB, n int) []sample {
	t.Helper()
	return nextOf(t, []*load{l}, n)[0]
}

// nextOf waits for the answers to the next n requests of each client.
func nextOf(t testing.TB, loads []*load, n int) [][]sample {
	t.Helper()
	from, out := time.Now(), make([][]sample, len(loads))
	for i, l := range loads {
		until(t, long, fmt.Sprintf("%d further requests are answered", n), func() error {
			got := l.between(from, time.Now())
			if len(got) < n {
				return fmt.Errorf("%d are", len(got))
			}
			out[i] = got[:n]
			return nil
		})
	}
	return out
}

// versions counts samples by the version that answered.
func versions(samples []sample) map[string]int {
	out := map[string]int{}
	for _, s := range samples {
		if !s.failed() {
			out[s.version]++
		}
	}
	return out
}

// noneFailed has the test fail if one of the requests did.
func noneFailed(t testing.TB, samples []sample) {
	t.Helper()
	failed := 0
	for _, s := range samples {
		if !s.failed() {
			continue
		}
		if failed++; failed <= 5 {
			t.Errorf("failed request at %s", s)
		}
	}
	if failed > 0 {
		t.Errorf("%d of %d requests failed; want none", failed, len(samples))
	}
	if len(samples) == 0 {
		t.Error("no request was sent")
	}
}

// deviation is by how many standard deviations the share of a version differs from percent.
func deviation(samples []sample, version string, percent float64) float64 {
	n, p := float64(len(samples)), percent/100
	got := float64(versions(samples)[version])
	sd := math.Sqrt(n * p * (1 - p))
	if sd == 0 {
		return math.Abs(got - n*p)
	}
	return math.Abs(got-n*p) / sd
}

// sharedOut has the test fail unless of the next n requests a share of percent, within 3 standard deviations, go to
// version.
func (l *load) sharedOut(t testing.TB, n int, version string, percent float64) {
	t.Helper()
	allSharedOut(t, []*load{l}, n, version, percent)
}

// allSharedOut asks that of several clients. One time in 370 a fair split fails, so a second look is taken then; a
// wrong split fails both.
func allSharedOut(t testing.TB, loads []*load, n int, version string, percent float64) {
	t.Helper()
	first := nextOf(t, loads, n)
	var off []*load
	for i, l := range loads {
		if deviation(first[i], version, percent) > 3 {
			t.Logf("%s %s: of %d requests %v, %g%% %s wanted: looking again", l.request.host, l.request.url, n, versions(first[i]), percent, version)
			off = append(off, l)
		}
	}
	for i, samples := range nextOf(t, off, n) {
		if d := deviation(samples, version, percent); d > 3 {
			t.Errorf("%s %s: of %d requests %v: want %g%% from %s within 3 standard deviations (are %.1f)",
				off[i].request.host, off[i].request.url, n, versions(samples), percent, version, d)
		}
	}
}
