package metrictest

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/metric"
)

// Run checks the law.
func Run(t *testing.T, k Kit) {
	t.Helper()
	for name, check := range map[string]func(*testing.T, Kit){
		"good answer":                 good,
		"error statuses":              statuses,
		"answers that are none":       nonsense,
		"huge answer":                 huge,
		"answer that breaks off":      brokenOff,
		"what is not HTTP":            notHTTP,
		"no answer":                   silent,
		"given up":                    givenUp,
		"host that is not allowed":    notAllowed,
		"nobody there":                nobody,
		"redirect to the metadata":    redirectToMetadata,
		"redirect without end":        redirectWithoutEnd,
		"redirect to another host":    redirectAway,
		"secret is missing":           missing,
		"address is no URL":           badAddress,
		"credentials in the URL":      userInfo,
		"credentials and TLS":         connection,
		"credentials that are broken": brokenCredentials,
	} {
		t.Run(name, func(t *testing.T) { check(t, k) })
	}
}

func good(t *testing.T, k Kit) {
	t.Helper()
	r, err := k.Measure(t, k.Good)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(k.Want, r.Value); d != "" {
		t.Errorf("value (-want +got):\n%s", d)
	}
	if r.Status != http.StatusOK {
		t.Errorf("status is %d", r.Status)
	}
}

// echo is a server that gives back all that it was sent.
func echo(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprintln(w, words, r.URL, r.Header)
		_, _ = io.Copy(w, r.Body) // whatever arrives will do
	}
}

func statuses(t *testing.T, k Kit) {
	t.Helper()
	for _, code := range []int{300, 304, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599} {
		_, err := k.Measure(t, echo(code))
		if err == nil {
			t.Fatalf("status %d is taken for an answer", code)
		}
		if !strings.Contains(err.Error(), fmt.Sprint(code)) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("the error tells neither the status %d nor the host: %v", code, err)
		}
	}
}

func nonsense(t *testing.T, k Kit) {
	t.Helper()
	for _, body := range []string{
		"", " ", "null", "[]", "{}", "{", `{"status":"success"`, "<html>" + words + "</html>", "\x00\xff", strings.Repeat("[", 20000),
		`{"data":null}`, `{"status":"success","data":{"resultType":"vector","result":{}}}`, `{"result":null}`, `{"series":[]}`,
		",a,b\n,1\n", "#datatype\n", "<GetMetricDataResponse/>", "<ErrorResponse>", `{"data":{"time":{"timezone":"` + words + `"}}}`,
	} {
		r, err := k.Measure(t, Answers(http.StatusOK, body))
		if err == nil && r.Value == nil {
			t.Errorf("%q is neither a value nor an error", metric.Bounded(body, 64))
		}
		if _, number := r.Value.(float64); number {
			t.Errorf("%q is taken for the number %v", metric.Bounded(body, 64), r.Value)
		}
	}
}

func huge(t *testing.T, k Kit) {
	t.Helper()
	_, err := k.Measure(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 3 << 10 {
			if _, err := w.Write([]byte(strings.Repeat(" ", 1<<10))); err != nil {
				return
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "1 MiB") {
		t.Errorf("error for 3 MiB: %v", err)
	}
}

func brokenOff(t *testing.T, k Kit) {
	t.Helper()
	_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		k.Good(w, r)
	})
	if err == nil || !strings.Contains(err.Error(), "ended before") {
		t.Errorf("error for an answer that breaks off: %v", err)
	}
}

// notHTTP sends back what it was sent, in those places that errors of net/http repeat.
func notHTTP(t *testing.T, k Kit) {
	t.Helper()
	for _, start := range []string{
		words + "\r\n", "HTTP/1.1 " + words + "\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + words + "\r\n\r\n",
	} {
		address := raw(t, start)
		_, err := k.ask(t, k.Query(t, address, nil, nil))
		if err == nil || !strings.Contains(err.Error(), "is not HTTP") {
			t.Errorf("%q: error is %v", start, err)
		}
	}
}

// raw answers with the bytes, and with the request after them.
func raw(t *testing.T, start string) (address string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r, err := http.ReadRequest(bufio.NewReader(c))
			if err == nil {
				_, _ = io.Copy(io.Discard, r.Body) // or the end of the connection could overtake the answer
				fmt.Fprint(c, start, r.Header)
			}
			c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

// hanging is a server that answers nothing until the client hangs up; the channel is closed when it was asked.
func hanging(t *testing.T) (address string, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{})
	var once atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see the client hang up
		if !once.Swap(true) {
			close(asked)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func silent(t *testing.T, k Kit) {
	t.Helper()
	address, asked := hanging(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	q := k.Query(t, address, nil, nil)
	_, err := k.Source.Measure(ctx, q)
	k.clean(t, metric.Result{}, err, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error without an answer: %v", err)
	}
	<-asked
}

func givenUp(t *testing.T, k Kit) {
	t.Helper()
	address, asked := hanging(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := k.Source.Measure(ctx, k.Query(t, address, nil, nil))
	k.clean(t, metric.Result{}, err, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error when given up: %v", err)
	}
}

func notAllowed(t *testing.T, k Kit) {
	t.Helper()
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	for _, hosts := range [][]string{nil, {"example.com"}, {"127.0.0.1:1"}, {"*"}} {
		q := k.Query(t, s.URL, nil, nil)
		q.Egress = Egress(t, hosts...)
		_, err := k.ask(t, q)
		if err == nil || !strings.Contains(err.Error(), "--metric-hosts") {
			t.Errorf("hosts %v: error is %v", hosts, err)
		}
	}
	q := k.Query(t, s.URL, nil, nil)
	q.Egress = nil
	if _, err := k.ask(t, q); err == nil {
		t.Error("without an egress something is asked")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

func nobody(t *testing.T, k Kit) {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := k.ask(t, k.Query(t, s.URL, nil, nil))
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error where nobody listens: %v", err)
	}
}

func redirectToMetadata(t *testing.T, k Kit) {
	t.Helper()
	for _, to := range []string{
		"http://169.254.169.254/latest/", "http://[fd00:ec2::254]/",
		"http://[::ffff:169.254.169.254]/", "http://0.0.0.0:80/",
	} {
		s := httptest.NewServer(http.RedirectHandler(to, http.StatusTemporaryRedirect))
		q := k.Query(t, s.URL, nil, nil)
		q.Egress = Egress(t, "*", "127.0.0.1", "169.254.169.254", "fd00:ec2::254", "0.0.0.0")
		_, err := k.ask(t, q)
		s.Close()
		if err == nil || !strings.Contains(err.Error(), "may not be asked") {
			t.Errorf("redirect to %s: error is %v", to, err)
		}
	}
	for _, to := range []string{"file:///etc/passwd", "http://" + words + ".example/", "http://user:password@127.0.0.1/"} {
		if _, err := k.Measure(t, http.RedirectHandler(to, http.StatusFound).ServeHTTP); err == nil {
			t.Errorf("redirect to %s is followed", to)
		}
	}
}

func redirectWithoutEnd(t *testing.T, k Kit) {
	t.Helper()
	var asked atomic.Int32
	_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("/%d", asked.Add(1)), http.StatusTemporaryRedirect)
	})
	if err == nil || !strings.Contains(err.Error(), "redirects") || asked.Load() != 4 {
		t.Errorf("after %d requests the error is %v", asked.Load(), err)
	}
}

// redirectAway goes to another host and back: neither may be sent what was meant for the first.
func redirectAway(t *testing.T, k Kit) {
	t.Helper()
	if len(k.Secrets) == 0 && !k.Connection {
		t.Skip("the source has no secrets")
	}
	c, more := allCredentials(k)
	var other *httptest.Server
	var back, seen atomic.Int32
	check := func(r *http.Request) {
		seen.Add(1)
		sent := fmt.Sprint(r.Header)
		for _, secrets := range []Secrets{k.Secrets, more} {
			for _, keys := range secrets {
				for key, v := range keys {
					if strings.Contains(sent, v) || strings.Contains(sent, base64.StdEncoding.EncodeToString([]byte(v))) {
						t.Errorf("after a redirect to another host, %s was sent: %s", key, sent)
					}
				}
			}
		}
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("after a redirect to another host there was sent: %s", sent)
		}
	}
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			check(r)
			back.Add(1)
			k.Good(w, r)
			return
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer first.Close()
	other = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		check(r)
		http.Redirect(w, r, first.URL+"/back", http.StatusTemporaryRedirect)
	}))
	defer other.Close()
	q := k.Query(t, first.URL, c, more)
	r, err := k.Source.Measure(t.Context(), q)
	k.clean(t, r, err, more)
	if err != nil {
		t.Fatal(err)
	}
	if back.Load() == 0 || seen.Load() != 2*back.Load() {
		t.Errorf("%d of %d requests came back", back.Load(), seen.Load())
	}
}

func missing(t *testing.T, k Kit) {
	t.Helper()
	if len(k.Secrets) == 0 {
		t.Skip("the source names no Secret by itself")
	}
	var asked atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer s.Close()
	for name := range k.Secrets {
		q := k.Query(t, s.URL, nil, nil)
		q.Secret = Secrets{}.Read
		_, err := k.ask(t, q)
		if err == nil || !strings.Contains(err.Error(), name) || !errors.Is(err, metric.ErrNoKey) {
			t.Errorf("without Secret %s the error is %v", name, err)
		}
	}
	if asked.Load() != 0 {
		t.Error("a server was asked without the secret")
	}
}

func badAddress(t *testing.T, k Kit) {
	t.Helper()
	for _, a := range []string{
		"no url", "ftp://127.0.0.1", "http://", "//127.0.0.1", "127.0.0.1:80", "http://[::1",
		"http://127.0.0.1:port",
	} {
		_, err := k.ask(t, k.Query(t, a, nil, nil))
		if err == nil {
			t.Errorf("%q is taken for an address", a)
		}
	}
}

func userInfo(t *testing.T, k Kit) {
	t.Helper()
	_, err := k.ask(t, k.Query(t, "http://admin:hunter2hunter2@127.0.0.1:9", nil, nil))
	if err == nil || !strings.Contains(err.Error(), "connection.basicAuth") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error for credentials in the URL: %v", err)
	}
}
