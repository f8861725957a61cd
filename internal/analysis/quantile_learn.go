package analysis

import (
	"fmt"
	"math"
)

// learn adds stable's requests to what is known of it, and takes the threshold when that is enough.
func (s QuantileState) learn(c QuantileComparison, stable []Bucket) (QuantileState, Judgement) {
	if stable[len(stable)-1].Count == 0 {
		return s, s.refuse(c, "stable had no requests since the look before")
	}
	known := s.known(stable)
	all := known[len(known)-1].Count
	needed := max(int64(math.Ceil(slowRequests/min(c.Quantile, 1-c.Quantile))), c.MinSamples)
	j := s.Rate.judgement(c.Comparison, s.of(c))
	if all < needed {
		s.Learnt = known
		j.Learning = fmt.Sprintf("learning from stable's requests which time the share %s of them stays below: %d of %d "+
			"requests", digits(c.Quantile), all, needed)
		return s, j
	}
	bound, ok := nearestBound(known, c.Quantile)
	if !ok {
		return s, s.refuse(c, fmt.Sprintf("the share %s of stable's requests is not below any bound of the histogram but "+
			"+Inf: give it buckets for longer times", digits(c.Quantile)))
	}
	s.Threshold, s.Learnt = bound, nil
	j.Of = s.of(c)
	j.Learning = fmt.Sprintf("from now on requests slower than %s are compared, which %s%% of %d requests to stable were",
		c.times(bound), digits(slowerThan(known, bound)), all)
	return s, j
}

// known are the learnt buckets and those that came. Other buckets than before mean to begin anew.
func (s QuantileState) known(stable []Bucket) []LearntBucket {
	out := make([]LearntBucket, len(stable))
	same := len(s.Learnt) == len(stable)
	last := int64(0)
	for i, b := range stable {
		out[i] = LearntBucket{LE: written(b.LE), Count: int64(math.Round(b.Count))}
		if same {
			l := s.Learnt[i]
			same = l.LE == out[i].LE && l.Count >= last && l.Count < mostRequests
			last = l.Count
		}
	}
	if !same {
		return out
	}
	for i := range out {
		out[i].Count += s.Learnt[i].Count
	}
	return out
}

// farthest is by which factor the odds of a slower request may be off those of the quantile, where there is a choice.
const farthest = 5

// nearestBound is the finite bound whose odds of a slower request are nearest to those of the quantile. Where buckets
// are so coarse that all are far off, it is the lowest bound that is above the quantile: stable hardly exceeds it, and
// a slow canary does.
func nearestBound(known []LearntBucket, quantile float64) (string, bool) {
	nearest, bound, above := math.Log(farthest), "", ""
	all := float64(known[len(known)-1].Count)
	for _, b := range known[:len(known)-1] {
		fast := float64(b.Count)
		if off := math.Abs(math.Log((all-fast)/fast) - math.Log((1-quantile)/quantile)); off <= nearest {
			nearest, bound = off, b.LE
		}
		if above == "" && fast >= quantile*all {
			above = b.LE
		}
	}
	if bound == "" {
		bound = above
	}
	return bound, bound != ""
}

// slowerThan is the share of requests, in percent.
func slowerThan(known []LearntBucket, bound string) float64 {
	all := known[len(known)-1].Count
	for _, b := range known {
		if b.LE == bound {
			return Tally{all - b.Count, all}.Share()
		}
	}
	return math.NaN()
}
