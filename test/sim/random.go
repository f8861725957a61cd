package sim

import (
	"math/rand/v2"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// Story is a world and what happens in it: what a seed makes, what is shrunk, what is kept in testdata.
type Story struct {
	Config  Config
	Actions []Action
}

// newStory makes a story from a seed.
func newStory(seed uint64) Story {
	r := rand.New(rand.NewPCG(seed, 0x51))
	s := Story{Config: randomConfig(r, seed)}
	tick := 40
	for range 8 + r.IntN(40) {
		tick += r.IntN(1 + r.IntN(30))
		s.Actions = append(s.Actions, randomAction(r, tick))
	}
	s.Actions = setsClocks(seed, s.Actions)
	return turnsBlueGreen(seed, s)
}

func randomConfig(r *rand.Rand, seed uint64) Config {
	c := newConfig()
	c.Seed = seed
	c.Plan = randomPlan(r)
	c.Services = 1 + r.IntN(teamServices)
	c.Routed = 1 + r.IntN(c.Services)
	c.Replicas = []int{1, 1, 2, 3, 4, 4, 5, 7}[r.IntN(8)]
	c.Policy = r.IntN(5) > 0
	for v := 1; v < Versions; v++ {
		c.Bad[v] = r.IntN(6) == 0
		c.Labels[v] = 1 + btoi(r.IntN(3) == 0)
	}
	c.WatchLag, c.ControllerLag, c.PlaneLag = r.IntN(4), r.IntN(3), r.IntN(4)
	c.ReadyDelay, c.Surge, c.WritesPerTick = r.IntN(8), r.IntN(3), 1+r.IntN(4)
	if r.IntN(3) == 0 {
		c.Agent = 5 + r.IntN(60)
	}
	if r.IntN(4) == 0 {
		c.Meddler = 1 + r.IntN(4)
	}
	c.AutoPromote = r.IntN(3) > 0
	if r.IntN(2) == 0 {
		randomGates(r, &c)
	}
	if r.IntN(3) == 0 {
		c.SlowRoutes = 1 + r.IntN(8)
	}
	c.EarlyAccepted = r.IntN(2) == 0
	return c
}

// randomGates adds what is measured and who has to approve, to half of the stories.
func randomGates(r *rand.Rand, c *Config) {
	c.AutoApprove, c.Stern = r.IntN(3) > 0, r.IntN(4) == 0
	c.Analyst = Fate{
		Good: 6, Bad: r.IntN(3), Unclear: r.IntN(3), Never: r.IntN(2), After: r.IntN(20), Turns: 3,
		Endless: 3,
	}
	for i := range c.Plan.Steps {
		c.Plan.Steps[i].Analysis = r.IntN(3) == 0
		if r.IntN(5) == 0 {
			c.Plan.Steps[i].Approval = randomApproval(r)
		}
	}
	c.Plan.Background, c.Plan.BackgroundFrom = r.IntN(3) == 0, r.IntN(len(c.Plan.Steps))
}

func randomApproval(r *rand.Rand) *release.Approval {
	a := &release.Approval{
		Required: 1 + r.IntN(2), Users: []string{team[alice].name, team[bob].name},
		ExpiresAfter: time.Duration(20+r.IntN(100)) * time.Second, RemindAfter: time.Duration(r.IntN(60)) * time.Second,
		SeparationOfDuty: r.IntN(2) == 0, CommentRequired: r.IntN(2) == 0,
	}
	if r.IntN(2) == 0 {
		a.Groups = []string{"sre"}
	}
	return a
}

func randomPlan(r *rand.Rand) release.Spec {
	s := release.Spec{
		OnFailure: []release.FailurePolicy{release.FailureAborts, release.FailurePauses}[r.IntN(2)],
		Revert:    r.IntN(4) == 0,
		Layers:    [][]string{nil, {"ingress"}, {"route"}, {"ingress", "route"}, {"ingress"}, {"route"}}[r.IntN(6)],

		ProgressDeadline: time.Duration(60+r.IntN(60)) * time.Second,
		ReleaseDeadline:  time.Duration(400+r.IntN(800)) * time.Second,
		DrainDelay:       time.Duration(5+r.IntN(6)) * time.Second,
	}
	s = divided(s)
	if r.IntN(4) == 0 {
		s.OnStableDown = release.StableDownPromotes
	}
	weight := 0
	for i := range 1 + r.IntN(4) {
		step := release.Step{Name: stepName(i), Replicas: r.IntN(3) * r.IntN(2)}
		step.Pause = []release.Pause{
			{}, {Kind: release.PauseManual}, {Kind: release.PauseTimed, Duration: time.Duration(1+r.IntN(20)) * time.Second},
		}[r.IntN(3)]
		if s.Divide == release.ByLayers {
			step.Matches = matchTable[r.IntN(len(matchTable))]
		}
		if i > 0 || r.IntN(2) == 0 || s.Divide == release.ByPods {
			weight += 1 + r.IntN(100-weight)/2
		}
		if r.IntN(4) == 0 {
			weight = 100
		}
		step.Weight = min(weight, 100)
		s.Steps = append(s.Steps, step)
		if weight >= 100 {
			break
		}
	}
	return s
}

// chances of each verb, and what it is done with.
var chances = []struct {
	n int
	Verb
	with func(*rand.Rand) (n, m int)
}{
	{14, DoEdit, func(r *rand.Rand) (int, int) { return r.IntN(Versions), 0 }},
	{10, DoScale, func(r *rand.Rand) (int, int) { return []int{0, 1, 2, 3, 4, 5, 6, 8}[r.IntN(8)], 0 }},
	{12, DoPromote, decides},
	{4, DoPromoteFull, decides},
	{4, DoPause, decides},
	{4, DoResume, decides},
	{6, DoAbort, decides},
	{10, DoCrash, func(r *rand.Rand) (int, int) { return r.IntN(12), 0 }},
	{4, DoTakeOver, func(*rand.Rand) (int, int) { return 0, 0 }},
	{8, DoFreeze, func(r *rand.Rand) (int, int) { return r.IntN(int(Kinds)), 1 + r.IntN(30) }},
	{6, DoLose, func(r *rand.Rand) (int, int) { return r.IntN(int(Kinds)), 0 }},
	{12, DoRefuse, func(r *rand.Rand) (int, int) { return 1 + r.IntN(int(LateAnswer)), 0 }},
	{2, DoOutage, func(r *rand.Rand) (int, int) { return r.IntN(Versions), 1 + r.IntN(40) }},
	{4, DoBlip, func(r *rand.Rand) (int, int) { return r.IntN(Versions), 1 + r.IntN(20) }},
	{4, DoReapply, func(*rand.Rand) (int, int) { return 0, 0 }},
	{1, DoService, func(r *rand.Rand) (int, int) { return r.IntN(teamServices), 0 }},
	{2, DoRelabel, func(r *rand.Rand) (int, int) { return r.IntN(teamServices), r.IntN(3) + 10*r.IntN(2) }},
	{2, DoPlan, func(*rand.Rand) (int, int) { return 0, 0 }},
	{1, DoRoute, func(*rand.Rand) (int, int) { return 0, 0 }},
	{2, DoMeddle, func(r *rand.Rand) (int, int) { return r.IntN(2), r.IntN(101) }},
	{1, DoRemove, func(*rand.Rand) (int, int) { return 0, 0 }},
	{1, DoVanish, func(*rand.Rand) (int, int) { return 0, 0 }},
	{5, DoVerdict, func(r *rand.Rand) (int, int) { return r.IntN(len(verdictsByNumber)), r.IntN(2) }},
	{2, DoForget, func(r *rand.Rand) (int, int) { return r.IntN(2), 0 }},
	{8, DoApprove, speaks},
	{1, DoReject, speaks},
	{2, DoOverride, speaks},
	{4, DoShut, func(r *rand.Rand) (int, int) { return r.IntN(3) * (1 + r.IntN(60)), r.IntN(2) * r.IntN(20) }},
	{4, DoOpen, func(*rand.Rand) (int, int) { return 0, 0 }},
}

func speaks(r *rand.Rand) (int, int) {
	return r.IntN(len(team)), []int{0, 0, 0, 0, 0, 1, 2, 3, 4, 5}[r.IntN(10)]
}

func decides(r *rand.Rand) (int, int) { return 0, []int{0, 0, 0, 0, 1, 1, 2, 3}[r.IntN(8)] }

func randomAction(r *rand.Rand, tick int) Action {
	total := 0
	for _, c := range chances {
		total += c.n
	}
	i := r.IntN(total)
	for _, c := range chances {
		if i -= c.n; i < 0 {
			n, m := c.with(r)
			return Action{tick, c.Verb, n, m}
		}
	}
	return Action{At: tick, Verb: DoTakeOver}
}

// play tells the story: first everything happens, then the world is healed and must come to rest.
func (s Story) play(w *World) *Violation {
	return w.play(func() {
		w.people.actions = append([]Action(nil), s.Actions...)
		end := 40
		if n := len(s.Actions); n > 0 {
			end = s.Actions[n-1].At + 30
		}
		w.run(end-w.Tick, func() bool { return false })
		if !w.checks.broken() {
			w.settle()
		}
	})
}
