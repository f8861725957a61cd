package window

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// maxPeriods bounds what is read of allow and of freeze, as the API does.
const maxPeriods = 32

// The bounds of a cron period's duration, as the API has them.
const (
	minDuration = time.Minute
	maxDuration = 744 * time.Hour
)

// Check gives everything that is wrong with a spec, as far as it can be read. An error names the field and what to do.
func Check(s v1alpha1.ReleaseWindowSpec) []error {
	var out []error
	if _, err := metav1.LabelSelectorAsSelector(s.Selector); err != nil {
		out = append(out, fmt.Errorf("spec.selector: %w", err))
	}
	if _, err := location(s.TimeZone); err != nil {
		out = append(out, err)
	}
	for _, list := range []struct {
		field string
		in    []v1alpha1.WindowPeriod
	}{{"spec.allow", s.Allow}, {"spec.freeze", s.Freeze}} {
		for i, p := range list.in {
			if _, err := parsePeriod(fmt.Sprintf("%s[%d]", list.field, i), p); err != nil {
				out = append(out, err)
			}
		}
	}
	if len(out) == 0 {
		if _, err := Parse(s); err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Parse reads a spec. An error names the field and what to do.
func Parse(s v1alpha1.ReleaseWindowSpec) (Window, error) {
	loc, err := location(s.TimeZone)
	if err != nil {
		return Window{}, err
	}
	w := Window{Location: loc}
	if w.Allow, err = periods("spec.allow", s.Allow); err != nil {
		return Window{}, err
	}
	if w.Freeze, err = periods("spec.freeze", s.Freeze); err != nil {
		return Window{}, err
	}
	if len(w.Allow)+len(w.Freeze) == 0 {
		return Window{}, fmt.Errorf("spec.allow: list at least one period here, or in spec.freeze")
	}
	return w, nil
}

func location(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // The controller's own place means nothing to the spec's author.
		return nil, fmt.Errorf("spec.timeZone: unknown zone %q; use a name of the IANA database, as Europe/Berlin", name)
	}
	return loc, nil
}

func periods(field string, in []v1alpha1.WindowPeriod) ([]Period, error) {
	if len(in) > maxPeriods {
		return nil, fmt.Errorf("%s: has %d periods; at most %d are read", field, len(in), maxPeriods)
	}
	var out []Period
	for i, p := range in {
		r, err := parsePeriod(fmt.Sprintf("%s[%d]", field, i), p)
		if err != nil {
			return nil, err
		}
		out = append(out, Period{Reason: p.Reason, rule: r})
	}
	return out, nil
}

func parsePeriod(field string, p v1alpha1.WindowPeriod) (rule, error) {
	switch {
	case p.Cron != nil && p.Weekly == nil && p.Dates == nil:
		return cronPeriod(field+".cron", *p.Cron)
	case p.Weekly != nil && p.Cron == nil && p.Dates == nil:
		return weeklyPeriod(field+".weekly", *p.Weekly)
	case p.Dates != nil && p.Cron == nil && p.Weekly == nil:
		return datesPeriod(field+".dates", *p.Dates)
	}
	return nil, fmt.Errorf("%s: set one of cron, weekly and dates", field)
}

func cronPeriod(field string, p v1alpha1.CronPeriod) (rule, error) {
	c, err := parseCron(p.Schedule)
	if err != nil {
		return nil, fmt.Errorf("%s.schedule: %w", field, err)
	}
	if d := p.Duration.Duration; d < minDuration || d > maxDuration {
		return nil, fmt.Errorf("%s.duration: is %s; it must be between %s and %s", field, d, short(minDuration),
			short(maxDuration))
	}
	c.lasts = int64(p.Duration.Duration / time.Second)
	return c, nil
}

func weeklyPeriod(field string, p v1alpha1.WeeklyPeriod) (rule, error) {
	w := weekly{}
	if len(p.Days) == 0 {
		w.days = [7]bool{true, true, true, true, true, true, true}
	}
	for i, name := range p.Days {
		d, ok := weekday(string(name))
		if !ok {
			return nil, fmt.Errorf("%s.days[%d]: %q is no day; use Mon, Tue, Wed, Thu, Fri, Sat or Sun", field, i, name)
		}
		w.days[d] = true
	}
	var ok bool
	if w.from, ok = timeOfDay(p.From); !ok || w.from == day {
		return nil, fmt.Errorf("%s.from: %q is no time of the day; write it as 09:00", field, p.From)
	}
	if w.to, ok = timeOfDay(p.To); !ok {
		return nil, fmt.Errorf("%s.to: %q is no time of the day; write it as 17:30, or 24:00 for the end of the day", field,
			p.To)
	}
	if w.from == w.to {
		return nil, fmt.Errorf("%s.to: must differ from from; a whole day is 00:00 to 24:00", field)
	}
	if w.to < w.from {
		w.to += day
	}
	return w, nil
}

func weekday(name string) (time.Weekday, bool) {
	for i, n := range dayNames {
		if n == name {
			return time.Weekday(i), true
		}
	}
	return 0, false
}

// timeOfDay reads 00:00 to 24:00, in seconds.
func timeOfDay(text string) (int64, bool) {
	if text == "24:00" {
		return day, true
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, false
	}
	return int64(t.Hour())*3600 + int64(t.Minute())*60, true
}

func datesPeriod(field string, p v1alpha1.DatesPeriod) (rule, error) {
	d := dates{from: p.From.Unix(), until: p.Until.Unix()}
	if p.From.IsZero() || p.Until.IsZero() || d.until <= d.from {
		return nil, fmt.Errorf("%s.until: must be after from", field)
	}
	return d, nil
}
