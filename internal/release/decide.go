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
	p := newPass(s, o, m, now)
	p.answer()
	p.endIfDue()
	p.run()
	p.watchStable() // The phase may be another one by now.
	p.tellDown()
	return p.outcome(m)
}

// pass is one call of Decide: the input, the memory as it changes, and the outcome as it grows.
type pass struct {
	s   Spec
	o   Observed
	m   Memory
	now time.Time
	way *Way
	// broken says what is wrong with the memory, if anything.
	broken string
	out    Outcome
}

// gate is one condition on the way. It returns the zero Reason when it is met; otherwise it adds the actions
// that lead there, if any, and says what is waited for.
type gate func(*pass) Reason

func newPass(s Spec, o Observed, m Memory, now time.Time) *pass {
	// The API server keeps microseconds: a time must be the same before and after it was stored.
	p := &pass{s: s, way: s.way(), o: o.lasting(), m: m, now: now.UTC().Truncate(time.Microsecond)}
	p.broken = m.problem(s)
	p.m = m.sane(s, p.now)
	p.lookAtLayers()
	p.watchStable()
	return p
}

// run takes the phases until nothing more can be decided without seeing the world again. A phase that leads
// to the next says so; there are no more of them than steps and ends.
func (p *pass) run() {
	for range len(p.s.Steps) + 4 {
		if !p.phase() {
			return
		}
	}
}

func (p *pass) phase() (again bool) {
	switch p.m.Phase {
	case Progressing, Paused, Completing:
		return p.forward()
	case Aborting:
		return p.abort()
	case Succeeded, Aborted, Superseded:
		p.out.Reason, p.out.Wake = Reason{Code: string(p.m.Phase), Message: p.result()}, time.Time{}
	}
	return false
}

// forward is the way on. A spec or a memory that makes no sense moves nothing, but can be aborted.
func (p *pass) forward() (again bool) {
	if p.broken != "" {
		// Nothing is remembered, so a layer would settle for ever: only a person or the deadline ends this.
		p.out.Wake = time.Time{}
		p.out.Reason = p.untilDeadline(ReasonMemoryInvalid, p.broken, byAborter, p.m.StartedAt)
		return false
	}
	if problems := Validate(p.s); len(problems) > 0 {
		p.out.Reason = p.untilDeadline(ReasonSpecInvalid, problems[0].String(), byAborter, p.m.StartedAt)
		return false
	}
	if p.m.Phase == Completing {
		return p.complete()
	}
	return p.step()
}

// outcome closes the pass: the guard has the last word.
func (p *pass) outcome(before Memory) Outcome {
	over := before.Phase.Terminal() // What becomes of the world afterwards is not this release's.
	if violations := Check(p.s, p.o, p.m, p.out.Actions); len(violations) > 0 && !over {
		return p.refused(before, violations)
	}
	p.out.Memory = p.m
	if p.broken != "" && p.m.Phase != Aborting && !p.m.Phase.Terminal() {
		p.out.Memory = before // Left as it is for a person to see, until the release is aborted.
	}
	return p.out
}

// refused is the outcome of a decision that the guard does not let pass: nothing moves, and nothing is
// remembered that would rely on a move.
func (p *pass) refused(before Memory, violations []Violation) Outcome {
	return Outcome{
		Memory: before,
		Reason: Reason{
			Code:    ReasonGuardRefused,
			Message: GuardMessage(violations[0]),
			Since:   p.now,
			Until:   p.releaseDeadline(),
			Who:     byMaintainers,
		},
		Wake: p.now.Add(guardRetry),
	}
}

// guardRetry is how long the release stands still after the guard refused.
const guardRetry = 30 * time.Second

// first returns the Reason of the first gate that is not met.
func (p *pass) first(gates []gate) Reason {
	for _, g := range gates {
		if r := g(p); r.Code != "" {
			return r
		}
	}
	return Reason{}
}

// together is two gates in one barrier: the actions of both, and what the second waits for before the first.
func together(a, b gate) gate {
	return func(p *pass) Reason {
		first := a(p)
		if second := b(p); second.Code != "" {
			return second
		}
		return first
	}
}

func (p *pass) do(a ...Action) { p.out.Actions = append(p.out.Actions, a...) }

// happened records an event.
func (p *pass) happened(code, user, format string, args ...any) {
	p.out.Events = append(p.out.Events, Event{Code: code, User: user, Message: fmt.Sprintf(format, args...)})
}

// wake asks for another look at a time to come.
func (p *pass) wake(at time.Time) {
	if at.After(p.now) && (p.out.Wake.IsZero() || at.Before(p.out.Wake)) {
		p.out.Wake = at
	}
}

// current is the step that the release is in.
func (p *pass) current() Step { return p.s.Steps[p.m.Step] }

// stepLabel names the current step for people, as `step 2/3 "half"`.
func (p *pass) stepLabel() string {
	if len(p.s.Steps) == 0 {
		return "the release"
	}
	return fmt.Sprintf("step %d/%d %q", p.m.Step+1, len(p.s.Steps), p.stepName())
}

// stepName is the name by which people speak of the current step.
func (p *pass) stepName() string { return nameOf(p.s.Steps, p.m.Step) }

func nameOf(steps []Step, i int) string {
	if i < len(steps) && steps[i].Name != "" {
		return steps[i].Name
	}
	return fmt.Sprintf("step-%d", i+1)
}
