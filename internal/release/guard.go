package release

import "fmt"

// The rules that no decision may break, by number:
//
//	S1   No share of requests to a version without the ready pods for it, and their endpoints. Rounded up.
//	S2   No request to a backend without a ready pod.
//	S3   A version ends only after it has got no more requests for the drain delay, verified.
//	S4   A Service changes its version only where the new one can take all that it gets.
//	S5   No Service selects both versions; no object is touched that is not this release's.
//	S6   Weights are percentages.
//	S8   An abort never raises the canary, in weight or in pods (but for a Service that still leads to it).
//	S11  A revision that the workload no longer names gets nothing more, and is never handed over.
//	S14  The ready pods never fall below what the workload is to have; one disruption at a time.
//	S21  The workload is resumed only with a template that was released, unless the Rollout itself goes.
//	S22  A release that has ended holds nothing of the team's.

// Violation is a rule that an action would break.
type Violation struct {
	// Invariant is the rule's number, as "S1".
	Invariant string
	// Message says what would have happened.
	Message string
}

func (v Violation) String() string { return v.Invariant + " (" + v.Message + ")" }

// Check is the guard: it says which rules the actions would break in the world as observed. The memory is the
// one that is stored before the actions. Decide checks itself with it, the controller checks once more before
// it writes, and the simulation checks all along. It shares no code with the decisions but the arithmetic.
func Check(s Spec, o Observed, m Memory, actions []Action) []Violation {
	o = o.lasting()
	g := &guard{s: &s, way: s.way(), o: &o, m: &m}
	for _, a := range actions {
		g.check(a)
	}
	g.oneDisruption(actions)
	g.nothingLeft()
	return g.found
}

// CheckSelector is the guard's rule for every write of a team's Service, also while no release is under way: a Service
// that leads to ready pods gets no selector that leads to none (S4). now and then are the ready pods of the workload
// that the Service's selector matches and that the new one would. It returns nil where the rule holds.
func CheckSelector(service string, now, then int) *Violation {
	if now == 0 || then > 0 {
		return nil
	}
	return &Violation{"S4", fmt.Sprintf("Service %s, which leads to %s, would lead to none", service,
		plural(now, "ready pod"))}
}

// GuardMessage says what the guard has kept from happening.
func GuardMessage(v Violation) string {
	return fmt.Sprintf("Sluice stopped itself before a write that would break %s; nothing was changed; please report "+
		"this", v)
}

type guard struct {
	s     *Spec
	way   *Way
	o     *Observed
	m     *Memory
	found []Violation
}

// must notes a violation unless the rule holds.
func (g *guard) must(holds bool, invariant, format string, args ...any) {
	if !holds {
		g.found = append(g.found, Violation{Invariant: invariant, Message: fmt.Sprintf(format, args...)})
	}
}

func (g *guard) check(a Action) {
	switch a := a.(type) {
	case SelectService:
		g.checkSelect(a)
	case ScaleCanary:
		g.checkScale(a)
	case ScaleOld:
		g.checkScaleOld(a)
	case EnsureCanaryService:
		g.must(g.service(a.Service) != nil, "S5", "a twin for %s, which is no Service of the workload's", a.Service)
	case RemoveCanaryService:
		g.must(!g.anyRouted(), "S2", "the canary Service beside %s would go while a layer still names it", a.Service)
	case Route:
		g.checkRoute(a)
	case Unroute:
		g.checkUnroute(a)
	case RemoveCanary:
		g.checkRemove()
	case Analyse, ConcludeAnalysis:
		g.checkAnalysis()
	default:
		g.checkWorkload(a)
	}
}

// checkWorkload has the actions on the workload itself.
func (g *guard) checkWorkload(a Action) {
	w := &g.o.Workload
	switch a.(type) {
	case HandOver:
		g.checkHandOver()
	case PauseWorkload:
		g.must(w.Exists && g.mayPause(), "S21", "a workload would be paused that runs what was released")
	case GiveOld:
		g.checkGiveOld()
	case TakeBack:
		g.must((g.o.Canary.Adopted || w.Loose > 0) && w.Exists, "S14", "there is nothing to take back")
	case RemoveLoose:
		g.must(loosePodsIdle(g.o), "S1", "pods would go that the stable ones, of which %d of %d are ready, do not replace "+
			"yet",
			g.o.Stable.Ready, g.o.demand())
	case ResumeWorkload:
		g.checkResume()
	case RevertTemplate:
		g.must(g.m.Phase == Aborting && w.Desired == g.s.To && g.o.Canary.Pods == 0, "S21",
			"the template would be written back although it is not the released one, or new pods are left")
	default:
		g.must(false, "S20", "%T is no action that the guard knows", a)
	}
}

// mayPause: the workload runs what was not released, or is to get its old pods again.
func (g *guard) mayPause() bool {
	if g.m.Phase == Aborting && g.o.Stable.Taken {
		return true
	}
	return !g.m.HandedOver && g.o.Workload.Desired != g.s.From
}

// checkAnalysis: S8.
func (g *guard) checkAnalysis() {
	g.must(!g.m.Phase.Terminal() && g.m.Phase != Aborting, "S8", "something would be measured of a release that is "+
		"being taken back")
}

func (g *guard) service(name string) *Service {
	for i := range g.o.Services {
		if g.o.Services[i].Name == name {
			return &g.o.Services[i]
		}
	}
	return nil
}

func (g *guard) layer(name string) *Layer {
	for i := range g.o.Layers {
		if g.o.Layers[i].Name == name {
			return &g.o.Layers[i]
		}
	}
	return nil
}

func (g *guard) anyRouted() bool {
	for i := range g.o.Layers {
		if g.o.Layers[i].Routed {
			return true
		}
	}
	return false
}

func (g *guard) unrouted() bool {
	for i := range g.o.Layers {
		if l := &g.o.Layers[i]; l.Routed || !l.Settled && !g.m.Overdue {
			return false
		}
	}
	return true
}

// stableFor says whether stable may take so much weight from the canary. There are three ways out where the
// whole need is not met: nobody is served by the canary either, the abort's own deadline has passed, or the
// workload is to have no pods; in the first two one ready stable pod is demanded still.
func (g *guard) stableFor(weight, ready int, canaryDead bool) bool {
	switch {
	case !g.o.Workload.Exists || ready >= share(weight, g.o.demand()):
		return true
	case canaryDead || g.m.Phase == Aborting && g.m.Overdue:
		return ready > 0
	}
	return false
}

// checkSelect: S4, S5.
func (g *guard) checkSelect(a SelectService) {
	sv := g.service(a.Service)
	if sv == nil {
		g.must(false, "S5", "%s is no Service of the workload's", a.Service)
		return
	}
	switch a.To {
	case SelectsCanary:
		g.checkToCanary(sv)
	case SelectsStable:
		g.checkToStable(sv)
	case SelectsAll:
		c := g.o.Canary
		w := g.o.Workload
		runs := g.m.HandedOver && (w.Alone || g.keptAndGone())
		alone := c.Adopted && (!w.Exists || runs || g.m.Phase == Aborting && !w.Held)
		g.must(!g.o.Stable.Taken || g.o.Stable.Pods == 0, "S5", "Service %s would select the old pods that are kept", sv.Name)
		g.must(alone || c.Pods == 0 && c.Desired == 0, "S5", "Service %s would select both versions' pods (%d of them new)",
			sv.Name, c.Pods)
		g.must(!keeps(g.o, g.m, sv), "S2", "Service %s would select no pod (%s)", sv.Name, sv.Own)
	default:
		g.must(false, "S5", "Service %s cannot select %q", sv.Name, a.To)
	}
}

func (g *guard) checkToCanary(sv *Service) {
	c := g.o.Canary
	after := g.m.HandedOver && c.Adopted && (c.Ready > 0 || g.o.Workload.Alone) // The old pods are ending, or gone.
	instead := g.o.demand() > 0 && g.o.Stable.Ready == 0 && c.Ready > 0
	preview := sv.Preview && c.Ready > 0
	g.must(sv.Selects == SelectsCanary || c.Ready >= g.o.demand() || after || instead || preview, "S4",
		"Service %s would select the new pods, of which %d of %d are ready", sv.Name, c.Ready, g.o.demand())
	g.must(g.m.Phase == Completing || instead || preview || g.switching(), "S11",
		"Service %s would select the new pods before they are due", sv.Name)
}

// keptAndGone: the workload has had the new pods alone, and the old ones, which were kept, are gone.
func (g *guard) keptAndGone() bool {
	return !g.m.KeptFrom.IsZero() && !g.o.Stable.Taken && g.o.Stable.Pods == 0 && g.o.Stable.Desired == 0
}

// switching says that the step has the Services themselves change over.
func (g *guard) switching() bool {
	step := g.m.Step
	return g.way.switches && step >= 0 && step < len(g.s.Steps) && g.s.Steps[step].Weight == 100
}

// checkToStable: a Service that new pods answer needs stable pods for all; for one that new pods answer only by a
// foreign selector, or by endpoints that are gone, one stable pod is better than that.
func (g *guard) checkToStable(sv *Service) {
	st := g.o.Stable
	byCanary := sv.ReadyCanary > 0 || sv.Selects == SelectsCanary && g.o.Canary.Ready > 0
	partly := sv.Selects == SelectsAll || sv.ReadyCanary == 0
	enough := sv.Selects == SelectsStable || !byCanary || partly && st.Ready > 0 || g.stableFor(100, st.Ready, false)
	g.must(enough, "S4", "Service %s would select the stable pods, of which %d of %d are ready", sv.Name, st.Ready,
		g.o.demand())
}

// checkScale: S3, S5, S8, S14.
func (g *guard) checkScale(a ScaleCanary) {
	c := g.o.Canary
	g.must(a.Replicas >= 0, "S6", "%d pods", a.Replicas)
	switch {
	case a.Replicas < c.Desired:
		g.way.mayShrink(g, a.Replicas)
	case a.Replicas > c.Desired:
		g.must(c.Pods > 0 || c.Desired > 0 || g.narrowed(), "S5", "the first new pods would start before every Service is "+
			"narrowed")
		g.must(g.m.Phase != Aborting || g.servesByService(), "S8", "new pods would start during an abort")
		g.must(g.m.Phase == Aborting || g.o.Workload.Desired == g.s.To, "S11", "pods of a revision would start that the "+
			"workload no longer names")
	}
}

func (g *guard) narrowed() bool {
	for i := range g.o.Services {
		if sv := &g.o.Services[i]; sv.Selects == SelectsAll || !sv.Held {
			return false
		}
	}
	return true
}

func (g *guard) servesByService() bool {
	for i := range g.o.Services {
		if g.o.Services[i].Selects == SelectsCanary {
			return true
		}
	}
	return false
}

// mayShrinkServed: where the number of pods divides the requests, the whole must stay served.
func (g *guard) mayShrinkServed(to int) {
	enough := to >= g.o.Canary.Ready || g.o.Stable.Ready+to >= g.o.demand()
	g.must(enough || g.stableFor(100, g.o.Stable.Ready, false), "S14",
		"%d stable and %d new ready pods would be left of %d", g.o.Stable.Ready, to, g.o.demand())
}

// mayShrinkUnled: where layers divide the requests, what still gets some keeps its pods.
func (g *guard) mayShrinkUnled(to int) {
	if g.o.demand() == 0 && g.m.Phase != Aborting && g.weightless() && !g.m.DrainFrom.IsZero() {
		return // The team wants no pods, and no layer leads to these.
	}
	if g.m.Phase == Completing {
		g.must(to >= g.o.demand() && g.turned() && g.unrouted(), "S3", "the new pods would be fewer than the workload has")
		return
	}
	g.must(g.m.Phase == Aborting, "S3", "the new pods would be fewer during the advance")
	g.must(!g.servesByService() && g.unrouted(), "S3", "new pods would end while requests may reach them")
	g.must(!g.m.DrainFrom.IsZero() || g.o.Canary.Pods == 0, "S3", "new pods would end before they have drained")
}

// weightless says that no layer sends the new pods requests, and that this is in force.
func (g *guard) weightless() bool {
	for i := range g.o.Layers {
		if l := &g.o.Layers[i]; l.Weight > 0 || len(l.Matches) > 0 || !l.Settled {
			return false
		}
	}
	return true
}

// checkRoute: S1, S2, S6, S8, S11.
func (g *guard) checkRoute(a Route) {
	l := g.layer(a.Layer)
	if l == nil {
		g.must(false, "S6", "%s is no layer of this release", a.Layer)
		return
	}
	g.must(a.Weight >= 0 && a.Weight <= 100, "S6", "%s would get a weight of %d%%", a.Layer, a.Weight)
	if a.Weight < l.Weight {
		g.must(g.stableFor(100-a.Weight, g.o.stableReady(), g.o.canaryReady() == 0), "S1",
			"%s would send %d%% to stable with %d of %d pods ready", a.Layer, 100-a.Weight, g.o.stableReady(), g.o.demand())
	}
	raises := a.Weight > l.Weight
	g.must(!raises || g.m.Phase != Aborting, "S8", "%s would get more canary weight during an abort", a.Layer)
	g.must(!raises || g.o.Workload.Desired == g.s.To, "S11", "%s would get more weight for a revision that the "+
		"workload no longer names", a.Layer)
	need := share(a.Weight, g.o.demand())
	g.must(!raises || g.o.canaryReady() >= need, "S1", "%s would send %d%% to %d ready new pods of %d needed", a.Layer,
		a.Weight, g.o.canaryReady(), need)
	gets := raises || len(a.Matches) > 0 && !sameMatches(a.Matches, l.Matches)
	g.must(!gets || g.o.canaryReady() > 0 && g.twins(), "S2", "%s would send requests to no ready pod", a.Layer)
}

func (g *guard) twins() bool {
	n := 0
	for i := range g.o.Services {
		if sv := &g.o.Services[i]; sv.Routed {
			n++
			if !sv.CanaryExists {
				return false
			}
		}
	}
	return n > 0
}

// checkUnroute: S1, S2. The requests go to whatever the Service selects.
func (g *guard) checkUnroute(a Unroute) {
	l := g.layer(a.Layer)
	if l == nil {
		g.must(false, "S6", "%s is no layer of this release", a.Layer)
		return
	}
	if l.Weight == 0 || g.m.Phase == Completing && g.m.HandedOver && g.o.Canary.Adopted {
		return
	}
	if g.m.Phase == Aborting {
		g.must(g.stableFor(100, g.o.stableReady(), g.o.canaryReady() == 0), "S1",
			"%s would send everything to stable with %d of %d pods ready", a.Layer, g.o.stableReady(), g.o.demand())
		return
	}
	g.must(g.turned(), "S1", "%s would be given back before the Services lead to enough new pods", a.Layer)
}

// turned says that every Service leads to as many ready new pods as the whole load needs, and to no old one.
func (g *guard) turned() bool {
	for i := range g.o.Services {
		sv := &g.o.Services[i]
		if sv.Selects != SelectsCanary || sv.ReadyCanary < g.o.demand() || sv.ReadyStable > 0 {
			return false
		}
	}
	return g.o.Canary.Ready >= g.o.demand()
}

// checkRemove: S3. An empty ReplicaSet goes at the end of an abort, or before the revision is released once more.
func (g *guard) checkRemove() {
	c := g.o.Canary
	g.must(c.Pods == 0 && c.Desired == 0, "S3", "a ReplicaSet with pods would go")
	g.must(!g.m.HandedOver && c.Adopted != (g.m.Phase == Aborting), "S3", "a ReplicaSet that the workload may need "+
		"would go")
}

// checkHandOver: S3, S11, S14. The workload ends its old pods the moment that it has the new ones.
func (g *guard) checkHandOver() {
	g.must(g.m.Phase == Completing && g.m.HandedOver, "S11", "the hand-over would not be remembered")
	g.must(g.o.Workload.Desired == g.s.To, "S11", "the workload names another revision than the one handed over")
	g.must(g.o.Canary.Ready >= g.o.demand(), "S14", "the workload would be left with %d of %d ready pods",
		g.o.Canary.Ready, g.o.demand())
	if g.way.drains {
		g.must(g.turned() && g.unrouted(), "S3", "the old pods would end while requests may reach them")
		g.must(!g.m.DrainFrom.IsZero(), "S3", "the old pods would end before they have drained")
	}
}

// checkScaleOld: S3. Old pods that are kept end once nothing leads to them.
func (g *guard) checkScaleOld(a ScaleOld) {
	g.must(g.o.Stable.Taken, "S5", "the old pods are the workload's own")
	if a.Replicas >= g.o.Stable.Desired || a.Replicas >= g.o.demand() && g.o.demand() > 0 {
		return
	}
	over := !g.o.Workload.Exists || g.m.Phase == Completing && g.m.HandedOver && g.o.Canary.Adopted && g.oldUnled()
	g.must(over, "S3", "the old pods would end while requests may reach them")
}

// oldUnled says that every Service leads to the new pods alone.
func (g *guard) oldUnled() bool {
	for i := range g.o.Services {
		if sv := &g.o.Services[i]; sv.Selects != SelectsCanary || sv.ReadyStable > 0 {
			return false
		}
	}
	return true
}

// canaryUnled says that every Service leads to the old pods alone.
func (g *guard) canaryUnled() bool {
	for i := range g.o.Services {
		if sv := &g.o.Services[i]; sv.Selects != SelectsStable || sv.ReadyCanary > 0 {
			return false
		}
	}
	return g.unrouted()
}

// checkGiveOld: S3, S14. A workload that has the pods of two revisions divides its number between them, and ends new
// ones.
func (g *guard) checkGiveOld() {
	old := g.o.Stable
	empty := old.Pods == 0 && old.Desired == 0
	back := g.m.Phase == Aborting && g.o.Workload.Held
	g.must(old.Taken && (empty || back), "S14", "the workload would divide its pods between two revisions")
	if c := g.o.Canary; !empty && c.Adopted && c.Pods > 0 {
		g.must(g.canaryUnled() && !g.m.DrainFrom.IsZero(), "S3", "new pods would end while requests may reach them")
		g.must(g.stableFor(100, old.Ready, false), "S14", "the workload would get %d of %d ready pods back", old.Ready,
			g.o.demand())
	}
}

// checkResume: S21.
func (g *guard) checkResume() {
	w := g.o.Workload
	switch g.m.Phase {
	case Completing:
		g.must(g.m.HandedOver && g.o.Canary.Adopted && w.Alone && w.Desired == g.s.To, "S21",
			"the workload would be resumed although it does not run the released revision alone")
	case Aborting:
		g.must(w.Desired == g.s.From || g.o.Removing || g.m.End == RolloutRemoved, "S21",
			"the workload would be resumed with a template that was not released")
	default:
		g.must(false, "S21", "the workload would be resumed in the middle of a release")
	}
}

// oneDisruption: S14. What takes pods away does so alone.
func (g *guard) oneDisruption(actions []Action) {
	for _, a := range actions {
		scale, scales := a.(ScaleCanary)
		old, ends := a.(ScaleOld)
		_, hands := a.(HandOver)
		if hands || scales && scale.Replicas < g.o.Canary.Desired || ends && old.Replicas < g.o.Stable.Desired {
			g.must(changes(actions) == 1, "S14", "pods would end in the same breath as something else changes")
		}
	}
}

// changes counts the actions that change anything; to measure only looks.
func changes(actions []Action) (n int) {
	for _, a := range actions {
		switch a.(type) {
		case Analyse, ConcludeAnalysis:
		default:
			n++
		}
	}
	return n
}

// nothingLeft: S22. A release that has ended holds nothing any more.
func (g *guard) nothingLeft() {
	if !g.m.Phase.Terminal() {
		return
	}
	g.must(!g.o.Stable.Taken, "S22", "the old ReplicaSet would not go back to the workload")
	for i := range g.o.Services {
		sv := &g.o.Services[i]
		g.must(!sv.CanaryExists, "S22", "the canary Service beside %s would be left", sv.Name)
		kept := sv.Selects == SelectsStable && sv.MissesStable || sv.Selects == SelectsCanary && sv.MissesCanary
		g.must(!sv.Held && sv.Selects == SelectsAll || kept, "S22", "Service %s would not be as it was", sv.Name)
	}
	for i := range g.o.Layers {
		l := &g.o.Layers[i]
		g.must(!l.Held && !l.Routed, "S22", "%s would not be as it was", l.Name)
	}
}
