package lark

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
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

func law() notifytest.Law {
	return notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Key: notifytest.KeySecret + "\n", Client: client, Now: notifytest.At})
		},
		Accepted: `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`,
		Limit:    20 * 1000,
		Keyed:    true,
		Check:    check,
	}
}

func TestLaw(t *testing.T) { notifytest.Run(t, law()) }

// check looks at the signature as the document has it: the time in seconds, a line end and the key are the key of an
// HMAC of nothing.
func check(_ *http.Request, raw []byte) error {
	var b body
	if err := notifytest.Strict(raw, &b); err != nil {
		return err
	}
	h := hmac.New(sha256.New, []byte(b.Timestamp+"\n"+notifytest.KeySecret))
	if b.Sign != base64.StdEncoding.EncodeToString(h.Sum(nil)) {
		return errors.New("code 19021: sign match fail")
	}
	seconds, err := strconv.ParseInt(b.Timestamp, 10, 64)
	if age := notifytest.Now.Sub(time.Unix(seconds, 0)); err != nil || age < 0 || age > time.Hour {
		return errors.New("code 19021: timestamp is not within one hour")
	}
	title := b.Card.Header.Title
	if b.Type != "interactive" || title.Tag != "plain_text" || title.Content == "" || b.Card.Header.Template == "" {
		return fmt.Errorf("body %+v", b)
	}
	for _, e := range b.Card.Elements {
		texts := []text{}
		if e.Text != nil {
			texts = append(texts, *e.Text)
		}
		for _, f := range e.Fields {
			texts = append(texts, f.Text)
		}
		for _, a := range e.Actions {
			texts = append(texts, a.Text)
			if a.Tag != "button" || !strings.HasPrefix(a.URL, "https://") {
				return fmt.Errorf("action %+v", a)
			}
		}
		if len(texts) == 0 || (e.Tag == "action") != (len(e.Actions) > 0) || (e.Tag != "div" && e.Tag != "action") {
			return fmt.Errorf("element %+v", e)
		}
		for _, t := range texts {
			if t.Tag != "plain_text" || t.Content == "" { // In lark_md somebody could be addressed.
				return fmt.Errorf("text %+v", t)
			}
		}
	}
	return nil
}

// TestSign is a vector that another program computed (Python's hmac).
func TestSign(t *testing.T) {
	const want = "tGqD9KWZHDCpGsW2i0EeTdqP90FglY0eZa5OYbaU6dE="
	if got := sign("larkkey0123456789", notifytest.Now); got != want {
		t.Errorf("got %s", got)
	}
}

func TestAnswers(t *testing.T) {
	law().Refusals(t, []notifytest.Refusal{
		{Answer: `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`, Says: "code 19021: sign match fail"},
		{Answer: `{"code":19024,"msg":"Key Words Not Found"}`, Says: "code 19024"},
		{Answer: `{"code":9499,"msg":"Bad Request","data":{}}`, Says: "code 9499"},
		{Answer: `{"code":9499,"msg":"too many request","data":{}}`, Temporary: true, Wait: time.Minute, Says: "too many request"},
		{Answer: `{"code":11232,"msg":"frequency limited psm"}`, Temporary: true, Wait: time.Minute, Says: "code 11232"},
		{Answer: `{"StatusCode":19001,"StatusMessage":"param invalid"}`, Says: "code 19001"},
		{Answer: `<html>captive portal</html>`, Says: "its answer is none of a bot"},
		{Answer: `{}`, Says: "its answer is none of a bot"},
	})
	if err := law().Answers(t, `{"StatusCode":0,"StatusMessage":"success"}`); err != nil {
		t.Error(err)
	}
}

// TestUnsigned: without a key nothing is signed.
func TestUnsigned(t *testing.T) {
	l := law()
	l.Keyed = false
	l.New = func(url string, client *http.Client) (notify.Sink, error) {
		return New(Config{URL: url, Client: client, Now: notifytest.At})
	}
	l.Check = func(_ *http.Request, raw []byte) error {
		if strings.Contains(string(raw), `"sign"`) || strings.Contains(string(raw), `"timestamp"`) {
			return errors.New("is signed")
		}
		return nil
	}
	notifytest.Run(t, l)
}

func TestCard(t *testing.T) {
	m := notifytest.Waiting()
	m.Fields, m.Who = nil, ""
	words := plain("words")
	want := card{
		Config: map[string]bool{"wide_screen_mode": true}, Header: header{plain("shop/web: release web-7 waits"), "orange"},
		Elements: []element{
			{Tag: "div", Text: &words},
			{Tag: "div", Fields: []field{
				{Text: plain("Rollout: shop/web")}, {Text: plain("Release: web-7")}, {Text: plain("Step: half")}, {Text: plain("Until: 2026-09-21 15:13 UTC")},
			}},
			{Tag: "action", Actions: []action{{"button", plain("Look at the release"), "https://sluice.example.com/shop/web?a=1&b=2", "default"}}},
		},
	}
	if diff := cmp.Diff(want, cardOf(m, "words")); diff != "" {
		t.Error(diff)
	}
}
