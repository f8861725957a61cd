package traffictest

import (
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// SharedGenerator makes up what several releases on one object are to be tried with.
type SharedGenerator struct {
	// Route is the team's one object, which the layer changes, with the Services of several workloads behind it.
	Route func(t *rapid.T) (*unstructured.Unstructured, [][]traffic.Backend)
	// Matches of a step.
	Matches func(t *rapid.T) []release.Match
	// Edit is one that the team may make at any time, on the object as it wrote it or as it is.
	Edit func(t *rapid.T) func(route *unstructured.Unstructured)
	// Inspect says what is wrong with the route, where every party has its split in it.
	Inspect func(team, route *unstructured.Unstructured, parties [][]traffic.Backend, splits []traffic.Split) error
}

// hold is a Hold as the API server has it. It is not to be read together with a route older than the one it was written
// for: that one may have backends of a release that has left since, or rules that the team has changed since.
type hold struct {
	exists     bool
	original   map[string]any
	generation int64
	matches    map[int][]release.Match // of every party that has its name on it
}

func (h hold) clone() hold {
	h.matches = maps.Clone(h.matches)
	return h
}

// shared is a route that several releases work on, each by what its caches show: some version of the Hold and some
// version of the route, not always the last and not always of the same time, but never older than its own last write.
type shared struct {
	*cluster
	route    traffic.Ref
	services [][]traffic.Backend
	routes   []*unstructured.Unstructured
	holds    []hold
	splits   []*traffic.Split // what each party wants; nil: it is not under way
	// wroteRoute and wroteHold are the versions that each party wrote last.
	wroteRoute, wroteHold []int
	writes                int
}

// RandomShared holds the layer to the law for several releases on one object: in whatever order they, the team and
// crashes come, with caches of whatever age. Every share comes out exactly, nobody undoes another's, and the last to
// leave puts the team's object back to the byte.
func RandomShared(t *testing.T, l Layer, g SharedGenerator) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		route, services := g.Route(rt)
		s := &shared{
			cluster: newCluster(l, []*unstructured.Unstructured{route}, nil), services: services,
			splits: make([]*traffic.Split, len(services)),
		}
		s.route = s.first()
		s.wroteRoute, s.wroteHold = make([]int, len(services)), make([]int, len(services))
		s.routes, s.holds = []*unstructured.Unstructured{s.current()}, []hold{{matches: map[int][]release.Match{}}}
		for range rapid.IntRange(1, 12).Draw(rt, "acts") {
			s.act(rt, g)
		}
		s.quiet(rt, g)
		for _, i := range rapid.Permutation(indices(len(services))).Draw(rt, "leaving") {
			s.splits[i] = nil
			s.step(i, rapid.IntRange(0, 2).Draw(rt, "age of route"), rapid.IntRange(0, 2).Draw(rt, "age of Hold"), false)
		}
		s.quiet(rt, g)
		if s.last().exists {
			rt.Fatalf("everybody has left, and the Hold is still there")
		}
		if have, want := teamsPart(s.current()), teamsPart(s.team[s.route]); !equal(have, want) {
			rt.Fatalf("not restored as the team has it\n%s", cmp.Diff(want, have))
		}
	})
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func (s *shared) last() hold { return s.holds[len(s.holds)-1] }

// current is the route as it is.
func (s *shared) current() *unstructured.Unstructured { return s.live[s.route] }

// act is one thing that happens.
func (s *shared) act(rt *rapid.T, g SharedGenerator) {
	party := rapid.IntRange(0, len(s.services)-1).Draw(rt, "party")
	switch rapid.SampledFrom([]string{"split", "split", "split", "leave", "edit", "replace", "reapply"}).Draw(rt, "act") {
	case "split":
		split := traffic.Split{Weight: rapid.OneOf(rapid.IntRange(0, 100),
			rapid.SampledFrom([]int{0, 1, 50, 99, 100})).Draw(rt, "weight")}
		if rapid.Bool().Draw(rt, "matching") {
			split.Matches = g.Matches(rt)
		}
		if s.provider.Check(s.planned(party), []traffic.Split{split}) == nil {
			s.splits[party] = &split
		}
	case "leave":
		s.splits[party] = nil
	case "edit":
		s.settleAll(rt) // What an edit of half a split means is nobody's to say.
		s.edit(g.Edit(rt), false)
		s.edited(rt)
	case "replace":
		s.edit(g.Edit(rt), true)
		s.edited(rt)
	case "reapply":
		s.reapply()
	}
	crash := rapid.Bool().Draw(rt, "crash")
	s.step(party, rapid.IntRange(0, 2).Draw(rt, "age of route"), rapid.IntRange(0, 2).Draw(rt, "age of Hold"), crash)
}

// edited takes an edit in. The law is about what a release would not be refused over.
func (s *shared) edited(rt *rapid.T) {
	s.routes = append(s.routes, s.current())
	for i, split := range s.splits {
		if split == nil {
			continue
		}
		w := s.planned(i)
		w.Objects, w.Holds = Objects{s.route: s.team[s.route]}, nil
		if err := s.provider.Check(w, []traffic.Split{*split}); err != nil {
			rt.Skip(err)
		}
	}
}

// reapply is the team's own manifest once more. While the Hold has the same, nothing comes of it.
func (s *shared) reapply() {
	written, _ := s.stored(s.team[s.route]).Object["spec"].(map[string]any)
	if h := s.last(); h.exists && equal(h.original["rules"], written["rules"]) {
		return
	}
	s.write(s.team[s.route].DeepCopy())
	s.routes = append(s.routes, s.current())
}

// planned is the world as a release sees it that is about to begin.
func (s *shared) planned(party int) traffic.World {
	w := s.seen(party, s.current(), s.last())
	for i, split := range s.splits {
		if i != party && split != nil {
			w.Join(traffic.Party{
				Release: fmt.Sprint(i), Objects: []*unstructured.Unstructured{s.current()}, Backends: s.services[i],
				Planned: []traffic.Split{*split},
			})
		}
	}
	return w
}

// seen is the world as a party's caches show it.
func (s *shared) seen(party int, route *unstructured.Unstructured, h hold) traffic.World {
	w := traffic.World{
		Rollout: fmt.Sprint(party), Objects: Objects{s.route: route}, Backends: s.services[party], Now: s.now,
	}
	if !h.exists {
		return w
	}
	own := traffic.Hold{Original: h.original}
	for i, matches := range h.matches {
		if i == party {
			own.Held, own.Matches = true, matches
			continue
		}
		w.Join(traffic.Party{
			Release: fmt.Sprint(i), Held: map[traffic.Ref][]release.Match{s.route: matches}, Backends: s.services[i],
		})
	}
	w.Holds = map[traffic.Ref]traffic.Hold{s.route: own}
	return w
}

// step has a party do what it wants by what its caches show, as the controller does: the Hold, then the route, each on
// condition that nobody has written it since.
func (s *shared) step(party, routeAge, holdAge int, crash bool) {
	routeAt, holdAt := max(s.wroteRoute[party], len(s.routes)-1-routeAge), max(s.wroteHold[party], len(s.holds)-1-holdAge)
	w := s.seen(party, s.routes[routeAt], s.holds[holdAt])
	generation := w.Objects[s.route].GetGeneration()
	if generation < s.holds[holdAt].generation {
		return // The cache will catch up.
	}
	var changes []traffic.Change
	if split := s.splits[party]; split != nil {
		changes = s.provider.Apply(w, *split)
	} else if w.Held() || s.provider.Read(w).Routed {
		changes = s.provider.Restore(w)
	}
	for _, change := range changes {
		if !s.carryOutAt(party, change, routeAt, holdAt, generation, crash) {
			return
		}
	}
}

// carryOutAt does one change, on condition of the versions that the party has seen. It says whether to go on.
func (s *shared) carryOutAt(party int, change traffic.Change, routeAt, holdAt int, generation int64, crash bool) bool {
	if change.Hold != nil && !s.writeHold(party, &holdAt, func(next *hold) {
		next.exists, next.original, next.generation = true, throughJSON(change.Hold.Original), generation
		next.matches[party] = change.Hold.Matches
	}) || crash && change.Hold != nil {
		return false
	}
	if change.After != nil {
		if routeAt != len(s.routes)-1 {
			return false // The API server refuses it.
		}
		s.write(change.After)
		s.settle()
		s.writes++
		s.routes = append(s.routes, s.current())
		s.wroteRoute[party], generation = len(s.routes)-1, s.current().GetGeneration()
		if crash {
			return false
		}
	}
	if change.ReleaseHold {
		s.writeHold(party, &holdAt, func(next *hold) {
			next.generation = generation
			if delete(next.matches, party); len(next.matches) == 0 {
				*next = hold{matches: map[int][]release.Match{}}
			}
		})
	}
	return true
}

func (s *shared) writeHold(party int, seen *int, change func(*hold)) bool {
	if *seen != len(s.holds)-1 {
		return false // The API server refuses it.
	}
	next := s.last().clone()
	change(&next)
	s.holds = append(s.holds, next)
	*seen = len(s.holds) - 1
	s.wroteHold[party] = *seen
	s.writes++
	return true
}

// settleAll has every party act on what is there now until nobody wants anything more.
func (s *shared) settleAll(rt TB) {
	before := s.writes
	for range 6 {
		round := s.writes
		for i := range s.services {
			s.step(i, 0, 0, false)
		}
		if s.writes == round {
			return
		}
	}
	rt.Fatalf("the releases undo each other's work: %d writes, and no end", s.writes-before)
}

// quiet demands what must hold when everybody has what it wants.
func (s *shared) quiet(rt TB, g SharedGenerator) {
	s.settleAll(rt)
	s.settle()
	splits := make([]traffic.Split, len(s.services))
	for i, want := range s.splits {
		if want == nil {
			continue
		}
		splits[i] = *want
		state := s.provider.Read(s.seen(i, s.current(), s.last()))
		if !state.Routed && (want.Weight > 0 || len(want.Matches) > 0) || state.Routed &&
			(!state.Accepted || state.Weight != want.Weight) {
			rt.Fatalf("party %d wants %+v and reads %+v", i, *want, state)
		}
	}
	if err := g.Inspect(s.team[s.route], s.current(), s.services, splits); err != nil {
		rt.Fatalf("%v\nsplits %+v\n%s\n%s",
			err, splits, encode(s.team[s.route].Object["spec"]), encode(s.current().Object["spec"]))
	}
}
