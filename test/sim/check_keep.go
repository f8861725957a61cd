package sim

import (
	"fmt"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file watches over releases whose Services themselves change over, and over old pods that are kept for a rollback.

// keeping is what the checks remember of the time in which old pods are kept.
type keeping struct {
	// started counts the pods that each version has been given, of all time.
	started [Versions]int
	// recalledAt is when the release was first taken back while it said that old pods are kept, and 0 where it was not, or
	// where they could not take the load by then; pods are the old and the new ones that had been started by then, and
	// demand what the workload was to have.
	recalledAt, demand, pods int
}

// leadsAsTheStepSays is S7 where the Services change over: before the switch each leads to the stable pods alone, and
// after it to as many new endpoints as the whole load needs, as far as the hands knew.
func (w *World) leadsAsTheStepSays(step release.Step, from, to Version, demand int) string {
	for n := range w.Services {
		s, ok := at[Service](w.known(), serviceKey(n))
		switch has := int(w.knownEndpoints(n).Ready[to]); {
		case !ok:
		case step.Weight == 100 && (s.Selector.Hash != to || has < demand):
			return fmt.Sprintf("%s is in force with %d of %d new endpoints behind %s", step.Name, has, demand, serviceName(n))
		case step.Weight == 0 && s.Selector.Hash != from && w.knownReady(from) > 0:
			return fmt.Sprintf("%s is in force, and %s selects %s", step.Name, serviceName(n), s.Selector.Hash)
		}
	}
	return ""
}

// takenOld is the old ReplicaSet of the release under way, while the release has it and it has pods.
func (w *World) takenOld() (r Release, old Version, pods int, taken bool) {
	r, from, _, ok := w.current()
	if !ok {
		return r, from, 0, false
	}
	pods, _, _ = w.count(from)
	return r, from, pods, w.set(from).Owner == OwnedByRelease && pods > 0
}

// keptApart is S5: while old pods are kept, every Service selects the new ones alone; on the way back each selects one
// version alone.
func keptApart(w *World) string {
	r, old, pods, taken := w.takenOld()
	_, exists := w.deployment()
	if !taken || !exists || w.meddled() || r.Memory.Phase == release.Completing && !r.Memory.HandedOver {
		return ""
	}
	for n := range w.Services {
		s, ok := w.service(n)
		switch {
		case !ok:
		case s.Selector.Hash == NoVersion:
			return fmt.Sprintf("%s selects every version while %d old pods are kept", serviceName(n), pods)
		case s.Selector.Hash == old && r.Memory.End == release.NotEnding:
			return fmt.Sprintf("%s selects %s, whose pods are kept without requests", serviceName(n), old)
		}
	}
	return ""
}

// keptUnled is S3: old pods that the release has taken end only while no Service leads to them, and nothing has lately.
func keptUnled(w *World, ch Change) string {
	before, ok := ch.Before.(ReplicaSet)
	after, _ := ch.After.(ReplicaSet)
	_, from, _, under := w.current()
	if !ok || !under || Version(ch.Key.N) != from || before.Owner != OwnedByRelease || after.Desired >= before.Desired ||
		after.Desired >= w.knownDemand() && w.knownDemand() > 0 {
		return ""
	}
	if _, exists := at[Deployment](w.known(), deploymentKey); !exists {
		return ""
	}
	for n := range w.Services {
		led := must[Service](w.known(), serviceKey(n)).Selector.Hash == from || w.knownEndpoints(n).Ready[from] > 0
		if led && w.knownReady(from) > 0 {
			return fmt.Sprintf("%s shrinks to %d while %s leads to it", from, after.Desired, serviceName(n))
		}
	}
	return ""
}

// takenFirst is S14: where old pods are to stay, the workload gets the new ReplicaSet only when the release has the old
// one; or else it would end them at once.
func takenFirst(w *World, ch Change) string {
	before, ok := ch.Before.(ReplicaSet)
	after, _ := ch.After.(ReplicaSet)
	r, from, to, under := w.current()
	handed := ok && before.Owner == OwnedByRelease && after.Owner == OwnedByDeployment && Version(ch.Key.N) == to
	if !under || !handed || r.Spec.KeepOld == 0 || r.Memory.Phase != release.Completing {
		return ""
	}
	if old, ok := w.replicaSet(from); ok && old.Owner == OwnedByDeployment && old.Desired > 0 &&
		must[ReplicaSet](w.known(), replicaSetKey(from)).Desired > 0 {
		return fmt.Sprintf("%s is handed over, and with it end the %d pods of %s that are to stay", to, old.Desired, from)
	}
	return ""
}

// nothingTaken is S22: a release that has ended has given its old ReplicaSet back.
func nothingTaken(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || before.Memory.Phase.Terminal() || !after.Memory.Phase.Terminal() {
		return ""
	}
	from := versionOf(after.Spec.From)
	if rs, ok := at[ReplicaSet](w.known(), replicaSetKey(from)); ok && rs.Owner == OwnedByRelease {
		return fmt.Sprintf("release %d is %s and has %s still", after.Number, after.Memory.Phase, from)
	}
	return ""
}

// oldAsked is how many old pods the release asks for while it keeps them: the team's scale counts for old pods that are kept, too, so that they end with a scale to zero.
func (w *World) oldAsked() int {
	if r, old, _, taken := w.takenOld(); taken && r.Memory.End == release.NotEnding {
		return w.set(old).Desired
	}
	return 0
}

// followRecall notes that a release is taken back while it keeps old pods.
func (c *checks) followRecall(w *World, before, after Release) {
	k := &c.keeping
	m := before.Memory
	switch {
	case after.Memory.Phase.Terminal():
		k.recalledAt = 0
	case m.End == release.NotEnding && after.Memory.End != release.NotEnding && m.HandedOver:
		_, old, _, taken := w.takenOld()
		d, exists := w.deployment()
		taken = taken && w.set(versionOf(after.Spec.To)).Owner == OwnedByDeployment
		if _, ready, _ := w.count(old); taken && exists && d.Replicas > 0 && min(ready, w.set(old).Desired) >= d.Replicas {
			k.recalledAt, k.demand = w.Tick, d.Replicas
			k.pods = k.started[old] + k.started[versionOf(after.Spec.To)]
		}
	}
}

// recallLimit is how long it may take, in ticks, until the old pods have all requests again.
const recallLimit = 14

// recallAtOnce is the law of kept pods: a release that is taken back while it keeps them has all requests on them
// before long, and no pod is started for it. Only a workload whose surge is greater than itself starts a needless new
// one, as it does whenever it has the pods of two revisions.
func recallAtOnce(w *World) string {
	k := &w.checks.keeping
	r, from, to, ok := w.current()
	d, exists := w.deployment()
	if k.recalledAt == 0 || !ok {
		return ""
	}
	if !exists || d.Replicas > k.demand || d.Paused && d.Template != to && d.Template != from || w.outOfOrder() ||
		w.meddled() || r.Memory.Phase.Terminal() {
		k.recalledAt = 0
		return ""
	}
	if n := k.started[from] + k.started[to] - k.pods; n > 0 && d.Replicas == k.demand && w.Surge <= d.Replicas {
		return fmt.Sprintf("%d pods were started although the old ones were kept", n)
	}
	start := max(k.recalledAt, w.checks.excuse.disturbedAt)
	if w.unseen() || w.Tick < start+recallLimit+foreignWindow/2*btoi(w.WatchLag > 1) {
		return ""
	}
	for n := range w.Services {
		if s, ok := w.service(n); ok && s.Selector.Hash == to {
			return fmt.Sprintf("%s selects %s still, %d ticks after the way back to the old pods began", serviceName(n), to,
				w.Tick-start)
		}
	}
	return ""
}

// handedHalf: the process died between the two writes of a hand-over that keeps the old pods, so that the workload has
// the pods of neither revision. Then Kubernetes starts those of the newest one in its history, to which nothing leads,
// and ends them when the hand-over is complete.
func (w *World) handedHalf() bool {
	r, from, to, ok := w.current()
	half := ok && r.Memory.HandedOver && r.Memory.End == release.NotEnding && r.Spec.KeepOld > 0
	return half && w.set(from).Owner == OwnedByRelease && w.set(to).Owner == OwnedByRelease
}
