package release

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func specFor(steps ...Step) Spec {
	return layered(Spec{
		From: "blue", To: "green", Steps: steps, OnFailure: FailureAborts,
		ProgressDeadline: time.Minute, ReleaseDeadline: time.Hour, DrainDelay: 5 * time.Second,
	}, "Ingress")
}

// runUntil ticks until the release waits for a reason.
func runUntil(t *testing.T, w *world, code string) Outcome {
	t.Helper()
	for range 1000 {
		if out := w.tick(); out.Reason.Code == code {
			return out
		}
	}
	t.Fatalf("never came to %s", code)
	return Outcome{}
}

func TestRefusals(t *testing.T) {
	manual := Step{Weight: 50, Pause: Pause{Kind: PauseManual}}
	tests := []struct {
		name   string
		memory Memory
		decide Decision
		want   string
	}{
		{"ended", Memory{Phase: Succeeded}, Decision{Verb: Abort}, RefusedReleaseEnded},
		{"ending", Memory{Phase: Aborting, End: AbortedByUser}, Decision{Verb: Abort}, RefusedAlreadyEnding},
		{"ending, promote", Memory{Phase: Aborting, End: AbortedByUser}, Decision{Verb: Promote}, RefusedAlreadyEnding},
		{"another plan", Memory{Phase: Progressing}, Decision{Verb: Promote, PlanMismatch: true}, RefusedPlanMismatch},
		{"another step", Memory{Phase: Progressing}, Decision{Verb: Promote, Step: "step-2"}, RefusedWrongStep},
		{"another step, pause", Memory{Phase: Progressing}, Decision{Verb: PauseNow, Step: "step-2"}, RefusedWrongStep},
		{"an abort speaks of the whole release", Memory{Phase: Progressing}, Decision{Verb: Abort, Step: "step-2"}, ""},
		{"its own step", Memory{Phase: Progressing, StepReachedAt: began}, Decision{Verb: Promote, Step: "step-1"}, ""},
		{"a step on its way", Memory{Phase: Progressing}, Decision{Verb: Promote, Step: "step-1"}, RefusedStepNotInForce},
		{"a step on its way, paused", Memory{Phase: Paused, PausedBy: "bob"}, Decision{Verb: Promote}, RefusedStepNotInForce},
		{"a step on its way, failed", Memory{Phase: Paused, PausedBy: pausedByFailure}, Decision{Verb: Promote}, ""},
		{"promoted before", Memory{Phase: Progressing, Promoted: true, StepReachedAt: began}, Decision{Verb: Promote}, RefusedAlreadyPromoted},
		{"no pause", Memory{Phase: Progressing, Step: 1, StepReachedAt: began}, Decision{Verb: Promote}, RefusedNothingToPromote},
		{"completing", Memory{Phase: Completing}, Decision{Verb: Promote}, RefusedNothingToPromote},
		{"completing, full", Memory{Phase: Completing}, Decision{Verb: PromoteFull}, RefusedNothingToPromote},
		{"completing, paused", Memory{Phase: Completing, PausedBy: "bob"}, Decision{Verb: Promote}, ""},
		{"paused without a step's pause", Memory{Phase: Paused, Step: 1, PausedBy: "bob", StepReachedAt: began}, Decision{Verb: Promote}, ""},
		{"paused before", Memory{Phase: Paused, PausedBy: "bob"}, Decision{Verb: PauseNow}, RefusedAlreadyPaused},
		{"not paused", Memory{Phase: Paused}, Decision{Verb: Resume}, RefusedNotPaused},
		{"no window is shut", Memory{Phase: Progressing}, Decision{Verb: Override, Comment: "CVE"}, RefusedNothingShut},
		{"unknown", Memory{Phase: Progressing}, Decision{Verb: "retry"}, RefusedUnknownVerb},
		{"spoilt memory", Memory{Phase: Progressing, Step: 9}, Decision{Verb: Promote}, RefusedMemoryInvalid},
		{"spoilt memory, abort", Memory{Phase: Progressing, Step: 9}, Decision{Verb: Abort}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(specFor(manual, Step{Weight: 70}), 4)
			m := tt.memory
			m.StartedAt = began
			tt.decide.ID, tt.decide.User = "d", "alice"
			w.o.Decisions = []Decision{tt.decide}
			out := Decide(w.spec, w.o, m, began)
			if len(out.Answers) != 1 {
				t.Fatalf("answers %+v", out.Answers)
			}
			a := out.Answers[0]
			if a.Applied != (tt.want == "") || tt.want != "" && a.Code != tt.want || a.Message == "" || a.ID != "d" {
				t.Errorf("answer %+v, want %q", a, tt.want)
			}
		})
	}
}

// TestDecisionsInOrder: each decision is seen in the light of those before it.
func TestDecisionsInOrder(t *testing.T) {
	w := newWorld(specFor(Step{Weight: 50, Pause: Pause{Kind: PauseManual}}), 4)
	runUntil(t, w, ReasonPausedForPerson)
	for i, v := range []Verb{PauseNow, PauseNow, Resume, Promote, Promote, Abort, Resume} {
		w.o.Decisions = append(w.o.Decisions, Decision{ID: string(rune('a' + i)), Verb: v, User: "alice"})
	}
	var got []string
	for _, a := range w.tick().Answers {
		got = append(got, a.ID+" "+a.Code)
	}
	want := []string{"a Paused", "b AlreadyPaused", "c Resumed", "d Promoted", "e AlreadyPromoted", "f Aborting", "g AlreadyEnding"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSpoiltMemory: nothing moves, and the memory is left for a person to see; an abort is heard.
func TestSpoiltMemory(t *testing.T) {
	for name, m := range map[string]Memory{
		"no phase":       {StartedAt: began},
		"unknown phase":  {Phase: "Flying", StartedAt: began},
		"no start":       {Phase: Progressing},
		"step too high":  {Phase: Progressing, Step: 2, StartedAt: began},
		"step negative":  {Phase: Paused, Step: -1, StartedAt: began},
		"step too high!": {Phase: Completing, Step: 7, StartedAt: began},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(specFor(Step{Weight: 50}), 4)
			out := Decide(w.spec, w.o, m, began)
			if out.Reason.Code != ReasonMemoryInvalid || len(out.Actions) > 0 || !out.Memory.Equal(m) {
				t.Errorf("outcome %+v", out)
			}
			if !strings.Contains(out.Reason.Message, "abort the release") {
				t.Errorf("no remedy: %s", out.Reason.Message)
			}
			w.o.Decisions = []Decision{{ID: "d", Verb: Abort, User: "alice"}}
			if out := Decide(w.spec, w.o, m, began); out.Memory.Phase != Aborted {
				t.Errorf("abort: %+v", out)
			}
		})
	}
}

// TestBadSpec: a spec that makes no sense moves nothing, whatever the phase.
func TestBadSpec(t *testing.T) {
	for name, spoil := range map[string]func(*Spec){
		"no steps":        func(s *Spec) { s.Steps = nil },
		"falling weights": func(s *Spec) { s.Steps = []Step{{Weight: 50}, {Weight: 20}} },
		"no deadline":     func(s *Spec) { s.ProgressDeadline = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := specFor(Step{Weight: 50})
			spoil(&s)
			w := newWorld(s, 4)
			for _, phase := range []Phase{Progressing, Paused, Completing} {
				out := Decide(s, w.o, Memory{Phase: phase, StartedAt: began}, began)
				if out.Reason.Code != ReasonSpecInvalid || len(out.Actions) > 0 {
					t.Errorf("%s: %+v", phase, out)
				}
			}
		})
	}
}

// TestClockSetBack: a wait is made once more at the most, however far the clock was set back; set forward, the wait is
// over.
func TestClockSetBack(t *testing.T) {
	w := newWorld(specFor(Step{Weight: 50, Pause: Pause{Kind: PauseTimed, Duration: 10 * time.Minute}}), 4)
	runUntil(t, w, ReasonPausedForTime)
	w.now = w.now.Add(-time.Hour)
	out := w.tick()
	if want := w.now.Add(10 * time.Minute); !out.Reason.Until.Equal(want) {
		t.Errorf("until %s, want %s", out.Reason.Until, want)
	}
	w.now = w.now.Add(10 * time.Minute)
	if out := w.tick(); out.Memory.Phase != Completing {
		t.Errorf("phase %s: %s", out.Memory.Phase, out.Reason.Message)
	}
}

// TestWake: the release asks to be woken when time alone ends its wait.
func TestWake(t *testing.T) {
	w := newWorld(specFor(Step{Weight: 50, Pause: Pause{Kind: PauseTimed, Duration: 7 * time.Minute}}), 4)
	if out := w.tick(); !out.Wake.Equal(w.now.Add(time.Minute)) {
		t.Errorf("progress deadline: wake %s", out.Wake)
	}
	runUntil(t, w, ReasonPausedForTime)
	if out := w.tick(); !out.Wake.Equal(w.memory.StepReachedAt.Add(7 * time.Minute)) {
		t.Errorf("pause: wake %s", out.Wake)
	}
	w.now = w.now.Add(7 * time.Minute)
	runUntil(t, w, ReasonDraining)
	if out := w.tick(); !out.Wake.Equal(w.memory.DrainFrom.Add(5 * time.Second)) {
		t.Errorf("drain: wake %s", out.Wake)
	}
}

// TestMemoryWrites bounds what a release costs in writes of its memory: for each step one when it begins and one when
// it is reached, of which two fall into one where no pause lies between; and three to complete and end.
func TestMemoryWrites(t *testing.T) {
	timed := func(w int) Step {
		return Step{Weight: w, Pause: Pause{Kind: PauseTimed, Duration: 10 * time.Second}}
	}
	for name, tt := range map[string]struct {
		steps []Step
		most  int
	}{
		"four weights, no pause": {[]Step{{Weight: 20}, {Weight: 40}, {Weight: 60}, {Weight: 80}}, 1 + 4 + 3},
		"four weights, pauses":   {[]Step{timed(20), timed(40), timed(60), timed(80)}, 1 + 8 + 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(specFor(tt.steps...), 10)
			writes, before := 0, w.memory
			for range 300 {
				w.tick()
				if !w.memory.Equal(before) {
					writes++
				}
				before = w.memory
			}
			if w.memory.Phase != Succeeded || writes > tt.most {
				t.Errorf("%s after %d writes of memory, want at most %d", w.memory.Phase, writes, tt.most)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	timed := Step{Weight: 50, Pause: Pause{Kind: PauseTimed, Duration: time.Hour}}
	w := newWorld(specFor(Step{Weight: 20}, timed, Step{Weight: 70}), 10)
	for w.memory.Phase != Paused {
		w.tick()
	}
	b.Run("paused", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Decide(w.spec, w.o, w.memory, w.now)
		}
	})
	b.Run("release", func(b *testing.B) {
		b.ReportAllocs()
		decisions := 0
		for b.Loop() {
			w := newWorld(specFor(Step{Weight: 20}, Step{Weight: 50}, Step{Weight: 70}), 10)
			for !w.memory.Phase.Terminal() {
				w.tick()
				decisions++
			}
		}
		b.ReportMetric(float64(decisions)/b.Elapsed().Seconds(), "decisions/s")
	})
}
