package release

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// This file has what people must say before a release goes on: approvals.

// The codes of an Answer to what is said about an approval.
const (
	AnswerApproved = "Approved"
	AnswerRejected = "Rejected"

	RefusedNoApprovalAsked   = "NoApprovalAsked"
	RefusedStepMissing       = "StepMissing"
	RefusedPlanDigestMissing = "PlanDigestMissing"
	RefusedNotAnApprover     = "NotAnApprover"
	RefusedSeparationOfDuty  = "SeparationOfDuty"
	RefusedCommentMissing    = "CommentMissing"
	RefusedAlreadyApproved   = "AlreadyApproved"
	RefusedApprovalExpired   = "ApprovalExpired"
	RefusedApprovalNeeded    = "ApprovalNeeded"
)

// approved waits until as many people as the step requires have approved. The question is put when everything else is
// done, so that whoever answers it can see what has come out.
func (p *pass) approved() Reason {
	a := p.approval()
	if a == nil || len(p.m.Approvals) >= a.Required {
		return Reason{}
	}
	if p.m.AskedAt.IsZero() {
		p.m.AskedAt = p.now
		p.happened("ApprovalAsked", "", "%s waits for %s by %s, until %s", p.stepLabel(), plural(a.Required, "approval"),
			a.who(), p.m.AskedAt.Add(a.ExpiresAfter).Format(time.RFC3339))
	}
	p.remind(a)
	message := fmt.Sprintf("%s waits for approval: %d of %d given%s",
		p.stepLabel(), len(p.m.Approvals), a.Required, p.by())
	return p.until(ReasonAwaitingApproval, message, a.who(), p.askedSince(), p.m.AskedAt.Add(a.ExpiresAfter))
}

// askedSince is since when there is something to approve: the question was put, and the step is in force. A step that
// has lost its pods, and is in force again, has to be looked at again.
func (p *pass) askedSince() time.Time {
	if p.m.StepReachedAt.After(p.m.AskedAt) {
		return p.m.StepReachedAt
	}
	return p.m.AskedAt
}

// remind tells once more that somebody has to approve.
func (p *pass) remind(a *Approval) {
	at := p.m.AskedAt.Add(a.RemindAfter)
	switch {
	case a.RemindAfter <= 0 || p.m.Reminded:
	case p.now.Before(at):
		p.wake(at)
	default:
		p.m.Reminded = true
		p.happened("ApprovalReminder", "", "%s still waits for %d of %s by %s",
			p.stepLabel(), a.Required-len(p.m.Approvals), plural(a.Required, "approval"), a.who())
	}
}

// approval that the current step asks for, if any.
func (p *pass) approval() *Approval {
	if p.m.Phase == Completing || p.m.Step >= len(p.s.Steps) {
		return nil
	}
	return p.current().Approval
}

func (p *pass) approvalExpired() bool {
	a := p.approval()
	return a != nil && !p.m.AskedAt.IsZero() && len(p.m.Approvals) < a.Required &&
		!p.now.Before(p.m.AskedAt.Add(a.ExpiresAfter))
}

// by names those who have approved.
func (p *pass) by() string {
	if len(p.m.Approvals) == 0 {
		return ""
	}
	var names []string
	for _, a := range p.m.Approvals {
		names = append(names, a.User)
	}
	return " (by " + some(names) + ")"
}

// who may approve, for people.
func (a *Approval) who() string {
	names := slices.Clone(a.Users)
	for _, g := range a.Groups {
		names = append(names, "group "+g)
	}
	if len(names) == 0 {
		return "nobody"
	}
	return some(names)
}

// someBytes bounds a list of names in a sentence. The API's field for who can end a wait has 256 characters.
const someBytes = 200

// some are the first of many names, for a sentence: "alice, bob, and 12 more".
func some(names []string) string {
	size := 0
	for i, name := range names {
		if size += len(name) + 2; size > someBytes && i > 0 {
			return fmt.Sprintf("%s, and %d more", strings.Join(names[:i], ", "), len(names)-i)
		}
	}
	return strings.Join(names, ", ")
}

func (a *Approval) may(d Decision) bool {
	return slices.Contains(a.Users, d.User) ||
		slices.ContainsFunc(a.Groups, func(g string) bool { return slices.Contains(d.Groups, g) })
}

// asks says whether the step asks for an approval, or has asked for it.
func (p *pass) asks() bool { return p.approval() != nil && !p.m.AskedAt.IsZero() }

// refuseWord says why an approval or a rejection does not count.
func (p *pass) refuseWord(d Decision) refusal {
	a := p.approval()
	if r := p.refuseLost(d); r.code != "" {
		return r
	}
	switch {
	case !p.asks() || d.Verb == Approve && d.unseen(p.askedSince()):
		return refusal{
			RefusedNoApprovalAsked, p.placeLabel() + " asks for no approval now; sluice get tells what it waits for",
		}
	case d.Step == "" || !d.PlanNamed:
		return refuseVague(d)
	case !p.now.Before(p.m.AskedAt.Add(a.ExpiresAfter)):
		return refusal{RefusedApprovalExpired, fmt.Sprintf("the approval of %s expired at %s",
			p.stepLabel(), p.m.AskedAt.Add(a.ExpiresAfter).Format(time.RFC3339))}
	case !a.may(d):
		return refusal{RefusedNotAnApprover, fmt.Sprintf("%s is not among those who may approve %s: %s",
			d.User, p.stepLabel(), a.who())}
	case a.CommentRequired && strings.TrimSpace(d.Comment) == "":
		return refusal{RefusedCommentMissing, "spec.comment is missing; this step wants a reason"}
	}
	if d.Verb == Reject {
		return refusal{} // Whoever may approve may say no, the author of the change too.
	}
	return p.refuseApproval(d, a)
}

// refuseLost says why an approval does not count that was asked for of a step which has lost its pods since: it is not
// in force, or is again, and the approver has not seen that. Whoever says no is heard all the same.
func (p *pass) refuseLost(d Decision) refusal {
	reached := p.m.StepReachedAt
	switch {
	case d.Verb != Approve || !p.asks():
	case reached.IsZero():
		return p.refuseEarly(d)
	case reached.After(p.m.AskedAt) && d.unseen(reached):
		return p.decidedBefore()
	}
	return refusal{}
}

// refuseVague refuses a word that does not say what it is about.
func refuseVague(d Decision) refusal {
	if d.Step == "" {
		return refusal{RefusedStepMissing, "spec.step is missing; name the step that you approve or reject, as sluice " +
			"approve does"}
	}
	return refusal{RefusedPlanDigestMissing, "spec.planDigest is missing; copy it from the release whose plan you have " +
		"seen, as sluice approve does"}
}

func (p *pass) refuseApproval(d Decision, a *Approval) refusal {
	switch {
	case a.SeparationOfDuty && p.notSeparate(d, a) != "":
		return refusal{RefusedSeparationOfDuty, p.notSeparate(d, a)}
	case slices.ContainsFunc(p.m.Approvals, func(x Approved) bool { return x.User == d.User }):
		return refusal{RefusedAlreadyApproved, fmt.Sprintf("%s has approved %s already; it needs %d different people",
			d.User, p.stepLabel(), a.Required)}
	case len(p.m.Approvals) >= a.Required:
		return refusal{RefusedAlreadyApproved, fmt.Sprintf("%s has all of its %s%s",
			p.stepLabel(), plural(a.Required, "approval"), p.by())}
	}
	return refusal{}
}

// notSeparate says why the user may be one of those who made the change; empty if he is not. Whoever may edit a
// namespace can act as each of its ServiceAccounts. So such an account, as an author, may be anybody; and as an
// approver it may be an author.
func (p *pass) notSeparate(d Decision, a *Approval) string {
	switch {
	case len(p.s.Authors) == 0:
		return "not all who changed the pod template are known (spec.authors of the release is empty), so that separation " +
			"of duty cannot be kept; reject it, or take approval.separationOfDuty out of the Rollout"
	case slices.ContainsFunc(p.s.Authors, p.s.shared):
		i := slices.IndexFunc(p.s.Authors, p.s.shared)
		return fmt.Sprintf("%s changed the pod template, and whoever may edit the namespace can act as this ServiceAccount, "+
			"so that the author is not known; have the change made by a person, or by a ServiceAccount of another namespace",
			p.s.Authors[i])
	case slices.Contains(p.s.Authors, d.User):
		return fmt.Sprintf("%s made this change, and %s wants somebody else's approval", d.User, p.stepLabel())
	case p.s.shared(d.User):
		return fmt.Sprintf("%s is a ServiceAccount of the workload's namespace: whoever may edit it, as an author may, "+
			"can act as this account", d.User)
	case isAccount(d.User) && !slices.Contains(a.Users, d.User):
		return fmt.Sprintf("%s is a ServiceAccount, which %s does not name: under separation of duty its groups do not count",
			d.User, p.stepLabel())
	}
	return ""
}

// account is how the user name of a ServiceAccount begins; its namespace follows.
const account = "system:serviceaccount:"

func isAccount(user string) bool { return strings.HasPrefix(user, account) }

// shared says whether a user is a ServiceAccount of the workload's own namespace.
func (s *Spec) shared(user string) bool {
	return s.Namespace != "" && strings.HasPrefix(user, account+s.Namespace+":")
}

// approvalNeeded is the step from here on whose approvals are not all given: no promotion goes past it.
func (p *pass) approvalNeeded() (name string, needed bool) {
	if p.m.Phase == Completing {
		return "", false
	}
	for i := p.m.Step; i < len(p.s.Steps); i++ {
		a := p.s.Steps[i].Approval
		if a != nil && !(i == p.m.Step && len(p.m.Approvals) >= a.Required) {
			return nameOf(p.s.Steps, i), true
		}
	}
	return "", false
}
