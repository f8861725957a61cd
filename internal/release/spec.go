package release

import "time"

// Spec is what one release is to do. It does not change while the release lives.
type Spec struct {
	// From and To are the hashes of the stable revision and of the one to release.
	From, To string
	// Authors are all who changed the pod template since the stable revision, as the API server knew them; none if one of
	// them is not known.
	Authors []string
	// Namespace of the workload: whoever may edit it can act as its ServiceAccounts.
	Namespace string
	// Steps in order; at least one.
	Steps []Step
	// Divide says what divides the requests between the two versions, Traits how the workload is released. Both choose the
	// row of way.go.
	Divide Divide
	Traits Traits
	// Layers are the names of the traffic layers, in order; none where requests are divided by the number of pods.
	Layers []string
	// Background: something is measured beside the steps, from step BackgroundFrom (counted from 0) on.
	Background     bool
	BackgroundFrom int
	// OnFailure says whether a failed step aborts the release or pauses it.
	OnFailure FailurePolicy
	// OnStableDown says what a stable revision without a ready pod leads to; empty means wait.
	OnStableDown StableDownPolicy
	// Revert has the stable template written back to the workload after an abort.
	Revert bool
	// ProgressDeadline is the longest time for a step to get pods ready and routes in force.
	ProgressDeadline time.Duration
	// ReleaseDeadline is the longest time for the whole release.
	ReleaseDeadline time.Duration
	// Settle is the longest time that the plan gives a layer to follow a change; see Layer.Settle.
	Settle time.Duration
	// DrainDelay is kept between the last request sent to a version and the end of its pods.
	DrainDelay time.Duration
	// KeepOld is how long the old pods stay after the workload has taken the new revision over, so that a rollback needs
	// no new ones; 0 for not at all.
	KeepOld time.Duration
}

// Divide says what divides the requests between the two versions.
type Divide string

// What divides them.
const (
	// ByLayers: traffic layers send the new pods their share.
	ByLayers Divide = "layers"
	// BySelector: each Service leads to one version alone, and changes over to the new one in a step of weight 100.
	BySelector Divide = "selector"
	// ByPods: the Services lead to both versions, and each gets as many requests as it has pods.
	ByPods Divide = "pods"
)

// Traits are how a kind of workload is released.
type Traits struct {
	// Beside: the new pods run beside the old ones, and do not take their places.
	Beside bool
	// Finish says how the release ends.
	Finish Finish
	// Apart says how the pods of the two versions are told apart.
	Apart Apart
}

// Finish says how a release ends.
type Finish string

// ByHandOver: the workload takes the proven pods over as they are. There is no other end yet; one without a row in
// way.go is refused.
const ByHandOver Finish = "handOver"

// Apart says how the pods of the two versions are told apart.
type Apart string

// How they are told apart.
const (
	// Never: a Service that selects the one selects the other as well.
	Never Apart = ""
	// ByLabel: by a label of Kubernetes' own, which the pods of one version bear and no others.
	ByLabel Apart = "label"
)

// FailurePolicy says what a failed step leads to.
type FailurePolicy string

// The failure policies.
const (
	FailureAborts FailurePolicy = "abort"
	FailurePauses FailurePolicy = "pause"
)

// Step is a state of the world and the condition to leave it.
type Step struct {
	Name string
	// Weight is the canary's share of requests in percent, 0 to 100. Weights do not fall.
	Weight int
	// Replicas is the least number of canary pods; 0 means what the weight needs.
	Replicas int
	// Share is the same in percent of the workload's replicas, rounded up.
	Share int
	// Matches are requests that go to the canary whatever the weight.
	Matches []Match
	// Pause keeps the release in this step.
	Pause Pause
	// Analysis: something is measured in this step, which is left only when it is good.
	Analysis bool
	// Approval that the step asks for; nil for none.
	Approval *Approval
}

// Approval is what people have to say before a step is left.
type Approval struct {
	// Required is the number of people who must approve, at least 1.
	Required int
	// Users and Groups may approve, and nobody else.
	Users, Groups []string
	// ExpiresAfter is how long it may take, RemindAfter when people are reminded; both from when it is asked for.
	ExpiresAfter, RemindAfter time.Duration
	// SeparationOfDuty: the author of the change does not count.
	SeparationOfDuty bool
	// CommentRequired: no word without a comment.
	CommentRequired bool
}

// Pause keeps a release in a step.
type Pause struct {
	Kind PauseKind
	// Duration of a PauseTimed.
	Duration time.Duration
}

// PauseKind says what ends a pause.
type PauseKind string

// The kinds of pause.
const (
	PauseNone   PauseKind = ""
	PauseTimed  PauseKind = "timed"
	PauseManual PauseKind = "manual"
)

// Match selects requests by headers and cookies, all of which must match.
type Match struct {
	Headers []HeaderMatch
	Cookies []CookieMatch
}

// HeaderMatch matches one header, by its whole value or by a regular expression; one of the two is set.
type HeaderMatch struct{ Name, Value, Regex string }

// CookieMatch matches one cookie by its whole value.
type CookieMatch struct{ Name, Value string }
