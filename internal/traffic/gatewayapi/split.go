package gatewayapi

import (
	"math"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// What the Gateway API allows in one HTTPRoute.
const (
	maxRules          = 16
	maxMatchesPerRule = 64
	maxMatches        = 128
	maxRefs           = 16
	maxHeaders        = 16
)

// splitRules works the split into the team's rules, and says whether all weights are exact.
func (t twins) splitRules(team []any, s traffic.Split) (rules []any, exact bool) {
	rules, exact = make([]any, 0, len(team)), true
	for _, rule := range team {
		if !t.takesPart(rule) {
			rules = append(rules, copied(rule))
			continue
		}
		rules = append(rules, t.generate(object(rule), s.Matches)...)
		main := copied(object(rule))
		refs, fits := t.splitRefs(refsOf(rule), int64(s.Weight))
		main["backendRefs"] = refs
		exact = exact && fits
		rules = append(rules, main)
	}
	return rules, exact
}

// generate makes the rules for a step's matches: the team's rule, for requests that match one of the entries
// too, with the canary in the workload's place. They stand before it, and are narrower, so they come first.
func (t twins) generate(rule map[string]any, matches []release.Match) []any {
	combined := combine(list(rule["matches"]), fitting(list(rule["matches"]), matches))
	size := maxMatchesPerRule
	if needsSingleMatch(rule) {
		size = 1
	}
	var out []any
	for chunk := range slices.Chunk(combined, size) {
		g := copied(rule)
		delete(g, "name") // a name must be unique in its route
		g["matches"] = slices.Clone(chunk)
		g["backendRefs"] = t.canaryRefs(refsOf(rule))
		out = append(out, g)
	}
	return out
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

// canaryRefs are the refs with every Service of the workload replaced by its twin.
func (t twins) canaryRefs(refs []any) []any {
	out := make([]any, 0, len(refs))
	for _, ref := range refs {
		if t.role(ref) == stable {
			out = append(out, named(ref, t.canaryOf[text(object(ref)["name"], "")]))
			continue
		}
		out = append(out, copied(ref))
	}
	return out
}

// splitRefs divides the weight of each of the workload's Services between it and its twin, which stands next to
// it. Without a share the twin is left out, since not all gateways take a weight of 0 well.
func (t twins) splitRefs(refs []any, percent int64) (out []any, exact bool) {
	factor := t.factor(refs, percent)
	var weights []int64
	for _, ref := range refs {
		w := weightOf(ref) * factor
		if percent <= 0 || w == 0 || t.role(ref) != stable {
			out, weights = append(out, ref), append(weights, w)
			continue
		}
		share := w * percent / 100 // whole, thanks to the factor
		out = append(out, ref, named(ref, t.canaryOf[text(object(ref)["name"], "")]))
		weights = append(weights, w-share, share)
	}
	weights, exact = fit(weights)
	for i, ref := range out {
		out[i] = withWeight(ref, weights[i])
	}
	return out, exact
}

// factor by which all weights of a rule are multiplied so that the shares are whole numbers.
func (t twins) factor(refs []any, percent int64) int64 {
	for _, ref := range refs {
		if t.role(ref) == stable && weightOf(ref)*percent%100 != 0 {
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
