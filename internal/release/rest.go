package release

import (
	"fmt"
	"time"
)

// Rest says what there is to do for a workload while no release is under way, and where its Rollout stands. It is a
// pure function: the same spec, world and time give the same outcome, and a world that is as it should be gives no
// actions.
func Rest(s RestSpec, seen RestSeen, now time.Time) RestOutcome {
	// The API server keeps microseconds: a time must be the same before and after it was stored.
	now = now.UTC().Truncate(time.Microsecond)
	r := &rest{s: s, o: seen, now: now, memory: seen.Memory.sane(now), stable: seen.Stable}
	r.first(restRows)
	if violations := CheckRest(s, seen, r.out.Actions); len(violations) > 0 {
		return r.stopped(violations)
	}
	r.out.Stable = r.stable
	return r.out
}

// restRows are the questions in the order in which they matter. The workload is held before its spec is looked at, so
// that a spec which is refused lets no new revision through. The first row that ends the look says where the Rollout
// stands.
var restRows = []row{
	(*rest).writeRefused,   // What the API server does not let Sluice do is for a person to mend.
	(*rest).removed,        // Everything is given back, and the Rollout goes.
	(*rest).answered,       // People are answered.
	(*rest).workloadGone,   // There is no workload, or not any more.
	(*rest).workloadTaken,  // Another Rollout has it.
	(*rest).finalizer,      // The Rollout stays until everything is given back.
	(*rest).updating,       // The workload is taken over when its own update has ended,
	(*rest).marked,         // by its label,
	(*rest).paused,         // and is paused where a new revision would run free.
	(*rest).stableRecorded, // What it runs then is the stable revision.
	(*rest).stableRemade,   // Its pods come back when somebody removes what runs them,
	(*rest).stableKept,     // and stay for a while when the workload goes.
	(*rest).servicesServe,  // Services lead to pods that run.
	(*rest).leftovers,      // What a release has left whose record is gone goes away.
	(*rest).servicesLost,   // There is a Service to release behind.
	(*rest).refused,        // The spec can be done.
	(*rest).pruned,         // Old records go.
	(*rest).onStable,       // The pod template names the stable revision,
	(*rest).onRejected,     // or one that was taken back,
	(*rest).pausedByTeam,   // or a new one, which waits for the team,
	(*rest).stableMissing,  // for the pods of the stable one,
	(*rest).quietly,        // for everything to stand still,
	(*rest).inTurn,         // and for the releases of others.
	(*rest).start,          // Then its release begins.
}

// row is one question. It may add actions. What it says ends the look, unless it says to go on.
type row func(*rest) finding

// finding is what a row says. The zero finding goes on with the next row.
type finding struct {
	ends   bool
	phase  RestPhase
	reason Reason
}

var (
	goOn = finding{}
	// unsaid ends the look and says nothing.
	unsaid = finding{ends: true}
)

// rest is one call of Rest.
type rest struct {
	s      RestSpec
	o      RestSeen
	now    time.Time
	memory RestMemory
	// stable is the revision that was released last, also if it has just been found.
	stable Revision
	out    RestOutcome
}

// first takes rows until one of them ends the look.
func (r *rest) first(rows []row) {
	for _, look := range rows {
		if v := look(r); v.ends {
			r.tell(v)
			return
		}
	}
}

// tell says where the Rollout stands.
func (r *rest) tell(v finding) {
	if v.phase == "" {
		return
	}
	r.out.Phase, r.out.Reason = v.phase, v.reason
	if v.reason.Code != ReasonHealthy {
		r.out.Reason.Since = r.since(v.reason)
	}
	if told := r.o.Told.Phase; told != v.phase && (v.phase == RestStalled || v.phase == RestDegraded) {
		r.out.Events = append(r.out.Events, Event{Code: v.reason.Code, Message: v.reason.Message})
	}
}

// since has a wait that goes on keep its beginning.
func (r *rest) since(reason Reason) time.Time {
	switch told := r.o.Told; {
	case told.Code == reason.Code && !told.Since.IsZero():
		return told.Since
	case reason.Since.IsZero():
		return r.now.Truncate(time.Second) // As the API server keeps it.
	}
	return reason.Since
}

func (r *rest) do(a ...RestAction) { r.out.Actions = append(r.out.Actions, a...) }

// lookAgain ends the look, since what comes next depends on what its actions do.
func (r *rest) lookAgain() finding {
	r.out.Again, r.out.Memory = true, r.memory
	return unsaid
}

// recheckAtRest is how soon a world is looked at again of whose change nothing may tell.
const recheckAtRest = 30 * time.Second

// stall says what a person has to mend.
func (r *rest) stall(code, format string, args ...any) finding {
	r.wake(r.now.Add(recheckAtRest))
	reason := Reason{Code: code, Message: fmt.Sprintf(format, args...), Who: byOwner}
	return finding{ends: true, phase: RestStalled, reason: reason}
}

// wait says what passes by itself.
func (r *rest) wait(code, format string, args ...any) finding {
	r.wake(r.now.Add(recheckAtRest))
	reason := Reason{Code: code, Message: fmt.Sprintf(format, args...), Who: byKubernetes}
	return finding{ends: true, phase: RestPending, reason: reason}
}

// says ends the look with what it found.
func says(phase RestPhase, code, who, format string, args ...any) finding {
	return finding{ends: true, phase: phase, reason: Reason{Code: code, Who: who, Message: fmt.Sprintf(format, args...)}}
}

// wake asks for another look at a time to come.
func (r *rest) wake(at time.Time) {
	if at.After(r.now) && (r.out.Wake.IsZero() || at.Before(r.out.Wake)) {
		r.out.Wake = at
	}
}

// stopped is the outcome of a decision that the guard does not let pass: nothing is done and nothing is recorded.
func (r *rest) stopped(violations []Violation) RestOutcome {
	stopped := &rest{s: r.s, o: r.o, now: r.now}
	stopped.tell(says(RestStalled, ReasonGuardRefused, byMaintainers, "%s", GuardMessage(violations[0])))
	stopped.wake(r.now.Add(guardRetry))
	return stopped.out
}

// writeRefused tells of a write that the API server has refused.
func (r *rest) writeRefused() finding {
	if r.o.Refused == "" {
		return goOn
	}
	return says(RestStalled, ReasonWriteRefused, "a cluster administrator", "%s", r.o.Refused)
}
