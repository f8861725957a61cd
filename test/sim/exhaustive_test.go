package sim

import (
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// told is one run of the exhaustive pass.
type told struct {
	scenario Scenario
	fault    Fault
	want     []string
}

// TestExhaustive tells every story with every fault there is: a crash before and after every write, every refusal
// of every write, every event of every watch lost, every watch frozen before every event; and, where much is waited for by
// the clock, each clock set an hour forward and back at every tick. The stories of gates are many
// and much alike, so each has one fault in gateStride, another one on every topology. All must end as the story without a
// fault ends, with every invariant held and no request failed.
func TestExhaustive(t *testing.T) {
	every := 1
	if testing.Short() {
		every = 23 // no divisor of how the faults repeat
	}
	runs := stories(t)
	counts, failures, kinds := map[string]int{}, map[string]int{}, map[string]int{}
	requests := 0
	var mu sync.Mutex
	parallel(len(runs)/every, func(i int) {
		r := runs[i*every]
		w := newWorld(r.scenario.Config)
		v := r.scenario.playIn(w, r.fault)
		mu.Lock()
		defer mu.Unlock()
		counts[r.fault.Do.String()]++
		requests += w.plane.requests
		if v == nil && !slices.Contains(r.want, w.ending()) {
			v = &Violation{w.Tick, "end", "ends otherwise: " + w.ending() + " instead of " + strings.Join(r.want, " or ")}
		}
		if v == nil {
			return
		}
		kinds[digits.ReplaceAllString(v.Name+" "+v.Message, "N")]++
		if failures[r.scenario.Name]++; failures[r.scenario.Name] == 1 {
			t.Errorf("%s with %+v: %s\n%s", r.scenario.Name, r.fault, v, r.scenario.transcript(r.fault))
		}
	})
	for kind, n := range kinds {
		t.Logf("%d times: %s", n, kind)
	}
	t.Logf("%d scenarios, %d runs, %d requests: %v; scenarios that fail: %d", len(Scenarios()), len(runs)/every, requests, counts, len(failures))
}

var digits = regexp.MustCompile(`\d+`)

// stories plays every story without a fault, and returns the runs that there are with one.
func stories(t *testing.T) (runs []told) {
	t.Helper()
	endings := map[string][]string{}
	worlds := map[string]*World{}
	for _, s := range Scenarios() {
		w := newWorld(s.Config)
		if v := s.playIn(w, Fault{}); v != nil {
			t.Errorf("%s: %s\n%s", s.Name, v, s.transcript(Fault{}))
			continue
		}
		if r, _ := w.release(); (s.Every == gateStride || s.Ends != release.NotEnding) && r.Memory.End != s.Ends {
			t.Errorf("%s ends as %q, not %q", s.Name, r.Memory.End, s.Ends)
		}
		worlds[s.Name] = w
		endings[s.Family] = append(endings[s.Family], w.ending())
	}
	for n, s := range Scenarios() {
		w, ok := worlds[s.Name]
		if !ok {
			continue
		}
		for i, f := range w.faults() {
			if s.Every > 0 && (i+n)%s.Every != 0 {
				continue
			}
			r := told{s, f, []string{w.ending()}}
			if s.MayEndAs(f) {
				r.want = endings[s.Family]
			}
			_, story, _ := strings.Cut(s.Name, "/")
			if layered, ok := worlds["ingress/"+story]; ok && s.Races && f.watches() && f.Kind == KService {
				r.want = append(slices.Clone(r.want), layered.ending()) // What is seen too late to refuse it goes as with layers.
			}
			if f.watches() && (f.Kind == KWindow || f.Kind == KAnalysis) {
				top, _, _ := strings.Cut(s.Name, "/") // It may not be known in time what is shut, or bad.
				r.want = append([]string{w.ending()}, endings[top+"/clean"]...)
			}
			runs = append(runs, r)
		}
		for _, f := range w.clockFaults(s) {
			runs = append(runs, told{s, f, []string{w.ending()}})
		}
	}
	return runs
}

// faults are all the faults that the run of this world could have had.
func (w *World) faults() (all []Fault) {
	for n := range w.hands.attempts {
		for do := CrashBefore; do < DropEvent; do++ {
			all = append(all, Fault{Do: do, N: n})
		}
	}
	for k := range Kinds {
		for n := w.hands.view.from[k]; n < len(w.store.log[k]); n++ {
			all = append(all, Fault{DropEvent, k, n}, Fault{FreezeKind, k, n})
		}
	}
	return all
}

func (s Scenario) transcript(f Fault) string {
	w := newWorld(s.Config)
	w.lines = &strings.Builder{}
	s.playIn(w, f)
	lines := strings.Split(w.lines.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

func processors() int { return runtime.GOMAXPROCS(0) }

// parallel calls f with 0..n-1 on every processor.
func parallel(n int, f func(int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range processors() {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestWriteBudget is L4 on a release of four weights that nothing disturbs and nobody has to promote.
func TestWriteBudget(t *testing.T) {
	const budget = 6*4 + 12
	for _, layer := range []string{"ingress", "route"} {
		c := newConfig()
		c.Plan.Layers = []string{layer}
		c.Plan.Steps = nil
		for i, weight := range []int{20, 40, 60, 100} {
			pause := release.Pause{Kind: release.PauseTimed, Duration: 10 * time.Second}
			c.Plan.Steps = append(c.Plan.Steps, release.Step{Name: stepName(i), Weight: weight, Pause: pause})
		}
		s := Scenario{Config: c, Triggers: []Trigger{on(always, Action{Verb: DoEdit, N: 1})}}
		w := newWorld(c)
		if v := s.playIn(w, Fault{}); v != nil {
			t.Fatal(v)
		}
		t.Logf("%s: %d writes, %d decisions; at most %d writes", layer, w.checks.writes, w.checks.decisions, budget)
		if w.checks.writes > budget {
			t.Errorf("%s: %d writes, more than %d", layer, w.checks.writes, budget)
		}
	}
}
