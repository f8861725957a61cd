package release

import "time"

// This file has the rows before a release begins. People apply a new image and new steps together, but the API server
// gets them one after the other, in any order. So a release begins only when nothing has changed for a moment.

const (
	// quiet is how long what a release follows must have stood unchanged, and quietMost how long a release is put off
	// by changes at most.
	quiet     = time.Second
	quietMost = 10 * time.Second
)

// quietly waits until what the release would follow has stood unchanged for a moment. Somebody's decision, to retry
// or to roll back, is not waited upon.
func (r *rest) quietly() finding {
	if r.cause() != CauseTemplateChanged {
		return goOn
	}
	m := r.memory
	if m.ChangedAt.IsZero() {
		m.ChangedAt = r.now
	}
	if m.Follows != r.o.Follows {
		m.Follows, m.QuietAt = r.o.Follows, r.now.Add(quiet)
	}
	latest := m.ChangedAt.Add(quietMost)
	if m.QuietAt.After(latest) {
		m.QuietAt = latest
	}
	if !m.QuietAt.After(r.now) {
		return goOn
	}
	r.out.Memory.Follows, r.out.Memory.ChangedAt, r.out.Memory.QuietAt = m.Follows, m.ChangedAt, m.QuietAt
	r.wake(m.QuietAt)
	if r.now.Before(m.ChangedAt.Add(passing)) {
		return unsaid
	}
	v := says(RestPending, ReasonStillChanging, "whoever changes it, or time",
		"the workload, its Services, the Rollout or its templates are still being changed; "+
			"the release begins when they have stood unchanged for %s", quiet)
	v.reason.Since, v.reason.Until = m.ChangedAt, latest
	return v
}

// inTurn waits for a release of another Rollout that this one's layers have no room beside.
func (r *rest) inTurn() finding {
	if r.o.Busy.Release == "" {
		return goOn
	}
	return says(RestPending, ReasonLayerBusy, "release "+r.o.Busy.Release, "%s", r.o.Busy.Message)
}

// start begins the release of the pod template.
func (r *rest) start() finding {
	r.do(StartRelease{From: r.stable, To: r.o.Workload.Template, Cause: r.cause()})
	r.judge(nil)
	return says(RestProgressing, ReasonStarting, "Sluice", "%s begins: %s", r.o.Next, r.o.Workload.Template.Name)
}

// cause is why there is a new revision.
func (r *rest) cause() Cause {
	rel, template := r.o.Latest, r.o.Workload.Template
	switch back := r.o.Rollback; {
	case back.Hash != "" && back.Hash == template.Hash && back.After == r.lastNumber():
		return CauseRollback
	case rel != nil && rel.Phase == Aborted && rel.To.is(template):
		return CauseRetry
	}
	return CauseTemplateChanged
}

// lastNumber is the number of the newest release, also if its record is gone.
func (r *rest) lastNumber() int64 {
	if r.o.Latest == nil {
		return r.o.LastNumber
	}
	return max(r.o.LastNumber, r.o.Latest.Number)
}
