package release

import "time"

// Observed is what the world shows, as one consistent picture: the controller gives none that is older than its
// own last write to any object in it.
type Observed struct {
	Workload Workload
	// Stable and Canary are the two versions' pods.
	Stable, Canary Track
	// Services that send requests to the workload's pods. Empty without traffic layers.
	Services []Service
	// Layers, in the order of Spec.Layers.
	Layers []Layer
	// Metered: the gateway's own metrics can be asked what share of the requests reaches the new version. Served is what
	// they have said.
	Metered bool
	Served  Served
	// HoldAt is the step at which the Rollout says now that its releases stop; empty for none.
	HoldAt string
	// PlanChanged: the Rollout asks for another plan than this release's.
	PlanChanged bool
	// Removing: the Rollout is being deleted, or Sluice uninstalled.
	Removing bool
	// Analyses that have been begun for this release.
	Analyses []Analysis
	// Shut is the release window that is shut, if one is.
	Shut Shut
	// Decisions that have not been answered yet, oldest first.
	Decisions []Decision
	// Trouble is what the controller found that no waiting mends (a refused write, a missing right, a bad
	// route), as a sentence that names the thing and the remedy; empty if nothing.
	Trouble string
}

// Workload is the team's own object.
type Workload struct {
	// Exists is false once the object is gone.
	Exists bool
	// Desired is the hash of the pod template that the workload names now.
	Desired string
	// Replicas is the demand: how many pods the workload is to have.
	Replicas int
	// Held: the workload is paused and starts nothing of its own.
	Held bool
	// Kept: it is always kept so, for want of a policy that holds it when its template changes.
	Kept bool
	// Loose ReplicaSets with pods are of neither version's own: the workload has made them while somebody had resumed it.
	// Taken are those of them that the release has taken from the workload, so that it goes back to the stable one.
	Loose, Taken int
	// Alone: the workload runs the released revision alone. After the hand-over all its pods are of the canary's
	// ReplicaSet, and the old one has none.
	Alone bool
}

// Track is the pods of one version.
type Track struct {
	// Exists: there is a ReplicaSet for the version.
	Exists bool
	// Adopted: the ReplicaSet belongs to the workload (the stable one, but while a release keeps it after the hand-over;
	// the canary's after the hand-over, or before the release if it is one of the workload's history).
	Adopted bool
	// Taken: this release has taken the stable ReplicaSet from the workload, to keep its pods after the hand-over.
	Taken bool
	// Desired is the number of pods asked for, Pods how many there are (terminating ones not counted), Ready
	// how many of them are available.
	Desired, Pods, Ready int
	// Problem says why pods do not start, if that is known.
	Problem string
}

// Selection is which version's pods a Service selects.
type Selection string

// The selections.
const (
	// SelectsAll: the Service is as the team wrote it and selects both versions.
	SelectsAll Selection = "all"
	// SelectsStable: narrowed to the stable revision.
	SelectsStable Selection = "stable"
	// SelectsCanary: turned to the new revision.
	SelectsCanary Selection = "canary"
	// SelectsOther: neither as the team wrote it nor as Sluice did, as after a merge of both.
	SelectsOther Selection = "other"
)

// Service is one of the team's Services in front of the workload, and its canary twin.
type Service struct {
	Name string
	// Held: a Hold with the Service's original exists.
	Held bool
	// Selects is what the team's Service selects now.
	Selects Selection
	// Ready endpoints of the team's Service, by version, as EndpointSlices show them.
	ReadyStable, ReadyCanary int
	// MissesStable, MissesCanary: the selector that the team wrote matches none of that version's pods. While these
	// are all the pods there are, the Service is not given back: it would have no endpoint.
	MissesStable, MissesCanary bool
	// Own is the selector that the team wrote, for people: "app=shop,version=2".
	Own string
	// Problem says why endpoints are missing although pods are ready, if that is known.
	Problem string
	// Routed: a traffic layer names this Service, or its new pods are to be looked at before they get requests, so it
	// needs a canary twin.
	Routed bool
	// Preview: the team has made this Service to look at the new pods. It leads to them as soon as they are ready.
	Preview bool
	// CanaryExists: the twin exists and selects the new revision; CanaryReady are its ready endpoints.
	CanaryExists bool
	CanaryReady  int
}

// Layer is one traffic layer.
type Layer struct {
	Name string
	// Routed: the layer has a canary route at all. If not, Weight and Matches are empty.
	Routed bool
	// Held: where the layer changes an object of the team's, a Hold with its original exists.
	Held    bool
	Weight  int
	Matches []Match
	// Version changes with each change of what the layer has. It is empty where there is no object of Sluice's.
	Version string
	// Settled: the layer reports that it has taken what it has now, or it is one that reports nothing.
	Settled bool
	// Settle is how long the layer needs to follow after that; 0 where what it reports is in force.
	Settle time.Duration
	// Problem says why it is not, if that is known.
	Problem string

	// settledAt is when the time of Settle is over, settling that only this is waited for; see settle.go.
	settledAt time.Time
	settling  bool
}

// Decision is one person's unanswered word.
type Decision struct {
	ID   string
	Verb Verb
	// Step that it speaks of, or empty.
	Step string
	// To is the step up to which a Promote ends pauses; empty for that of the current step alone.
	To string
	// PlanMismatch: it names another plan than this release's.
	PlanMismatch bool
	// PlanNamed: it names a plan at all.
	PlanNamed bool
	User      string
	// Groups of the user that he named; the API server has proven that they are his.
	Groups  []string
	Comment string
	// At is when it was spoken, to the second; zero if that is not known.
	At time.Time
	// Since is since when the release had waited for this word, as its speaker saw it: when the step was in force, the
	// approval asked for, or the release paused. Zero if the speaker does not say.
	Since time.Time
}

// Verb is what a person can decide about a release.
type Verb string

// The verbs.
const (
	Promote     Verb = "promote"
	PromoteFull Verb = "promoteFull"
	PauseNow    Verb = "pause"
	Resume      Verb = "resume"
	Abort       Verb = "abort"
	Approve     Verb = "approve"
	Reject      Verb = "reject"
	Override    Verb = "override"
	// Retry and RollBack speak of a release that has ended.
	Retry    Verb = "retry"
	RollBack Verb = "rollback"
)

// AnalysisID tells the analyses of one release apart.
type AnalysisID struct {
	// Background is the one beside the steps.
	Background bool
	// Step (from 0) that it belongs to; for the background, the one that it began in.
	Step int
	// Attempt counts from 0: a person may have it measured once more.
	Attempt int
}

// Analysis is one analysis as it stands.
type Analysis struct {
	ID      AnalysisID
	Verdict Verdict
	// Message says what came out, or what is waited for.
	Message string
	// Concluding: it has been told to come to an end.
	Concluding bool
}

// Verdict is what an analysis has come to.
type Verdict string

// The verdicts. Whatever is not Good is never taken for it.
const (
	// Measuring: it is not known yet.
	Measuring Verdict = ""
	// Good: what was measured is good.
	Good Verdict = "good"
	// Bad: what was measured is bad.
	Bad Verdict = "bad"
	// Unclear: it is neither, or nothing could be measured.
	Unclear Verdict = "unclear"
)

// Shut says why no release may go on now.
type Shut struct {
	// Window is the name of the window that is shut; empty if none is.
	Window string
	// Message says why, as a sentence.
	Message string
	// Opens is when it opens next; zero if that is not known.
	Opens time.Time
}
