package ingress

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// What ingress-nginx takes in its annotations since 1.9; anything else makes it drop the whole Ingress.
var (
	plain   = regexp.MustCompile(`^[-._~a-zA-Z0-9/: ]*$`)
	pattern = regexp.MustCompile(`^[-._~a-zA-Z0-9/:^$\[\](){}*+?|&=\\]*$`)
	// nginx drops headers with other characters in their names.
	headerName = regexp.MustCompile(`^[-_a-zA-Z0-9]+$`)
)

// Check refuses an Ingress that cannot have a canary, and matches that annotations cannot say.
func (p Provider) Check(w traffic.World, splits []traffic.Split) error {
	v := p.view(w)
	if v.route == nil {
		return errors.New("spec.traffic[].ingress: there is no such Ingress; create it or correct the name")
	}
	if err := p.checkClass(v); err != nil {
		return err
	}
	if err := checkRoute(v); err != nil {
		return err
	}
	if err := errors.Join(Provider{}.CheckSplits(splits)...); err != nil {
		return err
	}
	return checkOthers(v)
}

// CheckSplits refuses matches that annotations cannot say.
func (Provider) CheckSplits(splits []traffic.Split) []error {
	for i, s := range splits {
		if s.Weight < 0 || s.Weight > 100 {
			return []error{fmt.Errorf("spec.canary.steps[%d].weight: %d is not a share in percent; set 0 to 100", i, s.Weight)}
		}
		if err := checkMatches(fmt.Sprintf("spec.canary.steps[%d].match", i), s.Matches); err != nil {
			return []error{err}
		}
	}
	return nil
}

// checkOthers has the release wait where another one's canary Ingress would serve the same requests: ingress-nginx
// takes one canary for a host and path, and ignores every other.
func checkOthers(v view) error {
	own := locations(spec(v.route), stables(v.Backends))
	for _, o := range v.Parties {
		for _, route := range o.Objects {
			if className(route) != className(v.route) {
				continue // Another controller's.
			}
			for _, at := range locations(spec(route), stables(o.Backends)) {
				switch {
				case !slices.Contains(own, at):
				case o.Release == "":
					return fmt.Errorf("spec.traffic[].ingress.name: Ingress %s and Ingress %s both serve %s, "+
						"and ingress-nginx takes one canary for a host and path; name one of the two",
						v.route.GetName(), route.GetName(), at)
				default:
					return &traffic.Busy{Release: o.Release, Why: fmt.Sprintf("it may have a canary for %s (Ingress %s), "+
						"and ingress-nginx takes one for a host and path", at, route.GetName())}
				}
			}
		}
	}
	return nil
}

func checkRoute(v view) error {
	name := v.route.GetName()
	if isCanary(v.route.GetAnnotations()) {
		return fmt.Errorf("spec.traffic[].ingress.name: Ingress %s is a canary itself (annotation %s); name the Ingress "+
			"that it is the canary of, and remove %s", name, canaryOn, name)
	}
	if problem := unrouted(v); problem != "" {
		return fmt.Errorf("spec.traffic[].ingress.name: %s; name the Ingress that does", problem)
	}
	for _, b := range v.Backends {
		if b.Canary.Service != "" && slices.Contains(backendNames(spec(v.route)), b.Canary.Service) {
			return fmt.Errorf("spec.traffic[].ingress.name: Ingress %s already has a backend of Service %s, "+
				"which Sluice makes for the canary alone; remove that backend", name, b.Canary.Service)
		}
	}
	if v.beside != nil && v.beside.GetAnnotations()[ChangedAt] == "" {
		return fmt.Errorf("spec.traffic[].ingress.name: Ingress %s exists and is not Sluice's, "+
			"and a path can have only one canary Ingress; remove it", v.beside.GetName())
	}
	return nil
}

// unrouted says how the team's Ingress fails to lead to the workload; empty if it does lead there.
func unrouted(v view) string {
	if v.route == nil || routes(canarySpec(spec(v.route), services(v.Backends))) {
		return ""
	}
	var wanted []string
	for _, b := range v.Backends {
		wanted = append(wanted, b.Stable.Service)
	}
	return fmt.Sprintf("Ingress %s has no backend of the workload's Services (%s), only of %s",
		v.route.GetName(), joined(wanted), joined(backendNames(spec(v.route))))
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// checkMatches refuses what one set of canary annotations cannot say: it has room for one header or one cookie
// of each kind, either of which is enough.
func checkMatches(field string, matches []release.Match) error {
	header, cookie := "", ""
	for j, m := range matches {
		at := fmt.Sprintf("%s[%d]", field, j)
		if err := checkEntry(at, m); err != nil {
			return err
		}
		if len(m.Headers) == 1 {
			if header != "" {
				return fmt.Errorf("%s.headers: ingress-nginx can match one header, and %s has it already; keep one of the two, "+
					"or use a regex that takes both values", at, header)
			}
			header = at
		}
		if len(m.Cookies) == 1 {
			if cookie != "" {
				return fmt.Errorf("%s.cookies: ingress-nginx can match one cookie, and %s has it already; keep one of the two", at,
					cookie)
			}
			cookie = at
		}
	}
	return nil
}

func checkEntry(at string, m release.Match) error {
	switch {
	case len(m.Headers)+len(m.Cookies) == 0:
		return fmt.Errorf("%s: matches nothing; set headers or cookies", at)
	case len(m.Headers) > 1:
		return fmt.Errorf("%s.headers[1]: ingress-nginx can match one header; keep one", at)
	case len(m.Cookies) > 1:
		return fmt.Errorf("%s.cookies[1]: ingress-nginx can match one cookie; keep one", at)
	case len(m.Headers) == 1 && len(m.Cookies) == 1:
		return fmt.Errorf("%s: ingress-nginx cannot ask for a header and a cookie at once; keep one, or make two entries, "+
			"either of which is enough", at)
	case len(m.Headers) == 1:
		return checkHeader(at+".headers[0]", m.Headers[0])
	}
	return checkCookie(at+".cookies[0]", m.Cookies[0])
}

func checkHeader(at string, h release.HeaderMatch) error {
	switch {
	case h.Value != "" && h.Regex != "":
		return fmt.Errorf("%s: has a value and a regex, of which ingress-nginx would ignore the regex; keep one", at)
	case h.Value == "" && h.Regex == "":
		return fmt.Errorf("%s: has neither value nor regex; set one", at)
	case !headerName.MatchString(h.Name):
		return fmt.Errorf("%s.name: nginx drops a header of the name %q; use letters, digits, - and _ only", at, h.Name)
	case !plain.MatchString(h.Value):
		return fmt.Errorf("%s.value: ingress-nginx refuses %q in an annotation; use letters, digits, spaces and -._~/: only",
			at, h.Value)
	case !pattern.MatchString(h.Regex):
		return fmt.Errorf(`%s.regex: ingress-nginx refuses %q in an annotation; use letters, digits and -._~/:^$[](){}*+?|&=\ only`, at, h.Regex)
	}
	return nil
}

func checkCookie(at string, c release.CookieMatch) error {
	switch {
	case c.Value != always:
		return fmt.Errorf("%s.value: ingress-nginx sends a request to the canary when the cookie is %q, and cannot look "+
			"for %q; set value: %s", at, always, c.Value, always)
	case c.Name == "" || !plain.MatchString(c.Name):
		return fmt.Errorf("%s.name: ingress-nginx refuses %q in an annotation; use letters, digits and -._~ only", at, c.Name)
	}
	return nil
}
