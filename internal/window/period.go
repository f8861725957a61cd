package window

import (
	"fmt"
	"time"
)

// Window says when some releases may advance.
type Window struct {
	// Name of the ReleaseWindow, to speak of it.
	Name string
	// Location whose clock the periods go by.
	Location *time.Location
	// Allow lists the periods in which releases may advance; when empty, they always may.
	Allow []Period
	// Freeze lists the periods in which they may not, whatever Allow says.
	Freeze []Period
}

// Period is a time that comes once or again and again.
type Period struct {
	// Reason that its author gave.
	Reason string
	rule   rule
}

// rule is what a period goes by. Moments are in seconds since 1970; a period has its beginning, but not its end.
type rule interface {
	// covers says whether the period has begun and not ended at a moment. If so it gives the end of what covers it:
	// of several overlapping times of the period, the latest end.
	covers(loc *time.Location, at int64) (end int64, ok bool)
	// next is the first beginning after a moment, and before a limit.
	next(loc *time.Location, after, limit int64) (start int64, ok bool)
	// String says in a few words when the period is.
	String() string
}

// String says in a few words when the period is.
func (p Period) String() string {
	if p.rule == nil {
		return "never"
	}
	return p.rule.String()
}

// dates is a time that comes once.
type dates struct{ from, until int64 }

func (d dates) covers(_ *time.Location, at int64) (int64, bool) {
	return d.until, d.from <= at && at < d.until
}

func (d dates) next(_ *time.Location, after, limit int64) (int64, bool) {
	return d.from, after < d.from && d.from < limit && d.from < d.until
}

func (d dates) String() string {
	return fmt.Sprintf("%s to %s", time.Unix(d.from, 0).UTC().Format(time.RFC3339),
		time.Unix(d.until, 0).UTC().Format(time.RFC3339))
}
