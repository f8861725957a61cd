package rollout

import (
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
	"github.com/sluice-dev/sluice/test/sim"
)

// This file plays a story on its stage, tick by tick: people act, Kubernetes follows, the Reconciler looks when something
// has changed or when it wanted to, and the requests are looked after.

// harm is what befalls one write of the Reconciler: the process dies after it, or it is refused.
type harm struct {
	kills bool
	write int
}

// String says what it is.
func (h harm) String() string {
	if h.kills {
		return fmt.Sprintf("killed after write %d", h.write)
	}
	return fmt.Sprintf("write %d refused", h.write)
}

// downFor is how many ticks a killed process is away.
const downFor = 3

// strike has the harm come. hit is the write that it befalls.
func (s *stage) strike(h harm, hit *string) {
	s.failure = func(n int, write string) (error, bool) {
		if n != h.write {
			return nil, false
		}
		*hit = write
		if !h.kills {
			return apierrors.NewConflict(schema.GroupResource{}, shop, fmt.Errorf("write %d is refused", n)), false
		}
		s.restart()
		s.up = s.tick + 1 + downFor
		return errLost, true
	}
}

// play takes the story to its end. It says what is wrong with the way there.
func (s *stage) play() string {
	s.t.Helper()
	for s.wrong == "" && !s.rests() {
		if s.tick == s.bound {
			return fmt.Sprintf("no rest until tick %d: %s", s.bound, s.tells())
		}
		s.step()
	}
	return s.wrong
}

// rests: nothing is under way, and nobody has done anything for a good while.
func (s *stage) rests() bool {
	r := s.Picture().Release
	return s.tick-s.changedAt >= sim.Quiet && !s.cast.Due() && (r.Number == 0 || r.Memory.Phase.Terminal())
}

func (s *stage) step() {
	s.t.Helper()
	s.now = s.begin.Add(time.Duration(s.tick) * time.Second)
	s.cast.Act(s.tick, s)
	if s.tick%sim.Urges == 0 {
		if a, ok := s.story.Config.Urge(s.Picture()); ok {
			s.speak(a)
		}
	}
	s.follows()
	s.look()
	s.watch()
	s.tick++
}

// changed notes that the objects are no longer as they were.
func (s *stage) changed() { s.drawn, s.stirred, s.woken, s.changedAt = nil, true, true, s.tick }

// follows lets Kubernetes, the gateway and the analyst do a round.
func (s *stage) follows() {
	s.t.Helper()
	for until := range maps.Values(s.outages) {
		s.stirred = s.stirred || s.now.Equal(until)
	}
	moved := len(s.Picture().Begun) > 0 && s.analyse()
	if s.stirred {
		s.stirred = false
		moved = s.gateway() || moved
		moved = s.kubernetes() || moved
	}
	if moved {
		s.changed()
	}
}

// look lets the Reconciler look, if there is anything to look at.
func (s *stage) look() {
	s.t.Helper()
	if s.tick < s.up || !s.woken && (s.due.IsZero() || s.now.Before(s.due)) {
		return
	}
	s.woken, s.due = false, time.Time{}
	written, result, err := s.cluster.look()
	if result.RequeueAfter > 0 {
		s.due = s.now.Add(result.RequeueAfter)
	}
	if len(written) > 0 {
		s.changed()
	}
	if err != nil || s.tick < s.up {
		s.due = s.now.Add(time.Second)
	}
}

// analyse lets analyses come to what the story says.
func (s *stage) analyse() (moved bool) {
	s.t.Helper()
	for _, run := range s.runs() {
		id, ok := readID(run.Labels[labelAnalysis])
		rel := s.cluster.release(run.Spec.Release)
		if !ok || rel == nil {
			continue
		}
		a := sim.Analysis{Release: int(rel.Spec.Number), ID: id, Concluding: run.Spec.Conclude, Verdict: verdicts[run.Status.Phase]}
		if v := s.story.Config.Comes(a, int(s.now.Sub(run.CreationTimestamp.Time)/time.Second), false); v != a.Verdict {
			s.say(&run, v)
			moved = true
		}
	}
	return moved
}

// say has an analysis come to a verdict.
func (s *stage) say(run *v1alpha1.AnalysisRun, v release.Verdict) {
	s.t.Helper()
	run.Status.Phase, run.Status.Message = map[release.Verdict]v1alpha1.AnalysisPhase{
		release.Good: v1alpha1.AnalysisSuccessful, release.Bad: v1alpha1.AnalysisFailed, release.Unclear: v1alpha1.AnalysisInconclusive,
	}[v], "as the story says"
	s.update(run)
}

// watch looks after the requests, and after how the releases stand.
func (s *stage) watch() {
	s.t.Helper()
	d := s.deployment()
	if d != nil {
		s.demand[s.tick%len(s.demand)] = deployment.Replicas(d)
	}
	if s.changedAt != s.tick {
		return
	}
	for _, rel := range s.releases() {
		s.ends[rel.Spec.Number] = sim.EndOf(s.seen(rel))
	}
	if d == nil || s.cluster.rollout() == nil || s.tick <= s.outage || s.lostAt > 0 && s.tick <= s.lostAt+lostFor {
		return
	}
	if lacks := s.lacks(); lacks != "" {
		s.wrong = fmt.Sprintf("tick %d: %s: %s", s.tick, lacks, s.tells())
	}
}

// lostFor is how long it may take until a Service serves again that the team has led to nobody, in ticks.
const lostFor = 60

// lacks says what a Service has too little of for its share of the requests.
func (s *stage) lacks() string {
	s.t.Helper()
	weight, demand := s.share(), s.demand[0]
	for _, n := range s.demand {
		demand = min(demand, n)
	}
	for n := range s.wrote {
		svc, canary, share := s.service(n), 0, weight
		if svc == nil {
			continue
		}
		if n > 0 {
			share = -1 // No layer leads there.
		}
		if twin := s.twin(svc.Name); twin != nil {
			canary = len(s.pods(twin))
		}
		if share >= 0 && canary == 0 && demand > 0 {
			return svc.Name + "-canary is led to and has no ready pod"
		}
		if lacks := sim.Lacks(max(share, 0), demand, len(s.pods(svc.Spec.Selector)), canary); lacks != "" {
			return svc.Name + " " + lacks
		}
	}
	return ""
}

// twin is the selector of a canary Service; nil if there is none.
func (s *stage) twin(of string) map[string]string {
	s.t.Helper()
	svc := webService()
	if !s.get(svc, of+"-canary") {
		return nil
	}
	return svc.Spec.Selector
}

// Do does one thing to the cluster.
func (s *stage) Do(a sim.Action) {
	s.t.Helper()
	do := deeds[a.Verb]
	switch {
	case a.Spoken():
		s.speak(a)
	case do != nil:
		do(s, a)
	default:
		s.t.Fatalf("%q cannot be done on this stage", a.Verb)
	}
	s.changed()
}

// deeds are what people do that are no words.
var deeds = map[sim.Verb]func(*stage, sim.Action){
	sim.DoEdit: func(s *stage, a sim.Action) {
		s.setImage(s.image(sim.Version(a.N)))
		s.edit(func(d *unstructured.Unstructured) { bear(d, s.label(sim.Version(a.N))) })
	},
	sim.DoScale: func(s *stage, a sim.Action) {
		s.edit(func(d *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(d.Object, int64(a.N), "spec", "replicas")
		})
	},
	sim.DoTakeOver: func(s *stage, _ sim.Action) { s.restart() },
	sim.DoRemove: func(s *stage, _ sim.Action) {
		if ro := s.cluster.rollout(); ro != nil && ro.DeletionTimestamp == nil {
			s.delete(ro)
		}
	},
	sim.DoPlan: func(s *stage, _ sim.Action) {
		if ro := s.cluster.rollout(); ro != nil {
			ro.Spec.ReleaseDeadline.Duration += time.Second
			s.update(ro)
		}
	},
	sim.DoVanish: func(s *stage, _ sim.Action) {
		if d := s.deployment(); d != nil {
			s.delete(d)
		}
	},
	sim.DoUnhold: func(s *stage, a sim.Action) {
		for _, o := range s.all() {
			if h, is := o.(*v1alpha1.Hold); is && h.Spec.Target.Kind == "Service" && h.Spec.Target.Name == serviceNames[a.N] {
				s.delete(h)
			}
		}
	},
	sim.DoRelabel: (*stage).relabel,
	sim.DoOutage:  (*stage).fail,
	sim.DoLie:     (*stage).lie,
	sim.DoShut:    (*stage).shut,
	sim.DoOpen: func(s *stage, _ sim.Action) {
		s.deleteNamed(&v1alpha1.ReleaseWindow{}, "weekdays")
	},
	sim.DoVerdict: func(s *stage, a sim.Action) {
		if run := s.running(a.M == 1); run != nil {
			s.say(run, a.Said())
		}
	},
	sim.DoForget: func(s *stage, a sim.Action) {
		if run := s.running(a.N == 1); run != nil {
			s.delete(run)
		}
	},
}

func (s *stage) edit(change func(*unstructured.Unstructured)) {
	s.t.Helper()
	if d := s.deployment(); d != nil {
		change(d)
		s.update(d)
	}
}

// running is the analysis that the release is at.
func (s *stage) running(background bool) *v1alpha1.AnalysisRun {
	s.t.Helper()
	p := s.Picture()
	for _, run := range s.runs() {
		if id, ok := readID(run.Labels[labelAnalysis]); ok && id == p.Release.Measures(background) && run.Spec.Release == s.last().Name {
			return &run
		}
	}
	return nil
}

// relabel has a Service select by another value of the label. Merged, the hash stays that a release has added.
func (s *stage) relabel(a sim.Action) {
	s.t.Helper()
	svc := s.service(a.N)
	if svc == nil {
		return
	}
	own := map[string]string{"app": shop}
	if value := a.M % 10; value > 0 {
		own[labelOfVersion] = fmt.Sprint(value)
	}
	s.wrote[a.N], s.lostAt = own, s.tick
	hash, narrowed := svc.Spec.Selector[v1alpha1.LabelPodTemplateHash]
	svc.Spec.Selector = maps.Clone(own)
	if narrowed && a.M >= 10 {
		svc.Spec.Selector[v1alpha1.LabelPodTemplateHash] = hash
	}
	s.update(svc)
}

// fail has all pods of a version fail for a while.
func (s *stage) fail(a sim.Action) {
	s.outages[s.image(sim.Version(a.N))] = s.now.Add(time.Duration(a.M) * time.Second)
	s.outage = max(s.outage, s.tick+a.M+downFor*5)
}

// lie writes marks of Sluice's that mean nothing.
func (s *stage) lie(a sim.Action) {
	s.t.Helper()
	if a.N == 0 {
		s.edit(func(d *unstructured.Unstructured) {
			workload.Annotate(d, "sluice.dev/held-change-cause", "Rollback shop-1")
		})
		return
	}
	for n := range s.wrote {
		svc := s.service(n)
		svc.Labels = map[string]string{v1alpha1.LabelRelease: "shop-1"}
		s.update(svc)
	}
}

// shut shuts the window for so many ticks (0: nobody knows for how long), some ticks from now.
func (s *stage) shut(a sim.Action) {
	s.t.Helper()
	from := s.now.Add(time.Duration(a.M) * time.Second)
	until := from.Add(time.Duration(a.N) * time.Second)
	if a.N == 0 {
		until = from.Add(1000 * time.Hour)
	}
	s.deleteNamed(&v1alpha1.ReleaseWindow{}, "weekdays")
	s.add(&v1alpha1.ReleaseWindow{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "weekdays"},
		Spec: v1alpha1.ReleaseWindowSpec{Freeze: []v1alpha1.WindowPeriod{{Dates: &v1alpha1.DatesPeriod{
			From: metav1.NewTime(from), Until: metav1.NewTime(until),
		}}}},
	})
}

// speak makes somebody's Decision on the last release.
func (s *stage) speak(a sim.Action) {
	s.t.Helper()
	word, ok := s.Picture().Word(a)
	if !ok {
		return
	}
	rel := s.last()
	d := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: s.word()},
		Spec: v1alpha1.DecisionSpec{
			Release: rel.Name, Verb: v1alpha1.DecisionVerb(word.Verb), Step: word.Step, Since: micro(word.Since),
			Comment: word.Comment, User: word.User, Groups: word.Groups,
		},
	}
	switch {
	case word.PlanMismatch:
		d.Spec.PlanDigest = "sha256:0000"
	case word.PlanNamed:
		d.Spec.PlanDigest = rel.Spec.PlanDigest
	}
	s.add(d)
	s.changed()
}
