package node

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// afterHook is what a process gets for its SIGTERM at the least, also when the preStop
// hook has used up the grace period. It is the kubelet's number.
const afterHook = 2 * time.Second

// ending is the node's ending of a pod: it has been deleted, or is over its deadline.
type ending struct {
	stopped bool // nothing runs any more
}

// terminate ends the pod within its grace period; called again, with the shorter of
// the two.
func (p *pod) terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(grace)
}

// end is terminate with mu held.
func (p *pod) end(grace time.Duration) {
	if p.deadline != nil {
		p.deadline.Stop()
	}
	if p.ending == nil {
		p.ending = &ending{}
	}
	for _, c := range p.all() {
		c.cancelRetry()
		if c.stopping != nil {
			time.AfterFunc(grace, c.stopping)
			continue
		}
		p.stop(c, grace, "Stopping container "+c.spec.Name)
	}
	p.settle()
	p.host.changed(p)
}

// settle notices that an ending pod has stopped. With mu held.
func (p *pod) settle() {
	if p.ending == nil {
		return
	}
	for _, c := range p.all() {
		if c.phase == running {
			return
		}
	}
	p.ending.stopped = true
}

// state tells, for the one who deletes it from the API server, how far it is.
func (p *pod) state() (stopped, deleting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ending != nil && p.ending.stopped, p.api.DeletionTimestamp != nil || p.gone
}

// stop ends one container: preStop while it still serves, SIGTERM, and SIGKILL when
// the grace period is over. With mu held.
func (p *pod) stop(c *container, grace time.Duration, why string) {
	if c.phase != running || c.stopping != nil {
		return
	}
	if !quiet(c.spec.Image) {
		p.event(c, corev1.EventTypeNormal, "Killing", why)
	}
	var hook *corev1.LifecycleHandler
	if l := c.spec.Lifecycle; l != nil && grace > 0 {
		hook = l.PreStop
	}
	if c.proc.idle && hook == nil {
		p.exit(c, c.proc, 0)
		return
	}
	patience, cancel := context.WithTimeout(context.Background(), grace)
	c.stopping = cancel
	go p.stopGracefully(patience, cancel, c, c.proc, hook)
}

func (p *pod) stopGracefully(patience context.Context, cancel context.CancelFunc, c *container, proc *process,
	hook *corev1.LifecycleHandler,
) {
	defer cancel()
	if hook != nil {
		p.preStop(patience, c, proc, hook)
	}
	if proc.idle {
		p.ended(c, proc, 0)
		return
	}
	proc.terminate()
	least := time.NewTimer(afterHook)
	defer least.Stop()
	select {
	case <-proc.done:
		return
	case <-patience.Done():
	}
	select {
	case <-proc.done:
	case <-least.C:
		proc.kill()
	}
}

// preStop runs the hook. Its failure is an event and nothing more, as in a kubelet.
func (p *pod) preStop(ctx context.Context, c *container, proc *process, h *corev1.LifecycleHandler) {
	if err := p.hook(ctx, c, proc, h); err != nil && ctx.Err() == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.event(c, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed: "+err.Error())
	}
}

func (p *pod) hook(ctx context.Context, c *container, proc *process, h *corev1.LifecycleHandler) error {
	switch {
	case h.Sleep != nil:
		timer := time.NewTimer(seconds(h.Sleep.Seconds))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-proc.done:
		case <-ctx.Done():
		}
		return nil
	case h.HTTPGet != nil:
		return p.host.hookGet(ctx, p.ip, c.ports, h.HTTPGet)
	default:
		return errors.New("the playground's nodes run httpGet and sleep hooks only: built-in images have no commands")
	}
}

// abandon kills the pod's processes without a word to anybody: the node itself ends.
func (p *pod) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = &ending{}
	for _, c := range p.all() {
		c.cancelRetry()
		c.stopProbes()
		if c.proc != nil {
			c.proc.kill()
		}
	}
}
