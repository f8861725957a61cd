package sim

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// turnsBlueGreen has the Services of one story in four change over by themselves, and one in three of those that keep the
// versions apart keep their old pods for a while. Some steps ask for a share of the pods. All else in the story stays as
// it is without.
func turnsBlueGreen(seed uint64, s Story) Story {
	r := rand.New(rand.NewPCG(seed, 0xb19e))
	plan := &s.Config.Plan
	if r.IntN(4) == 0 {
		switches(r, plan)
	}
	for i := range plan.Steps {
		if r.IntN(8) == 0 {
			plan.Steps[i].Share, plan.Steps[i].Replicas = 1+r.IntN(100), 0
		}
	}
	if divided(*plan).Divide == release.ByPods || r.IntN(3) > 0 {
		return s
	}
	plan.KeepOld = time.Duration(1+r.IntN(60)) * time.Second
	return s.rollsBack(r)
}

// switches makes each step one before or after the Services change over.
func switches(r *rand.Rand, plan *release.Spec) {
	plan.Divide, plan.Layers = release.BySelector, nil
	first := r.IntN(len(plan.Steps) + 1)
	for i := range plan.Steps {
		plan.Steps[i].Weight, plan.Steps[i].Matches = 100*btoi(i >= first), nil
	}
}

// rollsBack has people go back to the old pods, and somebody delete a Hold.
func (s Story) rollsBack(r *rand.Rand) Story {
	for range r.IntN(6) {
		at := s.Actions[r.IntN(len(s.Actions))].At + r.IntN(20)
		a := Action{At: at, Verb: []Verb{DoRollback, DoRollback, DoRollback, DoUnhold}[r.IntN(4)]}
		if a.Verb == DoUnhold {
			a.N = r.IntN(s.Config.Services)
		}
		s.Actions = append(s.Actions, a)
	}
	slices.SortStableFunc(s.Actions, func(a, b Action) int { return a.At - b.At })
	return s
}
