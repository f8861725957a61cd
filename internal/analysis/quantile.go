package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Bucket is one bucket of a histogram as Prometheus gives it: how many requests since the look before took no longer
// than LE. The last one has LE +Inf, and counts all of them.
type Bucket struct{ LE, Count float64 }

// QuantileSample is what came since the look before: both versions over the same time, with the same buckets.
type QuantileSample struct{ Canary, Stable []Bucket }

// QuantileComparison says how the latencies are compared.
type QuantileComparison struct {
	// Comparison of the shares of requests that are slower than the threshold. Its tolerance is in points of these: with
	// quantile 0.95 and tolerance 2, a canary of which 7% of the requests are slower than the time that 5% of stable's
	// exceed is borne.
	Comparison
	// Quantile of stable that the threshold is taken from, as 0.95.
	Quantile float64
	// Unit of the bounds, for people, as "s"; it may be empty.
	Unit string
}

// times is a bound with its unit.
func (c QuantileComparison) times(bound string) string {
	return strings.TrimSpace(bound + " " + c.Unit)
}

// Validate names the first field that makes no sense.
func (c QuantileComparison) Validate() error {
	if !(c.Quantile >= 0.01 && c.Quantile <= 0.9999) {
		return fmt.Errorf("quantile: %v is no quantile to compare: use a number from 0.01 to 0.9999, as 0.95", c.Quantile)
	}
	return c.Comparison.Validate()
}

// QuantileState is what a comparison of latencies remembers between looks. The zero value is the beginning.
//
// The first looks are for learning alone: from stable's own requests the bound of a bucket is taken whose share of
// slower requests is nearest to 1 - Quantile, and it stays for the run. All later looks compare the shares of requests
// that are slower than it, of both versions at the same time, as RateState does and with its error statement, word for
// word, for "share of requests slower than the threshold". That statement needs that no request is judged by a
// threshold that was chosen with its help, which is why what was learnt from is not judged. It does not need that the
// threshold is stable's quantile exactly, nor that it stays so: stable's share is measured, not assumed. Nothing is
// interpolated within a bucket.
type QuantileState struct {
	// Threshold is the bound of the bucket, as it is written in the label le. Empty: still learning.
	Threshold string `json:"threshold,omitempty"`
	// Learnt are the stable requests so far, while learning.
	Learnt []LearntBucket `json:"learnt,omitempty"`
	// Rate is the comparison since.
	Rate RateState `json:"rate"`
}

// LearntBucket is a bucket while learning: requests that took no longer than LE.
type LearntBucket struct {
	LE    string `json:"le"`
	Count int64  `json:"count"`
}

// mostBuckets is the largest histogram that is looked at, so that a state stays small.
const mostBuckets = 200

// slowRequests is the number of stable requests beyond the quantile that are awaited before the threshold is taken.
const slowRequests = 10

// Look takes in what came since the look before. A sample that makes no sense changes nothing and gives no verdict;
// the judgement's Problem says why.
func (s QuantileState) Look(c QuantileComparison, in QuantileSample) (QuantileState, Judgement) {
	if err := c.Validate(); err != nil {
		return s, s.refuse(c, err.Error())
	}
	canary, problem := tidy(in.Canary)
	if problem != "" {
		return s, s.refuse(c, "the histogram of the canary "+problem)
	}
	stable, problem := tidy(in.Stable)
	if problem != "" {
		return s, s.refuse(c, "the histogram of stable "+problem)
	}
	if s.Threshold == "" {
		return s.learn(c, stable)
	}
	bound, err := strconv.ParseFloat(s.Threshold, 64)
	if err != nil || math.IsNaN(bound) || math.IsInf(bound, 0) {
		return QuantileState{}, s.refuse(c, fmt.Sprintf("the threshold %q that was remembered is no number: the "+
			"comparison begins anew", s.Threshold))
	}
	var sample RateSample
	for _, v := range []struct {
		name    string
		buckets []Bucket
		counts  *Counts
	}{{"the canary", canary, &sample.Canary}, {"stable", stable, &sample.Stable}} {
		i, found := find(v.buckets, bound)
		if !found {
			return s, s.refuse(c, fmt.Sprintf("the histogram of %s has no bucket le=%q, which the comparison began with",
				v.name, s.Threshold))
		}
		all := v.buckets[len(v.buckets)-1].Count
		*v.counts = Counts{Bad: all - v.buckets[i].Count, Total: all}
	}
	var j Judgement
	s.Rate, j = s.Rate.look(c.Comparison, sample, s.of(c))
	return s, j
}

// of is what the shares are of.
func (s QuantileState) of(c QuantileComparison) string {
	return "slower than " + c.times(s.Threshold)
}

func (s QuantileState) refuse(c QuantileComparison, problem string) Judgement {
	return s.Rate.refuse(c.Comparison, s.of(c), problem)
}

// tidy sorts the buckets and refuses what is no histogram. Counts that fall by a rounding error are levelled, as
// Prometheus itself does.
func tidy(in []Bucket) (_ []Bucket, problem string) {
	if len(in) == 0 {
		return nil, "is empty: nothing was measured"
	}
	if len(in) > mostBuckets {
		return nil, fmt.Sprintf("has %d buckets, more than %d", len(in), mostBuckets)
	}
	for _, b := range in {
		if math.IsNaN(b.LE) {
			return nil, "has a bucket whose bound le is not a number"
		}
		if err := countable(b.Count); err != nil {
			return nil, fmt.Sprintf("has a bucket le=%q whose count %v", written(b.LE), err)
		}
	}
	out := slices.SortedFunc(slices.Values(in), func(a, b Bucket) int {
		if a.LE < b.LE {
			return -1
		}
		return map[bool]int{true: 1}[a.LE > b.LE]
	})
	if !math.IsInf(out[len(out)-1].LE, 1) {
		return nil, `has no bucket le="+Inf": group the query by le`
	}
	for i := 1; i < len(out); i++ {
		before, b := out[i-1], &out[i]
		if before.LE == b.LE {
			return nil, fmt.Sprintf("has two buckets le=%q: sum the query by le", written(b.LE))
		}
		if b.Count < before.Count {
			if before.Count-b.Count > 1e-6*before.Count {
				return nil, fmt.Sprintf("has %v requests in le=%q and only %v in le=%q: the buckets are not cumulative, or one "+
					"was reset",
					before.Count, written(before.LE), b.Count, written(b.LE))
			}
			b.Count = before.Count
		}
	}
	return out, ""
}

// find the bucket with a bound.
func find(buckets []Bucket, bound float64) (int, bool) {
	i := slices.IndexFunc(buckets, func(b Bucket) bool { return b.LE == bound })
	return i, i >= 0
}

// written is a bound as in the label le, without loss.
func written(bound float64) string { return strconv.FormatFloat(bound, 'g', -1, 64) }
