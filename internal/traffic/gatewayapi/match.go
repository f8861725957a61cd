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

// fitting are the entries that can be asked for on top of every one of the rule's own matches: of two header
// matches of one name only the first would count.
func fitting(matches []any, entries []release.Match) []release.Match {
	var out []release.Match
	for _, entry := range entries {
		headers := headersOf(entry)
		if len(headers) > 0 && clash(headers, matches) == "" {
			out = append(out, entry)
		}
	}
	return out
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

// combine asks for each of the rule's matches together with each of the entries. The path that the API server
// would fill in is written out, so that what is read back is what was written.
func combine(matches []any, entries []release.Match) []any {
	if len(entries) == 0 {
		return nil
	}
	if len(matches) == 0 {
		matches = []any{map[string]any{}}
	}
	var out []any
	for _, match := range matches {
		for _, entry := range entries {
			m := copied(object(match))
			if m == nil {
				m = map[string]any{}
			}
			if m["path"] == nil {
				m["path"] = map[string]any{"type": "PathPrefix", "value": "/"}
			}
			m["headers"] = append(list(m["headers"]), headersOf(entry)...)
			out = append(out, m)
		}
	}
	return out
}

// entries reads back what combine was given, from the matches of the rules generated for a rule.
func entries(generated []any, rule any) []release.Match {
	own := list(object(rule)["matches"])
	count := max(len(own), 1)
	if len(generated)%count == 0 {
		generated = generated[:len(generated)/count]
	}
	var known []any
	if len(own) > 0 {
		known = list(object(own[0])["headers"])
	}
	var out []release.Match
	for _, m := range generated {
		out = append(out, entry(list(object(m)["headers"]), known))
	}
	return out
}

// entry reads one back, leaving out the headers that the rule matches itself.
func entry(headers, known []any) release.Match {
	var m release.Match
	for _, h := range headers {
		if slices.ContainsFunc(known, func(o any) bool { return nameOf(o) == nameOf(h) }) {
			continue
		}
		name, value := text(object(h)["name"], ""), text(object(h)["value"], "")
		if text(object(h)["type"], "Exact") != "RegularExpression" {
			m.Headers = append(m.Headers, release.HeaderMatch{Name: name, Value: value})
			continue
		}
		if c, ok := readCookie(name, value); ok {
			m.Cookies = append(m.Cookies, c)
			continue
		}
		m.Headers = append(m.Headers, release.HeaderMatch{Name: name, Regex: readRegex(value)})
	}
	return m
}

func readRegex(value string) string {
	inner, opened := strings.CutPrefix(value, wholeOpen)
	inner, closed := strings.CutSuffix(inner, wholeClose)
	if opened && closed {
		return inner
	}
	return value
}

func readCookie(header, value string) (release.CookieMatch, bool) {
	inner, opened := strings.CutPrefix(value, cookieOpen)
	inner, closed := strings.CutSuffix(inner, cookieClose)
	name, content, found := strings.Cut(inner, "=") // a cookie's name has no "="
	if header != cookieHeader || !opened || !closed || !found {
		return release.CookieMatch{}, false
	}
	return release.CookieMatch{Name: unquote(name), Value: unquote(content)}, true
}

// unquote undoes regexp.QuoteMeta.
func unquote(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
