package release

import "time"

// Outcome is what Decide returns: one barrier of actions, what to remember, why, and when to look again.
type Outcome struct {
	// Actions may be carried out in any order and repeated; only when all of them are seen to be done is the
	// next barrier decided. Memory must be stored before the actions when it differs from the one given.
	Actions []Action
	Memory  Memory
	// Reason says what the release waits for or has come to.
	Reason Reason
	// Events are what happened in this decision, for the record, in order.
	Events []Event
	// Answers to decisions, one for each that was looked at. They must be stored in one write with the
	// memory, and a decision that was answered there must not be shown again: so each is applied exactly once.
	Answers []Answer
	// Ask is what the gateway's metrics are to be asked; nil for nothing. It is asked until it is nil, or another.
	Ask *ShareQuestion
	// Wake is the next moment at which time alone changes the decision; zero if none does.
	Wake time.Time
}

// Action is one thing to do to the world. Each is safe to repeat.
//
//sumtype:decl
type Action interface{ action() }

// SelectService points the team's Service at one version, or, with SelectsAll, gives it back as it was. A Hold
// with its original is written first, and removed last.
type SelectService struct {
	Service string
	To      Selection
}

// ScaleCanary makes the canary's ReplicaSet have so many pods, and creates it if need be.
type ScaleCanary struct{ Replicas int }

// EnsureCanaryService makes the canary twin of a Service.
type EnsureCanaryService struct{ Service string }

// RemoveCanaryService removes it.
type RemoveCanaryService struct{ Service string }

// Route sets one layer's weight and matches.
type Route struct {
	Layer   string
	Weight  int
	Matches []Match
}

// Unroute gives one layer back as it was.
type Unroute struct{ Layer string }

// HandOver gives the canary's ReplicaSet to the workload, which then removes its old one. It may be cut short and
// repeated.
type HandOver struct{}

// PauseWorkload pauses the workload: somebody has resumed it although its new revision is being released.
type PauseWorkload struct{}

// TakeBack takes from the workload what it must not have: the canary's ReplicaSet (an edit or a change of scale crossed
// the hand-over), and those that it has made while it was resumed.
type TakeBack struct{}

// RemoveLoose removes the ReplicaSets that were taken from the workload beside the canary's.
type RemoveLoose struct{}

// ResumeWorkload ends the pause of the workload, so that it is what its template says.
type ResumeWorkload struct{}

// RevertTemplate writes the stable template back to the workload, and resumes it in the same write.
type RevertTemplate struct{}

// RemoveCanary removes the canary's ReplicaSet, which has no pods, also one in the workload's history.
type RemoveCanary struct{}

// Analyse begins an analysis. Once begun it is not begun again.
type Analyse struct{ ID AnalysisID }

// ConcludeAnalysis has an analysis come to an end: metrics without a count stop being measured.
type ConcludeAnalysis struct{ ID AnalysisID }

func (SelectService) action()       {}
func (ScaleCanary) action()         {}
func (EnsureCanaryService) action() {}
func (RemoveCanaryService) action() {}
func (Route) action()               {}
func (Unroute) action()             {}
func (HandOver) action()            {}
func (PauseWorkload) action()       {}
func (RemoveLoose) action()         {}
func (TakeBack) action()            {}
func (ResumeWorkload) action()      {}
func (RevertTemplate) action()      {}
func (RemoveCanary) action()        {}
func (Analyse) action()             {}
func (ConcludeAnalysis) action()    {}

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
	// DownSince is since when the stable revision has been without a ready pod, where that counts.
	DownSince time.Time
	// StoodIn: a Service was pointed at the new pods while no stable one was ready, so they have had requests.
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

// Reason says why a release is where it is: the same words go to status, event, log and command line.
type Reason struct {
	// Code is a stable word for programs.
	Code string
	// Message is a sentence for people, with the numbers that were compared.
	Message string
	// Since and Until bound the wait; zero where nothing is waited for.
	Since, Until time.Time
	// Who can end the wait.
	Who string
}

// Event is one thing that happened.
type Event struct {
	Code, Message, User string
}

// Answer says what became of a decision.
type Answer struct {
	ID      string
	Applied bool
	Code    string
	Message string
}
