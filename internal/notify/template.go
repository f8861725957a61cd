package notify

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
	"unicode/utf8"
)

const (
	// maxTemplate is how long a template may be, as the API has it.
	maxTemplate = 4096
	// maxText is how long a text may become.
	maxText = 4096
)

// Template makes the text of messages. A template comes from whoever may write a Notifier, and is run in the
// controller, so it is kept on a short lead: it sees the facts of the message and nothing else, cannot call itself,
// loops over .Fields only and once, and what it makes is bounded, in between as at the end.
type Template struct{ t *template.Template }

// view is what a template sees: strings, which have no methods.
type view struct {
	Event, Namespace, Rollout, Release, Step, Title, Text, Who, Until, At, Link string
	Fields                                                                      map[string]string
}

// ParseTemplate reads a template. An error says what to do.
func ParseTemplate(text string) (*Template, error) {
	if utf8.RuneCountInString(text) > maxTemplate {
		return nil, fmt.Errorf("spec.template: is longer than %d characters", maxTemplate)
	}
	t, err := template.New("spec.template").Option("missingkey=error").Funcs(bounded).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("spec.template: cannot be read: %w", err)
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("spec.template: define and block are not for messages; write the text in one piece")
	}
	if t.Tree == nil || parse.IsEmptyTree(t.Root) {
		return nil, errors.New("spec.template: is empty")
	}
	if err := check(t.Root, false); err != nil {
		return nil, err
	}
	return &Template{t: t}, nil
}

// TryTemplate reads a Notifier's template and tries it with a message that has everything in it: text/template finds a
// field that does not exist only when it is run.
func TryTemplate(text string) (*Template, error) {
	t, err := ParseTemplate(text)
	if err != nil {
		return nil, err
	}
	if _, err := t.Render(sample); err != nil {
		return nil, fmt.Errorf("spec.template: %w", err)
	}
	return t, nil
}

// sample is a message with everything in it.
var sample = Message{
	Event: Waiting, Namespace: "demo", Rollout: "shop", Release: "shop-1", Step: "half", Title: "shop: release shop-1 " +
		"waits",
	Text: "somebody has to approve", Who: "anyone who may approve", Until: time.Unix(1, 0), At: time.Unix(1, 0),
	Link:   "https://example.com/shop",
	Fields: map[string]string{FieldImage: "shop:v2", FieldAuthor: "alice"},
}

// The keys of a Message's Fields. Not every message has each.
const (
	FieldImage  = "Image"
	FieldAuthor = "Author"
)

// check refuses what could go on for ever.
func check(n parse.Node, inRange bool) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, each := range n.Nodes {
			if err := check(each, inRange); err != nil {
				return err
			}
		}
	case *parse.IfNode:
		return errors.Join(check(n.List, inRange), check(n.ElseList, inRange))
	case *parse.WithNode:
		return errors.Join(check(n.List, inRange), check(n.ElseList, inRange))
	case *parse.RangeNode:
		if inRange || !overFields(n.Pipe) {
			return fmt.Errorf("spec.template:%d: range works over .Fields only, and not within another", n.Line)
		}
		return errors.Join(check(n.List, true), check(n.ElseList, inRange))
	case *parse.TemplateNode:
		return fmt.Errorf("spec.template:%d: template is not for messages; write the text in one piece", n.Line)
	}
	return nil
}

func overFields(p *parse.PipeNode) bool {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	switch n := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return slices.Equal(n.Ident, []string{"Fields"})
	case *parse.VariableNode:
		return slices.Equal(n.Ident, []string{"$", "Fields"})
	}
	return false
}

// Render makes the text of a message.
func (t *Template) Render(m Message) (string, error) {
	fields := maps.Clone(m.Fields)
	if fields == nil {
		fields = map[string]string{}
	}
	w := &limited{}
	err := t.t.Execute(w, view{
		Event: string(m.Event), Namespace: m.Namespace, Rollout: m.Rollout, Release: m.Release, Step: m.Step,
		Title: m.Title, Text: m.Text, Who: m.Who, Until: Moment(m.Until), At: Moment(m.At), Link: m.Link, Fields: fields,
	})
	if err != nil {
		return "", fmt.Errorf("run template: %w", err)
	}
	return Clean(w.String()), nil
}

// errTooLong ends a template that writes too much.
var errTooLong = fmt.Errorf("the text is longer than %d bytes; shorten the template", maxText)

type limited struct{ strings.Builder }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > maxText {
		return 0, errTooLong
	}
	return l.Builder.Write(p)
}

// bounded stand in for the functions of text/template that make texts out of texts, since a template could double one
// again and again without writing it. call, for which there is nothing to be called, is gone.
var bounded = template.FuncMap{
	"print":    func(args ...any) (string, error) { return bound(fmt.Sprint(args...)) },
	"println":  func(args ...any) (string, error) { return bound(fmt.Sprintln(args...)) },
	"printf":   printf,
	"html":     func(args ...any) (string, error) { return bound(template.HTMLEscaper(args...)) },
	"js":       func(args ...any) (string, error) { return bound(template.JSEscaper(args...)) },
	"urlquery": func(args ...any) (string, error) { return bound(template.URLQueryEscaper(args...)) },
	"call":     func(...any) (string, error) { return "", errors.New("there is nothing to call") },
}

func bound(text string) (string, error) {
	if len(text) > maxText {
		return "", errTooLong
	}
	return text, nil
}

// wide finds a width or precision of three figures, or one that is given as an argument.
var wide = regexp.MustCompile(`%[^%a-zA-Z]*([0-9]{3}|\*)`)

func printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", fmt.Errorf("printf %q: a width has two figures at most", Truncate(format, 64))
	}
	return bound(fmt.Sprintf(format, args...))
}

// titles and texts are what is told where nobody has said otherwise. Who can end a wait, and until when, each sink
// shows below.
var (
	titles = map[Event]string{
		Started: "started", Waiting: "waits", Failed: "has failed", Aborted: "was aborted", Done: "is done",
		Frozen: "is held by a release window",
	}
	texts = map[Event]*Template{
		Started: must("The release has started{{with .Text}}: {{.}}{{end}}"),
		Waiting: must("The release waits{{with .Step}} in step {{.}}{{end}}{{with .Text}}: {{.}}{{end}}"),
		Failed:  must("The release has failed{{with .Step}} in step {{.}}{{end}}{{with .Text}}: {{.}}{{end}}"),
		Aborted: must("The release was taken back{{with .Text}}: {{.}}{{end}}"),
		Done:    must("The new version serves all requests{{with .Text}}: {{.}}{{end}}"),
		Frozen:  must("The release may not advance now{{with .Text}}: {{.}}{{end}}"),
	}
)

func must(text string) *Template {
	t, err := ParseTemplate(text)
	if err != nil {
		panic(err)
	}
	return t
}

// Compose fills in the title and the text of a message, whose Text is the sentence that says what happened. A template
// that cannot be run keeps nobody in the dark: the default text is there beside the error.
func Compose(t *Template, m Message) (Message, error) {
	out := m
	if out.Title == "" {
		what := titles[m.Event]
		if what == "" {
			what = string(m.Event)
		}
		out.Title = fmt.Sprintf("%s: release %s %s", m.name(), m.Release, what)
	}
	var failed error
	if t != nil {
		text, err := t.Render(out)
		if err == nil {
			out.Text = text
			return out, nil
		}
		failed = err
	}
	if usual := texts[m.Event]; usual != nil {
		text, err := usual.Render(m)
		if err != nil {
			return out, errors.Join(failed, err)
		}
		out.Text = text
	}
	return out, failed
}
