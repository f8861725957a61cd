package analysis

import "math"

// The evidence of RateState is a bet against a null hypothesis about (canary's share, stable's share): a capital of 1
// is put on guesses of what is true instead, and what comes in multiplies each guess's part by an E-variable, which
// no share within the null can make larger on average. A capital of 1/E is then reached with a probability of at most
// E, at whatever time one looks (Ville's inequality).
//
// The E-variable of a look of n requests of the canary and m of stable is the likelihood of what came under the guess
// (a*, b*), divided by that under the point (a, b) of the null that is nearest to it, which is to say that
//
//	n KL(a* || a) + m KL(b* || b)
//
// is smallest: Turner and Grünwald, "Exact anytime-valid confidence intervals for contingency tables and beyond",
// arXiv:2203.09785, for the null that the difference is at most a constant;
// Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
// stopping", J. Statistical Planning and Inference 230 (2024), arXiv:2106.02693, for equality. It is exact for small
// numbers, which errors are. Under any (x, y) of the null its mean is
//
//	(1 + u (x-a))^n (1 + v (y-b))^m <= exp(n u (x-a) + m v (y-b)), u = (a*-a) / (a (1-a)), v = (b*-b) / (b (1-b)),
//
// and the exponent is not above 0, since (n u, m v) is the slope at the nearest point of a convex set. Nothing here
// asks that (x, y) is the same at each look.
//
// The guesses for a look are made from the looks before it: stable as it was recently, and a canary that is worse (or
// no worse, or better) by several odds ratios. A mixture of bets is a bet. So is one that puts a part of the capital in
// later: most of the one against "no worse" is put in at the first look, and a part at each look after it, so
// that a canary that turns worse after a while is found without first making up for the good time before.

// guess is one idea of the canary's share, as an odds ratio, and the logarithm of its part of the capital.
type guess struct{ ratio, part float64 }

var (
	// worseGuesses are odds ratios to the largest share that is borne.
	worseGuesses = parts(guess{1.2, 0.15}, guess{1.6, 0.2}, guess{2.4, 0.35}, guess{5, 0.2}, guess{30, 0.1})
	// sameGuesses are odds ratios to stable.
	sameGuesses = parts(guess{1, 0.5}, guess{halfway, 0.25}, guess{0.5, 0.15}, guess{0.1, 0.1})
	// betterGuesses are odds ratios to stable.
	betterGuesses = parts(guess{0.8, 0.4}, guess{0.5, 0.4}, guess{0.1, 0.2})
)

func parts(guesses ...guess) []guess {
	for i, g := range guesses {
		guesses[i].part = math.Log(g.part)
	}
	return guesses
}

// halfway stands for a canary whose share is half the tolerance above stable's.
const halfway = -1

const (
	// atFirst is the part of the capital against "no worse" that is put in at the first look.
	atFirst = 0.7
	// dared is the part of the capital that is bet at the first look, when nothing is known of stable.
	dared = 0.7
	// fadeRare and fadeAll are the numbers of recent requests, of the rarer kind and of all, at which half of what is
	// known of stable is forgotten, so that it follows a share that changes.
	fadeRare, fadeAll = 400, 100_000
	// broke is a capital of nothing, and what is below it, in nats.
	broke = -600
)

// firstShares are what stable's share is thought to be before anything is known.
var firstShares = []float64{0.001, 0.01, 0.1}

// weigh bets on what came at a look.
func (s RateState) weigh(tolerance float64, canary, stable Tally) RateState {
	l := look{canary: canary, stable: stable, shares: s.expected()}
	if canary.Total > 0 && stable.Total > 0 {
		s.Looks++
		s.Worse = l.bet(s.Worse, worseGuesses, entering(s.Looks), tolerance, func(g guess, share float64) float64 {
			return byOdds(share+tolerance, g.ratio)
		})
		s.Same = l.bet(s.Same, sameGuesses, none, tolerance, func(g guess, share float64) float64 {
			if g.ratio == halfway {
				return share + tolerance/2
			}
			return byOdds(share, g.ratio)
		})
		s.Better = l.bet(s.Better, betterGuesses, none, 0,
			func(g guess, share float64) float64 { return byOdds(share, g.ratio) })
	}
	s.RecentBad += stable.Bad
	s.RecentTotal += stable.Total
	for min(s.RecentBad, s.RecentTotal-s.RecentBad) > fadeRare || s.RecentTotal > fadeAll {
		s.RecentBad, s.RecentTotal = s.RecentBad/2, s.RecentTotal/2
	}
	return s
}

// expected is what stable's share is thought to be, from looks before this one.
func (s RateState) expected() []float64 {
	if s.RecentTotal == 0 {
		return firstShares
	}
	return []float64{(float64(s.RecentBad) + 0.5) / (float64(s.RecentTotal) + 1)}
}

// entering is the part of the capital that is put in at a look, as a logarithm. All looks together come to 1.
func entering(look int64) float64 {
	if look == 1 {
		return math.Log(atFirst)
	}
	n := float64(look)
	return math.Log((1 - atFirst) / (n * (n - 1)))
}

// none is what enters where all was put in at the beginning.
var none = math.Inf(-1)

// byOdds multiplies the odds of a share.
func byOdds(share, ratio float64) float64 { return share * ratio / (1 - share + share*ratio) }

// look is what came, and what stable's share was thought to be before.
type look struct {
	canary, stable Tally
	shares         []float64
}

// bet multiplies the capital on each guess, with what is entering, by the guess's E-variable.
func (l look) bet(capital []int64, guesses []guess, entering, tolerance float64,
	canary func(guess, float64) float64,
) []int64 {
	out := make([]int64, len(guesses))
	for i, g := range guesses {
		in := add(nats(capital[i]), entering+g.part)
		out[i] = stored(in + l.evidence(tolerance, func(share float64) float64 { return canary(g, share) }))
	}
	return out
}

// evidence is the E-variable of a guess, in nats.
func (l look) evidence(tolerance float64, canary func(share float64) float64) float64 {
	if len(l.shares) == 1 {
		return l.against(canary(l.shares[0]), l.shares[0], tolerance)
	}
	total := math.Log(1 - dared)
	for _, share := range l.shares {
		total = add(total, math.Log(dared/float64(len(l.shares)))+l.against(canary(share), share, tolerance))
	}
	return total
}

// against is the logarithm of the E-variable of the guess (a, b) against the null on whose edge the canary's share
// is stable's and the tolerance. The null is on the other side of the edge.
func (l look) against(a, b, tolerance float64) float64 {
	if !(a > 0 && a < 1 && b > 0 && b < 1) {
		return 0 // No guess: no bet.
	}
	near, slack := l.nearest(a, b, tolerance)
	if !(near > 0 && near+tolerance < 1) {
		return 0
	}
	return likelihood(l.canary, a, near+tolerance) + likelihood(l.stable, b, near) - slack
}

// likelihood of what came under one share, to that under another, in nats.
func likelihood(t Tally, one, other float64) float64 {
	return float64(t.Bad)*math.Log(one/other) + float64(t.Total-t.Bad)*math.Log((1-one)/(1-other))
}

// nearest is stable's share at the point on the edge that is nearest to the guess, and by how much the logarithm of the
// E-variable may be too large since the point was computed with rounding.
func (l look) nearest(a, b, tolerance float64) (near, slack float64) {
	n, m := float64(l.canary.Total), float64(l.stable.Total)
	if tolerance == 0 {
		near = (n*a + m*b) / (n + m)
	} else {
		near = l.root(a, b, tolerance)
	}
	x := near + tolerance
	return near, math.Abs(n*(x-a)/(x*(1-x)) + m*(near-b)/(near*(1-near)))
}

// root finds where the slope of the distance along the edge is 0. Written without fractions it is a cubic that is
// below 0 at low and above 0 at high.
func (l look) root(a, b, tolerance float64) float64 {
	n := float64(l.canary.Total)
	n, m := n/(n+float64(l.stable.Total)), float64(l.stable.Total)/(n+float64(l.stable.Total))
	low, high := max(min(b, a-tolerance), 0), min(max(b, a-tolerance), 1-tolerance)
	x := n*(a-tolerance) + m*b
	for range 100 {
		if !(x > low && x < high) {
			x = (low + high) / 2
		}
		y := x + tolerance
		f := n*(y-a)*x*(1-x) + m*(x-b)*y*(1-y)
		slope := n*(x*(1-x)+(y-a)*(1-2*x)) + m*(y*(1-y)+(x-b)*(1-2*y))
		if f < 0 {
			low = x
		} else {
			high = x
		}
		next := x - f/slope
		if math.Abs(next-x) <= 1e-15*x || high-low <= 1e-15*x {
			return x
		}
		x = next
	}
	return x
}

// odds are all capital.
func odds(capital []int64) float64 {
	total := 0.0
	for _, c := range capital {
		total += math.Exp(nats(c))
	}
	return total
}

// add is the logarithm of the sum of two numbers whose logarithms are given.
func add(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) || a-b > 50 {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// nats is a stored logarithm. What is broke has nothing.
func nats(stored int64) float64 {
	if stored <= broke*millionths {
		return math.Inf(-1)
	}
	return float64(min(stored, -broke*millionths)) / millionths
}

// stored rounds down, so that storing never makes evidence.
func stored(nats float64) int64 {
	if !(nats > broke) {
		return broke * millionths
	}
	return int64(math.Floor(min(nats, -broke) * millionths))
}

// weights are the guesses' parts of the capital.
func weights(guesses []guess) []int64 {
	out := make([]int64, len(guesses))
	for i, g := range guesses {
		out[i] = stored(g.part)
	}
	return out
}

// nothing is the capital on guesses before any is put in.
func nothing(guesses []guess) []int64 {
	out := make([]int64, len(guesses))
	for i := range out {
		out[i] = broke * millionths
	}
	return out
}
