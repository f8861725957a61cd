package release

import (
	"fmt"
	"slices"
	"time"
)

// This file has what is measured on the way: in a step, and in the background beside the steps.

// measure begins what is to be measured from here on. The background's analysis begins in a step that is in force and
// goes on to the end.
func (p *pass) measure() {
	if p.m.Phase != Completing && p.current().Analysis && !p.m.Waived {
		p.begin(p.stepAnalysis())
	}
	if p.measuresBackground() {
		p.begin(p.backgroundAnalysis())
	}
}

func (p *pass) begin(id AnalysisID) {
	if p.analysis(id) != nil {
		return
	}
	p.untell(id)
	analyse := Action(Analyse{ID: id})
	if !slices.ContainsFunc(p.out.Actions, func(a Action) bool { return a == analyse }) {
		p.do(analyse)
	}
}

// untell forgets that people were told what an analysis came to that somebody has deleted since. It is measured anew
// under the same name, and a word on the verdict that went is none on the one that comes.
func (p *pass) untell(id AnalysisID) {
	if id.Background {
		p.m.ToldBackground = Measuring
	} else {
		p.m.Told = Measuring
	}
}

func (p *pass) measuresBackground() bool {
	return p.s.Background && !p.m.WaivedBackground && !p.m.Full && p.m.Step >= p.s.BackgroundFrom
}

func (p *pass) stepAnalysis() AnalysisID { return AnalysisID{Step: p.m.Step, Attempt: p.m.Measured} }

func (p *pass) backgroundAnalysis() AnalysisID {
	return AnalysisID{Background: true, Step: p.s.BackgroundFrom, Attempt: p.m.MeasuredBackground}
}

func (p *pass) analysis(id AnalysisID) *Analysis {
	for i := range p.o.Analyses {
		if a := &p.o.Analyses[i]; a.ID == id {
			return a
		}
	}
	return nil
}

// judged acts on a verdict that is not good, whatever the release waits for. It says whether there was one.
func (p *pass) judged() (again, judged bool) {
	for _, id := range p.counting() {
		a := p.analysis(id)
		if a == nil {
			continue
		}
		message := fmt.Sprintf("%s at %s: %s", subject(id), p.placeLabel(), a.Message)
		switch told := p.told(a); {
		case a.Verdict == Bad && !(told && p.s.OnFailure == FailurePauses):
			again = p.fail(AnalysisFailed, message)
		case a.Verdict == Unclear && !told:
			p.ask(ReasonAnalysisUnclear, message)
			again = true
		default:
			continue
		}
		p.tell(a)
		return again, true
	}
	return false, false
}

// told says whether the release has stopped to tell a person this very verdict.
func (p *pass) told(a *Analysis) bool {
	verdict := p.m.Told
	if a.ID.Background {
		verdict = p.m.ToldBackground
	}
	return p.m.PausedBy == pausedByFailure && verdict == a.Verdict
}

// tell remembers what a release that has stopped has told.
func (p *pass) tell(a *Analysis) {
	switch {
	case p.m.PausedBy != pausedByFailure: // It is taken back.
	case a.ID.Background:
		p.m.ToldBackground = a.Verdict
	default:
		p.m.Told = a.Verdict
	}
}

// counting are the analyses whose verdict counts now.
func (p *pass) counting() []AnalysisID {
	var out []AnalysisID
	if p.m.Phase != Completing && p.current().Analysis && !p.m.Waived {
		out = append(out, p.stepAnalysis())
	}
	if p.measuresBackground() {
		out = append(out, p.backgroundAnalysis())
	}
	return out
}

// analysed waits for the step's analysis. The pause is over by then, and with it what is measured all through it.
func (p *pass) analysed() Reason {
	if !p.current().Analysis || p.m.Waived {
		return Reason{}
	}
	a := p.analysis(p.stepAnalysis())
	if a == nil {
		return p.untilDeadline(ReasonAnalysing, "the analysis of "+p.stepLabel()+" begins", byAnalysis, p.m.StepReachedAt)
	}
	if a.Verdict == Good {
		return Reason{}
	}
	if !a.Concluding {
		p.do(ConcludeAnalysis{ID: a.ID})
	}
	return p.untilDeadline(ReasonAnalysing, "the analysis of "+p.stepLabel()+" goes on"+problemOf(a.Message), byAnalysis,
		p.m.StepReachedAt)
}

// crosses says whether a word was spoken before the release was paused, by a person or to ask one: it is not an answer
// to that.
func (p *pass) crosses(d Decision) bool {
	return p.m.PausedBy != "" && d.unseen(p.m.PausedAt)
}

// unseen says whether whoever spoke was not shown what came at a moment: the word names another moment, or it names
// none and was not spoken clearly later. The API server keeps the second of a word alone, and what came is stored a
// little after it came: so within a second nobody can tell, and a word that names no moment does not count.
func (d Decision) unseen(at time.Time) bool {
	if !d.Since.IsZero() {
		return !d.Since.Equal(at)
	}
	return !d.At.IsZero() && d.At.Before(at.Add(time.Second))
}

// remeasure has what came to no good verdict measured once more, since a person resumes; with waive he goes on without.
// It counts only where he was asked: a word from before the verdict speaks of no verdict.
func (p *pass) remeasure(waive bool) {
	if p.m.PausedBy != pausedByFailure {
		return
	}
	for _, id := range p.counting() {
		a := p.analysis(id)
		if a == nil || a.Verdict == Measuring || a.Verdict == Good || !p.told(a) {
			continue
		}
		switch {
		case waive && id.Background:
			p.m.WaivedBackground = true
		case waive:
			p.m.Waived = true
		case id.Background:
			p.m.MeasuredBackground++
		default:
			p.m.Measured++
		}
	}
}

// failedVerdict is the one that paused the release, if a verdict did.
func (p *pass) failedVerdict() Verdict {
	for _, id := range p.counting() {
		if a := p.analysis(id); a != nil && (a.Verdict == Unclear || a.Verdict == Bad) {
			return a.Verdict
		}
	}
	return Measuring
}

// failureCode tells why a failure paused the release, and wayOn what people can do.
func (p *pass) failureCode() string {
	if p.failedVerdict() == Unclear {
		return ReasonAnalysisUnclear
	}
	return ReasonStepFailed
}

func (p *pass) wayOn() string {
	if p.failedVerdict() != Measuring {
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
