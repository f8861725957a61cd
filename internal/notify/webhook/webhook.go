// Package webhook posts messages as JSON to a service of the user's own.
//
// With a key each message is signed: the header X-Sluice-Signature is t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of
// SECONDS, a dot and the body, by the key. A receiver computes the same, compares in constant time, and refuses what is
// older than some minutes, so that nobody can send an old message again. X-Sluice-Delivery is the same for every
// attempt at one message.
//
// It may import the standard library and its parent. Registry imports it.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service = "the webhook"
	// limit is what a body may have: a bound of ours, since every receiver has one of its own.
	limit = 64 << 10
)

// Config of a sink.
type Config struct {
	// URL to post to. A secret.
	URL string
	// Key signs messages, if it is set. A secret.
	Key string
	// Authorization is the header of that name, if it is set. A secret.
	Authorization string
	Client        *http.Client
	Now           func() time.Time
}

// Sink posts to one address.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	c.Authorization = strings.TrimSpace(c.Authorization)
	if strings.ContainsAny(c.Authorization, "\r\n\x00") {
		return nil, &notify.Refusal{Service: service, Reason: "the authorization in the Secret has more than one line"}
	}
	return &Sink{c}, err
}

// payload is what is posted. Fields are only ever added to it.
type payload struct {
	Version   int               `json:"version"`
	Event     string            `json:"event"`
	Namespace string            `json:"namespace"`
	Rollout   string            `json:"rollout"`
	Release   string            `json:"release"`
	Step      string            `json:"step,omitempty"`
	Title     string            `json:"title"`
	Text      string            `json:"text"`
	Who       string            `json:"who,omitempty"`
	Until     *time.Time        `json:"until,omitempty"`
	At        *time.Time        `json:"at,omitempty"`
	Fields    map[string]string `json:"fields,omitempty"`
	Link      string            `json:"link,omitempty"`
}

// Send posts the message.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	body, err := notify.Fit(notify.Clean(m.Text), limit, func(text string) any { return payloadOf(m, text) })
	if err != nil {
		return err
	}
	now := s.c.Now()
	header := http.Header{"X-Sluice-Event": {string(m.Event)}, "X-Sluice-Delivery": {delivery(m)}}
	if s.c.Key != "" {
		header["X-Sluice-Signature"] = []string{Sign(s.c.Key, now, body)}
	}
	if s.c.Authorization != "" {
		header["Authorization"] = []string{s.c.Authorization}
	}
	_, err = notify.Post{
		Service: service, URL: s.c.URL, Header: header, Body: body, Now: now,
		Secrets: append(strings.Fields(s.c.Authorization), s.c.Authorization, s.c.Key),
	}.Send(ctx, s.c.Client)
	return err
}

func payloadOf(m notify.Message, text string) payload {
	line := func(text string) string { return notify.Truncate(notify.Line(text), 1024) }
	return payload{
		Version: 1, Event: string(m.Event), Namespace: line(m.Namespace), Rollout: line(m.Rollout), Release: line(m.Release),
		Step: line(m.Step), Title: m.Headline(1024), Text: text, Who: line(m.Who),
		Until: moment(m.Until), At: moment(m.At), Fields: fields(m), Link: notify.Link(m.Link),
	}
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// fields are those facts that have no place of their own.
func fields(m notify.Message) map[string]string {
	out := map[string]string{}
	for _, f := range (notify.Message{Fields: m.Fields}).Facts() {
		out[f.Name] = f.Value
	}
	return out
}

// Sign is the value of X-Sluice-Signature.
func Sign(key string, now time.Time, body []byte) string {
	seconds := strconv.FormatInt(now.Unix(), 10)
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(seconds + "."))
	h.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(h.Sum(nil))
}

// delivery tells one message from others.
func delivery(m notify.Message) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q", m.Event, m.Namespace, m.Rollout, m.Release, m.Step,
		m.At.UTC().Format(time.RFC3339Nano)))
	return hex.EncodeToString(sum[:16])
}
