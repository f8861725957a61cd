package release

import (
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// keepsGates: no step is left past a gate, whatever the memory says; a bad verdict takes the release back; and no
// approval counts that may not.
func keepsGates(t *rapid.T, s Spec, o Observed, m Memory, out Outcome) {
	if m.problem(s) != "" || m.Phase != Progressing && m.Phase != Paused && m.Phase != Completing {
		return
	}
	m = m.sane(s, began)
	g := &gateRules{t: t, s: s, o: o, m: m, out: out}
	for i, a := range out.Answers {
		if a.Applied {
			g.words = append(g.words, o.Decisions[i])
		}
	}
	g.approvals()
	g.badTakesBack()
	if out.Memory.End == NotEnding {
		g.leaves()
	}
}

type gateRules struct {
	t     *rapid.T
	s     Spec
	o     Observed
	m     Memory
	out   Outcome
	words []Decision
}

func (g *gateRules) must(holds bool, format string, args ...any) {
	if !holds {
		g.t.Fatalf(format+"\n%+v\n%+v\n%+v\n%+v", append(args, g.s, g.o, g.m, g.out)...)
	}
}

func (g *gateRules) said(v Verb) bool {
	return slices.ContainsFunc(g.words, func(d Decision) bool { return d.Verb == v })
}

func (g *gateRules) verdict(id AnalysisID) Verdict {
	for _, a := range g.o.Analyses {
		if a.ID == id {
			return a.Verdict
		}
	}
	return Measuring
}

// stepVerdict and besides are what counts before anybody has spoken.
func (g *gateRules) stepVerdict() Verdict {
	if g.m.Phase == Completing || !g.s.Steps[g.m.Step].Analysis || g.m.Waived {
		return Good
	}
	return g.verdict(AnalysisID{Step: g.m.Step, Attempt: g.m.Measured})
}

func (g *gateRules) besides() Verdict {
	if !g.s.Background || g.m.Full || g.m.WaivedBackground || g.m.Step < g.s.BackgroundFrom {
		return Good
	}
	return g.verdict(AnalysisID{Background: true, Step: g.s.BackgroundFrom, Attempt: g.m.MeasuredBackground})
}

// asked says whether the release has stopped for a person to decide.
func (g *gateRules) asked() bool { return g.m.PausedBy == pausedByFailure }

// badTakesBack: unless somebody who was asked has decided otherwise.
func (g *gateRules) badTakesBack() {
	handed := g.m.Phase == Completing && g.m.HandedOver && g.o.Canary.Adopted
	decided := g.asked() && (g.said(Promote) || g.said(Resume)) || g.said(PromoteFull)
	if bad := g.stepVerdict() == Bad || g.besides() == Bad; bad && !handed && !decided && g.s.OnFailure == FailureAborts {
		g.must(g.out.Memory.End != NotEnding, "goes on although what was measured is bad")
	}
}

// approvals: each that counts is from somebody who may give it, on this step and plan, in time, once.
func (g *gateRules) approvals() {
	var has []string
	for _, a := range g.m.Approvals {
		has = append(has, a.User)
	}
	for _, d := range g.words {
		if d.Verb != Approve && d.Verb != Reject {
			continue
		}
		a := g.s.Steps[g.m.Step].Approval
		g.must(a != nil && g.m.Phase != Completing && !g.m.AskedAt.IsZero(), "%s of what nobody has asked for", d.Verb)
		g.must(began.Before(g.m.AskedAt.Add(a.ExpiresAfter)), "%s that has expired", d.Verb)
		g.must(d.Step == nameOf(g.s.Steps, g.m.Step) && d.PlanNamed && !d.PlanMismatch, "%s of another step or plan", d.Verb)
		named := slices.Contains(a.Users, d.User) || slices.Contains(a.Groups, "sre") && slices.Contains(d.Groups, "sre")
		g.must(named, "%s by somebody who is not named", d.Verb)
		g.must(!a.CommentRequired || strings.TrimSpace(d.Comment) != "", "%s without a reason", d.Verb)
		if d.Verb == Reject {
			g.must(g.out.Memory.End == RejectedByUser, "goes on although it is rejected")
			return
		}
		ours := func(user string) bool { return strings.HasPrefix(user, "system:serviceaccount:demo:") }
		known := len(g.s.Authors) > 0 && !slices.ContainsFunc(g.s.Authors, ours)
		g.must(!a.SeparationOfDuty || known && !slices.Contains(g.s.Authors, d.User) && !ours(d.User), "approval by an author, or by whoever may be one")
		g.must(!slices.Contains(has, d.User) && len(has) < a.Required, "an approval too many")
		has = append(has, d.User)
	}
}

// leaves looks at every step that is left.
func (g *gateRules) leaves() {
	last := g.out.Memory.Step
	if g.out.Memory.Phase == Completing || g.out.Memory.Phase.Terminal() {
		last++
	}
	if g.m.Phase == Completing || last == g.m.Step {
		return
	}
	g.must(g.o.Shut == Shut{} || g.m.OverriddenBy != "" || g.said(Override), "leaves a step while the window is shut")
	full := g.said(PromoteFull)
	if full {
		last = len(g.s.Steps)
	}
	given := len(g.m.Approvals)
	for _, d := range g.words {
		if d.Verb == Approve {
			given++
		}
	}
	for i := g.m.Step; i < last; i++ {
		a := g.s.Steps[i].Approval
		g.must(a == nil || i == g.m.Step && given >= a.Required, "leaves step %d without its approvals", i)
	}
	if full {
		return
	}
	waived := g.asked() && g.said(Promote)
	g.must(waived || g.stepVerdict() == Good, "leaves a step whose analysis is %q", g.stepVerdict())
	g.must(waived || g.asked() && g.said(Resume) || g.besides() == Good || g.besides() == Measuring, "goes on although what is measured beside is %q", g.besides())
	for i := g.m.Step + 1; i < last; i++ {
		g.must(!g.s.Steps[i].Analysis || g.verdict(AnalysisID{Step: i}) == Good, "passes step %d, whose analysis is not good", i)
	}
}
