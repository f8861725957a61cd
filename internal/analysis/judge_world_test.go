package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
)

// world is two versions and their traffic, which a test plays many times. Shares are in percent.
type world struct {
	// base is stable's share of bad requests, extra what the canary has above it.
	base, extra float64
	// split is the canary's part of the requests, in percent.
	split int64
	// perLook is the number of requests of both between two looks.
	perLook int64
	looks   int
	// factors that the base has in a run: each run has one of them, of which nobody knows.
	factors []float64
	// incident is the look from which on both versions have three times the base. 0: never.
	incident int
	// turn is the look from which on the canary has the extra. 0: from the beginning.
	turn int
}

func (w world) String() string {
	return fmt.Sprintf("%g%%+%g, %d/%d", w.base, w.extra, w.split, 100-w.split)
}

// with another extra.
func (w world) with(extra float64) world {
	w.extra = extra
	return w
}

func (w world) canaryPerLook() int64 { return w.perLook * w.split / 100 }

func (w world) stablePerLook() int64 { return w.perLook - w.canaryPerLook() }

// shares at a look of a run.
func (w world) shares(run, look int) (canary, stable float64) {
	stable = w.base / 100
	if len(w.factors) > 0 {
		stable *= w.factors[run%len(w.factors)]
	}
	if w.incident > 0 && look >= w.incident {
		stable *= 3
	}
	if canary = stable; look >= w.turn {
		canary += w.extra / 100
	}
	return canary, stable
}

// played is what came of a run: the look of the verdict that was awaited, 0 for never, and the bad requests of the canary at
// each look.
type played struct {
	look int
	bad  []int64
}

// play a world many times, until there is an awaited verdict.
func (w world) play(c Comparison, runs int, seed uint64, awaited ...Verdict) []played {
	type table struct {
		n int64
		p float64
	}
	tables := map[table]binomial{}
	draw := func(r *rand.Rand, n int64, p float64) int64 {
		b, ok := tables[table{n, p}]
		if !ok {
			b = newBinomial(n, p)
			tables[table{n, p}] = b
		}
		return b.draw(r)
	}
	out := make([]played, runs)
	for i := range out {
		r := dice(seed<<32 + uint64(i))
		out[i].bad = make([]int64, w.looks)
		var state RateState
		for k := range w.looks {
			canary, stable := w.shares(i, k+1)
			bad := draw(r, w.canaryPerLook(), canary)
			out[i].bad[k] = bad
			if out[i].look > 0 {
				continue // The fixed rules want the rest of the run.
			}
			var j Judgement
			state, j = state.Look(c, RateSample{
				Canary: Counts{Bad: float64(bad), Total: float64(w.canaryPerLook())},
				Stable: Counts{Bad: float64(draw(r, w.stablePerLook(), stable)), Total: float64(w.stablePerLook())},
			})
			for _, v := range awaited {
				if j.Verdict == v {
					out[i].look = k + 1
				}
			}
		}
	}
	return out
}

// spoken is the number of runs in which the verdict came.
func spoken(runs []played) int {
	n := 0
	for _, r := range runs {
		if r.look > 0 {
			n++
		}
	}
	return n
}

// meanLook of the verdicts. A run without one counts as if it had come at the last look.
func meanLook(runs []played) float64 {
	sum := 0
	for _, r := range runs {
		if r.look == 0 {
			r.look = len(r.bad)
		}
		sum += r.look
	}
	return float64(sum) / float64(len(runs))
}

// binomial draws numbers of bad requests of n: the table of the distribution is made once and inverted, so that a draw
// costs a search. What it leaves out has a probability below 1e-15.
type binomial struct {
	first int64
	below []float64
}

func newBinomial(n int64, p float64) binomial {
	if n == 0 || p == 0 {
		return binomial{below: []float64{1}}
	}
	mean, spread := float64(n)*p, math.Sqrt(float64(n)*p*(1-p))
	from := max(0, int64(mean-9*spread-20))
	to := min(n, int64(mean+9*spread+20))
	b := binomial{first: from}
	total := 0.0
	for k := from; k <= to; k++ {
		total += chance(n, k, p)
		b.below = append(b.below, total)
	}
	for i := range b.below {
		b.below[i] /= total
	}
	return b
}

func (b binomial) draw(r *rand.Rand) int64 {
	return b.first + int64(min(sort.SearchFloat64s(b.below, r.Float64()), len(b.below)-1))
}

// chance of k bad requests of n.
func chance(n, k int64, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// dice are seeded, so that every figure can be had again.
func dice(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x51)) }
