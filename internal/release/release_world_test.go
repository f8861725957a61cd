package release

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// world is a small cluster in which a release runs: a Deployment that is held, its pods, Services and layers.
// A tick is one second: what was asked for in one tick is there in the next, pods are ready in the one after.
type world struct {
	spec   Spec
	memory Memory
	now    time.Time
	o      Observed
	// broken versions have no pod that is ready; hung layers report nothing; stuck ends no pod.
	broken map[string]bool
	hung   map[string]bool
	limit  map[string]int // at most so many pods of a version get ready
	stuck  bool
	// settle is how long the layers need to follow, changes counts how often they were changed.
	settle  time.Duration
	changes int
	// asleep: the Deployment controller does nothing.
	asleep bool
	// marked: the workload has got its old ReplicaSet again, and what is too many is taken from the new one.
	marked bool
	// portless: the Service leads to a port that the stable pods do not have.
	portless bool
	// disturbed: somebody else has changed the world since the last tick.
	disturbed bool
}

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// layered is a spec for a Deployment with these layers; without any, the number of pods divides the requests.
func layered(s Spec, layers ...string) Spec {
	s.Divide, s.Layers, s.Traits = ByPods, layers, Traits{Beside: true, Finish: ByHandOver, Apart: ByLabel}
	if len(layers) > 0 {
		s.Divide = ByLayers
	}
	return s
}

func newWorld(s Spec, replicas int) *world {
	w := &world{spec: s, now: began, broken: map[string]bool{}, hung: map[string]bool{}, limit: map[string]int{}}
	w.o.Workload = Workload{Exists: true, Desired: s.To, Replicas: replicas, Held: true}
	w.o.Stable = Track{Exists: true, Adopted: true, Desired: replicas, Pods: replicas, Ready: replicas}
	if s.Divide == ByLayers {
		w.o.Services = []Service{{Name: "shop", Selects: SelectsAll, Routed: true}}
	}
	if s.Divide == BySelector {
		w.o.Services = []Service{{Name: "shop", Selects: SelectsAll}}
	}
	for _, l := range s.Layers {
		w.o.Layers = append(w.o.Layers, Layer{Name: l, Settled: true})
	}
	w.memory = Begin(began)
	w.show()
	return w
}

// tick lets a second pass, decides, and carries the decision out.
func (w *world) tick() Outcome {
	w.now = w.now.Add(time.Second)
	w.deployment()
	w.kubelet(&w.o.Stable, w.spec.From)
	w.kubelet(&w.o.Canary, w.spec.To)
	for i := range w.o.Layers {
		w.o.Layers[i].Settled, w.o.Layers[i].Settle = !w.hung[w.o.Layers[i].Name], w.settle
	}
	w.show()
	out := Decide(w.spec, w.o, w.memory, w.now)
	w.memory = out.Memory
	w.o.Decisions = nil
	for _, a := range out.Actions {
		w.carryOut(a)
	}
	return out
}

// deployment is the Deployment controller: while held, it keeps the one ReplicaSet that it has at full number,
// ends the old one when it is given a new one of its own size, and divides its pods if neither is complete.
func (w *world) deployment() {
	d, st, c := &w.o.Workload, &w.o.Stable, &w.o.Canary
	switch {
	case w.asleep:
	case d.Loose > 0: // It was resumed, and all its pods are of the new template.
		st.Desired = 0
	case st.Taken:
		if c.Adopted {
			c.Desired = d.Replicas
		}
	case !d.Exists:
		st.Desired = 0
		if c.Adopted {
			c.Desired = 0
		}
	case !c.Adopted || c.Desired == 0 && st.Desired > 0:
		st.Desired = d.Replicas
	case w.marked:
		st.Desired, c.Desired = d.Replicas, 0
	case st.Desired == 0 || d.Desired == w.spec.To && c.Desired == d.Replicas && c.Ready >= d.Replicas:
		st.Desired, c.Desired = 0, d.Replicas
	default:
		st.Desired, c.Desired = d.Replicas/2, d.Replicas-d.Replicas/2
	}
	d.Alone = c.Adopted && (st.Taken || st.Pods == 0 && st.Desired == 0) && c.Ready >= d.Replicas
}

// kubelet starts and ends pods. What it started in the last tick gets ready in this one.
func (w *world) kubelet(t *Track, version string) {
	t.Ready = t.Pods
	t.Problem = ""
	if t.Pods < t.Desired {
		t.Pods = t.Desired
	} else if !w.stuck {
		t.Pods = t.Desired
		t.Ready = min(t.Ready, t.Pods)
	}
	if n, limited := w.limit[version]; limited && t.Ready > n {
		t.Ready, t.Problem = n, "shop-"+version+": readiness probe failed"
	}
	if w.broken[version] {
		t.Ready, t.Problem = 0, "shop-"+version+": CrashLoopBackOff"
	}
}

// show derives the endpoints from pods and selectors.
func (w *world) show() {
	for i := range w.o.Services {
		s := &w.o.Services[i]
		s.ReadyStable, s.ReadyCanary, s.CanaryReady = 0, 0, 0
		if s.Selects == SelectsStable || s.Selects == SelectsAll && !s.MissesStable {
			s.ReadyStable = w.o.Stable.Ready
		}
		if s.Selects == SelectsCanary || s.Selects == SelectsAll && !s.MissesCanary {
			s.ReadyCanary = w.o.Canary.Ready
		}
		if w.portless {
			s.ReadyStable, s.Problem = 0, "no stable pod has the port http2 that the Service leads to"
		}
		if s.CanaryExists {
			s.CanaryReady = w.o.Canary.Ready
		}
	}
}

func (w *world) service(name string) *Service {
	return &w.o.Services[slices.IndexFunc(w.o.Services, func(s Service) bool { return s.Name == name })]
}

func (w *world) layer(name string) *Layer {
	return &w.o.Layers[slices.IndexFunc(w.o.Layers, func(l Layer) bool { return l.Name == name })]
}

func (w *world) carryOut(a Action) {
	switch a := a.(type) {
	case SelectService:
		s := w.service(a.Service)
		s.Selects, s.Held = a.To, a.To != SelectsAll
	case ScaleCanary:
		w.o.Canary.Exists, w.o.Canary.Desired = true, a.Replicas
	case EnsureCanaryService:
		w.service(a.Service).CanaryExists = true
	case RemoveCanaryService:
		w.service(a.Service).CanaryExists = false
	case Route:
		l := w.layer(a.Layer)
		w.changes++
		*l = Layer{Name: l.Name, Routed: true, Held: true, Weight: a.Weight, Matches: a.Matches, Version: fmt.Sprint(w.changes)}
	case Unroute:
		l := w.layer(a.Layer)
		*l = Layer{Name: l.Name}
	case HandOver:
		w.o.Canary.Adopted = true
		if a.KeepOld {
			w.o.Stable.Adopted, w.o.Stable.Taken = false, true
		}
	case ScaleOld:
		w.o.Stable.Desired = a.Replicas
	case GiveOld:
		w.o.Stable.Adopted, w.o.Stable.Taken, w.marked = true, false, w.o.Canary.Adopted && w.o.Stable.Desired > 0
		if !w.o.Workload.Exists {
			w.o.Stable = Track{}
		}
	case PauseWorkload:
		w.o.Workload.Held = true
	case RemoveLoose:
		w.o.Workload.Taken = 0
	case TakeBack:
		w.o.Canary.Adopted, w.marked = false, false
		w.o.Workload.Taken += w.o.Workload.Loose
		w.o.Workload.Loose = 0
	case ResumeWorkload:
		w.o.Workload.Held = false
	case RevertTemplate:
		w.o.Workload.Held, w.o.Workload.Desired = false, w.spec.From
	case RemoveCanary:
		w.o.Canary = Track{}
	case Analyse:
		w.o.Analyses = append(w.o.Analyses, Analysis{ID: a.ID})
	case ConcludeAnalysis:
		for i := range w.o.Analyses {
			w.o.Analyses[i].Concluding = w.o.Analyses[i].Concluding || w.o.Analyses[i].ID == a.ID
		}
	}
}

// describe says what an outcome is, one line for the decision and one for each action, event and answer.
func (w *world) describe(out Outcome) string {
	var b strings.Builder
	for _, a := range out.Answers {
		verdict := "refused"
		if a.Applied {
			verdict = "applied"
		}
		fmt.Fprintf(&b, "      %s %s: %s (%s)\n", a.ID, verdict, a.Message, a.Code)
	}
	for _, e := range out.Events {
		fmt.Fprintf(&b, "      * %s: %s\n", e.Code, e.Message)
	}
	fmt.Fprintf(&b, "%5s %s: %s: %s%s\n", w.clock(w.now), out.Memory.Phase, out.Reason.Code, out.Reason.Message, w.bound(out.Reason))
	for _, a := range out.Actions {
		fmt.Fprintf(&b, "      -> %s\n", describeAction(a))
	}
	return b.String()
}

func (w *world) bound(r Reason) string {
	if r.Until.IsZero() {
		return ""
	}
	return fmt.Sprintf(" [until %s; %s]", w.clock(r.Until), r.Who)
}

// clock is the time since the release began, as m:ss.
func (w *world) clock(at time.Time) string {
	d := at.Sub(began)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func describeAction(a Action) string {
	switch a := a.(type) {
	case SelectService:
		return fmt.Sprintf("Service %s selects %s", a.Service, a.To)
	case ScaleCanary:
		return fmt.Sprintf("%d new pods", a.Replicas)
	case EnsureCanaryService:
		return "make Service " + a.Service + "-canary"
	case RemoveCanaryService:
		return "remove Service " + a.Service + "-canary"
	case Route:
		return fmt.Sprintf("%s: %d%%%s", a.Layer, a.Weight, describeMatches(a.Matches))
	case Unroute:
		return a.Layer + ": give back"
	case HandOver:
		if a.KeepOld {
			return "hand the new ReplicaSet over to the workload, and keep the old one"
		}
		return "hand the new ReplicaSet over to the workload"
	case ScaleOld:
		return fmt.Sprintf("%d old pods", a.Replicas)
	case GiveOld:
		return "give the old ReplicaSet back to the workload"
	case PauseWorkload:
		return "pause the workload again"
	case RemoveLoose:
		return "remove what the resumed workload has started"
	case TakeBack:
		return "take the new ReplicaSet back from the workload"
	case ResumeWorkload:
		return "resume the workload"
	case RevertTemplate:
		return "write the stable template back, and resume the workload"
	case RemoveCanary:
		return "remove the new ReplicaSet"
	case Analyse:
		return fmt.Sprintf("begin %s of step %d%s", subject(a.ID), a.ID.Step+1, describeAttempt(a.ID))
	case ConcludeAnalysis:
		return fmt.Sprintf("have %s of step %d conclude", subject(a.ID), a.ID.Step+1)
	}
	return "?"
}

func describeAttempt(id AnalysisID) string {
	if id.Attempt == 0 {
		return ""
	}
	return fmt.Sprintf(", try %d", id.Attempt+1)
}

func describeMatches(matches []Match) string {
	text := ""
	for _, m := range matches {
		for _, h := range m.Headers {
			text += fmt.Sprintf(" and %s: %s", h.Name, h.Value)
		}
	}
	return text
}

// describeWorld sums the world up.
func (w *world) describeWorld() string {
	var b strings.Builder
	d := w.o.Workload
	held := ""
	if d.Held {
		held = ", held"
	}
	fmt.Fprintf(&b, "workload: %s, %d replicas%s\n", d.Desired, d.Replicas, held)
	fmt.Fprintf(&b, "pods ready: %d of %d %s, %d of %d %s\n", w.o.Stable.Ready, w.o.Stable.Desired, w.spec.From, w.o.Canary.Ready, w.o.Canary.Desired, w.spec.To)
	for _, s := range w.o.Services {
		twin := ""
		if s.CanaryExists {
			twin = ", with a canary Service"
		}
		fmt.Fprintf(&b, "Service %s: selects %s%s\n", s.Name, s.Selects, twin)
	}
	for _, l := range w.o.Layers {
		if l.Routed {
			fmt.Fprintf(&b, "%s: %d%%%s\n", l.Name, l.Weight, describeMatches(l.Matches))
		} else {
			fmt.Fprintf(&b, "%s: as the team made it\n", l.Name)
		}
	}
	return b.String()
}
