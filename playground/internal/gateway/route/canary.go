package route

import (
	"net/http"
	"regexp"
	"strings"
)

// Policy says which requests of a location belong to its canary. It follows
// ingress-nginx: header, then cookie, then weight; the first that decides wins.
type Policy struct {
	Header      string // canary-by-header, canonical; "" for none
	HeaderValue string // canary-by-header-value; makes "always"/"never" ordinary values
	Pattern     *regexp.Regexp
	BadPattern  bool   // a pattern that does not compile: its header keeps requests off the canary
	Cookie      string // canary-by-cookie
	Weight      int
	Total       int // at least 100
}

// admits decides for one request.
func (p *Policy) admits(r *http.Request, intn IntN) bool {
	if admitted, decided := p.byHeader(r); decided {
		return admitted
	}
	if admitted, decided := p.byCookie(r); decided {
		return admitted
	}
	return p.Weight > 0 && intn(p.Total) < p.Weight
}

func (p *Policy) byHeader(r *http.Request) (admitted, decided bool) {
	if p.Header == "" {
		return false, false
	}
	values, ok := headerValues(r, p.Header)
	if !ok {
		return false, false
	}
	switch {
	case p.HeaderValue != "":
		return true, values == p.HeaderValue
	case p.BadPattern:
		return false, true
	case p.Pattern != nil:
		return true, p.Pattern.MatchString(values)
	}
	return alwaysNever(values)
}

func (p *Policy) byCookie(r *http.Request) (admitted, decided bool) {
	if p.Cookie == "" {
		return false, false
	}
	return alwaysNever(cookie(r.Header["Cookie"], p.Cookie))
}

func alwaysNever(v string) (admitted, decided bool) {
	return v == "always", v == "always" || v == "never"
}

// headerValues joins repeated header lines as nginx does. Go keeps Host apart.
func headerValues(r *http.Request, canonical string) (string, bool) {
	if canonical == "Host" {
		return r.Host, true
	}
	vs, ok := r.Header[canonical]
	switch {
	case !ok || len(vs) == 0:
		return "", false
	case len(vs) == 1:
		return vs[0], true
	}
	return strings.Join(vs, ", "), true
}

// cookie finds the raw value of the first cookie of that name; names are
// compared without case, as nginx' $cookie_NAME does.
func cookie(lines []string, name string) string {
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			k, v, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if ok && strings.EqualFold(k, name) {
				return v
			}
		}
	}
	return ""
}
