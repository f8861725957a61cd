package route

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// rule is one rule of one HTTPRoute, shared by its matches.
type rule struct {
	source   Source
	refs     []ref
	total    int
	filters  *Filters
	timeouts Timeouts
	// broken says why the whole rule answers 500; empty when it does not.
	broken string
}

// ref is one weighted backendRef; without a backend its share answers 500.
type ref struct {
	weight  int
	backend *Backend
	filters *Filters
	broken  string
}

// entry is one match of a rule under one host.
type entry struct {
	host  string
	match match
	rule  *rule
	order order
}

// match is what a request must have. The zero value matches everything.
type match struct {
	path    pathMatch
	method  string
	headers []valueMatch
	query   []valueMatch
}

type pathMatch struct {
	exact, prefix string
	regex         *regexp.Regexp
}

type valueMatch struct {
	name  string
	value string
	regex *regexp.Regexp // nil: value must be equal
}

func (v *valueMatch) accepts(s string) bool {
	if v.regex != nil {
		return v.regex.MatchString(s)
	}
	return s == v.value
}

func (p *pathMatch) accepts(path string) bool {
	switch {
	case p.regex != nil:
		return p.regex.MatchString(path)
	case p.exact != "":
		return path == p.exact
	case p.prefix != "":
		return hasSegments(path, p.prefix)
	}
	return true
}

// accepts asks the cheap parts first; query is parsed only when it is needed.
func (m *match) accepts(r *http.Request, query func() url.Values) bool {
	if m.method != "" && m.method != r.Method {
		return false
	}
	if !m.path.accepts(r.URL.Path) {
		return false
	}
	for i := range m.headers {
		v, ok := headerValues(r, m.headers[i].name)
		if !ok || !m.headers[i].accepts(v) {
			return false
		}
	}
	for i := range m.query {
		vs, ok := query()[m.query[i].name]
		if !ok || !m.query[i].accepts(vs[0]) {
			return false
		}
	}
	return true
}

// matchRoute tries the entries of the host from its most specific pattern on.
func (t *Table) matchRoute(host string, r *http.Request) (*entry, int) {
	var values url.Values
	query := func() url.Values {
		if values == nil {
			values = r.URL.Query()
		}
		return values
	}
	if e := first(t.routes.exact[host], r, query); e != nil {
		return e, rankExact
	}
	for i := range t.routes.wild {
		w := &t.routes.wild[i]
		if !wildcardMatches(w.pattern, host, true) {
			continue
		}
		if e := first(w.value, r, query); e != nil {
			return e, len(w.pattern)
		}
	}
	return first(t.routes.all, r, query), 0
}

func first(entries []*entry, r *http.Request, query func() url.Values) *entry {
	for _, e := range entries {
		if e.match.accepts(r, query) {
			return e
		}
	}
	return nil
}

// choose picks a backendRef by weight.
func (e *entry) choose(intn IntN) Choice {
	ru := e.rule
	c := Choice{
		Source: ru.source, Host: e.host, RuleFilters: ru.filters,
		Prefix: e.match.path.prefix, Timeouts: ru.timeouts,
	}
	switch {
	case ru.broken != "":
		c.Status, c.Why = http.StatusInternalServerError, ru.broken
		c.RuleFilters = nil
		return c
	case ru.filters != nil && ru.filters.Redirect != nil:
		c.Status = ru.filters.Redirect.Status
		return c
	case ru.total == 0:
		c.Status, c.Why = http.StatusInternalServerError, "no backendRef of this rule has a weight above 0"
		return c
	}
	chosen := ru.pick(intn)
	if chosen.broken != "" {
		c.Status, c.Why = http.StatusInternalServerError, chosen.broken
		return c
	}
	c.BackendFilters = chosen.filters
	if f := chosen.filters; f != nil && f.Redirect != nil {
		c.Status = f.Redirect.Status
		return c
	}
	c.Backend = chosen.backend
	if len(c.Backend.Endpoints) == 0 {
		c.Status, c.Why = http.StatusServiceUnavailable, noEndpoints(c.Backend)
	}
	return c
}

func (ru *rule) pick(intn IntN) *ref {
	if len(ru.refs) == 1 {
		return &ru.refs[0]
	}
	n := intn(ru.total)
	for i := range ru.refs {
		if n < ru.refs[i].weight {
			return &ru.refs[i]
		}
		n -= ru.refs[i].weight
	}
	return &ru.refs[len(ru.refs)-1] // not reached: the weights sum to total
}

// order is the precedence that the Gateway API gives to matches of one host.
type order struct {
	path    int // exact 3, regex 2, prefix 1, none 0
	length  int
	method  bool
	headers int
	query   int
	created int64
	name    string
	index   int
}

func (m *match) order() order {
	o := order{method: m.method != "", headers: len(m.headers), query: len(m.query)}
	switch p := &m.path; {
	case p.exact != "":
		o.path, o.length = 3, len(p.exact)
	case p.regex != nil:
		o.path, o.length = 2, len(p.regex.String())
	case p.prefix != "":
		o.path, o.length = 1, len(strings.TrimSuffix(p.prefix, "/"))
	}
	return o
}

// before: exact path, longest prefix, method, most headers, most query
// parameters, oldest route, name, and the order within the route.
func (o order) before(p order) bool {
	switch {
	case o.path != p.path:
		return o.path > p.path
	case o.length != p.length:
		return o.length > p.length
	case o.method != p.method:
		return o.method
	case o.headers != p.headers:
		return o.headers > p.headers
	case o.query != p.query:
		return o.query > p.query
	case o.created != p.created:
		return o.created < p.created
	case o.name != p.name:
		return o.name < p.name
	}
	return o.index < p.index
}
