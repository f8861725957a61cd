package release

import "fmt"

// The rules that no decision may break while no release is under way, by the numbers of guard.go:
//
//	S2   No Service is led to nobody, and no canary Service goes while a layer may lead to it.
//	S3   Pods go only when their workload has.
//	S5   No object is touched that is not the Rollout's.
//	S11  A release leads from the stable revision, which is there to go back to, to the one that the workload names.
//	S21  No revision runs free that was not released: the workload is resumed only with the stable one.
//	S22  A Rollout that goes leaves nothing held.

// CheckRest is the guard while no release is under way: it says which rules the actions would break in the world as
// seen. Rest checks itself with it, and whoever carries the actions out may do so once more.
func CheckRest(s RestSpec, seen RestSeen, actions []RestAction) []Violation {
	g := &restGuard{s: &s, o: &seen, stable: seen.released()}
	for _, a := range actions {
		g.check(a)
	}
	return g.found
}

type restGuard struct {
	s      *RestSpec
	o      *RestSeen
	stable Revision
	found  []Violation
}

// must notes a violation unless the rule holds.
func (g *restGuard) must(holds bool, invariant, format string, args ...any) {
	if !holds {
		g.found = append(g.found, Violation{Invariant: invariant, Message: fmt.Sprintf(format, args...)})
	}
}

func (g *restGuard) check(a RestAction) {
	switch a := a.(type) {
	case SelectService:
		g.checkSelect(a)
	case RemoveCanaryService:
		g.must(len(g.o.Layers) == 0, "S2", "the canary Service beside %s would go while a layer may lead to it", a.Service)
	case TakeOver:
		g.must(g.o.Workload.TakenBy == "", "S5", "the workload of Rollout %s would be taken from it", g.o.Workload.TakenBy)
	case RemoveRemains:
		g.must(!g.o.Workload.Exists, "S3", "pods of a workload would end that is there")
	case GiveBack, FreeRecords, RemoveFinalizer:
		g.checkLeaving(a)
	case PauseWorkload, ResumeWorkload:
		g.checkWorkload(a)
	case RemakeStable:
		g.must(!g.o.StablePods.Exists, "S11", "what runs the stable revision would be made a second time")
	case StartRelease:
		g.checkStart(a)
	case AddFinalizer, KeepStable, RemoveOrphans, RemoveRecord, RetryRelease, WriteRevision, Unroute:
	}
}

// checkSelect: S2, S5.
func (g *restGuard) checkSelect(a SelectService) {
	for i := range g.o.Services {
		s := &g.o.Services[i]
		if s.Name != a.Service {
			continue
		}
		g.must(a.To == SelectsAll || a.To == SelectsStable, "S5", "Service %s would select %q at rest", s.Name, a.To)
		nobody := a.To == SelectsAll && s.kept() && !g.o.Removing
		g.must(!nobody, "S2", "Service %s would select no pod that runs (%s)", s.Name, s.Own)
		return
	}
	g.must(false, "S5", "%s is no Service of the workload's", a.Service)
}

// checkLeaving: S22.
func (g *restGuard) checkLeaving(a RestAction) {
	g.must(g.o.Removing, "S22", "something would be given up of a Rollout that stays")
	if _, last := a.(RemoveFinalizer); last {
		left := g.o.Workload.Exists && g.o.Workload.Ours || g.o.Bound || len(g.o.Layers) > 0 || g.o.Orphans
		g.must(!left, "S22", "the Rollout would go before everything is given back")
	}
}

// checkWorkload: S21.
func (g *restGuard) checkWorkload(a RestAction) {
	released := g.o.Workload.Template.is(g.stable)
	if _, resumes := a.(ResumeWorkload); resumes {
		g.must(released, "S21", "the workload would be resumed with a template that was not released")
		return
	}
	g.must(!released || g.s.KeepPaused, "S21", "a workload would be paused that runs the stable revision")
}

// checkStart: S11, S21.
func (g *restGuard) checkStart(a StartRelease) {
	w := g.o.Workload
	g.must(a.From.is(g.stable) && g.o.StablePods.Exists, "S11", "a release would begin without a stable revision")
	g.must(a.To.is(w.Template) && !a.To.is(a.From), "S11",
		"a release would bring a revision that the workload does not name")
	g.must(w.Paused != NotPaused, "S21", "a release would begin while the workload runs its revision free")
	g.must(w.Exists && w.Ours && !g.o.Removing, "S5", "a release would begin of a workload that is not the Rollout's")
}
