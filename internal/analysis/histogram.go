package analysis

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Histogram is a reading of one version's counters: how many requests since ever took no longer than a bound, by the
// bound as it is written in the label le.
type Histogram map[string]float64

// NewHistogram takes the counters by their label le. Each bound is written in one way, so that 1 and 1.0 are the same.
func NewHistogram(byLE map[string]float64) (Histogram, error) {
	out := make(Histogram, len(byLE))
	for label, count := range byLE {
		bound, err := strconv.ParseFloat(label, 64)
		if err != nil || math.IsNaN(bound) {
			return nil, errors.New("has a label le that is no number: it is no histogram")
		}
		le := written(bound)
		if _, twice := out[le]; twice {
			return nil, fmt.Errorf("has two buckets le=%q: sum the query by le", le)
		}
		out[le] = count
	}
	return out, nil
}

// Since is what was counted between two readings of the same counters, in the buckets that the one before had. Counters
// that were reset in between make it negative, which Look refuses.
func (h Histogram) Since(before Histogram) ([]Bucket, error) {
	out := make([]Bucket, 0, len(before))
	for _, le := range slices.Sorted(maps.Keys(before)) {
		count, still := h[le]
		if !still {
			return nil, fmt.Errorf("has no bucket le=%q any more: its buckets have changed since the look before", le)
		}
		bound, err := strconv.ParseFloat(le, 64)
		if err != nil {
			return nil, fmt.Errorf("was remembered with a bucket le=%q, which is no number: it is read anew", le)
		}
		out = append(out, Bucket{LE: bound, Count: count - before[le]})
	}
	return out, nil
}

// Needed are the buckets of a reading that the next look needs: all of them while it is learning, and then the one that
// is compared and the one that has all requests.
func (s QuantileState) Needed(h Histogram) Histogram {
	if s.Threshold == "" {
		return h
	}
	out := Histogram{}
	for _, le := range []string{s.Threshold, written(math.Inf(1))} {
		if count, ok := h[le]; ok {
			out[le] = count
		}
	}
	return out
}
