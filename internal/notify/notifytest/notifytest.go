// Package notifytest has the law of the sinks that post: whatever the service does, no error tells a secret, what may
// pass is told apart from what will not, nothing is sent elsewhere, and no body is longer than the service takes.
//
// Tests of sinks may import it.
package notifytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/internal/notify"
)

// Now is the time in these tests.
var Now = time.Date(2026, 9, 21, 14, 13, 20, 123e6, time.UTC) // 1790000000.123

// The secrets of an address, none of which an error may show.
const (
	pathSecret  = "B0SECRETPATH/xoxSECRETxox123"
	querySecret = "qSECRETq+=42"
	address     = "/services/" + pathSecret + "?access_token=qSECRETq%2B%3D42&v=1"
)

// KeySecret is the key that a sink is to be made with, if it has one.
const KeySecret = "SECkeySECRETkey0123"

// Law is what is asked of a sink.
type Law struct {
	// New makes the sink.
	New func(url string, client *http.Client) (notify.Sink, error)
	// Accepted is the answer by which the service takes a message.
	Accepted string
	// Limit of a body in bytes.
	Limit int
	// Keyed: New gives the sink KeySecret.
	Keyed bool
	// Check looks at a body as the service does.
	Check func(r *http.Request, body []byte) error
}

// Waiting is a message as people get it.
func Waiting() notify.Message {
	return notify.Message{
		Event: notify.Waiting, Namespace: "shop", Rollout: "web", Release: "web-7", Step: "half",
		Title: "shop/web: release web-7 waits", Text: "The release waits in step half: to be promoted\nSecond line, with " +
			"<b> & \"quotes\"",
		Who: "anyone who may promote", Until: Now.Add(time.Hour), At: Now,
		Fields: map[string]string{"image": "web:2", "weight": "50"}, Link: "https://sluice.example.com/shop/web?a=1&b=2",
	}
}

// At is a clock that stands.
func At() time.Time { return Now }

// Answers sends the usual message to a service that answers so with status 200, and returns what the sink says.
func (l Law) Answers(t *testing.T, answer string) error {
	t.Helper()
	url, client := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	return l.sink(t, url, client).Send(t.Context(), Waiting())
}

// Refusal checks an error within an answer of 200.
type Refusal struct {
	Answer    string
	Temporary bool
	Wait      time.Duration
	Says      string
}

// Refusals checks that the sink takes answers of 200 for what they are.
func (l Law) Refusals(t *testing.T, cases []Refusal) {
	t.Helper()
	for _, c := range cases {
		err := l.Answers(t, c.Answer)
		if err == nil || !strings.Contains(err.Error(), c.Says) {
			t.Errorf("%s: got %v, want %q", c.Answer, err, c.Says)
		}
		if again, wait := notify.Temporary(err); again != c.Temporary || wait != c.Wait {
			t.Errorf("%s: again %v after %s", c.Answer, again, wait)
		}
	}
}

// Strict decodes a body that may hold known fields only.
func Strict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("decode body: %w", err)
	}
	if !utf8.Valid(body) {
		return errors.New("no valid UTF-8")
	}
	return nil
}

// Hostile are messages that try a sink: too long, in many alphabets, full of the marks of all sinks.
func Hostile() map[string]notify.Message {
	out := map[string]notify.Message{}
	for name, unit := range map[string]string{
		"ascii": "x", "quotes": `"\`, "wide": "发布", "emoji": "🚢", "marks": "<!channel><at id=all></at><@all> @all [x](y) & | ", "lines": "a\n",
		"control": "\x00\x1b[31m\u202e", "broken": "\xff\xfe",
	} {
		m := Waiting()
		m.Title, m.Text, m.Who, m.Step = strings.Repeat(unit, 3000), strings.Repeat(unit, 30000), strings.Repeat(unit, 3000),
			strings.Repeat(unit, 300)
		m.Fields = map[string]string{}
		for i := range 40 {
			m.Fields[fmt.Sprint(unit, i)] = strings.Repeat(unit, 2000)
		}
		m.Link = "https://sluice.example.com/" + strings.Repeat("y", 1900)
		out[name] = m
	}
	out["empty"] = notify.Message{}
	out["link"] = notify.Message{Event: notify.Done, Title: "t", Text: "t", Link: "javascript:alert(1)"}
	return out
}

// Run checks the law.
func Run(t *testing.T, l Law) {
	t.Helper()
	t.Run("delivers", l.delivers)
	t.Run("statuses", l.statuses)
	t.Run("redirect", l.redirect)
	t.Run("network", l.network)
	t.Run("context", l.context)
	t.Run("addresses", l.addresses)
	t.Run("garbage", l.garbage)
}

func (l Law) sink(t *testing.T, url string, client *http.Client) notify.Sink {
	t.Helper()
	s, err := l.New(url, client)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serve starts a service that answers in one way, and gives its address.
func serve(t *testing.T, h http.HandlerFunc) (string, *http.Client) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + address, s.Client()
}

// delivers: every message arrives in a form that the service takes.
func (l Law) delivers(t *testing.T) {
	messages := Hostile()
	messages["usual"] = Waiting()
	for name, m := range messages {
		t.Run(name, func(t *testing.T) {
			asked := 0
			url, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked++
				body, err := io.ReadAll(r.Body)
				switch {
				case err != nil:
					t.Error(err)
				case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
					t.Errorf("%s with %s", r.Method, r.Header)
				case !strings.HasPrefix(r.URL.Path, "/services/"+pathSecret) || r.URL.Query().Get("access_token") != querySecret:
					t.Errorf("asked at %s", r.URL)
				case len(body) > l.Limit:
					t.Errorf("%d bytes, the service takes %d", len(body), l.Limit)
				case bytes.Contains(body, []byte("\x00")) || bytes.Contains(body, []byte("\\u0000")) ||
					bytes.Contains(body, []byte("\u202e")):
					t.Error("control characters are left")
				}
				if err := l.Check(r, body); err != nil {
					t.Errorf("%v in %s", err, body)
				}
				fmt.Fprint(w, l.Accepted)
			})
			if err := l.sink(t, url, client).Send(t.Context(), m); err != nil || asked != 1 {
				t.Errorf("asked %d times: %v", asked, err)
			}
		})
	}
}

func (l Law) key() string {
	if l.Keyed {
		return KeySecret
	}
	return ""
}

// echo answers with all that could give a secret away.
func (l Law) echo(w http.ResponseWriter, r *http.Request, status int) {
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(status)
	fmt.Fprintf(w, "%s %s %s %s %s\n%s %s", r.URL, r.URL.Path, querySecret, l.key(), r.Header, r.RequestURI, body)
}

func (l Law) statuses(t *testing.T) {
	for _, c := range []struct {
		status    int
		retry     string
		temporary bool
		wait      time.Duration
	}{
		{http.StatusTooManyRequests, "7", true, 7 * time.Second},
		{http.StatusTooManyRequests, Now.Add(90 * time.Second).Format(http.TimeFormat), true, 89877 * time.Millisecond},
		{http.StatusTooManyRequests, "", true, 0},
		{http.StatusTooManyRequests, "soon", true, 0},
		{http.StatusServiceUnavailable, "-5", true, 0},
		{http.StatusInternalServerError, "", true, 0},
		{http.StatusRequestTimeout, "", true, 0},
		{http.StatusBadRequest, "", false, 0},
		{http.StatusForbidden, "", false, 0},
		{http.StatusNotFound, "", false, 0},
		{http.StatusGone, "", false, 0},
	} {
		t.Run(fmt.Sprint(c.status, c.retry), func(t *testing.T) {
			url, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if c.retry != "" {
					w.Header().Set("Retry-After", c.retry)
				}
				l.echo(w, r, c.status)
			})
			err := l.sink(t, url, client).Send(t.Context(), Waiting())
			quiet(t, err)
			if again, wait := notify.Temporary(err); again != c.temporary || wait != c.wait {
				t.Errorf("again %v after %s: %v", again, wait, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprint(c.status)) {
				t.Errorf("does not tell the status: %v", err)
			}
		})
	}
}

func (l Law) redirect(t *testing.T) {
	asked := false
	elsewhere, _ := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	for _, status := range []int{
		http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect,
	} {
		url, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
		})
		err := l.sink(t, url, client).Send(t.Context(), Waiting())
		quiet(t, err)
		if again, _ := notify.Temporary(err); again || asked {
			t.Errorf("%d: again %v, asked elsewhere %v: %v", status, again, asked, err)
		}
	}
}

type failing struct{ key string }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("proxy for %s %s: broken pipe", r.URL, f.key)
}

func (l Law) network(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0) // It would tell of the handshake that is to fail.
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	for name, c := range map[string]struct {
		url    string
		client *http.Client
	}{
		"refused":     {gone.URL, &http.Client{}},
		"not trusted": {encrypted.URL, &http.Client{Transport: &http.Transport{}}},
		"talkative":   {"http://hook.example.com", &http.Client{Transport: failing{l.key()}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := l.sink(t, c.url+address, c.client).Send(t.Context(), Waiting())
			quiet(t, err)
			if again, _ := notify.Temporary(err); !again {
				t.Errorf("will not be tried again: %v", err)
			}
		})
	}
}

func (l Law) context(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url, client := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	err := l.sink(t, url, client).Send(ctx, Waiting())
	quiet(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("is not canceled: %v", err)
	}
}

func (l Law) addresses(t *testing.T) {
	for _, url := range []string{
		"", "SECRETSECRET", "ftp://hook.example.com" + address, "https://" + address,
		"http://hook.example.com:SECRET/x", "https://hook.example.com/%zzSECRET", "file:///etc/SECRET",
	} {
		_, err := l.New(url, &http.Client{})
		quiet(t, err)
		if again, _ := notify.Temporary(err); again {
			t.Errorf("%q: %v", url, err)
		}
	}
	// A Secret that was made from a file has a line end.
	url, client := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, l.Accepted) })
	if err := l.sink(t, " "+url+"\n", client).Send(t.Context(), Waiting()); err != nil {
		t.Error(err)
	}
}

// garbage: whatever a service answers with 200, a sink neither panics nor tells a secret.
func (l Law) garbage(t *testing.T) {
	for _, answer := range []string{"", "null", "[]", "{}", `{"errcode":"0"}`, `{"code":{}}`, "<html>", strings.Repeat("[", 1<<16), `{"errcode":1,"errmsg":"` + address + ` ` + l.key() + `"}`, `{"code":1,"msg":"` + pathSecret + ` ` + l.key() + `"}`} {
		url, client := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
		if err := l.sink(t, url, client).Send(t.Context(), Waiting()); err != nil {
			quiet(t, err)
		}
	}
}

// quiet fails the test if there is no error, or one that tells a secret, or that others could ask for one.
func quiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	said := fmt.Sprintf("%v %+v %#v", err, err, err)
	for each := err; each != nil; each = errors.Unwrap(each) {
		said += fmt.Sprintf("%+v", each)
	}
	if secret := slices.IndexFunc([]string{"SECRET", "qSECRETq", KeySecret},
		func(s string) bool { return strings.Contains(said, s) }); secret >= 0 {
		t.Errorf("tells a secret: %s", said)
	}
}
