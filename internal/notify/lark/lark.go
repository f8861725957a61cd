// Package lark posts to a custom bot of Lark or Feishu, as a card of plain texts.
//
// Its limits (open.larkoffice.com, custom bot guide): a body has 20 KB; a bot takes 5 messages in a second and 100 in a
// minute; on the hour and the half hour the service is busy and answers 11232. It answers errors with status 200 and a
// code. Where the bot has a key, the body bears the time and a signature.
//
// It may import the standard library and its parent. Registry imports it.
package lark

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service = "Lark"
	limit   = 20000
	// pause is how long a bot is left alone that was asked too often.
	pause = time.Minute
)

// Config of a sink.
type Config struct {
	// URL of the bot. A secret.
	URL string
	// Key signs, if it is set. A secret.
	Key    string
	Client *http.Client
	Now    func() time.Time
}

// Sink posts to one bot.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	c.Key = strings.TrimSpace(c.Key)
	return &Sink{c}, err
}

type body struct {
	Timestamp string `json:"timestamp,omitempty"`
	Sign      string `json:"sign,omitempty"`
	Type      string `json:"msg_type"`
	Card      card   `json:"card"`
}

type card struct {
	Config   map[string]bool `json:"config"`
	Header   header          `json:"header"`
	Elements []element       `json:"elements"`
}

type header struct {
	Title    text   `json:"title"`
	Template string `json:"template"`
}

type element struct {
	Tag     string   `json:"tag"`
	Text    *text    `json:"text,omitempty"`
	Fields  []field  `json:"fields,omitempty"`
	Actions []action `json:"actions,omitempty"`
}

type field struct {
	Short bool `json:"is_short"`
	Text  text `json:"text"`
}

type text struct {
	Tag     string `json:"tag"`
	Content string `json:"content"`
}

type action struct {
	Tag  string `json:"tag"`
	Text text   `json:"text"`
	URL  string `json:"url"`
	Type string `json:"type"`
}

// plain is a text in which nothing is a mark, so that nobody can be addressed by <at id=all>.
func plain(content string) text { return text{"plain_text", content} }

// Send posts the message.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	now := s.c.Now()
	b, err := notify.Fit(notify.Clean(m.Text), limit, func(words string) any {
		out := body{Type: "interactive", Card: cardOf(m, words)}
		if s.c.Key != "" {
			out.Timestamp, out.Sign = strconv.FormatInt(now.Unix(), 10), sign(s.c.Key, now)
		}
		return out
	})
	if err != nil {
		return err
	}
	post := notify.Post{Service: service, URL: s.c.URL, Body: b, Secrets: []string{s.c.Key}, Now: now}
	answer, err := post.Send(ctx, s.c.Client)
	if err != nil {
		return err
	}
	return read(post, answer)
}

// sign is peculiar: the time and the key are the key of the HMAC, and nothing is its message.
func sign(key string, now time.Time) string {
	h := hmac.New(sha256.New, fmt.Appendf(nil, "%d\n%s", now.Unix(), key))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// The codes of answers that pass by themselves. The second is also that of a request that is wrong.
const (
	codeLimited = 11232
	codeRequest = 9499
)

func read(post notify.Post, answer []byte) error {
	var a struct {
		Code    *int   `json:"code"`
		Message string `json:"msg"`
		Status  *int   `json:"StatusCode"` // of older bots
	}
	err := json.Unmarshal(answer, &a)
	if a.Code == nil {
		a.Code = a.Status
	}
	if err != nil || a.Code == nil {
		return &notify.Refusal{Service: service, Reason: "its answer is none of a bot: " + post.Excerpt(string(answer))}
	}
	if *a.Code == 0 {
		return nil
	}
	r := &notify.Refusal{Service: service, Reason: fmt.Sprintf("code %d: %s", *a.Code, post.Excerpt(a.Message))}
	if *a.Code == codeLimited || *a.Code == codeRequest && strings.Contains(strings.ToLower(a.Message), "too many") {
		r.Temporary, r.RetryAfter = true, pause
	}
	return r
}

var colors = map[notify.Event]string{
	notify.Waiting: "orange", notify.Frozen: "orange", notify.Failed: "red", notify.Aborted: "red", notify.Done: "green",
}

func cardOf(m notify.Message, words string) card {
	c := card{Config: map[string]bool{"wide_screen_mode": true}, Header: header{plain(m.Headline(256)), "blue"}}
	if color := colors[m.Event]; color != "" {
		c.Header.Template = color
	}
	if words != "" {
		t := plain(words)
		c.Elements = append(c.Elements, element{Tag: "div", Text: &t})
	}
	if facts := m.Facts(); len(facts) > 0 {
		e := element{Tag: "div"}
		for _, f := range facts {
			e.Fields = append(e.Fields, field{Text: plain(f.Name + ": " + f.Value)})
		}
		c.Elements = append(c.Elements, e)
	}
	if link := notify.Link(m.Link); link != "" {
		c.Elements = append(c.Elements, element{
			Tag:     "action",
			Actions: []action{{"button", plain("Look at the release"), link, "default"}},
		})
	}
	return c
}
