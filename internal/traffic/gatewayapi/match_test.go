package gatewayapi_test

import (
	"regexp"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/gatewayapi"
	"github.com/sluice-dev/sluice/internal/traffic/traffictest"
)

// TestCookieExpression asks the expression that a gateway gets whether it finds the cookie and nothing like it,
// in engines that match the whole value and in those that look anywhere.
func TestCookieExpression(t *testing.T) {
	tests := []struct {
		cookie release.CookieMatch
		header string
		want   bool
	}{
		{release.CookieMatch{Name: "canary", Value: "always"}, "canary=always", true},
		{release.CookieMatch{Name: "canary", Value: "always"}, "a=b; canary=always; c=d", true},
		{release.CookieMatch{Name: "canary", Value: "always"}, "a=b;canary=always", true},
		{release.CookieMatch{Name: "canary", Value: "always"}, "canary=always2", false},
		{release.CookieMatch{Name: "canary", Value: "always"}, "my-canary=always", false},
		{release.CookieMatch{Name: "canary", Value: "always"}, "a=canary=always", false},
		{release.CookieMatch{Name: "c.n", Value: "a"}, "c.n=a", true},
		{release.CookieMatch{Name: "c.n", Value: "a"}, "cxn=a", false},
		{release.CookieMatch{Name: "c", Value: "(a|b).*"}, "c=(a|b).*", true},
		{release.CookieMatch{Name: "c", Value: "(a|b).*"}, "c=a", false},
	}
	for _, test := range tests {
		expression := addedExpression(t, release.Match{Cookies: []release.CookieMatch{test.cookie}})
		for _, re := range []string{expression, "^(?:" + expression + ")$"} {
			if have := regexp.MustCompile(re).MatchString(test.header); have != test.want {
				t.Errorf("%s on %q: %v, want %v", re, test.header, have, test.want)
			}
		}
	}
}

func TestHeaderExpressionMatchesTheWholeValue(t *testing.T) {
	re := regexp.MustCompile(addedExpression(t, release.Match{Headers: []release.HeaderMatch{{Name: "Region", Regex: "eu|us"}}}))
	for value, want := range map[string]bool{"eu": true, "us": true, "eu-north": false, "aus": false} {
		if have := re.MatchString(value); have != want {
			t.Errorf("%s on %q: %v, want %v", re, value, have, want)
		}
	}
}

// addedExpression is the one in the rule that is added for the match.
func addedExpression(t *testing.T, m release.Match) string {
	t.Helper()
	route := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"rules": []any{
		map[string]any{"backendRefs": []any{map[string]any{"name": "shop", "port": int64(80)}}},
	}}}}
	p := gatewayapi.NewHTTPRoute("web")
	w := traffic.World{
		Objects:  traffictest.Objects{p.Objects(traffic.World{})[0].Ref: route},
		Backends: []traffic.Backend{traffic.Twins("shop", "shop-canary")}, Now: time.Unix(0, 0),
	}
	change := one(t, p.Apply(w, traffic.Split{Matches: []release.Match{m}}))
	header := object(list(object(list(rulesOf(change.After)[0]["matches"])[0])["headers"])[0])
	if header["type"] != "RegularExpression" {
		t.Fatalf("not an expression: %v", header)
	}
	return header["value"].(string)
}

// TestHoldDecodedOtherwise: a Hold that was decoded with floating numbers is no edit of the team's.
func TestHoldDecodedOtherwise(t *testing.T) {
	rules := func(port, weight any) []any {
		return []any{map[string]any{"backendRefs": []any{map[string]any{"name": "shop", "port": port, "weight": weight}}}}
	}
	p := gatewayapi.NewHTTPRoute("web")
	ref := p.Objects(traffic.World{})[0].Ref
	spec := map[string]any{"rules": rules(int64(80), int64(1))}
	route := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	w := traffic.World{
		Objects:  traffictest.Objects{ref: route},
		Holds:    map[traffic.Ref]traffic.Hold{ref: {Original: map[string]any{"rules": rules(80.0, 1.0)}, Held: true}},
		Backends: []traffic.Backend{traffic.Twins("shop", "shop-canary")},
	}
	if changes := p.Restore(w); len(changes) != 1 || changes[0].After != nil || !changes[0].ReleaseHold {
		t.Errorf("Restore wants %+v", changes)
	}
	if change := one(t, p.Apply(w, traffic.Split{Weight: 20})); change.Hold != nil {
		t.Errorf("Apply wants %+v", change)
	}
}
