package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
)

// load sends requests without pause until ctx ends and counts what failed.
type load struct {
	sent, failed atomic.Int64
	first        sync.Once
	why          string
}

func (l *load) run(ctx context.Context, f *fixture, client *http.Client, method, body string) {
	for ctx.Err() == nil {
		var reader io.Reader
		if body != "" {
			reader = strings.NewReader(body)
		}
		r, err := http.NewRequestWithContext(context.WithoutCancel(ctx), method, f.server.URL+"/color", reader)
		if err != nil {
			l.fail(err.Error())
			return
		}
		r.Host = "shop.demo"
		resp, err := client.Do(r)
		if err != nil {
			l.fail(err.Error())
			continue
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		l.sent.Add(1)
		if err != nil || resp.StatusCode != http.StatusOK {
			l.fail(fmt.Sprintf("%s: %d %s %v", method, resp.StatusCode, got, err))
		}
	}
}

func (l *load) fail(why string) {
	l.failed.Add(1)
	l.first.Do(func() { l.why = why })
}

func (l *load) waitFor(t *testing.T, more int64) {
	t.Helper()
	target := l.sent.Load() + more
	deadline := time.Now().Add(20 * time.Second)
	for l.sent.Load() < target {
		if time.Now().After(deadline) {
			t.Fatalf("only %d requests were answered, want %d", l.sent.Load(), target)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestNoRequestFailsDuringChanges replaces pods, in both orders that occur
// (route first, pod first), and moves the canary's weight under steady load.
func TestNoRequestFailsDuringChanges(t *testing.T) {
	f := newFixture(t)
	stable := startPod(t, "stable", echo("stable"))
	f.change(func() {
		f.pods["shop"] = []*pod{stable, startPod(t, "keeper", echo("keeper"))}
		f.pods["canary"] = nil
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var l load
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for _, kind := range []struct{ method, body string }{{"GET", ""}, {"GET", ""}, {"POST", ""}, {"PUT", "some body"}} {
		wg.Go(func() { l.run(ctx, f, client, kind.method, kind.body) })
	}
	weight := 0
	for i := range 15 {
		fresh := startPod(t, fmt.Sprintf("pod-%d", i), echo(fmt.Sprintf("pod-%d", i)))
		old := f.pods["shop"][0]
		weight = (weight + 30) % 101
		replace := func() {
			f.change(func() {
				f.pods["shop"] = []*pod{f.pods["shop"][1], fresh}
				f.pods["canary"] = []*pod{fresh}
				f.world.Ingresses = []*networkingv1.Ingress{
					f.ingress("shop", "shop.demo", "shop", nil),
					f.ingress("shop-canary", "shop.demo", "canary", canaryAnnotations(weight)),
				}
			})
		}
		switch i % 3 {
		case 0: // as it should be
			replace()
			old.stop(t)
		case 1: // the pod is gone before the gateway hears of it
			old.stop(t)
			l.waitFor(t, 20)
			replace()
		case 2: // the pod dies with its connections
			_ = old.server.Close()
			l.waitFor(t, 20)
			replace()
		}
		l.waitFor(t, 30)
	}
	cancel()
	wg.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed; the first: %s", n, l.sent.Load(), l.why)
	}
	t.Logf("%d requests", l.sent.Load())
}

// TestOrdersDuringRollout: requests that must not be repeated, with bodies, while
// pods are replaced as Kubernetes does it: out of the route, then stopped.
func TestOrdersDuringRollout(t *testing.T) {
	f := newFixture(t)
	f.change(func() {
		f.pods["shop"] = []*pod{startPod(t, "a", echo("a")), startPod(t, "b", echo("b"))}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	clients := make([]load, 2)
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for i := range clients {
		wg.Go(func() { clients[i].run(ctx, f, client, "POST", "an order") })
	}
	for i := range 10 {
		old := f.pods["shop"][0]
		f.change(func() { f.pods["shop"] = []*pod{f.pods["shop"][1], startPod(t, fmt.Sprint(i), echo("c"))} })
		for i := range clients { // its next choice is by the new table
			clients[i].waitFor(t, 2)
		}
		old.stop(t)
		clients[0].waitFor(t, 10)
	}
	cancel()
	wg.Wait()
	for i := range clients {
		if n := clients[i].failed.Load(); n > 0 {
			t.Errorf("%d of %d orders failed; the first: %s", n, clients[i].sent.Load(), clients[i].why)
		}
	}
}

// echo answers with its name, and with the body when there is one.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || (r.Method == http.MethodPut && !bytes.Equal(body, []byte("some body"))) {
			http.Error(w, fmt.Sprintf("body %q: %v", body, err), http.StatusTeapot)
			return
		}
		fmt.Fprint(w, name)
	})
}

// TestBodyGoesToAnotherPod: a request that must not be repeated still moves on
// when the first pod refuses the connection, with its whole body.
func TestBodyGoesToAnotherPod(t *testing.T) {
	f := newFixture(t)
	dead, alive := startPod(t, "dead", said("dead")), startPod(t, "alive", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	_ = dead.server.Close()
	f.change(func() {
		f.pods["shop"] = []*pod{dead, alive}
		f.world.Ingresses = []*networkingv1.Ingress{f.ingress("shop", "shop.demo", "shop", nil)}
	})
	for range 20 { // each starts at a random pod
		r := f.request(t, "POST", "shop.demo", "/")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 200_000))), 200_000
		if code, body := do(t, r); code != 200 || body != "200000" {
			t.Fatalf("got %d %q", code, body)
		}
	}
}

func do(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func BenchmarkProxy(b *testing.B) {
	f := newFixture(b)
	f.change(func() {
		f.pods["shop"] = []*pod{startPod(b, "blue", said("blue"))}
		f.pods["canary"] = []*pod{startPod(b, "green", said("green"))}
		f.world.Ingresses = []*networkingv1.Ingress{
			f.ingress("shop", "shop.demo", "shop", nil),
			f.ingress("shop-canary", "shop.demo", "canary", canaryAnnotations(20)),
		}
	})
	client := &http.Transport{MaxIdleConnsPerHost: 64}
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.RoundTrip(f.request(b, "GET", "shop.demo", "/color"))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 200 {
				b.Errorf("got %d", resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}
