package prometheus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql/parser"
)

// timeOf reads seconds since 1970, with a fraction, or RFC 3339.
func timeOf(r *http.Request, name string, otherwise time.Time) (time.Time, error) {
	text := r.FormValue(name)
	if text == "" {
		return otherwise, nil
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(seconds) < math.MaxInt64/1e3 {
		return timestamp.Time(int64(math.Round(seconds * 1e3))), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, invalid(name, fmt.Errorf("cannot parse %q to a valid timestamp", text))
	}
	return at, nil
}

func neededTime(r *http.Request, name string) (time.Time, error) {
	if r.FormValue(name) == "" {
		return time.Time{}, invalid(name, errors.New(`cannot parse "" to a valid timestamp`))
	}
	return timeOf(r, name, time.Time{})
}

// durationOf reads seconds, with a fraction, or Prometheus' form, such as 1m30s.
func durationOf(r *http.Request, name string) (time.Duration, error) {
	text := r.FormValue(name)
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(seconds) < math.MaxInt64/1e9 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	d, err := model.ParseDuration(text)
	if err != nil {
		return 0, invalid(name, fmt.Errorf("cannot parse %q to a valid duration", text))
	}
	return time.Duration(d), nil
}

// deadlineOf is the request's context, or a shorter one if it names a timeout.
func deadlineOf(r *http.Request) (context.Context, context.CancelFunc, error) {
	if r.FormValue("timeout") == "" {
		return r.Context(), func() {}, nil
	}
	d, err := durationOf(r, "timeout")
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), d)
	return ctx, cancel, nil
}

// limitOf is how many results are wanted; 0 is all.
func limitOf(r *http.Request) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err == nil && n < 0 {
		err = errors.New("limit must be non-negative")
	}
	if err != nil {
		return 0, invalid("limit", err)
	}
	return n, nil
}

// rangeOf reads the times of a range query.
func rangeOf(r *http.Request) (from, to time.Time, step time.Duration, err error) {
	if from, err = neededTime(r, "start"); err != nil {
		return from, to, 0, err
	}
	if to, err = neededTime(r, "end"); err != nil {
		return from, to, 0, err
	}
	if to.Before(from) {
		return from, to, 0, invalid("end", errors.New("end timestamp must not be before start time"))
	}
	if step, err = durationOf(r, "step"); err != nil {
		return from, to, 0, err
	}
	if step < time.Millisecond {
		return from, to, 0, invalid("step", errors.New("zero or negative query resolution step widths are not accepted. "+
			"Try a positive integer"))
	}
	if to.Sub(from)/step > maxPoints {
		return from, to, 0, badData(errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try " +
			"decreasing the query resolution (?step=XX)"))
	}
	return from, to, step, nil
}

// selection is what the calls that list series and labels have in common.
type selection struct {
	from, to  int64
	selectors [][]*labels.Matcher
	limit     int
}

func (a *api) selectionOf(r *http.Request) (*selection, error) {
	from, err := timeOf(r, "start", timestamp.Time(0))
	if err != nil {
		return nil, err
	}
	to, err := timeOf(r, "end", a.now())
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	s := &selection{from: timestamp.FromTime(from), to: timestamp.FromTime(to), limit: limit}
	for _, text := range r.Form["match[]"] {
		selector, err := parser.ParseMetricSelector(text)
		if err != nil {
			return nil, invalid("match[]", err)
		}
		if matchesAll(selector) {
			return nil, invalid("match[]", errors.New("match[] must contain at least one non-empty matcher"))
		}
		s.selectors = append(s.selectors, selector)
	}
	return s, nil
}

// matchesAll tells of a selector that would read everything there is.
func matchesAll(selector []*labels.Matcher) bool {
	for _, m := range selector {
		if !m.Matches("") {
			return false
		}
	}
	return true
}
