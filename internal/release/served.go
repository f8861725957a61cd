package release

import (
	"strings"
	"time"
)

// This file has the question whether the requests really go where a step wants them. A gateway may have read the route
// and heed something else: another canary of the same path, a class that it does not serve. Its own metrics show that.

// ShareQuestion asks what share of the requests has reached the new version since a step's routes should be in force.
type ShareQuestion struct {
	// Step, counted from 0.
	Step int
	// Weight is the share that is due, Before the one that was due in the step before, in percent.
	Weight, Before int
	// AtLeast: matches send further requests there.
	AtLeast bool
	// Since is when the last layer was settled.
	Since time.Time
}

// Served is what the gateway's metrics have said.
type Served struct {
	// Of is the question that it is an answer to.
	Of      ShareQuestion
	Verdict ServedVerdict
	// Message says what was counted.
	Message string
	// Until is how long there may be no word.
	Until time.Time
}

// ServedVerdict is what is known of the share that is served.
type ServedVerdict string

// The verdicts.
const (
	// ServedCounting: there is no word yet.
	ServedCounting ServedVerdict = ""
	// ServedAsDue: it is what is due.
	ServedAsDue ServedVerdict = "asDue"
	// ServedOtherwise: it is not.
	ServedOtherwise ServedVerdict = "otherwise"
	// ServedUnknown: too few requests, or no answer, for as long as it is waited for. Then time has to do.
	ServedUnknown ServedVerdict = "unknown"
)

// served waits until the metrics show that the step's share reaches the new version. A step that was in force before is
// not asked about again.
func (p *pass) served() Reason {
	step := p.current()
	if !p.o.Metered || step.Weight == 0 || !p.m.StepReachedAt.IsZero() {
		return Reason{}
	}
	q := p.shareQuestion()
	p.out.Ask = &q
	answer := p.o.Served
	if answer.Of != q {
		answer = Served{}
	}
	layers := strings.Join(p.s.Layers, " and ")
	switch answer.Verdict {
	case ServedAsDue, ServedUnknown:
		return Reason{}
	case ServedOtherwise:
		return awaiting(ReasonRouteNotInForce, byGateway, "%s: %s", layers, answer.Message)
	case ServedCounting:
	}
	r := awaiting(ReasonRouteNotInForce, byPassing, "%s should be in force; requests are being counted to see whether "+
		"%d%% reach the new version", layers, step.Weight)
	if answer.Until.IsZero() {
		return r
	}
	return p.within(r, q.Since, answer.Until)
}

func (p *pass) shareQuestion() ShareQuestion {
	step := p.current()
	q := ShareQuestion{Step: p.m.Step, Weight: step.Weight, AtLeast: len(step.Matches) > 0, Since: p.m.StepStartedAt}
	if p.m.Step > 0 {
		q.Before = p.s.Steps[p.m.Step-1].Weight
	}
	for i := range p.o.Layers {
		if at := p.o.Layers[i].settledAt; at.After(q.Since) {
			q.Since = at
		}
	}
	q.Since = q.Since.UTC().Truncate(time.Microsecond) // The same before and after it was stored.
	return q
}
