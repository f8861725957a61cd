package sim

import (
	"time"

	"github.com/sluice-dev/sluice/internal/kube/clock"
	"github.com/sluice-dev/sluice/internal/release"
)

// hands are a model of the controller: they observe through late caches, have the mind decide, and carry the
// outcome out as single conditional writes, memory first.
type hands struct {
	view view
	// clock is that of the process.
	clock *clock.Clock
	// seen is what the caches held at the last decision.
	seen table
	// downUntil is when a crashed process is back; 0 when it runs.
	downUntil int
	// queue is what is left to write of the last decision. unsure: the first one's answer was lost, so it is
	// repeated until its answer is definite, before anything else.
	queue  []write
	unsure bool
	// dirty: something was seen since the last decision.
	dirty       bool
	wake        int
	retry, fail int
	// attempts counts writes that were tried, for the faults.
	attempts int
	last     release.Outcome
	decided  int
	// layers is since when the layers of a release have what they have; it is stored with what comes next.
	layers   []release.LayerSeen
	layersOf int
	// atRest is what the last look has kept for the next while no release is under way.
	atRest release.RestMemory
}

// write is one conditional write: it is refused unless the fields that it was decided from are still so.
type write struct {
	key  Key
	seen any
	to   func(current any) any
	// joined: it follows the write before it at once, with nothing in between but a crash.
	joined bool
	// creates: that the object is there already is as good.
	creates bool
}

func (h *hands) start(w *World) {
	h.clock = w.newClock()
	h.view, h.layers, h.layersOf = view{}, nil, 0
	h.view.relist(w)
	if lag := w.Fumble.StaleStart; lag > 0 {
		h.view.rewind(w, lag)
	}
	h.atRest = release.RestMemory{}
	h.downUntil, h.queue, h.unsure, h.retry, h.fail, h.dirty, h.wake = 0, nil, false, 0, 0, true, 0
	w.say("sluice starts")
}

// crash ends the process: whatever was not written is lost.
func (h *hands) crash(w *World, ticks int) {
	w.say("sluice dies for %d ticks", ticks)
	h.queue, h.unsure = nil, false
	h.downUntil = w.Tick + max(ticks, 1)
	w.checks.excuse.dies(w.Tick, h.downUntil)
}

func (h *hands) step(w *World) {
	if h.downUntil != 0 {
		if w.Tick < h.downUntil {
			return
		}
		h.start(w)
	}
	h.hears(w)
	if h.view.deliver(w) {
		h.dirty = true
	}
	if w.Tick%recheck == 0 && !w.Fumble.NoRecheck {
		h.view.recheck(w)
		h.dirty = true
	}
	if w.Tick < h.retry {
		return
	}
	if len(h.queue) == 0 && (h.dirty || h.wake != 0 && w.Tick >= h.wake) {
		h.reconcile(w)
	}
	for n := 0; n < w.WritesPerTick || len(h.queue) > 0 && h.queue[0].joined; n++ {
		if !h.writeNext(w) {
			break
		}
	}
}

// recheck relists those kinds whose watch is not frozen: what makes up for a lost event.
func (v *view) recheck(w *World) {
	for k := range Kinds {
		switch {
		case w.Tick >= v.frozen[k]:
			v.table[k] = append(v.table[k][:0], w.store.table[k]...)
			v.pos[k] = len(w.store.log[k])
			v.missed[k] = false
		case v.missed[k]:
			v.miss(w, k)
		}
	}
}

// reconcile looks, decides and plans the writes.
func (h *hands) reconcile(w *World) {
	if !h.view.current() && !w.Fumble.StaleCache {
		return // the events of our own writes are still to come
	}
	h.dirty, h.wake = false, 0
	h.look()
	w.checks.excuse.looked(w.Tick)
	r, ok := at[Release](&h.view.table, releaseKey)
	rollout, exists := at[Rollout](&h.view.table, rolloutKey)
	if d, left := h.view.leftOver(r.Number); left {
		h.answer(release.Answer{ID: d.ID, Code: release.RefusedReleaseEnded, Message: "the release is over"})
		h.dirty = true
		return
	}
	switch {
	case ok && !r.Memory.Phase.Terminal() && h.keepUndivided(w, r):
	case ok && !r.Memory.Phase.Terminal() || ok && len(openDecisions(&h.view, r)) > 0:
		h.decide(w, r)
	case ok && h.flush(r):
	case exists:
		h.rest(w, rollout, r)
	}
}

// look keeps what the caches hold now.
func (h *hands) look() {
	for k := range Kinds {
		h.seen[k] = append(h.seen[k][:0], h.view.table[k]...)
	}
}

// decide asks the mind and queues its outcome: memory, then actions, then answers.
func (h *hands) decide(w *World, r Release) {
	o := w.observe(&h.view, r)
	if h.layersOf == r.Number && len(h.layers) == len(r.Memory.Layers) {
		r.Memory.Layers = h.layers
	}
	out := w.Mind(r.Spec, o, r.Memory, h.now(w))
	h.layers, h.layersOf = out.Memory.Layers, r.Number
	h.last, h.decided = out, w.Tick
	w.checks.decided(w, out)
	outbox := h.outbox(w, r, out.Answers)
	changed := out.Memory.MustStore(r.Memory) || len(outbox) > len(r.Outbox)
	if changed && !w.Fumble.MemoryLast {
		h.remember(w, r, out.Memory, outbox)
	}
	for _, a := range out.Actions {
		h.plan(w, r, a)
	}
	if !out.Memory.Phase.Terminal() {
		h.renewHolds(w, r, out.Actions)
	}
	if changed && w.Fumble.MemoryLast {
		h.remember(w, r, out.Memory, outbox)
	}
	for _, a := range out.Answers {
		h.answer(a)
	}
	h.flush(r)
	h.wake = h.nextWake(w, out.Wake)
	if w.lines != nil {
		w.say("sluice decides %s %s: %v %s", out.Memory.Phase, out.Reason.Code, out.Actions, out.Reason.Message)
	}
}

func (h *hands) nextWake(w *World, wake time.Time) int {
	if wake.IsZero() {
		return 0
	}
	return w.Tick + h.in(w, wake)
}

// outbox is what the next memory is to keep: the answers that take effect with it, and those before that have not
// been seen on their Decisions.
func (h *hands) outbox(w *World, r Release, answers []release.Answer) (next []release.Answer) {
	for _, a := range r.Outbox {
		if h.unanswered(a.ID) {
			next = append(next, a)
		}
	}
	for _, a := range answers {
		if a.Applied && !w.Fumble.NoOutbox {
			next = append(next, a)
		}
	}
	if len(next) < len(r.Outbox) && len(answers) == 0 {
		return r.Outbox // cleared with the next memory, not for its own sake
	}
	return next
}

func (h *hands) unanswered(id string) bool {
	return must[Decision](&h.view.table, decisionKey(h.view.decisionNumber(id))).open()
}

// flush writes the answers in the outbox that have not reached their Decisions.
func (h *hands) flush(r Release) (any bool) {
	for _, a := range r.Outbox {
		if h.unanswered(a.ID) {
			h.answer(a)
			any = true
		}
	}
	return any
}

func (h *hands) remember(w *World, r Release, m release.Memory, outbox []release.Answer) {
	if w.Fumble.Memory != nil {
		w.Fumble.Memory(&m)
	}
	next := r
	next.Memory, next.Outbox = m, outbox
	h.add(releaseKey, func(any) any { return next })
}

func (h *hands) answer(a release.Answer) {
	n := h.view.decisionNumber(a.ID)
	h.add(decisionKey(n), func(current any) any {
		d := current.(Decision)
		d.Answered, d.Answer = true, a
		return d
	})
}

// add queues a write that was decided from what the cache shows of that object.
func (h *hands) add(k Key, to func(any) any) {
	h.queue = append(h.queue, write{key: k, seen: h.view.get(k).Value, to: to})
}

// writeNext does the next write of the queue; it says whether there may be another in this tick.
func (h *hands) writeNext(w *World) bool {
	if len(h.queue) == 0 || h.downUntil != 0 {
		return false
	}
	next := h.queue[0]
	n := h.attempts
	h.attempts++
	harm := w.harm(n)
	if harm == CrashBefore {
		h.crash(w, crashTicks)
		return false
	}
	if harm.refuses() {
		w.say("sluice is answered %s on %s", harm, next.key)
		h.failed(w, next, harm)
		return false
	}
	ok := h.commit(w, next)
	switch {
	case harm == CrashAfter:
		h.crash(w, crashTicks)
		return false
	case harm == LateAnswer:
		w.say("sluice gets no answer on %s", next.key)
		h.unsure = true
		h.backOff(w)
		return false
	case !ok:
		h.failed(w, next, Conflict)
		return false
	}
	h.queue, h.unsure, h.fail = h.queue[1:], false, 0
	return true
}

// commit stores a write if its condition holds.
func (h *hands) commit(w *World, wr write) bool {
	o := w.store.get(wr.key)
	if wr.creates && o.Value != nil {
		return true
	}
	if !w.Fumble.Unconditional && !unchanged(wr.key.Kind, wr.seen, o.Value) {
		return false
	}
	if o.Value == nil && wr.seen != nil {
		return false
	}
	rv, changed := w.put(Sluice, wr.key, wr.to(o.Value))
	if !changed {
		w.checks.idleWrite(w, wr.key)
	}
	h.view.knows(wr.key, rv)
	return true
}

// failed drops what is left of the decision and looks again later. After a conflict, and after an answer that never
// came, the object is read afresh: the cache must reach that version first.
func (h *hands) failed(w *World, wr write, harm Harm) {
	if harm == Conflict {
		h.view.knows(wr.key, w.store.get(wr.key).RV)
	}
	if h.unsure && harm != Conflict {
		h.backOff(w)
		return
	}
	h.queue, h.unsure, h.dirty = nil, false, true
	h.backOff(w)
}

func (h *hands) backOff(w *World) {
	h.fail = min(h.fail+1, 4)
	h.retry = w.Tick + 1<<(h.fail-1)
}

// unchanged compares the fields that decisions are made from; others may have changed.
func unchanged(k Kind, seen, now any) bool {
	if seen == nil || now == nil {
		return seen == nil && now == nil
	}
	switch a := seen.(type) {
	case Deployment:
		b := now.(Deployment)
		return a.Template == b.Template && a.Paused == b.Paused
	case ReplicaSet:
		b := now.(ReplicaSet)
		return a.Owner == b.Owner && a.Desired == b.Desired && a.Former == b.Former
	case Service:
		return a.Selector == now.(Service).Selector
	case Route:
		b := now.(Route)
		return a.Split == b.Split && a.Team == b.Team
	case Analysis:
		return true // what comes out is written to it all the time
	}
	return same(k, seen, now)
}
