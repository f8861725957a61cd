package analysis

import (
	"fmt"
	"math"
	"strings"
)

// This file judges whether the share of requests that a gateway sends to the new version is the one that it was told.
//
// Before a change is in force the gateway serves the share that it had before. So the question is on which side of the
// middle between the two the share is, and it is answered by a sequential test: a capital of 1 is bet against "the
// share is exactly on the edge" by the mixture of all shares (Beta(1/2, 1/2), which is Krichevsky and Trofimov's), and
// once it has grown to 1/shareError, the share is on the side where it was seen. If it is on the other side, that
// happens with a probability of at most shareError, at whatever time one looks (Ville's inequality).

// ShareVerdict is what is known of a share.
type ShareVerdict string

// The verdicts.
const (
	// ShareUnknown: too few requests came for a word.
	ShareUnknown ShareVerdict = ""
	// ShareServed: the share is nearer to what is due than to what was before.
	ShareServed ShareVerdict = "served"
	// ShareDiffers: it is not.
	ShareDiffers ShareVerdict = "differs"
)

// shareError is how often a verdict may be wrong, for each edge.
const shareError = 0.01

// Share is what a gateway was told to send to the new version, in percent of all requests.
type Share struct {
	// Due is the weight, 1 to 100; Before the one that it had before.
	Due, Before int
	// AtLeast: more may come, as by headers that are sent there whatever the weight.
	AtLeast bool
}

// Served are requests that were counted.
type Served struct{ Canary, Total float64 }

// Percent is the share of the new version.
func (s Served) Percent() float64 {
	if s.Total <= 0 {
		return 0
	}
	return 100 * s.Canary / s.Total
}

// Judge says what the requests counted so far tell. They may be judged as often as one likes.
func (s Share) Judge(seen Served) ShareVerdict {
	n, k := math.Floor(seen.Total), math.Min(math.Floor(seen.Canary), math.Floor(seen.Total))
	if n < 1 || k < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
		return ShareUnknown
	}
	low, high := s.edges()
	above := k/n > low && proven(k, n, low)
	below := k/n < low && proven(k, n, low)
	tooHigh := high < 1 && k/n > high && proven(k, n, high)
	enoughBelow := high >= 1 || k/n < high && proven(k, n, high)
	switch {
	case below || tooHigh:
		return ShareDiffers
	case above && enoughBelow:
		return ShareServed
	}
	return ShareUnknown
}

// edges are between which the share must be: in the middle between what was before and what is due, and in the middle
// between that and everything.
func (s Share) edges() (low, high float64) {
	due, before := float64(s.Due)/100, float64(s.Before)/100
	if before >= due { // The same again, or less: it must be more than nothing.
		before = 0
	}
	low, high = (before+due)/2, (due+1)/2
	if s.AtLeast {
		high = 1
	}
	return low, high
}

// proven says whether k of n requests prove that the share is not the edge.
func proven(k, n, edge float64) bool {
	if edge <= 0 || edge >= 1 {
		return false
	}
	mixture := logBeta(k+0.5, n-k+0.5) - logBeta(0.5, 0.5)
	return mixture-k*math.Log(edge)-(n-k)*math.Log1p(-edge) >= -math.Log(shareError)
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// Sentence says both numbers: "3.1% of 412 requests reached the new version, 20% are due".
func (s Share) Sentence(seen Served) string {
	return fmt.Sprintf("%s%% of %.0f requests reached the new version, %d%% are due", tenths(seen.Percent()),
		math.Floor(seen.Total), s.Due)
}

func tenths(percent float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", percent), ".0") }
