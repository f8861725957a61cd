package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// calls counts what one release of four weights without pauses asks of the API server, on an Ingress and on an
// HTTPRoute. It is counted from before the template is edited until after the Rollout is told healthy again.
func calls(ctx context.Context, b *bench) (err error) {
	c, err := b.start(ctx, everything)
	if err != nil {
		return err
	}
	defer func() { err = joined(err, c.stop()) }()
	if err := c.startController(ctx); err != nil {
		return err
	}
	var idle, events, reads int
	for _, layer := range []string{"ingress", "httproute"} {
		t := team{
			namespace: "calls", name: layer, replicas: 4, probed: true, layer: layer,
			steps: []v1alpha1.CanaryStep{step(20, nil), step(50, nil), step(70, nil), step(100, nil)},
		}
		all, err := c.oneRelease(ctx, t)
		if err != nil {
			return err
		}
		n := count(all)
		for i, e := range n.listed {
			b.say("  %2d  %s", i+1, e)
		}
		without := idleWrites(all)
		for _, e := range without {
			b.say("  without effect: %s", e)
		}
		b.figure("writes-per-release-"+layer, float64(n.writes), "writes")
		events, reads, idle = max(events, n.events), max(reads, n.reads), idle+len(without)
	}
	b.figure("noop-writes", float64(idle), "writes")
	b.figure("events-per-release", float64(events), "events")
	b.figure("reads-per-release", float64(reads), "reads")
	return nil
}

// oneRelease carries one release out from an empty record, and gives all requests of that time.
func (c *cluster) oneRelease(ctx context.Context, t team) ([]entry, error) {
	if err := c.create(ctx, []team{t}); err != nil {
		return nil, err
	}
	if _, err := c.seen.wait(ctx, t.key(), "Healthy", time.Minute); err != nil {
		return nil, err
	}
	// What was made before counts as known, so that a first write without effect shows too.
	made, err := c.audit.since(0)
	if err != nil {
		return nil, err
	}
	for i := range made {
		made[i].ImpersonatedUser = user{}
	}
	mark, err := c.audit.mark()
	if err != nil {
		return nil, err
	}
	if err := c.edit(ctx, t); err != nil {
		return nil, err
	}
	if _, err := c.seen.wait(ctx, t.release(1), "Succeeded", 3*time.Minute); err != nil {
		return nil, err
	}
	if err := c.quiet(ctx, mark); err != nil {
		return nil, err
	}
	all, err := c.audit.since(mark)
	return append(made, all...), err
}

// quiet returns when Sluice has asked for nothing for a while, events included, which come later than the rest.
func (c *cluster) quiet(ctx context.Context, mark int64) error {
	const silence = 5 * time.Second
	last, n := time.Now(), -1
	for time.Since(last) < silence {
		all, err := c.audit.since(mark)
		if err != nil {
			return err
		}
		if now := len(only(all, entry.bySluice)); now != n {
			last, n = time.Now(), now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

func (c *cluster) quietFromNow(ctx context.Context) error {
	mark, err := c.audit.mark()
	if err != nil {
		return err
	}
	return c.quiet(ctx, mark)
}

// counted is what Sluice asked for.
type counted struct {
	writes, events, reads int
	listed                []entry
}

func count(all []entry) counted {
	var n counted
	for _, e := range only(all, entry.bySluice) {
		switch {
		case e.write() && e.event():
			n.events++
		case e.write():
			n.writes++
		case e.read() && !e.discovery():
			n.reads++
		default:
			continue
		}
		n.listed = append(n.listed, e)
	}
	return n
}

func only(all []entry, wanted func(entry) bool) []entry {
	var out []entry
	for _, e := range all {
		if wanted(e) {
			out = append(out, e)
		}
	}
	return out
}

// joined adds the error of an end to that of the work.
func joined(err, end error) error {
	if err == nil {
		return end
	}
	if end == nil {
		return err
	}
	return fmt.Errorf("%w; then: %w", err, end)
}
