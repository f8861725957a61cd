package window

import (
	"fmt"
	"strings"
	"time"
)

// weekly is a time between two hours that begins on days of the week.
type weekly struct {
	days [7]bool // by time.Weekday
	// from and to are seconds since midnight; to is greater, and beyond a day when the period goes on over midnight.
	from, to int64
}

// on is the period of one date. A change of the clock may leave nothing of it.
func (w weekly) on(loc *time.Location, date int64) (start, end int64, ok bool) {
	if _, _, weekday := civil(date); !w.days[weekday] {
		return 0, 0, false
	}
	from, to := date*day+w.from, date*day+w.to
	start, end = firstAt(segmentsAround(loc, from), from), lastAt(segmentsAround(loc, to), to)
	return start, end, start < end
}

// A period ends on its date or the next, by the clock. Where a clock is put back over midnight it may show the date
// after that for a minute before the end; and tomorrow's date before today's is over.
func (w weekly) covers(loc *time.Location, at int64) (latest int64, ok bool) {
	today := dateOf(loc, at)
	for date := today - 2; date <= today+1; date++ {
		if start, end, is := w.on(loc, date); is && start <= at && at < end {
			latest, ok = max(latest, end), true
		}
	}
	return latest, ok
}

func (w weekly) next(loc *time.Location, after, limit int64) (int64, bool) {
	for date := dateOf(loc, after) - 1; date <= dateOf(loc, limit)+1; date++ {
		if start, _, is := w.on(loc, date); is && start > after {
			return start, start < limit
		}
	}
	return 0, false
}

var dayNames = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

func (w weekly) String() string {
	hours := clock(w.from) + " to " + clock(w.to)
	if w.to > day {
		hours = clock(w.from) + " to " + clock(w.to-day) + " on the next day"
	}
	if w.days == [7]bool{true, true, true, true, true, true, true} {
		return "every day " + hours
	}
	var names []string
	for i := range 7 {
		if d := (i + 1) % 7; w.days[d] { // The week begins on Monday.
			names = append(names, dayNames[d])
		}
	}
	return strings.Join(names, ", ") + " " + hours
}

func clock(seconds int64) string { return fmt.Sprintf("%02d:%02d", seconds/3600, seconds/60%60) }
