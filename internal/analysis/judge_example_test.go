package analysis_test

import (
	"fmt"
	"math"

	"github.com/sluice-dev/sluice/internal/analysis"
)

// A canary with 10% of the requests is compared with stable every minute, until there is a verdict.
func ExampleRateState_Look() {
	c := analysis.Comparison{Tolerance: 0.5, ErrorRate: 0.05, MinSamples: 200}
	minute := analysis.RateSample{
		Canary: analysis.Counts{Bad: 3, Total: 100},
		Stable: analysis.Counts{Bad: 9, Total: 900},
	}
	var state analysis.RateState
	var j analysis.Judgement
	for range 60 {
		state, j = state.Look(c, minute)
		if state.Looks%5 == 1 || j.Verdict == analysis.Worse {
			fmt.Printf("%d. %s: %s\n", state.Looks, j.Verdict, j.Message())
		}
		if j.Verdict == analysis.Worse {
			break
		}
	}
	// Output:
	// 1. NotEnoughData: canary 3% bad (3 of 100), stable 1% (9 of 900): no verdict before 200 requests each
	// 6. NotEnoughData: canary 3% bad (18 of 600), stable 1% (54 of 5400): not enough to tell with a tolerance of 0.5 points; the odds are 7.59 to 1 for worse and 0.0607 to 1 for not worse, and 20 to 1 are needed
	// 9. Worse: canary 3% bad (27 of 900), stable 1% (81 of 8100): worse by more than 0.5 points; one that is not is called so in at most 5% of runs
}

// Latencies are compared by the share of requests that are slower than a time that stable itself gives at first.
func ExampleQuantileState_Look() {
	c := analysis.QuantileComparison{
		Comparison: analysis.Comparison{Tolerance: 2, ErrorRate: 0.05},
		Quantile:   0.95,
	}
	inf := math.Inf(1)
	minute := analysis.QuantileSample{
		Canary: []analysis.Bucket{{LE: 0.1, Count: 700}, {LE: 0.5, Count: 900}, {LE: inf, Count: 1000}},
		Stable: []analysis.Bucket{{LE: 0.1, Count: 7000}, {LE: 0.5, Count: 9500}, {LE: inf, Count: 10000}},
	}
	var state analysis.QuantileState
	for range 3 {
		var j analysis.Judgement
		state, j = state.Look(c, minute)
		fmt.Printf("%s: %s\n", j.Verdict, j.Message())
	}
	// Output:
	// NotEnoughData: from now on requests slower than 0.5 are compared, which 5% of 10000 requests to stable were
	// NotEnoughData: canary 10% slower than 0.5 (100 of 1000), stable 5% (500 of 10000): not enough to tell with a tolerance of 2 points; the odds are 17.5 to 1 for worse and 0.303 to 1 for not worse, and 20 to 1 are needed
	// Worse: canary 10% slower than 0.5 (200 of 2000), stable 5% (1000 of 20000): worse by more than 2 points; one that is not is called so in at most 5% of runs
}
