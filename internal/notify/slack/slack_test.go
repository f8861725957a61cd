package slack

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

func TestLaw(t *testing.T) {
	notifytest.Run(t, notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Client: client, Now: notifytest.At})
		},
		Accepted: "ok",
		Limit:    13000,
		Check:    check,
	})
}

// check refuses what Slack answers with invalid_blocks.
func check(_ *http.Request, body []byte) error {
	var m message
	if err := notifytest.Strict(body, &m); err != nil {
		return err
	}
	if m.Text == "" || len(m.Blocks) == 0 || len(m.Blocks) > 50 {
		return errors.New("no_text, or invalid_blocks")
	}
	if err := words("mrkdwn", m.Text, 3000); err != nil {
		return err
	}
	for _, b := range m.Blocks {
		if err := checkBlock(b); err != nil {
			return fmt.Errorf("%s: %w", b.Type, err)
		}
	}
	return nil
}

func checkBlock(b block) error {
	switch {
	case b.Type == "header" && b.Text != nil && b.Text.Type == "plain_text":
		return words("plain_text", b.Text.Text, 150)
	case b.Type == "section" && b.Text != nil && len(b.Fields) == 0:
		return words(b.Text.Type, b.Text.Text, 3000)
	case b.Type == "section" && b.Text == nil && len(b.Fields) > 0 && len(b.Fields) <= 10:
		for _, f := range b.Fields {
			if err := words(f.Type, f.Text, 2000); err != nil {
				return err
			}
		}
		return nil
	case b.Type == "context" && len(b.Elements) == 1:
		link := b.Elements[0].Text
		if !strings.HasPrefix(link, "<https://sluice.example.com/") || !strings.HasSuffix(link, "|Look at the release>") || strings.Count(link, "<") != 1 {
			return fmt.Errorf("link %q", link)
		}
		return words("plain_text", link, 3000)
	}
	return errors.New("no such block")
}

// words checks a text. In mrkdwn there is no mark left, and each & begins one of the three escapes.
func words(kind, text string, most int) error {
	if n := utf8.RuneCountInString(text); n == 0 || n > most {
		return fmt.Errorf("%d characters", n)
	}
	if kind == "plain_text" {
		return nil
	}
	rest := strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(text)
	if kind != "mrkdwn" || strings.ContainsAny(rest, "&<>") {
		return fmt.Errorf("marks in %q", text)
	}
	return nil
}

func TestMessage(t *testing.T) {
	got := messageOf(notifytest.Waiting(), "a < b\nc")
	want := message{Text: "shop/web: release web-7 waits", Blocks: []block{
		{Type: "header", Text: &text{"plain_text", "shop/web: release web-7 waits"}},
		{Type: "section", Text: &text{"mrkdwn", "a &lt; b\nc"}},
		{Type: "section", Fields: []text{
			{"mrkdwn", "*Rollout*\nshop/web"},
			{"mrkdwn", "*Release*\nweb-7"},
			{"mrkdwn", "*Step*\nhalf"},
			{"mrkdwn", "*Who can end the wait*\nanyone who may promote"},
			{"mrkdwn", "*Until*\n2026-09-21 15:13 UTC"},
			{"mrkdwn", "*image*\nweb:2"},
			{"mrkdwn", "*weight*\n50"},
		}},
		{Type: "context", Elements: []text{{"mrkdwn", "<https://sluice.example.com/shop/web?a=1&amp;b=2|Look at the release>"}}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEscape(t *testing.T) {
	for _, c := range []struct {
		in   string
		most int
		want string
	}{
		{"a", 2, "a"},
		{"a<b>&c", 100, "a&lt;b&gt;&amp;c"},
		{"ab<", 6, "ab…"},
		{"ab<", 7, "ab&lt;"},
		{"发布发布", 3, "发布…"},
	} {
		if got := escape(c.in, c.most); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.in, c.most, got, c.want)
		}
	}
}
