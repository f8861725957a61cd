package release

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Phase is where a release stands.
type Phase string

// The phases.
const (
	Progressing Phase = "Progressing"
	Paused      Phase = "Paused"
	Completing  Phase = "Completing"
	Succeeded   Phase = "Succeeded"
	Aborting    Phase = "Aborting"
	Aborted     Phase = "Aborted"
	Superseded  Phase = "Superseded"
)

// Terminal says whether the release has ended.
func (p Phase) Terminal() bool { return p == Succeeded || p == Aborted || p == Superseded }

// Memory is what the world cannot show again. It is small, stored in the release's status, and checked when
// it is read back.
type Memory struct {
	Phase Phase
	// Step is the index of the current step.
	Step int
	// Reached is how many of the steps, from the first, have been in force.
	Reached int
	// StartedAt is when the release began, StepStartedAt when the step did, StepReachedAt when its pods were
	// ready and its routes in force (zero before).
	StartedAt, StepStartedAt, StepReachedAt time.Time
	// Stood is how long the current step was in force before it lost its last ready new pod, as often as Losses: a
	// timed pause goes on from there.
	Stood  time.Duration
	Losses int
	// Promoted: the current step's pause was ended by a person. Full: all steps were.
	Promoted, Full bool
	// PromotedTo is the step, counted from 1, before which no pause is kept, since a person has said so; 0 for none.
	PromotedTo int
	// PausedBy is who stopped the advance ("sluice" after a failure), PausedAt when.
	PausedBy string
	PausedAt time.Time
	// Measured and MeasuredBackground count how often the step's and the background's analysis were begun anew, since
	// they had come to no good verdict and a person resumed. Waived and WaivedBackground: a person went on without one.
	Measured, MeasuredBackground int
	Waived, WaivedBackground     bool
	// Told and ToldBackground are the verdicts that a release paused by a failure has told people of: theirs is the answer
	// to these, and to no other.
	Told, ToldBackground Verdict
	// AskedAt is when the current step's approval was asked for, Reminded that people have been reminded of it, and
	// Approvals are those that count.
	AskedAt   time.Time
	Reminded  bool
	Approvals []Approved
	// OverriddenBy is who lets the release go on although a window is shut.
	OverriddenBy string
	// Layers is what the layers had when the release looked last; only of those that it has changed.
	Layers []LayerSeen
	// DrainFrom is when the version that goes was first seen to get no more requests.
	DrainFrom time.Time
	// KeptFrom is since when the old pods have been kept after the hand-over.
	KeptFrom time.Time
	// DownSince is since when the stable revision has been without a ready pod, where that counts.
	DownSince time.Time
	// StoodIn: a Service was pointed at the new pods in a step, since no stable one was ready or since the Services change
	// over themselves. So they have had requests.
	StoodIn bool
	// HandedOver: the canary's ReplicaSet was given to the workload; in an abort, and was not seen to be taken back.
	HandedOver bool
	// Overdue: the abort's own deadline has passed, so that stable takes the requests with what it has.
	Overdue bool
	// End says why the release is taken back, EndMessage is the sentence to it. While the release is paused
	// after a failure, EndMessage is the sentence to that.
	End        EndReason
	EndMessage string
}

// Approved is one approval that counts.
type Approved struct {
	User, Comment string
	At            time.Time
}

// EndReason says why a release is taken back.
type EndReason string

// The end reasons.
const (
	NotEnding       EndReason = ""
	AbortedByUser   EndReason = "AbortedByUser"
	StepFailed      EndReason = "StepFailed"
	DeadlinePassed  EndReason = "DeadlinePassed"
	AnalysisFailed  EndReason = "AnalysisFailed"
	RejectedByUser  EndReason = "RejectedByUser"
	ApprovalExpired EndReason = "ApprovalExpired"
	NewerRevision   EndReason = "NewerRevision"
	PlanChanged     EndReason = "PlanChanged"
	BackToStable    EndReason = "BackToStable"
	RolloutRemoved  EndReason = "RolloutRemoved"
	WorkloadRemoved EndReason = "WorkloadRemoved"
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
		return fmt.Sprintf("status.memory.step is %d, but the release has %s; abort the release", m.Step,
			plural(len(s.Steps), "step"))
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
	m.PromotedTo = min(max(m.PromotedTo, 0), len(s.Steps))
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
	for _, at := range []*time.Time{
		&m.StartedAt, &m.StepStartedAt, &m.StepReachedAt, &m.PausedAt, &m.AskedAt,
		&m.DrainFrom, &m.KeptFrom, &m.DownSince,
	} {
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
// layer has what it has is no reason: whoever decides keeps it, and stores it with what comes next. Who begins anew
// sees the layer later, and waits longer. But that a layer is about to be changed at all is stored first.
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
