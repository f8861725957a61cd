package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// probeKind names a probe as events do.
type probeKind string

const (
	startupProbe   probeKind = "Startup"
	livenessProbe  probeKind = "Liveness"
	readinessProbe probeKind = "Readiness"
)

// tally turns single answers into a result, by the probe's thresholds: that many in a
// row are needed to change it.
type tally struct {
	failures, successes int32
	last                bool
	run                 int32
}

// add counts an answer. decided is true when there were enough of them in a row.
func (t *tally) add(ok bool) (decided bool) {
	if ok == t.last {
		t.run++
	} else {
		t.last, t.run = ok, 1
	}
	if ok {
		return t.run >= t.successes
	}
	return t.run >= t.failures
}

// probe is one probe of one running process.
type probe struct {
	kind  probeKind
	spec  *corev1.Probe
	tally tally
	timer *time.Timer
}

func newProbe(kind probeKind, spec *corev1.Probe) *probe {
	return &probe{kind: kind, spec: spec, tally: tally{
		failures:  max(spec.FailureThreshold, 1),
		successes: max(spec.SuccessThreshold, 1),
	}}
}

func (b *probe) period() time.Duration { return max(seconds(b.spec.PeriodSeconds), time.Second) }

func seconds[T int32 | int64](n T) time.Duration { return time.Duration(n) * time.Second }

// startProbes begins what a container that has just started is probed for. With mu held.
func (p *pod) startProbes(c *container) {
	s := c.spec
	c.started = s.StartupProbe == nil
	if c.started {
		p.startLastingProbes(c, 0)
		return
	}
	p.schedule(c, newProbe(startupProbe, s.StartupProbe), 0)
}

// startLastingProbes begins liveness and readiness, age after the container's start.
func (p *pod) startLastingProbes(c *container, age time.Duration) {
	c.ready = c.spec.ReadinessProbe == nil
	if r := c.spec.ReadinessProbe; r != nil {
		p.schedule(c, newProbe(readinessProbe, r), age)
	}
	if l := c.spec.LivenessProbe; l != nil && p.ending == nil {
		p.schedule(c, newProbe(livenessProbe, l), age)
	}
}

func (p *pod) schedule(c *container, b *probe, age time.Duration) {
	proc := c.proc
	c.probes = append(c.probes, b)
	wait := max(seconds(b.spec.InitialDelaySeconds)-age, 0)
	b.timer = time.AfterFunc(wait, func() { p.runProbe(c, proc, b) })
}

// runProbe asks once, then counts the answer and sets the timer for the next. It runs
// on the timer's goroutine: between two questions a probe has none.
func (p *pod) runProbe(c *container, proc *process, b *probe) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), max(seconds(b.spec.TimeoutSeconds), time.Second))
	defer cancel()
	ok, output := p.host.probe(ctx, p.ip, c.ports, &b.spec.ProbeHandler)

	p.mu.Lock()
	defer p.mu.Unlock()
	if c.proc != proc || c.stopping != nil && b.kind != readinessProbe {
		return
	}
	if !ok {
		p.event(c, corev1.EventTypeWarning, "Unhealthy", string(b.kind)+" probe failed: "+output)
	}
	if b.tally.add(ok) {
		p.probed(c, b, ok)
	}
	if c.proc == proc && !(b.kind == startupProbe && c.started) {
		b.timer.Reset(max(b.period()-time.Since(begin), 0))
	}
}

// probed acts on a decided result.
func (p *pod) probed(c *container, b *probe, ok bool) {
	switch {
	case b.kind == readinessProbe && c.ready != ok:
		c.ready = ok
		p.host.changed(p)
	case b.kind == startupProbe && ok && !c.started:
		c.started = true
		p.startLastingProbes(c, time.Since(c.startedAt))
		p.advance()
	case b.kind != readinessProbe && !ok:
		word := map[probeKind]string{startupProbe: "startup", livenessProbe: "liveness"}[b.kind]
		grace := p.grace()
		if g := b.spec.TerminationGracePeriodSeconds; g != nil {
			grace = seconds(*g)
		}
		c.mustRestart = p.policy(c) != corev1.RestartPolicyNever
		p.stop(c, grace, "Container failed "+word+" probe, will be restarted")
	}
}

func (c *container) stopProbes() {
	for _, b := range c.probes {
		b.timer.Stop()
	}
	c.probes = nil
}
