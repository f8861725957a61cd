package teams

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

func law() notifytest.Law {
	return notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Client: client, Now: notifytest.At})
		},
		Accepted: "",
		Limit:    20000,
		Check:    check,
	}
}

func TestLaw(t *testing.T) { notifytest.Run(t, law()) }

// check looks for what a workflow needs: its expression takes attachments, and of each contentType and content.
func check(_ *http.Request, body []byte) error {
	var e envelope
	if err := notifytest.Strict(body, &e); err != nil {
		return err
	}
	if e.Type != "message" || len(e.Attachments) != 1 || e.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" {
		return fmt.Errorf("envelope %s", e.Type)
	}
	if !strings.Contains(string(body), `"contentUrl":null`) {
		return errors.New("contentUrl is missing")
	}
	c := e.Attachments[0].Content
	if c.Type != "AdaptiveCard" || c.Schema != "http://adaptivecards.io/schemas/adaptive-card.json" || c.Version != "1.4" || len(c.Body) == 0 {
		return fmt.Errorf("card %+v", c)
	}
	for _, e := range c.Body {
		switch {
		case e.Type == "TextBlock" && e.Text != "" && e.Wrap && e.Facts == nil:
		case e.Type == "FactSet" && len(e.Facts) > 0 && e.Text == "":
		default:
			return fmt.Errorf("element %+v", e)
		}
	}
	for _, a := range c.Actions {
		if a.Type != "Action.OpenUrl" || a.Title == "" || !strings.HasPrefix(a.URL, "https://") {
			return fmt.Errorf("action %+v", a)
		}
	}
	return nil
}

func TestCard(t *testing.T) {
	m := notifytest.Waiting()
	m.Fields = nil
	got := cardOf(m, "a\nb").Attachments[0].Content
	want := card{
		Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4",
		Body: []element{
			{Type: "TextBlock", Text: "shop/web: release web-7 waits", Size: "Medium", Weight: "Bolder", Color: "Warning", Wrap: true},
			{Type: "TextBlock", Text: "a\n\nb", Wrap: true},
			{Type: "FactSet", Facts: []fact{
				{"Rollout", "shop/web"},
				{"Release", "web-7"},
				{"Step", "half"},
				{"Who can end the wait", "anyone who may promote"},
				{"Until", "2026-09-21 15:13 UTC"},
			}},
		},
		Actions: []action{{"Action.OpenUrl", "Look at the release", "https://sluice.example.com/shop/web?a=1&b=2"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnswers: a 200 that tells of an error behind it is one.
func TestAnswers(t *testing.T) {
	law().Refusals(t, []notifytest.Refusal{
		{Answer: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId x", Temporary: true, Says: "HTTP error 429"},
		{Answer: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 503 with ContextId x", Temporary: true, Says: "HTTP error 503"},
		{Answer: "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413 with ContextId x", Says: "HTTP error 413"},
	})
	for _, fine := range []string{"", "1"} {
		if err := law().Answers(t, fine); err != nil {
			t.Errorf("%q: %v", fine, err)
		}
	}
}
