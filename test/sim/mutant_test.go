package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestMutants puts known bugs in, one at a time, behind the mind's own guard, which so cannot stop them, and demands
// that the suite finds each.
func TestMutants(t *testing.T) {
	killers := map[string]int{}
	var table strings.Builder
	for _, m := range mutants() {
		v, runs := m.hunt()
		if v == nil {
			t.Errorf("mutant %q lives after %d runs", m.Name, runs)
			continue
		}
		killers[v.Name]++
		message, _, _ := strings.Cut(v.Message, "\n")
		fmt.Fprintf(&table, "%-52s row %-7s killed by %-5s after %5d runs: %.90s\n", m.Name, m.Row, v.Name, runs, message)
	}
	t.Logf("%d mutants, killed by %v\n%s", len(mutants()), killers, table.String())
}

const hunted = 30_000

// hunt plays the stories without a fault, then random ones, then the exhaustive ones, until something breaks.
func (m Mutant) hunt() (*Violation, int) {
	runs := 0
	stories := Scenarios()
	if m.Keeps {
		slices.Reverse(stories)
	}
	for _, s := range stories {
		runs++
		w := newWorld(s.Config)
		m.spoil(w)
		if v := s.playIn(w, Fault{}); v != nil {
			return v, runs
		}
	}
	var found atomic.Pointer[Violation]
	var done atomic.Int64
	var once sync.Once
	parallelUntil(func() bool { return found.Load() != nil || done.Load() > hunted }, func(i int) {
		s := newStory(uint64(i) + 1)
		w := newWorld(s.Config)
		m.spoil(w)
		v := s.play(w)
		done.Add(1)
		if v != nil {
			once.Do(func() { found.Store(v) })
		}
	})
	return found.Load(), runs + int(done.Load())
}

func (m Mutant) spoil(w *World) {
	w.Fumble = m.Fumble
	if m.Mind != nil {
		w.Mind = m.Mind(w.Mind)
	}
}
