package release

import (
	"strings"
	"testing"
	"time"
)

// TestFaultB6SecondPromotion: two promotions a second apart end one pause. The second comes when the next step is on
// its way, and is refused with what is the case.
func TestFaultB6SecondPromotion(t *testing.T) {
	pause := Pause{Kind: PauseManual}
	for _, tt := range []struct {
		name string
		word Decision
	}{
		{"naming the next step", Decision{Verb: Promote, Step: "step-2"}},
		{"naming no step", Decision{Verb: Promote}},
		{"of the second before", Decision{Verb: Promote, Step: "step-2", At: began}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(specFor(Step{Weight: 20, Pause: pause}, Step{Weight: 50, Pause: pause}), 4)
			runUntil(t, w, ReasonPausedForPerson)
			w.o.Decisions = []Decision{{ID: "first", Verb: Promote, User: "alice", Step: "step-1"}}
			w.tick()
			tt.word.ID, tt.word.User = "second", "alice"
			w.o.Decisions = []Decision{tt.word}
			out := w.tick()
			if a := out.Answers[0]; a.Applied || a.Code != RefusedStepNotInForce || !strings.Contains(a.Message, `step 2/2 "step-2" is not in force yet: 1 of 2 new pods are ready`) {
				t.Errorf("answer %+v", a)
			}
			if runUntil(t, w, ReasonPausedForPerson); w.memory.Step != 1 || w.memory.Promoted {
				t.Errorf("memory %+v", w.memory)
			}
		})
	}
}

// TestFaultB6LateLook: a word that was spoken before a pause began is looked at when the pause has begun, as by a
// controller that was down. It does not end that pause.
func TestFaultB6LateLook(t *testing.T) {
	w := newWorld(specFor(Step{Weight: 20, Pause: Pause{Kind: PauseManual}}), 4)
	runUntil(t, w, ReasonPausedForPerson)
	reached := w.memory.StepReachedAt
	reached = reached.Add(500 * time.Millisecond) // The API server keeps seconds, the release microseconds.
	w.memory.StepReachedAt = reached
	second := reached.Truncate(time.Second)
	for _, tt := range []struct {
		name string
		word Decision
		want string
	}{
		{"a second earlier, with the step", Decision{Step: "step-1", At: second.Add(-time.Second)}, RefusedStepNotInForce},
		{"a second earlier, without it", Decision{At: second.Add(-time.Second)}, RefusedStepNotInForce},
		{"in the same second", Decision{Step: "step-1", At: second}, RefusedStepNotInForce},
		{"in the same second, having seen it", Decision{Step: "step-1", At: second, Since: reached}, AnswerPromoted},
		{"having seen it in force before", Decision{Step: "step-1", At: second.Add(time.Second), Since: reached.Add(-time.Minute)}, RefusedStepNotInForce},
		{"less than a second later", Decision{Step: "step-1", At: second.Add(time.Second)}, RefusedStepNotInForce},
		{"later", Decision{At: second.Add(2 * time.Second)}, AnswerPromoted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := w.o
			tt.word.ID, tt.word.Verb, tt.word.User = "word", Promote, "alice"
			o.Decisions = []Decision{tt.word}
			out := Decide(w.spec, o, w.memory, w.now.Add(10*time.Second))
			if a := out.Answers[0]; a.Code != tt.want {
				t.Errorf("answer %+v, want %s", a, tt.want)
			}
		})
	}
}

// TestFaultB6OtherWords: an approval of a step that has lost its pods, a resume or a promote --full from before the
// release was paused, and an override while no window is shut speak of what nobody was shown.
func TestFaultB6OtherWords(t *testing.T) {
	approval := &Approval{Required: 1, Users: []string{"carol"}, ExpiresAfter: time.Hour}
	w := newWorld(specFor(Step{Weight: 20, Approval: approval}), 4)
	runUntil(t, w, ReasonAwaitingApproval)
	paused := w.memory
	paused.Phase, paused.PausedBy, paused.PausedAt = Paused, "bob", w.now.Add(5*time.Second)
	lost := w.memory
	lost.StepReachedAt = time.Time{}
	again := w.memory
	again.StepReachedAt = w.now.Add(5 * time.Second)
	before := w.now.Add(2 * time.Second)
	approve := Decision{Verb: Approve, Step: "step-1", PlanNamed: true, User: "carol", At: before, Since: w.memory.AskedAt}
	seen := approve
	seen.Since = again.StepReachedAt
	for _, tt := range []struct {
		name   string
		memory Memory
		word   Decision
		want   string
	}{
		{"approval", w.memory, Decision{Verb: Approve, Step: "step-1", PlanNamed: true, User: "carol"}, AnswerApproved},
		{"approval of what is not in force", lost, Decision{Verb: Approve, Step: "step-1", PlanNamed: true, User: "carol"}, RefusedStepNotInForce},
		{"approval of what was not in force then", again, approve, RefusedStepNotInForce},
		{"approval of what is in force again", again, seen, AnswerApproved},
		{"rejection of what is not in force", lost, Decision{Verb: Reject, Step: "step-1", PlanNamed: true, User: "carol"}, AnswerRejected},
		{"resume from before the pause", paused, Decision{Verb: Resume, At: before}, RefusedNotPaused},
		{"resume from after it", paused, Decision{Verb: Resume, At: w.now.Add(6 * time.Second)}, AnswerResumed},
		{"override of nothing", w.memory, Decision{Verb: Override, Comment: "in advance"}, RefusedNothingShut},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := w.o
			tt.word.ID = "word"
			if tt.word.User == "" {
				tt.word.User = "alice"
			}
			o.Decisions = []Decision{tt.word}
			if a := Decide(w.spec, o, tt.memory, w.now.Add(10*time.Second)).Answers[0]; a.Code != tt.want {
				t.Errorf("answer %+v, want %s", a, tt.want)
			}
		})
	}
}

// TestFaultB9PauseGoesOn: an eviction of the last new pod in a timed pause does not begin it anew, and what is told of the
// wait ends in time to come. What keeps losing its pods begins anew.
func TestFaultB9PauseGoesOn(t *testing.T) {
	const pause = 60 * time.Second
	w := newWorld(specFor(Step{Weight: 50, Pause: Pause{Kind: PauseTimed, Duration: pause}}), 4)
	for loss, want := range []time.Duration{pause, pause - 10*time.Second, pause - 20*time.Second, pause} {
		out := runUntil(t, w, ReasonPausedForTime)
		if left := out.Reason.Until.Sub(w.now); left != want || !out.Reason.Since.Equal(w.now) {
			t.Fatalf("after %d losses, %s are left, want %s: %+v", loss, left, want, out.Reason)
		}
		for range 9 {
			w.tick()
		}
		w.broken["green"] = true
		if out := w.tick(); out.Reason.Code != ReasonCanaryNotReady || !out.Reason.Until.After(w.now) {
			t.Fatalf("reason %+v", out.Reason)
		}
		w.tick()
		w.broken["green"] = false
	}
}
