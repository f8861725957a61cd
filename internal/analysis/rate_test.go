package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var tolerant = Comparison{Tolerance: 0.5, ErrorRate: 0.05, MinSamples: 500}

// looked is a state after some samples.
func looked(t testing.TB, c Comparison, samples ...RateSample) (RateState, Judgement) {
	t.Helper()
	var s RateState
	var j Judgement
	for _, in := range samples {
		if s, j = through(t, s).Look(c, in); j.Problem != "" {
			t.Fatalf("%+v: %s", in, j.Problem)
		}
	}
	return s, j
}

func repeat(n int, in RateSample) []RateSample {
	out := make([]RateSample, n)
	for i := range out {
		out[i] = in
	}
	return out
}

func TestRateVerdicts(t *testing.T) {
	for _, row := range []struct {
		name string
		c    Comparison
		in   []RateSample
		want Verdict
	}{
		{"nothing is known after a few requests", tolerant, repeat(6, RateSample{Counts{1, 100}, Counts{9, 900}}), NotEnoughData},
		{"equal for long", tolerant, repeat(60, RateSample{Counts{1, 100}, Counts{9, 900}}), Same},
		{"worse, but within the tolerance", Comparison{Tolerance: 2, ErrorRate: 0.05}, repeat(60, RateSample{Counts{2, 100}, Counts{9, 900}}), Same},
		{"worse by more", tolerant, repeat(20, RateSample{Counts{5, 100}, Counts{9, 900}}), Worse},
		{"no errors against many", tolerant, repeat(20, RateSample{Counts{0, 100}, Counts{90, 900}}), Better},
		{"no errors at all", tolerant, repeat(20, RateSample{Counts{0, 100}, Counts{0, 900}}), Same},
		{"all requests of both are bad", tolerant, repeat(20, RateSample{Counts{100, 100}, Counts{900, 900}}), Same},
		{"all requests of stable are bad", tolerant, repeat(20, RateSample{Counts{0, 100}, Counts{900, 900}}), Better},
		{"all requests of the canary are bad", tolerant, repeat(5, RateSample{Counts{100, 100}, Counts{0, 900}}), Worse},
		{"the same before there are enough requests", tolerant, repeat(4, RateSample{Counts{100, 100}, Counts{0, 900}}), NotEnoughData},
		{"or enough of stable's", tolerant, repeat(4, RateSample{Counts{900, 900}, Counts{0, 100}}), NotEnoughData},
		{"equal is never Same without a tolerance", usual, repeat(2000, RateSample{Counts{1, 100}, Counts{9, 900}}), NotEnoughData},
		{"one look is enough for what is plain", Comparison{Tolerance: 0.5, ErrorRate: 0.05}, repeat(1, RateSample{Counts{50, 100}, Counts{9, 900}}), Worse},
		{"worse is not forgotten", tolerant, append(repeat(20, RateSample{Counts{5, 100}, Counts{9, 900}}), repeat(300, RateSample{Counts{1, 100}, Counts{9, 900}})...), Worse},
		{"who was good and turns bad is Worse", tolerant, append(repeat(100, RateSample{Counts{1, 100}, Counts{9, 900}}), repeat(15, RateSample{Counts{8, 100}, Counts{9, 900}})...), Worse},
		{"huge numbers", tolerant, repeat(3, RateSample{Counts{2e12, 1e14}, Counts{1e12, 1e14}}), Worse},
		{"huge numbers that are equal", tolerant, repeat(3, RateSample{Counts{1e12, 1e14}, Counts{1e12, 1e14}}), Same},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, j := looked(t, row.c, row.in...); j.Verdict != row.want {
				t.Errorf("%s: %s, want %s", j.Verdict, j.Message(), row.want)
			}
		})
	}
}

func TestRateNonsense(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	good := RateSample{Counts{1, 100}, Counts{9, 900}}
	begun, _ := looked(t, tolerant, repeat(10, good)...)
	worse, _ := looked(t, tolerant, repeat(30, RateSample{Counts{9, 100}, Counts{9, 900}})...)
	for _, row := range []struct {
		in   RateSample
		want string
	}{
		{RateSample{Counts{nan, 100}, good.Stable}, "the number of bad canary requests is not a number"},
		{RateSample{Counts{1, nan}, good.Stable}, "the number of canary requests is not a number"},
		{RateSample{good.Canary, Counts{9, inf}}, "the number of stable requests is too large"},
		{RateSample{good.Canary, Counts{9, -inf}}, "the number of stable requests is below zero: a counter was reset"},
		{RateSample{Counts{-1, 100}, good.Stable}, "the number of bad canary requests is below zero: a counter was reset"},
		{RateSample{Counts{3, 10}.Since(Counts{9, 900}), good.Stable}, "the number of canary requests is below zero: a counter was reset"},
		{RateSample{Counts{101, 100}, good.Stable}, "canary has 101 bad requests of 100: the two queries"},
		{RateSample{Counts{}, good.Stable}, "canary had no requests since the look before"},
		{RateSample{good.Canary, Counts{}}, "stable had no requests since the look before"},
		{RateSample{}, "canary had no requests since the look before"},
		{RateSample{Counts{1e300, 1e300}, good.Stable}, "the number of canary requests is too large"},
	} {
		for _, before := range []RateState{{}, begun, worse} {
			after, j := before.Look(tolerant, row.in)
			if j.Verdict != NotEnoughData || !strings.HasPrefix(j.Problem, row.want) || j.Message() != j.Problem {
				t.Errorf("%+v: %s %q, want no verdict and %q", row.in, j.Verdict, j.Problem, row.want)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%+v changed the state (-before +after):\n%s", row.in, diff)
			}
		}
	}
	// What came before is not lost with it.
	if _, j := worse.Look(tolerant, good); j.Verdict != Worse {
		t.Errorf("after nonsense: %s, want Worse as before", j.Message())
	}
	full := begun
	full.StableTotal = mostRequests
	if after, j := full.Look(tolerant, good); j.Problem == "" || !cmp.Equal(full, after) {
		t.Errorf("more requests than can be counted: %s", j.Message())
	}
}

func TestRateState(t *testing.T) {
	good := RateSample{Counts{1, 100}, Counts{9, 900}}
	bad := RateSample{Counts{9, 100}, Counts{9, 900}}
	t.Run("a state that was tampered with begins anew", func(t *testing.T) {
		want, _ := RateState{}.Look(tolerant, bad)
		for _, change := range []func(*RateState){
			func(s *RateState) { s.Worse = s.Worse[1:] },
			func(s *RateState) { s.Same = nil },
			func(s *RateState) { s.Better = append(s.Better, 7) },
			func(s *RateState) { s.Carry = []int64{0, 0, 0, -5} },
			func(s *RateState) { s.Carry = []int64{0, 0, 0, millionths} },
			func(s *RateState) { s.Looks = -4 },
			func(s *RateState) { s.Looks = math.MaxInt64 },
			func(s *RateState) { s.CanaryBad = s.CanaryTotal + 1 },
			func(s *RateState) { s.StableTotal = math.MaxInt64 },
			func(s *RateState) { s.RecentBad = -1 },
			func(s *RateState) { s.Tolerance++ },
		} {
			s, _ := looked(t, tolerant, repeat(5, good)...)
			change(&s)
			if got, _ := s.Look(tolerant, bad); !cmp.Equal(want, got) {
				t.Errorf("not begun anew (-want +got):\n%s", cmp.Diff(want, got))
			}
		}
	})
	t.Run("evidence about one tolerance is none about another", func(t *testing.T) {
		s, j := looked(t, tolerant, repeat(30, bad)...)
		if j.Verdict != Worse {
			t.Fatal(j.Message())
		}
		c := tolerant
		c.Tolerance = 50
		if _, j := s.Look(c, bad); j.Verdict != NotEnoughData {
			t.Errorf("%s: want to begin anew", j.Message())
		}
	})
	t.Run("the state before is not touched", func(t *testing.T) {
		s, _ := looked(t, tolerant, good)
		before, _ := json.Marshal(s)
		s.Look(tolerant, bad)
		if after, _ := json.Marshal(s); string(before) != string(after) {
			t.Errorf("was %s, is %s", before, after)
		}
	})
	t.Run("Better alone is no proof that it is not worse", func(t *testing.T) {
		s, _ := looked(t, tolerant, repeat(10, good)...)
		s.Better[0], s.Same[0] = 9*millionths, 0
		if _, j := s.judge(tolerant, "bad"); j.Verdict != NotEnoughData {
			t.Errorf("%s, and the odds that it is not worse are %v to 1: both together may be wrong more often than is said", j.Verdict, j.SameOdds)
		}
	})
	t.Run("what is expected of stable follows it", func(t *testing.T) {
		for _, row := range []struct {
			name    string
			samples []RateSample
			want    float64
		}{
			{"some time after a long one without errors", append(repeat(1000, RateSample{Counts{0, 100}, Counts{0, 900}}), repeat(20, RateSample{Counts{5, 100}, Counts{45, 900}})...), 0.02},
			{"after a long time with many", append(repeat(1000, RateSample{Counts{5, 100}, Counts{45, 900}}), repeat(40, RateSample{Counts{0, 100}, Counts{0, 900}})...), 0.01},
			{"after one with errors alone", append(repeat(1000, RateSample{Counts{100, 100}, Counts{900, 900}}), repeat(100, RateSample{Counts{5, 100}, Counts{45, 900}})...), 0.05},
		} {
			s, _ := looked(t, tolerant, row.samples...)
			if got := s.expected()[0]; got < row.want/2 || got > row.want*2 {
				t.Errorf("%s %.4f is expected, want about %v", row.name, got, row.want)
			}
		}
	})
	t.Run("fractions are not lost", func(t *testing.T) {
		s, _ := looked(t, tolerant, repeat(1000, RateSample{Counts{0.3, 9.7}, Counts{0.25, 90.01}})...)
		got := []int64{s.CanaryBad, s.CanaryTotal, s.StableBad, s.StableTotal}
		if diff := cmp.Diff([]int64{300, 9700, 250, 90010}, got); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
	})
}

// TestEvidenceIsFair is the proof in small: under each pair of shares of the null, the mean of the E-variable over all
// that can come is at most 1.
func TestEvidenceIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.Int64Range(0, 12).Draw(t, "n"), rapid.Int64Range(0, 25).Draw(t, "m")
		tolerance := rapid.SampledFrom([]float64{0, 0.001, 0.05, 0.4, 0.9}).Draw(t, "tolerance")
		share := rapid.OneOf(rapid.Float64Range(1e-6, 1-1e-6), rapid.Map(rapid.Float64Range(-12, -1), math.Exp))
		a, b := share.Draw(t, "a*"), share.Draw(t, "b*")
		x, y := rapid.Float64Range(0, 1).Draw(t, "x"), rapid.Float64Range(0, 1).Draw(t, "y")
		edge := y+tolerance <= 1 && rapid.Bool().Draw(t, "on the edge")
		if edge {
			x = y + tolerance // It belongs to both nulls.
		} else if (a > b+tolerance) == (x > y+tolerance) {
			t.Skip("the guess and what is true are on the same side of the edge")
		}
		mean := 0.0
		for i := range n + 1 {
			for j := range m + 1 {
				l := look{canary: Tally{i, n}, stable: Tally{j, m}}
				mean += exactChance(n, i, x) * exactChance(m, j, y) * math.Exp(l.against(a, b, tolerance))
			}
		}
		if mean > 1+1e-9 {
			t.Errorf("the mean is %v", mean)
		}
	})
}

func exactChance(n, k int64, p float64) float64 {
	switch p {
	case 0:
		return map[bool]float64{true: 1}[k == 0]
	case 1:
		return map[bool]float64{true: 1}[k == n]
	}
	return chance(n, k, p)
}

// TestCapitalIsFair checks the whole bookkeeping in the same way: whatever was seen before, the capital after the next look
// is in the mean no more than it was before, with what is put in.
func TestCapitalIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Comparison{Tolerance: rapid.SampledFrom([]float64{0, 0.5, 10}).Draw(t, "tolerance"), ErrorRate: 0.05}
		s := RateState{}
		for range rapid.IntRange(0, 4).Draw(t, "looks") {
			n, m := rapid.IntRange(1, 300).Draw(t, "n"), rapid.IntRange(1, 300).Draw(t, "m")
			s, _ = s.Look(c, RateSample{
				Counts{float64(rapid.IntRange(0, n).Draw(t, "bad")), float64(n)},
				Counts{float64(rapid.IntRange(0, m).Draw(t, "stable bad")), float64(m)},
			})
		}
		s = s.sound(c)
		n, m := rapid.Int64Range(1, 8).Draw(t, "next n"), rapid.Int64Range(1, 20).Draw(t, "next m")
		y := rapid.Float64Range(0, 1-c.Tolerance/100).Draw(t, "y")
		x := min(y+c.Tolerance/100, 1) // On the edge both nulls are true.
		var worse, same, better float64
		for i := range n + 1 {
			for j := range m + 1 {
				next := s.weigh(c.Tolerance/100, Tally{i, n}, Tally{j, m})
				p, q := exactChance(n, i, x)*exactChance(m, j, y), exactChance(n, i, y)*exactChance(m, j, y)
				worse, same, better = worse+p*odds(next.Worse), same+p*odds(next.Same), better+q*odds(next.Better)
			}
		}
		most := odds(s.Worse) + math.Exp(entering(s.Looks+1))
		if worse > most*(1+1e-9) || same > odds(s.Same)*(1+1e-9) || better > odds(s.Better)*(1+1e-9) {
			t.Errorf("capital against no worse %v of %v, worse %v of %v, no better %v of %v",
				worse, most, same, odds(s.Same), better, odds(s.Better))
		}
	})
	if all := odds(weights(sameGuesses)); all > 1 {
		t.Errorf("the capital for Same is %v at first", all)
	}
	if all := odds(weights(betterGuesses)); all > 1 {
		t.Errorf("the capital for Better is %v at first", all)
	}
	all, parts := 0.0, 0.0
	for look := range int64(100_000) {
		all += math.Exp(entering(look + 1))
	}
	for _, g := range worseGuesses {
		parts += math.Exp(g.part)
	}
	if all > 1 || all < 0.9999 || parts > 1+1e-12 {
		t.Errorf("%v is put in for Worse in all, in parts of %v", all, parts)
	}
}

// TestRateLaws holds for whatever comes.
func TestRateLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Comparison{
			Tolerance:  rapid.Float64Range(0, 20).Draw(t, "tolerance"),
			ErrorRate:  rapid.Float64Range(0.001, 0.2).Draw(t, "error rate"),
			MinSamples: rapid.Int64Range(0, 1000).Draw(t, "min samples"),
		}
		number := rapid.OneOf(rapid.Float64Range(0, 1000), rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), -1, 0}))
		counts := rapid.Custom(func(t *rapid.T) Counts { return Counts{number.Draw(t, "bad"), number.Draw(t, "total")} })
		var s RateState
		wasWorse := false
		for range rapid.IntRange(1, 30).Draw(t, "looks") {
			in := RateSample{counts.Draw(t, "canary"), counts.Draw(t, "stable")}
			next, j := s.Look(c, in)
			law(t, c, s, next, j, in)
			if wasWorse && j.Problem == "" && j.Verdict != Worse {
				t.Fatalf("Worse became %s", j.Verdict)
			}
			wasWorse = wasWorse || j.Verdict == Worse
			s = next
		}
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

// law is what holds for each look.
func law(t failer, c Comparison, before, after RateState, j Judgement, in RateSample) {
	switch {
	case j.Problem != "" && (j.Verdict != NotEnoughData || !cmp.Equal(before, after)):
		t.Fatalf("%+v was refused (%s), with verdict %s and change %s", in, j.Problem, j.Verdict, cmp.Diff(before, after))
	case j.Verdict != NotEnoughData && (j.Canary.Total < c.MinSamples || j.Stable.Total < c.MinSamples):
		t.Fatalf("%s before there were enough requests: %s", j.Verdict, j.Message())
	case j.Problem == "" && !cmp.Equal(after, after.sound(c)):
		t.Fatalf("%+v led to a state that makes no sense: %+v", in, after)
	case j.Message() == "" || strings.Contains(j.Message(), "%!"):
		t.Fatalf("message %q", j.Message())
	case math.IsNaN(j.WorseOdds) || math.IsNaN(j.SameOdds) || math.IsInf(j.WorseOdds, 0) || math.IsInf(j.SameOdds, 0):
		t.Fatalf("odds %v, %v", j.WorseOdds, j.SameOdds)
	case j.Canary.Bad < 0 || j.Canary.Bad > j.Canary.Total || j.Stable.Bad < 0 || j.Stable.Bad > j.Stable.Total:
		t.Fatalf("tallies %+v, %+v", j.Canary, j.Stable)
	}
}

func FuzzRateLook(f *testing.F) {
	f.Add(0.5, 0.05, int64(100), 1.0, 100.0, 9.0, 900.0, []byte(`{}`))
	f.Add(0.0, 0.05, int64(0), math.NaN(), -1.0, 1e300, math.Inf(1), []byte(`{"looks":3,"worse":[1,2,3,4,5]}`))
	begun, _ := RateState{}.Look(tolerant, RateSample{Counts{1, 100}, Counts{9, 900}})
	text, _ := json.Marshal(begun)
	f.Add(0.5, 0.05, int64(0), 7.5, 100.25, 9.0, 900.0, text)
	f.Fuzz(func(t *testing.T, tolerance, errorRate float64, least int64, cb, ct, sb, st float64, text []byte) {
		var s RateState
		if json.Unmarshal(text, &s) != nil {
			return
		}
		c := Comparison{Tolerance: tolerance, ErrorRate: errorRate, MinSamples: least}
		in := RateSample{Counts{cb, ct}, Counts{sb, st}}
		for range 3 {
			next, j := s.Look(c, in)
			law(t, c, s, next, j, in)
			s = next
		}
	})
}
