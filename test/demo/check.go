package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report is what the checked play comes to: what was expected, and the counts of each leg of the way.
type report struct {
	out    io.Writer
	load   *load
	failed []string
	held   int
	legs   []leg
}

// leg is a part of the way and the requests that were sent in it.
type leg struct {
	name  string
	from  time.Time
	took  time.Duration
	tally *tally
}

// expect records whether an expectation held, under its number in the list of story.go.
func (r *report) expect(point int, ok bool, what, format string, args ...any) {
	seen := fmt.Sprintf(format, args...)
	if ok {
		r.held++
		fmt.Fprintf(r.out, "  ok    %d  %s: %s\n", point, what, seen)
		return
	}
	fmt.Fprintf(r.out, "  FAIL  %d  %s: %s\n", point, what, seen)
	r.failed = append(r.failed, fmt.Sprintf("%d  %s: %s", point, what, seen))
}

// enter ends the present leg and begins another.
func (r *report) enter(name string) {
	r.leave()
	r.legs = append(r.legs, leg{name: name, from: time.Now(), tally: r.load.count(0)})
}

// leave ends the present leg and prints its counts.
func (r *report) leave() {
	if len(r.legs) == 0 || r.legs[len(r.legs)-1].took > 0 {
		return
	}
	l := &r.legs[len(r.legs)-1]
	l.took = time.Since(l.from)
	r.load.close(l.tally)
	t := r.load.read(l.tally)
	fmt.Fprintf(r.out, "  --    %s: %s, %d failed%s, in %.1fs\n", l.name, counts(t.counts), t.failed, t.why(),
		l.took.Seconds())
}

func counts(of map[string]int) string {
	var out []string
	for _, c := range slices.Sorted(maps.Keys(of)) {
		out = append(out, fmt.Sprintf("%s %d", c, of[c]))
	}
	if len(out) == 0 {
		return "no answers"
	}
	return strings.Join(out, ", ")
}

// table prints all legs.
func (r *report) table() {
	colours := map[string]bool{}
	for _, l := range r.legs {
		for c := range r.load.read(l.tally).counts {
			colours[c] = true
		}
	}
	names := slices.Sorted(maps.Keys(colours))
	fmt.Fprintf(r.out, "\n%-34s %8s %9s", "", "seconds", "requests")
	for _, c := range names {
		fmt.Fprintf(r.out, " %8s", c)
	}
	fmt.Fprintf(r.out, " %7s\n", "failed")
	for _, l := range r.legs {
		r.row(names, l.name, l.took, r.load.read(l.tally))
	}
	all := r.load.read(r.load.all)
	r.row(names, "from first to last", time.Since(all.from), all)
}

func (r *report) row(colours []string, name string, took time.Duration, t tally) {
	fmt.Fprintf(r.out, "%-34s %8.1f %9d", name, took.Seconds(), t.total)
	for _, c := range colours {
		fmt.Fprintf(r.out, " %8d", t.counts[c])
	}
	fmt.Fprintf(r.out, " %7d\n", t.failed)
}

// verdict is the error of a play in which not everything held.
func (r *report) verdict() error {
	if len(r.failed) == 0 {
		fmt.Fprintf(r.out, "\nAll %d expectations held.\n", r.held)
		return nil
	}
	return errors.New(fmt.Sprintf("%d of %d expectations did not hold:\n  ", len(r.failed), len(r.failed)+r.held) +
		strings.Join(r.failed, "\n  "))
}
