package window

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// cron is a time that begins by a schedule and lasts for a while.
//
// An hour that is named comes once on each day that has been chosen, whatever the clock does: where it is skipped, the
// beginning is the moment when the clock is put forward; where it is shown twice, the first. With * as the hour the
// beginnings go by the minutes that really pass. Vixie's cron has it so, and people know it.
type cron struct {
	text                               string
	minutes, hours, days, months, week uint64 // bit n for the value n
	// anyHour, anyDay and anyWeekday: the field begins with *. Days of the month and of the week are both to be met
	// if one of them does, and else either.
	anyHour, anyDay, anyWeekday bool
	lasts                       int64
	walls                       []int64 // the beginnings on a chosen date, in seconds since midnight, in order
}

func (c cron) String() string {
	return fmt.Sprintf("%q for %s", c.text, short(time.Duration(c.lasts)*time.Second))
}

// short leaves out the zeros of a duration: 8h, not 8h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (c cron) covers(loc *time.Location, at int64) (int64, bool) {
	// All last equally long, so the latest beginning has the latest end.
	earliest := at - c.lasts
	for date := dateOf(loc, at) + 1; date >= dateOf(loc, earliest)-2; date-- {
		if start, ok := c.latest(loc, date, at); ok {
			// What is found on a date may be earlier than a beginning of the date before, where the clock was put
			// back over midnight.
			if other, ok := c.latest(loc, date-1, at); ok {
				start = max(start, other)
			}
			return start + c.lasts, start > earliest
		}
	}
	return 0, false
}

func (c cron) next(loc *time.Location, after, limit int64) (int64, bool) {
	for date := dateOf(loc, after) - 2; date <= dateOf(loc, limit)+1; date++ {
		if start, ok := c.earliest(loc, date, after); ok {
			if other, ok := c.earliest(loc, date+1, after); ok {
				start = min(start, other)
			}
			return start, start < limit
		}
	}
	return 0, false
}

// earliest is the first beginning of a date after a moment.
func (c cron) earliest(loc *time.Location, date, after int64) (int64, bool) {
	if !c.chooses(date) {
		return 0, false
	}
	segments := segmentsOf(loc, date)
	if !c.anyHour {
		i := sort.Search(len(c.walls), func(i int) bool { return firstAt(segments, date*day+c.walls[i]) > after })
		if i == len(c.walls) {
			return 0, false
		}
		return firstAt(segments, date*day+c.walls[i]), true
	}
	for _, s := range segments {
		from := max(s.start, after+1)
		i := sort.Search(len(c.walls), func(i int) bool { return date*day+c.walls[i]-s.offset >= from })
		if i < len(c.walls) && date*day+c.walls[i]-s.offset < s.end {
			return date*day + c.walls[i] - s.offset, true
		}
	}
	return 0, false
}

// latest is the last beginning of a date that is not after a moment.
func (c cron) latest(loc *time.Location, date, at int64) (int64, bool) {
	if !c.chooses(date) {
		return 0, false
	}
	segments := segmentsOf(loc, date)
	if !c.anyHour {
		i := sort.Search(len(c.walls), func(i int) bool { return firstAt(segments, date*day+c.walls[i]) > at })
		if i == 0 {
			return 0, false
		}
		return firstAt(segments, date*day+c.walls[i-1]), true
	}
	for _, s := range slices.Backward(segments) {
		end := min(s.end, at+1)
		i := sort.Search(len(c.walls), func(i int) bool { return date*day+c.walls[i]-s.offset >= end })
		if i > 0 && date*day+c.walls[i-1]-s.offset >= s.start {
			return date*day + c.walls[i-1] - s.offset, true
		}
	}
	return 0, false
}

// segmentsOf are the segments in which a place's clock can show a date.
func segmentsOf(loc *time.Location, date int64) []segment {
	return segmentsBetween(loc, date*day-day, date*day+2*day)
}

func (c cron) chooses(date int64) bool {
	month, dayOfMonth, weekday := civil(date)
	if c.months>>month&1 == 0 {
		return false
	}
	byDay, byWeekday := c.days>>dayOfMonth&1 == 1, c.week>>weekday&1 == 1
	if c.anyDay || c.anyWeekday {
		return byDay && byWeekday
	}
	return byDay || byWeekday
}

// field is one of the five of a schedule.
type field struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var fields = [5]field{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of the month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{
		"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT",
		"NOV", "DEC",
	}},
	{name: "day of the week", max: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
}

// macros are the names that cron has for common schedules.
var macros = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// longest is how many days each month can have.
var longest = [13]int{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// maxSchedule bounds what is read.
const maxSchedule = 256

func parseCron(text string) (cron, error) {
	if len(text) > maxSchedule {
		return cron{}, fmt.Errorf("is longer than %d characters", maxSchedule)
	}
	if strings.Contains(text, "TZ=") {
		return cron{}, fmt.Errorf("must not name a time zone; set spec.timeZone")
	}
	c := cron{text: text}
	expanded := text
	if strings.HasPrefix(text, "@") {
		if expanded = macros[strings.ToLower(text)]; expanded == "" {
			return cron{}, fmt.Errorf("does not know %q; use five fields, as 0 9 * * MON-FRI", text)
		}
	}
	parts := strings.Fields(expanded)
	if len(parts) != len(fields) {
		return cron{}, fmt.Errorf("has %d fields; five are needed (minute, hour, day of the month, month, day of the "+
			"week), as 0 9 * * MON-FRI", len(parts))
	}
	sets := [5]*uint64{&c.minutes, &c.hours, &c.days, &c.months, &c.week}
	for i, part := range parts {
		set, err := fields[i].parse(part)
		if err != nil {
			return cron{}, fmt.Errorf("%s: %w", fields[i].name, err)
		}
		*sets[i] = set
	}
	c.week |= c.week >> 7 // 7 is Sunday too.
	c.anyHour, c.anyDay, c.anyWeekday = anyOf(parts[1]), anyOf(parts[2]), anyOf(parts[4])
	for hour := range int64(24) {
		for minute := range int64(60) {
			if c.hours>>hour&1 == 1 && c.minutes>>minute&1 == 1 {
				c.walls = append(c.walls, hour*3600+minute*60)
			}
		}
	}
	if !c.ever() {
		return cron{}, fmt.Errorf("never comes: no such day is in any such month")
	}
	return c, nil
}

// ever says whether there is a date that the schedule chooses.
func (c cron) ever() bool {
	if !c.anyDay && !c.anyWeekday {
		return true // A day of the week is enough.
	}
	for month := 1; month <= 12; month++ {
		if c.months>>month&1 == 1 && bits.TrailingZeros64(c.days) <= longest[month] {
			return true
		}
	}
	return false
}

func anyOf(part string) bool { return strings.HasPrefix(part, "*") || strings.HasPrefix(part, "?") }

// parse reads a list of values, ranges and steps.
func (f field) parse(text string) (uint64, error) {
	var set uint64
	for part := range strings.SplitSeq(text, ",") {
		one, err := f.parseRange(part)
		if err != nil {
			return 0, err
		}
		set |= one
	}
	return set, nil
}

func (f field) parseRange(text string) (uint64, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(stepText)
		if err != nil || n < 1 || n > f.max {
			return 0, fmt.Errorf("the step of %q must be a number between 1 and %d", text, f.max)
		}
		step = n
	}
	first, last := f.min, f.max
	if span != "*" && span != "?" {
		from, to, ranged := strings.Cut(span, "-")
		var err error
		if first, err = f.value(from); err != nil {
			return 0, err
		}
		switch {
		case ranged:
			if last, err = f.value(to); err != nil {
				return 0, err
			}
		case !stepped: // 5/15 is every 15 from 5 on.
			last = first
		}
	}
	if first > last {
		return 0, fmt.Errorf("%q ends before it begins; write two ranges with a comma between", text)
	}
	var set uint64
	for v := first; v <= last; v += step {
		set |= 1 << v
	}
	return set, nil
}

func (f field) value(text string) (int, error) {
	for i, name := range f.names {
		if strings.EqualFold(name, text) {
			return f.min + i, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || strings.HasPrefix(text, "+") || n < f.min || n > f.max {
		return 0, fmt.Errorf("%q must be between %d and %d", text, f.min, f.max)
	}
	return n, nil
}
