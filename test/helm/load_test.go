package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// perSecond is how many requests a second each test sends.
const perSecond = 20

// load asks the shop for its colour, which is its version, at a fixed rate whatever the answers take.
type load struct {
	url, host string
	client    *http.Client
	stop      context.CancelFunc
	stopped   chan struct{}

	mu     sync.Mutex
	sent   int
	failed []string
	recent []answer
}

// answer of one request that did not fail.
type answer struct {
	asked   time.Time
	version string
}

func startLoad(url, host string) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{
		url: url + "/color", host: host, stop: cancel, stopped: make(chan struct{}),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	go l.run(ctx)
	return l
}

func (l *load) run(ctx context.Context) {
	defer close(l.stopped)
	var under sync.WaitGroup
	defer under.Wait()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// A ticker drops what comes too late; the rate is kept all the same.
		for due := int(time.Since(begin) / (time.Second / perSecond)); sent < due; sent++ {
			under.Go(l.one)
		}
	}
}

func (l *load) one() {
	asked := time.Now()
	version, err := ask(l.client, l.url, l.host)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("at %s, after %s: %v", asked.Format("15:04:05.000"), time.Since(asked).Round(time.Millisecond), err))
		return
	}
	l.recent = append(l.recent, answer{asked, version})
}

func ask(c *http.Client, url, host string) (version string, err error) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Host = host
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %.200s", res.StatusCode, body)
	}
	return version, json.Unmarshal(body, &version)
}

// since counts the answers to requests that were sent after a moment by version.
func (l *load) since(moment time.Time) (versions map[string]int, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	versions = map[string]int{}
	for _, a := range l.recent {
		if a.asked.After(moment) {
			versions[a.version]++
			n++
		}
	}
	return versions, n
}

// end stops it and has the test fail if a request did.
func (l *load) end(t testing.TB) {
	t.Helper()
	l.stop()
	<-l.stopped
	l.client.CloseIdleConnections()
	for i, f := range l.failed {
		if i < 5 {
			t.Errorf("failed request %s", f)
		}
	}
	if n := len(l.failed); n > 0 {
		t.Errorf("%d of %d requests failed; want none", n, l.sent)
	}
	if l.sent == 0 {
		t.Error("no request was sent")
	}
	t.Logf("%d requests, %d failed", l.sent, len(l.failed))
}
