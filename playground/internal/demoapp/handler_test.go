package demoapp

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parse(t *testing.T, tag string, env map[string]string) Config {
	t.Helper()
	c, err := Parse(tag, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestParse(t *testing.T) {
	base := Config{Colour: "blue", Port: 8080, ExitCode: 1, TerminationDelay: 3 * time.Second}
	with := func(change func(*Config)) Config {
		c := base
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		tag  string
		env  map[string]string
		want Config
	}{
		"a colour":           {tag: "green", want: with(func(c *Config) { c.Version, c.Colour = "green", "green" })},
		"bad":                {tag: "bad-red", want: with(func(c *Config) { c.Version, c.Colour, c.ErrorRate = "bad-red", "red", 15 })},
		"slow":               {tag: "slow-red", want: with(func(c *Config) { c.Version, c.Colour, c.Latency = "slow-red", "red", 2*time.Second })},
		"crash":              {tag: "crash", want: with(func(c *Config) { c.Version, c.Crash = "crash", true })},
		"never ready":        {tag: "never-ready", want: with(func(c *Config) { c.Version, c.StartDelay = "never-ready", Never })},
		"slow start":         {tag: "slow-start", want: with(func(c *Config) { c.Version, c.StartDelay = "slow-start", 10*time.Second })},
		"colour by env":      {tag: "blue", env: map[string]string{"COLOR": "pink"}, want: with(func(c *Config) { c.Version, c.Colour = "blue", "pink" })},
		"error rate by env":  {tag: "bad-blue", env: map[string]string{"ERROR_RATE": "40%"}, want: with(func(c *Config) { c.Version, c.ErrorRate = "bad-blue", 40 })},
		"latency by env":     {tag: "blue", env: map[string]string{"LATENCY": "50ms"}, want: with(func(c *Config) { c.Version, c.Latency, c.FixedDelay = "blue", 50*time.Millisecond, true })},
		"start delay by env": {tag: "never-ready", env: map[string]string{"START_DELAY": "1s"}, want: with(func(c *Config) { c.Version, c.StartDelay = "never-ready", time.Second })},
		"crash by env":       {tag: "blue", env: map[string]string{"CRASH_AFTER": "5s", "EXIT_CODE": "3"}, want: with(func(c *Config) { c.Version, c.Crash, c.CrashAfter, c.ExitCode = "blue", true, 5*time.Second, 3 })},
		"termination delay":  {tag: "blue", env: map[string]string{"TERMINATION_DELAY": "0s"}, want: with(func(c *Config) { c.Version, c.TerminationDelay = "blue", 0 })},
		"port":               {tag: "blue", env: map[string]string{"PORT": "80"}, want: with(func(c *Config) { c.Version, c.Port = "blue", 80 })},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parse(t, tc.tag, tc.env)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, tc := range []struct {
		tag, variable, value, want string
	}{
		{tag: "mauve", want: `tag "mauve" is unknown: use one of bad-blue,`},
		{tag: "fast-blue", want: `tag "fast-blue" is unknown`},
		{tag: "blue", variable: "ERROR_RATE", value: "101", want: `ERROR_RATE "101": want a number from 0 to 100`},
		{tag: "blue", variable: "ERROR_RATE", value: "NaN", want: `ERROR_RATE "NaN"`},
		{tag: "blue", variable: "LATENCY", value: "5", want: `LATENCY "5": want a duration`},
		{tag: "blue", variable: "START_DELAY", value: "-1s", want: `START_DELAY "-1s"`},
		{tag: "blue", variable: "CRASH_AFTER", value: "x", want: `CRASH_AFTER "x"`},
		{tag: "blue", variable: "EXIT_CODE", value: "256", want: `EXIT_CODE "256"`},
		{tag: "blue", variable: "PORT", value: "0", want: `PORT "0"`},
		{tag: "blue", variable: "TERMINATION_DELAY", value: "soon", want: `TERMINATION_DELAY "soon"`},
	} {
		_, err := Parse(tc.tag, map[string]string{tc.variable: tc.value})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Parse(%s, %s=%s): %v, want %q", tc.tag, tc.variable, tc.value, err, tc.want)
		}
	}
}

func TestEveryTagParses(t *testing.T) {
	for _, tag := range Tags() {
		if c := parse(t, tag, nil); c.Version != tag {
			t.Errorf("%s tells version %q", tag, c.Version)
		}
	}
}

func TestAnswers(t *testing.T) {
	c := parse(t, "green", nil)
	c.Pod = "shop-1"
	h := New(c, nil)
	for _, tc := range []struct {
		method, path, body string
		code               int
		typ, want          string
	}{
		{"GET", "/color", "", 200, "application/json", `"green"`},
		{"POST", "/color", "", 200, "application/json", `"green"`},
		{"POST", "/color", `[{"color":"green","return500":100}]`, 500, "application/json", `"green"`},
		{"POST", "/color", `[{"color":"blue","return500":100}]`, 200, "application/json", `"green"`},
		{"POST", "/color", `{`, 400, "text/plain; charset=utf-8", "no list of"},
		{"GET", "/", "", 200, "text/html; charset=utf-8", "Who answers?"},
		{"GET", "/version", "", 200, "text/plain; charset=utf-8", "green shop-1\n"},
		{"GET", "/healthz", "", 200, "text/plain; charset=utf-8", "ok"},
		{"GET", "/api/orders", "", 200, "application/json", `"green"`},
		{"DELETE", "/static/x", "", 200, "application/json", `"green"`},
	} {
		w := ask(h, tc.method, tc.path, tc.body)
		if w.Code != tc.code || !strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s %s %s: %d %q, want %d with %q", tc.method, tc.path, tc.body, w.Code, w.Body, tc.code, tc.want)
		}
		if got := w.Result().Header.Get("Content-Type"); tc.typ != got && tc.path != "/healthz" {
			t.Errorf("%s %s: Content-Type %q, want %q", tc.method, tc.path, got, tc.typ)
		}
		if w.Header().Get("X-Version") != "green" || w.Header().Get("X-Pod") != "shop-1" {
			t.Errorf("%s %s: headers %v name no version and pod", tc.method, tc.path, w.Header())
		}
	}
}

func TestHeadersEchoesTheRequest(t *testing.T) {
	r := httptest.NewRequest("GET", "http://canary.demo/headers?a=b", nil)
	r.Header.Set("X-Canary", "always")
	w := httptest.NewRecorder()
	New(parse(t, "blue", nil), nil).ServeHTTP(w, r)
	var got struct {
		Method, Host, Path string
		Headers            http.Header
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Method != "GET" || got.Host != "canary.demo" || got.Path != "/headers?a=b" || got.Headers.Get("X-Canary") != "always" {
		t.Errorf("got %+v", got)
	}
}

func TestErrorRateAndMetricsAgree(t *testing.T) {
	h := New(parse(t, "bad-blue", nil), rand.NewPCG(1, 2))
	failed := 0
	for range 2000 {
		if ask(h, "GET", "/color", "").Code == 500 {
			failed++
		}
		if w := ask(h, "GET", "/", ""); w.Code != 200 {
			t.Fatalf("a probe of / got %d", w.Code)
		}
	}
	if failed < 240 || failed > 360 { // 300 expected, 4 standard deviations either way
		t.Errorf("%d of 2000 failed, want about 300", failed)
	}
	m := ask(h, "GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`http_requests_total{code="500"} ` + itoa(failed),
		`http_requests_total{code="200"} ` + itoa(2000-failed),
		`http_request_duration_seconds_count 2000`,
	} {
		if !strings.Contains(m, want+"\n") {
			t.Errorf("no %q in metrics:\n%s", want, m)
		}
	}
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestLatency(t *testing.T) {
	took := func(h http.Handler, path string) time.Duration {
		begin := time.Now()
		ask(h, "GET", path, "")
		return time.Since(begin)
	}
	synctest.Test(t, func(t *testing.T) {
		fixed := New(parse(t, "blue", map[string]string{"LATENCY": "300ms"}), nil)
		if d := took(fixed, "/color"); d != 300*time.Millisecond {
			t.Errorf("LATENCY=300ms answered in %v", d)
		}
		if d := took(fixed, "/healthz"); d != 0 {
			t.Errorf("/healthz took %v", d)
		}
		slow, sum := New(parse(t, "slow-blue", nil), rand.NewPCG(1, 2)), time.Duration(0)
		for range 200 {
			d := took(slow, "/color")
			if d > 2*time.Second {
				t.Fatalf("slow-blue took %v", d)
			}
			sum += d
		}
		if mean := sum / 200; mean < 800*time.Millisecond || mean > 1200*time.Millisecond {
			t.Errorf("slow-blue takes %v on average, want about 1s", mean)
		}
	})
}
