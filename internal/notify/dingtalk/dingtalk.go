// Package dingtalk posts to a custom robot of DingTalk, as Markdown.
//
// Its limits: a body has 20,000 bytes; a robot takes 20 messages in a minute and is silent for ten minutes when there
// are more. It answers errors with status 200 and an errcode. Where the robot's security setting is a keyword, the
// message must have it, so "Sluice" ends each of them; where it is "sign", the address bears the time and a signature.
//
// It may import the standard library and its parent. Registry imports it.
package dingtalk

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service = "DingTalk"
	limit   = 20000
	// penalty is how long a robot is silent that was asked too often.
	penalty = 10 * time.Minute
)

// Config of a sink.
type Config struct {
	// URL of the robot, with its access_token. A secret.
	URL string
	// Key signs, if it is set. A secret.
	Key    string
	Client *http.Client
	Now    func() time.Time
}

// Sink posts to one robot.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	c.Key = strings.TrimSpace(c.Key)
	return &Sink{c}, err
}

type body struct {
	Type     string   `json:"msgtype"`
	Markdown markdown `json:"markdown"`
}

type markdown struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Send posts the message.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	b, err := notify.Fit(notify.Clean(m.Text), limit, func(text string) any {
		return body{"markdown", markdown{m.Headline(256), textOf(m, text)}}
	})
	if err != nil {
		return err
	}
	now := s.c.Now()
	address, err := signed(s.c.URL, s.c.Key, now)
	if err != nil {
		return err
	}
	post := notify.Post{Service: service, URL: address, Body: b, Secrets: []string{s.c.Key, s.c.URL}, Now: now}
	answer, err := post.Send(ctx, s.c.Client)
	if err != nil {
		return err
	}
	return post.ErrCode(answer, passing)
}

// signed adds the time and the signature to the address. Each attempt has its own: a signature is good for an hour.
func signed(address, key string, now time.Time) (string, error) {
	if key == "" {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", &notify.Refusal{Service: service, Reason: "the url in the Secret is no http or https address"}
	}
	q := u.Query()
	q.Set("timestamp", strconv.FormatInt(now.UnixMilli(), 10))
	q.Set("sign", sign(key, now))
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func sign(key string, now time.Time) string {
	h := hmac.New(sha256.New, []byte(key))
	fmt.Fprintf(h, "%d\n%s", now.UnixMilli(), key)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// The codes of answers that pass by themselves.
const (
	codeBusy    = -1
	codeTooFast = 130101
	codeLimited = 410100
	codeCapped  = 660026
)

// passing are these codes, with how long to wait.
var passing = map[int]time.Duration{codeBusy: 0, codeTooFast: penalty, codeLimited: penalty, codeCapped: penalty}

// textOf is the Markdown. A line ends there by two spaces before the line end.
func textOf(m notify.Message, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#### %s\n\n", notify.Unmark(m.Headline(256)))
	if text != "" {
		fmt.Fprintf(&b, "%s\n\n", strings.ReplaceAll(notify.Unmark(text), "\n", "  \n"))
	}
	for _, f := range m.Facts() {
		fmt.Fprintf(&b, "- **%s**: %s\n", notify.Unmark(f.Name), notify.Unmark(f.Value))
	}
	if link := notify.Link(m.Link); link != "" {
		fmt.Fprintf(&b, "\n[Look at the release](%s)\n", link)
	}
	return b.String() + "\nSluice"
}
