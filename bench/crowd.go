package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// perNamespace is how many teams share a namespace.
const perNamespace = 20

func seconds(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}

// crowdTeams are teams of one pod each.
func crowdTeams(name string, n int, steps []v1alpha1.CanaryStep) []team {
	out := make([]team, 0, n)
	for i := range n {
		out = append(out, team{
			namespace: fmt.Sprintf("%s-%d", name, i/perNamespace), name: fmt.Sprintf("%s-%d", name, i),
			replicas: 1, layer: "ingress", steps: steps,
		})
	}
	return out
}

// side is one way to roll a crowd. Every side has teams of its own, which differ in nothing else.
type side struct {
	// name begins the names of the side's figures.
	name       string
	roller     roller
	alone, all []team
	seen       *tracker
	turns      []turn
}

// turn is what a side showed in one round.
type turn struct {
	// took is the time from the first edit to the last end, in seconds; over is that less the time of one alone.
	took, over float64
	// used is the processor time of the side's controller, in seconds.
	used  float64
	cores load
}

// crowdOf has n teams roll at once, and holds the time from the first edit to the last end against that of one alone,
// in the same cluster just before: as plain Deployments, through Sluice and, if it is given, through Argo Rollouts. The
// sides take turns. Only the controller of the side whose turn it is runs, so the plain ones show a cluster without
// any.
func crowdOf(n int) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) (err error) {
		c, err := b.start(ctx, nothing)
		if err != nil {
			return err
		}
		defer func() { err = joined(err, c.stop()) }()
		sides := b.sides(n)
		defer stopWatching(sides)
		for _, s := range sides {
			if err := c.prepare(ctx, s); err != nil {
				return fmt.Errorf("prepare %s: %w", s.name, err)
			}
		}
		for version := 1; version <= b.rounds; version++ {
			for _, s := range sides {
				if err := c.takeTurn(ctx, s, version); err != nil {
					return fmt.Errorf("round %d of %s: %w", version, s.name, err)
				}
			}
		}
		b.compare(sides, n)
		return nil
	}
}

// sides are those of a crowd of n. The steps pause for 10 seconds, so that one alone takes what its schedule says.
func (b *bench) sides(n int) []*side {
	pause := &v1alpha1.Pause{Duration: seconds(10)}
	steps := []v1alpha1.CanaryStep{step(20, pause), step(50, pause), step(70, pause), step(100, nil)}
	out := []*side{{name: "plain", roller: kubernetes}, {name: "concurrent", roller: sluice}}
	if b.argo != "" {
		out = append(out, &side{name: "argo", roller: argo})
	}
	for _, s := range out {
		s.alone = rolledBy(s.roller, crowdTeams(s.name+"-alone", 1, steps))
		s.all = rolledBy(s.roller, crowdTeams(s.name, n, steps))
	}
	return out
}

func rolledBy(r roller, teams []team) []team {
	for i := range teams {
		teams[i].roller = r
	}
	return teams
}

func stopWatching(sides []*side) {
	for _, s := range sides {
		if s.seen != nil {
			s.seen.stop()
		}
	}
}

// prepare makes a side's teams, and returns when all are there and the side's controller has ended.
func (c *cluster) prepare(ctx context.Context, s *side) (err error) {
	if s.roller == argo {
		if err := c.installArgo(ctx); err != nil {
			return err
		}
	}
	if s.seen, err = newTracker(ctx, c.config, c.client.Scheme(), s.roller.watched()...); err != nil {
		return err
	}
	if err := c.startRoller(ctx, s.roller); err != nil {
		return err
	}
	teams := slices.Concat(s.alone, s.all)
	if err := c.create(ctx, teams); err != nil {
		return err
	}
	if _, err := s.seen.waitAll(ctx, goals(teams, 0), 5*time.Minute); err != nil {
		return err
	}
	return c.stopController()
}

func (c *cluster) startRoller(ctx context.Context, r roller) error {
	switch r {
	case sluice:
		return c.startController(ctx)
	case argo:
		return c.startArgo(ctx)
	default:
		return nil
	}
}

// takeTurn has a side roll one team, and then its crowd.
func (c *cluster) takeTurn(ctx context.Context, s *side, version int) error {
	if err := c.startRoller(ctx, s.roller); err != nil {
		return err
	}
	if err := c.atRest(ctx); err != nil {
		return err
	}
	alone, err := c.rollAll(ctx, s, s.alone, version)
	if err != nil {
		return err
	}
	crowd, err := c.rollAll(ctx, s, s.all, version)
	if err != nil {
		return err
	}
	crowd.over = crowd.took - alone.took
	s.turns = append(s.turns, crowd)
	return errors.Join(c.oldPodsGone(ctx, slices.Concat(s.alone, s.all)), c.stopController())
}

// oldPodsGone returns when no old pod of a side is left that would end in the next side's turn. Argo Rollouts keeps
// them for 30 seconds.
func (c *cluster) oldPodsGone(ctx context.Context, teams []team) error {
	theirs := map[client.ObjectKey]bool{}
	for _, t := range teams {
		theirs[t.key()] = true
	}
	err := wait.PollUntilContextTimeout(ctx, time.Second, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		list, n := &corev1.PodList{}, 0
		if err := c.client.List(ctx, list, client.HasLabels{"app"}); err != nil {
			return false, err
		}
		for _, p := range list.Items {
			if theirs[client.ObjectKey{Namespace: p.Namespace, Name: p.Labels["app"]}] {
				n++
			}
		}
		return n == len(teams), nil // One pod each.
	})
	if err != nil {
		return fmt.Errorf("wait until the old pods are gone: %w", err)
	}
	return nil
}

// atRest returns when a controller that has just started uses the processors no more. Where that cannot be seen it
// only waits a while.
func (c *cluster) atRest(ctx context.Context) error {
	const silence, limit, little = 5 * time.Second, 3 * time.Minute, 0.1
	late := time.After(limit)
	for {
		before := c.used()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return fmt.Errorf("wait until %s rests: not in %s", c.controller.name, limit)
		case <-time.After(silence):
		}
		if busy := c.used()-before > little; !busy {
			return nil
		}
	}
}

// used is the processor time of the controller that runs.
func (c *cluster) used() float64 {
	if c.controller == nil {
		return 0
	}
	return c.controller.used()
}

// rollAll edits all templates as fast as it can, and waits for the last to be done.
func (c *cluster) rollAll(ctx context.Context, s *side, teams []team, version int) (turn, error) {
	used, stop := c.used(), watchCores(ctx, procfs.DefaultMountPoint)
	begin := time.Now()
	err := atOnce(teams, func(t team) error { return c.editTo(ctx, t, images[version]) })
	edited := time.Since(begin)
	var ends []time.Time
	if err == nil {
		ends, err = s.seen.waitAll(ctx, goals(teams, version), 10*time.Minute)
	}
	out := turn{cores: stop(), used: c.used() - used}
	if err != nil {
		return out, err
	}
	took := slices.MaxFunc(ends, time.Time.Compare).Sub(begin)
	out.took = took.Seconds()
	c.b.say("  %s: %d edited in %s, all done in %s; %s", s.name, len(teams), edited.Round(time.Millisecond),
		took.Round(time.Millisecond), out.cores)
	return out, nil
}

// compare prints the figures of all sides, each the median of its rounds.
func (b *bench) compare(sides []*side, n int) {
	over := map[roller]float64{}
	for _, s := range sides {
		of := func(value func(turn) float64) float64 { return medianOf(s.turns, value) }
		name := fmt.Sprintf("%s-%d-", s.name, n)
		over[s.roller] = of(func(t turn) float64 { return t.over })
		b.figure(name+"seconds-over-alone", over[s.roller], "s")
		b.figure(name+"cores-busy", 100*of(func(t turn) float64 { return t.cores.busy() }), "%")
		b.figure(name+"cores-full", 100*of(func(t turn) float64 { return t.cores.full() }), "%")
		if s.roller != kubernetes {
			b.figure(name+"cpu-ms-per-release", 1000*of(func(t turn) float64 { return t.used })/float64(n), "ms")
			b.figure(name+"over-plain", over[s.roller]/over[kubernetes], "times")
		}
	}
}
