package sim

import (
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// Picture is what anybody can see of a world: the moments of the stories are asked of it, and people act upon it. It can
// be drawn of this package's own world and of a cluster with the real controller.
type Picture struct {
	// Release is the last one, with its number, its plan and its memory; number 0 if there was none.
	Release Release
	// Paused: the workload is.
	Paused bool
	// Sets are the ReplicaSets, by their version.
	Sets [Versions]ReplicaSet
	// Weight is the largest share that a layer's object gives the new version.
	Weight int
	// Begun are the release's analyses that there are.
	Begun []release.AnalysisID
	// Open counts the decisions without an answer.
	Open int
	// Waits is the reason code of what the release waits for.
	Waits string
}

// Stage is a world in which a story is played.
type Stage interface {
	// Picture is what can be seen of it now.
	Picture() *Picture
	// Do does one thing to it.
	Do(a Action)
}

// Moment is a condition on what can be seen.
type Moment func(*Picture) bool

// Trigger does something once: so many ticks after its moment first came.
type Trigger struct {
	When  Moment
	Wait  int
	Do    []Action
	since int
	done  bool
}

// Cast are those who act in one telling of a story.
type Cast struct{ triggers []Trigger }

// Cast is a new cast of the story.
func (s Scenario) Cast() *Cast { return &Cast{append([]Trigger(nil), s.Triggers...)} }

// Act lets them do what it is time for. The clock of the stage begins after tick 0.
func (c *Cast) Act(tick int, stage Stage) {
	for i := range c.triggers {
		t := &c.triggers[i]
		if t.since == 0 && t.When(stage.Picture()) {
			t.since = tick
		}
		if !t.done && t.since > 0 && tick >= t.since+t.Wait {
			t.done = true
			for _, a := range t.Do {
				stage.Do(a)
			}
		}
	}
}

// Due says whether one of them is about to act, whatever happens in between.
func (c *Cast) Due() bool {
	return slices.ContainsFunc(c.triggers, func(t Trigger) bool { return t.since > 0 && !t.done })
}

// Played says which of the triggers have acted.
func (c *Cast) Played() []bool {
	out := make([]bool, len(c.triggers))
	for i, t := range c.triggers {
		out[i] = t.done
	}
	return out
}

// Picture draws this world.
func (w *World) Picture() *Picture {
	p := &Picture{Open: w.openWords(), Waits: w.hands.last.Reason.Code}
	p.Release, _ = w.release()
	d, _ := w.deployment()
	p.Paused = d.Paused
	for v := range Version(Versions) {
		p.Sets[v] = w.set(v)
	}
	i, _ := at[Ingress](&w.store.table, ingressKey)
	p.Weight = max(i.Weight, must[Route](&w.store.table, routeKey).Weight)
	for _, o := range w.store.table[KAnalysis] {
		if a, ok := o.Value.(Analysis); ok && a.Release == p.Release.Number {
			p.Begun = append(p.Begun, a.ID)
		}
	}
	return p
}

// Do does one thing to this world.
func (w *World) Do(a Action) { w.do(a) }

// Word is what somebody says of the release that is seen, in the words of the core; there is none where an action is no
// word, or where there is no release. Its ID and its time are for the stage to give.
func (p *Picture) Word(a Action) (d release.Decision, ok bool) {
	verb, is := words[a.Verb]
	r, how := p.Release, a.M
	if !is || r.Number == 0 {
		return d, false
	}
	d = release.Decision{
		Verb: verb, User: team[a.N].name, Groups: team[a.N].groups, PlanMismatch: how == 3, PlanNamed: how != 4,
	}
	named := how == 0 || how > 2
	switch step := r.Memory.Step; {
	case named && step < len(r.Spec.Steps):
		d.Step = r.Spec.Steps[step].Name
	case how == 2 && step > 0:
		d.Step = r.Spec.Steps[step-1].Name
	}
	if named {
		d.Since = waitsSince(r.Memory, verb)
	}
	if how != 5 {
		d.Comment = "seen"
	}
	return d, true
}

// Urge is the word that people say because the release waits for it, unless their last one is still open.
func (c *Config) Urge(p *Picture) (a Action, ok bool) {
	r := p.Release
	m := r.Memory
	if r.Number == 0 || m.Phase.Terminal() || m.End != release.NotEnding || p.Open > 0 {
		return a, false
	}
	switch {
	case m.PausedBy == "sluice":
		return Action{Verb: DoPromote}, c.AutoPromote && !c.Stern
	case awaitsApproval(r):
		n, ok := approver(r)
		return Action{Verb: DoApprove, N: n}, ok && c.AutoApprove
	case m.PausedBy != "" && m.Phase != release.Completing && m.StepReachedAt.IsZero():
		return Action{Verb: DoResume}, c.AutoPromote
	case m.PausedBy != "" || m.Phase != release.Completing && !m.StepReachedAt.IsZero() && !m.Promoted && r.pauses():
		return Action{Verb: DoPromote}, c.AutoPromote
	}
	return a, false
}
