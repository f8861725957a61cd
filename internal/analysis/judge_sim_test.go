package analysis

import (
	"math"
	"testing"
)

// usual is the comparison in which every difference counts: the hardest one to keep from false alarms.
var usual = Comparison{ErrorRate: 0.05}

// equalWorlds are those in which each alarm is a false one.
func equalWorlds(looks int, bases ...float64) []world {
	var out []world
	for _, base := range bases {
		for _, split := range []int64{5, 20} {
			out = append(out, world{base: base, split: split, perLook: 1000, looks: looks})
		}
	}
	return out
}

// badWorlds are those in which the canary has one bad request more in a hundred.
func badWorlds(looks int) []world {
	var out []world
	for _, base := range []float64{0.5, 1} {
		for _, split := range []int64{5, 20} {
			out = append(out, world{base: base, extra: 1, split: split, perLook: 1000, looks: looks})
		}
	}
	return out
}

// unknown is the base of a run when nobody knows it better than by a factor of two.
var unknown = []float64{0.5, 0.7, 1, 1.4, 2}

func TestFalseAlarms(t *testing.T) {
	const runs = 10_000
	for _, w := range equalWorlds(28, 0.1, 1, 5) {
		t.Run(w.String(), func(t *testing.T) {
			n := spoken(w.play(usual, runs, 1, Worse))
			t.Logf("%d of %d runs of equal versions are called Worse at one of %d looks", n, runs, w.looks)
			if most := int(usual.ErrorRate * runs); n > most {
				t.Errorf("%d false alarms, at most %d are promised", n, most)
			}
			if n < runs/1000 {
				t.Errorf("%d false alarms only: the test has not looked, or the judge could speak much sooner", n)
			}
		})
	}
}

// TestPeeking shows that the worlds find a judge out whose error grows with looking.
func TestPeeking(t *testing.T) {
	const runs = 1000
	w := world{base: 1, split: 20, perLook: 1000, looks: 32}
	canary, stable := newBinomial(w.canaryPerLook(), 0.01), newBinomial(w.stablePerLook(), 0.01)
	alarms := 0
	for i := range runs {
		r := dice(uint64(i))
		var cb, ct, sb, st float64
		for range w.looks {
			cb, ct = cb+float64(canary.draw(r)), ct+float64(w.canaryPerLook())
			sb, st = sb+float64(stable.draw(r)), st+float64(w.stablePerLook())
			both := (cb + sb) / (ct + st)
			if z := (cb/ct - sb/st) / math.Sqrt(both*(1-both)*(1/ct+1/st)); z > 1.645 { // 5%, for one look.
				alarms++
				break
			}
		}
	}
	if alarms < 15*runs/100 {
		t.Errorf("%d of %d: the test of the textbook keeps 5%% under peeking, so this world shows nothing", alarms, runs)
	}
}

func TestTolerableIsNotWorse(t *testing.T) {
	const runs = 2000
	w := world{base: 0.5, extra: 0.5, split: 20, perLook: 2000, looks: 40}
	c := Comparison{Tolerance: 0.5, ErrorRate: 0.05}
	if n := spoken(w.play(c, runs, 4, Worse)); n > runs/20 {
		t.Errorf("%d of %d runs of a canary at the tolerance are called Worse", n, runs)
	}
	// At the edge it is also wrong to say Same.
	if n := spoken(w.play(c, runs, 5, Same, Better)); n > runs/20 || n == 0 {
		t.Errorf("%d of %d runs of a canary at the tolerance are called no worse, want a few and at most %d", n, runs, runs/20)
	}
}

func TestVerdictsCome(t *testing.T) {
	const runs = 300
	for _, row := range []struct {
		name    string
		w       world
		c       Comparison
		awaited []Verdict
		// within is the mean look that is borne.
		within float64
	}{
		{"equal is Same", world{base: 0.5, split: 10, perLook: 1000, looks: 200}, Comparison{Tolerance: 0.5, ErrorRate: 0.05}, []Verdict{Same}, 45},
		{"a better one is Better", world{base: 3, extra: -2, split: 10, perLook: 1000, looks: 200}, Comparison{Tolerance: 0.5, ErrorRate: 0.05}, []Verdict{Better}, 25},
		{"Better needs no tolerance", world{base: 3, extra: -2, split: 10, perLook: 1000, looks: 200}, usual, []Verdict{Better}, 25},
		{"one that cannot be borne is Worse", world{base: 0.5, extra: 2, split: 10, perLook: 1000, looks: 200}, Comparison{Tolerance: 0.5, ErrorRate: 0.05}, []Verdict{Worse}, 16},
		{"a broken one is Worse at the first look", world{base: 0.5, extra: 50, split: 5, perLook: 1000, looks: 10}, Comparison{Tolerance: 0.5, ErrorRate: 0.05}, []Verdict{Worse}, 1},
		{"one that turns bad late is Worse", world{base: 0.5, extra: 2, split: 10, perLook: 1000, looks: 200, turn: 60}, Comparison{Tolerance: 0.5, ErrorRate: 0.05}, []Verdict{Worse}, 60 + 36},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := row.w.play(row.c, runs, 6, row.awaited...)
			mean := meanLook(got)
			t.Logf("after %.1f looks in the mean, in %d of %d runs", mean, spoken(got), runs)
			if n := spoken(got); n < 99*runs/100 {
				t.Errorf("only %d of %d runs come to %v", n, runs, row.awaited)
			}
			if mean > row.within {
				t.Errorf("%v after %.1f looks in the mean, want %v", row.awaited, mean, row.within)
			}
		})
	}
}

// TestIncident: what befalls both versions is no fault of the canary's, which a constant cannot know.
func TestIncident(t *testing.T) {
	ours, fixed := incident(1000, 40)
	t.Logf("false alarms when both versions have three times the bad requests: ours %.1f%%, a constant %.1f%%", ours, fixed)
	if ours > 5 {
		t.Errorf("%.1f%% false alarms in an incident, 5%% are promised", ours)
	}
	if fixed < 50 {
		t.Errorf("the fixed rule has %.1f%% alarms only: the incident is none", fixed)
	}
}

// incident is the rate of false alarms, in percent, when equal versions both get three times the bad requests for the
// second half of a run.
func incident(runs, looks int) (ours, fixed float64) {
	calm := world{base: 0.5, split: 20, perLook: 1000, looks: looks}
	stormy := calm
	stormy.incident = looks / 2
	quiet := calm.play(usual, runs, 7, Worse)
	rule, _ := bestFixedRule(quiet, calm.with(1).play(usual, runs/5, 8, Worse), calm.canaryPerLook(), spoken(quiet))
	storm := stormy.play(usual, runs, 9, Worse)
	percent := 100 / float64(runs)
	return percent * float64(spoken(storm)), percent * float64(rule.alarms(storm, calm.canaryPerLook()))
}

// race is how many times sooner a bad canary is found than by the best fixed rule of the same rate of false alarms.
// These are measured with a canary that has so many points more than stable.
func race(t testing.TB, c Comparison, w world, borne float64, runs int) float64 {
	t.Helper()
	innocent := w.with(borne).play(c, runs, 2, Worse)
	w.looks = max(400, w.looks)
	guilty := w.play(c, runs/5, 3, Worse)
	rule, fixed := bestFixedRule(innocent, guilty, w.canaryPerLook(), spoken(innocent))
	t.Logf("%v: %.1f looks, %.1f by %v, both with %.2f%% false alarms", w, meanLook(guilty), fixed, rule, 100*float64(spoken(innocent))/float64(runs))
	return fixed / meanLook(guilty)
}

// TestSpeedup holds the judge to what docs/performance.md says. Where stable's share is known to the letter, and the
// canary gets much of the traffic, a constant is sooner: it need not measure stable.
func TestSpeedup(t *testing.T) {
	least := map[string]float64{"0.5%+1, 5/95": 1, "0.5%+1, 20/80": 0.75, "1%+1, 5/95": 1.2, "1%+1, 20/80": 0.8}
	for _, w := range badWorlds(60) {
		t.Run(w.String(), func(t *testing.T) {
			if known := race(t, usual, w, 0, 1500); known < least[w.String()] {
				t.Errorf("%.2f times as soon as the best fixed rule, want %v", known, least[w.String()])
			}
			w.factors = unknown
			if soon := race(t, usual, w, 0, 1500); soon < 2 {
				t.Errorf("%.2f times as soon as the best fixed rule where stable's share is not known before, want 2", soon)
			}
		})
	}
}

// TestFixedRule checks the opponent: a race against a lame one shows nothing.
func TestFixedRule(t *testing.T) {
	rule := fixedRule{window: 2, limit: 1, above: 0.15}
	for _, row := range []struct {
		bad     []int64
		patient bool
		want    int
	}{
		{[]int64{2, 2, 0, 0}, false, 2},
		{[]int64{2, 2, 2, 0}, true, 3},
		{[]int64{2, 0, 0, 2}, false, 0},
		{[]int64{0, 4, 0, 0}, false, 3},
		{[]int64{1, 1, 1, 1}, false, 0},
	} {
		rule.patient = row.patient
		if got := rule.alarm(row.bad, 10); got != row.want {
			t.Errorf("%v of 10 each: %+v fails at look %d, want %d", row.bad, rule, got, row.want)
		}
	}
	w := world{base: 1, split: 20, perLook: 1000, looks: 60}
	equal := w.play(usual, 500, 10, Worse)
	for _, f := range fixedRules() {
		f = f.calibrate(equal, w.canaryPerLook(), 25)
		n := f.alarms(equal, w.canaryPerLook())
		lower := f
		lower.above = math.Nextafter(f.above, -1)
		if n > 25 || lower.alarms(equal, w.canaryPerLook()) <= 25 {
			t.Errorf("%+v has %d alarms in 500 runs, and %d when it is any lower: 25 are allowed", f, n, lower.alarms(equal, w.canaryPerLook()))
		}
	}
}
