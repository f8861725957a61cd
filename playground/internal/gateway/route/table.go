package route

import (
	"net"
	"net/http"
	"sort"
	"strings"
	"time"
)

// IntN gives a uniform number in [0, n). Callers pass math/rand/v2's; tests a
// seeded one.
type IntN func(n int) int

// Source is the object and the part of it that a choice comes from.
type Source struct {
	Kind, Namespace, Name string
}

// Table is one immutable picture of all routes.
type Table struct {
	sites    hosts[*site]
	routes   hosts[[]*entry]
	backends map[BackendKey]*Backend
	services map[[2]string]bool // namespace and name of every Service in backends
}

// Choice is what to do with one request: answer Status when it is not 0 (a
// redirect is in RuleFilters or BackendFilters), else ask Backend.
type Choice struct {
	Source  Source
	Host    string   // the host pattern that matched, "" for none
	Backend *Backend // also set with a Status that says that it has no endpoints
	Canary  bool     // an Ingress' canary took it
	Session string   // the cookie that keeps the session with Backend, NAME=VALUE; "" for none
	Status  int
	Why     string
	// Filters of the rule, then of the chosen backendRef. Either may be nil.
	RuleFilters, BackendFilters *Filters
	// Prefix is the path prefix that matched, for filters that replace it.
	Prefix string
	Timeouts
}

// Timeouts bound a request; 0 means the gateway's default.
type Timeouts struct {
	Request time.Duration // from first byte in to last byte out
	Backend time.Duration // each try on a backend
	Header  time.Duration // until a try's response header
}

// Match chooses for one request. Between an Ingress and an HTTPRoute the more
// specific host wins, then the HTTPRoute.
func (t *Table) Match(r *http.Request, intn IntN) Choice {
	host := requestHost(r)
	e, routeRank := t.matchRoute(host, r)
	loc, siteRank := t.matchSite(host, r.URL.Path)
	switch {
	case e != nil && (loc == nil || routeRank >= siteRank):
		return e.choose(intn)
	case loc != nil:
		return loc.choose(r, intn)
	}
	return Choice{Status: http.StatusNotFound, Why: "no Ingress or HTTPRoute has this host and path"}
}

// Backend finds a Service port's present endpoints, for a request that chose
// on an older table and ran out of pods.
func (t *Table) Backend(key BackendKey) *Backend { return t.backends[key] }

// Names says whether any route names this Service, existing or not.
func (t *Table) Names(namespace, service string) bool {
	return t.services[[2]string{namespace, service}]
}

func requestHost(r *http.Request) string {
	host := r.Host
	if strings.IndexByte(host, ':') >= 0 {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// hosts maps host patterns to values.
type hosts[T any] struct {
	exact  map[string]T
	wild   []wildcard[T] // longest first
	all    T
	hasAll bool
}

type wildcard[T any] struct {
	pattern string // "*.example.com"
	value   T
}

// Ranks order host patterns: exact above wildcards (by length) above none.
const rankExact = 1 << 20

func (h *hosts[T]) set(pattern string, v T) {
	switch {
	case pattern == "":
		h.all, h.hasAll = v, true
	case strings.HasPrefix(pattern, "*."):
		h.setWild(pattern, v)
	default:
		if h.exact == nil {
			h.exact = map[string]T{}
		}
		h.exact[pattern] = v
	}
}

func (h *hosts[T]) setWild(pattern string, v T) {
	for i := range h.wild {
		if h.wild[i].pattern == pattern {
			h.wild[i].value = v
			return
		}
	}
	h.wild = append(h.wild, wildcard[T]{pattern, v})
	sort.Slice(h.wild, func(i, j int) bool {
		a, b := h.wild[i].pattern, h.wild[j].pattern
		if len(a) != len(b) {
			return len(a) > len(b)
		}
		return a < b
	})
}

// get gives the value under exactly this pattern.
func (h *hosts[T]) get(pattern string) (T, bool) {
	switch {
	case pattern == "":
		return h.all, h.hasAll
	case strings.HasPrefix(pattern, "*."):
		for i := range h.wild {
			if h.wild[i].pattern == pattern {
				return h.wild[i].value, true
			}
		}
		var zero T
		return zero, false
	}
	v, ok := h.exact[pattern]
	return v, ok
}

// each visits every pattern in a fixed order.
func (h *hosts[T]) each(visit func(pattern string, v T)) {
	names := make([]string, 0, len(h.exact))
	for n := range h.exact {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		visit(n, h.exact[n])
	}
	for _, w := range h.wild {
		visit(w.pattern, w.value)
	}
	if h.hasAll {
		visit("", h.all)
	}
}

// wildcardMatches: "*.b.c" matches "a.b.c", and with manyLabels also "x.a.b.c".
func wildcardMatches(pattern, host string, manyLabels bool) bool {
	label, ok := strings.CutSuffix(host, pattern[1:])
	return ok && label != "" && (manyLabels || !strings.Contains(label, "."))
}
