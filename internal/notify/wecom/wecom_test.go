package wecom

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

func law() notifytest.Law {
	return notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Client: client, Now: notifytest.At})
		},
		Accepted: `{"errcode":0,"errmsg":"ok"}`,
		Limit:    20000, // The Markdown within is what is bounded.
		Check:    check,
	}
}

func TestLaw(t *testing.T) { notifytest.Run(t, law()) }

func check(_ *http.Request, raw []byte) error {
	var b body
	if err := notifytest.Strict(raw, &b); err != nil {
		return err
	}
	text := b.Markdown.Content
	if b.Type != "markdown" || !strings.HasPrefix(text, "#### ") {
		return fmt.Errorf("body %+v", b)
	}
	if len(text) > 4096 {
		return fmt.Errorf("errcode 40058: markdown.content exceed max length 4096, is %d", len(text))
	}
	if strings.Contains(text, "<@") {
		return errors.New("addresses somebody")
	}
	return nil
}

func TestAnswers(t *testing.T) {
	law().Refusals(t, []notifytest.Refusal{
		{Answer: `{"errcode":93000,"errmsg":"invalid webhook url, hint: [1]"}`, Says: "errcode 93000"},
		{Answer: `{"errcode":45009,"errmsg":"api freq out of limit"}`, Temporary: true, Wait: time.Minute, Says: "errcode 45009"},
		{Answer: `{"errcode":45033,"errmsg":"api concurrent out of limit"}`, Temporary: true, Wait: time.Minute, Says: "errcode 45033"},
		{Answer: `{"errcode":-1,"errmsg":"system error"}`, Temporary: true, Says: "errcode -1"},
		{Answer: `<html>captive portal</html>`, Says: "its answer is none of a robot"},
		{Answer: `{"errmsg":"ok"}`, Says: "its answer is none of a robot"},
	})
}

func TestContent(t *testing.T) {
	m := notifytest.Waiting()
	m.Text = "a\n<@all> b"
	const want = "#### <font color=\"warning\">shop/web: release web-7 waits</font>\n" +
		"a\n<\u200b@all> b\n" +
		"> Rollout: shop/web\n> Release: web-7\n> Step: half\n> Who can end the wait: anyone who may promote\n" +
		"> Until: 2026-09-21 15:13 UTC\n> image: web:2\n> weight: 50\n" +
		"[Look at the release](https://sluice.example.com/shop/web?a=1&b=2)\n"
	if got := content(m); got != want {
		t.Errorf("got\n%s", got)
	}
	m.Text = strings.Repeat("发", 2000)
	long := content(m)
	if len(long) > 4096 || len(long) < 4090 || !strings.Contains(long, "…\n> Rollout") || !strings.HasSuffix(long, "b=2)\n") {
		t.Errorf("%d bytes: %s", len(long), long)
	}
}
