package sim

import (
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// Violation is one broken invariant, named as in the list of invariants.
type Violation struct {
	Tick    int
	Name    string
	Message string
}

// String is the violation for people.
func (v Violation) String() string { return fmt.Sprintf("tick %d: %s: %s", v.Tick, v.Name, v.Message) }

// checks watch over the history as it is made: every stored write, every decision, every tick. The first
// violation stops the run.
type checks struct {
	on     bool
	found  *Violation
	excuse excuse

	// promoted is the last version that went all the way, handed the one that the workload was given.
	promoted, handed Version
	// carries: Sluice has sent ordinary requests to this version in the current release.
	carries [Versions]bool
	// sent: a layer, or a Service by itself, has led to the new version in the current release.
	sent bool
	// formerUntil is how long the data plane may still know of what ended with the last release.
	formerUntil int
	// manualLeft counts the manual pauses that the current release has left.
	manualLeft int
	// writes counts Sluice's writes, lastWrite is when the last one was.
	writes, lastWrite int
	// inForceAt is when the data plane last changed, by layer.
	inForceAt [2]int
	split     [2]Split
	// led is the last version of each Service's endpoints that led to a version, told the last such one that the hands
	// ever decided from.
	led, told [teamServices][Versions]int
	// demand is the workload's replicas in the last ticks, ring-wise.
	demand [32]int
	// abortedAt is when the abort was stored, reachedAt when it last was that a step is reached, drainAt that something
	// drains, askedAt that approvals are asked for; 0 where they are not.
	abortedAt, reachedAt, drainAt, askedAt int
	// zeroAt is when the hands last decided for a workload that is to have no pods, upAt when first again for one that
	// is to have some.
	zeroAt, upAt int
	// emptySince is since when the workload is to have no pods while it is released, and nothing is in the way; else 0.
	emptySince int
	// decisions counts how often the mind was asked.
	decisions int
	gates     gates
	keeping   keeping
}

// excuse is what makes a bad moment nobody's fault.
type excuse struct {
	outageUntil, foreignAt, disturbedAt int
	// relabelled: the team has given a Service another label to select by.
	relabelled bool
	// lostAt is when a Service last led to nobody by the team's own doing, lostSeen when the hands could first see that it
	// need not any more, if they could not before.
	lostAt, lostSeen int
	// lookedAt is when the hands looked last, foreignSeen when they could first see what somebody has overwritten, if
	// they could not before.
	lookedAt, foreignSeen int
	// blindUntil: the hands may not know how many pods the workload is to have, or have only just been told. blindFrom
	// is when they can first be told, and 0 once they have looked since.
	blindUntil, blindFrom int
	// aloneAt is when a Service that somebody had widened last had the pods of a version alone behind it, or a share that
	// somebody else gave them was last left to them.
	aloneAt [Versions]int
	// unheld: somebody has deleted the Hold of a Service, which Sluice has not made anew.
	unheld [teamServices]bool
}

func (e *excuse) outage(until int)   { e.outageUntil = max(e.outageUntil, until+16) }
func (e *excuse) overwritten(at int) { e.foreignAt = at }

// tells is how long it takes to act upon what the hands are told at last.
const tells = 16

func (e *excuse) blind(until int) {
	e.blindUntil, e.blindFrom = max(e.blindUntil, until+tells), max(e.blindFrom, until)
}

// looked: the hands have looked at the world; if they could not before, they know only now. A look while some watch is
// late or has lost an event counts for nothing, since the other watches set it off as well.
func (e *excuse) looked(at int) {
	if at < e.blindFrom {
		return
	}
	if e.blindFrom > 0 {
		e.blindUntil, e.blindFrom = max(e.blindUntil, at+tells), 0
		if e.lookedAt < e.foreignAt {
			e.foreignSeen = at
		}
		if e.lookedAt < e.lostAt {
			e.lostSeen = at
		}
	}
	e.lookedAt = at
}

// dies: the hands are away for a while. What they had only just been told they have yet to act upon.
func (e *excuse) dies(at, until int) {
	if at <= e.blindUntil {
		e.blindUntil = max(e.blindUntil, until+tells)
	}
}

const foreignWindow = 60

// unseen says whether Sluice may not have been told the demand.
func (w *World) unseen() bool {
	return w.Tick <= w.checks.excuse.blindUntil || w.checks.excuse.blindFrom > 0
}

// outOfOrder says whether pods are failing by themselves, or have just recovered; for ever, when somebody has
// promoted a version past all steps, with no pods asked for, that never gets ready.
func (w *World) outOfOrder() bool {
	c := &w.checks
	return w.Tick <= c.excuse.outageUntil || w.Bad[c.promoted] || c.handed != NoVersion && w.Bad[c.handed]
}

// meddled says whether somebody has just overwritten what Sluice had set.
func (w *World) meddled() bool {
	e := &w.checks.excuse
	unseen := e.blindFrom > 0 && e.lookedAt < e.foreignAt
	return e.foreignAt > 0 && (unseen || w.Tick <= max(e.foreignAt, e.foreignSeen)+foreignWindow)
}

func newChecks(w *World) checks {
	c := checks{on: true, handed: NoVersion, excuse: excuse{foreignAt: w.checks.excuse.foreignAt}}
	for i := range c.demand {
		c.demand[i] = w.Replicas
	}
	return c
}

func (c *checks) broken() bool { return c.found != nil }

func (c *checks) breaks(w *World, name, format string, args ...any) {
	if c.on && c.found == nil {
		c.found = &Violation{w.Tick, name, fmt.Sprintf(format, args...)}
		w.say("VIOLATION %s", c.found)
	}
}

// known is what the hands saw when they decided.
func (w *World) known() *table { return &w.hands.seen }

// knownDemand is the number of replicas as the hands saw it; 0 if the workload is gone.
func (w *World) knownDemand() int { return must[Deployment](w.known(), deploymentKey).Replicas }

func (w *World) knownReady(v Version) int {
	rs := must[ReplicaSet](w.known(), replicaSetKey(v))
	return min(rs.Ready, rs.Desired)
}

func (w *World) knownEndpoints(n int) Endpoints { return must[Endpoints](w.known(), endpointsKey(n)) }

// current is the release that is under way in truth, with its two versions.
func (w *World) current() (r Release, from, to Version, ok bool) {
	r, ok = w.release()
	return r, versionOf(r.Spec.From), versionOf(r.Spec.To), ok
}

// writeChecks judge each write of Sluice's.
var writeChecks = []struct {
	name string
	f    func(*World, Change) string
}{
	{"S6", weightInBounds},
	{"S1", capacityBeforeWeight},
	{"S3", shrinkAfterDrain},
	{"B7", emptiedUnled},
	{"S4", turnWithCapacity},
	{"S5", partition},
	{"S7", verifiedBeforeAdvance},
	{"S7", inForceWhenReached},
	{"S8", noWayBackFromAbort},
	{"S9", oneAnswer},
	{"S11", releaseFromPromoted},
	{"S13", scaleIsNotOurs},
	{"S22", originalKept},
	{"S22", nothingTaken},
	{"S3", keptUnled},
	{"S14", takenFirst},
	{"in force", inForceOnBothSides},
	{"plan", newestPlan},
	{"L8", wholePause},
	{"L8", stoodAsLong},
	{"B6", countsWhatWasShown},
	{"S12", goodToGoOn},
	{"S12", anewOnlyWhenAsked},
	{"S23", approvalCounts},
	{"S23", approvedToGoOn},
	{"S23", heardWhenAsked},
	{"S23", followsThePlan},
	{"window", nothingWhileShut},
}

// written judges a stored write.
func (c *checks) written(w *World, ch Change) {
	if !c.on || c.broken() {
		return
	}
	if ch.Actor != Sluice {
		c.foreign(w, ch)
		c.gates.heard(w, ch)
		if ch.Key.Kind == KEndpoints {
			c.leads(&w.store.table, &c.led)
		}
		return
	}
	c.writes++
	c.lastWrite = w.Tick
	for _, check := range writeChecks {
		if message := check.f(w, ch); message != "" {
			c.breaks(w, check.name, "%s", message)
			return
		}
	}
	c.follow(w, ch)
}

// follow keeps the checkers' own record of what a write of Sluice's means.
func (c *checks) follow(w *World, ch Change) {
	switch after := ch.After.(type) {
	case Hold:
		if ch.Key.N < teamServices {
			c.excuse.unheld[ch.Key.N] = false
		}
	case Ingress:
		c.sends(w, after.Split)
	case Route:
		c.sends(w, after.Split)
	case Service:
		if ch.Key.N < teamServices && after.Selector.Hash != NoVersion {
			c.carries[after.Selector.Hash] = true
			c.sent = c.sent || w.isNew(after.Selector.Hash)
		}
	case ReplicaSet:
		v := Version(ch.Key.N)
		if r, _, _, ok := w.current(); ok && r.Spec.Divide == release.ByPods {
			c.carries[v] = true
		}
		if before, _ := ch.Before.(ReplicaSet); before.Owner == OwnedByRelease && after.Owner == OwnedByDeployment &&
			v != c.promoted {
			c.handed = v
		} else if after.Owner == OwnedByRelease && c.handed == v && v != c.promoted {
			c.handed = NoVersion
		}
	case Release:
		before, _ := ch.Before.(Release)
		c.followRelease(w, before, after)
		c.gates.follow(before, after, w)
	case Analysis:
		if ch.Before == nil {
			c.gates.came(ch.Key.N, Analysis{}, w.Tick)
		}
	}
}

func (c *checks) sends(w *World, s Split) {
	c.sent = c.sent || s != Split{}
	if _, _, to, ok := w.current(); ok && s.Weight > 0 {
		c.carries[to] = true
	}
}

// isNew says whether a release is under way to this version.
func (w *World) isNew(v Version) bool {
	_, _, to, ok := w.current()
	return ok && v == to
}

func (c *checks) followRelease(w *World, before, after Release) {
	if before.Number != after.Number {
		c.carries, c.manualLeft, c.abortedAt = [Versions]bool{}, 0, 0
		c.reachedAt, c.drainAt, c.askedAt, c.sent = 0, 0, 0, false
		return
	}
	c.followRecall(w, before, after)
	c.manualLeft += manualSteps(before, after)
	anew := leftSteps(before.Memory, after.Memory) > 0 || after.Memory.End != before.Memory.End
	begins(&c.reachedAt, w.Tick, anew, before.Memory.StepReachedAt, after.Memory.StepReachedAt)
	begins(&c.askedAt, w.Tick, anew, before.Memory.AskedAt, after.Memory.AskedAt)
	begins(&c.drainAt, w.Tick, anew, before.Memory.DrainFrom, after.Memory.DrainFrom)
	if before.Memory.End == release.NotEnding && after.Memory.End != release.NotEnding {
		c.abortedAt = w.Tick
	}
	if !after.Memory.Phase.Terminal() {
		return
	}
	if !before.Memory.Phase.Terminal() {
		c.formerUntil = w.Tick + grace + w.PlaneLag + w.ControllerLag
	}
	if after.Memory.Phase == release.Succeeded {
		if w.Bad[c.promoted] {
			c.excuse.outage(w.Tick) // Until now nobody answered, and the data plane has yet to follow.
		}
		c.promoted = versionOf(after.Spec.To)
	}
	c.handed = NoVersion
}

// begins notes when a wait was first remembered, whatever time is remembered for its beginning afterwards.
func begins(at *int, tick int, anew bool, before, after time.Time) {
	switch {
	case after.IsZero():
		*at = 0
	case before.IsZero() || anew:
		*at = tick
	}
}

// manualSteps counts the manual pauses between two memories that were left step by step.
func manualSteps(before, after Release) (n int) {
	if after.Memory.Full || after.Memory.End != release.NotEnding {
		return 0
	}
	for i := range leftSteps(before.Memory, after.Memory) {
		if before.Spec.Steps[before.Memory.Step+i].Pause.Kind == release.PauseManual {
			n++
		}
	}
	return n
}

// leftSteps is how many steps were left from one memory to the next.
func leftSteps(before, after release.Memory) int {
	n := after.Step - before.Step
	if before.Phase != release.Completing && after.Phase == release.Completing {
		n++
	}
	return max(n, 0)
}

// foreign judges what others did because of us: a workload that starts what was never released.
func (c *checks) foreign(w *World, ch Change) {
	after, ok := ch.After.(ReplicaSet)
	if !ok || ch.Actor != Kubernetes || after.Owner != OwnedByDeployment || after.Desired == 0 {
		return
	}
	before, _ := ch.Before.(ReplicaSet)
	v := Version(ch.Key.N)
	if r, managed := w.rollout(); managed && !r.Removing && after.Desired > before.Desired && v != c.promoted &&
		v != c.handed && !w.handedHalf() {
		c.breaks(w, "S21", "the workload starts pods of %s, which has not passed a release", v)
	}
}

// idleWrite: a write that changed nothing.
func (c *checks) idleWrite(w *World, k Key) {
	if !w.hands.unsure {
		c.breaks(w, "L4", "a write to %s that changed nothing", k)
	}
}

// ledUnheardOf says whether some Service has led to a version later than the hands ever knew.
func (c *checks) ledUnheardOf(v Version) bool {
	for n := range teamServices {
		if c.led[n][v] > c.told[n][v] {
			return true
		}
	}
	return false
}

// leads notes the versions of the Services' endpoints, by the version of the pods that they lead to.
func (c *checks) leads(t *table, rv *[teamServices][Versions]int) {
	for n := range teamServices {
		o := t.get(endpointsKey(n))
		e, _ := o.Value.(Endpoints)
		for v, ready := range e.Ready {
			if ready > 0 {
				rv[n][v] = max(rv[n][v], o.RV)
			}
		}
	}
}

// decided judges one decision, and what it was made from.
func (c *checks) decided(w *World, out release.Outcome) {
	c.decisions++
	c.leads(w.known(), &c.told)
	if w.knownDemand() == 0 {
		c.zeroAt = w.Tick
	} else if c.upAt <= c.zeroAt {
		c.upAt = w.Tick
	}
	if !c.on || c.broken() {
		return
	}
	if k, stale := w.staleView(); stale {
		c.breaks(w, "S10", "decides from a cache of %s that is older than its own last write", k)
	}
	if out.Reason.Code == release.ReasonGuardRefused {
		c.breaks(w, "guard", "%s", out.Reason.Message)
	}
	if out.Reason.Code == "" || out.Reason.Message == "" {
		c.breaks(w, "L9", "decides without a reason")
	}
	if !out.Memory.Phase.Terminal() && out.Reason.Until.IsZero() {
		c.breaks(w, "L9", "waits without an end: %s %s", out.Reason.Code, out.Reason.Message)
	}
	c.gateDecided(w, out)
}

// rested looks at a decision that was made while no release is under way.
func (c *checks) rested(w *World, out release.RestOutcome) {
	if !c.on || c.broken() {
		return
	}
	if out.Reason.Code == release.ReasonGuardRefused {
		c.breaks(w, "guard", "%s", out.Reason.Message)
	}
	if out.Phase != "" && (out.Reason.Code == "" || out.Reason.Message == "") {
		c.breaks(w, "L9", "rests without a reason")
	}
}

// staleView finds an object that the hands see older than the last write by Sluice, whichever process made it.
func (w *World) staleView() (Key, bool) {
	for k := range Kinds {
		for n, rv := range w.store.written[k] {
			if rv > w.hands.view.get(Key{k, n}).RV {
				return Key{k, n}, true
			}
		}
	}
	return Key{}, false
}
