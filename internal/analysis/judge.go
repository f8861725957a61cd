package analysis

import (
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Verdict is what a look at canary and stable comes to.
type Verdict string

// The verdicts. Worse and Better (or Same) exclude each other; RateState says what each of them proves, and how
// often it may be wrong.
const (
	// NotEnoughData: nothing is proven yet, or what came at this look cannot be used.
	NotEnoughData Verdict = "NotEnoughData"
	// Better: the canary is proven better than stable.
	Better Verdict = "Better"
	// Same: the canary is proven not to be worse than stable by more than the tolerance.
	Same Verdict = "Same"
	// Worse: the canary is proven worse than stable by more than the tolerance.
	Worse Verdict = "Worse"
)

// Comparison says how canary and stable are compared. It stays the same for a whole run.
type Comparison struct {
	// Tolerance is the largest difference that is borne, in percent points: with 0.5, a canary of 1.4% bad requests
	// is no worse than a stable version of 1.0%. With 0 the canary can be proven Better or Worse, but never Same.
	Tolerance float64
	// ErrorRate is the probability of a wrong verdict over the whole run, however often it is looked at. 0.05 is usual.
	ErrorRate float64
	// MinSamples is the number of requests that each version must have had before there is any verdict.
	MinSamples int64
}

// Validate names the first field that makes no sense.
func (c Comparison) Validate() error {
	switch {
	case !(c.Tolerance >= 0 && c.Tolerance <= 99):
		return fmt.Errorf("tolerance: %v is no difference in percent points: use a number from 0 to 99", c.Tolerance)
	case !(c.ErrorRate >= 1e-6 && c.ErrorRate <= 0.5):
		return fmt.Errorf("errorRate: %v is no probability to be wrong with: use a number from 0.000001 to 0.5, as 0.05",
			c.ErrorRate)
	case c.MinSamples < 0:
		return fmt.Errorf("minSamples: %d is no number of requests: use 0 or more", c.MinSamples)
	}
	return nil
}

// Judgement is a verdict with the numbers that it compared.
type Judgement struct {
	Verdict Verdict
	// Problem says why this look could not be used. There is no verdict from it then, and the state is as before.
	Problem string
	// Learning says what this look was used for instead of a verdict: see QuantileState.
	Learning string
	// Of what the shares are, as "bad" or "slower than 0.25".
	Of string
	// The requests of the run so far.
	Canary, Stable Tally
	// Compared is how it was done.
	Compared Comparison
	// WorseOdds and SameOdds weigh the evidence, as 7.5 to 1; 1/ErrorRate to 1 is a proof.
	WorseOdds, SameOdds float64
}

// Tally counts the requests of one version.
type Tally struct{ Bad, Total int64 }

// Share of bad requests, in percent.
func (t Tally) Share() float64 {
	if t.Total <= 0 {
		return 0
	}
	return 100 * float64(t.Bad) / float64(t.Total)
}

// say is the share with the numbers that it comes from.
func (t Tally) say(of string) string {
	if t.Total <= 0 {
		return "no requests"
	}
	return fmt.Sprintf("%s%%%s (%d of %d)", digits(t.Share()), of, t.Bad, t.Total)
}

// Message is the verdict as a sentence for people.
func (j Judgement) Message() string {
	if j.Problem != "" {
		return j.Problem
	}
	if j.Learning != "" {
		return j.Learning
	}
	numbers := fmt.Sprintf("canary %s, stable %s", j.Canary.say(" "+j.Of), j.Stable.say(""))
	tolerance, errs := digits(j.Compared.Tolerance), digits(100*j.Compared.ErrorRate)
	switch j.Verdict {
	case Worse:
		return fmt.Sprintf("%s: worse by more than %s points; one that is not is called so in at most %s%% of runs", numbers,
			tolerance, errs)
	case Same:
		return fmt.Sprintf("%s: not worse by more than %s points; one that is worse is called so in at most %s%% of runs",
			numbers, tolerance, errs)
	case Better:
		return fmt.Sprintf("%s: better; one that is not is called so in at most %s%% of runs", numbers, errs)
	case NotEnoughData:
	}
	if few := j.Compared.MinSamples; j.Canary.Total < few || j.Stable.Total < few {
		return fmt.Sprintf("%s: no verdict before %d requests each", numbers, few)
	}
	return fmt.Sprintf("%s: not enough to tell with a tolerance of %s points; the odds are %s to 1 for worse and %s to "+
		"1 for not worse, and %s to 1 are needed",
		numbers, tolerance, digits(j.WorseOdds), digits(j.SameOdds), digits(1/j.Compared.ErrorRate))
}

// digits writes a number with no more digits than people read.
func digits(x float64) string {
	if x >= 1000 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}

// A look that cannot be used.
var (
	errNoNumber = errors.New("is not a number: nothing was measured, or the query divides by zero")
	errWentDown = errors.New("is below zero: a counter was reset, as by a restarted pod")
	errTooLarge = errors.New("is too large to be a number of requests")
)

// countable says whether a number can be one of requests.
func countable(x float64) error {
	switch {
	case math.IsNaN(x):
		return errNoNumber
	case x < 0:
		return errWentDown
	case x > mostRequests:
		return errTooLarge
	}
	return nil
}

// mostRequests is more than anybody has, and far from where numbers lose their units.
const mostRequests = 1 << 50
