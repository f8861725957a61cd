package sim

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// This file has the label that versions of the workload may bear different values of, and the Services that select by
// it.

// label is the value that a version's pods bear.
func (w *World) label(v Version) int {
	if v >= Versions {
		return 1
	}
	return max(w.Labels[v], 1)
}

// selects says whether a selector matches a version's pods.
func (w *World) selects(s Selector, v Version) bool {
	return (s.Hash == NoVersion || s.Hash == v) && (s.Label == 0 || s.Label == w.label(v))
}

// narrow is the team's selector for one version: with the value that its pods bear, and its hash.
func (w *World) narrow(own Selector, v Version) Selector {
	if own.Label != 0 && !w.Fumble.HashOnly {
		own.Label = w.label(v)
	}
	own.Hash = v
	return own
}

// ownSelector is what the team wrote last, as far as a picture of the world shows it: what is kept in the Hold,
// unless the Service is neither that nor one of the two versions' selectors; then what it is, without the hash.
func (w *World) ownSelector(t *table, n int, versions ...Version) Selector {
	now := must[Service](t, serviceKey(n)).Selector
	if h, held := at[Hold](t, serviceHoldKey(n)); held {
		own := Selector{Team: h.Team, Label: h.Label, Hash: NoVersion}
		if now == own {
			return own
		}
		for _, v := range versions {
			if now == w.narrow(own, v) {
				return own
			}
		}
	}
	now.Hash = NoVersion
	return now
}

// relabel is an edit of a Service's selector: it selects by another value of the label. Merged, the hash stays that a
// release has added, as kubectl leaves it.
func (w *World) relabel(n, label int, merged bool) {
	s, ok := w.service(n)
	if !ok || n >= w.Services {
		return
	}
	w.manifest.service[n]++
	w.manifest.label[n] = label
	s.Selector.Team, s.Selector.Label = w.manifest.service[n], label
	if !merged {
		s.Selector.Hash = NoVersion
	}
	w.put(Person, serviceKey(n), s)
	w.checks.excuse.overwritten(w.Tick)
	w.checks.excuse.relabelled = true
}

// keepServices settles the Services that no release moves, around the version that runs. It says whether there is
// anything to do.
func (h *hands) keepServices(w *World, d Deployment, leaving bool, runs Version, others ...Version) bool {
	n := len(h.queue)
	for _, a := range release.SettleServices(h.servicesAtRest(w, d, runs, others...), leaving) {
		h.turnAtRest(w, a, leaving, runs, others...)
	}
	return len(h.queue) > n
}

// servicesAtRest are the Services in the core's words, with the version that runs in the place of the stable one and
// the workload's template in that of the canary.
func (h *hands) servicesAtRest(w *World, d Deployment, runs Version, others ...Version) []release.RestService {
	var out []release.RestService
	for n := range w.Services {
		s, ok := at[Service](&h.view.table, serviceKey(n))
		if !ok {
			continue
		}
		own := w.ownSelector(&h.view.table, n, append(others, runs)...)
		hold, held := at[Hold](&h.view.table, serviceHoldKey(n))
		if !held && !w.selects(own, d.Template) {
			continue // It is not in front of the workload.
		}
		seen := release.RestService{
			Service: release.Service{
				Name: serviceName(n), Held: held, Selects: release.SelectsAll, Own: fmt.Sprintf("label=%d", own.Label),
				MissesStable: !w.selects(own, runs), MissesCanary: !w.selects(own, d.Template), Routed: n < w.Routed,
				ReadyStable: must[Endpoints](&h.view.table, endpointsKey(n)).total(),
			},
			Renew: held && hold != Hold{Release: hold.Release, Team: own.Team, Label: own.Label},
		}
		switch {
		case !held || s.Selector == own: // Without a Hold it is as the team wrote it, whatever it selects by.
		case s.Selector == w.narrow(own, runs):
			seen.Selects = release.SelectsStable
		default:
			seen.Selects = release.SelectsOther
		}
		out = append(out, seen)
	}
	return out
}

// turnAtRest holds a Service to the version that runs, or gives it back. When the Rollout goes it gets what the pods
// bear that run, where the team's selector would lead to none of them.
func (h *hands) turnAtRest(w *World, a release.SelectService, leaving bool, runs Version, others ...Version) {
	n := serviceNumber(a.Service)
	own := w.ownSelector(&h.view.table, n, append(others, runs)...)
	want := own
	switch {
	case a.To == release.SelectsStable:
		want = w.narrow(own, runs)
		h.hold(serviceHoldKey(n), h.holdNumber(n), own)
	case leaving && !w.selects(own, runs):
		want = w.fitted(own, runs)
	}
	if must[Service](&h.view.table, serviceKey(n)).Selector != want {
		h.add(serviceKey(n), func(current any) any {
			s := current.(Service)
			s.Selector = want
			return s
		})
	}
	if a.To == release.SelectsAll {
		h.remove(serviceHoldKey(n))
	}
}

// fitted is the team's selector with the value that a version's pods bear.
func (w *World) fitted(own Selector, v Version) Selector {
	own.Label = w.label(v)
	return own
}

// fitting is the team's selector, or, where that matches no pod of the version that is left when the Rollout goes, what
// these pods bear instead.
func (w *World) fitting(own Selector, from, to Version, r Release) Selector {
	left := from
	if r.Memory.Phase == release.Completing {
		left = to
	}
	if !w.selects(own, left) {
		return w.fitted(own, left)
	}
	return own
}

func (h *hands) holdNumber(n int) int { return must[Hold](&h.view.table, serviceHoldKey(n)).Release }

// renewHolds keeps the original anew of each Service that the team has edited while it is narrowed, and that the
// decision is content with.
func (h *hands) renewHolds(w *World, r Release, actions []release.Action) {
	from, to := versionOf(r.Spec.From), versionOf(r.Spec.To)
	for n := range w.Services {
		old, held := at[Hold](&h.view.table, serviceHoldKey(n))
		s := must[Service](&h.view.table, serviceKey(n)).Selector
		moved := slices.ContainsFunc(actions, func(a release.Action) bool {
			turn, is := a.(release.SelectService)
			return is && turn.Service == serviceName(n)
		})
		if held && old.Release == r.Number && s.Hash != NoVersion && !moved {
			h.hold(serviceHoldKey(n), r.Number, w.ownSelector(&h.view.table, n, from, to))
		}
	}
}

// keepUndivided does the same for a release without layers: a Service that would lead to the new pods alone is kept
// on the stable ones.
func (h *hands) keepUndivided(w *World, r Release) bool {
	d, ok := at[Deployment](&h.view.table, deploymentKey)
	if !ok || r.Spec.Divide != release.ByPods {
		return false
	}
	from, to := versionOf(r.Spec.From), versionOf(r.Spec.To)
	rs, _ := h.view.replicaSet(to)
	stays := h.staysOnNew(w, d, r)
	if stays || r.Memory.Phase == release.Completing && r.Memory.HandedOver && rs.Owner == OwnedByDeployment {
		from, to = to, from
	}
	return h.keepServices(w, d, h.removing() && !stays, from, to)
}

// staysOnNew says whether a Service that leads to the new pods alone has to stay there, in a release without layers
// whose hand-over is being undone: stable cannot carry all yet.
func (h *hands) staysOnNew(w *World, d Deployment, r Release) bool {
	from, _ := h.view.replicaSet(versionOf(r.Spec.From))
	to, _ := h.view.replicaSet(versionOf(r.Spec.To))
	ready := min(from.Ready, from.Desired)
	if from.Observed != from.Generation {
		ready = 0
	}
	carries := ready >= d.Replicas || r.Memory.Overdue && ready > 0
	return h.view.turned(w, versionOf(r.Spec.To)) && !carries && min(to.Ready, to.Desired) > 0
}

// undivided says whether a Service leads to one of the two versions only, so that their pods cannot share what it gets.
func (w *World) undivided(t *table, from, to Version) bool {
	for n := range w.Services {
		own := w.ownSelector(t, n, from, to)
		_, ok := at[Service](t, serviceKey(n))
		_, held := at[Hold](t, serviceHoldKey(n))
		if ok && w.Plan.Divide == release.ByPods && (held || w.selects(own, to)) && !w.selects(own, from) {
			return true
		}
	}
	return false
}

// leavingService says whether a layer leads to a Service that the new version's pods would leave: a release is refused.
func (w *World) leavingService(t *table, to Version) bool {
	for n := range w.Routed {
		if w.leaves(t, n, to) {
			return true
		}
	}
	return false
}

// leaves says whether a Service that nobody holds would have no pod of the new version.
func (w *World) leaves(t *table, n int, to Version) bool {
	s, ok := at[Service](t, serviceKey(n))
	return ok && s.Selector.Hash == NoVersion && !w.selects(s.Selector, to)
}
