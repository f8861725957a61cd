package analysis

import (
	"fmt"
	"math"
	"slices"
)

// Counts are the requests of one version since the look before. Fractions are welcome, since PromQL's increase()
// gives them: what is left over is carried to the next look.
type Counts struct{ Bad, Total float64 }

// Since is what was counted between two readings of the same counters. Counters that were reset in between make it
// negative, which Look refuses.
func (c Counts) Since(before Counts) Counts {
	return Counts{Bad: c.Bad - before.Bad, Total: c.Total - before.Total}
}

// RateSample is what came since the look before: both versions over the same time.
type RateSample struct{ Canary, Stable Counts }

// RateState is what a comparison of two shares of bad requests remembers between looks. The zero value is the
// beginning. It holds whole numbers only, so that it can be written to a status and read back without loss.
//
// What a verdict proves, for a Comparison with tolerance T and error rate E, when each request's fate is
// independent of the others' and of when Look is called:
//
//   - Worse: if at no look the canary's true share was more than T above stable's true share of the same time
//     (equal versions are a case of it), the probability that Worse is ever said is at most E.
//   - Same or Better: if at each look the canary's share was at least T above stable's, the probability that either
//     is ever said is at most E.
//   - Better: if at each look the canary's share was at least stable's, the probability is at most E.
//
// These hold for every number of looks, for looks of any size, for any division of the traffic, at whatever look the
// run ends, and for shares that change with time, as long as they change for both. Worse stays said. Same and Better
// are what the whole run so far proves, and can be lost again. Requests that fail in bursts, each of which is of one
// version only, are not independent: then the error is larger than E.
//
// How it is done: rate_evidence.go.
type RateState struct {
	// Looks that were used.
	Looks int64 `json:"looks,omitempty"`
	// What came in all.
	CanaryBad   int64 `json:"canaryBad,omitempty"`
	CanaryTotal int64 `json:"canaryTotal,omitempty"`
	StableBad   int64 `json:"stableBad,omitempty"`
	StableTotal int64 `json:"stableTotal,omitempty"`
	// RecentBad and RecentTotal are stable requests of which old ones fade: what the next look is expected to show.
	RecentBad   int64 `json:"recentBad,omitempty"`
	RecentTotal int64 `json:"recentTotal,omitempty"`
	// Carry has the fractions of requests, in millionths, that do not count yet.
	Carry []int64 `json:"carry,omitempty"`
	// Worse, Same and Better are the evidence for each guess, in millionths of a nat.
	Worse  []int64 `json:"worse,omitempty"`
	Same   []int64 `json:"same,omitempty"`
	Better []int64 `json:"better,omitempty"`
	// WorseAt is the look that proved Worse.
	WorseAt int64 `json:"worseAt,omitempty"`
	// Tolerance that the evidence is about, in millionths of a point.
	Tolerance int64 `json:"tolerance,omitempty"`
}

// Look takes in what came since the look before. A sample that makes no sense changes nothing and gives no verdict;
// the judgement's Problem says why.
func (s RateState) Look(c Comparison, in RateSample) (RateState, Judgement) {
	return s.look(c, in, "bad")
}

func (s RateState) look(c Comparison, in RateSample, of string) (RateState, Judgement) {
	if err := c.Validate(); err != nil {
		return s, s.refuse(c, of, err.Error())
	}
	if problem := in.problem(); problem != "" {
		return s, s.refuse(c, of, problem)
	}
	next, canary, stable := s.sound(c).count(in)
	if next.CanaryTotal > mostRequests || next.StableTotal > mostRequests {
		return s, s.refuse(c, of, "there were more requests than can be counted: start a new run")
	}
	return next.weigh(c.Tolerance/100, canary, stable).judge(c, of)
}

func (s RateState) refuse(c Comparison, of, problem string) Judgement {
	j := s.judgement(c, of)
	j.Problem = problem
	return j
}

func (in RateSample) problem() string {
	for _, v := range []struct {
		name   string
		counts Counts
	}{{"canary", in.Canary}, {"stable", in.Stable}} {
		if err := countable(v.counts.Total); err != nil {
			return fmt.Sprintf("the number of %s requests %v", v.name, err)
		}
		if err := countable(v.counts.Bad); err != nil {
			return fmt.Sprintf("the number of bad %s requests %v", v.name, err)
		}
		if v.counts.Bad > v.counts.Total {
			return fmt.Sprintf("%s has %v bad requests of %v: the two queries do not count the same requests", v.name,
				v.counts.Bad, v.counts.Total)
		}
		if v.counts.Total == 0 {
			return v.name + " had no requests since the look before"
		}
	}
	return ""
}

// sound is the state, or the zero one where what was read back makes no sense or is about another tolerance:
// evidence about one tolerance is none about another.
func (s RateState) sound(c Comparison) RateState {
	tolerance := int64(math.Round(c.Tolerance * 1e6))
	ok := s.Tolerance == tolerance && s.Looks >= 0 && s.Looks < mostRequests &&
		len(s.Carry) == 4 && len(s.Worse) == len(worseGuesses) && len(s.Same) == len(sameGuesses) &&
		len(s.Better) == len(betterGuesses) &&
		tally(s.CanaryBad, s.CanaryTotal) && tally(s.StableBad, s.StableTotal) && tally(s.RecentBad, s.RecentTotal)
	for _, left := range s.Carry {
		ok = ok && left >= 0 && left < millionths
	}
	if ok {
		return s
	}
	return RateState{
		Tolerance: tolerance,
		Carry:     make([]int64, 4),
		Worse:     nothing(worseGuesses), Same: weights(sameGuesses), Better: weights(betterGuesses),
	}
}

func tally(bad, total int64) bool { return 0 <= bad && bad <= total && total <= mostRequests }

const millionths = 1_000_000

// count adds the whole requests of a sample, and keeps the fractions for later.
func (s RateState) count(in RateSample) (_ RateState, canary, stable Tally) {
	s.Carry = slices.Clone(s.Carry)
	canary = Tally{Bad: whole(in.Canary.Bad, &s.Carry[0]), Total: whole(in.Canary.Total, &s.Carry[1])}
	stable = Tally{Bad: whole(in.Stable.Bad, &s.Carry[2]), Total: whole(in.Stable.Total, &s.Carry[3])}
	// The fraction may make a bad request whole before it does so for all requests.
	for _, t := range []struct {
		tally *Tally
		carry *int64
	}{{&canary, &s.Carry[0]}, {&stable, &s.Carry[2]}} {
		if t.tally.Bad > t.tally.Total {
			t.tally.Bad, *t.carry = t.tally.Total, millionths-1
		}
	}
	s.CanaryBad += canary.Bad
	s.CanaryTotal += canary.Total
	s.StableBad += stable.Bad
	s.StableTotal += stable.Total
	return s, canary, stable
}

// whole takes the whole requests out of a number and what was carried.
func whole(x float64, carry *int64) int64 {
	n, left := math.Modf(x)
	*carry += int64(math.Round(left * millionths))
	if *carry >= millionths {
		*carry -= millionths
		n++
	}
	return int64(n)
}

// judge says what the evidence comes to. Worse is remembered.
func (s RateState) judge(c Comparison, of string) (RateState, Judgement) {
	j := s.judgement(c, of)
	if s.CanaryTotal < c.MinSamples || s.StableTotal < c.MinSamples {
		return s, j
	}
	needed := 1 / c.ErrorRate
	if s.WorseAt == 0 && j.WorseOdds >= needed {
		s.WorseAt = s.Looks
	}
	switch {
	case s.WorseAt > 0:
		j.Verdict = Worse
	case j.SameOdds >= needed && odds(s.Better) >= needed:
		j.Verdict = Better
	case j.SameOdds >= needed:
		j.Verdict = Same
	}
	return s, j
}

func (s RateState) judgement(c Comparison, of string) Judgement {
	return Judgement{
		Verdict: NotEnoughData, Of: of, Compared: c,
		Canary: Tally{s.CanaryBad, s.CanaryTotal}, Stable: Tally{s.StableBad, s.StableTotal},
		WorseOdds: odds(s.Worse), SameOdds: odds(s.Same),
	}
}
