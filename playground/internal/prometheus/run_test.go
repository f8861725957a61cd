package prometheus

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

var quiet = slog.New(slog.DiscardHandler)

// applied is an API server that only takes what is applied, and remembers it.
type applied struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]string // by path
	refuse  bool
}

func newApplied(t *testing.T) *applied {
	t.Helper()
	a := &applied{objects: map[string]string{}}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *applied) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPatch || a.refuse {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.objects[r.URL.Path] = string(body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

// pod is a server with one counter.
type pod struct {
	value  atomic.Int64
	server *http.Server
}

func startPod(t *testing.T, n *network.Network, at string) *pod {
	t.Helper()
	l, err := n.Listen(t.Context(), at, 8080)
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{}
	p.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE served_total counter\nserved_total %d\n", p.value.Load())
	})}
	go func() { _ = p.server.Serve(l) }()
	t.Cleanup(func() { _ = p.server.Close() })
	return p
}

// startRun runs Prometheus until the test ends and gives its address.
func startRun(t *testing.T, o Options) (address string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Listen, o.Log, o.Ready = "127.0.0.1:0", quiet, func(address string) { ready <- address }
	go func() { ended <- Run(ctx, o) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case address = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("Run ended early: %v", err)
	}
	return address, stop
}

// value evaluates an expression that gives one number, or none.
func value(t *testing.T, address, expression string) string {
	t.Helper()
	response, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []struct{ Value [2]any } }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", expression, err, answer.Error)
	}
	if len(answer.Data.Result) != 1 {
		return fmt.Sprintf("%d results", len(answer.Data.Result))
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

func await(t *testing.T, address, expression, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		got := value(t, address, expression)
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s is %s, want %s", expression, got, want)
		}
	}
}

func options(t *testing.T) Options {
	t.Helper()
	return Options{
		Dir: filepath.Join(t.TempDir(), "prometheus"), Ephemeral: true, Interval: 50 * time.Millisecond,
		Targets: NewTargets(), Network: network.New(), Config: &rest.Config{Host: newApplied(t).URL},
	}
}

// Targets are scraped from when they are told of, under their labels, and until they end.
func TestTargetsComeAndGo(t *testing.T) {
	o := options(t)
	a, b := startPod(t, o.Network, "198.18.0.1"), startPod(t, o.Network, "198.18.0.2")
	a.value.Store(7)
	b.value.Store(8)
	o.Targets.SetGateway("198.18.0.1:8080")
	o.Targets.SetPod("198.18.0.1:8080", map[string]string{"pod": "a", "app": "shop"})
	address, _ := startRun(t, o)
	await(t, address, `served_total{job="gateway",instance="198.18.0.1:8080"}`, "7")
	await(t, address, `served_total{job="pods",instance="198.18.0.1:8080",pod="a",app="shop"}`, "7")

	o.Targets.SetPod("198.18.0.2:8080", map[string]string{"pod": "b", "app": "shop"})
	await(t, address, `served_total{pod="b"}`, "8")
	b.value.Store(9)
	await(t, address, `served_total{pod="b"}`, "9")
	await(t, address, `sum(up{job="pods"})`, "2")
	_, body := fetch(t, "http://"+address+"/api/v1/targets")
	for _, part := range []string{`"scrapeUrl":"http://198.18.0.2:8080/metrics"`, `"health":"up"`, `"scrapeInterval":"50ms"`, `"pod":"b"`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in the targets: %s", part, body)
		}
	}

	o.Targets.SetPod("198.18.0.2:8080", map[string]string{"pod": "b", "app": "store"})
	await(t, address, `served_total{pod="b",app="store"}`, "9")
	await(t, address, `served_total{pod="b",app="shop"}`, "0 results")

	o.Targets.SetPod("198.18.0.1:8080", nil)
	await(t, address, `up{pod="a"}`, "0 results")
	_ = b.server.Close()
	await(t, address, `up{pod="b"}`, "0")
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// Pods reach Prometheus at the endpoint of its Service.
func TestService(t *testing.T) {
	o := options(t)
	server := newApplied(t)
	o.Config = &rest.Config{Host: server.URL}
	address, _ := startRun(t, o)
	var slice struct {
		Metadata  struct{ Labels map[string]string }
		Endpoints []struct{ Addresses []string }
		Ports     []struct{ Port int }
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if err := json.Unmarshal([]byte(server.objects["/apis/discovery.k8s.io/v1/namespaces/monitoring/endpointslices/prometheus"]), &slice); err != nil {
		t.Fatal(err)
	}
	if slice.Metadata.Labels["kubernetes.io/service-name"] != "prometheus" || len(slice.Endpoints) != 1 || len(slice.Ports) != 1 || slice.Ports[0].Port != 9090 {
		t.Fatalf("got %+v", slice)
	}
	client := &http.Client{Transport: &http.Transport{DialContext: o.Network.DialContext}}
	response, err := client.Get("http://" + slice.Endpoints[0].Addresses[0] + ":9090/-/ready")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %s", response.Status)
	}
	want := `{"kind":"Service","apiVersion":"v1","metadata":{"name":"prometheus","namespace":"monitoring"},"spec":{"ports":[{"name":"http","port":9090}]}}`
	if diff := cmp.Diff(want, strings.TrimSpace(server.objects["/api/v1/namespaces/monitoring/services/prometheus"])); diff != "" {
		t.Errorf("the Service at %s (-want +got):\n%s", address, diff)
	}
}

// A cluster that does not let the Service be made has Prometheus all the same.
func TestServiceRefused(t *testing.T) {
	o := options(t)
	server := newApplied(t)
	server.refuse = true
	o.Config = &rest.Config{Host: server.URL}
	address, _ := startRun(t, o)
	if code, _ := fetch(t, "http://"+address+"/-/ready"); code != http.StatusOK {
		t.Errorf("got %d", code)
	}
}

// What was scraped is there after a restart, unless the playground is ephemeral or the
// files are damaged.
func TestRestart(t *testing.T) {
	for name, test := range map[string]struct {
		ephemeral bool
		damage    func(t *testing.T, dir string)
		want      string
	}{
		"kept":      {want: "7"},
		"ephemeral": {ephemeral: true, want: "0 results"},
		"damaged": {want: "0 results", damage: func(t *testing.T, dir string) {
			t.Helper()
			block := filepath.Join(dir, "01J00000000000000000000000")
			if err := os.MkdirAll(block, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(block, "meta.json"), []byte(`{"version":1,"ulid":"01J00000000000000000000000"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Ephemeral = test.ephemeral
			startPod(t, o.Network, "198.18.0.1").value.Store(7)
			o.Targets.SetPod("198.18.0.1:8080", map[string]string{"pod": "a"})
			address, stop := startRun(t, o)
			await(t, address, `served_total{pod="a"}`, "7")
			stop()
			if test.damage != nil {
				test.damage(t, o.Dir)
			}
			o.Targets = NewTargets()
			address, _ = startRun(t, o)
			await(t, address, `last_over_time(served_total{pod="a"}[5m])`, test.want)
		})
	}
}

func TestRunRefusesATakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := options(t)
	o.Listen = taken.Addr().String()
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
