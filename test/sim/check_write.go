package sim

import (
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// share is the pods that a weight needs, rounded up.
func share(weight, replicas int) int { return (weight*replicas + 99) / 100 }

// splits are a layer's split before and after a write.
func splits(ch Change) (before, after Split, ok bool) {
	switch ch.Key.Kind {
	case KIngress:
		b, _ := ch.Before.(Ingress)
		a, _ := ch.After.(Ingress)
		return b.Split, a.Split, true
	case KRoute:
		b, _ := ch.Before.(Route)
		a, _ := ch.After.(Route)
		return b.Split, a.Split, true
	}
	return before, after, false
}

// capacityBeforeWeight is S1 and S2 at the write: a version gets a greater share only with the ready pods for it.
func capacityBeforeWeight(w *World, ch Change) string {
	before, after, ok := splits(ch)
	if !ok {
		return ""
	}
	demand, answers := w.knownDemand(), w.canaryAnswers()
	for n := range w.Routed {
		main, canary := w.knownEndpoints(n), w.knownEndpoints(twin(n)).total()
		if need := max(1, share(after.Weight, demand)); after.Weight > before.Weight && canary < need {
			return fmt.Sprintf("weight %d with %d of %d canary endpoints behind %s", after.Weight, canary, need, serviceName(n))
		}
		if after.Match != 0 && after.Match != before.Match && canary == 0 {
			return "a match without canary endpoints"
		}
		if after.Weight < before.Weight && !w.mayFall(main.total(), answers, after.Weight, demand) {
			return fmt.Sprintf("weight back to %d with %d of %d endpoints behind %s",
				after.Weight, main.total(), share(100-after.Weight, demand), serviceName(n))
		}
	}
	return ""
}

// canaryAnswers is how many canary pods answer by every way that a weight sends requests there, as far as the hands
// know: one weight is for all Services, and where one of them has nobody, requests are lost by it.
func (w *World) canaryAnswers() int {
	_, _, to, _ := w.current()
	n := w.knownReady(to)
	for i := range w.Routed {
		n = min(n, w.knownEndpoints(twin(i)).total())
	}
	return n
}

// mayFall says whether the main backend can take what a canary weight leaves it. One ready pod is enough when
// an abort has waited as long as it may; none when the canary has none either, or nobody asks for pods.
func (w *World) mayFall(main, canary, weight, demand int) bool {
	r, _, _, _ := w.current()
	if _, exists := at[Deployment](w.known(), deploymentKey); !exists || demand == 0 {
		return true
	}
	return main >= share(100-weight, demand) || canary == 0 || main > 0 && r.Memory.Overdue
}

// shrinkAfterDrain is S3: pods go only when for the drain delay no request could have reached them.
func shrinkAfterDrain(w *World, ch Change) string {
	before, ok := ch.Before.(ReplicaSet)
	r, from, to, under := w.current()
	if !ok || !under {
		return ""
	}
	after := ReplicaSet{Owner: before.Owner} // what a removed one counts as
	if a, is := ch.After.(ReplicaSet); is {
		after = a
	}
	// What the data plane needs to follow endpoints cannot be seen in any object; the drain has to cover it.
	drain := int(r.Spec.DrainDelay/time.Second) - w.PlaneLag - 1
	drained := Version(ch.Key.N)
	if drained == to && after.Owner != before.Owner {
		drained = from
	}
	if w.checks.ledUnheardOf(drained) {
		// A Service was turned and turned back so soon, or unheard of, that no cache ever held the endpoints of the time
		// between. Then nobody can know when they went either, and the drain has to cover that too.
		drain -= w.ControllerLag
	}
	switch {
	case r.Spec.Divide == release.ByPods:
		return w.shrinkWithoutLayers(before, after, from, w.knownReady(to))
	case w.meddled() && (!w.checks.carries[ch.Key.N] || w.movedUnseen()) || w.knownReady(Version(ch.Key.N)) == 0:
		return "" // somebody else's hand has moved the requests, and this was not yet seen, or its pods have failed
	case after.Desired < before.Desired && after.Desired < w.serving(Version(ch.Key.N)) &&
		w.Tick-w.plane.served[ch.Key.N] < drain:
		return fmt.Sprintf("%s shrinks to %d, %d ticks after its last request; the drain is %d",
			Version(ch.Key.N), after.Desired, w.Tick-w.plane.served[ch.Key.N], drain)
	case Version(ch.Key.N) == to && before.Owner == OwnedByRelease && after.Owner == OwnedByDeployment && from != to &&
		w.Tick-w.plane.served[from] < drain:
		return fmt.Sprintf("hands %s over %d ticks after the last request to %s; the drain is %d", to,
			w.Tick-w.plane.served[from], from, drain)
	}
	return ""
}

// movedUnseen says whether a selector or a route has been changed since the hands decided.
func (w *World) movedUnseen() bool {
	for n := range w.Services {
		if s, _ := w.service(n); s.Selector != must[Service](w.known(), serviceKey(n)).Selector {
			return true
		}
	}
	return must[Route](&w.store.table, routeKey).Split != must[Route](w.known(), routeKey).Split
}

// serving is how many pods of the canary the requests need that the objects or the data plane may still send it;
// all there are if that is not known.
func (w *World) serving(v Version) int {
	weight := 0
	for n := range w.Services {
		if must[Service](w.known(), serviceKey(n)).Selector.Hash == v {
			weight = 100
		}
	}
	i, _ := at[Ingress](w.known(), ingressKey)
	weight = max(weight, i.Weight, w.plane.ingress.now.Weight, w.plane.route.now.Weight,
		must[Route](w.known(), routeKey).Weight)
	if w.knownDemand() == 0 {
		return 0
	}
	return max(1, share(weight, w.knownDemand()))
}

// shrinkWithoutLayers: without layers a version shrinks only as far as the other one's ready pods make up for it.
func (w *World) shrinkWithoutLayers(before, after ReplicaSet, from Version, canary int) string {
	demand := w.knownDemand()
	if before.Owner == OwnedByRelease && after.Owner == OwnedByDeployment && canary < demand {
		return fmt.Sprintf("hands over with %d of %d pods ready", canary, demand)
	}
	ready := w.knownReady(from)
	if after.Desired < before.Desired && ready+after.Desired < demand && after.Desired < canary &&
		!w.mayFall(ready, canary, 0, demand) {
		return fmt.Sprintf("shrinks to %d while %s has %d of %d pods ready", after.Desired, from, ready, demand)
	}
	return ""
}

// turnWithCapacity is S4: a selector that is in use is pointed only at a version that can serve all.
func turnWithCapacity(w *World, ch Change) string {
	before, had := ch.Before.(Service)
	after, has := ch.After.(Service)
	if !had || !has || before.Selector == after.Selector || after.Selector.Hash == NoVersion {
		return ""
	}
	to, demand := after.Selector.Hash, w.knownDemand()
	if ch.Key.N >= teamServices {
		return w.turnTwin(ch.Key.N)
	}
	ready := max(w.knownReady(to), int(w.knownEndpoints(ch.Key.N).Ready[to]))
	switch {
	case demand == 0 || ready >= demand:
		return ""
	case before.Selector.Hash != NoVersion && !w.selects(before.Selector, before.Selector.Hash):
		return "" // what it selected matches no pod at all, so whoever answers is better
	case before.Selector.Hash == NoVersion && (ready > 0 || w.knownEndpoints(ch.Key.N).total() == 0):
		return "" // narrowing to what serves already
	case w.mayFall(ready, w.knownReady(before.Selector.Hash), 0, demand):
		return ""
	case ready > 0 && w.knownEndpoints(ch.Key.N).Ready[before.Selector.Hash] == 0:
		return "" // back before the former turn had come into force
	}
	return fmt.Sprintf("%s is pointed at %s with %d of %d pods ready", serviceName(ch.Key.N), to, ready, demand)
}

// turnTwin: a canary Service is re-pointed only while nothing is sent there.
func (w *World) turnTwin(n int) string {
	if w.plane.ingress.now.Split != (Split{}) || w.plane.route.now.Split != (Split{}) {
		return serviceName(n) + " is re-pointed under live weight"
	}
	return ""
}

// partition is S5: while canary pods exist beside stable ones, every Service of the team's selects one of them.
func partition(w *World, ch Change) string {
	r, _, _, ok := w.current()
	if !ok || r.Spec.Divide == release.ByPods || w.hands.removing() {
		return ""
	}
	if after, is := ch.After.(ReplicaSet); is && after.Owner == OwnedByRelease && after.Desired > 0 &&
		Version(ch.Key.N) != w.checks.promoted {
		before, _ := ch.Before.(ReplicaSet)
		for n := range w.Services {
			if s := must[Service](w.known(), serviceKey(n)); before.Desired == 0 && s.Selector.Hash == NoVersion {
				return fmt.Sprintf("canary pods before %s is narrowed", serviceName(n))
			}
		}
	}
	after, is := ch.After.(Service)
	if is && ch.Key.N < teamServices && after.Selector.Hash == NoVersion {
		return w.widens(ch.Key.N)
	}
	return ""
}

// widens: a Service is given back only when one version alone has pods.
func (w *World) widens(n int) string {
	with := 0
	for v := range Version(Versions) {
		if pods, _, _ := w.count(v); pods > 0 {
			with++
		}
	}
	if with > 1 && !w.meddled() {
		return serviceName(n) + " is widened while two versions have pods"
	}
	return ""
}

// weightInBounds is S6.
func weightInBounds(_ *World, ch Change) string {
	if _, after, ok := splits(ch); ok && (after.Weight < 0 || after.Weight > 100) {
		return fmt.Sprintf("weight %d", after.Weight)
	}
	return ""
}

// verifiedBeforeAdvance is S7: a step is left only when every layer is seen to do what it says.
func verifiedBeforeAdvance(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || after.Memory.Full || after.Memory.End != release.NotEnding || w.meddled() {
		return ""
	}
	if after.Memory.Step < before.Memory.Step {
		return fmt.Sprintf("goes back from step %d to %d", before.Memory.Step, after.Memory.Step)
	}
	for i := range leftSteps(before.Memory, after.Memory) {
		step := before.Spec.Steps[before.Memory.Step+i]
		want := Split{step.Weight, matchIndex(step.Matches)}
		for _, layer := range before.Spec.Layers {
			if has := w.inForce(layer); has != want {
				return fmt.Sprintf("leaves %s while %s sends %+v, not %+v", step.Name, layer, has, want)
			}
		}
		if before.Spec.Divide == release.ByPods && w.knownReady(versionOf(before.Spec.To)) == 0 {
			return fmt.Sprintf("leaves %s without a ready pod", step.Name)
		}
	}
	return ""
}

// inForceWhenReached is S7: a step is said to be in force only when the data plane serves it.
func inForceWhenReached(w *World, ch Change) string {
	before, after, ok := releases(ch)
	m := after.Memory
	if !ok || m.StepReachedAt.IsZero() || m.StepReachedAt.Equal(before.Memory.StepReachedAt) ||
		m.End != release.NotEnding || w.meddled() {
		return ""
	}
	step := after.Spec.Steps[m.Step]
	want := Split{step.Weight, matchIndex(step.Matches)}
	for _, layer := range after.Spec.Layers {
		if has := w.inForce(layer); has != want {
			return fmt.Sprintf("%s is said to be in force while %s sends %+v, not %+v", step.Name, layer, has, want)
		}
	}
	return ""
}

// inForce is what the data plane does, whatever the objects say.
func (w *World) inForce(layer string) Split {
	if layer == "ingress" {
		return w.plane.ingress.now.Split
	}
	return w.plane.route.now.Split
}

// releases are the same release before and after a write.
func releases(ch Change) (before, after Release, ok bool) {
	before, was := ch.Before.(Release)
	after, is := ch.After.(Release)
	return before, after, was && is && before.Number == after.Number
}

// wholePause is L8: a timed pause is as long as it says, whatever was restarted and however clocks were set.
func wholePause(w *World, ch Change) string {
	before, after, ok := releases(ch)
	if !ok || after.Memory.Full || after.Memory.End != release.NotEnding || w.meddled() {
		return ""
	}
	if leftSteps(before.Memory, after.Memory) == 0 || w.promotions(after.Number) > w.checks.manualLeft {
		return "" // still in the step, or somebody has promoted it
	}
	step := before.Spec.Steps[before.Memory.Step]
	if step.Pause.Kind != release.PauseTimed {
		return ""
	}
	since := w.checks.reachedAt
	for i, layer := range []string{"ingress", "route"} {
		if contains(before.Spec.Layers, layer) {
			since = max(since, w.checks.inForceAt[i])
		}
	}
	if w.Tick-since < w.shortest(step.Pause.Duration-before.Memory.Stood) {
		return fmt.Sprintf("leaves %s after %d ticks of %s", step.Name, w.Tick-since, step.Pause.Duration)
	}
	return ""
}

// stoodAsLong is L8: what counts of a pause in which the step has lost its pods is no more than the time in which the
// step was in force, as often as that is forgiven.
func stoodAsLong(w *World, ch Change) string {
	before, after, ok := releases(ch)
	counts := after.Memory.Stood - before.Memory.Stood
	if !ok || counts <= 0 {
		return ""
	}
	if stood := w.Tick - w.checks.reachedAt; w.checks.reachedAt == 0 ||
		counts > timeOf(w.longest(time.Duration(stood)*time.Second)).Sub(Epoch) {
		return fmt.Sprintf("counts %s of the pause, in which the step was in force for %d ticks", counts, stood)
	}
	if after.Memory.Losses > 2 {
		return fmt.Sprintf("counts what was before %d losses", after.Memory.Losses)
	}
	return ""
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// noWayBackFromAbort is S8: an abort is never undone, and raises nothing.
func noWayBackFromAbort(w *World, ch Change) string {
	if before, after, ok := releases(ch); ok {
		switch {
		case before.Memory.End != release.NotEnding && after.Memory.End == release.NotEnding:
			return "an abort is undone"
		case before.Memory.Phase.Terminal() && before.Memory.Phase != after.Memory.Phase:
			return "a release that had ended goes on"
		}
	}
	before, after, ok := splits(ch)
	r, _, _, under := w.current()
	if ok && under && r.Memory.End != release.NotEnding &&
		(after.Weight > before.Weight || after.Match != 0 && after.Match != before.Match) {
		return fmt.Sprintf("weight %d after the abort was accepted", after.Weight)
	}
	return ""
}

// oneAnswer is S9: a decision is answered once, and what is answered as applied is in force; every manual pause
// that was left had a promotion of its own.
func oneAnswer(w *World, ch Change) string {
	r, _, _, _ := w.current()
	if before, after, ok := releases(ch); ok {
		if left := w.checks.manualLeft + manualSteps(before, after); left > w.promotions(after.Number) {
			return fmt.Sprintf("left %d manual pauses on %d promotions", left, w.promotions(after.Number))
		}
	}
	d, ok := ch.After.(Decision)
	if !ok {
		return ""
	}
	before, _ := ch.Before.(Decision)
	switch {
	case before.Answered:
		return d.ID + " is answered twice"
	case d.Answer.Applied && d.Verb == release.Abort && r.Number == d.Release && r.Memory.End == release.NotEnding:
		return d.ID + " is answered as applied, but nothing is aborted"
	case d.Answer.Applied && d.Verb == release.PromoteFull && r.Number == d.Release && !r.Memory.Full &&
		r.Memory.End == release.NotEnding:
		return d.ID + " is answered as applied, but nothing is promoted"
	case d.Answer.Applied && d.Verb == release.Reject && r.Number == d.Release && r.Memory.End == release.NotEnding:
		return d.ID + " is answered as applied, but nothing is rejected"
	case d.Answer.Applied && d.Verb == release.Override && r.Number == d.Release && r.Memory.OverriddenBy == "" &&
		r.Memory.End == release.NotEnding:
		return d.ID + " is answered as applied, but nothing is overridden"
	}
	return ""
}

func (w *World) promotions(number int) (n int) {
	for i := range w.people.words {
		d := must[Decision](&w.store.table, decisionKey(i))
		if d.Release == number && d.Verb == release.Promote && !d.PlanMismatch {
			n++
		}
	}
	return n
}

// releaseFromPromoted is S11: a release starts from the last promoted version, and only the template that the
// workload names is handed over.
func releaseFromPromoted(w *World, ch Change) string {
	if after, ok := ch.After.(Release); ok {
		before, _ := ch.Before.(Release)
		if before.Number != after.Number && versionOf(after.Spec.From) != w.checks.promoted {
			return fmt.Sprintf("release %d starts from %s, but %s was promoted last", after.Number, after.Spec.From,
				w.checks.promoted)
		}
	}
	after, ok := ch.After.(ReplicaSet)
	if !ok {
		return ""
	}
	before, _ := ch.Before.(ReplicaSet)
	v := Version(ch.Key.N)
	d, exists := at[Deployment](w.known(), deploymentKey)
	if before.Owner == OwnedByRelease && after.Owner == OwnedByDeployment && v != w.checks.promoted && exists &&
		d.Template != v {
		return fmt.Sprintf("hands %s over to a workload that names %s", v, d.Template)
	}
	for other := range Version(Versions) {
		rs, _ := w.replicaSet(other)
		if other != v && other != w.checks.promoted && rs.Owner == OwnedByRelease && rs.Desired > 0 &&
			after.Owner == OwnedByRelease && after.Desired > before.Desired {
			return fmt.Sprintf("pods of %s while %s still has some", v, other)
		}
	}
	return ""
}

// scaleIsNotOurs is S13: the replicas are the team's or the autoscaler's.
func scaleIsNotOurs(_ *World, ch Change) string {
	before, ok := ch.Before.(Deployment)
	after, still := ch.After.(Deployment)
	if ok && still && before.Replicas != after.Replicas {
		return fmt.Sprintf("writes the workload's replicas: %d", after.Replicas)
	}
	return ""
}

// originalKept is S22: an object of the team's is changed only under a Hold that has its original, and the Hold
// goes only after the object is back.
func originalKept(w *World, ch Change) string {
	switch ch.Key.Kind {
	case KService:
		before, _ := ch.Before.(Service)
		after, _ := ch.After.(Service)
		if ch.Key.N < teamServices && before.Selector != after.Selector &&
			!w.checks.excuse.unheld[ch.Key.N] {
			return w.heldOriginal(serviceHoldKey(ch.Key.N), before.Selector.Team, after.Selector.Team)
		}
	case KRoute:
		before, _ := ch.Before.(Route)
		after, _ := ch.After.(Route)
		return w.heldOriginal(routeHoldKey, before.Team, after.Team)
	case KHold:
		if ch.After == nil && w.stillChanged(ch.Key) {
			return ch.Key.String() + " goes while its object is still changed"
		}
	}
	return ""
}

func (w *World) heldOriginal(k Key, before, after int) string {
	h, ok := at[Hold](&w.store.table, k)
	switch {
	case !ok:
		return "changes an object of the team's before its original is kept in " + k.String()
	case h.Team != before && !w.meddled():
		return fmt.Sprintf("%s holds original %d of an object that has %d", k, h.Team, before)
	case before != after:
		return "changes the team's own part"
	}
	return ""
}

func (w *World) stillChanged(k Key) bool {
	if k == routeHoldKey {
		return must[Route](&w.store.table, routeKey).Split != Split{}
	}
	s, ok := w.service(k.N)
	return ok && s.Selector.Hash != NoVersion && !w.meddled()
}
