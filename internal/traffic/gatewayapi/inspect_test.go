package gatewayapi_test

import (
	"fmt"
	"math/big"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

// inspect holds a split route against the team's. It knows the Gateway API and not how the split is made: it
// walks both lists of rules side by side and compares the shares of all backends as exact fractions.
func inspect(team traffictest.Objects, w traffic.World, s traffic.Split) error {
	want, have := rulesOf(only(team)), rulesOf(only(w.Objects))
	canaries := map[string]string{}
	for _, b := range w.Backends {
		canaries[b.Stable.Service] = b.Canary.Service
	}
	at := 0
	for i, rule := range want {
		extra := 0
		for at < len(have) && !sameButMatches(rule, have[at], canaries, s) {
			if err := inspectGenerated(rule, have[at], canaries); err != nil {
				return fmt.Errorf("rule %d, for the team's rule %d: %w", at, i, err)
			}
			extra += len(list(have[at]["matches"]))
			at++
		}
		if at == len(have) {
			return fmt.Errorf("the team's rule %d is gone", i)
		}
		if err := inspectRefs(rule, have[at], canaries, s.Weight); err != nil {
			return fmt.Errorf("rule %d: %w", at, err)
		}
		if expected := len(matchesOf(rule)) * len(s.Matches); sends(rule, canaries) && extra != expected {
			return fmt.Errorf("rule %d has %d matches for the testers, not %d", at, extra, expected)
		}
		at++
	}
	if at != len(have) {
		return fmt.Errorf("%d rules too many", len(have)-at)
	}
	return inspectLimits(have)
}

// only is the one object of the layer.
func only(objects traffictest.Objects) *unstructured.Unstructured {
	for _, u := range objects {
		return u
	}
	return nil
}

func rulesOf(u *unstructured.Unstructured) []map[string]any {
	var out []map[string]any
	rules, _, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "rules")
	for _, r := range list(rules) {
		out = append(out, object(r))
	}
	return out
}

// matchesOf are the rule's matches. One without any takes all requests.
func matchesOf(rule map[string]any) []any {
	if matches := list(rule["matches"]); len(matches) > 0 {
		return matches
	}
	return []any{map[string]any{}}
}

func bare(rule map[string]any, fields ...string) map[string]any {
	out := map[string]any{}
	for k, v := range rule {
		out[k] = v
	}
	for _, f := range fields {
		delete(out, f)
	}
	return out
}

// sameButMatches says whether the rule is the team's own, not one for testers.
func sameButMatches(team, rule map[string]any, canaries map[string]string, s traffic.Split) bool {
	if !cmp.Equal(bare(team, "backendRefs"), bare(rule, "backendRefs")) {
		return false
	}
	for _, r := range list(team["backendRefs"]) {
		if _, ours := canaries[name(r)]; !ours {
			continue
		}
		for _, h := range list(rule["backendRefs"]) {
			if name(h) == name(r) {
				return true
			}
		}
		return false
	}
	return true
}

func sends(rule map[string]any, canaries map[string]string) bool {
	for _, r := range list(rule["backendRefs"]) {
		if _, ours := canaries[name(r)]; ours && weight(r) > 0 {
			return true
		}
	}
	return false
}

// inspectGenerated demands the team's rule but for narrower matches and canaries in the workload's place.
func inspectGenerated(team, rule map[string]any, canaries map[string]string) error {
	if diff := cmp.Diff(bare(team, "backendRefs", "matches", "name"), bare(rule, "backendRefs", "matches")); diff != "" {
		return fmt.Errorf("the rule for testers is not like the team's\n%s", diff)
	}
	want := shares(team, canaries, 100)
	if diff := cmp.Diff(want, shares(rule, nil, 0)); diff != "" {
		return fmt.Errorf("the rule for testers goes elsewhere\n%s", diff)
	}
	for _, m := range list(rule["matches"]) {
		narrower := false
		for _, own := range matchesOf(team) {
			a, b := object(own), object(m)
			more := list(b["headers"])
			n := len(list(a["headers"]))
			narrower = narrower || len(more) > n && cmp.Equal(bare(a, "headers"), bare(b, "headers")) &&
				(n == 0 || cmp.Equal(list(a["headers"]), more[:n]))
		}
		if !narrower {
			return fmt.Errorf("match %v is not narrower than any of the team's", m)
		}
	}
	return nil
}

func inspectRefs(team, rule map[string]any, canaries map[string]string, percent int) error {
	if diff := cmp.Diff(shares(team, canaries, percent), shares(rule, nil, 0)); diff != "" {
		return fmt.Errorf("other shares than asked for\n%s", diff)
	}
	if percent == 0 && !cmp.Equal(team, rule) {
		return fmt.Errorf("changed at weight 0\n%s", cmp.Diff(team, rule))
	}
	return nil
}

// shares of a rule's requests by backend, all fields but the weight, with the canary's percent taken from each
// of the workload's Services.
func shares(rule map[string]any, canaries map[string]string, percent int) map[string]string {
	total := int64(0)
	for _, r := range list(rule["backendRefs"]) {
		total += weight(r)
	}
	sums := map[string]*big.Rat{}
	add := func(key string, weight, part int64) {
		if weight*part == 0 {
			return
		}
		if sums[key] == nil {
			sums[key] = new(big.Rat)
		}
		sums[key].Add(sums[key], big.NewRat(weight*part, total*100))
	}
	for _, r := range list(rule["backendRefs"]) {
		ref := object(r)
		twin, ours := canaries[name(ref)]
		if !ours {
			add(fmt.Sprint(bare(ref, "weight")), weight(ref), 100)
			continue
		}
		add(fmt.Sprint(bare(ref, "weight")), weight(ref), int64(100-percent))
		canary := bare(ref, "weight")
		canary["name"] = twin
		add(fmt.Sprint(canary), weight(ref), int64(percent))
	}
	out := map[string]string{}
	for k, v := range sums {
		out[k] = v.String()
	}
	return out
}

func name(ref any) string {
	s, _ := object(ref)["name"].(string)
	if ns, ok := object(ref)["namespace"].(string); ok && ns != "demo" {
		return ns + "/" + s
	}
	return s
}

func weight(ref any) int64 {
	w, ok := object(ref)["weight"].(int64)
	if !ok {
		return 1
	}
	return w
}

// inspectLimits holds the rules against the limits in the CRD.
func inspectLimits(rules []map[string]any) error {
	total := 0
	for i, rule := range rules {
		total += len(list(rule["matches"]))
		if len(list(rule["matches"])) > 64 || len(list(rule["backendRefs"])) > 16 {
			return fmt.Errorf("rule %d is over the limits of the API", i)
		}
		for _, r := range list(rule["backendRefs"]) {
			if w := weight(r); w < 0 || w > 1_000_000 {
				return fmt.Errorf("rule %d has a weight of %d", i, w)
			}
		}
	}
	if len(rules) > 16 || total > 128 {
		return fmt.Errorf("%d rules with %d matches are over the limits of the API", len(rules), total)
	}
	return nil
}
