package release

import (
	"fmt"
	"time"
)

// Decide says what one release has to do next. It is a pure function: the same spec, world, memory and time
// give the same outcome, and a world that is as it should be gives no actions.
//
// The order is always the same: look at the memory, answer people, see whether the release has to end, then
// take the phase's gates one by one until one of them has to wait.
func Decide(s Spec, o Observed, m Memory, now time.Time) Outcome {
	t := newTurn(s, o, m, now)
	t.answer()
	t.endIfDue()
	t.run()
	t.watchStable() // The phase may be another one by now.
	t.tellDown()
	return t.outcome(m)
}

// turn is one call of Decide: the input, the memory as it changes, and the outcome as it grows.
type turn struct {
	s   Spec
	o   Observed
	m   Memory
	now time.Time
	// broken says what is wrong with the memory, if anything.
	broken string
	out    Outcome
}

// gate is one condition on the way. It returns the zero Reason when it is met; otherwise it adds the actions
// that lead there, if any, and says what is waited for.
type gate func(*turn) Reason

func newTurn(s Spec, o Observed, m Memory, now time.Time) *turn {
	// The API server keeps microseconds: a time must be the same before and after it was stored.
	t := &turn{s: s, o: o.lasting(), m: m, now: now.UTC().Truncate(time.Microsecond)}
	t.broken = m.problem(s)
	t.m = m.sane(s, t.now)
	t.lookAtLayers()
	t.watchStable()
	return t
}

// run takes the phases until nothing more can be decided without seeing the world again. A phase that leads
// to the next says so; there are no more of them than steps and ends.
func (t *turn) run() {
	for range len(t.s.Steps) + 4 {
		if !t.phase() {
			return
		}
	}
}

func (t *turn) phase() (again bool) {
	switch t.m.Phase {
	case Progressing, Paused, Completing:
		return t.forward()
	case Aborting:
		return t.abort()
	case Succeeded, Aborted, Superseded:
		t.out.Reason, t.out.Wake = Reason{Code: string(t.m.Phase), Message: t.result()}, time.Time{}
	}
	return false
}

// forward is the way on. A spec or a memory that makes no sense moves nothing, but can be aborted.
func (t *turn) forward() (again bool) {
	if t.broken != "" {
		// Nothing is remembered, so a layer would settle for ever: only a person or the deadline ends this.
		t.out.Wake = time.Time{}
		t.out.Reason = t.until(ReasonMemoryInvalid, t.broken, "anyone who may abort", t.m.StartedAt, t.releaseDeadline())
		return false
	}
	if problems := Validate(t.s); len(problems) > 0 {
		t.out.Reason = t.until(ReasonSpecInvalid, problems[0].String(), "anyone who may abort", t.m.StartedAt, t.releaseDeadline())
		return false
	}
	if t.m.Phase == Completing {
		return t.complete()
	}
	return t.step()
}

// outcome closes the turn: the guard has the last word.
func (t *turn) outcome(before Memory) Outcome {
	over := before.Phase.Terminal() // What becomes of the world afterwards is not this release's.
	if violations := Check(t.s, t.o, t.m, t.out.Actions); len(violations) > 0 && !over {
		return t.refused(before, violations)
	}
	t.out.Memory = t.m
	if t.broken != "" && t.m.Phase != Aborting && !t.m.Phase.Terminal() {
		t.out.Memory = before // Left as it is for a person to see, until the release is aborted.
	}
	return t.out
}

// refused is the outcome of a decision that the guard does not let pass: nothing moves, and nothing is
// remembered that would rely on a move.
func (t *turn) refused(before Memory, violations []Violation) Outcome {
	return Outcome{
		Memory: before,
		Reason: Reason{
			Code:    ReasonGuardRefused,
			Message: fmt.Sprintf("Sluice stopped itself before a write that would break %s; nothing was changed; please report this", violations[0]),
			Since:   t.now,
			Until:   t.releaseDeadline(),
			Who:     "the maintainers of Sluice",
		},
		Wake: t.now.Add(guardRetry),
	}
}

// guardRetry is how long the release stands still after the guard refused.
const guardRetry = 30 * time.Second

// first returns the Reason of the first gate that is not met.
func (t *turn) first(gates []gate) Reason {
	for _, g := range gates {
		if r := g(t); r.Code != "" {
			return r
		}
	}
	return Reason{}
}

// together is two gates in one barrier: the actions of both, and what the second waits for before the first.
func together(a, b gate) gate {
	return func(t *turn) Reason {
		first := a(t)
		if second := b(t); second.Code != "" {
			return second
		}
		return first
	}
}

func (t *turn) do(a ...Action) { t.out.Actions = append(t.out.Actions, a...) }

// happened records an event.
func (t *turn) happened(code, user, format string, args ...any) {
	t.out.Events = append(t.out.Events, Event{Code: code, User: user, Message: fmt.Sprintf(format, args...)})
}

// wake asks for another look at a time to come.
func (t *turn) wake(at time.Time) {
	if at.After(t.now) && (t.out.Wake.IsZero() || at.Before(t.out.Wake)) {
		t.out.Wake = at
	}
}

// split says that requests are divided by the number of pods alone.
func (t *turn) split() bool { return len(t.s.Layers) == 0 }

// current is the step that the release is in.
func (t *turn) current() Step { return t.s.Steps[t.m.Step] }

// stepLabel names the current step for people, as `step 2/3 "half"`.
func (t *turn) stepLabel() string {
	if len(t.s.Steps) == 0 {
		return "the release"
	}
	return fmt.Sprintf("step %d/%d %q", t.m.Step+1, len(t.s.Steps), t.stepName())
}

// stepName is the name by which people speak of the current step.
func (t *turn) stepName() string { return nameOf(t.s.Steps, t.m.Step) }

func nameOf(steps []Step, i int) string {
	if i < len(steps) && steps[i].Name != "" {
		return steps[i].Name
	}
	return fmt.Sprintf("step-%d", i+1)
}
