package node

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hostIP is the node's address in the API. It is a real one: the API server reaches
// the kubelet endpoint there.
const hostIP = "127.0.0.1"

// status is what the API server is to be told. With mu held.
func (p *pod) status() *corev1.PodStatus {
	s := &corev1.PodStatus{
		ObservedGeneration: p.api.Generation,
		HostIP:             hostIP,
		HostIPs:            []corev1.HostIP{{IP: hostIP}},
		PodIP:              p.ip,
		PodIPs:             []corev1.PodIP{{IP: p.ip}},
		StartTime:          &p.start,
	}
	for _, c := range p.inits {
		s.InitContainerStatuses = append(s.InitContainerStatuses, c.status("PodInitializing"))
	}
	waiting := "ContainerCreating"
	if !p.initialized() {
		waiting = "PodInitializing"
	}
	for _, c := range p.apps {
		s.ContainerStatuses = append(s.ContainerStatuses, c.status(waiting))
	}
	s.Phase = p.phase()
	if p.failure != nil {
		s.Reason, s.Message = p.failure.reason, p.failure.message
	}
	p.conditions = p.newConditions(s)
	s.Conditions = p.conditions
	return s
}

func (c *container) status(waiting string) corev1.ContainerStatus {
	s := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: imageID(c), ContainerID: c.id,
		RestartCount: c.restartCount, Started: new(c.started), Ready: c.ready,
	}
	if c.last != nil {
		s.LastTerminationState.Terminated = c.last
	}
	switch c.phase {
	case running:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.startedAt)}
	case exited:
		s.State.Terminated = c.term
		s.Ready = c.init && !c.sidecar && c.term.ExitCode == 0
	case held:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: c.reason, Message: c.message}
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: waiting}
	}
	if s.State.Waiting != nil && c.term != nil {
		s.LastTerminationState.Terminated = c.term
	}
	return s
}

func imageID(c *container) string {
	if c.id == "" {
		return ""
	}
	return fmt.Sprintf("sluice.dev/builtin@sha256:%x", sha256.Sum256([]byte(c.spec.Image)))
}

// phase is the kubelet's rule: nothing started yet is Pending, anything that runs or
// will run again is Running, and a pod whose containers are over succeeded or failed.
func (p *pod) phase() corev1.PodPhase {
	if p.ending != nil && p.ending.stopped {
		return p.finalPhase()
	}
	if p.failure != nil {
		return corev1.PodRunning
	}
	if !p.initialized() {
		if p.over {
			return corev1.PodFailed
		}
		return corev1.PodPending
	}
	for _, c := range p.apps {
		if c.phase != running && c.phase != exited && c.term == nil {
			return corev1.PodPending
		}
	}
	if !p.over {
		return corev1.PodRunning
	}
	return p.finalPhase()
}

func (p *pod) finalPhase() corev1.PodPhase {
	failed := func(c *container) bool { return c.term == nil || c.term.ExitCode != 0 }
	if p.failure != nil || slices.ContainsFunc(p.apps, failed) {
		return corev1.PodFailed
	}
	return corev1.PodSucceeded
}

// newConditions are the kubelet's conditions; a transition time changes only with its
// condition's status.
func (p *pod) newConditions(s *corev1.PodStatus) []corev1.PodCondition {
	ready := p.containersReady(s)
	list := []corev1.PodCondition{
		verdict(corev1.PodReadyToStartContainers, p.ending == nil || !p.ending.stopped, "", ""),
		p.initializedCondition(s),
		p.readyCondition(ready),
		ready,
		verdict(corev1.PodScheduled, true, "", ""),
	}
	now := metav1.Now()
	for i := range list {
		c := &list[i]
		c.ObservedGeneration, c.LastTransitionTime = p.api.Generation, now
		if was := conditionOf(p.conditions, c.Type); was != nil && was.Status == c.Status {
			c.LastTransitionTime = was.LastTransitionTime
		}
	}
	return list
}

func verdict(kind corev1.PodConditionType, ok bool, reason, message string) corev1.PodCondition {
	if ok {
		return corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason}
	}
	return corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: reason, Message: message}
}

func conditionOf(list []corev1.PodCondition, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range list {
		if list[i].Type == kind {
			return &list[i]
		}
	}
	return nil
}

func (p *pod) initializedCondition(s *corev1.PodStatus) corev1.PodCondition {
	if p.initialized() {
		reason := ""
		if s.Phase == corev1.PodSucceeded {
			reason = "PodCompleted"
		}
		return verdict(corev1.PodInitialized, true, reason, "")
	}
	var incomplete []string
	for _, c := range p.inits {
		if !c.passed() {
			incomplete = append(incomplete, c.spec.Name)
		}
	}
	return verdict(corev1.PodInitialized, false, "ContainersNotInitialized",
		"containers with incomplete status: ["+strings.Join(incomplete, " ")+"]")
}

func (p *pod) containersReady(s *corev1.PodStatus) corev1.PodCondition {
	switch s.Phase {
	case corev1.PodSucceeded:
		return verdict(corev1.ContainersReady, false, "PodCompleted", "")
	case corev1.PodFailed:
		return verdict(corev1.ContainersReady, false, "PodFailed", "")
	}
	var unready []string
	for _, c := range p.all() {
		if (!c.init || c.sidecar) && !c.ready {
			unready = append(unready, c.spec.Name)
		}
	}
	return verdict(corev1.ContainersReady, len(unready) == 0, notReadyReason(unready),
		"containers with unready status: ["+strings.Join(unready, " ")+"]")
}

func notReadyReason(unready []string) string {
	if len(unready) == 0 {
		return ""
	}
	return "ContainersNotReady"
}

// readyCondition adds to the containers' readiness what the readiness gates say.
func (p *pod) readyCondition(containers corev1.PodCondition) corev1.PodCondition {
	containers.Type = corev1.PodReady
	if containers.Status != corev1.ConditionTrue {
		return containers
	}
	var missing []string
	for _, g := range p.api.Spec.ReadinessGates {
		c := conditionOf(p.api.Status.Conditions, g.ConditionType)
		switch {
		case c == nil:
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.",
				g.ConditionType))
		case c.Status != corev1.ConditionTrue:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v",
				g.ConditionType, c.Status))
		}
	}
	if len(missing) > 0 {
		return verdict(corev1.PodReady, false, "ReadinessGatesNotReady", strings.Join(missing, ", "))
	}
	return containers
}
