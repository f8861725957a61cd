package sim

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/sluice-dev/sluice/internal/release"
)

// Version is a pod template. 0 is what ran first.
type Version uint8

// Versions is how many templates a world knows; NoVersion is none of them.
const (
	Versions          = 8
	NoVersion Version = 255
)

// String is the hash of the template.
func (v Version) String() string {
	if v == NoVersion {
		return "none"
	}
	return "v" + strconv.Itoa(int(v))
}

// versionOf is the version of that hash.
func versionOf(hash string) Version {
	if len(hash) != 2 || hash[0] != 'v' || hash[1] < '0' || hash[1] >= '0'+Versions {
		return NoVersion
	}
	return Version(hash[1] - '0')
}

// Kind is a kind of object, each with a watch stream of its own.
type Kind uint8

// The kinds.
const (
	KDeployment Kind = iota
	KReplicaSet
	KService
	KEndpoints
	KIngress
	KRoute
	KHold
	KRelease
	KDecision
	KRollout
	KAnalysis
	KWindow
	Kinds
)

var kindNames = [Kinds]string{
	"Deployment", "ReplicaSet", "Service", "Endpoints", "Ingress", "HTTPRoute", "Hold", "Release", "Decision", "Rollout",
	"AnalysisRun", "ReleaseWindow",
}

// String is the kind's name.
func (k Kind) String() string { return kindNames[k] }

// Key names one object: its kind and its place among those of its kind.
type Key struct {
	Kind Kind
	N    int
}

// String is kind/number.
func (k Key) String() string { return k.Kind.String() + "/" + strconv.Itoa(k.N) }

// The objects that there is one of.
var (
	deploymentKey = Key{KDeployment, 0}
	ingressKey    = Key{KIngress, 0}
	routeKey      = Key{KRoute, 0}
	releaseKey    = Key{KRelease, 0}
	rolloutKey    = Key{KRollout, 0}
	routeHoldKey  = Key{KHold, 2}
	windowKey     = Key{KWindow, 0}
)

// Services: the team's are 0 and 1, the canary twin of n is twin(n).
const teamServices = 2

func twin(n int) int              { return n + teamServices }
func serviceKey(n int) Key        { return Key{KService, n} }
func endpointsKey(n int) Key      { return Key{KEndpoints, n} }
func serviceHoldKey(n int) Key    { return Key{KHold, n} }
func replicaSetKey(v Version) Key { return Key{KReplicaSet, int(v)} }
func decisionKey(n int) Key       { return Key{KDecision, n} }
func serviceName(n int) string    { return "service-" + strconv.Itoa(n) }
func serviceNumber(s string) int  { return int(s[len(s)-1] - '0') }
func layerKey(layer string) Key {
	return map[string]Key{"ingress": ingressKey, "route": routeKey}[layer]
}
func stepName(i int) string        { return "step-" + strconv.Itoa(i+1) }
func (d Decision) open() bool      { return !d.Answered }
func (e Endpoints) total() (n int) { return sum(e.Ready[:]) }

func sum(s []int16) (n int) {
	for _, v := range s {
		n += int(v)
	}
	return n
}

// Deployment is the team's workload.
type Deployment struct {
	Template Version
	Replicas int
	Paused   bool
	// HeldBy is the annotation that admission writes when it pauses.
	HeldBy string
	// Lie: an annotation of somebody's says that the template is a rollback.
	Lie bool
	// Note stands for every field that is none of our business.
	Note int
}

// Owner is who controls a ReplicaSet.
type Owner uint8

// The owners.
const (
	OwnedByDeployment Owner = iota
	OwnedByRelease
)

// ReplicaSet is the pods of one version. Pods and Ready are its status.
type ReplicaSet struct {
	Owner       Owner
	Desired     int
	Pods, Ready int
	// Annotated and MaxAnnotated are what the Deployment controller noted when it last scaled: desired-replicas,
	// max-replicas. 0 is none.
	Annotated, MaxAnnotated int
	// Generation of the spec, and the one that the status speaks of.
	Generation, Observed int
	// Former: its template is marked, so that it equals no template of the workload's.
	Former bool
	// Created orders the ReplicaSets by age.
	Created int
}

// Selector of a Service: the team's labels, and the pod-template-hash, if it is narrowed to one. Team counts the team's
// edits; Label is the one label of the team's that pods may bear another value of, 0 where it does not stand there.
type Selector struct {
	Team, Label int
	Hash        Version
}

// Service of the team's, or a canary twin.
type Service struct {
	Selector Selector
	// Lie: a label of somebody's says that a release has made it.
	Lie  bool
	Note int
}

// Endpoints counts the ready endpoints of a Service by version.
type Endpoints struct{ Ready [Versions]int16 }

// Split is what a layer does.
type Split struct {
	Weight int
	// Match is an index into matchTable; 0 is none.
	Match int
}

// Ingress is the canary Ingress beside the team's own.
type Ingress struct{ Split }

// Route is the team's HTTPRoute. A zero Split is the team's own rules.
type Route struct {
	Split
	// Team is the team's own part of the rules.
	Team, Note int
	// Generation of the rules, and the one that the gateway has reported as accepted.
	Generation, Observed int
}

// Hold keeps the original of what a release has changed.
type Hold struct {
	Release     int
	Team, Label int
}

// Release is the record of one release, and what it remembers.
type Release struct {
	Number int
	Spec   release.Spec
	// Plan is the number of the Rollout's steps that it follows, Renewals how often the revision's release has given way
	// to newer ones before it.
	Plan, Renewals int
	Memory         release.Memory
	// Outbox holds the answers that took effect with Memory, until they are seen on their Decisions.
	Outbox []release.Answer
}

// answers says whether the decision of that ID has taken effect.
func (r Release) answers(id string) bool {
	return slices.ContainsFunc(r.Outbox, func(a release.Answer) bool { return a.ID == id })
}

// String is what changes in a release.
func (r Release) String() string {
	m := r.Memory
	s := fmt.Sprintf("%d %s>%s %s step %d", r.Number, r.Spec.From, r.Spec.To, m.Phase, m.Step+1)
	for _, part := range []struct {
		name string
		set  bool
	}{
		{" reached", !m.StepReachedAt.IsZero()},
		{" promoted", m.Promoted},
		{" full", m.Full},
		{" paused by " + m.PausedBy, m.PausedBy != ""},
		{fmt.Sprintf(" try %d", m.Measured+1), m.Measured > 0},
		{fmt.Sprintf(" background try %d", m.MeasuredBackground+1), m.MeasuredBackground > 0},
		{" waived", m.Waived},
		{" background waived", m.WaivedBackground},
		{fmt.Sprintf(" asked, %d approved", len(m.Approvals)), !m.AskedAt.IsZero()},
		{" overridden", m.OverriddenBy != ""},
		{" draining", !m.DrainFrom.IsZero()},
		{" handed over", m.HandedOver},
		{" " + string(m.End), m.End != release.NotEnding},
	} {
		if part.set {
			s += part.name
		}
	}
	return s
}

// Decision is one person's word.
type Decision struct {
	release.Decision
	Release int
	// At is when it was spoken.
	At int
	// Shown is where the release stood then.
	Shown    Shown
	Answered bool
	Answer   release.Answer
}

// Shown is what somebody who speaks has seen of a release: its step, whether that is in force, and whether the release
// has stopped to ask.
type Shown struct {
	Step           int
	InForce, Asked bool
}

// shown is what a release shows.
func (r Release) shown() Shown {
	return Shown{Step: r.Memory.Step, InForce: !r.Memory.StepReachedAt.IsZero(), Asked: r.Memory.PausedBy == "sluice"}
}

// Rollout says how to release, and what runs.
type Rollout struct {
	Removing bool
	// Stable is the last promoted version, Rejected the last one taken back.
	Stable, Rejected Version
	// Done is the number of the last release whose end is noted here. Rests: since then the workload has named Stable.
	Done  int
	Rests bool
	// Plan is the number of its steps: the team has edited them so often.
	Plan int
}

// matchTable is the matches that a Split can name.
var matchTable = [][]release.Match{
	nil,
	{{Headers: []release.HeaderMatch{{Name: "X-Canary", Value: "always"}}}},
	{{Cookies: []release.CookieMatch{{Name: "tester", Value: "yes"}}}},
}

func matchIndex(m []release.Match) int {
	for i, t := range matchTable {
		if slices.EqualFunc(t, m, func(a, b release.Match) bool {
			return slices.Equal(a.Headers, b.Headers) && slices.Equal(a.Cookies, b.Cookies)
		}) {
			return i
		}
	}
	panic("sim: a match that no step names")
}
