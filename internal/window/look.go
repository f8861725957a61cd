package window

import (
	"fmt"
	"strings"
	"time"
)

// State is whether releases may advance.
type State struct {
	// Open: they may.
	Open bool
	// Reason says why or why not, in a sentence that names the window.
	Reason string
	// Until, while closed, is the next opening; zero if there is none within a year, as Reason says.
	Until time.Time
	// Closes, while open, is the next closing; zero if there is none within a year.
	Closes time.Time
}

const (
	// horizon is how far ahead is looked.
	horizon = 366 * day
	// maxLooks is how often a window is looked at before it is given up: a few milliseconds for all that people
	// write, less than a second for the worst that a spec can hold.
	maxLooks = 4000
)

// Look says whether releases may advance at a moment: all windows must be open. Where there is no window, they may.
func Look(windows []Window, now time.Time) State {
	if len(windows) == 0 {
		return State{Open: true, Reason: "no release window applies"}
	}
	v := view{windows: windows, now: now.Unix(), limit: now.Unix() + horizon, left: maxLooks}
	if worst, closed := v.worst(v.now); closed > 0 {
		return v.closed(worst, closed)
	}
	return v.open()
}

// view is one look ahead.
type view struct {
	windows    []Window
	now, limit int64
	left       int // looks
}

// verdict is what one window says at a moment.
type verdict struct {
	window *Window
	shut   bool
	freeze *Period // that shuts it, if one does
	// until is, while shut, the first moment at which it may be open.
	until int64
}

// look asks one window.
func (v *view) look(w *Window, at int64) verdict {
	v.left--
	out := verdict{window: w}
	for i := range w.Freeze {
		if end, ok := w.Freeze[i].rule.covers(w.Location, at); ok && end > out.until {
			out.shut, out.freeze, out.until = true, &w.Freeze[i], end
		}
	}
	if out.shut || len(w.Allow) == 0 || covered(w, w.Allow, at) > at {
		return out
	}
	out.shut, out.until = true, v.limit
	for _, p := range w.Allow {
		if start, ok := p.rule.next(w.Location, at, v.limit); ok {
			out.until = min(out.until, start)
		}
	}
	return out
}

// covered is until when periods cover a moment; the moment itself if none does.
func covered(w *Window, periods []Period, at int64) int64 {
	latest := at
	for _, p := range periods {
		if end, ok := p.rule.covers(w.Location, at); ok {
			latest = max(latest, end)
		}
	}
	return latest
}

// worst is the window that is shut the longest at a moment, and how many are shut.
func (v *view) worst(at int64) (worst verdict, shut int) {
	for i := range v.windows {
		if one := v.look(&v.windows[i], at); one.shut {
			shut++
			if worst.window == nil || one.until > worst.until {
				worst = one
			}
		}
	}
	return worst, shut
}

// opening is the first moment after now at which no window is shut. Where it finds none, it gives the moment up to
// which it has looked.
func (v *view) opening(first verdict) (at int64, ok bool) {
	at = first.until
	for at < v.limit && v.left > 0 {
		worst, shut := v.worst(at)
		if shut == 0 {
			return at, true
		}
		at = worst.until
	}
	return min(at, v.limit), false
}

// closing is the first moment after now at which a window shuts, and which; likewise.
func (v *view) closing() (window *Window, at int64, ok bool) {
	at = v.limit
	for i := range v.windows {
		w := &v.windows[i]
		end, found := v.closingOf(w, at)
		if found && end < at {
			window, at, ok = w, end, true
		}
		if !found && end < at { // Looked no further than this.
			window, at, ok = nil, end, false
		}
	}
	return window, at, ok
}

func (v *view) closingOf(w *Window, limit int64) (at int64, ok bool) {
	for _, p := range w.Freeze {
		if start, is := p.rule.next(w.Location, v.now, limit); is {
			limit, ok = start, true
		}
	}
	if len(w.Allow) == 0 {
		return limit, ok
	}
	// Each window has looks of its own here: one that is open minute by minute must not hide that another closes.
	left := max(1, maxLooks/len(v.windows))
	for at = v.now; at < limit; left-- {
		if left == 0 {
			return at, false
		}
		end := covered(w, w.Allow, at)
		if end == at {
			return at, true
		}
		at = end
	}
	return limit, ok
}

func (v *view) closed(worst verdict, shut int) State {
	var b strings.Builder
	w := worst.window
	if worst.freeze != nil {
		fmt.Fprintf(&b, "release window %q is frozen (%s%s)", w.Name, worst.freeze, zone(w, worst.freeze))
		if worst.freeze.Reason != "" {
			fmt.Fprintf(&b, ": %s", worst.freeze.Reason)
		}
	} else {
		fmt.Fprintf(&b, "release window %q is closed; its times are %s", w.Name, list(w, w.Allow))
	}
	switch {
	case shut == 2:
		b.WriteString("; another window is closed, too")
	case shut > 2:
		fmt.Fprintf(&b, "; %d other windows are closed, too", shut-1)
	}
	at, ok := v.opening(worst)
	if !ok {
		fmt.Fprintf(&b, "; there is no opening before %s", moment(w, at))
		return State{Reason: b.String()}
	}
	fmt.Fprintf(&b, "; releases may advance again from %s", moment(w, at))
	return State{Reason: b.String(), Until: time.Unix(at, 0).UTC()}
}

func (v *view) open() State {
	s := State{Open: true}
	who := fmt.Sprintf("release window %q is open", v.windows[0].Name)
	if n := len(v.windows); n > 1 {
		who = fmt.Sprintf("all %d release windows are open", n)
	}
	switch w, at, ok := v.closing(); {
	case !ok && at >= v.limit:
		s.Reason = who
	case !ok:
		s.Reason = fmt.Sprintf("%s until %s at the least", who, moment(&v.windows[0], at))
	case len(v.windows) > 1:
		s.Reason, s.Closes = fmt.Sprintf("%s; %q closes at %s", who, w.Name, moment(w, at)), time.Unix(at, 0).UTC()
	default:
		s.Reason, s.Closes = fmt.Sprintf("%s until %s", who, moment(w, at)), time.Unix(at, 0).UTC()
	}
	return s
}

// list names a few periods.
func list(w *Window, periods []Period) string {
	const most = 2
	var parts []string
	for i := range periods {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(periods)-most))
			break
		}
		parts = append(parts, periods[i].String()+zone(w, &periods[i]))
	}
	return strings.Join(parts, "; ")
}

// zone tells where the hours of a period are meant; dates say it themselves.
func zone(w *Window, p *Period) string {
	if _, ok := p.rule.(dates); ok {
		return ""
	}
	return " " + w.Location.String()
}

func moment(w *Window, at int64) string {
	t := time.Unix(at, 0).In(w.Location)
	if t.Second() != 0 {
		return t.Format("Mon 2 Jan 2006 15:04:05 MST")
	}
	return t.Format("Mon 2 Jan 2006 15:04 MST")
}
