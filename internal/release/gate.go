package release

import "fmt"

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
	return t.until(ReasonPausedByHand, fmt.Sprintf("paused by %s at %s", t.m.PausedBy, t.placeLabel()),
		byResumer, t.m.PausedAt, t.releaseDeadline())
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
	end := t.m.StepReachedAt.Add(pause.Duration)
	if !t.now.Before(end) {
		return Reason{}
	}
	return t.until(ReasonPausedForTime, fmt.Sprintf("%s pauses for %s", t.stepLabel(), pause.Duration), byTime, t.m.StepReachedAt, end)
}
