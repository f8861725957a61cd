package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

const authorization = "Bearer tokenSECRETtoken"

func law() notifytest.Law {
	return notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Key: notifytest.KeySecret, Authorization: authorization + "\n", Client: client, Now: notifytest.At})
		},
		Accepted: "",
		Limit:    64 << 10,
		Keyed:    true,
		Check:    check,
	}
}

func TestLaw(t *testing.T) { notifytest.Run(t, law()) }

// check is what a careful receiver does: signature first, then the age, then the body.
func check(r *http.Request, body []byte) error {
	times, signature, found := strings.Cut(r.Header.Get("X-Sluice-Signature"), ",v1=")
	seconds, err := strconv.ParseInt(strings.TrimPrefix(times, "t="), 10, 64)
	if !found || err != nil {
		return fmt.Errorf("signature %q", r.Header.Get("X-Sluice-Signature"))
	}
	h := hmac.New(sha256.New, []byte(notifytest.KeySecret))
	fmt.Fprintf(h, "%d.%s", seconds, body)
	if hex.EncodeToString(h.Sum(nil)) != signature {
		return errors.New("the signature is wrong")
	}
	if age := notifytest.Now.Sub(time.Unix(seconds, 0)); age < 0 || age > time.Minute {
		return fmt.Errorf("is %s old", age)
	}
	if r.Header.Get("Authorization") != authorization || len(r.Header.Get("X-Sluice-Delivery")) != 32 {
		return fmt.Errorf("headers %v", r.Header)
	}
	var p payload
	if err := notifytest.Strict(body, &p); err != nil {
		return err
	}
	if p.Version != 1 || p.Title == "" || p.Event != r.Header.Get("X-Sluice-Event") || strings.HasPrefix(p.Link, "javascript") {
		return fmt.Errorf("%+v", p)
	}
	return nil
}

// TestPayload is the form that receivers rely on.
func TestPayload(t *testing.T) {
	body, err := json.Marshal(payloadOf(notifytest.Waiting(), "text"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, "event": "waiting", "namespace": "shop", "rollout": "web", "release": "web-7", "step": "half",
		"title": "shop/web: release web-7 waits", "text": "text", "who": "anyone who may promote",
		"until": "2026-09-21T15:13:20.123Z", "at": "2026-09-21T14:13:20.123Z",
		"fields": map[string]any{"image": "web:2", "weight": "50"}, "link": "https://sluice.example.com/shop/web?a=1&b=2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSign is a vector that another program computed (Python's hmac).
func TestSign(t *testing.T) {
	const want = "t=1790000000,v1=b3a804013dcc402e5eccf8a369211425391a85ef7f16894006f099f2d2b89612"
	if got := Sign("webhook-key", notifytest.Now, []byte(`{"a":1}`)); got != want {
		t.Errorf("got %s", got)
	}
}

// TestDelivery: attempts at one message have one name, other messages another.
func TestDelivery(t *testing.T) {
	m := notifytest.Waiting()
	other := m
	other.At = m.At.Add(time.Second)
	if delivery(m) != delivery(notifytest.Waiting()) || delivery(m) == delivery(other) {
		t.Errorf("%s, %s", delivery(m), delivery(other))
	}
}

// TestWithout: what is not configured is not sent.
func TestWithout(t *testing.T) {
	l := law()
	l.Keyed = false
	l.New = func(url string, client *http.Client) (notify.Sink, error) {
		return New(Config{URL: url, Client: client, Now: notifytest.At})
	}
	l.Check = func(r *http.Request, _ []byte) error {
		if r.Header.Get("X-Sluice-Signature")+r.Header.Get("Authorization") != "" {
			return fmt.Errorf("headers %v", r.Header)
		}
		return nil
	}
	notifytest.Run(t, l)
	if _, err := New(Config{URL: "http://a.example.com", Authorization: "Bearer a\r\nX-Other: b"}); err == nil {
		t.Error("a header within a header was taken")
	}
}
