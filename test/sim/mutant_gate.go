package sim

import (
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// measured has the mind see other analyses than there are.
func measured(how func(release.Spec, release.Memory, *release.Analysis)) func(Mind) Mind {
	return lies(func(s release.Spec, o *release.Observed, m *release.Memory) {
		o.Analyses = slices.Clone(o.Analyses)
		for i := range o.Analyses {
			how(s, *m, &o.Analyses[i])
		}
	})
}

// hears has the mind apply what it has refused for one reason, as an approval.
func hears(code string) func(Mind) Mind {
	return acts(func(_ release.Spec, o release.Observed, _ release.Memory, out *release.Outcome) {
		for i, a := range out.Answers {
			if a.Code != code || out.Memory.End != release.NotEnding || out.Memory.AskedAt.IsZero() {
				continue
			}
			d := o.Decisions[i]
			if d.Verb != release.Approve {
				continue
			}
			out.Answers[i].Applied = true
			out.Memory.Approvals = append(slices.Clone(out.Memory.Approvals), release.Approved{User: d.User})
		}
	})
}

// approvals has the mind follow other approvals than were asked for.
func approvals(how func(*release.Approval)) func(Mind) Mind {
	return plans(func(s *release.Spec) {
		for i := range s.Steps {
			if a := s.Steps[i].Approval; a != nil {
				other := *a
				how(&other)
				s.Steps[i].Approval = &other
			}
		}
	})
}

// gateMutants go on when they should not, or wait for what never comes.
func gateMutants() []Mutant { return append(analysisMutants(), wordMutants()...) }

// analysisMutants mistake what was measured.
func analysisMutants() []Mutant {
	return []Mutant{
		{
			Name: "unclear taken for good", Row: "41, 43",
			Mind: measured(func(_ release.Spec, _ release.Memory, a *release.Analysis) {
				if a.Verdict == release.Unclear {
					a.Verdict = release.Good
				}
			}),
		},
		{
			Name: "no verdict taken for good", Row: "41, 43",
			Mind: measured(func(_ release.Spec, _ release.Memory, a *release.Analysis) {
				if a.Verdict == release.Measuring && a.Concluding {
					a.Verdict = release.Good
				}
			}),
		},
		{
			Name: "bad verdict ignored while paused", Row: "40",
			Mind: measured(func(_ release.Spec, m release.Memory, a *release.Analysis) {
				if m.Phase == release.Paused && a.Verdict == release.Bad {
					a.Verdict = release.Measuring
				}
			}),
		},
		{
			Name: "bad verdict ignored in completion", Row: "40",
			Mind: measured(func(_ release.Spec, m release.Memory, a *release.Analysis) {
				if m.Phase == release.Completing && a.Verdict == release.Bad {
					a.Verdict = release.Measuring
				}
			}),
		},
		{Name: "verdict of an earlier try used", Row: "41", Mind: func(good Mind) Mind {
			return func(s release.Spec, o release.Observed, m release.Memory, now time.Time) release.Outcome {
				o.Analyses = slices.Clone(o.Analyses)
				for i := range o.Analyses {
					if a := &o.Analyses[i]; a.ID == stepID(m) && a.ID.Attempt > 0 {
						a.Verdict = earlier(o.Analyses, a.ID)
					}
				}
				return good(s, o, m, now)
			}
		}},
		{
			Name: "analysis not begun again after deletion", Row: "23",
			Mind: acts(func(_ release.Spec, _ release.Observed, m release.Memory, out *release.Outcome) {
				out.Actions = slices.DeleteFunc(out.Actions, func(a release.Action) bool {
					_, is := a.(release.Analyse)
					return is && !m.StepReachedAt.IsZero()
				})
			}),
		},
		{
			Name: "analysis never told to conclude", Row: "23",
			Mind: acts(func(_ release.Spec, _ release.Observed, _ release.Memory, out *release.Outcome) {
				out.Actions = slices.DeleteFunc(out.Actions,
					func(a release.Action) bool { _, is := a.(release.ConcludeAnalysis); return is })
			}),
		},
		{
			Name: "resume goes on without", Row: "41, 43",
			Mind: acts(func(_ release.Spec, _ release.Observed, m release.Memory, out *release.Outcome) {
				if out.Memory.Measured > m.Measured {
					out.Memory.Measured, out.Memory.Waived = m.Measured, true
				}
			}),
		},
	}
}

// earlier is what the try before came to.
func earlier(all []release.Analysis, id release.AnalysisID) release.Verdict {
	id.Attempt--
	for _, a := range all {
		if a.ID == id {
			return a.Verdict
		}
	}
	return release.Measuring
}

// wordMutants mistake what was said, or when.
func wordMutants() []Mutant {
	return []Mutant{
		{Name: "approval counted twice for one user", Row: "S23", Mind: hears(release.RefusedAlreadyApproved)},
		{Name: "approval by an unnamed user counts", Row: "S23", Mind: hears(release.RefusedNotAnApprover)},
		{Name: "the author approves his own change", Row: "S23", Mind: hears(release.RefusedSeparationOfDuty)},
		{Name: "approval of another plan counts", Row: "S23", Mind: hears(release.RefusedPlanMismatch)},
		{Name: "approval without a reason counts", Row: "S23", Mind: hears(release.RefusedCommentMissing)},
		{
			Name: "expired approval counts", Row: "S23",
			Mind: approvals(func(a *release.Approval) { a.ExpiresAfter = 1 << 40 }),
		},
		{Name: "one approval is enough", Row: "S23", Mind: approvals(func(a *release.Approval) { a.Required = 1 })},
		{
			Name: "promote --full passes an approval", Row: "S23",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				for i, a := range out.Answers {
					if o.Decisions[i].Verb == release.PromoteFull && a.Code == release.RefusedApprovalNeeded {
						out.Answers[i].Applied = true
						out.Memory = m
						out.Memory.Full, out.Memory.Phase, out.Actions = true, release.Completing, nil
					}
				}
			}),
		},
		{
			Name: "a promotion of a step on its way counts", Row: "B6",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				for i, a := range out.Answers {
					if o.Decisions[i].Verb == release.Promote && a.Code == release.RefusedStepNotInForce &&
						out.Memory.End == release.NotEnding {
						out.Answers[i].Applied, out.Memory.Promoted = true, out.Memory.Step == m.Step
					}
				}
			}),
		},
		{
			Name: "a rejection is only heard", Row: "39",
			Mind: acts(func(_ release.Spec, _ release.Observed, m release.Memory, out *release.Outcome) {
				if out.Memory.End == release.RejectedByUser && m.End == release.NotEnding {
					out.Memory, out.Actions = m, nil
				}
			}),
		},
		{
			Name: "window ignored between steps", Row: "window",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				if !m.StepReachedAt.IsZero() {
					o.Shut = release.Shut{}
				}
			}),
		},
		{
			Name: "window ignored at the start", Row: "window",
			Mind: lies(func(_ release.Spec, o *release.Observed, m *release.Memory) {
				if m.Step == 0 && m.StepReachedAt.IsZero() {
					o.Shut = release.Shut{}
				}
			}),
		},
		{
			Name: "an abort waits for the window", Row: "38",
			Mind: lies(func(_ release.Spec, o *release.Observed, _ *release.Memory) {
				if o.Shut.Window != "" {
					o.Decisions = nil
				}
			}),
		},
	}
}
