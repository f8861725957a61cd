package checker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serve answers in place of a network.
type serve func(*http.Request) (int, string, error)

func (s serve) RoundTrip(r *http.Request) (*http.Response, error) {
	code, body, err := s(r)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func run(ctx context.Context, s serve, args ...string) (int, string) {
	var out strings.Builder
	code := Run(ctx, args, &out, &http.Client{Transport: s})
	return code, out.String()
}

func always(code int, body string) serve {
	return func(*http.Request) (int, string, error) { return code, body, nil }
}

func TestVerdicts(t *testing.T) {
	n := 0
	everyThird := serve(func(*http.Request) (int, string, error) {
		if n++; n%3 == 0 {
			return 500, "oops", nil
		}
		return 200, `"green"`, nil
	})
	for name, tc := range map[string]struct {
		serve serve
		args  string
		code  int
		want  string
	}{
		"right":                {always(200, `"green"`), "--expect green", Passed, "passed: 1 of 1 requests to http://shop/color were right, 0 wrong (at most 0 allowed)"},
		"wrong text":           {always(200, `"blue"`), "--expect green", Failed, `request 1: the answer has no "green": "\"blue\""`},
		"regexp":               {always(200, `"green"`), "--expect /^.(green|red).$/", Passed, "passed"},
		"regexp, wrong":        {always(200, `"green"`), "--expect /^green/", Failed, "FAILED: 0 of 1"},
		"text, not regexp":     {always(200, "green"), "--expect g.een", Failed, "FAILED"},
		"status":               {always(503, "no endpoints"), "", Failed, `request 1: status 503, want 2xx: "no endpoints"`},
		"expected status":      {always(404, ""), "--expect-status 403,404", Passed, "passed"},
		"unexpected status":    {always(200, ""), "--expect-status 403,404", Failed, "status 200, want [403 404]"},
		"within max errors":    {everyThird, "--count 9 --max-errors 3", Passed, "passed: 6 of 9"},
		"beyond max errors":    {everyThird, "--count 9 --max-errors 2", Failed, "request 9: status 500"},
		"nothing answers":      {func(*http.Request) (int, string, error) { return 0, "", errors.New("connection refused") }, "", Failed, "connection refused"},
		"long answers are cut": {always(500, strings.Repeat("x", 1000)), "", Failed, strings.Repeat("x", 120) + `..."`},
	} {
		t.Run(name, func(t *testing.T) {
			n = 0
			code, out := run(t.Context(), tc.serve, append([]string{"--url", "http://shop/color"}, strings.Fields(tc.args)...)...)
			if code != tc.code || !strings.Contains(out, tc.want) {
				t.Errorf("exit code %d, want %d with %q; output:\n%s", code, tc.code, tc.want, out)
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"":                                      "--url is missing",
		"--url shop":                            `--url "shop": want http://`,
		"--url http://a --count 0":              "--count 0",
		"--url http://a --max-errors -1":        "--max-errors -1",
		"--url http://a --interval -1s":         "--interval",
		"--url http://a --timeout 0s":           "--timeout 0s",
		"--url http://a --header x":             "want NAME:VALUE",
		"--url http://a --expect /(/":           "missing closing )",
		"--url http://a --expect-status banana": "want a status such as 200",
		"--url http://a extra":                  `argument "extra" is not understood`,
		"--nonsense":                            "not defined: -nonsense",
	} {
		code, out := run(t.Context(), always(200, ""), strings.Fields(args)...)
		if code != BadUsage || !strings.Contains(out, want) {
			t.Errorf("%q: exit code %d, output %q; want %d with %q", args, code, out, BadUsage, want)
		}
	}
}

func TestHeaders(t *testing.T) {
	echo := serve(func(r *http.Request) (int, string, error) {
		return 200, r.Host + " " + strings.Join(r.Header.Values("X-Canary"), "+"), nil
	})
	code, out := run(t.Context(), echo, "--url", "http://127.0.0.1/", "--header", "Host: canary.demo",
		"--header", "X-Canary: always", "--header", "x-canary:too", "--expect", "canary.demo always+too")
	if code != Passed {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestTimeoutAndInterval(t *testing.T) {
	hang := serve(func(r *http.Request) (int, string, error) {
		<-r.Context().Done()
		return 0, "", r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		code, out := run(t.Context(), hang, "--url", "http://shop/", "--count", "2", "--timeout", "3s", "--interval", "10s")
		if took := time.Since(begin); code != Failed || took != 16*time.Second {
			t.Errorf("exit code %d after %v, want %d after 16s:\n%s", code, took, Failed, out)
		}
	})
}

func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		code, out := run(ctx, always(200, ""), "--url", "http://shop/", "--count", "100", "--interval", "10s")
		if code != Cancelled || !strings.Contains(out, "cancelled: 3 of 3") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
	})
}
