package analysis

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var slow = QuantileComparison{Comparison: Comparison{Tolerance: 2, ErrorRate: 0.05}, Quantile: 0.95}

// histogram of requests of which so many are in each bucket: up to 0.1, 0.25, 0.5, 1 and longer.
func histogram(counts ...float64) []Bucket {
	bounds := []float64{0.1, 0.25, 0.5, 1, math.Inf(1)}
	out := make([]Bucket, len(counts))
	sum := 0.0
	for i, n := range counts {
		sum += n
		out[i] = Bucket{LE: bounds[i+len(bounds)-len(counts)], Count: sum}
	}
	return out
}

func TestQuantileVerdicts(t *testing.T) {
	stable := histogram(6000, 3000, 600, 300, 100)
	for _, row := range []struct {
		name   string
		canary []Bucket
		looks  int
		want   Verdict
	}{
		{"the first look is for learning", histogram(0, 0, 0, 0, 1000), 1, NotEnoughData},
		{"as fast", histogram(600, 300, 60, 30, 10), 20, Same},
		{"a little slower, within the tolerance", histogram(600, 295, 60, 35, 10), 40, Same},
		{"slower", histogram(500, 300, 60, 100, 40), 10, Worse},
		{"all are slower", histogram(0, 0, 0, 0, 1000), 2, Worse},
		{"faster", histogram(900, 90, 5, 5, 0), 20, Better},
		{"slower only where it is fast anyway", histogram(0, 900, 60, 30, 10), 20, Same},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s QuantileState
			var j Judgement
			for range row.looks {
				if s, j = through(t, s).Look(slow, QuantileSample{row.canary, stable}); j.Problem != "" {
					t.Fatal(j.Problem)
				}
			}
			if j.Verdict != row.want {
				t.Errorf("%s: %s, want %s", j.Verdict, j.Message(), row.want)
			}
			if s.Threshold != "0.5" {
				t.Errorf("threshold %q, want 0.5: 4%% of stable's requests are slower than that", s.Threshold)
			}
		})
	}
}

func TestQuantileLearns(t *testing.T) {
	canary := histogram(1, 0, 0, 0, 0)
	for _, row := range []struct {
		name     string
		quantile float64
		stable   []Bucket
		looks    int
		want     string
		message  string
	}{
		{"waits for enough", 0.95, histogram(50, 30, 9, 5, 5), 1, "", "learning from stable's requests which time the share 0.95 of them stays below: 99 of 200 requests"},
		{"and then takes the nearest", 0.95, histogram(50, 30, 9, 5, 5), 3, "1", "from now on requests slower than 1 are compared, which 5.05% of 297 requests to stable were"},
		{"more is needed for a rarer time", 0.99, histogram(50, 30, 9, 5, 5), 3, "", "learning"},
		{"the median", 0.5, histogram(600, 300, 60, 30, 10), 1, "0.1", "from now on requests slower than 0.1 are compared, which 40%"},
		{"all are below the lowest bound", 0.95, histogram(1000, 0, 0, 0, 0), 1, "0.1", "from now on requests slower than 0.1 are compared, which 0%"},
		{"buckets that are too coarse", 0.95, histogram(400, 599, 1, 0, 0), 1, "0.25", "from now on requests slower than 0.25 are compared, which 0.1%"},
		{"all are beyond the highest bound", 0.95, histogram(0, 0, 0, 0, 1000), 1, "", "the share 0.95 of stable's requests is not below any bound of the histogram but +Inf: give it buckets for longer times"},
		{"one bucket is no histogram", 0.95, histogram(1000), 1, "", "the share 0.95"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := slow
			c.Quantile = row.quantile
			var s QuantileState
			var j Judgement
			for range row.looks {
				s, j = through(t, s).Look(c, QuantileSample{canary, row.stable})
			}
			if s.Threshold != row.want || !strings.HasPrefix(j.Message(), row.message) || j.Verdict != NotEnoughData {
				t.Errorf("threshold %q, %s %q\nwant %q, %q", s.Threshold, j.Verdict, j.Message(), row.want, row.message)
			}
			if s.Threshold != "" && (s.Learnt != nil || s.Rate.Looks != 0) {
				t.Errorf("what was learnt from is judged, or kept: %+v", s)
			}
		})
	}
	t.Run("other buckets begin anew", func(t *testing.T) {
		s, _ := QuantileState{}.Look(slow, QuantileSample{canary, histogram(50, 30, 9, 5, 5)})
		s, j := s.Look(slow, QuantileSample{canary, histogram(150, 9, 5, 5)})
		if len(s.Learnt) != 4 || !strings.Contains(j.Message(), "169 of 200") {
			t.Errorf("%s: %+v", j.Message(), s)
		}
	})
}

func TestQuantileNonsense(t *testing.T) {
	inf := math.Inf(1)
	good := histogram(600, 300, 60, 30, 10)
	begun, _ := QuantileState{}.Look(slow, QuantileSample{good, good})
	fast, _ := begun.Look(slow, QuantileSample{good, good})
	for _, row := range []struct {
		canary []Bucket
		want   string
	}{
		{nil, "the histogram of the canary is empty"},
		{[]Bucket{{1, 5}}, `the histogram of the canary has no bucket le="+Inf"`},
		{[]Bucket{{math.NaN(), 5}, {inf, 5}}, "the histogram of the canary has a bucket whose bound le is not a number"},
		{[]Bucket{{0.5, math.NaN()}, {inf, 5}}, `the histogram of the canary has a bucket le="0.5" whose count is not a number`},
		{[]Bucket{{0.5, -2}, {inf, 5}}, `the histogram of the canary has a bucket le="0.5" whose count is below zero`},
		{[]Bucket{{0.5, 9}, {inf, 5}}, `the histogram of the canary has 9 requests in le="0.5" and only 5 in le="+Inf"`},
		{[]Bucket{{0.5, 9}, {0.5, 9}, {inf, 10}}, `the histogram of the canary has two buckets le="0.5"`},
		{make([]Bucket, 201), "the histogram of the canary has 201 buckets, more than 200"},
	} {
		for _, before := range []QuantileState{{}, begun, fast} {
			after, j := before.Look(slow, QuantileSample{row.canary, good})
			if j.Verdict != NotEnoughData || !strings.HasPrefix(j.Problem, row.want) || !cmp.Equal(before, after) {
				t.Errorf("%v: %s %q, want no verdict, no change and %q", row.canary, j.Verdict, j.Problem, row.want)
			}
		}
	}
	for _, in := range []QuantileSample{{histogram(0, 0, 0, 0, 0), good}, {good, histogram(0, 0, 0, 0, 0)}, {good, histogram(5, 5)}} {
		if after, j := fast.Look(slow, in); j.Problem == "" || j.Verdict != NotEnoughData || !cmp.Equal(fast, after) {
			t.Errorf("%+v: %s, want a problem", in, j.Message())
		}
	}
	c := slow
	for _, c.Quantile = range []float64{0, 1, 95, math.NaN()} {
		if _, j := begun.Look(c, QuantileSample{good, good}); !strings.HasPrefix(j.Problem, "quantile:") {
			t.Errorf("quantile %v: %s", c.Quantile, j.Message())
		}
	}
	tampered := fast
	tampered.Threshold = "soon"
	if after, j := tampered.Look(slow, QuantileSample{good, good}); !strings.Contains(j.Problem, `"soon"`) || after.Threshold != "" {
		t.Errorf("%+v: %s", after, j.Message())
	}
	// Buckets in any order, and a fall that is one of rounding alone, are borne.
	mixed := slices.Clone(good)
	slices.Reverse(mixed)
	mixed[0].Count -= 1e-9
	mixed[1].Count = good[4].Count
	if _, j := fast.Look(slow, QuantileSample{mixed, good}); j.Problem != "" {
		t.Error(j.Problem)
	}
}

// latencies draws a histogram: so many requests, the slower the version the more in the higher buckets.
func latencies(r *rand.Rand, n int, slowness float64) []Bucket {
	out := histogram(0, 0, 0, 0, 0)
	for range n {
		took := slowness * math.Exp(0.8*r.NormFloat64())
		for i := range out {
			if took <= out[i].LE {
				out[i].Count++
			}
		}
	}
	return out
}

func TestQuantileErrors(t *testing.T) {
	const runs = 400
	c := QuantileComparison{Comparison: Comparison{ErrorRate: 0.05}, Quantile: 0.95}
	for _, row := range []struct {
		name     string
		slowness float64
		// most and least are runs that are called Worse, in percent.
		least, most int
	}{
		{"equal", 0.13, 0, 5},
		{"half as slow again", 0.195, 95, 100},
	} {
		t.Run(row.name, func(t *testing.T) {
			worse := 0
			for i := range runs {
				r := dice(uint64(i))
				var s QuantileState
				var j Judgement
				for range 12 {
					s, j = s.Look(c, QuantileSample{latencies(r, 60, row.slowness), latencies(r, 240, 0.13)})
				}
				if j.Verdict == Worse {
					worse++
				}
			}
			t.Logf("%d of %d runs are called Worse", worse, runs)
			if 100*worse > row.most*runs || 100*worse < row.least*runs {
				t.Errorf("%d of %d runs are called Worse, want %d to %d%%", worse, runs, row.least, row.most)
			}
		})
	}
}

// TestQuantileTakes: how many requests to the canary a verdict takes at the quantile 0.95 with a tolerance of 2 points, which
// is the default; the documentation has these figures.
func TestQuantileTakes(t *testing.T) {
	const runs = 100
	for _, row := range []struct {
		name string
		// share of the canary's requests that are slower than what 5% of stable's exceed.
		share float64
		want  Verdict
		most  int64
	}{
		{"as fast", 0.05, Same, 2000},
		{"twice as many slow ones", 0.10, Worse, 1300},
		{"three times as many", 0.15, Worse, 300},
	} {
		t.Run(row.name, func(t *testing.T) {
			right, took := 0, int64(0)
			for i := range runs {
				r := dice(uint64(i))
				draw := func(n int, share float64) Counts {
					c := Counts{Total: float64(n)}
					for range n {
						if r.Float64() < share {
							c.Bad++
						}
					}
					return c
				}
				var s RateState
				var j Judgement
				for j.Verdict = NotEnoughData; j.Verdict == NotEnoughData && s.Looks < 200; {
					s, j = s.Look(Comparison{Tolerance: 2, ErrorRate: 0.05, MinSamples: 100}, RateSample{draw(50, row.share), draw(200, 0.05)})
				}
				took += s.CanaryTotal
				if j.Verdict == row.want {
					right++
				}
			}
			t.Logf("%d of %d are called %s, after %d requests on average", right, runs, row.want, took/runs)
			if right < 95*runs/100 || took/runs > row.most {
				t.Errorf("want 95%%, and at most %d requests", row.most)
			}
		})
	}
}

// TestQuantileIsRate: once there is a threshold, the verdict is that about the shares beyond it.
func TestQuantileIsRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		learn := histogram(6000, 3000, 600, 300, 100)
		s, _ := QuantileState{}.Look(slow, QuantileSample{learn, learn})
		var want RateState
		for range rapid.IntRange(1, 10).Draw(t, "looks") {
			draw := func(name string) ([]Bucket, Counts) {
				n := rapid.SliceOfN(rapid.Float64Range(0, 500), 5, 5).Draw(t, name)
				h := histogram(n...)
				return h, Counts{Bad: h[4].Count - h[2].Count, Total: h[4].Count}
			}
			var in QuantileSample
			var counts RateSample
			in.Canary, counts.Canary = draw("canary")
			in.Stable, counts.Stable = draw("stable")
			var got, rate Judgement
			s, got = s.Look(slow, in)
			want, rate = want.Look(slow.Comparison, counts)
			rate.Of = "slower than 0.5"
			if diff := cmp.Diff(rate, got); diff != "" {
				t.Fatalf("judgement (-as a rate +as latencies):\n%s", diff)
			}
		}
	})
}

func FuzzQuantileLook(f *testing.F) {
	f.Add(0.95, 0.1, 900.0, 0.5, 950.0, 1000.0, []byte(`{}`))
	f.Add(0.5, 1.0, math.NaN(), 0.5, -1.0, math.Inf(1), []byte(`{"threshold":"0.5"}`))
	f.Add(0.99, 0.1, 5.0, 0.5, 7.0, 7.5, []byte(`{"learnt":[{"le":"0.1","count":9},{"le":"0.5","count":99},{"le":"+Inf","count":100}]}`))
	f.Fuzz(func(t *testing.T, quantile, le1, n1, le2, n2, all float64, text []byte) {
		var s QuantileState
		if json.Unmarshal(text, &s) != nil {
			return
		}
		c := QuantileComparison{Comparison: Comparison{Tolerance: 1, ErrorRate: 0.05}, Quantile: quantile}
		canary := []Bucket{{le1, n1}, {le2, n2}, {math.Inf(1), all}}
		stable := []Bucket{{le2, n1}, {le1, n2}, {math.Inf(1), all}}
		for range 3 {
			next, j := s.Look(c, QuantileSample{canary, stable})
			if j.Problem != "" && j.Verdict != NotEnoughData || j.Message() == "" || strings.Contains(j.Message(), "%!") {
				t.Fatalf("%s %q", j.Verdict, j.Message())
			}
			if j.Verdict != NotEnoughData && s.Threshold == "" {
				t.Fatalf("%s without a threshold that was there before", j.Verdict)
			}
			s = next
		}
	})
}
