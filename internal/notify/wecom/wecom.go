// Package wecom posts to a group robot of WeCom, as Markdown.
//
// Its limits (developer.work.weixin.qq.com, document 91770): the Markdown has 4,096 bytes of UTF-8, and a robot takes
// 20 messages in a minute. It answers errors with status 200 and an errcode.
//
// It may import the standard library and its parent. Registry imports it.
package wecom

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/notify"
)

const (
	service = "WeCom"
	// limit of the Markdown.
	limit = 4096
	// pause is how long a robot is left alone that was asked too often.
	pause = time.Minute
)

// Config of a sink.
type Config struct {
	// URL of the robot, with its key. A secret.
	URL    string
	Client *http.Client
	Now    func() time.Time
}

// Sink posts to one robot.
type Sink struct{ c Config }

// New checks the configuration.
func New(c Config) (*Sink, error) {
	var err error
	c.URL, err = notify.CheckURL(service, c.URL)
	return &Sink{c}, err
}

type body struct {
	Type     string   `json:"msgtype"`
	Markdown markdown `json:"markdown"`
}

type markdown struct {
	Content string `json:"content"`
}

// Send posts the message.
func (s *Sink) Send(ctx context.Context, m notify.Message) error {
	b, err := notify.JSON(body{"markdown", markdown{content(m)}})
	if err != nil {
		return err
	}
	post := notify.Post{Service: service, URL: s.c.URL, Body: b, Now: s.c.Now()}
	answer, err := post.Send(ctx, s.c.Client)
	if err != nil {
		return err
	}
	return post.ErrCode(answer, passing)
}

// The codes of answers that pass by themselves.
const (
	codeBusy     = -1
	codeTooOften = 45009
	codeAtOnce   = 45033
)

// passing are these codes, with how long to wait.
var passing = map[int]time.Duration{codeBusy: 0, codeTooOften: pause, codeAtOnce: pause}

var colors = map[notify.Event]string{
	notify.Waiting: "warning", notify.Frozen: "warning", notify.Failed: "warning", notify.Aborted: "warning",
	notify.Done: "info",
}

// content is the Markdown. The facts are worth more than the end of a long text, so the text is what is cut.
func content(m notify.Message) string {
	title := notify.Unmark(m.Headline(256))
	if color := colors[m.Event]; color != "" {
		title = fmt.Sprintf("<font color=\"%s\">%s</font>", color, title)
	}
	head := "#### " + title + "\n"
	var b strings.Builder
	for _, f := range m.Facts() {
		line := fmt.Sprintf("> %s: %s\n", notify.Unmark(f.Name), notify.Unmark(f.Value))
		if b.Len()+len(line) > limit/2 {
			break
		}
		b.WriteString(line)
	}
	if link := notify.Link(m.Link); link != "" && len(link) < limit/4 {
		fmt.Fprintf(&b, "[Look at the release](%s)\n", link)
	}
	tail := b.String()
	text := notify.Truncate(notify.Unmark(notify.Clean(m.Text)), limit-len(head)-len(tail)-1)
	if text != "" {
		text += "\n"
	}
	return head + text + tail
}
