package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/internal/release"
)

// Epoch is when every world begins; a tick is a second.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Config is one world. Its zero value is not useful; see newConfig.
type Config struct {
	Seed     uint64
	Plan     release.Spec
	Services int
	// Routed: the first Services are named by the layers; the others are only narrowed.
	Routed   int
	Replicas int
	// Policy: the cluster has the admission policies (hold of workload and of held objects). Without them Sluice
	// keeps the workload paused all the time and puts right what others overwrite.
	Policy bool
	// Bad versions never get ready.
	Bad [Versions]bool
	// Labels are the values of one label of the pods, by version; 0 is 1.
	Labels [Versions]int
	// The longest delays, in ticks: of watches, of endpoints and controllers, of gateways and nodes, of pods
	// until they are ready.
	WatchLag, ControllerLag, PlaneLag, ReadyDelay int
	// SlowRoutes is how much later gateways follow routes than endpoints, in ticks. EarlyAccepted has the one of the
	// HTTPRoute report before it follows.
	SlowRoutes    int  `json:",omitempty"`
	EarlyAccepted bool `json:",omitempty"`
	// Surge is the Deployment's maxSurge.
	Surge int
	// Agent re-applies the manifests, Meddler touches other fields, every so many ticks; 0 is never.
	Agent, Meddler int
	// WritesPerTick is how many writes the hands get done in a tick.
	WritesPerTick int
	// AutoPromote has a person promote whatever waits for one, but what has failed if they are Stern; AutoApprove has
	// people approve whatever waits for that.
	AutoPromote, Stern, AutoApprove bool
	// Analyst says how analyses come out.
	Analyst Fate
}

// Fixed bounds of every world. Grace is longer than endpoints need to reach gateways, as every team must have it.
const (
	grace       = 9
	settleAfter = 4
	recheck     = 40
)

func newConfig() Config {
	return Config{
		Plan: release.Spec{
			Steps: []release.Step{
				{Name: stepName(0), Weight: 20, Pause: release.Pause{Kind: release.PauseManual}},
				{Name: stepName(1), Weight: 50, Pause: release.Pause{Kind: release.PauseTimed, Duration: 5 * time.Second}},
				{Name: stepName(2), Weight: 100},
			},
			Layers: []string{"ingress"}, OnFailure: release.FailureAborts,
			ProgressDeadline: 90 * time.Second, ReleaseDeadline: 3000 * time.Second, DrainDelay: 8 * time.Second,
		},
		Services: 1, Routed: 1, Replicas: 4, Policy: true, WatchLag: 1, ControllerLag: 1, PlaneLag: 2,
		ReadyDelay: 3, Surge: 1, WritesPerTick: 1,
	}
}

// World is everything.
type World struct {
	Config
	Fault Fault
	// Mind decides; Fumble is how the hands differ from right ones. Mutants set them.
	Mind   Mind
	Fumble Fumble

	Tick   int
	store  Store
	pods   [Versions][]pod
	due    [dues]int
	plane  plane
	hands  hands
	clocks clocks
	checks checks
	people people
	// named are the analyses by the number of their key: the same name is always the same key.
	named []runName
	// manifest is what the team has in Git.
	manifest manifest
	// healedAt is when faults stopped.
	healedAt int
	// actedAt is when somebody did something last.
	actedAt int
	// lines is the transcript, when one is kept.
	lines *strings.Builder
}

// Mind is release.Decide, or something that only claims to be.
type Mind func(release.Spec, release.Observed, release.Memory, time.Time) release.Outcome

// manifest is what the team's Git repository says.
type manifest struct {
	template Version
	// service is the number of the last edit of each Service's selector, label the label in it.
	service, label [teamServices]int
	route          int
}

// divided is a plan with what its layers say of how the requests are divided; stories name the layers alone, or that
// the Services change over. The workload is a Deployment.
func divided(plan release.Spec) release.Spec {
	switch {
	case len(plan.Layers) > 0:
		plan.Divide = release.ByLayers
	case plan.Divide != release.BySelector:
		plan.Divide = release.ByPods
	}
	plan.Traits = release.Traits{Beside: true, Finish: release.ByHandOver, Apart: release.ByLabel}
	return plan
}

// newWorld is a world in which version 0 runs and is released.
func newWorld(c Config) *World {
	c.Plan = divided(c.Plan)
	w := &World{Config: c, Mind: release.Decide}
	w.put(Person, deploymentKey, Deployment{Replicas: c.Replicas, Paused: !c.Policy})
	w.put(Kubernetes, replicaSetKey(0), ReplicaSet{
		Desired: c.Replicas, Annotated: c.Replicas, MaxAnnotated: c.Replicas + c.Surge, Created: 1,
	})
	for n := range c.Services {
		w.put(Person, serviceKey(n), Service{Selector: Selector{Hash: NoVersion}})
	}
	w.put(Person, routeKey, Route{})
	w.put(Sluice, rolloutKey, Rollout{Rejected: NoVersion, Rests: true})
	for w.Tick < 40 {
		w.cluster()
		w.Tick++
	}
	w.checks = newChecks(w)
	w.hands.start(w)
	return w
}

// now is the time of this tick: what has really passed.
func (w *World) now() time.Time { return Epoch.Add(time.Duration(w.Tick) * time.Second) }

func timeOf(tick int) time.Time { return Epoch.Add(time.Duration(tick) * time.Second) }

// tickOf is the tick of a time.
func tickOf(t time.Time) int { return int(t.Sub(Epoch) / time.Second) }

// noise is 0..n for what happens in this tick: the same for the same seed, whatever else happened before, so that
// leaving an action out of a transcript changes little else.
func (w *World) noise(what, n int) int {
	if n <= 0 {
		return 0
	}
	h := rand.NewPCG(w.Seed^uint64(what)<<32, uint64(w.Tick))
	return int(h.Uint64() % uint64(n+1))
}

// step is one tick.
func (w *World) step() {
	w.Fault.strikes(w)
	w.act()
	w.cluster()
	w.hands.step(w)
	w.serve()
	w.checks.ticked(w)
	w.Tick++
}

// run steps until done or for so many ticks; it says whether done.
func (w *World) run(ticks int, done func() bool) bool {
	for range ticks {
		if w.checks.broken() {
			return false
		}
		if done() {
			return true
		}
		w.step()
	}
	return done()
}

// trace adds a line to the transcript.
func (w *World) trace(a Actor, k Key, before, after any) {
	if w.lines == nil {
		return
	}
	switch {
	case before == nil:
		w.say("%s creates %s %+v", a, k, after)
	case after == nil:
		w.say("%s deletes %s", a, k)
	default:
		w.say("%s writes %s %+v", a, k, after)
	}
}

func (w *World) say(format string, args ...any) {
	if w.lines != nil {
		fmt.Fprintf(w.lines, "%4d  %s\n", w.Tick, fmt.Sprintf(format, args...))
	}
}
