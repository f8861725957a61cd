// Package teams posts to a Workflows webhook of Microsoft Teams, as an Adaptive Card. The Office 365 connectors, which
// took MessageCards, are retired; Workflows take Adaptive Cards only. In Teams one is made from the template "Send
// webhook alerts to a channel".
//
// Its limits: a message has about 28 KB, Microsoft says; some have seen 413 from 21 KB on, so we stay below 20. A
// workflow answers 202 before it posts, so that what fails later is seen in its run history only; it belongs to a
// person, and stops when that person's account does. Above a few messages in a second it answers 429.
//
// It may import the standard library and its parent. Registry imports it.
package teams

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service = "Microsoft Teams"
	limit   = 20000
)

// Config of a sink.
type Config struct {
	// URL of the workflow's trigger. A secret.
	URL    string
	Client *http.Client
	Now    func() time.Time
}

// Sink posts to one workflow.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	return &Sink{c}, err
}

type envelope struct {
	Type        string       `json:"type"`
	Attachments []attachment `json:"attachments"`
}

type attachment struct {
	ContentType string  `json:"contentType"`
	ContentURL  *string `json:"contentUrl"`
	Content     card    `json:"content"`
}

type card struct {
	Schema  string    `json:"$schema"`
	Type    string    `json:"type"`
	Version string    `json:"version"`
	Body    []element `json:"body"`
	Actions []action  `json:"actions,omitempty"`
}

type element struct {
	Type   string `json:"type"`
	Text   string `json:"text,omitempty"`
	Size   string `json:"size,omitempty"`
	Weight string `json:"weight,omitempty"`
	Color  string `json:"color,omitempty"`
	Wrap   bool   `json:"wrap,omitempty"`
	Facts  []fact `json:"facts,omitempty"`
}

type fact struct {
	Title string `json:"title"`
	Value string `json:"value"`
}

type action struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Send posts the message.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	body, err := notify.Fit(notify.Clean(m.Text), limit, func(text string) any { return cardOf(m, text) })
	if err != nil {
		return err
	}
	post := notify.Post{Service: service, URL: s.c.URL, Body: body, Now: s.c.Now()}
	answer, err := post.Send(ctx, s.c.Client)
	if err != nil {
		return err
	}
	return read(post, string(answer))
}

// read looks at an answer of 200, by which Teams has reported what its own channel said: "... returned HTTP error 429".
func read(post notify.Post, answer string) error {
	_, status, found := strings.Cut(answer, "returned HTTP error ")
	if !found {
		return nil
	}
	return &notify.Refusal{
		Service: service, Reason: post.Excerpt(answer),
		Temporary: strings.HasPrefix(status, "429") || strings.HasPrefix(status, "5"),
	}
}

var colors = map[notify.Event]string{
	notify.Waiting: "Warning", notify.Frozen: "Warning", notify.Failed: "Attention", notify.Aborted: "Attention",
	notify.Done: "Good",
}

func cardOf(m notify.Message, text string) envelope {
	c := card{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4"}
	add := func(e element) { c.Body = append(c.Body, e) }
	add(element{
		Type: "TextBlock", Text: m.Headline(512), Size: "Medium", Weight: "Bolder", Color: colors[m.Event],
		Wrap: true,
	})
	if text != "" {
		// In a TextBlock it takes two line ends to end a line.
		add(element{Type: "TextBlock", Text: strings.ReplaceAll(text, "\n", "\n\n"), Wrap: true})
	}
	if facts := m.Facts(); len(facts) > 0 {
		set := element{Type: "FactSet"}
		for _, f := range facts {
			set.Facts = append(set.Facts, fact{f.Name, f.Value})
		}
		add(set)
	}
	if link := notify.Link(m.Link); link != "" {
		c.Actions = []action{{Type: "Action.OpenUrl", Title: "Look at the release", URL: link}}
	}
	return envelope{Type: "message", Attachments: []attachment{{
		ContentType: "application/vnd.microsoft.card.adaptive",
		Content:     c,
	}}}
}
