package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// crowdOf has n releases run at once, and holds the time from the first edit to the last end against that of one
// release alone, in the same cluster just before. Their steps pause for 10 seconds, so that the ideal is the schedule.
func crowdOf(n int) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) (err error) {
		c, err := b.start(ctx, nothing)
		if err != nil {
			return err
		}
		defer func() { err = joined(err, c.stop()) }()
		pause := &v1alpha1.Pause{Duration: seconds(10)}
		steps := []v1alpha1.CanaryStep{step(20, pause), step(50, pause), step(70, pause), step(100, nil)}
		alone, all := crowdTeams("alone", 1, steps), crowdTeams("crowd", n, steps)
		if err := c.startController(ctx); err != nil {
			return err
		}
		if err := c.create(ctx, slices.Concat(alone, all)); err != nil {
			return err
		}
		if _, err := c.seen.waitAll(ctx, keys(slices.Concat(alone, all)), "Healthy", 5*time.Minute); err != nil {
			return err
		}
		ideal, err := c.releaseAll(ctx, alone)
		if err != nil {
			return err
		}
		b.say("  alone: %s", ideal[0].Round(time.Millisecond))
		idle, err := c.scrape(ctx)
		if err != nil {
			return err
		}
		took, err := c.releaseAll(ctx, all)
		if err != nil {
			return err
		}
		busy, err := c.scrape(ctx)
		if err != nil {
			return err
		}
		b.say("  looks at the world: %.0f, %.0f of them put off until the cache had caught up",
			busy["controller_runtime_reconcile_total"]-idle["controller_runtime_reconcile_total"],
			busy["sluice_stale_total"]-idle["sluice_stale_total"])
		b.figure(fmt.Sprintf("concurrent-%d-cpu-ms-per-release", n),
			1000*(busy["process_cpu_seconds_total"]-idle["process_cpu_seconds_total"])/float64(n), "ms")
		b.figure(fmt.Sprintf("concurrent-%d-ratio", n), slices.Max(took).Seconds()/ideal[0].Seconds(), "times")
		b.figure(fmt.Sprintf("concurrent-%d-median-ratio", n), median(took)/milliseconds(ideal[0]), "times")
		return nil
	}
}

// releaseAll edits all templates as fast as it can, and says how long after the first edit each release had ended.
func (c *cluster) releaseAll(ctx context.Context, teams []team) ([]time.Duration, error) {
	begin := time.Now()
	if err := atOnce(teams, func(t team) error { return c.edit(ctx, t) }); err != nil {
		return nil, err
	}
	c.b.say("  %d edited in %s", len(teams), time.Since(begin).Round(time.Millisecond))
	ends, err := c.seen.waitAll(ctx, releases(teams), "Succeeded", 10*time.Minute)
	if err != nil {
		return nil, err
	}
	out := make([]time.Duration, 0, len(ends))
	for _, end := range ends {
		out = append(out, end.Sub(begin))
	}
	return out, nil
}
