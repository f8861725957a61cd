// Package slack posts to an incoming webhook of Slack, as blocks.
//
// Its limits (docs.slack.dev, and slackapi/bolt-js#2509 for the last, which is in no document): a header has 150
// characters, a section 3,000 and its fields 2,000 each, ten at the most; all blocks together have about 13,200. A
// webhook takes one message in a second; above, it answers 429 with Retry-After. A webhook posts to its one channel.
//
// It may import the standard library and its parent. Registry imports it.
package slack

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service    = "Slack"
	maxHeader  = 150
	maxSection = 3000
	maxFields  = 10
	// limit is for the whole body, in bytes: below the 13,200 characters that blocks may have.
	limit = 12000
)

// Config of a sink.
type Config struct {
	// URL of the webhook. A secret.
	URL    string
	Client *http.Client
	Now    func() time.Time
}

// Sink posts to one webhook.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	return &Sink{c}, err
}

type message struct {
	// Text is what notifications and screen readers say.
	Text   string  `json:"text"`
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string `json:"type"`
	Text     *text  `json:"text,omitempty"`
	Fields   []text `json:"fields,omitempty"`
	Elements []text `json:"elements,omitempty"`
}

type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Send posts the message. Slack answers errors by the status.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	body, err := notify.Fit(notify.Clean(m.Text), limit, func(text string) any { return messageOf(m, text) })
	if err != nil {
		return err
	}
	_, err = notify.Post{Service: service, URL: s.c.URL, Body: body, Now: s.c.Now()}.Send(ctx, s.c.Client)
	return err
}

func messageOf(m notify.Message, words string) message {
	title := notify.TruncateRunes(m.Headline(1024), maxHeader)
	out := message{Text: escape(title, maxSection), Blocks: []block{{Type: "header", Text: &text{"plain_text", title}}}}
	if words != "" {
		out.Blocks = append(out.Blocks, block{Type: "section", Text: &text{"mrkdwn", escape(words, maxSection)}})
	}
	for facts := m.Facts(); len(facts) > 0; {
		n := min(len(facts), maxFields)
		var fields []text
		for _, f := range facts[:n] {
			fields = append(fields, text{"mrkdwn", "*" + escape(f.Name, 500) + "*\n" + escape(f.Value, 1400)})
		}
		out.Blocks = append(out.Blocks, block{Type: "section", Fields: fields})
		facts = facts[n:]
	}
	if link := notify.Link(m.Link); link != "" {
		out.Blocks = append(out.Blocks, block{
			Type:     "context",
			Elements: []text{{"mrkdwn", "<" + escape(link, 2500) + "|Look at the release>"}},
		})
	}
	return out
}

var escapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;"}

// escape writes the three characters by which Slack's marks begin as what they are, so that no text calls <!channel>.
// It cuts at so many characters, never within one that it has written so.
func escape(in string, most int) string {
	var b strings.Builder
	left := most - 1 // for the ellipsis
	for i, r := range in {
		word := escapes[r]
		if word == "" {
			word = in[i : i+utf8.RuneLen(r)]
		}
		n := utf8.RuneCountInString(word)
		if n > left {
			b.WriteString("…")
			break
		}
		left -= n
		b.WriteString(word)
	}
	return b.String()
}
