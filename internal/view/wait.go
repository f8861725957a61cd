package view

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// Wait is what has to happen next.
type Wait struct {
	// Reason is a stable word for programs, Message a sentence for people, Who says who can end the wait.
	Reason, Message, Who string
	// Since and Until bound the wait, where it has bounds.
	Since, Until *metav1.Time
	// Person: only a person ends it.
	Person bool
}

func waitOf(w *v1alpha1.WaitingFor) *Wait {
	if w == nil {
		return nil
	}
	return &Wait{
		Reason: w.Reason, Message: w.Message, Who: w.Who, Since: w.Since, Until: w.Until, Person: waitsForPerson(w),
	}
}

// waiting is what the release waits for, or else the Rollout.
func (s Subject) waiting() *v1alpha1.WaitingFor {
	if s.UnderWay() && s.Release.Status.WaitingFor != nil {
		return s.Release.Status.WaitingFor
	}
	if s.Live() {
		return s.Rollout.Status.WaitingFor
	}
	return nil
}

// personReasons are the reasons of waits that only a person ends.
var personReasons = []string{
	release.ReasonPausedForPerson, release.ReasonAwaitingApproval, release.ReasonAnalysisUnclear,
	release.ReasonPausedByHand, release.ReasonStepFailed, release.ReasonScaledToZero,
	release.ReasonGuardRefused, release.ReasonMemoryInvalid, release.ReasonSpecInvalid,
}

func waitsForPerson(w *v1alpha1.WaitingFor) bool {
	return w != nil && slices.Contains(personReasons, w.Reason)
}

// verbs are the waits that a word of a person ends, and that word.
var verbs = map[string]v1alpha1.DecisionVerb{
	release.ReasonAwaitingApproval: v1alpha1.VerbApprove,
	release.ReasonPausedForPerson:  v1alpha1.VerbPromote,
	release.ReasonPausedByHand:     v1alpha1.VerbResume,
	release.ReasonStepFailed:       v1alpha1.VerbResume,
	release.ReasonAnalysisUnclear:  v1alpha1.VerbResume,
	release.ReasonWindowShut:       v1alpha1.VerbOverride,
}

// VerbFor is the word that ends a wait; empty where none does.
func VerbFor(w *v1alpha1.WaitingFor) v1alpha1.DecisionVerb {
	if w == nil {
		return ""
	}
	return verbs[w.Reason]
}

// Command is something that can be typed now.
type Command struct {
	// Verb is the word that it speaks.
	Verb v1alpha1.DecisionVerb
	// Line is what to type after the program's name.
	Line string
	// Note is what can be done instead; mostly empty.
	Note string
}

// commands are what moves things now: the word that is waited for, or another try.
func (s Subject) commands() []Command {
	verb, options := wayOn(s.waiting())
	switch {
	case s.UnderWay() && verb != "":
		name := s.Release.Spec.Rollout
		return []Command{{Verb: verb, Line: options + " " + name}, {Verb: v1alpha1.VerbAbort, Line: "abort " + name}}
	case s.Rollout != nil && !s.Named && s.Rollout.Status.Phase == v1alpha1.RolloutRejected:
		return []Command{{Verb: v1alpha1.VerbRetry, Line: "retry " + s.Rollout.Name, Note: "or change the pod template"}}
	}
	return nil
}

// wayOn is the word that ends a wait for a person, and the command with its options.
func wayOn(w *v1alpha1.WaitingFor) (verb v1alpha1.DecisionVerb, command string) {
	if w != nil && w.Reason == release.ReasonScaledToZero {
		return v1alpha1.VerbPromoteFull, "promote --full"
	}
	verb = VerbFor(w)
	if verb == v1alpha1.VerbOverride {
		return verb, `override -m "WHY"`
	}
	return verb, string(verb)
}

// Pending is a release that waits for a person's word.
type Pending struct {
	Namespace, Name string
	Verb            v1alpha1.DecisionVerb
	Wait            Wait
}

// PendingOf is what a release asks of people; nil where it does not.
func PendingOf(r *v1alpha1.Release) *Pending {
	verb := VerbFor(r.Status.WaitingFor)
	if r.Status.Phase.Terminal() || verb == "" {
		return nil
	}
	return &Pending{Namespace: r.Namespace, Name: r.Name, Verb: verb, Wait: *waitOf(r.Status.WaitingFor)}
}

// Person is somebody who looks at a release.
type Person struct {
	Name   string
	Groups []string
}

// MayApprove says whether the step in which a release stands asks this person, and his approval would count. The API
// server's own rules come on top.
func (p Person) MayApprove(r *v1alpha1.Release) bool {
	step := StepAt(r)
	if step == nil || step.Approval == nil {
		return false
	}
	a := step.Approval
	if a.SeparationOfDuty && slices.Contains(r.Spec.Authors, p.Name) {
		return false
	}
	gave := func(x v1alpha1.ApprovalRecord) bool { return x.User == p.Name }
	if m := r.Status.Memory; m != nil && slices.ContainsFunc(m.Approvals, gave) {
		return false
	}
	return slices.Contains(a.From.Users, p.Name) ||
		slices.ContainsFunc(a.From.Groups, func(g string) bool { return slices.Contains(p.Groups, g) })
}
