package node

import (
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pod is one pod's life on this node. Everything in it is guarded by mu; what takes
// time (probes, hooks, look-ups of ConfigMaps) is done without it.
type pod struct {
	host *host
	name types.NamespacedName
	uid  types.UID
	ip   string

	scraped scraped

	mu         sync.Mutex
	api        *corev1.Pod // as last seen; never changed here
	start      metav1.Time
	inits      []*container
	apps       []*container
	conditions []corev1.PodCondition // ours, as last told
	published  *corev1.PodStatus     // what was last told
	deadline   *time.Timer           // activeDeadlineSeconds

	over    bool     // the containers have ended by themselves and stay so
	failure *failure // set when the node ended the pod for a reason of its own
	ending  *ending  // set when the pod is being deleted, or failed
	gone    bool     // the API server no longer has it
}

// failure is a reason of the node's own to end a pod.
type failure struct{ reason, message string }

// newPod makes the machine of a pod that the API server has assigned to this node.
// Where the status shows that containers ran before (the node was restarted), they
// count as having died with it.
func newPod(h *host, api *corev1.Pod, ip string) *pod {
	p := &pod{host: h, name: nameOf(api), uid: api.UID, api: api, ip: ip, start: metav1.Now()}
	if api.Status.StartTime != nil {
		p.start = *api.Status.StartTime
	}
	p.scraped.tell, p.scraped.api = h.scraped, api
	p.conditions = slices.Clone(api.Status.Conditions)
	for i := range api.Spec.InitContainers {
		s := &api.Spec.InitContainers[i]
		c := newContainer(h, s, statusOf(api.Status.InitContainerStatuses, s.Name))
		c.init = true
		c.sidecar = s.RestartPolicy != nil && *s.RestartPolicy == corev1.ContainerRestartPolicyAlways
		p.inits = append(p.inits, c)
	}
	for i := range api.Spec.Containers {
		s := &api.Spec.Containers[i]
		p.apps = append(p.apps, newContainer(h, s, statusOf(api.Status.ContainerStatuses, s.Name)))
	}
	return p
}

func statusOf(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func (p *pod) all() []*container { return slices.Concat(p.inits, p.apps) }

func (p *pod) container(name string) *container {
	for _, c := range p.all() {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

func (p *pod) grace() time.Duration {
	if g := p.api.Spec.TerminationGracePeriodSeconds; g != nil {
		return seconds(*g)
	}
	return 30 * time.Second
}

// begin starts the pod.
func (p *pod) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armDeadline()
	p.advance()
}

// armDeadline sets the timer of activeDeadlineSeconds. With mu held.
func (p *pod) armDeadline() {
	if p.deadline != nil {
		p.deadline.Stop()
		p.deadline = nil
	}
	limit := p.api.Spec.ActiveDeadlineSeconds
	if limit == nil {
		return
	}
	p.deadline = time.AfterFunc(seconds(*limit)-time.Since(p.start.Time), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.over || p.ending != nil {
			return
		}
		p.failure = &failure{"DeadlineExceeded", "Pod was active on the node longer than the specified deadline"}
		p.event(nil, corev1.EventTypeNormal, p.failure.reason, p.failure.message)
		p.end(p.grace())
	})
}

// advance does whatever is due: the next init container, the containers, restarts, or
// noticing that all is over. It is called after every change, with mu held.
func (p *pod) advance() {
	defer p.host.changed(p)
	if p.ending != nil || p.over {
		p.settle()
		return
	}
	for _, c := range p.inits {
		p.drive(c)
		if !c.passed() {
			p.over = c.phase == exited // an init container that failed for good
			break
		}
	}
	if p.initialized() {
		for _, c := range p.apps {
			p.drive(c)
		}
		p.over = len(p.apps) > 0 && !slices.ContainsFunc(p.apps, func(c *container) bool { return c.phase != exited })
	}
	if p.over {
		p.wrapUp()
	}
}

// initialized tells whether the containers may run. Once they have, it stays so.
func (p *pod) initialized() bool {
	return !slices.ContainsFunc(p.inits, func(c *container) bool { return !c.passed() }) ||
		slices.ContainsFunc(p.apps, func(c *container) bool { return c.phase != idle })
}

// wrapUp ends what is left when the containers are over: the sidecars.
func (p *pod) wrapUp() {
	if p.deadline != nil {
		p.deadline.Stop()
	}
	for _, c := range p.inits {
		c.cancelRetry()
		p.stop(c, p.grace(), "Stopping container "+c.spec.Name)
	}
}

// drive starts a container that has not run, and restarts one that has ended and may
// run again. With mu held.
func (p *pod) drive(c *container) {
	switch {
	case c.phase == idle:
		p.launch(c)
	case c.phase == exited && p.restarts(c):
		p.restart(c)
	}
}

func (p *pod) policy(c *container) corev1.RestartPolicy {
	switch {
	case c.spec.RestartPolicy != nil:
		return corev1.RestartPolicy(*c.spec.RestartPolicy)
	case c.init && p.api.Spec.RestartPolicy == corev1.RestartPolicyAlways:
		return corev1.RestartPolicyOnFailure
	}
	return p.api.Spec.RestartPolicy
}

func (p *pod) restarts(c *container) bool {
	if c.mustRestart {
		return true
	}
	switch p.policy(c) {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return c.term.ExitCode != 0
	default:
		return true
	}
}

// restart runs an ended container again, after its back-off.
func (p *pod) restart(c *container) {
	wait := c.crash.next(c.term.FinishedAt.Time, time.Now())
	if wait <= 0 {
		p.launch(c)
		return
	}
	p.hold(c, "CrashLoopBackOff", fmt.Sprintf("back-off %s restarting failed container=%s pod=%s",
		wait.Round(time.Second), c.spec.Name, p.full()))
	p.event(c, corev1.EventTypeWarning, "BackOff",
		fmt.Sprintf("Back-off restarting failed container %s in pod %s", c.spec.Name, p.full()))
	p.retry(c, wait)
}

// full names the pod as the kubelet's messages do.
func (p *pod) full() string {
	return fmt.Sprintf("%s_%s(%s)", p.api.Name, p.api.Namespace, p.api.UID)
}

// update takes a new version of the API object: a container whose image has changed
// is restarted with the new one.
func (p *pod) update(api *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.api = api
	p.scraped.relabel(api)
	for i, c := range p.inits {
		p.respec(c, &api.Spec.InitContainers[i])
	}
	for i, c := range p.apps {
		p.respec(c, &api.Spec.Containers[i])
	}
	p.armDeadline()
	p.advance()
}

func (p *pod) respec(c *container, s *corev1.Container) {
	changed := c.spec.Image != s.Image
	c.spec = s
	if !changed || p.over || p.ending != nil || c.init && c.passed() {
		return
	}
	c.pull.reset()
	switch c.phase {
	case running:
		c.mustRestart = true
		p.stop(c, p.grace(), "Container "+s.Name+" definition changed, will be restarted")
	case held:
		c.cancelRetry()
		p.launch(c)
	}
}

// observe takes the conditions that others have set: readiness gates hang on them.
func (p *pod) observe(api *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.api.Spec.ReadinessGates) == 0 || p.uid != api.UID {
		return
	}
	p.api = api
	p.host.changed(p)
}

// event records an event about the pod, or one of its containers.
func (p *pod) event(c *container, kind, reason, message string) {
	ref := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: p.api.Namespace, Name: p.api.Name,
		UID: p.api.UID, ResourceVersion: p.api.ResourceVersion,
	}
	if c != nil {
		part := "containers"
		if c.init {
			part = "initContainers"
		}
		ref.FieldPath = fmt.Sprintf("spec.%s{%s}", part, c.spec.Name)
	}
	p.host.events.Event(ref, kind, reason, message)
}
