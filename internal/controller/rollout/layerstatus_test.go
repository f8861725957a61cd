package rollout

import (
	"slices"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/traffic/ingress"
)

// TestLayersInStatus: while a release is under way its status tells of each layer, and no longer when it has ended.
func TestLayersInStatus(t *testing.T) {
	for verb, end := range ends {
		c := underWay(t)
		c.settle()
		layers := c.release("shop-1").Status.Layers
		if len(layers) != 1 {
			t.Fatalf("%d layers, want 1; %s", len(layers), c.tells())
		}
		l := layers[0]
		if l.Name != "ingress/web" || l.Weight == nil || *l.Weight != 50 || !l.InForce || l.Until != nil || l.Problem != "" {
			t.Errorf("at the step of 50%%: %+v", l)
		}
		if !slices.Equal(l.Services, []string{"web"}) {
			t.Errorf("it leads to %v", l.Services)
		}
		c.decide(verb, "shop-1")
		c.settle()
		if s := c.release("shop-1").Status; s.Phase != end || s.Layers != nil {
			t.Errorf("ended as %s with layers %+v", s.Phase, s.Layers)
		}
	}
}

// TestLayerStatus: a layer is in force when it has accepted what it has and has had its time; until then the
// status says when that is over.
func TestLayerStatus(t *testing.T) {
	now := time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)
	since := now.Add(-3 * time.Second)
	seen := release.Memory{Layers: []release.LayerSeen{{Layer: "ingress/web", Version: "2", Since: since}}}
	state := traffic.State{
		Routed: true, Accepted: true, Version: "2", Split: traffic.Split{Weight: 20, Matches: make([]release.Match, 2)},
	}
	for name, test := range map[string]struct {
		settle   time.Duration
		change   func(*traffic.State)
		inForce  bool
		until    time.Time
		problem  string
		unrouted bool
	}{
		"it reports when it has followed": {inForce: true},
		"it is given time":                {settle: 5 * time.Second, until: now.Add(2 * time.Second)},
		"its time is over":                {settle: 3 * time.Second, inForce: true},
		"it has not accepted": {
			change: func(s *traffic.State) { s.Accepted, s.Problem = false, "no such class" }, problem: "no such class",
		},
		"it has no route": {
			change: func(s *traffic.State) { *s = traffic.State{Accepted: true} }, inForce: true, unrouted: true,
		},
	} {
		s := state
		if test.change != nil {
			test.change(&s)
		}
		w := &world{now: now, layers: []*layer{{
			name: "ingress/web", settle: test.settle, provider: ingress.New("web", ""), state: s,
			world: traffic.World{Backends: []traffic.Backend{traffic.Twins("web", "web-canary")}},
		}}}
		want := v1alpha1.LayerStatus{Name: "ingress/web", InForce: test.inForce, Problem: test.problem}
		if !test.unrouted {
			want.Weight, want.Matches = ptr.To(int32(20)), 2
		}
		got := w.layerStatus(seen)[0]
		if until := timeOf(got.Until); !until.Equal(test.until) {
			t.Errorf("%s: until %s, want %s", name, until, test.until)
		}
		if got.InForce != want.InForce || got.Problem != want.Problem || got.Matches != want.Matches ||
			(got.Weight == nil) != (want.Weight == nil) || got.Weight != nil && *got.Weight != *want.Weight {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
