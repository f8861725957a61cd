package window

import "time"

// A wall is what a clock on the wall shows, as the seconds since the clock that showed 1970-01-01 00:00. A moment is
// in seconds since 1970 UTC. Between the two stand the segments of a place: times of one offset.
//
// A change of the clock makes some walls no moment at all (put forward), and others two (put back). So there are two
// questions, and each has one answer always: when does the clock first show this or later, and until when does it
// show less?

const day = 24 * 60 * 60

// segment is a time [start, end) in which the place's clock is off from UTC by so many seconds.
type segment struct{ start, end, offset int64 }

// segmentsAround are the segments of the two days around a wall, in order. No place is further than a day from UTC.
func segmentsAround(loc *time.Location, wall int64) []segment {
	return segmentsBetween(loc, wall-day, wall+day)
}

func segmentsBetween(loc *time.Location, from, to int64) []segment {
	var out []segment
	for at := from; at < to; {
		s := segmentAt(loc, at, from, to)
		out = append(out, s)
		at = s.end
	}
	return out
}

// segmentAt is the segment of a moment, cut to [from, to).
func segmentAt(loc *time.Location, at, from, to int64) segment {
	t := time.Unix(at, 0).In(loc)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	s := segment{start: from, end: to, offset: int64(offset)}
	if !start.IsZero() {
		s.start = max(from, start.Unix())
	}
	if !end.IsZero() {
		s.end = min(to, end.Unix())
	}
	return s
}

// firstAt is the first moment at which the clock shows this wall or later.
func firstAt(segments []segment, wall int64) int64 {
	for _, s := range segments {
		if at := max(s.start, wall-s.offset); at < s.end {
			return at
		}
	}
	return segments[len(segments)-1].end
}

// lastAt is the moment until which the clock shows less than this wall, for the last time.
func lastAt(segments []segment, wall int64) int64 {
	for i := len(segments) - 1; i >= 0; i-- {
		if at := min(segments[i].end, wall-segments[i].offset); at > segments[i].start {
			return at
		}
	}
	return segments[0].start
}

// dateOf is the date that a place's clock shows, in days since 1970-01-01.
func dateOf(loc *time.Location, at int64) int64 {
	_, offset := time.Unix(at, 0).In(loc).Zone()
	return floorDiv(at+int64(offset), day)
}

// civil is the year's day of a date.
func civil(date int64) (month time.Month, dayOfMonth int, weekday time.Weekday) {
	t := time.Unix(date*day, 0).UTC()
	return t.Month(), t.Day(), t.Weekday()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
