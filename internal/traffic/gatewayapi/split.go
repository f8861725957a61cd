package gatewayapi

import (
	"math"
	"slices"

	"github.com/sluice-dev/sluice/internal/traffic"
)

// What the Gateway API allows in one route, of either kind.
const (
	maxRules          = 16
	maxMatchesPerRule = 64
	maxMatches        = 128
	maxRefs           = 16
	maxHeaders        = 16
)

// manyTesters is the number of parties with matches from which on not every set of them has a rule of its own.
const manyTesters = 5

// splitRules works each party's split into the team's rules, and says whether all weights are exact.
func (t twins) splitRules(team []any, splits []traffic.Split) (rules []any, exact bool) {
	rules, exact = make([]any, 0, len(team)), true
	for _, rule := range team {
		if !t.takesPart(rule) {
			rules = append(rules, copied(rule))
			continue
		}
		generated, fits := t.generate(object(rule), splits)
		exact = exact && fits
		rules = append(rules, generated...)
		main := copied(object(rule))
		main["backendRefs"], fits = t.splitRefs(refsOf(rule), func(party int) int64 { return int64(splits[party].Weight) },
			nil)
		exact = exact && fits
		rules = append(rules, main)
	}
	return rules, exact
}

// generate makes the rules for the steps' matches: the team's rule, for requests that match one of a party's entries
// too, with the canary in that workload's place. A request may match entries of several parties, so every set of
// parties has its rule, the larger sets first. They stand before the team's rule, and are narrower, so they come first.
func (t twins) generate(rule map[string]any, splits []traffic.Split) (out []any, exact bool) {
	size := maxMatchesPerRule
	if needsSingleMatch(rule) {
		size = 1
	}
	exact = true
	var before []any
	for _, set := range t.testers(rule, splits) {
		fresh := slices.DeleteFunc(t.kind.combine(list(rule["matches"]), set.headers), func(m any) bool {
			return slices.ContainsFunc(before, func(o any) bool { return same(o, m) }) // An earlier rule has them all.
		})
		before = append(before, fresh...)
		for chunk := range slices.Chunk(fresh, size) {
			g := copied(rule)
			delete(g, "name") // a name must be unique in its route
			g["matches"] = slices.Clone(chunk)
			refs, fits := t.splitRefs(refsOf(rule), func(party int) int64 { return int64(splits[party].Weight) }, set.parties)
			g["backendRefs"], exact = refs, exact && fits
			out = append(out, g)
		}
	}
	return out, exact
}

// testers are parties whose canaries some requests are to reach by their headers.
type testers struct {
	parties []int
	headers [][]any
}

// testers are the sets of parties that take part in a rule and have matches, the larger ones first.
func (t twins) testers(rule map[string]any, splits []traffic.Split) []testers {
	var single []testers
	for party, s := range splits {
		if headers := fitting(list(rule["matches"]), s.Matches); len(headers) > 0 && t.partOf(rule, party) {
			single = append(single, testers{[]int{party}, headers})
		}
	}
	if len(single) >= manyTesters {
		return append([]testers{union(single)}, single...)
	}
	var sets []testers
	for bits := 1; bits < 1<<len(single); bits++ {
		var members []testers
		for i, s := range single {
			if bits&(1<<i) != 0 {
				members = append(members, s)
			}
		}
		sets = append(sets, union(members))
	}
	slices.SortStableFunc(sets, func(a, b testers) int { return len(b.parties) - len(a.parties) })
	return sets
}

func union(members []testers) testers {
	all := members[0]
	for _, m := range members[1:] {
		all = testers{append(slices.Clone(all.parties), m.parties...), both(all.headers, m.headers)}
	}
	return all
}

// needsSingleMatch: the API demands exactly one match where a filter replaces a path's prefix.
func needsSingleMatch(rule map[string]any) bool {
	if replacesPrefix(rule["filters"]) {
		return true
	}
	return slices.ContainsFunc(refsOf(rule), func(ref any) bool { return replacesPrefix(object(ref)["filters"]) })
}

func replacesPrefix(filters any) bool {
	return slices.ContainsFunc(list(filters), func(f any) bool {
		for _, field := range []string{"urlRewrite", "requestRedirect"} {
			if object(object(object(f)[field])["path"])["type"] == "ReplacePrefixMatch" {
				return true
			}
		}
		return false
	})
}

// splitRefs divides the weight of each workload's Services between them and their twins, which stand next to them.
// Without a share the twin is left out, since not all gateways take a weight of 0 well. Parties that are whole have
// the twin alone, in the Service's place.
func (t twins) splitRefs(refs []any, percent func(party int) int64, whole []int) (out []any, exact bool) {
	share := func(ref any) (percents int64, all bool) {
		if t.role(ref) != stable {
			return 0, false
		}
		return percent(t.of(ref)), slices.Contains(whole, t.of(ref))
	}
	factor := factor(refs, share)
	var weights []int64
	for _, ref := range refs {
		w := weightOf(ref) * factor
		percents, all := share(ref)
		switch {
		case all:
			out, weights = append(out, t.twin(ref)), append(weights, w)
		case percents <= 0 || w == 0:
			out, weights = append(out, ref), append(weights, w)
		default:
			part := w * percents / 100 // whole, thanks to the factor
			out, weights = append(out, ref, t.twin(ref)), append(weights, w-part, part)
		}
	}
	weights, exact = fit(weights)
	for i, ref := range out {
		out[i] = withWeight(ref, weights[i])
	}
	return out, exact
}

// twin is a copy of a stable ref for the canary Service.
func (t twins) twin(ref any) map[string]any {
	return named(ref, t.canaryOf[text(object(ref)["name"], "")])
}

// factor by which all weights of a rule are multiplied so that the shares are whole numbers.
func factor(refs []any, share func(ref any) (int64, bool)) int64 {
	for _, ref := range refs {
		if percents, all := share(ref); !all && weightOf(ref)*percents%100 != 0 {
			return 100
		}
	}
	return 1
}

// fit brings weights into the range that the API allows, exactly if that can be.
func fit(weights []int64) (fitting []int64, exact bool) {
	if len(weights) == 0 || slices.Max(weights) <= maxWeight {
		return weights, true
	}
	weights = reduce(weights)
	largest := slices.Max(weights)
	if largest <= maxWeight {
		return weights, true
	}
	for i, w := range weights {
		if w > 0 {
			weights[i] = max(1, int64(math.Round(float64(w)*maxWeight/float64(largest))))
		}
	}
	return weights, false
}

// reduce divides the weights by their greatest common divisor.
func reduce(weights []int64) []int64 {
	var divisor int64
	for _, w := range weights {
		divisor = gcd(divisor, w)
	}
	out := slices.Clone(weights)
	for i := range out {
		if divisor > 1 {
			out[i] /= divisor
		}
	}
	return out
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
