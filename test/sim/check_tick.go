package sim

import (
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// tickChecks judge the world after every tick.
var tickChecks = []struct {
	name string
	f    func(*World) string
}{
	{"S2", nobodyTurnedAway},
	{"S1", capacityAtAllTimes},
	{"S5", apartAtAllTimes},
	{"S5", keptApart},
	{"keep", recallAtOnce},
	{"S14", floor},
	{"S21", onlyReleased},
	{"B7", zeroMeansZero},
	{"L3", abortAtOnce},
	{"L3", abortHeard},
	{"S12", badIsTakenBack},
	{"S12", measuresAtAll},
	{"L2", expires},
	{"L8", waitEnds},
}

func (c *checks) ticked(w *World) {
	if d, ok := w.deployment(); ok {
		c.demand[w.Tick%len(c.demand)] = d.Replicas
	}
	for i, s := range []Split{w.plane.ingress.now.Split, w.plane.route.now.Split} {
		if s != c.split[i] {
			c.split[i], c.inForceAt[i] = s, w.Tick
		}
	}
	if !c.on || c.broken() {
		return
	}
	for _, check := range tickChecks {
		if message := check.f(w); message != "" {
			c.breaks(w, check.name, "%s", message)
			return
		}
	}
}

// believedZero says whether the hands, which had not been told otherwise, have lately taken the workload for one that
// is to have no pods.
func (c *checks) believedZero(w *World) bool {
	return w.unseen() && c.zeroAt > 0 && (c.upAt <= c.zeroAt || w.Tick <= c.upAt+len(c.demand))
}

// unmanaged says whether there is no workload, or no Rollout any more to keep it.
func (w *World) unmanaged() bool {
	_, exists := w.deployment()
	_, managed := w.rollout()
	return !exists || !managed
}

// least is the lowest demand of the last ticks; what was asked for since needs time to start.
func (c *checks) least() int {
	n := c.demand[0]
	for _, d := range c.demand {
		n = min(n, d)
	}
	return n
}

// nobodyTurnedAway is S2 as clients see it: no request finds nobody, unless all pods of a version failed by
// themselves or the team wants none.
func nobodyTurnedAway(w *World) string {
	if w.unmanaged() || w.lostByTeam() || w.plane.failed != w.Tick || w.outOfOrder() || w.checks.least() == 0 ||
		w.checks.believedZero(w) {
		return ""
	}
	return w.plane.failure
}

// capacityAtAllTimes is S1 between writes: behind each Service there are the endpoints for the share that the routes
// give it, unless pods fail by themselves.
func capacityAtAllTimes(w *World) string {
	if w.unmanaged() || w.lostByTeam() || w.outOfOrder() || w.meddled() || w.unseen() {
		return ""
	}
	i, _ := at[Ingress](&w.store.table, ingressKey)
	weight := max(i.Weight, must[Route](&w.store.table, routeKey).Weight)
	for n := range w.Services {
		if n >= w.Routed {
			weight = 0
		}
		if lacks := Lacks(weight, w.checks.least(), w.endpoints(n).total(), w.endpoints(twin(n)).total()); lacks != "" {
			return serviceName(n) + " " + lacks
		}
	}
	return ""
}

// Lacks says what is behind a Service and its canary Service that is too little for their shares of the demand, if
// anything is. No share at all needs nobody.
func Lacks(weight, demand, stable, canary int) string {
	if need := share(weight, demand); weight > 0 && canary < need {
		return fmt.Sprintf("has %d endpoints behind its canary Service and needs %d", canary, need)
	}
	if need := share(100-weight, demand); stable < need {
		return fmt.Sprintf("has %d endpoints and needs %d", stable, need)
	}
	return ""
}

// apartAtAllTimes is S5: no Service of the team's selects both versions while canary pods exist.
func apartAtAllTimes(w *World) string {
	r, from, to, ok := w.current()
	rollout, managed := w.rollout()
	if !ok || r.Spec.Divide == release.ByPods || w.meddled() || !managed || rollout.Removing && !w.Policy {
		return ""
	}
	if _, ready, _ := w.count(from); ready == 0 && w.checks.excuse.foreignAt > 0 {
		return "" // somebody widened it, and to narrow it again would leave nobody
	}
	rs, _ := w.replicaSet(to)
	if pods, _, _ := w.count(to); pods == 0 || rs.Owner != OwnedByRelease {
		return ""
	}
	for n := range w.Services {
		if s, ok := w.service(n); ok && s.Selector.Hash == NoVersion {
			return fmt.Sprintf("%s selects both versions while there are pods of %s", serviceName(n), to)
		}
	}
	return ""
}

// floor is S14: never fewer ready pods, over all versions, than the least that was asked for lately.
func floor(w *World) string {
	if w.unmanaged() || w.outOfOrder() || w.unseen() {
		return ""
	}
	total := 0
	for v := range Version(Versions) {
		if len(w.pods[v]) > 0 {
			_, ready, _ := w.count(v)
			total += ready
		}
	}
	if least := w.checks.least(); total < least {
		return fmt.Sprintf("%d pods ready of %d", total, least)
	}
	return ""
}

// onlyReleased is S21: ordinary requests reach the promoted version, and another one only when Sluice has given
// it a share in a release of its own.
func onlyReleased(w *World) string {
	c := &w.checks
	for v := range Version(Versions) {
		if w.servesAlone(v) || w.givenByAnother(v) {
			c.excuse.aloneAt[v] = w.Tick
		}
	}
	if r, managed := w.rollout(); !managed || r.Removing || w.meddled() || w.Tick <= c.formerUntil {
		return ""
	}
	if r, ok := w.release(); ok && r.Memory.Phase.Terminal() {
		c.carries = [Versions]bool{}
	}
	for v, at := range w.plane.ordinary {
		v := Version(v)
		if at == w.Tick && w.Tick > c.excuse.aloneAt[v]+aloneWindow && v != c.promoted && v != c.handed && !c.carries[v] {
			return fmt.Sprintf("ordinary requests reach %s, which was given no share", v)
		}
	}
	return ""
}

// givenByAnother: somebody else has given the version a share, no greater than the one that its step is to have. While
// the release stands still before that step it is not taken away again.
func (w *World) givenByAnother(v Version) bool {
	if w.checks.excuse.foreignAt == 0 {
		return false
	}
	r, _, to, ok := w.current()
	if !ok || v != to || r.Memory.End != release.NotEnding || r.Memory.Phase == release.Completing {
		return false
	}
	i, _ := at[Ingress](&w.store.table, ingressKey)
	weight := max(i.Weight, must[Route](&w.store.table, routeKey).Weight)
	return weight > 0 && weight <= r.Spec.Steps[r.Memory.Step].Weight
}

// aloneWindow is how long it may take until a Service is narrowed again when stable has pods again: the hands have to
// see them, and the data plane to follow. It is as long until a share is gone that somebody else gave, once the release
// no longer stands still.
const aloneWindow = grace + 16

// servesAlone: somebody has widened a Service while stable has no ready pod, and the new pods of the release under way
// answer there. To narrow it again would leave nobody, so it stays until stable is back.
func (w *World) servesAlone(v Version) bool {
	if w.checks.excuse.foreignAt == 0 {
		return false
	}
	r, from, to, ok := w.current()
	if !ok || v != to || r.Memory.Phase.Terminal() {
		return false
	}
	if _, ready, _ := w.count(from); ready > 0 {
		return false
	}
	for n := range w.Services {
		if s, ok := w.service(n); ok && s.Selector.Hash == NoVersion && w.endpoints(n).Ready[v] > 0 {
			return true
		}
	}
	return false
}

// abortLimit is how long an abort may take, in ticks, from when it is stored until no weight is left in the objects,
// when stable can take all and nothing disturbs the hands.
const abortLimit = 14

// abortAtOnce is L3.
func abortAtOnce(w *World) string {
	c := &w.checks
	r, from, _, ok := w.current()
	if !ok || r.Memory.End == release.NotEnding || c.abortedAt == 0 || r.Memory.Phase.Terminal() {
		return ""
	}
	d, exists := w.deployment()
	start := max(c.abortedAt, c.excuse.disturbedAt, c.excuse.outageUntil, c.excuse.foreignAt)
	if _, ready, _ := w.count(from); !exists || ready < d.Replicas ||
		w.Tick < start+abortLimit+foreignWindow/2*btoi(w.WatchLag > 1) {
		return ""
	}
	i, _ := at[Ingress](&w.store.table, ingressKey)
	if route := must[Route](&w.store.table, routeKey); i.Weight > 0 || route.Weight > 0 {
		return fmt.Sprintf("weight is still in force %d ticks after the abort", w.Tick-start)
	}
	return ""
}

// waitEnds is L8: a timed pause, or a drain, is over when it has been as long as it says, however clocks were set.
func waitEnds(w *World) string {
	code := w.hands.last.Reason.Code
	if code != release.ReasonPausedForTime && code != release.ReasonDraining {
		return ""
	}
	r, ok := w.release()
	if m := r.Memory; !ok || m.Phase.Terminal() || w.checks.excuse.blindFrom > 0 {
		return ""
	}
	since, wait := w.checks.drainAt, max(r.Spec.DrainDelay, time.Duration(w.follows())*time.Second)
	if code == release.ReasonPausedForTime {
		since, wait = w.checks.reachedAt, r.Spec.Steps[r.Memory.Step].Pause.Duration-r.Memory.Stood
	}
	if end := since + w.longest(wait); since > 0 && w.Tick > w.calmSince(end)+w.heeds() {
		return fmt.Sprintf("%s for %d ticks instead of %s", code, w.Tick-since, wait)
	}
	return ""
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// endChecks judge a world that has come to rest.
var endChecks = []struct {
	name string
	f    func(*World) string
}{
	{"L1", cameToAnEnd},
	{"S9", allAnswered},
	{"S18", nothingLeft},
	{"S22", allGivenBack},
	{"S17", servesTheRightOne},
}

func (c *checks) ended(w *World) {
	for _, check := range endChecks {
		if c.broken() {
			return
		}
		if message := check.f(w); message != "" {
			c.breaks(w, check.name, "%s", message)
		}
	}
}

// cameToAnEnd is L1: the release is over and its end noted.
func cameToAnEnd(w *World) string {
	r, ok := w.release()
	rollout, managed := w.rollout()
	switch {
	case ok && !r.Memory.Phase.Terminal():
		return fmt.Sprintf("release %d is still %s: %s %s", r.Number, r.Memory.Phase, w.hands.last.Reason.Code,
			w.hands.last.Reason.Message)
	case managed && rollout.Removing:
		return "the Rollout is still being deleted"
	case ok && managed && rollout.Done < r.Number:
		return "the end is not noted"
	}
	return ""
}

func allAnswered(w *World) string {
	if n := w.openWords(); n > 0 {
		return fmt.Sprintf("%d decisions have no answer", n)
	}
	return ""
}

// nothingLeft is S18 and L9: nothing of a release is left but its record.
func nothingLeft(w *World) string {
	for n := range w.Services {
		if _, ok := w.service(twin(n)); ok {
			return "the canary Service of " + serviceName(n) + " is left"
		}
	}
	if _, ok := at[Ingress](&w.store.table, ingressKey); ok {
		return "the canary Ingress is left"
	}
	for v := range Version(Versions) {
		if rs, ok := w.replicaSet(v); ok && rs.Owner == OwnedByRelease {
			return "a ReplicaSet of " + v.String() + " is left"
		}
	}
	for n, h := range w.store.table[KHold] {
		if h.Value != nil && !(n < teamServices && w.keptAtRest(n)) {
			return Key{KHold, n}.String() + " is left"
		}
	}
	return ""
}

// allGivenBack is S22 and S15: the team's objects are what the team wrote last.
func allGivenBack(w *World) string {
	for n := range w.Services {
		if s, ok := w.service(n); ok && s.Selector != w.written(n) && !w.keptAtRest(n) && !w.fittedAtRest(n) {
			return fmt.Sprintf("%s is left with selector %+v", serviceName(n), s.Selector)
		}
	}
	if r := must[Route](&w.store.table, routeKey); r.Split != (Split{}) || r.Team != w.manifest.route {
		return fmt.Sprintf("the route is left with %+v", r)
	}
	return ""
}

// servesTheRightOne: one version alone runs, at full size: the promoted one; and the workload is held only with a
// template that has been rejected.
func servesTheRightOne(w *World) string {
	d, ok := w.deployment()
	rollout, managed := w.rollout()
	if !ok || !managed {
		return ""
	}
	for v := range Version(Versions) {
		pods, ready, _ := w.count(v)
		switch {
		case v == w.checks.promoted && ready != d.Replicas && !w.outOfOrder():
			return fmt.Sprintf("%d of %d pods of %s are ready", ready, d.Replicas, v)
		case v != w.checks.promoted && pods > 0:
			return fmt.Sprintf("%d pods of %s are left", pods, v)
		}
	}
	switch {
	case rollout.Stable != w.checks.promoted:
		return fmt.Sprintf("the Rollout names %s as stable, but %s was promoted last", rollout.Stable, w.checks.promoted)
	case d.Template != rollout.Stable && d.Template != rollout.Rejected && !w.refused():
		return fmt.Sprintf("%s waits for a release for ever", d.Template)
	case w.Policy && d.Template == rollout.Stable && d.Paused:
		return "the workload is left paused"
	case w.Policy && d.Template != rollout.Stable && !d.Paused:
		return "the workload is not held with a rejected template"
	}
	return ""
}

func (w *World) refused() bool {
	d, _ := w.deployment()
	return len(release.Validate(w.spec(0, 1))) > 0 || w.leavingService(&w.store.table, d.Template) ||
		w.undivided(&w.store.table, w.checks.promoted, d.Template)
}

// spec is the plan for a release from one version to another.
func (w *World) spec(from, to Version) release.Spec {
	s := w.Plan
	s.From, s.To = from.String(), to.String()
	return s
}
