package traffictest

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// Fuzz gives the provider any JSON for its objects and any words for its split: it must answer, and must not
// change what it was given. Each seed is one of the team's objects.
func Fuzz(f *testing.F, l Layer, seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		f.Add([]byte(seed), []byte(seed), []byte(`{"rules":[]}`), 20, "X-Canary", "always")
		f.Add([]byte(seed), []byte(`{}`), []byte(`{"rules":null}`), 100, "", "a.b")
	}
	f.Add([]byte(`{"metadata":1,"spec":[]}`), []byte(`{"metadata":{"annotations":[]}}`), []byte(`{"rules":{}}`), -1, "\x00", "(")
	f.Fuzz(func(t *testing.T, team, ours, original []byte, weight int, name, value string) {
		w := traffic.World{
			Backends: []traffic.Backend{traffic.Twins("shop", "shop-canary"), {}},
			Holds:    map[traffic.Ref]traffic.Hold{},
			Now:      time.Unix(0, 0),
		}
		p := l.New("shop")
		w, _ = traffic.Look(p, w, func(o traffic.Object) (*unstructured.Unstructured, error) {
			if o.Part == traffic.Makes {
				return parsed(ours), nil
			}
			if u := parsed(original); u != nil {
				w.Holds[o.Ref] = traffic.Hold{Original: u.Object}
			}
			return parsed(team), nil
		})
		s := traffic.Split{Weight: weight, Matches: []release.Match{
			{Headers: []release.HeaderMatch{{Name: name, Value: value}}},
			{Cookies: []release.CookieMatch{{Name: name, Value: value}}},
			{Headers: []release.HeaderMatch{{Name: value, Regex: name}}},
		}}
		before := frozen(w, s)
		_ = p.Check(w, []traffic.Split{s})
		p.Apply(w, s)
		p.Restore(w)
		p.Read(w)
		traffic.TargetsOf(p, w)
		if frozen(w, s) != before {
			t.Fatal("changed what it was given")
		}
	})
}

// parsed is nil for what is no JSON object.
func parsed(b []byte) *unstructured.Unstructured {
	object := map[string]any{}
	if err := utiljson.Unmarshal(b, &object); err != nil || object == nil {
		return nil
	}
	return &unstructured.Unstructured{Object: object}
}
