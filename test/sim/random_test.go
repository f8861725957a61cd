package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seedFlag    = flag.Uint64("sim.seed", 0, "play only the story of this seed, and show it")
	actionsFlag = flag.Int64("sim.actions", 1_000_000, "how many random actions to do")
	fromFlag    = flag.Uint64("sim.from", 1, "the first seed")
)

// TestRandom does a million random things in as many worlds as that takes, each healed at its end and made to come
// to rest. A failure prints its seed and the smallest story that does the same, ready for testdata.
func TestRandom(t *testing.T) {
	if *seedFlag != 0 {
		playSeed(t, *seedFlag)
		return
	}
	want := *actionsFlag
	if testing.Short() {
		want /= 50
	}
	var actions, worlds, requests, writes, bad atomic.Int64
	var mu sync.Mutex
	failed := map[string]int{}
	seeds := map[string][]uint64{}
	parallelUntil(func() bool { return actions.Load() >= want || bad.Load() > 200 }, func(i int) {
		seed := *fromFlag + uint64(i)
		s := newStory(seed)
		w := newWorld(s.Config)
		v := s.play(w)
		actions.Add(int64(w.people.done))
		worlds.Add(1)
		requests.Add(int64(w.plane.requests))
		writes.Add(int64(w.checks.writes))
		if v != nil {
			bad.Add(1)
			mu.Lock()
			defer mu.Unlock()
			message, _, _ := strings.Cut(v.Message, "\n")
			kind := v.Name + " " + digits.ReplaceAllString(message, "N")
			if failed[kind]++; failed[kind] <= 10 {
				seeds[kind] = append(seeds[kind], seed)
			}
		}
	})
	t.Logf("%d actions in %d worlds: %d writes by Sluice, %d ways of asking tried", actions.Load(), worlds.Load(), writes.Load(), requests.Load())
	shown := 0
	for kind, n := range failed {
		if shown++; shown > 12 {
			t.Errorf("and %d kinds more", len(failed)-12)
			break
		}
		t.Errorf("%d of %d worlds: %.300s\nseeds %d", n, worlds.Load(), kind, seeds[kind])
		if !testing.Short() {
			showShrunk(t, newStory(seeds[kind][0]))
		}
	}
}

func playSeed(t *testing.T, seed uint64) {
	t.Helper()
	showShrunk(t, newStory(seed))
}

// showShrunk prints the smallest story that breaks what this one breaks, and how it goes.
func showShrunk(t *testing.T, s Story) {
	t.Helper()
	v := s.play(newWorld(s.Config))
	if v == nil {
		t.Log("holds")
		return
	}
	s = shrink(s, func(try Story) bool {
		got := try.play(newWorld(try.Config))
		return got != nil && got.Name == v.Name
	})
	w := newWorld(s.Config)
	w.lines = &strings.Builder{}
	v = s.play(w)
	lines := strings.Split(w.lines.String(), "\n")
	t.Errorf("the smallest story that does it, for testdata:\n%s\nhow it goes:\n%s", s.format(v.String()), strings.Join(lines[max(0, len(lines)-70):], "\n"))
}

// TestRegressions plays every story that once failed.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := parse(string(text))
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(s.Config)
			w.lines = &strings.Builder{}
			if v := s.play(w); v != nil {
				t.Errorf("%s\n%s", v, w.lines)
			}
		})
	}
}

// parallelUntil calls f with 0, 1, ... on every processor until done.
func parallelUntil(done func() bool, f func(int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range processors() {
		wg.Go(func() {
			for !done() {
				f(int(next.Add(1) - 1))
			}
		})
	}
	wg.Wait()
}
