package release

import (
	"fmt"
	"time"
)

// pauses are the gates out of a step that has been reached, in order.
var pauses = []gate{
	(*pass).handPause, (*pass).stepPause, (*pass).analysed, (*pass).approved, (*pass).heldAt, (*pass).window,
}

// handPause waits while somebody, or a failure, has paused the release.
func (p *pass) handPause() Reason {
	switch p.m.PausedBy {
	case "":
		return Reason{}
	case pausedByFailure:
		return p.untilDeadline(p.failureCode(), p.m.EndMessage+p.wayOn(), byResumer, p.m.PausedAt)
	}
	who := byResumer
	if p.m.StepReachedAt.IsZero() && p.m.Phase != Completing {
		who = byResumerAlone
	}
	message := fmt.Sprintf("paused by %s at %s", p.m.PausedBy, p.placeLabel())
	return p.untilDeadline(ReasonPausedByHand, message, who, p.m.PausedAt)
}

// stepPause waits for the step's own pause, unless somebody ended it.
func (p *pass) stepPause() Reason {
	pause := p.current().Pause
	if p.m.Promoted || p.m.Step+1 < p.m.PromotedTo {
		return Reason{}
	}
	switch pause.Kind {
	case PauseNone:
		return Reason{}
	case PauseManual:
		return p.untilDeadline(ReasonPausedForPerson, p.stepLabel()+" waits to be promoted", byPromoter, p.m.StepReachedAt)
	case PauseTimed:
	}
	end := p.m.StepReachedAt.Add(pause.Duration - p.m.Stood)
	if !p.now.Before(end) {
		return Reason{}
	}
	message := fmt.Sprintf("%s pauses for %s", p.stepLabel(), pause.Duration)
	if p.m.Stood > 0 {
		message += fmt.Sprintf(", of which %s passed before it lost its new pods", p.m.Stood.Round(time.Second))
	}
	return p.until(ReasonPausedForTime, message, byTime, p.m.StepReachedAt, end)
}

// heldAt waits while the Rollout says that its releases stop at this step.
func (p *pass) heldAt() Reason {
	if p.o.HoldAt == "" || p.o.HoldAt != p.stepName() {
		return Reason{}
	}
	return p.untilDeadline(ReasonHeldAt, p.stopsHere(), byHolder, p.m.StepReachedAt)
}

func (p *pass) stopsHere() string {
	return fmt.Sprintf("spec.holdAt of the Rollout says that releases stop at step %q; name a later step there, or "+
		"remove it, to go on", p.o.HoldAt)
}

// stopAhead says that the release has not gone past the step at which the Rollout says that it stops.
func (p *pass) stopAhead() bool {
	at := p.stepNamed(p.o.HoldAt)
	return at >= p.m.Step && p.m.Phase != Completing
}

// stepNamed is the index of the step of that name, or -1.
func (p *pass) stepNamed(name string) int {
	for i := range p.s.Steps {
		if name != "" && nameOf(p.s.Steps, i) == name {
			return i
		}
	}
	return -1
}

// lossesBorne is how often a step may lose its last ready new pod, as when a node is drained, and have its timed pause
// go on where it was. With one loss more the pause begins anew: a version that keeps losing its pods has not held.
const lossesBorne = 2

// lose notes that the step is not in force any more, and what of its pause has passed.
func (p *pass) lose() {
	p.stand()
	p.m.Losses++
	if p.m.Losses > lossesBorne {
		p.m.Stood, p.m.Losses = 0, 0
	}
	p.m.StepReachedAt = time.Time{}
}

// stand notes how long the step has been in force, where it is not any more.
func (p *pass) stand() {
	if !p.m.StepReachedAt.IsZero() {
		p.m.Stood += p.now.Sub(p.m.StepReachedAt)
	}
}
