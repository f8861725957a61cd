package route

import (
	"hash/fnv"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// site holds the locations of one Ingress host.
type site struct {
	host      string
	locations []*location // in the order in which they are tried
}

// pathKind is how a location compares paths.
type pathKind string

const (
	pathExact  pathKind = "Exact"
	pathPrefix pathKind = "Prefix" // by segments
	// pathRaw is ImplementationSpecific: like ingress-nginx, a plain string prefix.
	pathRaw pathKind = "ImplementationSpecific"
)

// location is one path of one host.
type location struct {
	host   string
	path   string
	kind   pathKind
	source Source
	main   *Backend
	canary *canary
	header time.Duration
	// session is the cookie that names the Service that a session is with.
	session string
}

// canary is the other backend that a canary Ingress adds to a location.
type canary struct {
	source  Source
	backend *Backend
	policy  Policy
}

func (l *location) matches(path string) bool {
	switch l.kind {
	case pathExact:
		return path == l.path
	case pathRaw:
		return strings.HasPrefix(path, l.path)
	default:
		return hasSegments(path, l.path)
	}
}

// hasSegments: "/a/b" and "/a/" start with the segments of "/a"; "/ab" does not.
func hasSegments(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(prefix, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// choose picks main or canary. As in ingress-nginx the canary is not even
// looked at when the main backend has no endpoints, and the main backend takes
// everything when the canary has none. A session that has begun stays where it
// is, whatever header, cookie and weight say.
func (l *location) choose(r *http.Request, intn IntN) Choice {
	c := Choice{Source: l.source, Host: l.host, Backend: l.main, Timeouts: Timeouts{Header: l.header}}
	if len(l.main.Endpoints) == 0 {
		c.Status, c.Why = http.StatusServiceUnavailable, noEndpoints(l.main)
		return c
	}
	if l.admits(r, intn) {
		c.Source, c.Backend, c.Canary = l.canary.source, l.canary.backend, true
	}
	if l.session != "" {
		c.Session = l.session + "=" + sessionKey(c.Backend)
	}
	return c
}

func (l *location) admits(r *http.Request, intn IntN) bool {
	if l.canary == nil || len(l.canary.backend.Endpoints) == 0 {
		return false
	}
	if l.session != "" {
		switch cookie(r.Header["Cookie"], l.session) {
		case sessionKey(l.main):
			return false
		case sessionKey(l.canary.backend):
			return true
		}
	}
	return l.canary.policy.admits(r, intn)
}

// sessionKey is what the session's cookie has of a backend: like ingress-nginx',
// a digest of its name, so that it outlives the backend and fits the next one of
// that name.
func sessionKey(b *Backend) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(b.BackendKey.String()))
	return strconv.FormatUint(h.Sum64(), 16)
}

func noEndpoints(b *Backend) string {
	if b.Missing != "" {
		return b.Missing
	}
	return "no pod of Service " + b.Namespace + "/" + b.Service + " is ready"
}

// matchSite finds the location for a host and path. Only the most specific
// host counts: a path that it does not have is not looked for elsewhere.
func (t *Table) matchSite(host, path string) (*location, int) {
	s, rank := t.siteFor(host)
	if s == nil {
		return nil, 0
	}
	for _, l := range s.locations {
		if l.matches(path) {
			return l, rank
		}
	}
	return nil, 0
}

func (t *Table) siteFor(host string) (*site, int) {
	if s, ok := t.sites.exact[host]; ok {
		return s, rankExact
	}
	for i := range t.sites.wild {
		if w := &t.sites.wild[i]; wildcardMatches(w.pattern, host, false) {
			return w.value, len(w.pattern)
		}
	}
	if t.sites.hasAll {
		return t.sites.all, 0
	}
	return nil, 0
}

func (s *site) find(path string, kind pathKind) *location {
	for _, l := range s.locations {
		if l.path == path && l.kind == kind {
			return l
		}
	}
	return nil
}

// sort puts longer paths first, and Exact before the others of its length.
func (s *site) sort() {
	sort.SliceStable(s.locations, func(i, j int) bool {
		a, b := s.locations[i], s.locations[j]
		if len(a.path) != len(b.path) {
			return len(a.path) > len(b.path)
		}
		return a.kind == pathExact && b.kind != pathExact
	})
}
