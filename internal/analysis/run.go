package analysis

import (
	"fmt"
	"strings"
	"time"
)

// Phase is where a run, a metric or a measurement stands.
type Phase string

// The phases. Whatever is not Successful is never taken for it.
const (
	Pending      Phase = "Pending"
	Running      Phase = "Running"
	Successful   Phase = "Successful"
	Failed       Phase = "Failed"
	Inconclusive Phase = "Inconclusive"
	Error        Phase = "Error"
)

// WaitsForData says whether an answer without data, asked for at a time, counts for nothing, in a run that began at
// started.
func (m Metric) WaitsForData(started, at time.Time) bool {
	return at.Before(started.Add(m.WaitForData))
}

// Ended says whether a metric is measured no more.
func (p Phase) Ended() bool { return p != "" && p != Pending && p != Running }

// Metric is how often one thing is measured, and how much of what comes out is borne.
type Metric struct {
	Name string
	// InitialDelay before the first measurement, Interval from one to the next; 0 means that there is one alone.
	InitialDelay, Interval time.Duration
	// Count is the number of measurements, errors not counted; 0 means until the run is concluded.
	Count int
	// FailureLimit, InconclusiveLimit and ConsecutiveErrorLimit are borne; one more ends the metric.
	FailureLimit, InconclusiveLimit, ConsecutiveErrorLimit int
	// WaitForData is how long after the run began an answer without data counts for nothing.
	WaitForData time.Duration
	// ConsecutiveSuccessLimit ends the metric early; 0 means never.
	ConsecutiveSuccessLimit int
	// DryRun: it is measured and recorded, but does not count.
	DryRun bool
}

// errorInterval is how long after an error a metric without an interval is measured again.
const errorInterval = 10 * time.Second

// Result is what has come out for one metric so far.
type Result struct {
	Name    string
	Phase   Phase
	Message string
	// Successful, Failed, Inconclusive and Errors count the measurements.
	Successful, Failed, Inconclusive, Errors int
	// ConsecutiveErrors and ConsecutiveSuccesses count the last ones of a kind.
	ConsecutiveErrors, ConsecutiveSuccesses int
	// LastAt is when the last measurement began.
	LastAt time.Time
}

// Measurement is one value and what it means.
type Measurement struct {
	At      time.Time
	Phase   Phase
	Message string
}

func (r Result) taken() int { return r.Successful + r.Failed + r.Inconclusive }

// Take counts a measurement. A metric that has ended takes none.
func (r Result) Take(m Metric, x Measurement) Result {
	if r.Phase.Ended() {
		return r
	}
	r.Phase, r.LastAt = Running, x.At
	switch x.Phase {
	case Successful:
		r.Successful++
		r.ConsecutiveSuccesses++
		r.ConsecutiveErrors = 0
	case Failed:
		r.Failed++
		r.ConsecutiveSuccesses, r.ConsecutiveErrors = 0, 0
	case Inconclusive:
		r.Inconclusive++
		r.ConsecutiveSuccesses, r.ConsecutiveErrors = 0, 0
	case Pending: // There is no data yet.
		r.Message = x.Message
		return r
	default: // What is no measurement is an error, whatever it calls itself.
		r.Errors++
		r.ConsecutiveErrors++
		r.ConsecutiveSuccesses = 0
	}
	return r.judge(m, x.Message)
}

func (r Result) judge(m Metric, said string) Result {
	switch {
	case r.Failed > m.FailureLimit:
		return r.end(Failed, "%s failed %s (%d borne): %s", m.Name, times(r.Failed), m.FailureLimit, said)
	case r.Inconclusive > m.InconclusiveLimit:
		return r.end(Inconclusive, "%s was inconclusive %s (%d borne): %s", m.Name, times(r.Inconclusive),
			m.InconclusiveLimit, said)
	case r.ConsecutiveErrors > m.ConsecutiveErrorLimit:
		return r.end(Error, "%s could not be measured %s in a row (%d borne): %s", m.Name, times(r.ConsecutiveErrors),
			m.ConsecutiveErrorLimit, said)
	case m.ConsecutiveSuccessLimit > 0 && r.ConsecutiveSuccesses >= m.ConsecutiveSuccessLimit:
		return r.end(Successful, "%s was good %s in a row: %s", m.Name, times(r.ConsecutiveSuccesses), said)
	case m.count() > 0 && r.taken() >= m.count():
		return r.full(m, said)
	}
	r.Message = said
	return r
}

// full ends a metric that was measured often enough. Not one good measurement is no success, however many bad ones are
// borne.
func (r Result) full(m Metric, said string) Result {
	if r.Successful == 0 {
		return r.end(Inconclusive, "%s was never good in %s: %s", m.Name, counted(r.taken(), "measurement"), said)
	}
	return r.end(Successful, "%s was good in %d of %s: %s", m.Name, r.Successful, counted(r.taken(), "measurement"), said)
}

func (r Result) end(p Phase, format string, args ...any) Result {
	r.Phase, r.Message = p, strings.TrimSuffix(fmt.Sprintf(format, args...), ": ")
	return r
}

// count is the number of measurements to take; 0 means until the run is concluded.
func (m Metric) count() int {
	if m.Count == 0 && m.Interval == 0 {
		return 1
	}
	return m.Count
}

// due is when a metric is to be measured next.
func (m Metric) due(r Result, started time.Time) time.Time {
	switch {
	case r.LastAt.IsZero():
		return started.Add(m.InitialDelay)
	case m.Interval > 0:
		return r.LastAt.Add(m.Interval)
	}
	return r.LastAt.Add(errorInterval)
}

// Progress is what a run has come to, and what is to be measured.
type Progress struct {
	Phase   Phase
	Message string
	// Results, one for each metric, in their order; those that were concluded have ended.
	Results []Result
	// Due are the names of the metrics to be measured now.
	Due []string
	// Over: nothing more will be measured. A run that has come to no good verdict may go on: a worse one can still
	// come.
	Over bool
	// Wake is when the next metric is due; zero if none is.
	Wake time.Time
}

// Look says what a run has come to. Conclude has what has no count of its own come to an end.
func Look(metrics []Metric, results []Result, started, now time.Time, conclude bool) Progress {
	p := Progress{}
	for _, m := range metrics {
		r := resultOf(results, m.Name)
		if conclude && !r.Phase.Ended() && m.count() == 0 && r.taken() > 0 {
			r = r.full(m, r.Message)
		}
		p.Results = append(p.Results, r)
	}
	p.verdict(metrics)
	if p.Over {
		return p
	}
	for i, m := range metrics {
		if p.Results[i].Phase.Ended() {
			continue
		}
		at := m.due(p.Results[i], started)
		if !now.Before(at) {
			p.Due = append(p.Due, m.Name)
		} else if p.Wake.IsZero() || at.Before(p.Wake) {
			p.Wake = at
		}
	}
	return p
}

func resultOf(results []Result, name string) Result {
	for _, r := range results {
		if r.Name == name {
			return r
		}
	}
	return Result{Name: name, Phase: Pending}
}

// worst first: a run is as bad as its worst metric.
var worst = []Phase{Failed, Error, Inconclusive}

func (p *Progress) verdict(metrics []Metric) {
	running, counting := 0, 0
	for i, m := range metrics {
		if !m.DryRun {
			counting++
		}
		if !p.Results[i].Phase.Ended() && !m.DryRun {
			running++
		}
	}
	if counting == 0 { // All are tried out only: then each is measured to its end.
		running = p.unended()
	}
	p.Phase, p.Over = Running, running == 0
	for _, bad := range worst {
		for i, m := range metrics {
			if r := p.Results[i]; r.Phase == bad && !m.DryRun {
				p.Phase, p.Message, p.Over = bad, r.Message, p.Over || bad == Failed
				return
			}
		}
	}
	if p.Over {
		p.Phase = Successful
	}
	p.Message = p.summary()
}

func (p *Progress) unended() int {
	n := 0
	for _, r := range p.Results {
		if !r.Phase.Ended() {
			n++
		}
	}
	return n
}

func (p *Progress) summary() string {
	var said []string
	for _, r := range p.Results {
		switch {
		case r.Message == "":
			said = append(said, r.Name+" was not measured yet")
		case r.Phase.Ended():
			said = append(said, r.Message)
		default:
			said = append(said, fmt.Sprintf("%s was good in %d of %s: %s", r.Name, r.Successful,
				counted(r.taken(), "measurement"), r.Message))
		}
	}
	return strings.Join(said, "; ")
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
