package gatewayapi

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Check refuses a route that does not lead to the workload, and steps that its rules cannot express.
func (Provider) Check(w traffic.World, splits []traffic.Split) error {
	if w.Route == nil {
		return errors.New("spec.traffic[].httpRoute: there is no such HTTPRoute; create it or correct the name")
	}
	t := newTwins(w)
	team, _ := t.teamRules(w)
	if err := t.checkRoute(w, team); err != nil {
		return err
	}
	for i, s := range splits {
		step := fmt.Sprintf("spec.canary.steps[%d]", i)
		if s.Weight < 0 || s.Weight > 100 {
			return fmt.Errorf("%s.weight: %d is not a share in percent; set 0 to 100", step, s.Weight)
		}
		if err := t.checkMatches(step+".match", s.Matches, team); err != nil {
			return err
		}
		if err := t.checkLimits(step, w.Route.GetName(), team, s); err != nil {
			return err
		}
	}
	return nil
}

// CheckSplits refuses matches that no HTTPRoute can say.
func (Provider) CheckSplits(splits []traffic.Split) []error {
	for i, s := range splits {
		for j, m := range s.Matches {
			if err := checkEntry(fmt.Sprintf("spec.canary.steps[%d].match[%d]", i, j), m); err != nil {
				return []error{err}
			}
		}
	}
	return nil
}

func (t twins) checkRoute(w traffic.World, team []any) error {
	name := w.Route.GetName()
	if !t.takePart(team) {
		var wanted []string
		for _, b := range w.Backends {
			wanted = append(wanted, b.Stable)
		}
		return fmt.Errorf("spec.traffic[].httpRoute.name: HTTPRoute %s sends no requests to the workload's Services (%s), only to %s; name the HTTPRoute that does",
			name, joined(wanted), joined(backendNames(team)))
	}
	if w.Original != nil {
		return nil
	}
	for _, rule := range rulesOf(w.Route) {
		for _, ref := range refsOf(rule) {
			if t.role(ref) == canary {
				return fmt.Errorf("spec.traffic[].httpRoute.name: HTTPRoute %s already has a backend of Service %s, which Sluice makes for the canary alone; remove that backend",
					name, text(object(ref)["name"], ""))
			}
		}
	}
	return nil
}

func joined(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// backendNames lists the backends of the rules in order, each once.
func backendNames(rules []any) []string {
	var names []string
	seen := map[string]bool{}
	for _, rule := range rules {
		for _, ref := range refsOf(rule) {
			name := text(object(ref)["name"], "")
			if namespace := text(object(ref)["namespace"], ""); namespace != "" {
				name = namespace + "/" + name
			}
			if name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

func (t twins) checkMatches(field string, matches []release.Match, team []any) error {
	for j, m := range matches {
		at := fmt.Sprintf("%s[%d]", field, j)
		if err := checkEntry(at, m); err != nil {
			return err
		}
		headers := headersOf(m)
		if name := clash(headers, nil); name != "" {
			return fmt.Errorf("%s: header %s stands there twice, and a gateway looks only at the first (cookies are matched in the header Cookie); keep one, or use a regex that covers both", at, name)
		}
		for i, rule := range team {
			if !t.takesPart(rule) {
				continue
			}
			if name := clash(headers, list(object(rule)["matches"])); name != "" {
				return fmt.Errorf("%s: header %s is matched by spec.rules[%d] of the HTTPRoute already, and a gateway looks only at the first match of a header; use another header", at, name, i)
			}
		}
	}
	return nil
}

func checkEntry(at string, m release.Match) error {
	if len(m.Headers)+len(m.Cookies) == 0 {
		return fmt.Errorf("%s: matches nothing; set headers or cookies", at)
	}
	for k, h := range m.Headers {
		if h.Name == "" || (h.Value == "") == (h.Regex == "") {
			return fmt.Errorf("%s.headers[%d]: needs a name, and either a value or a regex; set one of the two", at, k)
		}
		if _, err := regexp.Compile(h.Regex); err != nil {
			return fmt.Errorf("%s.headers[%d].regex: %q is no regular expression in the syntax RE2 (%w); mend it, as ^(eu|us)-.*$", at, k, h.Regex, err)
		}
	}
	for k, c := range m.Cookies {
		if k > 0 {
			return fmt.Errorf("%s.cookies[%d]: an HTTPRoute can match one cookie at a time; keep one, or make two entries, either of which is enough", at, k)
		}
		if c.Name == "" || c.Value == "" {
			return fmt.Errorf("%s.cookies[%d]: needs a name and a value; set both", at, k)
		}
	}
	return nil
}

// checkLimits counts what the Gateway API's own limits are about, in the rules as they would be.
func (t twins) checkLimits(step, route string, team []any, s traffic.Split) error {
	rules, exact := t.splitRules(team, s)
	if !exact {
		return fmt.Errorf("%s.weight: %d%% cannot be expressed exactly with the weights in the backendRefs of HTTPRoute %s, as no weight may be over %d; use smaller weights there", step, s.Weight, route, maxWeight)
	}
	if len(rules) > maxRules {
		return fmt.Errorf("%s.match: HTTPRoute %s would have %d rules, and %d are allowed; join rules of it, or leave match out", step, route, len(rules), maxRules)
	}
	total := 0
	for i, rule := range rules {
		total += max(1, len(list(object(rule)["matches"])))
		if n := len(refsOf(rule)); n > maxRefs {
			return fmt.Errorf("%s.weight: a rule of HTTPRoute %s would have %d backendRefs, and %d are allowed; remove some from spec.rules", step, route, n, maxRefs)
		}
		for _, m := range list(object(rule)["matches"]) {
			if n := len(list(object(m)["headers"])); n > maxHeaders {
				return fmt.Errorf("%s.match: rules[%d] of HTTPRoute %s would match %d headers at once, and %d are allowed; match fewer", step, i, route, n, maxHeaders)
			}
		}
	}
	if total > maxMatches {
		return fmt.Errorf("%s.match: HTTPRoute %s would have %d matches, and %d are allowed; use fewer entries in match, or fewer matches in the HTTPRoute", step, route, total, maxMatches)
	}
	return nil
}
