package analysis

import (
	"fmt"
	"math"
	"slices"
)

// fixedRule is how others judge: at each look the canary's share of bad requests over the last looks is compared with a
// constant, and more than so many failures are an alarm (failureLimit in Argo Rollouts, threshold in Flagger).
type fixedRule struct {
	// window is the number of looks that a measurement goes back.
	window int
	// limit is the number of failures that are borne.
	limit int
	// patient ones wait until the window is full, as with an initialDelay.
	patient bool
	// above which share a measurement has failed. This is what is calibrated.
	above float64
}

func (f fixedRule) String() string {
	return fmt.Sprintf("share over %d looks (full %t) above %.3g%% more than %d times", f.window, f.patient, 100*f.above, f.limit)
}

// mostFailures is one more than the largest limit that is tried.
const mostFailures = 6

// fixedRules are the rules to choose from.
func fixedRules() []fixedRule {
	var all []fixedRule
	for _, window := range []int{1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 30, 40} {
		for _, limit := range []int{0, 1, 2, 3, mostFailures - 1} {
			all = append(all, fixedRule{window: window, limit: limit})
			if window > 1 {
				all = append(all, fixedRule{window: window, limit: limit, patient: true})
			}
		}
	}
	return all
}

// shares are the measurements of a run in which so many of the canary's requests were bad at each look.
func (f fixedRule) shares(bad []int64, perLook int64) func(yield func(int, float64) bool) {
	return func(yield func(int, float64) bool) {
		sum := int64(0)
		for i, b := range bad {
			sum += b
			if i >= f.window {
				sum -= bad[i-f.window]
			}
			if f.patient && i < f.window-1 {
				continue
			}
			if !yield(i, float64(sum)/float64(perLook*int64(min(i+1, f.window)))) {
				return
			}
		}
	}
}

// alarm is the look at which a run fails, or 0.
func (f fixedRule) alarm(bad []int64, perLook int64) int {
	failures := 0
	for i, share := range f.shares(bad, perLook) {
		if share > f.above {
			failures++
		}
		if failures > f.limit {
			return i + 1
		}
	}
	return 0
}

// calibrate sets the constant so low that no more than so many of the runs fail.
func (f fixedRule) calibrate(runs []played, perLook int64, alarms int) fixedRule {
	// A run fails when its share number limit+1 from the top is above the constant.
	deciding := make([]float64, 0, len(runs))
	for _, r := range runs {
		var top [mostFailures]float64
		for i := range top {
			top[i] = math.Inf(-1)
		}
		for _, share := range f.shares(r.bad, perLook) {
			for i := f.limit; i >= 0 && share > top[i]; i-- {
				if i < f.limit {
					top[i+1] = top[i]
				}
				top[i] = share
			}
		}
		deciding = append(deciding, top[f.limit])
	}
	slices.Sort(deciding)
	f.above = deciding[len(deciding)-1-alarms]
	return f
}

// meanLook of the alarms. A run without one counts as if it had come at the last look.
func (f fixedRule) meanLook(runs []played, perLook int64) float64 {
	sum := 0
	for _, r := range runs {
		look := f.alarm(r.bad, perLook)
		if look == 0 {
			look = len(r.bad)
		}
		sum += look
	}
	return float64(sum) / float64(len(runs))
}

func (f fixedRule) alarms(runs []played, perLook int64) int {
	n := 0
	for _, r := range runs {
		if f.alarm(r.bad, perLook) > 0 {
			n++
		}
	}
	return n
}

// bestFixedRule is the one that finds bad versions soonest, of those that raise so many false alarms in equal ones. It
// has the help of an oracle: constant, window and limit are chosen with the very runs that it is measured by.
func bestFixedRule(equal, bad []played, perLook int64, alarms int) (best fixedRule, mean float64) {
	mean = math.Inf(1)
	for _, f := range fixedRules() {
		f = f.calibrate(equal, perLook, alarms)
		if m := f.meanLook(bad, perLook); m < mean {
			best, mean = f, m
		}
	}
	return best, mean
}
