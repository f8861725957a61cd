package gatewayapi

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
)

// A regular expression must match the whole value; some gateways take it so, others look for it anywhere.
const (
	wholeOpen  = "^(?:"
	wholeClose = ")$"
	// A cookie is one of the pairs in the Cookie header.
	cookieOpen  = `^(.*;\s*)?`
	cookieClose = `(;.*)?$`
)

const cookieHeader = "Cookie"

// headersOf are the header matches that an entry asks for.
func headersOf(m release.Match) []any {
	var out []any
	for _, h := range m.Headers {
		if h.Regex != "" {
			out = append(out, headerMatch(h.Name, "RegularExpression", wholeOpen+h.Regex+wholeClose))
			continue
		}
		out = append(out, headerMatch(h.Name, "Exact", h.Value))
	}
	for _, c := range m.Cookies {
		value := cookieOpen + regexp.QuoteMeta(c.Name) + "=" + regexp.QuoteMeta(c.Value) + cookieClose
		out = append(out, headerMatch(cookieHeader, "RegularExpression", value))
	}
	return out
}

func headerMatch(name, kind, value string) map[string]any {
	return map[string]any{"name": name, "type": kind, "value": value}
}

// fitting are the header matches of those entries that can be asked for on top of every one of the rule's own matches:
// of two header matches of one name only the first would count.
func fitting(matches []any, entries []release.Match) [][]any {
	var out [][]any
	for _, entry := range entries {
		headers := headersOf(entry)
		if len(headers) > 0 && clash(headers, matches) == "" {
			out = append(out, headers)
		}
	}
	return out
}

// both are the header matches for requests that one of a and one of b want. Where two ask for different values of one
// header there are no such requests.
func both(a, b [][]any) [][]any {
	var out [][]any
	for _, x := range a {
		for _, y := range b {
			if joined, ok := merged(x, y); ok {
				out = append(out, joined)
			}
		}
	}
	return out
}

func merged(x, y []any) (joined []any, ok bool) {
	joined = slices.Clone(x)
	for _, h := range y {
		i := slices.IndexFunc(x, func(o any) bool { return nameOf(o) == nameOf(h) })
		switch {
		case i < 0:
			joined = append(joined, h)
		case !same(x[i], h):
			return nil, false
		}
	}
	return joined, true
}

// clash names a header that the rule matches already, or that the entry names twice.
func clash(headers, matches []any) string {
	for i, h := range headers {
		if named := nameOf(h); slices.ContainsFunc(headers[:i], func(o any) bool { return nameOf(o) == named }) {
			return named
		}
		for _, m := range matches {
			own := list(object(m)["headers"])
			if slices.ContainsFunc(own, func(o any) bool { return nameOf(o) == nameOf(h) }) {
				return nameOf(h)
			}
		}
	}
	return ""
}

func nameOf(header any) string { return strings.ToLower(text(object(header)["name"], "")) }

// combine asks for each of the rule's matches together with each of the entries.
func (k kind) combine(matches []any, entries [][]any) []any {
	if len(entries) == 0 {
		return nil
	}
	if len(matches) == 0 {
		matches = []any{map[string]any{}}
	}
	var out []any
	for _, match := range matches {
		for _, entry := range entries {
			m := k.filled(match)
			m["headers"] = append(list(m["headers"]), copied(entry)...)
			out = append(out, m)
		}
	}
	return out
}

// sameMatches compares two steps' matches.
func sameMatches(a, b []release.Match) bool {
	return slices.EqualFunc(a, b, func(x, y release.Match) bool {
		return slices.Equal(x.Headers, y.Headers) && slices.Equal(x.Cookies, y.Cookies)
	})
}
