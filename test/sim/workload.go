package sim

import "slices"

// pod of a version. gone is set once it is terminating: until then it answers what still reaches it.
type pod struct {
	readyAt, outUntil, gone int
}

func (p pod) ready(tick int) bool { return p.gone == 0 && tick >= p.readyAt && tick >= p.outUntil }

// dues are the clocks of those that act late.
const (
	dueDeployment = iota
	dueReplicaSet
	dueEndpoints = dueReplicaSet + Versions
	dueStatus    = dueEndpoints + 2*teamServices
	dues         = dueStatus + 1
)

const notDue = 0

// late says whether the one with this clock acts now. It acts at most so many ticks after it first wanted to.
func (w *World) late(clock int, wants bool, lag int) bool {
	switch {
	case !wants:
		w.due[clock] = notDue
		return false
	case w.due[clock] == notDue:
		w.due[clock] = w.Tick + w.noise(clock, lag)
	}
	if w.Tick < w.due[clock] {
		return false
	}
	w.due[clock] = notDue
	return true
}

// cluster lets everybody in the cluster act, except the hands.
func (w *World) cluster() {
	w.deploymentController()
	for v := range Version(Versions) {
		w.replicaSetController(v)
	}
	for n := range 2 * teamServices {
		w.endpointController(n)
	}
	w.dataPlane()
	w.analyse()
}

// count is the pods of a version: those that are not terminating, those that are ready, and all that answer.
func (w *World) count(v Version) (pods, ready, alive int) {
	for _, p := range w.pods[v] {
		alive++
		if p.gone == 0 {
			pods++
		}
		if p.ready(w.Tick) {
			ready++
		}
	}
	return pods, ready, alive
}

// replicaSetController makes and removes pods, and writes the status. It is the kubelet too.
func (w *World) replicaSetController(v Version) {
	rs, exists := w.replicaSet(v)
	if !exists && len(w.pods[v]) == 0 {
		return
	}
	w.pods[v] = slices.DeleteFunc(w.pods[v], func(p pod) bool { return p.gone != 0 && p.gone <= w.Tick })
	pods, _, _ := w.count(v)
	for ; pods < rs.Desired; pods++ {
		w.pods[v] = append(w.pods[v], w.newPod(v))
	}
	for ; pods > rs.Desired; pods-- {
		w.pods[v][w.victim(v)].gone = w.Tick + grace
	}
	if !exists {
		return
	}
	pods, ready, _ := w.count(v)
	if w.late(dueReplicaSet+int(v), rs.Pods != pods || rs.Ready != ready || rs.Observed != rs.Generation,
		w.ControllerLag) {
		rs.Pods, rs.Ready, rs.Observed = pods, ready, rs.Generation
		w.put(Kubernetes, replicaSetKey(v), rs)
	}
}

func (w *World) newPod(v Version) pod {
	w.checks.keeping.started[v]++
	p := pod{readyAt: w.Tick + 1 + w.noise(100+len(w.pods[v]), w.ReadyDelay)}
	if w.Bad[v] {
		p.readyAt = 1 << 40
	}
	return p
}

// victim is the pod to remove: one that is not ready, or else the youngest.
func (w *World) victim(v Version) int {
	best := -1
	for i, p := range w.pods[v] {
		switch {
		case p.gone != 0:
		case !p.ready(w.Tick):
			return i
		default:
			best = i
		}
	}
	return best
}

// deploymentController does what Kubernetes' does, with its ReplicaSets ordered by age.
func (w *World) deploymentController() {
	d, ok := w.deployment()
	if !ok {
		w.collect()
		return
	}
	if w.late(dueDeployment, true, w.ControllerLag) {
		w.syncDeployment(d)
	}
}

// collect removes what a deleted Deployment owned.
func (w *World) collect() {
	for v := range Version(Versions) {
		if rs, ok := w.replicaSet(v); ok && rs.Owner == OwnedByDeployment {
			w.put(Kubernetes, replicaSetKey(v), nil)
		}
	}
}

// owned are the versions whose ReplicaSets the Deployment owns, oldest first; active are those with pods to have.
func (w *World) owned() (all, active []Version) {
	for v := range Version(Versions) {
		if rs, ok := w.replicaSet(v); ok && rs.Owner == OwnedByDeployment {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b Version) int { return w.set(a).Created - w.set(b).Created })
	for _, v := range all {
		if w.set(v).Desired > 0 {
			active = append(active, v)
		}
	}
	return all, active
}

func (w *World) set(v Version) ReplicaSet { rs, _ := w.replicaSet(v); return rs }

func (w *World) syncDeployment(d Deployment) {
	all, active := w.owned()
	hasNew := slices.Contains(all, d.Template) && !w.set(d.Template).Former
	if d.Paused || scaling(w, d, active) {
		w.scaleDeployment(d, all, active, hasNew)
		return
	}
	w.rollDeployment(d, all, hasNew)
}

// scaling says whether the Deployment's replicas changed since its ReplicaSets were last scaled.
func scaling(w *World, d Deployment, active []Version) bool {
	return slices.ContainsFunc(active, func(v Version) bool {
		a := w.set(v).Annotated
		return a != 0 && a != d.Replicas
	})
}

// scaleDeployment is Kubernetes' scale(): one active ReplicaSet follows the Deployment; a saturated new one sends
// the old ones to 0; otherwise all are scaled in proportion.
func (w *World) scaleDeployment(d Deployment, all, active []Version, hasNew bool) {
	if one, ok := activeOrLatest(d, all, active, hasNew); ok {
		if w.set(one).Desired != d.Replicas {
			w.setScale(one, d.Replicas, d)
		}
		return
	}
	if len(active) == 0 {
		return
	}
	if hasNew && w.saturated(d) {
		for _, v := range active {
			if v != d.Template {
				w.setScale(v, 0, d)
			}
		}
		return
	}
	w.scaleInProportion(d, active)
}

func activeOrLatest(d Deployment, all, active []Version, hasNew bool) (Version, bool) {
	switch {
	case len(active) == 1:
		return active[0], true
	case len(active) > 1 || len(all) == 0:
		return 0, false
	case hasNew:
		return d.Template, true
	}
	return all[len(all)-1], true
}

func (w *World) saturated(d Deployment) bool {
	rs := w.set(d.Template)
	return rs.Desired == d.Replicas && rs.Annotated == d.Replicas && rs.Ready == d.Replicas
}

func (w *World) setScale(v Version, n int, d Deployment) {
	rs := w.set(v)
	rs.Desired, rs.Annotated, rs.MaxAnnotated = n, d.Replicas, d.Replicas+w.Surge
	w.put(Kubernetes, replicaSetKey(v), rs)
}

func (w *World) scaleInProportion(d Deployment, active []Version) {
	allowed, total := 0, 0
	if d.Replicas > 0 {
		allowed = d.Replicas + w.Surge
	}
	for _, v := range active {
		total += w.set(v).Desired
	}
	add := allowed - total
	slices.SortStableFunc(active, func(a, b Version) int {
		if byDesired := w.set(b).Desired - w.set(a).Desired; byDesired != 0 {
			return byDesired
		}
		byAge := w.set(a).Created - w.set(b).Created
		if add > 0 {
			return -byAge
		}
		return byAge
	})
	sizes, added := make([]int, len(active)), 0
	for i, v := range active {
		part := 0
		if add != 0 {
			part = w.proportion(d, v, add, added, total)
		}
		sizes[i] = w.set(v).Desired + part
		added += part
	}
	sizes[0] = max(0, sizes[0]+add-added)
	for i, v := range active {
		w.setScale(v, sizes[i], d)
	}
}

// proportion is Kubernetes' GetReplicaSetProportion.
func (w *World) proportion(d Deployment, v Version, add, added, total int) int {
	rs, left := w.set(v), add-added
	fraction := -rs.Desired
	if d.Replicas > 0 {
		before := rs.MaxAnnotated
		if before == 0 {
			before = max(total, 1)
		}
		fraction = (2*rs.Desired*(d.Replicas+w.Surge)+before)/(2*before) - rs.Desired
	}
	if add > 0 {
		return min(fraction, left)
	}
	return max(fraction, left)
}

// rollDeployment is a rolling update with the given surge and none unavailable. In a right world it never has
// anything to do: a new version's pods have been proven before the workload is let go.
func (w *World) rollDeployment(d Deployment, all []Version, hasNew bool) {
	if !hasNew {
		rs := w.set(d.Template)
		if r, managed := w.rollout(); managed && !r.Removing && rs.Former && d.Template == w.checks.promoted &&
			w.checks.handed == NoVersion {
			w.checks.breaks(w, "S14", "the workload starts %s anew, since its ReplicaSet bears the mark of a former one",
				d.Template)
		}
		rs.Owner, rs.Created, rs.Former = OwnedByDeployment, w.store.rv, false
		w.put(Kubernetes, replicaSetKey(d.Template), rs)
		return
	}
	total, ready := 0, 0
	for _, v := range all {
		total += w.set(v).Desired
		ready += w.set(v).Ready
	}
	if rs := w.set(d.Template); rs.Desired != d.Replicas {
		n := min(d.Replicas, rs.Desired+max(0, d.Replicas+w.Surge-total))
		w.setScale(d.Template, n, d)
		return
	}
	for _, v := range all {
		if rs := w.set(v); v != d.Template && rs.Desired > 0 {
			drop := min(rs.Desired, max(0, ready-d.Replicas)+rs.Desired-rs.Ready)
			w.setScale(v, rs.Desired-drop, d)
			return
		}
	}
}
