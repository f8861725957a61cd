package analysis

import (
	"math"
	"testing"
)

// BenchmarkJudge has the figures of bench/judge.go: what the tests look at, with longer runs and more of them.
func BenchmarkJudge(b *testing.B) {
	const runs, looks = 10_000, 120
	b.Run("equal", func(b *testing.B) {
		for b.Loop() {
			highest := 0
			for _, w := range equalWorlds(looks, 0.1, 0.5, 1, 5) {
				highest = max(highest, spoken(w.play(usual, runs, 1, Worse)))
			}
			b.ReportMetric(100*float64(highest)/runs, "highest-%")
		}
	})
	b.Run("incident", func(b *testing.B) {
		for b.Loop() {
			ours, fixed := incident(runs, looks)
			b.ReportMetric(ours, "ours-%")
			b.ReportMetric(fixed, "fixed-%")
		}
	})
	for _, kind := range []struct {
		name    string
		c       Comparison
		borne   float64
		factors []float64
	}{
		{name: "known", c: usual},
		{name: "unknown", c: usual, factors: unknown},
		{name: "tolerance", c: Comparison{Tolerance: 0.5, ErrorRate: usual.ErrorRate}, borne: 0.5},
		{name: "unused", c: Comparison{Tolerance: 0.5, ErrorRate: usual.ErrorRate}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				worst, logs, n := math.Inf(1), 0.0, 0.0
				for _, w := range badWorlds(looks) {
					w.factors = kind.factors
					times := race(b, kind.c, w, kind.borne, runs)
					worst, logs, n = min(worst, times), logs+math.Log(times), n+1
				}
				b.ReportMetric(math.Exp(logs/n), "mean-times")
				b.ReportMetric(worst, "worst-times")
			}
		})
	}
}

func BenchmarkRateLook(b *testing.B) {
	canary, stable := newBinomial(100, 0.01), newBinomial(900, 0.01)
	r := dice(1)
	c := Comparison{Tolerance: 0.5, ErrorRate: 0.05}
	var s RateState
	for b.Loop() {
		s, _ = s.Look(c, RateSample{
			Canary: Counts{Bad: float64(canary.draw(r)), Total: 100},
			Stable: Counts{Bad: float64(stable.draw(r)), Total: 900},
		})
	}
}
