package e2e

import (
	"regexp"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// measuring is case 1 with something measured: in the background of a step of 20% that waits for a person, or in a step of
// 50% that does not.
func measuring(t *testing.T, analysis map[string]any, background bool) (*world, team, *load) {
	t.Helper()
	w := newWorld(t)
	if w.cluster.Prometheus == "" {
		t.Skip("needs the Prometheus of the playground")
	}
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	rollout := only(objects, "Rollout")
	first := step(20)
	if background {
		set(rollout, analysis, "spec", "canary", "analysis")
	} else {
		first = passing(50)
		first["analysis"] = analysis
	}
	steps(rollout, first)
	w.start(objects...)
	return w, w.team(), w.load()
}

// takenBack waits until a bad version has been taken back by itself, and says what that has cost.
func takenBack(w *world, before team, load *load) (bad, all int) {
	w.Helper()
	rel := w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 4)
	w.nothingLeft(before)
	if rel.Status.Memory.End != string(release.AnalysisFailed) {
		w.Errorf("it was taken back for %s: %s", rel.Status.Memory.End, rel.Status.Result)
	}
	var reached, failed time.Time
	for _, e := range rel.Status.Timeline {
		switch e.Reason {
		case "StepReached":
			reached = e.At.Time
		case string(release.AnalysisFailed):
			failed = e.At.Time
		}
	}
	// One interval before the first measurement, and two intervals to see it; a loaded machine may take longer to look.
	w.Logf("found out after %s: %s", failed.Sub(reached), rel.Status.Result)
	for _, s := range load.end() {
		all++
		if s.failed() {
			bad++
		}
	}
	return bad, all
}

// TestErrorsAreFoundOut: a version that answers 500 to some requests is taken back by itself while it waits for a person.
func TestErrorsAreFoundOut(t *testing.T) {
	w, before, load := measuring(t, map[string]any{"builtin": "success-rate", "min": int64(99)}, true)
	w.setImage("bad-red")
	bad, all := takenBack(w, before, load)
	t.Logf("%d of %d requests failed (%.2f%%)", bad, all, 100*float64(bad)/float64(all))
	if bad == 0 || float64(bad) > 0.2*float64(all) {
		t.Errorf("%d of %d requests failed; want some, and fewer than the step's share", bad, all)
	}
}

// TestLatencyIsFoundOut: likewise for a version that answers late.
func TestLatencyIsFoundOut(t *testing.T) {
	w, before, load := measuring(t, map[string]any{"builtin": "latency", "max": int64(400)}, true)
	w.setImage("slow-yellow")
	bad, all := takenBack(w, before, load)
	if bad > 0 {
		t.Errorf("%d of %d requests failed; want none", bad, all)
	}
}

// TestAGoodVersionPasses by itself, once it is proven not to be worse than the stable one.
func TestAGoodVersionPasses(t *testing.T) {
	w, before, load := measuring(t, map[string]any{
		"builtin": "success-rate", "compare": map[string]any{"tolerance": int64(2), "minSamples": int64(200)},
	}, false)
	w.setImage("green")
	run := w.passesByItself(before, load)
	t.Logf("%s: %s", run.Status.Phase, run.Status.Message)
}

// passesByItself waits until green is released, without a word of anybody's and a failed request, and gives the analysis of
// its first step.
func (w *world) passesByItself(before team, load *load) *v1alpha1.AnalysisRun {
	w.Helper()
	rel := w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.nothingLeft(before)
	noneFailed(w, load.end())
	for _, e := range rel.Status.Timeline {
		if e.User != "" || e.Reason == release.ReasonAnalysisUnclear {
			w.Errorf("somebody had to act: %+v", e)
		}
	}
	return w.run("shop-1-step-1")
}

// TestAWorseVersionIsFoundOut by comparison, with no limit named.
func TestAWorseVersionIsFoundOut(t *testing.T) {
	w, before, load := measuring(t, map[string]any{"builtin": "success-rate", "compare": map[string]any{"tolerance": int64(1)}}, true)
	w.setImage("bad-red")
	if bad, all := takenBack(w, before, load); bad == 0 || float64(bad) > 0.2*float64(all) {
		t.Errorf("%d of %d requests failed; want some, and fewer than the step's share", bad, all)
	}
}

// TestSlowVersionFoundByComparison: likewise a version that answers late, though nobody has said what is late; and whoever
// reads its record sees what was compared. On a machine that does other things beside, one request in twenty to the stable
// version may be as late as those to the slow one, so a lower quantile than the default is compared.
func TestSlowVersionFoundByComparison(t *testing.T) {
	w, before, load := measuring(t, map[string]any{"builtin": "latency", "quantile": 0.75, "compare": map[string]any{}}, true)
	w.setImage("slow-yellow")
	if bad, all := takenBack(w, before, load); bad > 0 {
		t.Errorf("%d of %d requests failed; want none", bad, all)
	}
	run := w.run("shop-1.background")
	if m := run.Status.Message; !regexp.MustCompile(`canary \S+% slower than \S+ s \(\d+ of \d+\), stable \S+% `).MatchString(m) {
		t.Errorf("the run does not say what was compared: %s", m)
	}
	t.Logf("the evidence has %d bytes: %s", len(run.Status.Metrics[0].Evidence), run.Status.Metrics[0].Evidence)
}

// TestFastVersionPassesComparison by itself, once it is proven not to be slower than the stable one. The tolerance is that
// of a machine which does other things beside: these versions answer in a millisecond.
func TestFastVersionPassesComparison(t *testing.T) {
	w, before, load := measuring(t, map[string]any{
		"builtin": "latency", "quantile": 0.9, "compare": map[string]any{"tolerance": int64(20)},
	}, false)
	w.setImage("green")
	run := w.passesByItself(before, load)
	t.Logf("%s: %s", run.Status.Phase, run.Status.Message)
	for _, m := range run.Status.Metrics[0].Measurements {
		t.Logf("%s: %s", m.Phase, m.Message)
	}
}
