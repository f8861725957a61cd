package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// window is how long an idle controller is watched.
const window = 2 * time.Minute

// idleOf measures a controller that starts beside n Rollouts on which nothing is to be done, and then rests.
func idleOf(n int) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) (err error) {
		c, err := b.start(ctx, nothing)
		if err != nil {
			return err
		}
		defer func() { err = joined(err, c.stop()) }()
		teams := crowdTeams("idle", n, []v1alpha1.CanaryStep{step(20, &v1alpha1.Pause{}), step(50, nil)})
		if err := c.startController(ctx); err != nil {
			return err
		}
		if err := c.create(ctx, teams); err != nil {
			return err
		}
		if _, err := c.seen.waitAll(ctx, goals(teams, 0), 10*time.Minute); err != nil {
			return err
		}
		// What it still has to write would otherwise be written by the start, and counted there.
		if err := c.quietFromNow(ctx); err != nil {
			return err
		}
		b.say("  all are taken over; the controller starts anew")
		if err := c.stopController(); err != nil {
			return err
		}
		if err := c.coldStart(ctx, n); err != nil {
			return err
		}
		return c.rest(ctx, n)
	}
}

// coldStart counts what a controller asks for until it has looked at every Rollout and has nothing left to do.
func (c *cluster) coldStart(ctx context.Context, n int) error {
	mark, err := c.audit.mark()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := c.startController(ctx); err != nil {
		return err
	}
	err = c.controller.until(ctx, 5*time.Minute, "all Rollouts are looked at", func() bool {
		m, err := c.scrape(ctx)
		return err == nil && m["controller_runtime_reconcile_total"] >= float64(n) && m["workqueue_depth"] == 0 &&
			m["controller_runtime_active_workers"] == 0
	})
	if err != nil {
		return err
	}
	took := time.Since(begin)
	if err := c.quiet(ctx, mark); err != nil {
		return err
	}
	all, err := c.audit.since(mark)
	if err != nil {
		return err
	}
	ours := only(all, entry.bySluice)
	writes := only(ours, entry.write)
	for _, e := range writes {
		c.b.say("  written at the start: %s", e)
	}
	c.b.figure(fmt.Sprintf("cold-start-%d-writes", n), float64(len(writes)), "writes")
	c.b.figure(fmt.Sprintf("cold-start-%d-calls", n), float64(len(ours)), "calls")
	c.b.figure(fmt.Sprintf("cold-start-%d-ms", n), float64(took.Milliseconds()), "ms")
	return nil
}

func (c *cluster) rest(ctx context.Context, n int) error {
	mark, err := c.audit.mark()
	if err != nil {
		return err
	}
	before, err := c.scrape(ctx)
	if err != nil {
		return err
	}
	c.b.say("  at rest for %s", window)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(window):
	}
	all, err := c.audit.since(mark)
	if err != nil {
		return err
	}
	rss, err := c.controller.memory()
	if err != nil {
		return err
	}
	m, err := c.scrape(ctx)
	if err != nil {
		return err
	}
	ours := only(all, entry.bySluice)
	for _, e := range ours {
		c.b.say("  asked for at rest: %s %s", e, e.RequestURI)
	}
	c.b.say("  heap in use %.0f MiB, looks at rest %.0f", m["go_memstats_heap_inuse_bytes"]/(1<<20),
		m["controller_runtime_reconcile_total"]-before["controller_runtime_reconcile_total"])
	c.b.figure(fmt.Sprintf("idle-%d-rss-mib", n), rss, "MiB")
	c.b.figure(fmt.Sprintf("idle-calls-per-hour-%d", n), float64(len(ours))*float64(time.Hour)/float64(window), "calls")
	return nil
}

// scrape reads the controller's metrics, each summed over its labels.
func (c *cluster) scrape(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.metrics, nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || fields[0] == "#" {
			continue
		}
		name, _, _ := strings.Cut(fields[0], "{")
		if v, err := strconv.ParseFloat(fields[1], 64); err == nil {
			out[name] += v
		}
	}
	return out, nil
}
