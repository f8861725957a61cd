package window

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The oracle knows no zone arithmetic and no calendar of periods: it reads the clock on the wall once in each minute of
// some days, and finds each beginning and end by looking through what it read.

const (
	before = 4  // days that are read before now
	ahead  = 10 // and after it
)

// reading is what the clock of a place shows, minute by minute.
type reading struct {
	start time.Time
	walls []int64 // minutes since 1970-01-01 00:00 on that clock
}

func read(loc *time.Location, now time.Time) reading {
	r := reading{start: now.Add(-before * 24 * time.Hour)}
	for i := range (before + ahead) * 24 * 60 {
		local := r.start.Add(time.Duration(i) * time.Minute).In(loc)
		date := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
		r.walls = append(r.walls, date.Unix()/60)
	}
	return r
}

// mark adds a time of a period to the minutes that it covers.
func mark(covered []bool, from, to int) {
	for i := max(from, 0); i < min(to, len(covered)); i++ {
		covered[i] = true
	}
}

// cover asks the period's own words for the minutes that it covers.
func (r reading) cover(p v1alpha1.WindowPeriod) []bool {
	covered := make([]bool, len(r.walls))
	switch {
	case p.Dates != nil:
		for i := range covered {
			at := r.start.Add(time.Duration(i) * time.Minute)
			covered[i] = !at.Before(p.Dates.From.Time) && at.Before(p.Dates.Until.Time)
		}
	case p.Weekly != nil:
		r.coverWeekly(covered, *p.Weekly)
	case p.Cron != nil:
		r.coverCron(covered, *p.Cron)
	}
	return covered
}

func (r reading) dates() (first, last int64) {
	return r.walls[0]/1440 - 1, r.walls[len(r.walls)-1]/1440 + 1
}

func (r reading) coverWeekly(covered []bool, w v1alpha1.WeeklyPeriod) {
	minutes := func(hour string) int64 {
		return int64(hour[0]-'0')*600 + int64(hour[1]-'0')*60 + int64(hour[3]-'0')*10 + int64(hour[4]-'0')
	}
	from, to := minutes(w.From), minutes(w.To)
	if to < from {
		to += 1440
	}
	first, last := r.dates()
	for date := first; date <= last; date++ {
		name := time.Unix(date*86400, 0).UTC().Weekday().String()[:3]
		if len(w.Days) > 0 && !strings.Contains(fmt.Sprint(w.Days), name) {
			continue
		}
		start, end := len(r.walls), 0
		for i, wall := range r.walls {
			if wall >= date*1440+from {
				start = min(start, i)
			}
			if wall < date*1440+to {
				end = i + 1
			}
		}
		mark(covered, start, end)
	}
}

// coverCron understands what the generator below writes: plain numbers and *.
func (r reading) coverCron(covered []bool, c v1alpha1.CronPeriod) {
	lasts := int(c.Duration.Duration / time.Minute)
	fields := strings.Fields(c.Schedule)
	matches := func(i int, value int64) bool {
		return fields[i] == "*" || strings.Contains(","+fields[i]+",", fmt.Sprintf(",%d,", value))
	}
	chosen := func(date int64) bool {
		t := time.Unix(date*86400, 0).UTC()
		byDay, byWeekday := matches(2, int64(t.Day())), matches(4, int64(t.Weekday()))
		if fields[2] != "*" && fields[4] != "*" {
			return matches(3, int64(t.Month())) && (byDay || byWeekday)
		}
		return matches(3, int64(t.Month())) && byDay && byWeekday
	}
	if fields[1] == "*" {
		for i, wall := range r.walls {
			if chosen(wall/1440) && matches(0, wall%60) {
				mark(covered, i, i+lasts)
			}
		}
		return
	}
	first, last := r.dates()
	for date := first; date <= last; date++ {
		for minute := range int64(1440) {
			if !chosen(date) || !matches(1, minute/60) || !matches(0, minute%60) {
				continue
			}
			for i, wall := range r.walls {
				if wall >= date*1440+minute {
					if i > 0 { // What began before the reading is not seen to begin.
						mark(covered, i, i+lasts)
					}
					break
				}
			}
		}
	}
}

// opens is whether all windows are open, minute by minute from now on.
func opens(specs []v1alpha1.ReleaseWindowSpec, windows []Window, now time.Time) []bool {
	open := make([]bool, ahead*24*60)
	for i := range open {
		open[i] = true
	}
	for n, s := range specs {
		r := read(windows[n].Location, now)
		allowed := make([]bool, len(r.walls))
		for _, p := range s.Allow {
			for i, c := range r.cover(p) {
				allowed[i] = allowed[i] || c
			}
		}
		frozen := make([]bool, len(r.walls))
		for _, p := range s.Freeze {
			for i, c := range r.cover(p) {
				frozen[i] = frozen[i] || c
			}
		}
		for i := range open {
			at := i + before*24*60
			open[i] = open[i] && (len(s.Allow) == 0 || allowed[at]) && !frozen[at]
		}
	}
	return open
}

var zones = []string{"", berlin, newYork, "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Africa/Casablanca", "Pacific/Apia", "America/Santiago"}

// moments are days around which clocks are changed, somewhere.
var moments = []string{
	"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-04-04T15:00:00Z",
	"2026-10-03T15:30:00Z", "2026-02-15T02:00:00Z", "2026-03-22T02:00:00Z", "2011-12-30T10:00:00Z", "2026-04-05T03:00:00Z",
	"2026-09-06T04:00:00Z", "2009-11-01T02:31:00Z", "2009-03-08T03:31:00Z", "2028-02-29T00:00:00Z", "2026-12-31T23:00:00Z", "2026-07-01T12:00:00Z",
}

func drawPeriod(t *rapid.T, now time.Time) v1alpha1.WindowPeriod {
	list := func(name string, low, high, most int) string {
		var out []string
		for range rapid.IntRange(1, most).Draw(t, name) {
			out = append(out, fmt.Sprint(rapid.IntRange(low, high).Draw(t, name)))
		}
		return strings.Join(out, ",")
	}
	orAny := func(name, text string) string {
		if rapid.IntRange(0, 2).Draw(t, name+"Any") > 0 {
			return "*"
		}
		return text
	}
	hour := func(name string) string {
		hours := rapid.SampledFrom([]*rapid.Generator[int]{rapid.IntRange(0, 23), rapid.IntRange(0, 3)}).Draw(t, name+"Range") // Clocks are changed at night.
		return fmt.Sprintf("%02d:%02d", hours.Draw(t, name), rapid.SampledFrom([]int{0, 15, 30, 31, 59}).Draw(t, name+"Minute"))
	}
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		from := now.Add(time.Duration(rapid.IntRange(-5000, 9000).Draw(t, "from")) * time.Minute)
		until := from.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "lasts")) * time.Minute)
		return datesOf(from.Format(time.RFC3339), until.Format(time.RFC3339), "")
	case 1:
		schedule := strings.Join([]string{
			list("minute", 0, 59, 3), orAny("hour", list("hour", 0, 23, 3)),
			orAny("day", list("day", 1, 28, 4)), orAny("month", list("month", 1, 12, 8)), orAny("week", list("week", 0, 6, 3)),
		}, " ")
		return cronOf(schedule, time.Duration(rapid.IntRange(1, 48*60).Draw(t, "lasts"))*time.Minute)
	}
	days := rapid.SliceOfNDistinct(rapid.SampledFrom([]v1alpha1.Weekday{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}), 0, 7, rapid.ID).Draw(t, "days")
	from, to := hour("from"), hour("to")
	if from == to {
		from, to = "00:00", "24:00"
	}
	return weeklyOf(from, to, days...)
}

func drawSpec(t *rapid.T, now time.Time) v1alpha1.ReleaseWindowSpec {
	s := v1alpha1.ReleaseWindowSpec{TimeZone: rapid.SampledFrom(zones).Draw(t, "zone")}
	for range rapid.IntRange(0, 2).Draw(t, "allow") {
		s.Allow = append(s.Allow, drawPeriod(t, now))
	}
	for range rapid.IntRange(0, 2).Draw(t, "freeze") {
		s.Freeze = append(s.Freeze, drawPeriod(t, now))
	}
	if len(s.Allow)+len(s.Freeze) == 0 {
		s.Allow = append(s.Allow, drawPeriod(t, now))
	}
	return s
}

// TestAnyWindows: for any windows and any moment, what Look says agrees with stepping through the minutes, and with
// itself at the moment that it names and a second before.
func TestAnyWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := at(rapid.SampledFrom(moments).Draw(t, "day")).Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, "minutes")) * time.Minute)
		var specs []v1alpha1.ReleaseWindowSpec
		var windows []Window
		for i := range rapid.IntRange(1, 2).Draw(t, "windows") {
			s := drawSpec(t, now)
			w, err := Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			w.Name = fmt.Sprint("w", i)
			specs, windows = append(specs, s), append(windows, w)
		}
		open := opens(specs, windows, now)
		for range 6 {
			minute := rapid.IntRange(0, len(open)-1).Draw(t, "minute")
			agree(t, windows, open, now, minute)
		}
	})
}

// agree compares Look with the oracle at one minute.
func agree(t *rapid.T, windows []Window, open []bool, now time.Time, minute int) {
	s := Look(windows, now.Add(time.Duration(minute)*time.Minute))
	if s.Open != open[minute] {
		t.Fatalf("minute %d: Look says open is %v: %s", minute, s.Open, s.Reason)
	}
	change := s.Until
	if s.Open {
		change = s.Closes
	}
	for i := minute; i < len(open); i++ {
		if open[i] != s.Open {
			if want := now.Add(time.Duration(i) * time.Minute); !change.Equal(want) {
				t.Fatalf("minute %d: open is %v, which changes at %s, not at %s: %s", minute, s.Open, want, change, s.Reason)
			}
			break
		}
		if end := now.Add(time.Duration(i+1) * time.Minute); i+1 < len(open) && !change.IsZero() && change.Before(end) {
			t.Fatalf("minute %d: changes at %s already: %s", minute, change, s.Reason)
		}
	}
	if change.IsZero() {
		return
	}
	if Look(windows, change.Add(-time.Second)).Open != s.Open || Look(windows, change).Open == s.Open {
		t.Fatalf("nothing changes at %s: %s", change, s.Reason)
	}
}
