package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// phase is where a container is.
type phase string

const (
	idle     phase = ""         // has not been tried
	starting phase = "starting" // its ConfigMaps and Secrets are being looked up
	held     phase = "held"     // waits for a timer, with a reason
	running  phase = "running"
	exited   phase = "exited"
)

// container is one container of a pod; the pod's lock guards it.
type container struct {
	spec    *corev1.Container
	ports   []corev1.ContainerPort
	init    bool
	sidecar bool

	phase           phase
	reason, message string // why it is held
	proc            *process
	id              string
	startedAt       time.Time
	started, ready  bool
	term            *corev1.ContainerStateTerminated // of the latest end
	last            *corev1.ContainerStateTerminated // of the end before the current start
	restartCount    int32
	mustRestart     bool // by a failed probe or a new image, whatever the policy

	crash, pull backoff
	timer       *time.Timer
	probes      []*probe
	stopping    context.CancelFunc // set while it is being stopped; calling it ends the patience

	logs, oldLogs *logBuffer
}

func newContainer(h *host, s *corev1.Container, was *corev1.ContainerStatus) *container {
	c := &container{
		spec: s, ports: s.Ports,
		crash: backoff{base: h.times.crashBase, limit: h.times.crashLimit},
		pull:  backoff{base: h.times.pullBase, limit: h.times.pullLimit},
	}
	if was == nil {
		return c
	}
	c.restartCount, c.last, c.id = was.RestartCount, was.LastTerminationState.Terminated, was.ContainerID
	switch {
	case was.State.Running != nil:
		c.phase = exited
		c.term = &corev1.ContainerStateTerminated{
			ExitCode: 255, Reason: "Unknown", Message: "The playground was restarted.",
			StartedAt: was.State.Running.StartedAt, FinishedAt: metav1.Now(), ContainerID: was.ContainerID,
		}
	case was.State.Terminated != nil:
		c.phase, c.term = exited, was.State.Terminated
	}
	return c
}

// passed tells whether an init container lets the next one start.
func (c *container) passed() bool {
	if c.sidecar {
		return c.phase == running && c.started
	}
	return c.phase == exited && c.term.ExitCode == 0
}

// launch finds the image and the environment, then starts. With mu held.
func (p *pod) launch(c *container) {
	start, err := p.host.images(c.spec.Image)
	if err != nil {
		p.pullFailed(c, err)
		return
	}
	c.pull.reset()
	if !needsLookup(p.api, c.spec) {
		p.run(c, start, environment{}, nil)
		return
	}
	c.phase = starting
	api, spec := p.api, c.spec
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		found, err := p.host.lookUp(ctx, api, spec)
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.phase != starting || p.ending != nil {
			return
		}
		p.run(c, start, found, err)
		p.advance()
	}()
}

// run makes the environment and starts the process. With mu held.
func (p *pod) run(c *container, start program, found environment, err error) {
	var missing *mountError
	if asMountError(err, &missing) {
		p.event(nil, corev1.EventTypeWarning, "FailedMount", missing.Error())
		p.hold(c, "ContainerCreating", "")
		p.retry(c, p.host.times.configRetry)
		return
	}
	var env map[string]string
	if err == nil {
		env, err = makeEnvironment(p.api, c.spec, p.ip, found)
	}
	if err != nil {
		p.event(c, corev1.EventTypeWarning, "Failed", "Error: "+err.Error())
		p.hold(c, "CreateContainerConfigError", err.Error())
		p.retry(c, p.host.times.configRetry)
		return
	}
	p.execute(c, start, env)
}

// counter makes container IDs differ.
var counter atomic.Uint64

// execute starts the process. With mu held.
func (p *pod) execute(c *container, start program, env map[string]string) {
	if c.term != nil {
		c.last, c.term = c.term, nil
		c.restartCount++
	}
	id := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d/%d", p.api.UID, c.spec.Name, c.restartCount, counter.Add(1)))
	c.id = fmt.Sprintf("sluice://%x", id)
	c.oldLogs, c.logs = c.logs, &logBuffer{}
	c.startedAt = time.Now()
	c.phase, c.reason, c.message, c.mustRestart, c.stopping = running, "", "", false, nil
	proc := newProcess()
	c.proc = proc
	run := start(p.call(c, proc, env))
	if !quiet(c.spec.Image) {
		p.event(c, corev1.EventTypeNormal, "Pulled",
			fmt.Sprintf("Container image %q already present on machine", c.spec.Image))
		p.event(c, corev1.EventTypeNormal, "Created", "Container created")
		p.event(c, corev1.EventTypeNormal, "Started", "Container started")
	}
	proc.idle = run == nil
	if run != nil {
		go func() { p.ended(c, proc, run()) }()
	}
	p.startProbes(c)
	if c.spec.Lifecycle != nil && c.spec.Lifecycle.PostStart != nil {
		p.event(c, corev1.EventTypeWarning, "FailedPostStartHook", "postStart hooks are not run by the playground's "+
			"nodes; the container goes on without")
	}
}

func (p *pod) call(c *container, proc *process, env map[string]string) *call {
	return &call{
		process: proc, env: env, out: c.logs, host: p.host,
		command: expand(c.spec.Command, env), args: expand(c.spec.Args, env),
		image: c.spec.Image, namespace: p.api.Namespace, pod: p.api.Name, ip: p.ip,
		container: c.spec.Name, scraped: &p.scraped,
	}
}

// ended is called when a process has returned.
func (p *pod) ended(c *container, proc *process, code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.exit(c, proc, code)
}

// exit records the end of a process. With mu held.
func (p *pod) exit(c *container, proc *process, code int) {
	if c.proc != proc {
		return
	}
	if proc.killed.Err() != nil {
		code = 137
	}
	proc.finish()
	c.proc, c.phase = nil, exited
	c.stopProbes()
	c.started, c.ready = false, false
	if c.stopping != nil {
		c.stopping()
		c.stopping = nil
	}
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	c.term = &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: reason, ContainerID: c.id,
		StartedAt: metav1.NewTime(c.startedAt), FinishedAt: metav1.Now(),
	}
	_ = c.logs.Close()
	if c.spec.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && code != 0 {
		c.term.Message = c.logs.end()
	}
	p.advance()
}

// pullFailed shows ErrImagePull, then ImagePullBackOff until the next try.
func (p *pod) pullFailed(c *container, err error) {
	image := c.spec.Image
	p.event(c, corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", image))
	p.event(c, corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %v", image, err))
	p.event(c, corev1.EventTypeWarning, "Failed", "Error: ErrImagePull")
	p.hold(c, "ErrImagePull", err.Error())
	wait := c.pull.fail()
	show := min(wait/2, time.Second)
	c.timer = time.AfterFunc(show, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.phase != held || c.reason != "ErrImagePull" || p.ending != nil || p.over {
			return
		}
		p.event(c, corev1.EventTypeNormal, "BackOff", fmt.Sprintf("Back-off pulling image %q", image))
		p.event(c, corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
		p.hold(c, "ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: %v", image, err))
		p.retry(c, wait-show)
	})
}

// hold makes a container wait, for a reason. With mu held.
func (p *pod) hold(c *container, reason, message string) {
	c.phase, c.reason, c.message = held, reason, message
	p.host.changed(p)
}

// retry launches a held container after a while. With mu held.
func (p *pod) retry(c *container, wait time.Duration) {
	var mine *time.Timer
	mine = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if c.timer != mine || c.phase != held || p.ending != nil || p.over {
			return
		}
		p.launch(c)
		p.advance()
	})
	c.timer = mine
}

func (c *container) cancelRetry() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}
