package gatewayapi

import "math"

// strip takes out of the rules what is ours: generated rules and canary refs. Weights become those of the rule
// in original that the split was made from, if it is found there.
func (t twins) strip(rules, original []any) []any {
	out := make([]any, 0, len(rules))
	used := make([]bool, len(original))
	for _, rule := range rules {
		switch {
		case t.generated(rule):
			if from := t.bereft(rule, rules, original); from != nil {
				out = append(out, withRefs(rule, copied(refsOf(from))))
			}
		case t.hasCanary(rule):
			out = append(out, withRefs(rule, t.joinedRefs(rule, len(out), original, used)))
		default:
			out = append(out, copied(rule))
		}
	}
	return out
}

func withRefs(rule any, refs []any) map[string]any {
	out := copied(object(rule))
	out["backendRefs"] = refs
	return out
}

// bereft finds the rule of the team's that looks like a generated one only because somebody took its stable
// backend away: it is the same but for the backends, and stands nowhere else.
func (t twins) bereft(rule any, rules, original []any) any {
	bare := without(object(rule), "backendRefs")
	for _, other := range rules {
		if !t.generated(other) && same(bare, without(object(other), "backendRefs")) {
			return nil
		}
	}
	for _, from := range original {
		if t.takesPart(from) && same(bare, without(object(from), "backendRefs")) {
			return from
		}
	}
	return nil
}

// joinedRefs are the refs of a split rule with the canaries' weights back at their stable twins'.
func (t twins) joinedRefs(rule any, position int, original []any, used []bool) []any {
	refs, weights := t.join(refsOf(rule))
	if i := t.source(rule, position, original, used, refs, weights); i >= 0 {
		used[i] = true
		return copied(refsOf(original[i]))
	}
	weights, _ = fit(reduce(weights))
	for i, ref := range refs {
		refs[i] = withWeight(ref, weights[i])
	}
	return refs
}

// source finds the rule that a split one was made from: its backends have the same shares. Of several the one
// with the very same weights is taken, then one that is alike in all else, then the one at the same place.
func (t twins) source(rule any, position int, original []any, used []bool, refs []any, weights []int64) int {
	percent, bare := func(party int) int64 { return t.percent(rule, party) }, without(object(rule), "backendRefs")
	found, best := -1, -1
	for i, candidate := range original {
		split, _ := t.splitRefs(refsOf(candidate), percent, nil)
		exact := same(split, refsOf(rule))
		if used[i] || !exact && !(sameRefs(refs, refsOf(candidate)) && proportional(weights, refsOf(candidate))) {
			continue
		}
		score := 0
		for bit, holds := range []bool{i == position, same(bare, without(object(candidate), "backendRefs")), exact} {
			if holds {
				score |= 1 << bit
			}
		}
		if score > best {
			found, best = i, score
		}
	}
	return found
}

// join lists the refs without canaries, and with the weights of both twins together.
func (t twins) join(refs []any) (joined []any, weights []int64) {
	for _, ref := range refs {
		if t.role(ref) != canary {
			joined, weights = append(joined, ref), append(weights, weightOf(ref))
		}
	}
	paired := make([]bool, len(joined))
	for _, ref := range refs {
		if t.role(ref) != canary {
			continue
		}
		if i := t.partner(ref, joined, paired); i >= 0 {
			paired[i] = true
			weights[i] += weightOf(ref)
		}
	}
	return joined, weights
}

// partner finds the stable ref that a canary ref was made from: the one that is the same but for name and
// weight, or else, if somebody edited one of the two, any of that Service.
func (t twins) partner(ref any, joined []any, paired []bool) int {
	service := t.stableOf[text(object(ref)["name"], "")]
	rest := without(object(ref), "name", "weight")
	found := -1
	for i, candidate := range joined {
		if paired[i] || t.role(candidate) != stable || text(object(candidate)["name"], "") != service {
			continue
		}
		if same(rest, without(object(candidate), "name", "weight")) {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// sameRefs compares refs but for their weights.
func sameRefs(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if object(a[i]) == nil || object(b[i]) == nil ||
			!same(without(object(a[i]), "weight"), without(object(b[i]), "weight")) {
			return false
		}
	}
	return true
}

// proportional says whether the weights stand to each other as those of the refs do.
func proportional(weights []int64, refs []any) bool {
	var x, y int64
	for i, w := range weights {
		v := weightOf(refs[i])
		if (w == 0) != (v == 0) {
			return false
		}
		if w == 0 {
			continue
		}
		if x == 0 {
			x, y = w, v
		}
		if w*y != v*x {
			return false
		}
	}
	return true
}

// percent is the canary's share of a workload's part in a rule: 0 or 100 only when it is exactly that.
func (t twins) percent(rule any, party int) int64 {
	var all, ours int64
	for _, ref := range refsOf(rule) {
		switch {
		case t.is(ref, canary, party):
			ours += weightOf(ref)
			all += weightOf(ref)
		case t.is(ref, stable, party):
			all += weightOf(ref)
		}
	}
	if ours == 0 || all == 0 {
		return 0
	}
	if ours == all {
		return 100
	}
	return min(max(int64(math.Round(float64(ours)*100/float64(all))), 1), 99)
}
