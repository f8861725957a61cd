package release

import (
	"fmt"
	"time"
)

// pauses are the gates out of a step that has been reached, in order.
var pauses = []gate{(*turn).handPause, (*turn).stepPause, (*turn).analysed, (*turn).approved, (*turn).window}

// handPause waits while somebody, or a failure, has paused the release.
func (t *turn) handPause() Reason {
	switch t.m.PausedBy {
	case "":
		return Reason{}
	case pausedByFailure:
		return t.until(t.failureCode(),
			t.m.EndMessage+t.wayOn(), byResumer, t.m.PausedAt, t.releaseDeadline())
	}
	who := byResumer
	if t.m.StepReachedAt.IsZero() && t.m.Phase != Completing {
		who = byResumerAlone
	}
	return t.until(ReasonPausedByHand, fmt.Sprintf("paused by %s at %s", t.m.PausedBy, t.placeLabel()),
		who, t.m.PausedAt, t.releaseDeadline())
}

// stepPause waits for the step's own pause, unless somebody ended it.
func (t *turn) stepPause() Reason {
	pause := t.current().Pause
	if t.m.Promoted {
		return Reason{}
	}
	switch pause.Kind {
	case PauseNone:
		return Reason{}
	case PauseManual:
		return t.until(ReasonPausedForPerson, t.stepLabel()+" waits to be promoted", byPromoter, t.m.StepReachedAt, t.releaseDeadline())
	case PauseTimed:
	}
	end := t.m.StepReachedAt.Add(pause.Duration - t.m.Stood)
	if !t.now.Before(end) {
		return Reason{}
	}
	message := fmt.Sprintf("%s pauses for %s", t.stepLabel(), pause.Duration)
	if t.m.Stood > 0 {
		message += fmt.Sprintf(", of which %s passed before it lost its new pods", t.m.Stood.Round(time.Second))
	}
	return t.until(ReasonPausedForTime, message, byTime, t.m.StepReachedAt, end)
}

// lossesBorne is how often a step may lose its last ready new pod, as when a node is drained, and have its timed pause go
// on where it was. With one loss more the pause begins anew: a version that keeps losing its pods has not held.
const lossesBorne = 2

// lose notes that the step is not in force any more, and what of its pause has passed.
func (t *turn) lose() {
	t.stand()
	t.m.Losses++
	if t.m.Losses > lossesBorne {
		t.m.Stood, t.m.Losses = 0, 0
	}
	t.m.StepReachedAt = time.Time{}
}

// stand notes how long the step has been in force, where it is not any more.
func (t *turn) stand() {
	if !t.m.StepReachedAt.IsZero() {
		t.m.Stood += t.now.Sub(t.m.StepReachedAt)
	}
}
