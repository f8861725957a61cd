package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cursor marks the facts that were dealt with: all that happened before a moment, and of those since, some by their
// marks. A moment alone would not do: facts of several releases do not come in the order of their times, which have
// seconds only.
type cursor struct {
	before time.Time
	marks  []string
}

const (
	cursorVersion = "v1"
	// markLength characters of base64 tell some dozens of facts apart: two are alike once in a billion.
	markLength = 5
	// mostMarks is what the field has room for. It takes 253 characters, of which the version, the seconds and two
	// colons take some 15.
	mostMarks = 46
)

// markOf is a fact in short: the field has no room for whole keys.
func markOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:markLength]
}

// readCursor reads what a status has. What it cannot read, having been written by somebody else, marks nothing.
func readCursor(text string) cursor {
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != cursorVersion {
		return cursor{}
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return cursor{}
	}
	c := cursor{}
	if seconds > 0 {
		c.before = time.Unix(seconds, 0)
	}
	for mark := range slices.Chunk([]byte(parts[2]), markLength) {
		c.marks = append(c.marks, string(mark))
	}
	return c
}

// String is the cursor as the status has it: version, seconds since 1970 and marks. It is empty while nothing was
// dealt with.
func (c cursor) String() string {
	if c.before.IsZero() && len(c.marks) == 0 {
		return ""
	}
	seconds := int64(0)
	if !c.before.IsZero() {
		seconds = c.before.Unix()
	}
	return fmt.Sprintf("%s:%d:%s", cursorVersion, seconds, strings.Join(c.marks, ""))
}

// marked says whether a fact has a mark of its own.
func (c cursor) marked(f *fact) bool { return slices.Contains(c.marks, markOf(f.key)) }

// has says whether a fact was dealt with.
func (c cursor) has(f *fact) bool { return f.at.Before(c.before) || c.marked(f) }

// with is the cursor after some facts were dealt with. All are those that there are: what is no more to be found needs
// no mark. Where the marks do not suffice, the oldest give way to a later moment.
func (c cursor) with(dealt func(key string) bool, all []fact) cursor {
	var kept []fact
	for i := range all {
		f := &all[i]
		if !f.at.Before(c.before) && (c.marked(f) || dealt(f.key)) {
			kept = append(kept, *f)
		}
	}
	slices.SortStableFunc(kept, func(a, b fact) int { return b.at.Compare(a.at) })
	out := cursor{before: c.before}
	if len(kept) > mostMarks {
		// Times have whole seconds, so all that happened in the second of the first one without room counts as dealt with.
		out.before = kept[mostMarks].at.Add(time.Second)
	}
	for i := range kept[:min(len(kept), mostMarks)] {
		if !kept[i].at.Before(out.before) {
			out.marks = append(out.marks, markOf(kept[i].key))
		}
	}
	slices.Sort(out.marks)
	return out
}
