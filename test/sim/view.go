package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// view is the hands' caches: one watch stream per kind, each as late as it likes.
type view struct {
	table
	pos [Kinds]int
	// from is where each stream began.
	from   [Kinds]int
	frozen [Kinds]int
	// missed: an event of this kind was lost since it was last listed.
	missed [Kinds]bool
	// wrote is the version of our own last write to each object, as far as this process knows.
	wrote [Kinds][]int
}

// relist reads everything as it is now.
func (v *view) relist(w *World) {
	for k := range Kinds {
		v.table[k] = append(v.table[k][:0], w.store.table[k]...)
		v.pos[k] = len(w.store.log[k])
		v.from[k] = v.pos[k]
	}
}

func (v *view) freeze(w *World, k Kind, until int) {
	v.frozen[k] = max(v.frozen[k], until)
	w.checks.excuse.blind(until)
}

// deliver takes the events that have arrived; it says whether any were.
func (v *view) deliver(w *World) bool {
	any := false
	for k := range Kinds {
		log := w.store.log[k]
		for v.pos[k] < len(log) && !w.freezes(k, v) && w.arrived(k, &log[v.pos[k]], v.frozen[k]) {
			if e := &log[v.pos[k]]; !e.Lost {
				v.see(w, k, e)
				any = true
			} else {
				v.miss(w, k)
			}
			v.pos[k]++
		}
	}
	return any
}

// miss: what was lost is not known before the next recheck.
func (v *view) miss(w *World, k Kind) {
	v.missed[k] = true
	w.disturb(recheck)
	w.checks.excuse.blind(w.Tick + recheck)
}

func (w *World) arrived(k Kind, e *Event, frozen int) bool {
	return w.Tick >= frozen && w.Tick >= e.Tick+w.noise(300+int(k), w.WatchLag)
}

// freezes has the fault stop this watch before the event that it names.
func (w *World) freezes(k Kind, v *view) bool {
	if f := w.Fault; f.Do == FreezeKind && f.Kind == k && f.N == v.pos[k] {
		v.freeze(w, k, w.Tick+freezeTicks)
		w.disturb(freezeTicks)
		w.Fault = Fault{}
	}
	return w.Tick < v.frozen[k]
}

// rewind makes the caches older by so many events a kind.
func (v *view) rewind(w *World, events int) {
	for k := range Kinds {
		log := w.store.log[k]
		v.pos[k] = max(0, len(log)-events)
		v.table[k] = nil
		for i := range log[:v.pos[k]] {
			v.set(Key{k, log[i].N}, log[i].Object)
		}
	}
}

func (v *view) see(w *World, k Kind, e *Event) {
	v.set(Key{k, e.N}, e.Object)
}

// knows notes our own write, or that a fresh read has shown this version.
func (v *view) knows(k Key, rv int) {
	s := &v.wrote[k.Kind]
	for k.N >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[k.N] = max((*s)[k.N], rv)
}

// current says whether every object in the picture is at least as new as our own last write to it.
func (v *view) current() bool {
	for k := range Kinds {
		for n, rv := range v.wrote[k] {
			if rv > v.get(Key{k, n}).RV {
				return false
			}
		}
	}
	return true
}

func (v *view) replicaSet(ver Version) (ReplicaSet, bool) {
	return at[ReplicaSet](&v.table, replicaSetKey(ver))
}

// observe turns what the caches hold into what the mind sees.
func (w *World) observe(v *view, r Release) release.Observed {
	from, to := versionOf(r.Spec.From), versionOf(r.Spec.To)
	o := release.Observed{
		Workload: w.observeWorkload(v, to),
		Stable:   observeStable(v, from),
		Canary:   observeTrack(v, to),
	}
	needless := r.Spec.Divide == release.ByPods || v.turned(w, to)
	if rs, ok := v.replicaSet(from); ok && rs.Observed != rs.Generation && needless {
		o.Stable.Ready = 0 // the status is of another spec: what it counts may just have been removed
	}
	rollout, ok := at[Rollout](&v.table, rolloutKey)
	o.Removing = !ok || rollout.Removing
	o.PlanChanged = ok && rollout.Plan != r.Plan && r.Renewals < mostRenewals && !w.Fumble.OldPlan
	o.Decisions = openDecisions(v, r)
	o.Analyses = observeAnalyses(v, r.Number)
	o.Shut = observeWindow(v, w.hands.tick(w))
	if r.Spec.Divide == release.ByPods {
		if v.turned(w, to) {
			o.Stable.Ready = 0 // no Service leads to them
		}
		if w.undivided(&v.table, from, to) {
			o.Trouble = "a Service leads to the new pods alone"
		}
		return o
	}
	for n := range w.Services {
		if w.Fumble.TrustLabel && must[Service](&v.table, serviceKey(n)).Lie {
			continue
		}
		if s, ok := w.observeService(v, r.Number, n, from, to); ok {
			s.Routed = n < w.Routed
			o.Services = append(o.Services, s)
		}
	}
	for _, name := range r.Spec.Layers {
		o.Layers = append(o.Layers, w.observeLayer(v, name))
	}
	return o
}

// turned says whether a Service selects this version, so that the other one is not needed at the moment.
func (v *view) turned(w *World, to Version) bool {
	for n := range w.Services {
		if must[Service](&v.table, serviceKey(n)).Selector.Hash == to {
			return true
		}
	}
	return false
}

func (w *World) observeWorkload(v *view, to Version) release.Workload {
	d, ok := at[Deployment](&v.table, deploymentKey)
	if !ok {
		return release.Workload{}
	}
	rollout, managed := at[Rollout](&v.table, rolloutKey)
	kept := !w.Policy && managed && !rollout.Removing
	return release.Workload{
		Exists: true, Desired: w.seen(d.Template).String(), Replicas: d.Replicas, Alone: v.runsAlone(to),
		Held: d.Paused, Kept: kept,
	}
}

// seen is the version that a template is taken for.
func (w *World) seen(v Version) Version {
	if w.Fumble.ShortHash && v == 2 {
		return 1
	}
	return v
}

// runsAlone: all of the workload's pods are of this version.
func (v *view) runsAlone(to Version) bool {
	rs, ok := v.replicaSet(to)
	if !ok || rs.Owner != OwnedByDeployment {
		return false
	}
	for other := range Version(Versions) {
		rs, ok := v.replicaSet(other)
		if ok && other != to && rs.Owner == OwnedByDeployment && (rs.Desired > 0 || rs.Pods > 0) {
			return false
		}
	}
	return true
}

func observeTrack(v *view, ver Version) release.Track {
	rs, ok := v.replicaSet(ver)
	if !ok {
		return release.Track{}
	}
	return release.Track{
		Exists: true, Adopted: rs.Owner == OwnedByDeployment, Desired: rs.Desired, Pods: rs.Pods, Ready: rs.Ready,
	}
}

// observeStable says, too, whether the release has taken the stable ReplicaSet.
func observeStable(v *view, ver Version) release.Track {
	t := observeTrack(v, ver)
	t.Taken = t.Exists && !t.Adopted
	return t
}

func (w *World) observeService(v *view, number, n int, from, to Version) (release.Service, bool) {
	s, ok := at[Service](&v.table, serviceKey(n))
	if !ok {
		return release.Service{}, false
	}
	h, held := at[Hold](&v.table, serviceHoldKey(n))
	own := w.ownSelector(&v.table, n, from, to)
	twinService, twinExists := at[Service](&v.table, serviceKey(twin(n)))
	ready := must[Endpoints](&v.table, endpointsKey(n)).Ready
	o := release.Service{
		Name: serviceName(n), Held: held && h.Release == number, Selects: release.SelectsOther,
		ReadyStable: int(ready[from]), ReadyCanary: int(ready[to]),
		MissesStable: !w.selects(own, from), MissesCanary: !w.selects(own, to), Own: fmt.Sprintf("label=%d", own.Label),
		CanaryExists: twinExists && twinService.Selector.Hash == to,
		CanaryReady:  int(must[Endpoints](&v.table, endpointsKey(twin(n))).Ready[to]),
	}
	switch s.Selector {
	case own:
		o.Selects = release.SelectsAll
	case w.narrow(own, from):
		o.Selects = release.SelectsStable
	case w.narrow(own, to):
		o.Selects = release.SelectsCanary
	}
	return o, true
}

func (w *World) observeLayer(v *view, name string) release.Layer {
	settle := time.Duration(w.follows()) * time.Second
	if name == "ingress" {
		i, ok := at[Ingress](&v.table, ingressKey)
		if !ok {
			return release.Layer{Name: name, Settled: true, Settle: settle}
		}
		return release.Layer{
			Name: name, Routed: true, Weight: i.Weight, Matches: matchTable[i.Match],
			Version: strconv.Itoa(v.get(ingressKey).RV), Settled: true, Settle: settle,
		}
	}
	r := must[Route](&v.table, routeKey)
	_, held := at[Hold](&v.table, routeHoldKey)
	return release.Layer{
		Name: name, Routed: r.Split != Split{}, Held: held, Weight: r.Weight, Matches: matchTable[r.Match],
		Version: strconv.Itoa(r.Generation), Settled: r.Observed >= r.Generation, Settle: settle,
	}
}

// follows is how long a layer is given to follow, in ticks.
func (w *World) follows() int { return settleAfter + w.SlowRoutes }

// openDecisions are those on the release that have neither an answer nor taken effect.
func openDecisions(v *view, r Release) (open []release.Decision) {
	for _, o := range v.table[KDecision] {
		if d, ok := o.Value.(Decision); ok && d.open() && d.Release == r.Number && !r.answers(d.ID) {
			open = append(open, d.Decision)
		}
	}
	return open
}

// leftOver finds a decision on a release that was over before it was answered.
func (v *view) leftOver(number int) (Decision, bool) {
	for _, o := range v.table[KDecision] {
		if d, ok := o.Value.(Decision); ok && d.open() && d.Release < number {
			return d, true
		}
	}
	return Decision{}, false
}

// decisionNumber finds the number of the decision with that ID.
func (v *view) decisionNumber(id string) int {
	return slices.IndexFunc(v.table[KDecision], func(o Object) bool {
		d, ok := o.Value.(Decision)
		return ok && d.ID == id
	})
}
