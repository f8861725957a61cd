package dingtalk

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

	"github.com/sluice-dev/sluice/internal/notify"
	"github.com/sluice-dev/sluice/internal/notify/notifytest"
)

func law() notifytest.Law {
	return notifytest.Law{
		New: func(url string, client *http.Client) (notify.Sink, error) {
			return New(Config{URL: url, Key: notifytest.KeySecret + "\n", Client: client, Now: notifytest.At})
		},
		Accepted: `{"errcode":0,"errmsg":"ok"}`,
		Limit:    20000,
		Keyed:    true,
		Check:    check,
	}
}

func TestLaw(t *testing.T) { notifytest.Run(t, law()) }

// check looks at the signature as the document has it: the key signs the time in milliseconds, a line end, and itself.
func check(r *http.Request, raw []byte) error {
	stamp := r.URL.Query().Get("timestamp")
	h := hmac.New(sha256.New, []byte(notifytest.KeySecret))
	h.Write([]byte(stamp + "\n" + notifytest.KeySecret))
	if want := base64.StdEncoding.EncodeToString(h.Sum(nil)); r.URL.Query().Get("sign") != want {
		return errors.New("errcode 310000: sign not match")
	}
	milliseconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := notifytest.Now.Sub(time.UnixMilli(milliseconds)); err != nil || age < 0 || age > time.Hour {
		return errors.New("errcode 310000: invalid timestamp")
	}
	var b body
	if err := notifytest.Strict(raw, &b); err != nil {
		return err
	}
	if b.Type != "markdown" || b.Markdown.Title == "" || !strings.HasPrefix(b.Markdown.Text, "#### ") || !strings.HasSuffix(b.Markdown.Text, "\n\nSluice") {
		return fmt.Errorf("body %+v", b)
	}
	return nil
}

// TestSign is a vector that another program computed (Python's hmac).
func TestSign(t *testing.T) {
	const want = "wXvgW99NAHDlQiSe+LlfDVZxWQE0PqPby9ZXmj9A9Fk="
	if got := sign("SEC000000000000000000000", notifytest.Now); got != want {
		t.Errorf("got %s", got)
	}
}

// TestUnsigned: without a key the address is used as it is, and twice signed it does not grow.
func TestUnsigned(t *testing.T) {
	const address = "https://oapi.dingtalk.com/robot/send?access_token=a%2Bb"
	if got, err := signed(address, "", notifytest.Now); got != address || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	once, err := signed(address, "key", notifytest.Now)
	if err != nil {
		t.Fatal(err)
	}
	if twice, err := signed(once, "key", notifytest.Now); twice != once || err != nil || strings.Count(once, "sign=") != 1 {
		t.Errorf("%s, %s, %v", once, twice, err)
	}
}

func TestAnswers(t *testing.T) {
	law().Refusals(t, []notifytest.Refusal{
		{Answer: `{"errcode":310000,"errmsg":"sign not match"}`, Says: "errcode 310000: sign not match"},
		{Answer: `{"errcode":300001,"errmsg":"token is not exist"}`, Says: "errcode 300001"},
		{Answer: `{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`, Temporary: true, Wait: 10 * time.Minute, Says: "send too fast"},
		{Answer: `{"errcode":410100,"errmsg":"too fast"}`, Temporary: true, Wait: 10 * time.Minute, Says: "errcode 410100"},
		{Answer: `{"errcode":-1,"errmsg":"busy"}`, Temporary: true, Says: "errcode -1"},
		{Answer: `<html>captive portal</html>`, Says: "its answer is none of a robot"},
		{Answer: `{}`, Says: "its answer is none of a robot"},
	})
}

func TestText(t *testing.T) {
	const want = `#### shop/web: release web-7 waits

a  
b

- **Rollout**: shop/web
- **Release**: web-7
- **Step**: half
- **Who can end the wait**: anyone who may promote
- **Until**: 2026-09-21 15:13 UTC
- **image**: web:2
- **weight**: 50

[Look at the release](https://sluice.example.com/shop/web?a=1&b=2)

Sluice`
	if got := textOf(notifytest.Waiting(), "a\nb"); got != want {
		t.Errorf("got\n%s", got)
	}
}
