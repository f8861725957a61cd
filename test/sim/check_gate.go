package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/internal/release"
)

// gates is the checkers' own record of what was measured and said, so that a memory that says otherwise is found out.
type gates struct {
	// unsureAt is when an analysis, by the number of its key, came to a verdict that is not good, badAt when to a bad
	// one; 0 for never.
	unsureAt, badAt []int
	// approvers are those whose approval of the current step counts.
	approvers []string
	// abort is the first abort that is not answered: its number, counted from 1.
	abort int
	// idleFrom is since when the release has waited for an analysis that does not exist, or has not been told to conclude;
	// 0 if it does not.
	idleFrom int
}

// came notes what an analysis has come to.
func (g *gates) came(n int, a Analysis, tick int) {
	for n >= len(g.unsureAt) {
		g.unsureAt, g.badAt = append(g.unsureAt, 0), append(g.badAt, 0)
	}
	note := func(at *int, holds bool) {
		switch {
		case !holds:
			*at = 0
		case *at == 0:
			*at = tick
		}
	}
	note(&g.unsureAt[n], a.Verdict == release.Bad || a.Verdict == release.Unclear)
	note(&g.badAt[n], a.Verdict == release.Bad)
}

// heard follows what others write.
func (g *gates) heard(w *World, ch Change) {
	switch ch.Key.Kind {
	case KAnalysis:
		a, _ := ch.After.(Analysis)
		g.came(ch.Key.N, a, w.Tick)
	case KDecision:
		if d, ok := ch.After.(Decision); ok && d.Verb == release.Abort && !d.PlanMismatch && g.abort == 0 {
			g.abort = ch.Key.N + 1
		}
	}
}

// follow keeps the record with the memory.
func (g *gates) follow(before, after Release, w *World) {
	if before.Number != after.Number || after.Memory.End != release.NotEnding ||
		leftSteps(before.Memory, after.Memory) > 0 {
		g.approvers = nil
		return
	}
	for _, d := range w.newlyApplied(before, after) {
		if d.Verb == release.Approve {
			g.approvers = append(g.approvers, d.User)
		}
	}
}

// newlyApplied are the decisions that take effect with this write.
func (w *World) newlyApplied(before, after Release) (all []Decision) {
	for _, a := range after.Outbox {
		if !before.answers(a.ID) {
			all = append(all, w.decisionOf(a.ID))
		}
	}
	return all
}

func (w *World) decisionOf(id string) Decision {
	for i := range w.people.words {
		if d := must[Decision](&w.store.table, decisionKey(i)); d.ID == id {
			return d
		}
	}
	return Decision{}
}

func says(words []Decision, verb release.Verb) bool {
	return slices.ContainsFunc(words, func(d Decision) bool { return d.Verb == verb })
}

// forwards are the writes that take a release forwards; full: past all steps.
func forwards(ch Change) (before, after Release, full, ok bool) {
	before, after, ok = releases(ch)
	if !ok || after.Memory.End != release.NotEnding || leftSteps(before.Memory, after.Memory) == 0 {
		return before, after, false, false
	}
	return before, after, after.Memory.Full && !before.Memory.Full, true
}

func stepID(m release.Memory) release.AnalysisID {
	return release.AnalysisID{Step: m.Step, Attempt: m.Measured}
}

func backgroundID(r Release) release.AnalysisID {
	return release.AnalysisID{Background: true, Step: r.Spec.BackgroundFrom, Attempt: r.Memory.MeasuredBackground}
}

// besides says whether what is measured in the background counts in this release now.
func besides(r Release) bool {
	return r.Spec.Background && !r.Memory.Full && !r.Memory.WaivedBackground && r.Memory.Step >= r.Spec.BackgroundFrom
}

// knownVerdict is what an analysis has come to as far as the hands know.
func (w *World) knownVerdict(r Release, id release.AnalysisID) release.Verdict {
	return must[Analysis](w.known(), w.analysisKey(r.Number, id)).Verdict
}

// goodToGoOn is S12: a step with an analysis is left only when that analysis, in its current try, is good, or somebody
// goes on without; and none is left while what is measured beside the steps is known to be otherwise than good.
func goodToGoOn(w *World, ch Change) string {
	if message := w.handedOverWhileBad(ch); message != "" {
		return message
	}
	before, after, full, ok := forwards(ch)
	words := w.newlyApplied(before, after)
	if ok && full && !says(words, release.PromoteFull) && !w.passesByItself(before, after) {
		return "goes past all steps, which nobody has said"
	}
	if !ok || full {
		return ""
	}
	for i := range leftSteps(before.Memory, after.Memory) {
		id := stepID(before.Memory)
		if i > 0 {
			id = release.AnalysisID{Step: before.Memory.Step + i}
		}
		waived := i == 0 && (before.Memory.Waived || w.mayWaive(before, id, words, release.Promote))
		if v := w.knownVerdict(before, id); before.Spec.Steps[id.Step].Analysis && v != release.Good && !waived {
			return fmt.Sprintf("leaves %s, whose analysis (try %d) is %q", before.Spec.Steps[id.Step].Name, id.Attempt+1, v)
		}
	}
	return w.badBeside(before, words)
}

// badBeside says what is wrong with going on while the background's analysis is what it is.
func (w *World) badBeside(before Release, words []Decision) string {
	id := backgroundID(before)
	if v := w.knownVerdict(before, id); besides(before) && (v == release.Bad || v == release.Unclear) &&
		!w.mayWaive(before, id, words, release.Promote) && !w.mayWaive(before, id, words, release.Resume) {
		return fmt.Sprintf("goes on while the background analysis is %q", v)
	}
	return ""
}

func (w *World) handedOverWhileBad(ch Change) string {
	before, after, ok := releases(ch)
	if !ok || before.Memory.HandedOver || !after.Memory.HandedOver || after.Memory.Phase != release.Completing {
		return ""
	}
	words := w.newlyApplied(before, after)
	if says(words, release.PromoteFull) {
		return ""
	}
	return w.badBeside(before, words)
}

// anewOnlyWhenAsked is S12: what came to no good verdict is measured once more, or gone on without, only when somebody
// says so who was asked, after it had.
func anewOnlyWhenAsked(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || after.Memory.End != release.NotEnding {
		return ""
	}
	b, a, words := before.Memory, after.Memory, w.newlyApplied(before, after)
	stays := leftSteps(b, a) == 0
	for _, change := range []struct {
		is   bool
		id   release.AnalysisID
		verb release.Verb
		what string
	}{
		{stays && a.Measured != b.Measured, stepID(b), release.Resume, "measures once more"},
		{a.MeasuredBackground != b.MeasuredBackground, backgroundID(before), release.Resume, "measures once more beside " +
			"the steps"},
		{a.Waived && !b.Waived, stepID(b), release.Promote, "goes on without the step's analysis"},
		{a.WaivedBackground && !b.WaivedBackground, backgroundID(before), release.Promote, "goes on without the " +
			"background analysis"},
	} {
		if change.is && !w.mayWaive(before, change.id, words, change.verb) {
			return fmt.Sprintf("%s, which is %q, although nobody has said so who was asked", change.what,
				w.knownVerdict(before, change.id))
		}
	}
	return ""
}

// mayWaive says whether one of these words is that of somebody who was asked what was to become of that analysis:
// spoken after it had come to no good verdict and the release had stopped to ask.
func (w *World) mayWaive(before Release, id release.AnalysisID, words []Decision, verb release.Verb) bool {
	v := w.knownVerdict(before, id)
	if v != release.Bad && v != release.Unclear || before.Memory.PausedBy != "sluice" {
		return false
	}
	n := w.analysisKey(before.Number, id).N
	return slices.ContainsFunc(words, func(d Decision) bool {
		return d.Verb == verb && n < len(w.checks.gates.unsureAt) && d.At >= w.checks.gates.unsureAt[n] &&
			d.At >= tickOf(before.Memory.PausedAt)
	})
}

// approvalCounts is S23: an approval takes effect only if it was asked for before it was given, has not expired, is on
// this step and plan, and is from somebody who may give it, once. A rejection takes the release back.
func approvalCounts(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok {
		return ""
	}
	has := slices.Clone(w.checks.gates.approvers)
	for _, d := range w.newlyApplied(before, after) {
		switch d.Verb {
		case release.Approve:
			if message := w.wrongApproval(before, d, has); message != "" {
				return fmt.Sprintf("counts an approval by %s, %s", d.User, message)
			}
			has = append(has, d.User)
		case release.Reject:
			if after.Memory.End == release.NotEnding {
				return fmt.Sprintf("goes on although %s has rejected it", d.User)
			}
		}
	}
	return ""
}

func (w *World) wrongApproval(r Release, d Decision, has []string) string {
	a, m := r.Spec.Steps[r.Memory.Step].Approval, r.Memory
	switch {
	case a == nil || m.AskedAt.IsZero() || d.At < tickOf(m.AskedAt):
		return "which was given before it was asked for"
	case w.hands.decided >= tickOf(m.AskedAt.Add(a.ExpiresAfter)):
		return "which had expired"
	case d.Step != r.Spec.Steps[m.Step].Name || !d.PlanNamed || d.PlanMismatch:
		return "who has not named this step and plan"
	case !names(a, d.Decision):
		return "whom nobody has named"
	case a.SeparationOfDuty && (len(r.Spec.Authors) == 0 || slices.Contains(r.Spec.Authors, d.User)):
		return "who may be the author of the change"
	case a.CommentRequired && strings.TrimSpace(d.Comment) == "":
		return "who gives no reason"
	case slices.Contains(has, d.User):
		return "who has approved before"
	}
	return ""
}

// heardWhenAsked is S23: whoever was asked before he spoke is not told that nobody has, however clocks were set. The
// API server's clock alone, set back, may have that come of it.
func heardWhenAsked(w *World, ch Change) string {
	d, ok := ch.After.(Decision)
	r, _, _, under := w.current()
	if !ok || !under || d.Release != r.Number || d.Answer.Code != release.RefusedNoApprovalAsked || w.clocks.served {
		return ""
	}
	if asked := w.checks.askedAt; asked > 0 && d.At > asked {
		return fmt.Sprintf("%s, at tick %d, is refused as not asked for; it was at tick %d", d.ID, d.At, asked)
	}
	return ""
}

// countsWhatWasShown is B6: a promotion or an approval counts only for a step that is in force, and that was when it
// was spoken; but where a failure has stopped the release, a promotion is the answer to that.
func countsWhatWasShown(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || w.clocks.served || before.Memory.Phase == release.Completing {
		return ""
	}
	m := before.Memory
	for _, d := range w.newlyApplied(before, after) {
		if d.Verb != release.Promote && d.Verb != release.Approve || d.Verb == release.Promote && d.Shown.Asked &&
			m.PausedBy == "sluice" {
			continue
		}
		if m.StepReachedAt.IsZero() || d.Shown.Step != m.Step || !d.Shown.InForce {
			return fmt.Sprintf("counts a %s for step %d (in force: %t), whose speaker was shown step %d (in force: %t)",
				d.Verb, m.Step+1, !m.StepReachedAt.IsZero(), d.Shown.Step+1, d.Shown.InForce)
		}
	}
	return ""
}

// approvedToGoOn is S23: a step is left only with all of its approvals, and no promotion replaces one.
func approvedToGoOn(w *World, ch Change) string {
	before, after, full, ok := forwards(ch)
	if !ok {
		return ""
	}
	has := len(w.checks.gates.approvers)
	for _, d := range w.newlyApplied(before, after) {
		if d.Verb == release.Approve {
			has++
		}
	}
	last := before.Memory.Step + leftSteps(before.Memory, after.Memory)
	if full {
		last = len(before.Spec.Steps)
	}
	for i, step := range before.Spec.Steps[before.Memory.Step:last] {
		if a := step.Approval; a != nil && (i > 0 || has < a.Required) {
			return fmt.Sprintf("leaves %s with %d of %d approvals", step.Name, has*btoi(i == 0), a.Required)
		}
	}
	return ""
}

// knownShut says whether the hands knew, when they decided, that the window is shut and not overridden.
func (w *World) knownShut(r Release) bool {
	return r.Memory.OverriddenBy == "" && must[Window](w.known(), windowKey).shut(w.hands.decided)
}

// nothingWhileShut: while the window is shut, no weight is raised, no step left and no release's first pod started,
// unless somebody overrides it. A release that is being completed goes on.
func nothingWhileShut(w *World, ch Change) string {
	if _, after, full, ok := forwards(ch); ok && w.knownShut(after) {
		return fmt.Sprintf("leaves a step while the window is shut (past all steps: %t)", full)
	}
	r, _, to, under := w.current()
	if !under || r.Memory.Phase.Terminal() || r.Memory.Phase == release.Completing || !w.knownShut(r) {
		return ""
	}
	if before, after, ok := splits(ch); ok && !w.meddled() &&
		(after.Weight > before.Weight || after.Match != 0 && after.Match != before.Match) {
		return fmt.Sprintf("raises %s to %+v while the window is shut", ch.Key, after)
	}
	before, _ := ch.Before.(ReplicaSet)
	after, ok := ch.After.(ReplicaSet)
	if ok && ch.Key == replicaSetKey(to) && r.Memory.End == release.NotEnding && before.Desired == 0 && after.Desired > 0 {
		return fmt.Sprintf("starts the first pods of %s while the window is shut", to)
	}
	return ""
}

// gateCodes are the waits that this file watches over.
var gateCodes = []string{
	release.ReasonAnalysing, release.ReasonAnalysisUnclear, release.ReasonStepFailed, release.ReasonAwaitingApproval,
	release.ReasonWindowShut,
}

// gateDecided judges a decision: what it waits for ends in time to come, and it fails only on a verdict that counts.
func (c *checks) gateDecided(w *World, out release.Outcome) {
	r := must[Release](w.known(), releaseKey)
	if contains(gateCodes, out.Reason.Code) && (!out.Reason.Until.After(w.hands.now(w)) || out.Reason.Who == "" ||
		out.Reason.Since.IsZero()) {
		c.breaks(w, "L9", "waits for %s from %s to %s, which only %q can end", out.Reason.Code, out.Reason.Since,
			out.Reason.Until, out.Reason.Who)
	}
	for _, e := range out.Events {
		v := map[string]release.Verdict{
			string(release.AnalysisFailed): release.Bad,
			release.ReasonAnalysisUnclear:  release.Unclear,
		}[e.Code]
		if v != release.Measuring && w.knownVerdict(r, stepID(r.Memory)) != v && w.knownVerdict(r, backgroundID(r)) != v {
			c.breaks(w, "S12", "%s, although no analysis that counts is %q", e.Code, v)
		}
	}
}

// heeds is how long it may take until the hands act upon what they can know, when nothing disturbs them.
func (w *World) heeds() int { return abortLimit + foreignWindow/2*btoi(w.WatchLag > 1) }

// calmSince is when they could first have known something that came at a tick.
func (w *World) calmSince(tick int) int {
	e := &w.checks.excuse
	return max(tick, e.disturbedAt, e.blindUntil)
}

// underWay is the release under way that can still be taken back.
func (w *World) underWay() (r Release, ok bool) {
	r, _, to, ok := w.current()
	handed := r.Memory.HandedOver && w.set(to).Owner == OwnedByDeployment
	return r, ok && !r.Memory.Phase.Terminal() && r.Memory.End == release.NotEnding && !handed &&
		w.checks.excuse.blindFrom == 0
}

// badIsTakenBack is S12: whatever the release waits for, a bad verdict that counts takes it back within a bounded time.
func badIsTakenBack(w *World) string {
	if len(w.named) == 0 {
		return ""
	}
	r, ok := w.underWay()
	if !ok || r.Spec.OnFailure != release.FailureAborts {
		return ""
	}
	var ids []release.AnalysisID
	if m := r.Memory; m.Phase != release.Completing && r.Spec.Steps[m.Step].Analysis && !m.Waived {
		ids = append(ids, stepID(m))
	}
	if besides(r) {
		ids = append(ids, backgroundID(r))
	}
	for _, id := range ids {
		n := w.analysisKey(r.Number, id).N
		if n >= len(w.checks.gates.badAt) || w.checks.gates.badAt[n] == 0 {
			continue
		}
		if late := w.Tick - w.calmSince(w.checks.gates.badAt[n]); late > w.heeds() {
			return fmt.Sprintf("%+v is bad, and %d ticks later the release goes on, %s", id, late, w.hands.last.Reason.Code)
		}
	}
	return ""
}

// measuresAtAll is S12: what a step waits for is being measured, also when somebody has deleted it, and told to
// conclude.
func measuresAtAll(w *World) string {
	g := &w.checks.gates
	if w.hands.last.Reason.Code != release.ReasonAnalysing {
		g.idleFrom = 0
		return ""
	}
	r, ok := w.underWay()
	a, begun := at[Analysis](&w.store.table, w.analysisKey(r.Number, stepID(r.Memory)))
	if !ok || begun && (a.Concluding || a.Verdict != release.Measuring) {
		g.idleFrom = 0
		return ""
	}
	if g.idleFrom == 0 {
		g.idleFrom = w.Tick
	}
	if late := w.Tick - w.calmSince(g.idleFrom); late > w.heeds() && !w.meddled() {
		return fmt.Sprintf("waits for %d ticks for an analysis that is not to come to an end (begun: %t)", late, begun)
	}
	return ""
}

// expires is L2: what has reached its time limit ends. While a release waits for something else with a limit of its own
// it may be the recheck that finds out.
func expires(w *World) string {
	if w.Tick%8 != 0 {
		return "" // It is not that urgent.
	}
	r, ok := w.underWay()
	if !ok {
		return ""
	}
	m := r.Memory
	if end := tickOf(m.StartedAt.Add(r.Spec.ReleaseDeadline)); w.Tick > w.calmSince(end)+w.heeds()+recheck {
		return fmt.Sprintf("goes on %d ticks after its deadline", w.Tick-end)
	}
	if m.AskedAt.IsZero() || m.Phase == release.Completing {
		return ""
	}
	a := r.Spec.Steps[m.Step].Approval
	if a == nil || len(w.checks.gates.approvers) >= a.Required {
		return ""
	}
	if end := tickOf(m.AskedAt.Add(a.ExpiresAfter)); w.Tick > w.calmSince(end)+w.heeds()+recheck {
		return fmt.Sprintf("waits for approval %d ticks after it has expired", w.Tick-end)
	}
	return ""
}

// abortHeard is L3: an abort is applied within a bounded time, whatever the release waits for.
func abortHeard(w *World) string {
	g := &w.checks.gates
	if g.abort == 0 {
		return ""
	}
	d := must[Decision](&w.store.table, decisionKey(g.abort-1))
	r, ok := w.underWay()
	if d.Answered || !ok || d.Release != r.Number {
		g.abort = 0
		return ""
	}
	if late := w.Tick - w.calmSince(d.At); late > w.heeds() {
		return fmt.Sprintf("%s, an abort, is not heard for %d ticks while the release waits for %s", d.ID, late,
			w.hands.last.Reason.Code)
	}
	return ""
}

// followsThePlan is S23: a release has the steps that the Rollout asks for. Nobody in this world decides on a rollback,
// which alone would have none.
func followsThePlan(w *World, ch Change) string {
	r, is := ch.After.(Release)
	before, _ := ch.Before.(Release)
	if !is || before.Number == r.Number || reflect.DeepEqual(r.Spec.Steps, w.Plan.Steps) {
		return ""
	}
	return fmt.Sprintf("release %d has %d steps of its own, and nobody has decided on a rollback", r.Number,
		len(r.Spec.Steps))
}
