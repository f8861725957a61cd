package view

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Picture is all that there is to show of one Rollout and its release.
type Picture struct {
	Namespace string
	// Rollout is nil where only the record of a release is shown.
	Rollout *Rollout
	// Release is the one under way, or the last; nil where there has been none.
	Release *Release
	// Standing is the verdict in one line.
	Standing Standing
	// Wait is what has to happen next; nil where nothing is waited for.
	Wait *Wait
	// Commands are what can be typed now to move things.
	Commands []Command
	Warnings []Warning
	Versions []Version
	Steps    Steps
	Analyses []Analysis
	Layers   []Layer
	Fronts   []Front
	// Held are the team's objects that the release has changed, as "service/shop".
	Held []string
	// Timeline is the record of the release, oldest first.
	Timeline []Entry
	// Unread says what could not be read, and why.
	Unread []string
}

// Rollout is the head of a Rollout.
type Rollout struct {
	Name, Phase string
	// Says explains the phase where it needs that.
	Says string
}

// Release is the head of a release.
type Release struct {
	Name  string
	Phase v1alpha1.ReleasePhase
	// Step is where it stands, as "2/4 half"; Result is how it ended.
	Step, Result string
	// Weight is the share of requests, in percent, that its revision gets; nil where it has ended or that is not known.
	Weight *int32
	// Author is the user who changed the pod template.
	Author                string
	StartedAt, FinishedAt *metav1.Time
}

// Warning is something that a person has to look at.
type Warning struct {
	Kind    WarningKind
	Message string
}

// WarningKind is the kind of a Warning.
type WarningKind string

// The kinds of a Warning.
const (
	// Stalled: nothing moves until a person acts.
	Stalled WarningKind = "stalled"
	// Unreleased: pods serve that no release brought.
	Unreleased WarningKind = "unreleased"
)

// Entry is one entry of the timeline.
type Entry struct {
	At              metav1.Time
	Reason, Message string
	// User who did it; empty where the message names him already.
	User string
}

// Of makes the picture.
func Of(o Objects) Picture {
	p := Picture{
		Rollout: o.rollout(), Release: o.release(), Standing: Judge(o),
		Wait: waitOf(o.waiting()), Commands: o.commands(), Warnings: o.warnings(),
		Steps: o.steps(), Timeline: o.timeline(), Unread: o.Unread,
	}
	switch {
	case o.Rollout != nil:
		p.Namespace = o.Rollout.Namespace
	case o.Release != nil:
		p.Namespace = o.Release.Namespace
	}
	if !o.Live() {
		return p
	}
	p.Versions, p.Layers = o.versions(), o.layers()
	p.Fronts = o.fronts(p.Layers)
	p.Held, p.Analyses = o.held(), o.analyses()
	return p
}

func (s Subject) rollout() *Rollout {
	if !s.Live() {
		return nil
	}
	r := s.Rollout
	out := &Rollout{Name: r.Name, Phase: phaseOf(r)}
	switch {
	case r.Status.Phase == "":
		out.Says = "no controller has looked at it yet; is it running? kubectl -n sluice-system get pods"
	case r.Status.Phase == v1alpha1.RolloutHealthy:
		out.Says = "nothing is under way"
	case r.Status.Rejected != nil && r.Status.Phase == v1alpha1.RolloutRejected:
		out.Says = Beside(r.Status.Rejected.Revision, r.Status.Stable) + " was rejected; the stable revision runs"
	}
	return out
}

// phaseOf is the phase of a Rollout in one word, also where no controller has looked at it.
func phaseOf(r *v1alpha1.Rollout) string {
	if r.Status.Phase == "" {
		return "Unknown"
	}
	return string(r.Status.Phase)
}

func (s Subject) release() *Release {
	if s.Release == nil {
		return nil
	}
	r := s.Release
	out := &Release{
		Name: r.Name, Phase: r.Status.Phase, Step: r.Status.StepSummary, Result: r.Status.Result, Author: r.Spec.Author,
		StartedAt: r.Status.StartedAt, FinishedAt: r.Status.FinishedAt,
	}
	if s.UnderWay() {
		out.Weight = r.Status.Weight
	}
	return out
}

// warnings are those of the conditions that a person has to look at. What is waited for is not said twice.
func (s Subject) warnings() []Warning {
	var out []Warning
	for _, c := range s.conditions() {
		w := s.waiting()
		if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue && (w == nil || w.Message != c.Message) {
			out = append(out, Warning{Stalled, c.Message})
		}
	}
	if !s.Live() {
		return out
	}
	for _, c := range s.Rollout.Status.Conditions {
		if c.Type == v1alpha1.ConditionUnreleasedPods && c.Status == metav1.ConditionTrue {
			out = append(out, Warning{Unreleased, c.Message})
		}
	}
	return out
}

// conditions are the release's while it is under way, and the Rollout's at rest.
func (s Subject) conditions() []metav1.Condition {
	switch {
	case s.UnderWay():
		return s.Release.Status.Conditions
	case s.Rollout != nil && !s.Named:
		return s.Rollout.Status.Conditions
	}
	return nil
}

func (s Subject) timeline() []Entry {
	if s.Release == nil {
		return nil
	}
	var out []Entry
	for _, e := range s.Release.Status.Timeline {
		entry := Entry{At: e.At, Reason: e.Reason, Message: e.Message}
		if !strings.Contains(e.Message, e.User) {
			entry.User = e.User
		}
		out = append(out, entry)
	}
	return out
}

// held are the team's objects that the release under way has changed.
func (o Objects) held() []string {
	if !o.UnderWay() {
		return nil
	}
	var out []string
	for _, h := range o.Holds {
		ours := func(s v1alpha1.HoldShare) bool { return s.UID == string(o.Release.UID) }
		shares := slices.ContainsFunc(h.Spec.Shares, ours)
		if shares || len(h.Spec.Shares) == 0 && h.Spec.Release == o.Release.Name {
			out = append(out, strings.ToLower(h.Spec.Target.Kind)+"/"+h.Spec.Target.Name)
		}
	}
	slices.Sort(out)
	return out
}
