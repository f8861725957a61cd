package sim

import "github.com/sluice-dev/sluice/internal/release"

// plan turns one action into its writes, in their order. What the cache shows as done is not written again.
func (h *hands) plan(w *World, r Release, a release.Action) {
	to := versionOf(r.Spec.To)
	switch a := a.(type) {
	case release.SelectService:
		h.selectService(w, r, a)
	case release.ScaleCanary:
		h.scaleCanary(w, to, a.Replicas)
	case release.EnsureCanaryService:
		h.ensureTwin(serviceNumber(a.Service), to)
	case release.RemoveCanaryService:
		h.remove(serviceKey(twin(serviceNumber(a.Service))))
	case release.Route:
		h.route(w, r, a.Layer, Split{a.Weight, matchIndex(a.Matches)})
	case release.Unroute:
		h.unroute(a.Layer)
	case release.HandOver:
		h.handOver(w, versionOf(r.Spec.From), to, a.KeepOld)
	case release.ScaleOld:
		h.scaleOld(versionOf(r.Spec.From), a.Replicas)
	case release.GiveOld:
		h.giveOld(w, r)
	case release.PauseWorkload:
		h.pause()
	case release.TakeBack:
		h.takeBack(w, versionOf(r.Spec.From), to)
	case release.ResumeWorkload:
		h.letGo(w)
	case release.RevertTemplate:
		h.revert(w, versionOf(r.Spec.From))
	case release.RemoveCanary:
		h.mark(versionOf(r.Spec.From), false)
		h.remove(replicaSetKey(to))
	case release.Analyse:
		h.analyse(w, r, a.ID)
	case release.ConcludeAnalysis:
		h.conclude(w, r, a.ID)
	case release.RemoveLoose: // The model has one ReplicaSet for each version, so none is loose.
	}
}

func (h *hands) pause() {
	h.add(deploymentKey, func(current any) any {
		d := current.(Deployment)
		d.Paused = true
		return d
	})
}

// analyse makes an AnalysisRun, whose name is that of the analysis: there is never a second one.
func (h *hands) analyse(w *World, r Release, id release.AnalysisID) {
	k := w.analysisKey(r.Number, id)
	if h.view.get(k).Value == nil {
		h.queue = append(h.queue, write{key: k, creates: true, to: func(any) any {
			return Analysis{Release: r.Number, ID: id, Begun: w.Tick}
		}})
	}
}

func (h *hands) conclude(w *World, r Release, id release.AnalysisID) {
	k := w.analysisKey(r.Number, id)
	if a, ok := at[Analysis](&h.view.table, k); ok && !a.Concluding {
		h.add(k, func(current any) any {
			a := current.(Analysis)
			a.Concluding = true
			return a
		})
	}
}

// selectService writes the Hold before the Service is changed, and removes it after the Service is given back.
func (h *hands) selectService(w *World, r Release, a release.SelectService) {
	n := serviceNumber(a.Service)
	s, ok := at[Service](&h.view.table, serviceKey(n))
	if !ok {
		return
	}
	from, to := versionOf(r.Spec.From), versionOf(r.Spec.To)
	own := w.ownSelector(&h.view.table, n, from, to)
	want := map[release.Selection]Selector{
		release.SelectsAll: own, release.SelectsStable: w.narrow(own, from), release.SelectsCanary: w.narrow(own, to),
	}[a.To]
	if a.To == release.SelectsAll && h.removing() {
		want = w.fitting(own, from, to, r)
	}
	turn := func() {
		if s.Selector != want {
			h.add(serviceKey(n), func(current any) any {
				s := current.(Service)
				s.Selector = want
				return s
			})
		}
	}
	if a.To == release.SelectsAll {
		turn()
		h.remove(serviceHoldKey(n))
		return
	}
	if w.Fumble.HoldLast {
		turn()
		h.hold(serviceHoldKey(n), r.Number, own)
		return
	}
	h.hold(serviceHoldKey(n), r.Number, own)
	turn()
}

// hold keeps the original; where the team has edited the object in the meantime, the new one. One that an earlier
// release has left is taken over.
func (h *hands) hold(k Key, number int, own Selector) {
	want := Hold{Release: number, Team: own.Team, Label: own.Label}
	if old, ok := at[Hold](&h.view.table, k); !ok || old != want {
		h.add(k, func(any) any { return want })
	}
}

func (h *hands) remove(k Key) {
	if h.view.get(k).Value != nil {
		h.add(k, func(any) any { return nil })
	}
}

func (h *hands) scaleCanary(w *World, to Version, n int) {
	rs, exists := h.view.replicaSet(to)
	if exists && rs.Desired == n {
		return
	}
	h.add(replicaSetKey(to), func(current any) any {
		rs, ok := current.(ReplicaSet)
		if !ok {
			rs.Owner, rs.Created = OwnedByRelease, w.store.rv
		}
		rs.Desired = n
		return rs
	})
}

func (h *hands) ensureTwin(n int, to Version) {
	s, ok := at[Service](&h.view.table, serviceKey(twin(n)))
	if ok && s.Selector.Hash == to {
		return
	}
	h.add(serviceKey(twin(n)), func(any) any { return Service{Selector: Selector{Hash: to}} })
}

func (h *hands) route(w *World, r Release, layer string, s Split) {
	k := layerKey(layer)
	if k == ingressKey {
		if i, ok := at[Ingress](&h.view.table, k); !ok || i.Split != s || w.Fumble.Restless {
			h.add(k, func(any) any { return Ingress{Split: s} })
		}
		return
	}
	seen := must[Route](&h.view.table, k)
	h.hold(routeHoldKey, r.Number, Selector{Team: seen.Team})
	if seen.Split != s || w.Fumble.Restless {
		h.setRoute(s)
	}
}

func (h *hands) setRoute(s Split) {
	h.add(routeKey, func(current any) any {
		r := current.(Route)
		r.Split = s
		return r
	})
}

func (h *hands) unroute(layer string) {
	k := layerKey(layer)
	if k == ingressKey {
		h.remove(k)
		return
	}
	if must[Route](&h.view.table, k).Split != (Split{}) {
		h.setRoute(Split{})
	}
	h.remove(routeHoldKey)
}

// handOver gives the new ReplicaSet to the workload. The old one is marked first. In its pod template, so that it
// equals no template of the workload's any more: an edit back to it that crosses the hand-over would otherwise make the
// Deployment controller take it for the new one, see it complete, and end at once the pods that serve everybody. And in
// its max-replicas annotation: when a change of scale crosses, that controller scales in proportion to it, and so takes
// from the old one all that it has and from the new one nothing that is needed.
//
// Where the old pods are to stay, the old ReplicaSet is taken from the workload instead.
func (h *hands) handOver(w *World, from, to Version, keepOld bool) {
	switch {
	case keepOld:
		h.own(w, from, OwnedByRelease)
	case !w.Fumble.BareHandOver:
		h.mark(from, true)
	}
	n := len(h.queue)
	h.own(w, to, OwnedByDeployment)
	if len(h.queue) > n {
		h.queue[n].joined = n > 0
	}
}

// scaleOld makes the old ReplicaSet, which was taken from the workload, have so many pods.
func (h *hands) scaleOld(from Version, n int) {
	if rs, ok := h.view.replicaSet(from); !ok || rs.Desired == n {
		return
	}
	h.add(replicaSetKey(from), func(current any) any {
		rs := current.(ReplicaSet)
		rs.Desired = n
		return rs
	})
}

// giveOld gives it back to the workload; without one, it is removed. Where the workload still has the new one, that is
// marked as the old one is in a hand-over: what is too many is taken from it.
func (h *hands) giveOld(w *World, r Release) {
	from, to := versionOf(r.Spec.From), versionOf(r.Spec.To)
	if h.view.get(deploymentKey).Value == nil {
		h.remove(replicaSetKey(from))
		return
	}
	rs, _ := h.view.replicaSet(from)
	if now, ok := h.view.replicaSet(to); ok && now.Owner == OwnedByDeployment && rs.Desired > 0 && !w.Fumble.BareReturn {
		h.mark(to, true)
	}
	n := len(h.queue)
	h.own(w, from, OwnedByDeployment)
	if len(h.queue) > n && r.Memory.Phase == release.Completing && !w.Fumble.BareReturn {
		h.queue[n].to = formerly(h.queue[n].to)
	}
}

// takeBack is the way back; only then may the Deployment controller know the old one again.
func (h *hands) takeBack(w *World, from, to Version) {
	h.own(w, to, OwnedByRelease)
	h.mark(from, false)
}

const oldPays = 1 << 30

// formerly is a write of a ReplicaSet that leaves it as every hand-over leaves the old one in the workload's history.
func formerly(to func(any) any) func(any) any {
	return func(current any) any {
		rs := to(current).(ReplicaSet)
		rs.Former, rs.MaxAnnotated = true, oldPays
		return rs
	}
}

func (h *hands) mark(v Version, former bool) {
	rs, ok := h.view.replicaSet(v)
	if !ok || rs.Former == former && former == (rs.MaxAnnotated == oldPays) {
		return
	}
	h.add(replicaSetKey(v), func(current any) any {
		rs := current.(ReplicaSet)
		rs.Former, rs.MaxAnnotated = former, 0
		if former {
			rs.MaxAnnotated = oldPays
		}
		return rs
	})
}

// own changes who controls a ReplicaSet. The Deployment controller's own notes are set with it, since without them
// it does not see that the ReplicaSet is complete.
func (h *hands) own(w *World, v Version, o Owner) {
	rs, ok := h.view.replicaSet(v)
	if !ok || rs.Owner == o {
		return
	}
	d := must[Deployment](&h.view.table, deploymentKey)
	h.add(replicaSetKey(v), func(current any) any {
		rs := current.(ReplicaSet)
		rs.Owner = o
		if o == OwnedByDeployment {
			rs.Annotated, rs.MaxAnnotated, rs.Former = d.Replicas, d.Replicas+w.Surge, false
		}
		return rs
	})
}

// letGo unpauses, if the template is still the one that this was decided for. Where there is no policy the
// workload stays paused until the Rollout goes.
func (h *hands) letGo(w *World) {
	d, ok := at[Deployment](&h.view.table, deploymentKey)
	if !ok || !d.Paused || !w.Policy && !h.removing() {
		return
	}
	h.add(deploymentKey, func(current any) any {
		d := current.(Deployment)
		d.Paused, d.HeldBy = false, ""
		if w.Fumble.Replicas {
			d.Replicas++
		}
		return d
	})
}

func (h *hands) removing() bool {
	r, ok := at[Rollout](&h.view.table, rolloutKey)
	return !ok || r.Removing
}

func (h *hands) revert(w *World, to Version) {
	if d, ok := at[Deployment](&h.view.table, deploymentKey); !ok || d.Template == to && !d.Paused {
		return
	}
	h.add(deploymentKey, func(current any) any {
		d := current.(Deployment)
		d.Template = to
		if w.Policy || h.removing() {
			d.Paused, d.HeldBy = false, ""
		}
		return d
	})
}
