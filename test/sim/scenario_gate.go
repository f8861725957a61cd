package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// The moments of what is measured and said, in the first release.

// measuring: the analysis of that step, in that try, has begun.
func measuring(step, try int) Moment {
	return begunAnalysis(release.AnalysisID{Step: step, Attempt: try})
}

func begunAnalysis(id release.AnalysisID) Moment {
	return first(func(p *Picture) bool { return slices.Contains(p.Begun, id) })
}

// asks: the current step waits for approvals, and so many are given.
func asks(given int) Moment {
	return first(func(p *Picture) bool {
		return awaitsApproval(p.Release) && len(p.Release.Memory.Approvals) == given
	})
}

// from: the release has reached that step, or was there before.
func from(step int) Moment {
	return remembered(func(m release.Memory) bool { return m.Step > step || m.Step == step && !m.StepReachedAt.IsZero() })
}

// shutOut: the release waits for the window.
func shutOut(p *Picture) bool { return p.Waits == release.ReasonWindowShut }

// later is on, so many ticks after.
func later(ticks int, when Moment, actions ...Action) Trigger {
	return Trigger{When: when, Wait: ticks, Do: actions}
}

// The verdicts as actions, on the step's analysis and on the background's.
var (
	bad         = Action{Verb: DoVerdict, N: 1}
	unclear     = Action{Verb: DoVerdict, N: 2}
	badBeside   = Action{Verb: DoVerdict, N: 1, M: 1}
	unclearToo  = Action{Verb: DoVerdict, N: 2, M: 1}
	besideBegun = begunAnalysis(release.AnalysisID{Background: true})
)

// both holds when both do.
func both(a, b Moment) Moment {
	return func(p *Picture) bool { return a(p) && b(p) }
}

// measures has steps measured, by an analyst who finds them good before long; without steps he is silent.
func (s *Scenario) measures(steps ...int) *Scenario {
	s.Config.Plan.Steps[1].Analysis = len(steps) == 0
	for _, i := range steps {
		if i == len(s.Config.Plan.Steps) {
			break // Blue-green has two.
		}
		s.Config.Plan.Steps[i].Analysis = true
		s.Config.Analyst = Fate{Good: 1, After: 6}
	}
	return s
}

// watches has something measured beside the steps, of which nothing comes by itself.
func (s *Scenario) watches() *Scenario {
	s.Config.Plan.Background = true
	return s
}

// stern has nobody promote what has failed.
func (s *Scenario) stern() *Scenario {
	s.Config.Stern = true
	return s
}

// gateStride is which part of the faults the stories of gates are told with: coprime to the six that befall each write
// and the two that befall each event, so that over the stories every one of them comes in every place.
const gateStride = 5

// ends says what the story comes to.
func (s *Scenario) ends(how release.EndReason) *Scenario {
	s.Ends = how
	return s
}

func gateStories(add func(string, ...Trigger) *Scenario) {
	analysisStories(add)
	backgroundStories(add)
	approvalStories(add)
	windowStories(add)
}

// analysisStories are what can come of analyses.
func analysisStories(add func(string, ...Trigger) *Scenario) {
	add("analysis-good").measures(0, 1, 2)
	add("analysis-concluded").measures(1).Config.Analyst.Endless = 1
	for step := range 3 {
		s := add(fmt.Sprintf("analysis-bad-at-%d", step+1),
			on(measuring(step, 0), bad)).measures(step).ends(release.AnalysisFailed)
		s.Config.Analyst = Fate{}
	}
	add("analysis-bad-crosses-promote", on(measuring(1, 0), Action{Verb: DoPromote},
		bad)).measures().ends(release.AnalysisFailed)
	add("analysis-bad-crosses-resume", on(measuring(1, 0), Action{Verb: DoPause}),
		on(pausedBy("alice"), Action{Verb: DoResume}, bad)).
		measures().ends(release.AnalysisFailed)
	add("analysis-bad-paused-by-hand", on(measuring(1, 0), Action{Verb: DoPause}),
		on(pausedBy("alice"), bad)).measures().ends(release.AnalysisFailed)
	add("analysis-bad-scaled-to-zero", on(measuring(1, 0), Action{Verb: DoScale, N: 0}),
		later(10, measuring(1, 0), bad)).measures().ends(release.AnalysisFailed)
	add("analysis-unclear-promote", on(measuring(1, 0), unclear)).measures()
	add("analysis-unclear-resume", on(measuring(1, 0), unclear), on(failed, Action{Verb: DoResume})).measures(1).stern()
	add("analysis-unclear-twice", on(measuring(1, 0), unclear), on(failed, Action{Verb: DoResume}),
		on(measuring(1, 1), unclear)).measures().
		Config.Plan.OnFailure = release.FailurePauses
	add("analysis-unclear-turns-bad", on(reached(0), Action{Verb: DoPromote}), on(measuring(1, 0), unclear),
		later(3, failed, bad)).
		measures().ends(release.AnalysisFailed).Config.AutoPromote = false // Nobody promotes what may just have come out.
	add("analysis-unclear-abort", on(measuring(1, 0), unclear),
		on(failed, Action{Verb: DoAbort})).measures().stern().ends(release.AbortedByUser)
	add("analysis-never").measures().ends(release.DeadlinePassed).Config.Plan.ReleaseDeadline = 200 * time.Second
	for _, then := range []Verb{DoResume, DoPromote, DoAbort} {
		s := add("analysis-bad-pauses-then-"+string(then), on(measuring(1, 0), bad),
			on(failed, Action{Verb: then})).measures(1).stern()
		s.Config.Plan.OnFailure = release.FailurePauses
		if then == DoAbort {
			s.ends(release.AbortedByUser)
		}
	}
	add("analysis-deleted", on(measuring(1, 0), Action{Verb: DoForget})).measures(1)
	add("analysis-deleted-while-asked", on(measuring(1, 0), unclear), on(failed, Action{Verb: DoForget})).measures(1)
	add("analysis-edit", on(measuring(1, 0), Action{Verb: DoEdit, N: 2})).measures(1)
	add("analysis-full", on(measuring(1, 0), Action{Verb: DoPromoteFull})).measures()
}

func pausedBy(name string) Moment {
	return remembered(func(m release.Memory) bool { return m.PausedBy == name })
}

// backgroundStories are what can come of what is measured beside the steps.
func backgroundStories(add func(string, ...Trigger) *Scenario) {
	add("background-quiet").watches()
	for step := range 3 {
		add(fmt.Sprintf("background-bad-at-%d", step+1),
			on(both(from(step), besideBegun), badBeside)).watches().ends(release.AnalysisFailed)
	}
	for i, c := range completions[:len(completions)-1] {
		s := add("background-bad-when-"+c.name, on(c.when, badBeside)).watches()
		if i < 2 && divided(s.Config.Plan).Divide != release.ByPods {
			s.ends(release.AnalysisFailed) // Otherwise the workload has been given the new pods.
		}
	}
	for i, when := range []Moment{both(reached(1), besideBegun), completions[0].when, completions[1].when} {
		name := []string{"in-step", "completing", "draining"}[i]
		add("background-unclear-promote-"+name, on(when, unclearToo)).watches()
		add("background-unclear-resume-"+name, on(when, unclearToo),
			later(12, failed, Action{Verb: DoResume})).watches().stern()
		add("background-deleted-"+name, on(when, Action{Verb: DoForget, N: 1})).watches()
	}
}

// wants has the second step approved by so many of alice, bob and the group sre.
func (s *Scenario) wants(approvals int) *Scenario {
	s.Config.Plan.Steps[1].Approval = &release.Approval{
		Required: approvals, Users: []string{team[alice].name, team[bob].name}, Groups: []string{"sre"},
		ExpiresAfter: 120 * time.Second, RemindAfter: 60 * time.Second, SeparationOfDuty: true, CommentRequired: true,
	}
	return s
}

func approves(who int) Action { return Action{Verb: DoApprove, N: who} }

// approvalStories are what people can say, and when.
func approvalStories(add func(string, ...Trigger) *Scenario) {
	willing := func(name string, triggers ...Trigger) *Scenario {
		s := add(name, triggers...).wants(2)
		s.Config.AutoApprove = true
		return s
	}
	willing("approval-by-two")
	willing("approval-after-analysis").measures(1)
	willing("approval-full", on(reached(0), Action{Verb: DoPromoteFull}))
	willing("approval-edit", on(asks(1), Action{Verb: DoEdit, N: 2}))
	willing("approval-scale", on(asks(1), Action{Verb: DoScale, N: 6}))
	willing("approval-bad-beside", on(asks(1), badBeside)).watches().ends(release.AnalysisFailed)
	add("approval-by-group", on(asks(0), approves(dave)), on(asks(1), approves(alice))).wants(2)
	add("approval-rejected", on(asks(0), approves(alice)),
		on(asks(1), Action{Verb: DoReject, N: bob})).wants(2).ends(release.RejectedByUser)
	add("approval-rejected-by-author", on(asks(0), Action{Verb: DoReject, N: carol})).wants(1).ends(release.RejectedByUser)
	add("approval-expired", on(asks(0), approves(alice))).wants(2).ends(release.ApprovalExpired)
	add("approval-twice", on(asks(0), approves(alice)),
		on(asks(1), approves(alice))).wants(2).ends(release.ApprovalExpired)
	add("approval-abort", on(asks(0), approves(alice)),
		on(asks(1), Action{Verb: DoAbort})).wants(2).ends(release.AbortedByUser)
	add("approval-late", later(120, asks(0), approves(alice))).wants(1).ends(release.ApprovalExpired)
	add("approval-early", on(measuring(1, 0), approves(alice))).wants(1).measures(1).ends(release.ApprovalExpired).Config.Plan.Steps[1].Pause = release.Pause{}
	add("approval-wrong", on(asks(0), approves(mallory), approves(carol), Action{Verb: DoReject, N: mallory},
		Action{Verb: DoApprove, M: 1}, Action{Verb: DoApprove, M: 2}, Action{Verb: DoApprove, M: 3},
		Action{Verb: DoApprove, M: 4}, Action{Verb: DoApprove, M: 5},
		Action{Verb: DoPromoteFull})).wants(1).ends(release.ApprovalExpired)
	add("approval-author-unknown", on(asks(0), approves(alice))).wants(1).ends(release.ApprovalExpired).Config.Policy = false
}

// windowStories are what can happen while the window is shut.
func windowStories(add func(string, ...Trigger) *Scenario) {
	shut, opens := Action{Verb: DoShut}, Action{Verb: DoOpen}
	shuts := func(name string, triggers ...Trigger) *Scenario {
		return add(name, append([]Trigger{on(reached(0), shut)}, triggers...)...)
	}
	add("shut-at-start", on(always, Action{Verb: DoShut, N: 60}))
	add("shut-at-start-then-opened", on(always, shut), later(20, shutOut, opens))
	add("shut-at-start-abort", on(always, shut), on(shutOut, Action{Verb: DoAbort})).ends(release.AbortedByUser)
	add("shut-at-start-overridden", on(always, shut), on(shutOut, Action{Verb: DoOverride}))
	add("shut-by-the-clock", on(always, Action{Verb: DoShut, N: 60, M: 25}))
	add("shut-between", on(reached(0), Action{Verb: DoShut, N: 60}))
	add("shut-for-ever", on(reached(0), shut)).ends(release.DeadlinePassed).Config.Plan.ReleaseDeadline = 200 * time.Second
	shuts("shut-overridden", on(shutOut, Action{Verb: DoOverride, N: bob}))
	shuts("shut-overridden-without-reason", on(shutOut, Action{Verb: DoOverride, M: 5}), later(30, shutOut, opens))
	shuts("shut-abort", on(shutOut, Action{Verb: DoAbort})).ends(release.AbortedByUser)
	shuts("shut-full", on(shutOut, Action{Verb: DoPromoteFull}), later(40, shutOut, opens))
	shuts("shut-edit", on(shutOut, Action{Verb: DoEdit, N: 2}), later(60, shutOut, opens))
	shuts("shut-back", on(shutOut, Action{Verb: DoEdit, N: 0})).ends(release.BackToStable)
	shuts("shut-remove", on(shutOut, Action{Verb: DoRemove})).ends(release.RolloutRemoved)
	shuts("shut-scale", on(shutOut, Action{Verb: DoScale, N: 6}), later(40, shutOut, opens))
	shuts("shut-bad-beside", on(shutOut, badBeside)).watches().ends(release.AnalysisFailed)
	for _, c := range completions[:4] {
		add("shut-when-"+c.name, on(c.when, shut))
	}
}
