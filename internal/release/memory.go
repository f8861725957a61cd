package release

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Begin is the memory of a release that starts now. The first step's clock starts with the first decision.
func Begin(now time.Time) Memory {
	return Memory{Phase: Progressing, StartedAt: now.UTC().Truncate(time.Microsecond)}
}

// problem says what is wrong with a memory that was read back, with the remedy; empty if nothing.
func (m Memory) problem(s Spec) string {
	switch {
	case !m.Phase.known():
		return fmt.Sprintf("status.phase is %q, which is no phase of a release; abort the release", m.Phase)
	case m.StartedAt.IsZero():
		return "status.startedAt is missing, so that no deadline can be kept; abort the release"
	case m.Step < 0 || m.Step >= max(len(s.Steps), 1):
		return fmt.Sprintf("status.memory.step is %d, but the release has %s; abort the release", m.Step, plural(len(s.Steps), "step"))
	case m.Phase == Aborting && m.End == NotEnding:
		return "status.memory.end is missing in a release that is being taken back"
	}
	return ""
}

// sane brings a memory into bounds that code may rely on. A time to come means that the clock was set back:
// it becomes now, so that a wait is made once more at the most.
func (m Memory) sane(s Spec, now time.Time) Memory {
	m.Step = min(max(m.Step, 0), max(len(s.Steps)-1, 0))
	if !m.Phase.known() {
		m.Phase = Progressing
	}
	m.HandedOver = m.HandedOver && (m.Phase == Completing || m.Phase == Aborting || m.Phase.Terminal())
	if m.PausedBy != "" && m.Phase == Progressing {
		m.Phase = Paused
	}
	if m.StartedAt.IsZero() {
		m.StartedAt = now
	}
	m.Reached = min(max(m.Reached, 0), len(s.Steps))
	m.Measured, m.MeasuredBackground = max(m.Measured, 0), max(m.MeasuredBackground, 0)
	m.Stood, m.Losses = max(m.Stood, 0), max(m.Losses, 0)
	if m.Phase == Aborting && m.End == NotEnding {
		m.End = AbortedByUser
	}
	if m.Phase == Aborting && m.EndMessage == "" {
		m.EndMessage = string(m.End)
	}
	if m.StepStartedAt.IsZero() && (m.Phase == Aborting || m.Phase == Completing) {
		m.StepStartedAt = now
	}
	return m.notAhead(now)
}

// notAhead brings times to come back to now.
func (m Memory) notAhead(now time.Time) Memory {
	for _, at := range []*time.Time{&m.StartedAt, &m.StepStartedAt, &m.StepReachedAt, &m.PausedAt, &m.AskedAt, &m.DrainFrom, &m.DownSince} {
		if at.After(now) {
			*at = now
		}
	}
	m.Layers = slices.Clone(m.Layers)
	for i := range m.Layers {
		if m.Layers[i].Since.After(now) {
			m.Layers[i].Since = now
		}
	}
	return m
}

// Equal says whether two memories are the same.
func (m Memory) Equal(o Memory) bool { return reflect.DeepEqual(m, o) }

// MustStore says whether the memory has to be stored before it is relied upon, where before was the last. Since when a
// layer has what it has is no reason: whoever decides keeps it, and stores it with what comes next. Who begins anew sees
// the layer later, and waits longer. But that a layer is about to be changed at all is stored first.
func (m Memory) MustStore(before Memory) bool {
	if len(m.Layers) != len(before.Layers) {
		return true
	}
	m.Layers = before.Layers
	return !m.Equal(before)
}

// leaveStep forgets what was only of the current step.
func (m *Memory) leaveStep() {
	m.StepStartedAt, m.StepReachedAt, m.Promoted = time.Time{}, time.Time{}, false
	m.Stood, m.Losses = 0, 0
	m.Measured, m.Waived, m.Told = 0, false, Measuring
	m.AskedAt, m.Reminded, m.Approvals = time.Time{}, false, nil
}

func (p Phase) known() bool {
	switch p {
	case Progressing, Paused, Completing, Succeeded, Aborting, Aborted, Superseded:
		return true
	}
	return false
}
