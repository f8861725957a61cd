package release

import (
	"fmt"
	"slices"
	"time"
)

// This file has what is measured on the way: in a step, and in the background beside the steps.

// measure begins what is to be measured from here on. The background's analysis begins in a step that is in force and
// goes on to the end.
func (t *turn) measure() {
	if t.m.Phase != Completing && t.current().Analysis && !t.m.Waived {
		t.begin(t.stepAnalysis())
	}
	if t.measuresBackground() {
		t.begin(t.backgroundAnalysis())
	}
}

func (t *turn) begin(id AnalysisID) {
	begun := t.analysis(id) != nil || slices.ContainsFunc(t.out.Actions, func(a Action) bool { return a == Action(Analyse{ID: id}) })
	if !begun {
		t.do(Analyse{ID: id})
	}
}

func (t *turn) measuresBackground() bool {
	return t.s.Background && !t.m.WaivedBackground && !t.m.Full && t.m.Step >= t.s.BackgroundFrom
}

func (t *turn) stepAnalysis() AnalysisID { return AnalysisID{Step: t.m.Step, Attempt: t.m.Measured} }

func (t *turn) backgroundAnalysis() AnalysisID {
	return AnalysisID{Background: true, Step: t.s.BackgroundFrom, Attempt: t.m.MeasuredBackground}
}

func (t *turn) analysis(id AnalysisID) *Analysis {
	for i := range t.o.Analyses {
		if a := &t.o.Analyses[i]; a.ID == id {
			return a
		}
	}
	return nil
}

// judged acts on a verdict that is not good, whatever the release waits for. It says whether there was one.
func (t *turn) judged() (again, judged bool) {
	for _, id := range t.counting() {
		a := t.analysis(id)
		if a == nil {
			continue
		}
		message := fmt.Sprintf("%s at %s: %s", subject(id), t.placeLabel(), a.Message)
		switch told := t.told(a); {
		case a.Verdict == Bad && !(told && t.s.OnFailure == FailurePauses):
			again = t.fail(AnalysisFailed, message)
		case a.Verdict == Unclear && !told:
			t.ask(ReasonAnalysisUnclear, message)
			again = true
		default:
			continue
		}
		t.tell(a)
		return again, true
	}
	return false, false
}

// told says whether the release has stopped to tell a person this very verdict.
func (t *turn) told(a *Analysis) bool {
	verdict := t.m.Told
	if a.ID.Background {
		verdict = t.m.ToldBackground
	}
	return t.m.PausedBy == pausedByFailure && verdict == a.Verdict
}

// tell remembers what a release that has stopped has told.
func (t *turn) tell(a *Analysis) {
	switch {
	case t.m.PausedBy != pausedByFailure: // It is taken back.
	case a.ID.Background:
		t.m.ToldBackground = a.Verdict
	default:
		t.m.Told = a.Verdict
	}
}

// counting are the analyses whose verdict counts now.
func (t *turn) counting() []AnalysisID {
	var out []AnalysisID
	if t.m.Phase != Completing && t.current().Analysis && !t.m.Waived {
		out = append(out, t.stepAnalysis())
	}
	if t.measuresBackground() {
		out = append(out, t.backgroundAnalysis())
	}
	return out
}

// analysed waits for the step's analysis. The pause is over by then, and with it what is measured all through it.
func (t *turn) analysed() Reason {
	if !t.current().Analysis || t.m.Waived {
		return Reason{}
	}
	a := t.analysis(t.stepAnalysis())
	if a == nil {
		return t.until(ReasonAnalysing, "the analysis of "+t.stepLabel()+" begins", byAnalysis, t.m.StepReachedAt, t.releaseDeadline())
	}
	if a.Verdict == Good {
		return Reason{}
	}
	if !a.Concluding {
		t.do(ConcludeAnalysis{ID: a.ID})
	}
	return t.until(ReasonAnalysing, "the analysis of "+t.stepLabel()+" goes on"+problemOf(a.Message), byAnalysis, t.m.StepReachedAt, t.releaseDeadline())
}

// crosses says whether a word was spoken before the release was paused, by a person or to ask one: it is not an answer
// to that.
func (t *turn) crosses(d Decision) bool {
	return t.m.PausedBy != "" && d.unseen(t.m.PausedAt)
}

// unseen says whether whoever spoke was not shown what came at a moment: the word names another moment, or it names none
// and was not spoken clearly later. The API server keeps the second of a word alone, and what came is stored a little
// after it came: so within a second nobody can tell, and a word that names no moment does not count.
func (d Decision) unseen(at time.Time) bool {
	if !d.Since.IsZero() {
		return !d.Since.Equal(at)
	}
	return !d.At.IsZero() && d.At.Before(at.Add(time.Second))
}

// remeasure has what came to no good verdict measured once more, since a person resumes; with waive he goes on without.
// It counts only where he was asked: a word from before the verdict speaks of no verdict.
func (t *turn) remeasure(waive bool) {
	if t.m.PausedBy != pausedByFailure {
		return
	}
	for _, id := range t.counting() {
		a := t.analysis(id)
		if a == nil || a.Verdict == Measuring || a.Verdict == Good || !t.told(a) {
			continue
		}
		switch {
		case waive && id.Background:
			t.m.WaivedBackground = true
		case waive:
			t.m.Waived = true
		case id.Background:
			t.m.MeasuredBackground++
		default:
			t.m.Measured++
		}
	}
}

// failedVerdict is the one that paused the release, if a verdict did.
func (t *turn) failedVerdict() Verdict {
	for _, id := range t.counting() {
		if a := t.analysis(id); a != nil && (a.Verdict == Unclear || a.Verdict == Bad) {
			return a.Verdict
		}
	}
	return Measuring
}

// failureCode tells why a failure paused the release, and wayOn what people can do.
func (t *turn) failureCode() string {
	if t.failedVerdict() == Unclear {
		return ReasonAnalysisUnclear
	}
	return ReasonStepFailed
}

func (t *turn) wayOn() string {
	if t.failedVerdict() != Measuring {
		return "; resume to measure once more, promote to go on without, or abort to take the release back"
	}
	return "; promote or resume to go on trying, or abort to take the release back"
}

func subject(id AnalysisID) string {
	if id.Background {
		return "the background analysis"
	}
	return "the analysis"
}
