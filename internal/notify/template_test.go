package notify

import (
	"strings"
	"testing"
	"time"
)

func message() Message {
	return Message{
		Event: Waiting, Namespace: "shop", Rollout: "web", Release: "web-7", Step: "half", Text: "to be promoted",
		Who: "anyone who may promote", Until: time.Date(2026, 9, 21, 14, 13, 0, 0, time.UTC),
		Fields: map[string]string{"image": "web:2", "weight": "50"}, Link: "https://sluice.example.com/",
	}
}

func TestRender(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"{{.Event}} {{.Namespace}}/{{.Rollout}} {{.Release}} {{.Step}}", "waiting shop/web web-7 half"},
		{"{{.Text}}, by {{.Who}}, until {{.Until}}{{with .At}} {{.}}{{end}}", "to be promoted, by anyone who may promote, until 2026-09-21 14:13 UTC"},
		{"{{range $k, $v := .Fields}}{{$k}}={{$v}};{{end}}", "image=web:2;weight=50;"},
		{"{{range .Fields}}{{.}}{{if eq . `50`}}{{continue}}{{end}}, {{else}}none{{end}}", "web:2, 50"},
		{"{{if and .Step (ne .Event `done`)}}{{printf `%-6s|%3d` .Step (len .Fields)}}{{end}}", "half  |  2"},
		{"{{.Fields.image}} {{index .Fields `weight`}} {{slice .Rollout 0 1}}", "web:2 50 w"},
		{"{{.Link | urlquery}} {{html `<`}} {{js `'`}} {{print 1 2}}{{println 3}}", `https%3A%2F%2Fsluice.example.com%2F &lt; \' 1 23`},
		{"a\r\nb\x00\u202ec{{/* nothing */}}", "a\nbc"},
	} {
		tpl, err := ParseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		if got, err := tpl.Render(message()); got != c.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", c.template, got, err, c.want)
		}
	}
}

// TestTemplateOnALead: what could go on for ever, or look elsewhere, is refused when it is read or stopped when it runs.
func TestTemplateOnALead(t *testing.T) {
	doubling := "{{$x := `0123456789`}}" + strings.Repeat("{{$x = print $x $x}}", 60)
	for _, c := range []struct{ template, says string }{
		{"{{", "spec.template: cannot be read"},
		{"{{.Nope}}", "can't evaluate field Nope"},
		{"{{.Fields.nope}}", "no entry for key"},
		{"{{.Text.Len}}", "can't evaluate field Len"},
		{"{{env `HOME`}}", "not defined"},
		{"{{call .Text}}", "nothing to call"},
		{"{{range 1000000000}}x{{end}}", "range works over .Fields only"},
		{"{{range .Text}}x{{end}}", "range works over .Fields only"},
		{"{{$f := .Fields}}{{range $f}}x{{end}}", "range works over .Fields only"},
		{"{{range .Fields}}{{range $.Fields}}x{{end}}{{end}}", "not within another"},
		{"{{if .Step}}{{with .Who}}{{range 5}}x{{end}}{{end}}{{end}}", "range works over .Fields only"},
		{"{{if .Step}}{{else}}{{range 5}}x{{end}}{{end}}", "range works over .Fields only"},
		{"{{define `a`}}{{template `a`}}{{end}}{{template `a`}}", "define and block are not for messages"},
		{"{{block `a` .}}x{{end}}", "define and block are not for messages"},
		{"{{template `spec.template`}}", "template is not for messages"},
		{"{{printf `%1000000d` 1}}", "two figures at most"},
		{"{{printf `%.999999999f` 1.0}}", "two figures at most"},
		{"{{printf `%*d` 1000000 1}}", "two figures at most"},
		{"{{printf `%[2]*[1]d` 1 1000000}}", "two figures at most"},
		{doubling, "shorten the template"},
		{strings.Repeat("{{.Text}}", 400), "shorten the template"},
		{strings.Repeat("x", 4097), "longer than 4096"},
		{"", "is empty"},
	} {
		tpl, err := ParseTemplate(c.template)
		if err == nil {
			_, err = tpl.Render(message())
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80s: got %v, want %q", c.template, err, c.says)
		}
	}
}

// FuzzTemplate: no template panics, and none writes more than it may.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{
		"{{.Text}}", "{{range $k, $v := .Fields}}{{$k}}={{$v}}{{end}}", "{{printf `%99d` 1}}", "{{with $x := .Who}}{{$x}}{{else with .Step}}{{.}}{{end}}",
		"{{range .Fields}}{{break}}{{end}}", "{{define `a`}}{{end}}", "{{$x := print .Text .Text}}{{$x}}", "{{- .Text -}}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tpl, err := ParseTemplate(text)
		if err != nil {
			return
		}
		if got, err := tpl.Render(message()); err == nil && len(got) > maxText {
			t.Errorf("%d bytes", len(got))
		}
	})
}

// TestCompose: each event has a title and a text that say what is what, also of a message that says little.
func TestCompose(t *testing.T) {
	want := map[Event][2]string{
		Started: {"shop/web: release web-7 started", "The release has started: to be promoted"},
		Waiting: {"shop/web: release web-7 waits", "The release waits in step half: to be promoted"},
		Failed:  {"shop/web: release web-7 has failed", "The release has failed in step half: to be promoted"},
		Aborted: {"shop/web: release web-7 was aborted", "The release was taken back: to be promoted"},
		Done:    {"shop/web: release web-7 is done", "The new version serves all requests: to be promoted"},
		Frozen:  {"shop/web: release web-7 is held by a release window", "The release may not advance now: to be promoted"},
	}
	if len(want) != len(Events) {
		t.Fatalf("%d events, %d wanted", len(Events), len(want))
	}
	for _, e := range Events {
		m := message()
		m.Event = e
		got, err := Compose(nil, m)
		if err != nil || got.Title != want[e][0] || got.Text != want[e][1] {
			t.Errorf("%s: %q, %q, %v", e, got.Title, got.Text, err)
		}
		m.Text, m.Step = "", ""
		if got, err := Compose(nil, m); err != nil || strings.HasSuffix(got.Text, ":") || got.Text == "" {
			t.Errorf("%s, with little: %q, %v", e, got.Text, err)
		}
	}
	custom := must("{{.Title}} | {{.Text}} | {{.Fields.image}}")
	if got, err := Compose(custom, message()); err != nil || got.Text != "shop/web: release web-7 waits | to be promoted | web:2" {
		t.Errorf("%q, %v", got.Text, err)
	}
	bare := message()
	bare.Fields = nil
	if got, err := Compose(custom, bare); err == nil || got.Text != want[Waiting][1] {
		t.Errorf("a template that fails keeps people in the dark: %q, %v", got.Text, err)
	}
}
