package release

import "time"

// RestSpec is what a Rollout asks for, as far as it counts while no release is under way.
type RestSpec struct {
	// Rollout and Namespace are its name and where it is.
	Rollout, Namespace string
	// Workload is the name of the team's object and Kind its kind. Part is the kind of what runs one revision's pods.
	Workload, Kind, Part string
	// Label is the one by which Sluice marks what is the Rollout's.
	Label string
	// KeepPaused: no admission policy holds new revisions, so the workload is kept paused all the time.
	KeepPaused bool
	// History is how many records of releases are kept.
	History int
	// Plan is what the next release would follow. It names no revisions.
	Plan Spec
}

// RestSeen is what the world shows while no release is under way, as one consistent picture.
type RestSeen struct {
	// Removing: the Rollout is being removed. Finalizer: the API server keeps it until Sluice takes its finalizer off.
	Removing, Finalizer bool
	// Told is what the status of the Rollout says, Memory what the look before has kept.
	Told   RestTold
	Memory RestMemory

	Workload RestWorkload
	// Remains are what a workload that is gone has left behind; the released one comes first.
	Remains []Remains
	// Stable is the revision that was released last; zero while none is recorded. Running is the one that a workload
	// runs which is taken over; zero while that is not known.
	Stable, Running Revision
	// StablePods are the pods of the stable revision, or of Running where none is recorded; StableLabels is what they
	// bear, for people.
	StablePods   Track
	StableLabels string
	// Unkept: the stable pods would end together with the workload, or those of another revision would not.
	Unkept bool

	// Services in front of the workload, or that were and are held. Those of a workload that is gone miss none of its
	// pods once these have gone too.
	Services []RestService
	// Leaving are Services that select the stable pods and none of the workload's pod template. Lost are those that
	// were in front of the workload and select no pod any more.
	Leaving, Lost []Misfit
	// Layers that a release has left changed, whose record somebody has removed.
	Layers []string
	// Orphans: there are canary Services or Holds of Services that are gone.
	Orphans bool

	// Latest is the record of the newest release, or nil. LastNumber is the newest number that the status knows of.
	Latest     *Record
	LastNumber int64
	// Records are all that are kept, the newest first. Bound: some would go together with the Rollout.
	Records []RecordName
	Bound   bool
	// Rollback is what somebody has decided to go back to; zero if nothing.
	Rollback Rollback
	// Decisions are people's decisions on releases that are not under way, the oldest first.
	Decisions []RestDecision

	// Unproven are objects that say that they are the Rollout's, and that no release of it controls.
	Unproven []string
	// Trouble is what else no waiting mends. Problem is what is wrong with the plan in this world: what `sluice plan`
	// says of it, in the same words.
	Trouble, Problem string
	// Follows is a fingerprint of everything that the next release would follow, and Next the name it would have.
	Follows, Next string
	// Busy is the release of another Rollout that this one's layers have no room beside; zero if there is none.
	Busy Busy
	// Refused is what the API server has said to a write in this look; empty if it has refused none.
	Refused string
	// NotRemade: in this look the stable revision's pods could not be brought back.
	NotRemade bool
}

// released is the revision that was released last, also where it has just been found.
func (o *RestSeen) released() Revision {
	if o.Stable.known() {
		return o.Stable
	}
	return o.Running
}

// RecordName names a record that is kept.
type RecordName struct {
	Name string
	// Going: it is being removed.
	Going bool
}

// Revision is one pod template.
type Revision struct {
	// Hash tells it from others; it is empty where there is no revision.
	Hash string
	// Name is for people: "shop:v2 (7d4f8c)".
	Name string
	// Mark is the label that its pods bear and no others; empty while that is not known.
	Mark string
}

func (r Revision) known() bool { return r.Hash != "" }

// is says whether the two are one revision. What is not known is none.
func (r Revision) is(o Revision) bool { return r.known() && r.Hash == o.Hash }

// RestTold is what the status of a Rollout says.
type RestTold struct {
	// Phase is that of the Rollout, also one that it has only while a release is under way.
	Phase RestPhase
	// Code is that of the reason for which it waits, Since since when it does.
	Code  string
	Since time.Time
	// Release is the name of the last release that it knows of.
	Release string
	// Rejected is the revision that was taken back last, or nil.
	Rejected *Rejected
}

// RestWorkload is the team's own object while no release is under way.
type RestWorkload struct {
	Exists bool
	// Going: it is being deleted.
	Going bool
	// Ours: it bears the Rollout's mark. TakenBy is another Rollout whose mark it bears, NamedBy an older Rollout that
	// names the workload, too.
	Ours             bool
	TakenBy, NamedBy string
	// Template is the revision of its pod template, Labels what such pods bear, for people.
	Template Revision
	Labels   string
	// Former: the pod template bears the mark of one that was handed over once, as kubectl rollout undo brings it back.
	Former bool
	// Replicas is how many pods it is to have, Needs with how many ready ones it counts as available.
	Replicas, Needs int
	// Paused says who has paused it.
	Paused Pauser
	// SaysHeld: it says that a revision of it is held, although it is not paused.
	SaysHeld bool
	// Updating: it is busy with a rolling update of its own.
	Updating bool
}

// Pauser says who has paused a workload.
type Pauser string

// Who can have paused it.
const (
	NotPaused    Pauser = ""
	PausedByTeam Pauser = "team"
	// PausedByHold: an admission policy has held a new revision, or Sluice an earlier one that somebody went back to.
	PausedByHold Pauser = "hold"
	// PausedAlways: Sluice keeps it paused, since no policy holds new revisions.
	PausedAlways Pauser = "always"
)

// BySluice says whether it is Sluice who has paused the workload, and not the team. Where Sluice always keeps it
// paused, it does not matter who has done it first.
func (p Pauser) BySluice(always bool) bool {
	switch p {
	case PausedByHold, PausedAlways:
		return true
	case PausedByTeam:
		return always
	case NotPaused:
	}
	return false
}

// Remains are the pods that a workload which is gone has left behind.
type Remains struct {
	// Name of what runs them.
	Name string
	Pods int
}

// RestService is a Service while no release is under way. Its stable version is the one that runs, its canary version
// the one of the workload's pod template.
type RestService struct {
	Service
	// Renew: its Hold is an earlier release's, or the team has edited the Service since.
	Renew bool
	// OnlyNew: it leads to ready pods, and none of them is of the stable version, which has none.
	OnlyNew bool
}

// kept says whether the Service stays on the pods that run, since the team's selector would lead it to none of them: it
// was changed together with the labels of pods that are held, or were rejected.
// Where only pods answer that no release brought, it is left on them.
func (s *RestService) kept() bool { return s.MissesStable && !s.OnlyNew && (s.Held || !s.MissesCanary) }

// Misfit is a Service whose selector does not fit the workload's pods.
type Misfit struct {
	Name string
	// Selector of it, for people.
	Selector string
	// Routed: a traffic layer leads to it.
	Routed bool
}

// Record is what is kept of a release that has ended.
type Record struct {
	Name       string
	Number     int64
	Phase      Phase
	End        EndReason
	EndMessage string
	From, To   Revision
	// Changes are what the pod template changed, for people.
	Changes []string
	// Retried: somebody has said since that its revision is to be tried again.
	Retried bool
}

// Rejected is a revision that was taken back.
type Rejected struct {
	Revision
	// Release that brought it, why it was taken back, and what it changed.
	Release, Message string
	Changes          []string
}

// Rollback is what somebody has decided to go back to.
type Rollback struct {
	// Hash of the revision. After is the number of the newest release at that time: a later one uses the rollback up.
	Hash  string
	After int64
}

// Busy is a release that another one has to wait for.
type Busy struct{ Release, Message string }

// RestDecision is one person's decision on a release that is not under way.
type RestDecision struct {
	ID   string
	Verb Verb
	// Release that it names; Ours says whether this is a name that the Rollout's releases have.
	Release string
	Ours    bool
	// Record of that release; nil if there is none. Older: the decision is older than it, and cannot have meant it.
	Record *Record
	Older  bool
	// Given is the answer that the release remembers, which has not reached the decision; nil if it remembers none.
	Given *Answer
	// Before: it is to be gone back to what ran before that release, and not to what it brought.
	Before bool
	User   string
}
