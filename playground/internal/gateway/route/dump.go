package route

import (
	"fmt"
	"net/http"
	"strings"
)

// Dump is a table as people and tests read it.
type Dump struct {
	Ingress    []SiteDump `json:"ingress,omitempty"`
	HTTPRoutes []HostDump `json:"httpRoutes,omitempty"`
}

// SiteDump is one Ingress host.
type SiteDump struct {
	Host  string     `json:"host"`
	Paths []PathDump `json:"paths"`
}

// PathDump is one location, in the order of matching.
type PathDump struct {
	Path    string      `json:"path"` // kind and path, "Prefix /api"
	Ingress string      `json:"ingress"`
	Backend BackendDump `json:"backend"`
	Canary  *CanaryDump `json:"canary,omitempty"`
}

// CanaryDump is what a canary Ingress adds to a location.
type CanaryDump struct {
	Ingress string      `json:"ingress"`
	Backend BackendDump `json:"backend"`
	Header  string      `json:"header,omitempty"`
	Cookie  string      `json:"cookie,omitempty"`
	Weight  string      `json:"weight"`
}

// HostDump is one hostname of HTTPRoutes.
type HostDump struct {
	Host  string      `json:"host"`
	Rules []EntryDump `json:"rules"`
}

// EntryDump is one match of one rule, in the order of precedence.
type EntryDump struct {
	Match    string        `json:"match"`
	Route    string        `json:"route"`
	Filters  []string      `json:"filters,omitempty"`
	Backends []BackendDump `json:"backends,omitempty"`
	Broken   string        `json:"broken,omitempty"`
}

// BackendDump is one Service port and where its pods are.
type BackendDump struct {
	Service   string   `json:"service"`
	Weight    int      `json:"weight,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	Filters   []string `json:"filters,omitempty"`
	Broken    string   `json:"broken,omitempty"`
}

// Dump describes the table.
func (t *Table) Dump() Dump {
	var d Dump
	t.sites.each(func(pattern string, s *site) {
		sd := SiteDump{Host: orAny(pattern)}
		for _, l := range s.locations {
			sd.Paths = append(sd.Paths, l.dump())
		}
		d.Ingress = append(d.Ingress, sd)
	})
	t.routes.each(func(pattern string, es []*entry) {
		hd := HostDump{Host: orAny(pattern)}
		for _, e := range es {
			hd.Rules = append(hd.Rules, e.dump())
		}
		d.HTTPRoutes = append(d.HTTPRoutes, hd)
	})
	return d
}

func orAny(pattern string) string {
	if pattern == "" {
		return "*"
	}
	return pattern
}

func (s Source) path() string { return s.Namespace + "/" + s.Name }

func (l *location) dump() PathDump {
	d := PathDump{Path: string(l.kind) + " " + l.path, Ingress: l.source.path(), Backend: l.main.dump()}
	if c := l.canary; c != nil {
		p := &c.policy
		d.Canary = &CanaryDump{
			Ingress: c.source.path(), Backend: c.backend.dump(), Header: p.header(), Cookie: p.Cookie,
			Weight: fmt.Sprintf("%d/%d", p.Weight, p.Total),
		}
	}
	return d
}

func (p *Policy) header() string {
	switch {
	case p.HeaderValue != "":
		return p.Header + " = " + p.HeaderValue
	case p.Pattern != nil:
		return p.Header + " ~ " + p.Pattern.String()
	case p.BadPattern:
		return p.Header + " ~ (invalid)"
	}
	return p.Header
}

func (b *Backend) dump() BackendDump {
	return BackendDump{Service: b.String(), Endpoints: b.Endpoints, Broken: b.Missing}
}

func (e *entry) dump() EntryDump {
	d := EntryDump{
		Match: e.match.String(), Route: e.rule.source.path(), Filters: e.rule.filters.dump(),
		Broken: e.rule.broken,
	}
	for i := range e.rule.refs {
		r := &e.rule.refs[i]
		bd := BackendDump{Broken: r.broken}
		if r.backend != nil {
			bd = r.backend.dump()
		}
		bd.Weight, bd.Filters = r.weight, r.filters.dump()
		d.Backends = append(d.Backends, bd)
	}
	return d
}

func (m match) String() string {
	var parts []string
	switch p := &m.path; {
	case p.exact != "":
		parts = append(parts, "path = "+p.exact)
	case p.regex != nil:
		parts = append(parts, "path ~ "+p.regex.String())
	case p.prefix != "":
		parts = append(parts, "path "+p.prefix)
	}
	if m.method != "" {
		parts = append(parts, "method "+m.method)
	}
	for _, h := range m.headers {
		parts = append(parts, "header "+h.String())
	}
	for _, q := range m.query {
		parts = append(parts, "query "+q.String())
	}
	return strings.Join(parts, ", ")
}

func (v valueMatch) String() string {
	if v.regex != nil {
		return v.name + " ~ " + v.regex.String()
	}
	return v.name + " = " + v.value
}

func (f *Filters) dump() []string {
	if f == nil {
		return nil
	}
	out := append(f.Request.dump("request"), f.Response.dump("response")...)
	if f.Rewrite != nil {
		out = append(out, "rewrite "+f.Rewrite.Host+f.Rewrite.Path.String())
	}
	if r := f.Redirect; r != nil {
		out = append(out, fmt.Sprintf("redirect %d %s %s %s", r.Status, http.StatusText(r.Status), r.Scheme+"://"+r.Host,
			r.Path.String()))
	}
	for _, m := range f.Mirrors {
		out = append(out, fmt.Sprintf("mirror %d/%d to %s", m.Numerator, m.Denominator, m.Backend))
	}
	return out
}

func (e *HeaderEdit) dump(of string) []string {
	var out []string
	for _, h := range e.Set {
		out = append(out, of+" set "+h.Name+": "+h.Value)
	}
	for _, h := range e.Add {
		out = append(out, of+" add "+h.Name+": "+h.Value)
	}
	for _, name := range e.Remove {
		out = append(out, of+" remove "+name)
	}
	return out
}

func (p *PathEdit) String() string {
	switch {
	case p == nil:
		return ""
	case p.Full != nil:
		return *p.Full
	case p.Prefix != nil:
		return *p.Prefix + "*"
	}
	return ""
}
