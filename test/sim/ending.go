package sim

import (
	"fmt"
	"slices"

	"github.com/sluice-dev/sluice/internal/release"
)

// Ending is what a story has come to, in words that fit any world in which it is played.
type Ending struct {
	// Releases are how they ended, in their order.
	Releases []ReleaseEnd
	// Workload is its template, its size and whether it is paused; Rollout is the stable revision and the rejected one.
	Workload, Rollout string
	// Ready counts the pods that are ready, by their version.
	Ready [Versions]int
	// Services are what the team's select, in their order.
	Services []string
	// Left is what a release has left behind.
	Left []string
	// Played are the triggers that have acted.
	Played []bool
}

// ReleaseEnd is how a release ended, and at which step, from 0.
type ReleaseEnd struct {
	Phase release.Phase
	End   release.EndReason
	Step  int
}

// The words for what a Service selects in the end, beside what else it does.
const (
	AsWritten = "as the team wrote it"
	Gone      = "gone"
)

// EndOf is how a release ended.
func EndOf(r Release) ReleaseEnd { return ReleaseEnd{r.Memory.Phase, r.Memory.End, r.Memory.Step} }

// Timeless is an ending without what depends on how long things take, if somebody acts by the clock in the story: the
// step in which that meets a release, and how many releases have given way to a newer plan before.
func (s Scenario) Timeless(e Ending) Ending {
	if !slices.ContainsFunc(s.Triggers, func(t Trigger) bool { return t.Wait > 0 }) {
		return e
	}
	e.Releases = slices.DeleteFunc(slices.Clone(e.Releases), func(r ReleaseEnd) bool { return r.End == release.PlanChanged })
	return e.Stepless()
}

// Stepless is an ending that does not say in which step each release ended.
func (e Ending) Stepless() Ending {
	e.Releases = slices.Clone(e.Releases)
	for i := range e.Releases {
		e.Releases[i].Step = 0
	}
	return e
}

// WorkloadOf is how a workload is left.
func WorkloadOf(d Deployment) string {
	return fmt.Sprintf("%s x%d paused %t", d.Template, d.Replicas, d.Paused)
}

// RolloutOf is what a Rollout says in the end.
func RolloutOf(r Rollout) string { return fmt.Sprintf("stable %s rejected %s", r.Stable, r.Rejected) }

// KeptOn are the words for a Service that is held to a version, FittedTo for one that was given what its pods bear.
func KeptOn(v Version) string { return "kept on " + v.String() }

// FittedTo are the words for a Service that was given what a version's pods bear.
func FittedTo(v Version) string { return "fitted to " + v.String() }

// Play tells the story in this package's own world, and says what it came to.
func (s Scenario) Play() (Ending, *Violation) {
	w := newWorld(s.Config)
	v := s.playIn(w, Fault{})
	return w.told(), v
}

// told is what has become of this world.
func (w *World) told() Ending {
	e := Ending{Workload: Gone, Rollout: Gone, Played: w.people.cast.Played()}
	if d, ok := w.deployment(); ok {
		e.Workload = WorkloadOf(d)
	}
	if r, ok := w.rollout(); ok {
		e.Rollout = RolloutOf(r)
	}
	e.Releases = w.releasesTold()
	for v := range Version(Versions) {
		_, e.Ready[v], _ = w.count(v)
	}
	for n := range w.Services {
		e.Services = append(e.Services, w.serviceTold(n))
	}
	if left := nothingLeft(w); left != "" {
		e.Left = []string{left}
	}
	return e
}

// releasesTold are the releases as they were stored last, each by its number.
func (w *World) releasesTold() []ReleaseEnd {
	var last []Release
	for _, e := range w.store.log[KRelease] {
		r, ok := e.Value.(Release)
		i := slices.IndexFunc(last, func(l Release) bool { return l.Number == r.Number })
		switch {
		case ok && i < 0:
			last = append(last, r)
		case ok:
			last[i] = r
		}
	}
	var out []ReleaseEnd
	for _, r := range last {
		out = append(out, EndOf(r))
	}
	return out
}

func (w *World) serviceTold(n int) string {
	s, ok := w.service(n)
	switch {
	case !ok:
		return Gone
	case s.Selector == w.written(n):
		return AsWritten
	case w.keptAtRest(n):
		return KeptOn(w.checks.promoted)
	case w.fittedAtRest(n):
		return FittedTo(w.checks.promoted)
	}
	return fmt.Sprintf("%+v", s.Selector)
}
