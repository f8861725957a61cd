package gatewayapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Check refuses a route that does not lead to the workload, and steps that its rules cannot express.
func (provider Provider) Check(w traffic.World, splits []traffic.Split) error {
	v := provider.view(w)
	if v.route == nil {
		return fmt.Errorf("spec.traffic[].%s: there is no such %s; create it or correct the name",
			provider.kind.field, provider.kind.Kind)
	}
	p := newParties(v)
	team, _ := p.teamRules(v)
	if err := p.checkRoute(v, team); err != nil {
		return err
	}
	for i, s := range splits {
		step := fmt.Sprintf("spec.canary.steps[%d]", i)
		if s.Weight < 0 || s.Weight > 100 {
			return fmt.Errorf("%s.weight: %d is not a share in percent; set 0 to 100", step, s.Weight)
		}
		if err := p.checkMatches(step+".match", s.Matches, team); err != nil {
			return err
		}
		if err := p.checkAlone(step, v.ref, team, s); err != nil {
			return err
		}
	}
	return checkOthers(v, team, splits)
}

// CheckSplits refuses matches that no route of the kind can say.
func (provider Provider) CheckSplits(splits []traffic.Split) []error {
	for i, s := range splits {
		for j, m := range s.Matches {
			if err := provider.kind.checkEntry(fmt.Sprintf("spec.canary.steps[%d].match[%d]", i, j), m); err != nil {
				return []error{err}
			}
		}
	}
	return nil
}

func (p parties) checkRoute(v view, team []any) error {
	if !p.takesPartIn(team) {
		var wanted []string
		for _, b := range v.Backends {
			wanted = append(wanted, b.Stable.Service)
		}
		return fmt.Errorf("spec.traffic[].%s.name: %s sends no requests to the workload's Services (%s), "+
			"only to %s; name the %s that does",
			v.kind.field, v.ref, joined(wanted), joined(backendNames(team)), v.kind.Kind)
	}
	if v.hold.Held {
		return nil
	}
	rules := rulesOf(v.route)
	if v.hold.Original != nil {
		rules = list(v.hold.Original["rules"]) // What another release has made of it is no concern of the team's.
	}
	for _, rule := range rules {
		for _, ref := range refsOf(rule) {
			if p.is(ref, canary, p.own) {
				return fmt.Errorf("spec.traffic[].%s.name: %s already has a backend of Service %s, which "+
					"Sluice makes for the canary alone; remove that backend",
					v.kind.field, v.ref, text(object(ref)["name"], ""))
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

func (p parties) checkMatches(field string, matches []release.Match, team []any) error {
	for j, m := range matches {
		at := fmt.Sprintf("%s[%d]", field, j)
		if err := p.kind.checkEntry(at, m); err != nil {
			return err
		}
		headers := headersOf(m)
		if name := clash(headers, nil); name != "" {
			return fmt.Errorf("%s: header %s stands there twice, and a gateway looks only at the first%s; keep one, or use a "+
				"regex that covers both", at, name, p.kind.aboutCookies())
		}
		for i, rule := range team {
			if !p.partOf(rule, p.own) {
				continue
			}
			if name := clash(headers, list(object(rule)["matches"])); name != "" {
				return fmt.Errorf("%s: header %s is matched by spec.rules[%d] of the %s already, and a gateway looks "+
					"only at the first match of a header; use another header", at, name, i, p.kind.Kind)
			}
		}
	}
	return nil
}

func (k kind) checkEntry(at string, m release.Match) error {
	if len(m.Cookies) > 0 && !k.cookies {
		return fmt.Errorf("%s.cookies: a %s cannot match cookies; match a header instead", at, k.Kind)
	}
	if len(m.Headers)+len(m.Cookies) == 0 {
		return fmt.Errorf("%s: matches nothing; set %s", at, k.matchFields())
	}
	for k, h := range m.Headers {
		if h.Name == "" || (h.Value == "") == (h.Regex == "") {
			return fmt.Errorf("%s.headers[%d]: needs a name, and either a value or a regex; set one of the two", at, k)
		}
		if _, err := regexp.Compile(h.Regex); err != nil {
			return fmt.Errorf("%s.headers[%d].regex: %q is no regular expression in the syntax RE2 (%w); mend it, as "+
				"^(eu|us)-.*$", at, k, h.Regex, err)
		}
	}
	for k, c := range m.Cookies {
		if k > 0 {
			return fmt.Errorf("%s.cookies[%d]: an HTTPRoute can match one cookie at a time; keep one, or make two entries, "+
				"either of which is enough", at, k)
		}
		if c.Name == "" || c.Value == "" {
			return fmt.Errorf("%s.cookies[%d]: needs a name and a value; set both", at, k)
		}
	}
	return nil
}

// checkAlone refuses what goes beyond the Gateway API's own limits, in the rules as they would be if no other release
// worked on the route.
func (p parties) checkAlone(step string, route traffic.Ref, team []any, s traffic.Split) error {
	splits := make([]traffic.Split, p.count)
	splits[p.own] = s
	rules, exact := p.splitRules(team, splits)
	if !exact {
		return fmt.Errorf("%s.weight: %d%% cannot be expressed exactly with the weights in the backendRefs of "+
			"%s, as no weight may be over %d; use smaller weights there", step, s.Weight, route, maxWeight)
	}
	if l := p.kind.exceeded(rules); l.what != "" {
		return fmt.Errorf("%s.%s: %s; %s", step, l.field, l.in(route), l.remedy)
	}
	return nil
}

// limit is one of the Gateway API's that rules go beyond.
type limit struct {
	field, what, remedy string
}

func (l limit) in(route traffic.Ref) string {
	return strings.ReplaceAll(l.what, "ROUTE", route.String())
}

// exceeded is the first limit that the rules go beyond.
func (k kind) exceeded(rules []any) limit {
	if len(rules) > maxRules {
		return limit{
			"match", fmt.Sprintf("ROUTE would have %d rules, and %d are allowed", len(rules), maxRules),
			"join rules of it, or leave match out",
		}
	}
	total := 0
	for i, rule := range rules {
		total += k.matches(rule)
		if n := len(refsOf(rule)); n > maxRefs {
			return limit{
				"weight", fmt.Sprintf("a rule of ROUTE would have %d backendRefs, and %d are allowed", n, maxRefs),
				"remove some from spec.rules",
			}
		}
		for _, m := range list(object(rule)["matches"]) {
			if n := len(list(object(m)["headers"])); n > maxHeaders {
				return limit{"match", fmt.Sprintf("rules[%d] of ROUTE would match %d headers at once, and %d are allowed", i, n,
					maxHeaders), "match fewer"}
			}
		}
	}
	if total > maxMatches {
		return limit{
			"match", fmt.Sprintf("ROUTE would have %d matches, and %d are allowed", total, maxMatches),
			"use fewer entries in match, or fewer matches in the " + k.Kind,
		}
	}
	return limit{}
}

// manyPlans bounds the combinations of several releases' steps that are tried.
const manyPlans = 256

// checkOthers has the release wait for others that work on the route where there is no room for all that they have
// planned at once. They are taken one after another, as they came, so that it is said for whom the release waits.
func checkOthers(v view, team []any, splits []traffic.Split) error {
	var among []traffic.Party
	for _, o := range v.Parties {
		matches, held := o.Held[v.ref]
		if !held && !worksOn(o, v.ref) || len(o.Backends) == 0 {
			continue
		}
		o.Held = map[traffic.Ref][]release.Match{v.ref: matches} // As if it had begun.
		among = append(among, o)
		if why := crowded(v, among, team, splits); why != "" {
			return &traffic.Busy{Release: o.Release, Why: why}
		}
	}
	return nil
}

func worksOn(o traffic.Party, ref traffic.Ref) bool {
	return slices.ContainsFunc(o.Objects, func(u *unstructured.Unstructured) bool { return traffic.RefOf(u) == ref })
}

// crowded says why the route has no room for all steps of the releases at once, in whatever combination.
func crowded(v view, others []traffic.Party, team []any, splits []traffic.Split) string {
	v.Parties = others
	p := newParties(v)
	plans := make([][]traffic.Split, p.count)
	for i := range plans {
		plans[i] = narrowest(splits)
	}
	for _, o := range others {
		if len(o.Backends) > 0 {
			if i, ok := p.party[o.Backends[0].Stable.Service]; ok && i != p.own {
				plans[i] = narrowest(append(slices.Clone(o.Planned), traffic.Split{Matches: o.Held[v.ref]}))
			}
		}
	}
	combinations := 1
	for _, plan := range plans {
		if combinations *= len(plan); combinations > manyPlans {
			return fmt.Sprintf("the releases on %s have too many different matches in their steps "+
				"to be under way at once", v.ref)
		}
	}
	for n := range combinations {
		now := make([]traffic.Split, len(plans))
		for i, plan := range plans {
			now[i] = plan[n%len(plan)]
			n /= len(plan)
		}
		rules, exact := p.splitRules(team, now)
		if !exact {
			return fmt.Sprintf("the shares of both in one rule of %s cannot be expressed exactly, "+
				"as no weight may be over %d", v.ref, maxWeight)
		}
		if l := p.kind.exceeded(rules); l.what != "" {
			return "with both of them " + l.in(v.ref)
		}
	}
	return ""
}

// narrowest are the different matches of steps, each with the weight that is the hardest to express.
func narrowest(splits []traffic.Split) []traffic.Split {
	out := []traffic.Split{{Weight: 1}}
	for _, s := range splits {
		if !slices.ContainsFunc(out, func(o traffic.Split) bool { return sameMatches(o.Matches, s.Matches) }) {
			out = append(out, traffic.Split{Weight: 1, Matches: s.Matches})
		}
	}
	return out
}
