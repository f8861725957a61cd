package analysis

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestComparisonValidate(t *testing.T) {
	good := Comparison{Tolerance: 0.5, ErrorRate: 0.05, MinSamples: 100}
	for _, row := range []struct {
		change func(*Comparison)
		want   string
	}{
		{func(*Comparison) {}, ""},
		{func(c *Comparison) { c.Tolerance = 0 }, ""},
		{func(c *Comparison) { c.Tolerance = -0.1 }, "tolerance: -0.1"},
		{func(c *Comparison) { c.Tolerance = 100 }, "tolerance: 100"},
		{func(c *Comparison) { c.Tolerance = math.NaN() }, "tolerance: NaN"},
		{func(c *Comparison) { c.ErrorRate = 0 }, "errorRate: 0"},
		{func(c *Comparison) { c.ErrorRate = 5 }, "errorRate: 5"},
		{func(c *Comparison) { c.ErrorRate = math.NaN() }, "errorRate: NaN"},
		{func(c *Comparison) { c.MinSamples = -1 }, "minSamples: -1"},
	} {
		c := good
		row.change(&c)
		err := c.Validate()
		if got := problemOf(err); !strings.HasPrefix(got, row.want) || (row.want == "") != (err == nil) {
			t.Errorf("%+v: %q, want %q", c, got, row.want)
		}
		// What is not valid gives no verdict, but says so.
		if _, j := (RateState{}).Look(c, RateSample{Counts{50, 100}, Counts{1, 10000}}); err != nil && (j.Problem != err.Error() || j.Verdict != NotEnoughData) {
			t.Errorf("%+v: %s %q, want the problem %q", c, j.Verdict, j.Problem, err)
		}
	}
}

func problemOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestMessage(t *testing.T) {
	j := Judgement{
		Verdict: NotEnoughData, Of: "bad", Compared: Comparison{Tolerance: 0.5, ErrorRate: 0.05, MinSamples: 1000},
		Canary: Tally{61, 4012}, Stable: Tally{177, 36090}, WorseOdds: 7.512, SameOdds: 0.00123,
	}
	for _, row := range []struct {
		change func(*Judgement)
		want   string
	}{
		{func(j *Judgement) { j.Verdict = Worse }, "canary 1.52% bad (61 of 4012), stable 0.49% (177 of 36090): worse by more than 0.5 points; one that is not is called so in at most 5% of runs"},
		{func(j *Judgement) { j.Verdict = Same }, "canary 1.52% bad (61 of 4012), stable 0.49% (177 of 36090): not worse by more than 0.5 points; one that is worse is called so in at most 5% of runs"},
		{func(j *Judgement) { j.Verdict = Better }, "canary 1.52% bad (61 of 4012), stable 0.49% (177 of 36090): better; one that is not is called so in at most 5% of runs"},
		{func(*Judgement) {}, "canary 1.52% bad (61 of 4012), stable 0.49% (177 of 36090): not enough to tell with a tolerance of 0.5 points; the odds are 7.51 to 1 for worse and 0.00123 to 1 for not worse, and 20 to 1 are needed"},
		{func(j *Judgement) { j.Canary.Total = 999 }, "canary 6.11% bad (61 of 999), stable 0.49% (177 of 36090): no verdict before 1000 requests each"},
		{func(j *Judgement) { j.Canary = Tally{} }, "canary no requests, stable 0.49% (177 of 36090): no verdict before 1000 requests each"},
		{func(j *Judgement) { j.Problem, j.Verdict = "stable had no requests", Worse }, "stable had no requests"},
	} {
		j := j
		row.change(&j)
		if diff := cmp.Diff(row.want, j.Message()); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
}

// through writes a state to a status and reads it back.
func through[S any](t testing.TB, s S) S {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("write state: %v", err)
	}
	if len(text) > 2000 {
		t.Errorf("a state of %d bytes: it is to be small", len(text))
	}
	var back S
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("read state: %v", err)
	}
	return back
}
