package node

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

// started is a program that runs on a real network.
type started struct {
	*call
	program program
	out     *bytes.Buffer
	code    chan int
}

// start runs an image as a container would; its out may be read once code has come.
func start(t *testing.T, image string, env map[string]string, args ...string) *started {
	t.Helper()
	s := prepare(t, image, env, args...)
	s.launch(t)
	return s
}

// prepare is start without the last step, for a call that is to be changed.
func prepare(t *testing.T, image string, env map[string]string, args ...string) *started {
	t.Helper()
	program, err := builtIn(image)
	if err != nil {
		t.Fatal(err)
	}
	out := &bytes.Buffer{}
	return &started{program: program, out: out, code: make(chan int, 1), call: &call{
		process: newProcess(), host: &host{network: network.New(), log: slog.New(slog.DiscardHandler)},
		env: env, args: args, out: out, image: image, namespace: "demo", pod: "shop-1", ip: "198.18.99.1",
	}}
}

func (s *started) launch(t *testing.T) {
	t.Helper()
	t.Cleanup(s.kill)
	if run := s.program(s.call); run != nil {
		go func() { s.code <- run() }()
	}
}

func (s *started) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.host.network.DialContext}}
}

func TestImages(t *testing.T) {
	for image, known := range map[string]bool{
		"argoproj/rollouts-demo:blue":                  true,
		"docker.io/argoproj/rollouts-demo:bad-red":     true,
		"sluice.dev/demo":                              true,
		"sluice.dev/demo:slow-start":                   true,
		"sluice.dev/check":                             true,
		"sluice.dev/check:v1":                          true,
		"sluice.dev/pause:3.10":                        true,
		"argoproj/rollouts-demo:mauve":                 false,
		"nginx:1.29":                                   false,
		"registry.example/argoproj/rollouts-demo:blue": false,
		"UPPER": false,
		"":      false,
	} {
		_, err := builtIn(image)
		if (err == nil) != known {
			t.Errorf("%q: %v", image, err)
		}
		if err != nil && !strings.Contains(err.Error(), "sluice.dev/demo:TAG") {
			t.Errorf("%q: the error names no image to use: %v", image, err)
		}
	}
}

func TestDemoFinishesRequestsInFlight(t *testing.T) {
	s := start(t, "sluice.dev/demo:green", map[string]string{"LATENCY": "300ms", "TERMINATION_DELAY": "0s"})
	answered := make(chan error, 1)
	sent := make(chan struct{})
	go func() {
		conn, err := s.host.network.DialContext(t.Context(), "tcp", "198.18.99.1:8080")
		if err != nil {
			answered <- err
			close(sent)
			return
		}
		_, _ = io.WriteString(conn, "GET /color HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
		close(sent)
		b, err := io.ReadAll(conn)
		if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200") {
			err = &net.AddrError{Err: "answer " + string(b)}
		}
		answered <- err
	}()
	<-sent
	if _, err := s.client().Get("http://198.18.99.1:8080/version"); err != nil { // the server is past accepting the first
		t.Fatal(err)
	}
	s.terminate()
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.out)
	}
	if _, err := s.client().Get("http://198.18.99.1:8080/"); err == nil {
		t.Error("it still answers")
	}
}

func TestDemoServesOnAfterSIGTERM(t *testing.T) {
	s := start(t, "sluice.dev/demo:green", map[string]string{"TERMINATION_DELAY": "1h"})
	client := s.client()
	ask := func() *http.Response {
		t.Helper()
		res, err := client.Get("http://198.18.99.1:8080/color")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res
	}
	if ask().Close {
		t.Error("connections are closed before SIGTERM")
	}
	s.terminate()
	if res := ask(); res.StatusCode != 200 || !res.Close {
		t.Errorf("after SIGTERM: status %d, connection to be closed: %v", res.StatusCode, res.Close)
	}
	s.kill()
	<-s.code
}

func TestDemoIsKilled(t *testing.T) {
	s := start(t, "sluice.dev/demo:green", map[string]string{"LATENCY": "1h"})
	failed := make(chan error, 1)
	go func() { _, err := s.client().Get("http://198.18.99.1:8080/color"); failed <- err }()
	if _, err := s.client().Get("http://198.18.99.1:8080/version"); err != nil {
		t.Fatal(err)
	}
	s.terminate()
	s.kill()
	if code := <-s.code; code != 137 && code != 0 { // 0: the kill came before the request
		t.Errorf("exit code %d", code)
	}
	if err := <-failed; err == nil {
		t.Error("a request to a killed server was answered")
	}
}

func TestProgramsExit(t *testing.T) {
	for _, tc := range []struct {
		image string
		env   map[string]string
		args  []string
		code  int
		out   string
	}{
		{"sluice.dev/demo:crash", nil, nil, 1, "told to crash"},
		{"sluice.dev/demo:blue", map[string]string{"CRASH_AFTER": "1ms", "EXIT_CODE": "5"}, nil, 5, "crashes after 1ms"},
		{"sluice.dev/demo:blue", map[string]string{"PORT": "http"}, nil, 1, `PORT "http": want a number`},
		{"sluice.dev/check", nil, []string{"--url", "http://shop/"}, 1, "no such host"},
		{"sluice.dev/check", nil, nil, 2, "--url is missing"},
	} {
		s := start(t, tc.image, tc.env, tc.args...)
		if code := <-s.code; code != tc.code || !strings.Contains(s.out.String(), tc.out) {
			t.Errorf("%s %v %v: exit code %d, output %q; want %d with %q", tc.image, tc.env, tc.args, code, s.out, tc.code, tc.out)
		}
	}
}

func TestNeverReadyNeverListens(t *testing.T) {
	s := start(t, "sluice.dev/demo:never-ready", nil)
	if _, err := s.client().Get("http://198.18.99.1:8080/"); err == nil {
		t.Error("it answers")
	}
	s.terminate()
	if code := <-s.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestPortTakenWithinThePod(t *testing.T) {
	s := start(t, "sluice.dev/demo:blue", nil)
	second := &call{process: newProcess(), host: s.host, ip: s.ip, out: &bytes.Buffer{}}
	program, err := builtIn("sluice.dev/demo:green")
	if err != nil {
		t.Fatal(err)
	}
	if code := program(second)(); code != 1 || !strings.Contains(second.out.(*bytes.Buffer).String(), "address already in use") {
		t.Errorf("exit code %d, output %q", code, second.out)
	}
}

func TestProber(t *testing.T) {
	s := start(t, "sluice.dev/demo:blue", nil)
	b := newProber(s.host.network.DialContext)
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	named, none, closed := intstr.FromString("http"), intstr.FromString("none"), intstr.FromInt32(9)
	httpGet := func(path string, port intstr.IntOrString) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: port}}
	}
	for name, tc := range map[string]struct {
		h    corev1.ProbeHandler
		want string // "": healthy
	}{
		"by name":        {httpGet("/healthz", named), ""},
		"by number":      {httpGet("/healthz?full=1", intstr.FromInt32(8080)), ""},
		"tcp":            {corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: named}}, ""},
		"closed port":    {httpGet("/", closed), "connection refused"},
		"tcp closed":     {corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: closed}}, "connection refused"},
		"no such name":   {httpGet("/", none), `no port named "none"`},
		"exec":           {corev1.ProbeHandler{Exec: &corev1.ExecAction{}}, "exec is not supported"},
		"https on plain": {corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: named, Scheme: corev1.URISchemeHTTPS}}, "HTTP response to HTTPS client"},
	} {
		ok, output := b.probe(t.Context(), s.ip, ports, &tc.h)
		if ok != (tc.want == "") || !strings.Contains(output, tc.want) {
			t.Errorf("%s: %v %q, want %q", name, ok, output, tc.want)
		}
	}
}

func TestProbeSendsHeadersAndReadsStatus(t *testing.T) {
	n := network.New()
	l, err := n.Listen(t.Context(), "198.18.99.2", 80)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/down", http.StatusFound)
		case r.URL.Path == "/away":
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		case r.URL.Path == "/down", r.Host != "shop.demo", r.Header.Get("X-Probe") != "1":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	b := newProber(n.DialContext)
	for path, want := range map[string]string{
		"/up": "", "/away": "",
		"/down":  "HTTP probe failed with statuscode: 503",
		"/moved": "HTTP probe failed with statuscode: 503",
	} {
		_, output := b.probe(context.Background(), "198.18.99.2", nil, &corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: path, Port: intstr.FromInt32(80),
			HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "shop.demo"}, {Name: "x-probe", Value: "1"}},
		}})
		if output != want {
			t.Errorf("%s: %q, want %q", path, output, want)
		}
	}
}
