package release

import "time"

// RestOutcome is what Rest returns.
type RestOutcome struct {
	// Actions in their order. The first that fails ends the look. Each is safe to repeat.
	Actions []RestAction
	// Answers to people's decisions. They are to be written after the actions.
	Answers []Answer
	// Again: what comes next depends on what the actions have done, so the world is to be looked at again at once.
	Again bool
	// Phase of the Rollout, and why. An empty phase says nothing new: the status stays as it is.
	Phase  RestPhase
	Reason Reason
	// Stable is the revision to record as stable, unless it is zero. RejectedKnown: Rejected is known, so that nil
	// says that no revision is rejected; otherwise the status keeps what it says of that.
	Stable        Revision
	RejectedKnown bool
	Rejected      *Rejected
	// Events are what people should be warned of.
	Events []Event
	// Memory is for the next look.
	Memory RestMemory
	// Wake is the next moment at which time alone changes the decision, or at which it is looked at again because
	// nothing may tell of a change; zero if there is none.
	Wake time.Time
}

// RestPhase is where a Rollout stands.
type RestPhase string

// The phases that Rest tells of.
const (
	// RestPending: something has to pass before a release can begin, or before the workload is taken over.
	RestPending RestPhase = "Pending"
	// RestHealthy: the stable revision is what the pod template says, and enough of its pods serve.
	RestHealthy RestPhase = "Healthy"
	// RestDegraded: the stable revision is what the pod template says, but too few of its pods serve.
	RestDegraded RestPhase = "Degraded"
	// RestProgressing: a release begins.
	RestProgressing RestPhase = "Progressing"
	// RestRejected: the pod template names a revision that was taken back; the stable one runs.
	RestRejected RestPhase = "Rejected"
	// RestStalled: a person has to mend something.
	RestStalled RestPhase = "Stalled"
)

// atRest says whether the stable revision was what the pod template said.
func (p RestPhase) atRest() bool { return p == RestHealthy || p == RestDegraded }

// RestMemory is what one look keeps for the next. It is not stored: after a restart a wait is made once more.
type RestMemory struct {
	// Follows is the fingerprint of what a release would follow, ChangedAt when a change of it was seen first, and
	// QuietAt when it will have stood unchanged for long enough.
	Follows            string
	ChangedAt, QuietAt time.Time
	// Unserved is the code of what is the matter with the stable pods, UnservedSince since when.
	Unserved      string
	UnservedSince time.Time
}

// sane brings times to come back to what they can be at most, as after the clock was set back.
func (m RestMemory) sane(now time.Time) RestMemory {
	for _, at := range []*time.Time{&m.ChangedAt, &m.UnservedSince} {
		if at.After(now) {
			*at = now
		}
	}
	if latest := now.Add(quiet); m.QuietAt.After(latest) {
		m.QuietAt = latest
	}
	return m
}
