package sim

import (
	"strconv"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// admit is what the admission policies make of a write by anybody but Sluice.
func (w *World) admit(a Actor, k Key, old, v any) any {
	if a == Sluice || a == Kubernetes || a == Gateway {
		return v
	}
	switch v := v.(type) {
	case Deployment:
		return w.admitDeployment(a, old.(Deployment), v)
	case Service:
		return w.admitService(k, old.(Service), v)
	case Route:
		return w.admitRoute(old.(Route), v)
	}
	return v
}

// admitDeployment pauses in the write that changes the template, and keeps a held workload paused.
func (w *World) admitDeployment(a Actor, old, d Deployment) Deployment {
	_, managed := w.rollout()
	if !managed || !w.Policy {
		return d
	}
	d.Lie = old.Lie // Marks of Sluice's in others' writes are undone.
	if d.Template != old.Template {
		d.Paused, d.HeldBy = true, a.String()
	} else if old.Paused && old.HeldBy != "" {
		d.Paused, d.HeldBy = true, old.HeldBy
	}
	return d
}

// admitService makes re-applying the original of a held Service a no-op.
func (w *World) admitService(k Key, old, s Service) Service {
	h, held := at[Hold](&w.store.table, serviceHoldKey(k.N))
	own := s.Selector
	own.Hash = NoVersion // A merge leaves what we added.
	if w.Policy && held && own == (Selector{Team: h.Team, Label: h.Label, Hash: NoVersion}) {
		s.Selector = old.Selector
	}
	return s
}

func (w *World) admitRoute(old, r Route) Route {
	h, held := at[Hold](&w.store.table, routeHoldKey)
	if w.Policy && held && r.Split == (Split{}) && r.Team == h.Team {
		r.Split, r.Team = old.Split, old.Team
	}
	return r
}

// Verb is what somebody does to the world.
type Verb string

// Everything that can happen. N says which or how many, M how long or how.
const (
	DoEdit        Verb = "edit"         // the template becomes version N
	DoScale       Verb = "scale"        // to N replicas
	DoPromote     Verb = "promote"      // M: 0 the current step, 1 any step, 2 the step before, 3 another plan
	DoPromoteFull Verb = "promote-full" // likewise
	DoPause       Verb = "pause"
	DoResume      Verb = "resume"
	DoAbort       Verb = "abort"
	DoRollback    Verb = "rollback"  // of the release under way, while its old pods are kept
	DoUnhold      Verb = "unhold"    // somebody deletes the Hold of Service N
	DoCrash       Verb = "crash"     // of the hands, for N ticks
	DoTakeOver    Verb = "take-over" // another leader at once, with caches as old as they are
	DoFreeze      Verb = "freeze"    // watch of kind N for M ticks
	DoLose        Verb = "lose"      // the next event of kind N
	DoRefuse      Verb = "refuse"    // the hands' next write gets fault N
	DoOutage      Verb = "outage"    // all pods of version N are unready for M ticks
	DoBlip        Verb = "blip"      // one pod of version N for M ticks
	DoReapply     Verb = "reapply"   // the agent applies the manifests; N: 1 with replace
	DoService     Verb = "service"   // a real edit of Service N's selector
	DoRelabel     Verb = "relabel"   // Service N selects by value M of the label, 0 by none; from 10 on merged
	DoPlan        Verb = "plan"      // the Rollout's steps are edited
	DoRoute       Verb = "route"     // a real edit of the route's rules
	DoMeddle      Verb = "meddle"    // somebody sets the canary's weight by hand: N 0 ingress, 1 route, to M
	DoRemove      Verb = "remove"    // the Rollout is deleted
	DoLie         Verb = "lie"       // somebody marks as Sluice's: N 0 the workload as rolled back, 1 all Services
	DoVanish      Verb = "vanish"    // the workload is deleted
	DoVerdict     Verb = "verdict"   // 0 good, 1 bad, 2 unclear; M: of the analysis of 0 the step, 1 the background
	DoForget      Verb = "forget"    // an analysis is deleted: N 0 the step's, 1 the background's
	DoApprove     Verb = "approve"   // by person N; M as for promote, 4 without a plan, 5 without a comment
	DoReject      Verb = "reject"    // likewise
	DoOverride    Verb = "override"  // likewise
	DoShut        Verb = "shut"      // the window, for N ticks (0: nobody knows), in M ticks
	DoOpen        Verb = "open"      // the window
	DoClock       Verb = "clock"     // of the machine (N 0) or of the API server (1) is set M seconds forward
)

// Action is one of them at a tick.
type Action struct {
	At int
	Verb
	N, M int
}

// people are all who act from outside.
type people struct {
	actions []Action
	cast    Cast
	words   int
	done    int
}

// Urges is how often people say what the release waits for, in ticks.
const Urges = 8

// act lets everybody outside the cluster act.
func (w *World) act() {
	p := &w.people
	for len(p.actions) > 0 && p.actions[0].At <= w.Tick {
		w.do(p.actions[0])
		p.actions = p.actions[1:]
	}
	p.cast.Act(w.Tick, w)
	if w.Agent > 0 && w.Tick%w.Agent == 0 {
		w.do(Action{Verb: DoReapply})
	}
	if w.Meddler > 0 && w.Tick%w.Meddler == 0 {
		w.touch()
	}
	if (w.AutoPromote || w.AutoApprove) && w.Tick%Urges == 0 {
		if a, ok := w.Urge(w.Picture()); ok {
			w.speak(a)
		}
	}
}

// verbs is what each does; those that are decisions are in words.
var verbs = map[Verb]func(*World, Action){
	DoEdit: func(w *World, a Action) {
		w.manifest.template = Version(a.N)
		w.editDeployment(Person, func(d *Deployment) { d.Template = Version(a.N) })
	},
	DoScale: func(w *World, a Action) {
		w.editDeployment(Autoscaler, func(d *Deployment) { d.Replicas = a.N })
	},
	DoCrash:    func(w *World, a Action) { w.hands.crash(w, a.N) },
	DoTakeOver: func(w *World, _ Action) { w.hands.crash(w, 0) },
	DoFreeze:   func(w *World, a Action) { w.hands.view.freeze(w, Kind(a.N), w.Tick+a.M) },
	DoLose:     func(w *World, a Action) { w.Fault = Fault{Do: DropEvent, Kind: Kind(a.N), N: len(w.store.log[a.N])} },
	DoRefuse:   func(w *World, a Action) { w.Fault = Fault{Do: Harm(a.N), N: w.hands.attempts} },
	DoOutage:   func(w *World, a Action) { w.outage(Version(a.N), len(w.pods[a.N]), a.M) },
	DoBlip:     func(w *World, a Action) { w.outage(Version(a.N), 1, a.M) },
	DoReapply:  func(w *World, _ Action) { w.reapply() },
	DoService:  func(w *World, a Action) { w.editService(a.N) },
	DoRelabel:  func(w *World, a Action) { w.relabel(a.N, a.M%10, a.M >= 10) },
	DoPlan: func(w *World, _ Action) {
		if r, ok := w.rollout(); ok {
			r.Plan++
			w.put(Person, rolloutKey, r)
		}
	},
	DoRoute:  func(w *World, _ Action) { w.editRoute() },
	DoMeddle: (*World).meddle,
	DoRemove: func(w *World, _ Action) {
		if r, ok := w.rollout(); ok && !r.Removing {
			r.Removing = true
			w.put(Person, rolloutKey, r)
		}
	},
	DoLie:     (*World).lie,
	DoUnhold:  (*World).unhold,
	DoVanish:  func(w *World, _ Action) { w.put(Person, deploymentKey, nil) },
	DoVerdict: (*World).sayVerdict,
	DoForget:  (*World).forget,
	DoShut:    (*World).shut,
	DoOpen:    func(w *World, _ Action) { w.open() },
	DoClock:   (*World).setClock,
}

var words = map[Verb]release.Verb{
	DoPromote: release.Promote, DoPromoteFull: release.PromoteFull, DoPause: release.PauseNow,
	DoResume: release.Resume, DoAbort: release.Abort,
	DoRollback: release.RollBack, DoApprove: release.Approve, DoReject: release.Reject, DoOverride: release.Override,
}

// Spoken says whether it is the word of a person.
func (a Action) Spoken() bool { return words[a.Verb] != "" }

// do does one action.
func (w *World) do(a Action) {
	w.people.done++
	w.actedAt = w.Tick
	w.say("-- %s %d %d", a.Verb, a.N, a.M)
	w.disturb(disturbs(a))
	if a.Spoken() {
		w.speak(a)
		return
	}
	verbs[a.Verb](w, a)
}

// disturbs is how long an action may keep the hands from acting.
func disturbs(a Action) int {
	switch a.Verb {
	case DoCrash:
		return a.N
	case DoFreeze:
		return a.M
	case DoLose:
		return recheck
	case DoRefuse, DoTakeOver, DoScale:
		return 8
	}
	return 0
}

// disturb notes that for so many ticks to come nobody can expect the hands to be quick.
func (w *World) disturb(ticks int) {
	if ticks > 0 {
		w.checks.excuse.disturbedAt = max(w.checks.excuse.disturbedAt, w.Tick+ticks)
	}
}

func (w *World) editDeployment(by Actor, edit func(*Deployment)) {
	if d, ok := w.deployment(); ok {
		edit(&d)
		w.put(by, deploymentKey, d)
	}
}

// speak makes a Decision of somebody's on the current release.
func (w *World) speak(a Action) {
	p := w.Picture()
	d, ok := p.Word(a)
	if !ok {
		return
	}
	d.ID, d.At = "decision-"+strconv.Itoa(w.people.words), w.serverTime()
	w.put(Person, decisionKey(w.people.words), Decision{
		Release: p.Release.Number, At: w.Tick, Shown: p.Release.shown(), Decision: d,
	})
	w.people.words++
}

// waitsSince is since when a release waits for a word, as sluice tells it; zero where it does not.
func waitsSince(m release.Memory, verb release.Verb) time.Time {
	switch {
	case verb == release.Approve || verb == release.Reject:
		if m.StepReachedAt.After(m.AskedAt) {
			return m.StepReachedAt
		}
		return m.AskedAt
	case verb == release.Resume || verb == release.Promote && m.PausedBy != "":
		return m.PausedAt
	case verb == release.Promote:
		return m.StepReachedAt
	}
	return time.Time{}
}

// pauses says whether the current step has a pause.
func (r Release) pauses() bool { return r.Spec.Steps[r.Memory.Step].Pause.Kind != release.PauseNone }

func (w *World) openWords() (n int) {
	for i := range w.people.words {
		if must[Decision](&w.store.table, decisionKey(i)).open() {
			n++
		}
	}
	return n
}

// outage makes so many pods of a version unready for so long.
func (w *World) outage(v Version, pods, ticks int) {
	for i := range w.pods[v] {
		if pods > 0 && w.pods[v][i].gone == 0 {
			w.pods[v][i].outUntil = w.Tick + ticks
			pods--
			w.checks.excuse.outage(w.Tick + ticks)
		}
	}
}

// reapply is the agent: it applies what is in Git, without the replicas, which an autoscaler owns.
func (w *World) reapply() {
	w.editDeployment(Agent, func(d *Deployment) { d.Template = w.manifest.template })
	for n := range w.Services {
		s, ok := w.service(n)
		if !ok {
			continue
		}
		was := s.Selector
		s.Selector = Selector{Team: w.manifest.service[n], Label: w.manifest.label[n], Hash: NoVersion}
		w.put(Agent, serviceKey(n), s)
		if now, _ := w.service(n); now.Selector != was {
			w.checks.excuse.overwritten(w.Tick)
		}
	}
	r := must[Route](&w.store.table, routeKey)
	was := r.Split
	r.Team, r.Split = w.manifest.route, Split{}
	w.put(Agent, routeKey, r)
	if must[Route](&w.store.table, routeKey).Split != was {
		w.checks.excuse.overwritten(w.Tick)
	}
}

// editService is a real edit: the selector becomes another one.
func (w *World) editService(n int) {
	s, ok := w.service(n)
	if !ok || n >= w.Services {
		return
	}
	w.manifest.service[n]++
	s.Selector = Selector{Team: w.manifest.service[n], Label: w.manifest.label[n], Hash: NoVersion}
	w.put(Person, serviceKey(n), s)
	w.checks.excuse.overwritten(w.Tick)
}

func (w *World) editRoute() {
	r := must[Route](&w.store.table, routeKey)
	w.manifest.route++
	r.Team, r.Split = w.manifest.route, Split{}
	w.put(Person, routeKey, r)
	w.checks.excuse.overwritten(w.Tick)
}

// meddle sets a weight by hand, where there is a canary route.
func (w *World) meddle(a Action) {
	if i, ok := at[Ingress](&w.store.table, ingressKey); ok && a.N == 0 {
		i.Weight = a.M
		w.put(Meddler, ingressKey, i)
		w.checks.excuse.overwritten(w.Tick)
	}
	if r := must[Route](&w.store.table, routeKey); a.N == 1 && r.Split != (Split{}) {
		r.Weight = a.M
		w.put(Meddler, routeKey, r)
		w.checks.excuse.overwritten(w.Tick)
	}
}

// lie writes marks of Sluice's that mean nothing.
func (w *World) lie(a Action) {
	if a.N == 0 {
		w.editDeployment(Person, func(d *Deployment) { d.Lie = true })
		return
	}
	for n := range w.Services {
		if s, ok := w.service(n); ok {
			s.Lie = true
			w.put(Person, serviceKey(n), s)
		}
	}
}

// touch changes fields that are none of Sluice's business.
func (w *World) touch() {
	w.editDeployment(Meddler, func(d *Deployment) { d.Note++ })
	for n := range w.Services {
		if s, ok := w.service(n); ok {
			s.Note++
			w.put(Meddler, serviceKey(n), s)
		}
	}
	r := must[Route](&w.store.table, routeKey)
	r.Note++
	w.put(Meddler, routeKey, r)
}
