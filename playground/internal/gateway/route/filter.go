package route

import (
	"net/http"
	"strings"
)

// Filters is what a rule or a backendRef does to a request and its response.
type Filters struct {
	Request, Response HeaderEdit
	Rewrite           *Rewrite
	Redirect          *Redirect
	Mirrors           []Mirror
}

// HeaderEdit changes headers: first Set, then Add, then Remove.
type HeaderEdit struct {
	Set, Add []Header
	Remove   []string
}

// Header is one header line with a canonical name.
type Header struct{ Name, Value string }

// Apply edits h in place.
func (e *HeaderEdit) Apply(h http.Header) {
	for _, s := range e.Set {
		h[s.Name] = []string{s.Value}
	}
	for _, a := range e.Add {
		h[a.Name] = append(h[a.Name], a.Value)
	}
	for _, name := range e.Remove {
		delete(h, name)
	}
}

// PathEdit replaces a whole path, or the prefix that matched.
type PathEdit struct {
	Full   *string
	Prefix *string
}

// Apply gives the new path. prefix is what the rule matched.
func (p *PathEdit) Apply(path, prefix string) string {
	switch {
	case p == nil:
		return path
	case p.Full != nil:
		return *p.Full
	case p.Prefix == nil:
		return path
	}
	rest := strings.TrimPrefix(path, strings.TrimSuffix(prefix, "/"))
	head := strings.TrimSuffix(*p.Prefix, "/")
	switch {
	case rest == "" && head == "":
		return "/"
	case rest == "" || strings.HasPrefix(rest, "/"):
		return head + rest
	}
	return head + "/" + rest
}

// Rewrite changes what the backend is asked.
type Rewrite struct {
	Host string // "" keeps it
	Path *PathEdit
}

// Redirect sends the client elsewhere; empty fields keep what was asked.
type Redirect struct {
	Scheme, Host string
	Port         int
	Path         *PathEdit
	Status       int
}

// Mirror sends a copy of a share of the requests to another backend and
// forgets the answer.
type Mirror struct {
	Backend *Backend
	// Numerator of Denominator requests are copied.
	Numerator, Denominator int
}

// Takes decides for one request.
func (m *Mirror) Takes(intn IntN) bool {
	return m.Numerator >= m.Denominator || (m.Numerator > 0 && intn(m.Denominator) < m.Numerator)
}
