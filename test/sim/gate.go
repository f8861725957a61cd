package sim

import (
	"math/rand/v2"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file has what a release waits for besides pods and routes: analyses, people who approve, and windows.

// Analysis is an AnalysisRun: one analysis of one release, and what it has come to.
type Analysis struct {
	Release    int
	ID         release.AnalysisID
	Concluding bool
	Verdict    release.Verdict
	// Begun is when it was made.
	Begun int
}

// Fate is how analyses come out, by the seed: the chances of each verdict, all 0 for none ever.
type Fate struct {
	Good, Bad, Unclear, Never int
	// After is how many ticks it takes until they do, at most.
	After int
	// Turns: one in so many that are unclear comes to good or bad later on; 0 for none.
	Turns int
	// Endless: one in so many has no number of measurements of its own, and is good only when it is told to conclude; 0
	// for none.
	Endless int
}

// runName is the name of an analysis.
type runName struct {
	release int
	id      release.AnalysisID
}

// analysisKey is the key of an analysis, whether it exists or not.
func (w *World) analysisKey(number int, id release.AnalysisID) Key {
	name := runName{number, id}
	n := slices.Index(w.named, name)
	if n < 0 {
		n = len(w.named)
		w.named = append(w.named, name)
	}
	return Key{KAnalysis, n}
}

// analyse lets the analysis controller act: every analysis comes to what it is to come to.
func (w *World) analyse() {
	for n := range w.store.table[KAnalysis] {
		k := Key{KAnalysis, n}
		a, ok := at[Analysis](&w.store.table, k)
		if !ok {
			continue
		}
		if v := w.fate(a); v != a.Verdict {
			a.Verdict = v
			w.put(Analyst, k, a)
		}
	}
}

// fate is what an analysis has come to by now.
func (w *World) fate(a Analysis) release.Verdict { return w.Comes(a, w.Tick-a.Begun, w.healedAt > 0) }

// Comes is what an analysis of this age has come to. What somebody else has said of it stays. When all is mended there
// is none that never comes to anything.
func (c *Config) Comes(a Analysis, age int, mended bool) release.Verdict {
	f := &c.Analyst
	r := rand.New(rand.NewPCG(c.Seed^0xfa7e, a.name()))
	verdict, after, turns := f.draw(r), r.IntN(f.After+1), f.Turns > 0 && r.IntN(f.Turns) == 0
	endless := f.Endless > 0 && r.IntN(f.Endless) == 0
	switch {
	case a.Verdict == release.Unclear && turns && age > 2*f.After:
		return [2]release.Verdict{release.Good, release.Bad}[r.IntN(2)]
	case a.Verdict != release.Measuring || age < 1+after:
		return a.Verdict
	case mended && verdict == release.Measuring:
		verdict = release.Good
	}
	if verdict == release.Good && endless && !a.Concluding {
		return release.Measuring
	}
	return verdict
}

// name is the analysis' name as a number.
func (a Analysis) name() uint64 {
	return uint64(a.Release)<<32 | uint64(btoi(a.ID.Background))<<16 | uint64(a.ID.Step)<<8 | uint64(a.ID.Attempt)
}

// draw is a verdict by its chance; Measuring is never one.
func (f *Fate) draw(r *rand.Rand) release.Verdict {
	total := f.Good + f.Bad + f.Unclear + f.Never
	if total == 0 {
		return release.Measuring
	}
	i := r.IntN(total)
	for _, c := range []struct {
		n int
		v release.Verdict
	}{{f.Good, release.Good}, {f.Bad, release.Bad}, {f.Unclear, release.Unclear}} {
		if i -= c.n; i < 0 {
			return c.v
		}
	}
	return release.Measuring
}

// running is the key of the analysis that the current release has measured now.
func (w *World) running(background bool) (Key, bool) {
	r, ok := w.release()
	if !ok {
		return Key{}, false
	}
	k := w.analysisKey(r.Number, r.Measures(background))
	return k, w.store.get(k).Value != nil
}

// Measures is the step's analysis, or the one beside the steps, that the release is at.
func (r Release) Measures(background bool) release.AnalysisID {
	m := r.Memory
	if background {
		return release.AnalysisID{Background: true, Step: r.Spec.BackgroundFrom, Attempt: m.MeasuredBackground}
	}
	return release.AnalysisID{Step: m.Step, Attempt: m.Measured}
}

// verdictsByNumber are what DoVerdict can say.
var verdictsByNumber = []release.Verdict{release.Good, release.Bad, release.Unclear}

// Said is what DoVerdict says of an analysis.
func (a Action) Said() release.Verdict { return verdictsByNumber[a.N] }

// sayVerdict has the step's (M 0) or the background's analysis come to a verdict now.
func (w *World) sayVerdict(a Action) {
	if k, ok := w.running(a.M == 1); ok {
		run := must[Analysis](&w.store.table, k)
		run.Verdict = a.Said()
		w.put(Analyst, k, run)
	}
}

// forget deletes the step's (N 0) or the background's analysis.
func (w *World) forget(a Action) {
	if k, ok := w.running(a.N == 1); ok {
		w.put(Meddler, k, nil)
	}
}

func observeAnalyses(v *view, number int) (all []release.Analysis) {
	for _, o := range v.table[KAnalysis] {
		if a, ok := o.Value.(Analysis); ok && a.Release == number {
			all = append(all, release.Analysis{
				ID: a.ID, Verdict: a.Verdict, Message: "measured " + string(a.Verdict),
				Concluding: a.Concluding,
			})
		}
	}
	return all
}

// Window is the ReleaseWindow: shut from a tick on until another; a zero Opens means that nobody knows when.
type Window struct {
	Set         bool
	From, Opens int
}

func (win Window) shut(tick int) bool {
	return win.Set && tick >= win.From && (win.Opens == 0 || tick < win.Opens)
}

func observeWindow(v *view, tick int) release.Shut {
	win := must[Window](&v.table, windowKey)
	if !win.shut(tick) {
		return release.Shut{}
	}
	s := release.Shut{Window: "weekdays", Message: "the window weekdays is shut"}
	if win.Opens > 0 {
		s.Opens = timeOf(win.Opens)
	}
	return s
}

// shut shuts the window for so many ticks (0: nobody knows for how long), M ticks from now.
func (w *World) shut(a Action) {
	win := Window{Set: true, From: w.Tick + a.M}
	if a.N > 0 {
		win.Opens = win.From + a.N
	}
	w.put(Person, windowKey, win)
}

func (w *World) open() {
	if w.store.get(windowKey).Value != nil {
		w.put(Person, windowKey, Window{})
	}
}

// person is somebody who may speak. Number 0 is who says everything that anybody may.
type person struct {
	name   string
	groups []string
}

// team are the people. Carol makes the changes; nobody names mallory.
var team = []person{
	{"alice", nil},
	{"bob", nil},
	{"carol", []string{"sre"}},
	{"dave", []string{"dev", "sre"}},
	{"mallory", []string{"dev"}},
}

// The numbers of some of them.
const (
	alice = iota
	bob
	carol
	dave
	mallory
)

// author is who makes the changes, which only a cluster with the policies knows.
func (w *World) authors() []string {
	if !w.Policy {
		return nil
	}
	return []string{team[carol].name}
}

// names says whether an approval may come from somebody.
func names(a *release.Approval, d release.Decision) bool {
	for _, u := range a.Users {
		if u == d.User {
			return true
		}
	}
	for _, g := range a.Groups {
		if contains(d.Groups, g) {
			return true
		}
	}
	return false
}

// approver is the first one who may approve what the release waits for and has not.
func approver(r Release) (number int, ok bool) {
	a := r.Spec.Steps[r.Memory.Step].Approval
	for n, p := range team {
		has := slices.ContainsFunc(r.Memory.Approvals, func(x release.Approved) bool { return x.User == p.name })
		own := a.SeparationOfDuty && (len(r.Spec.Authors) == 0 || slices.Contains(r.Spec.Authors, p.name))
		if !has && !own && names(a, release.Decision{User: p.name, Groups: p.groups}) {
			return n, true
		}
	}
	return 0, false
}

// awaitsApproval says whether the question is put and not answered.
func awaitsApproval(r Release) bool {
	m := r.Memory
	if m.AskedAt.IsZero() || m.Phase == release.Completing || m.End != release.NotEnding || m.Phase.Terminal() {
		return false
	}
	a := r.Spec.Steps[m.Step].Approval
	return a != nil && len(m.Approvals) < a.Required
}
