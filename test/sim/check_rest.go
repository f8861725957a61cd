package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// passesByItself says whether a release may go past all its steps although nobody has said so: both versions had no pod
// when it began, or stable serves nothing and the plan says what comes of that. Never past an approval, nor while a
// window is shut.
func (w *World) passesByItself(before, after Release) bool {
	from, to := versionOf(before.Spec.From), versionOf(before.Spec.To)
	asks := slices.ContainsFunc(before.Spec.Steps[before.Memory.Step:],
		func(s release.Step) bool { return s.Approval != nil })
	shut := must[Window](w.known(), windowKey).shut(w.hands.decided)
	if asks || shut && after.Memory.OverriddenBy == "" {
		return false
	}
	old, canary := must[ReplicaSet](w.known(), replicaSetKey(from)), must[ReplicaSet](w.known(), replicaSetKey(to))
	empty := old.Desired == 0 && old.Pods == 0 && canary.Desired == 0 && canary.Pods == 0
	if w.knownDemand() == 0 {
		return empty && before.Memory.Step == 0
	}
	return before.Spec.OnStableDown == release.StableDownPromotes && w.knownReady(from) == 0 && w.knownReady(to) > 0
}

// zeroMeansZero is B7: the team's scale counts for both versions, so that some time after a scale to zero no new pod is
// asked for any more.
func zeroMeansZero(w *World) string {
	d, exists := w.deployment()
	r, _, to, under := w.current()
	if !exists || !under || d.Replicas > 0 || r.Memory.Phase.Terminal() {
		w.checks.emptySince = 0
		return ""
	}
	if w.checks.emptySince == 0 || w.Tick <= w.checks.excuse.disturbedAt || w.meddled() || w.unseen() || w.outOfOrder() {
		w.checks.emptySince = w.Tick
	}
	bound := int(r.Spec.DrainDelay/time.Second) + 60 // gateways and controllers follow within this
	if n := w.oldAsked(); n > 0 && w.Tick-w.checks.emptySince > bound {
		return fmt.Sprintf("%d old pods are kept, %d ticks after the workload was scaled to zero", n, w.Tick-w.checks.emptySince)
	}
	if rs, ok := w.replicaSet(to); ok && rs.Desired > 0 && w.Tick-w.checks.emptySince > bound {
		return fmt.Sprintf("%d pods of %s are asked for, %d ticks after the workload was scaled to zero", rs.Desired, to,
			w.Tick-w.checks.emptySince)
	}
	return ""
}

// emptiedUnled is B7: in a step, new pods of a workload that was scaled to zero end only when no layer leads to them.
func emptiedUnled(w *World, ch Change) string {
	before, ok := ch.Before.(ReplicaSet)
	r, _, to, under := w.current()
	inStep := r.Memory.Phase == release.Progressing || r.Memory.Phase == release.Paused
	if !ok || !under || !inStep || Version(ch.Key.N) != to || w.knownDemand() > 0 || r.Spec.Divide == release.ByPods {
		return ""
	}
	after, _ := ch.After.(ReplicaSet)
	i, _ := at[Ingress](w.known(), ingressKey)
	led := i.Split != (Split{}) || must[Route](w.known(), routeKey).Split != (Split{})
	if after.Desired < before.Desired && led {
		return fmt.Sprintf("%s shrinks to %d while a layer leads to it", to, after.Desired)
	}
	return ""
}

// restMutants mistake a workload that is to have no pods, or let go what was not released.
func restMutants() []Mutant {
	parked := func(o release.Observed, m release.Memory) bool {
		return o.Workload.Exists && o.Workload.Replicas == 0 && o.Canary.Desired > 0 &&
			(m.Phase == release.Progressing || m.Phase == release.Paused)
	}
	return []Mutant{
		{
			Name: "scaled to zero, the new pods run on", Row: "B7",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if parked(o, m) && out.Memory.End == release.NotEnding {
					out.Actions = slices.DeleteFunc(out.Actions,
						func(a release.Action) bool { _, is := a.(release.ScaleCanary); return is })
				}
			}),
		},
		{
			Name: "scaled to zero, the new pods go while they are led to", Row: "B7",
			Mind: acts(func(_ release.Spec, o release.Observed, m release.Memory, out *release.Outcome) {
				if parked(o, m) && out.Memory.End == release.NotEnding {
					out.Actions = []release.Action{release.ScaleCanary{}}
				}
			}),
		},
		{Name: "scaled to zero, an approval is gone past", Row: "B7", Mind: plans(func(s *release.Spec) {
			for i := range s.Steps {
				s.Steps[i].Approval = nil
			}
		})},
		{
			Name: "stable that is only slow counts as down", Row: "B2",
			Mind: lies(func(s release.Spec, o *release.Observed, m *release.Memory) {
				if s.OnStableDown == release.StableDownPromotes {
					o.Stable.Ready, m.DownSince = 0, m.StartedAt.Add(-time.Hour)
				}
			}),
		},
		{Name: "a workload is let go whose template is not stable", Row: "A5", Fumble: Fumble{AnyTemplate: true}},
	}
}

// zeroStories are workloads that are scaled to zero in a step, and up again.
func zeroStories(add func(string, ...Trigger) *Scenario) {
	for step := range 3 {
		add(fmt.Sprintf("zero-and-up-at-%d", step+1), on(reached(step), Action{Verb: DoScale, N: 0}),
			Trigger{When: reached(step), Wait: 100, Do: []Action{{Verb: DoScale, N: 4}}})
	}
}
