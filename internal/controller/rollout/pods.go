package rollout

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// podsAsked bounds how many pods are looked at: what keeps one from starting mostly keeps all.
const podsAsked = 10

// askPods finds out why the canary's pods do not start, once that has lasted longer than starting takes. Pods are in
// no cache, and are read only then.
func (r *Reconciler) askPods(ctx context.Context, w *world, memory release.Memory, o *release.Observed) {
	canary, began := w.seen.Canary, memory.StepStartedAt
	if began.IsZero() {
		began = memory.StartedAt // The beginning of the first step is not stored at once.
	}
	if canary == nil || o.Canary.Problem != "" || o.Canary.Ready >= o.Canary.Desired || w.now.Before(began.Add(passing)) {
		return
	}
	o.Canary.Problem = r.askPart(ctx, w, canary)
}

// askStable is why the pods of the released revision are not ready, as far as they say.
func (r *Reconciler) askStable(ctx context.Context, w *world) string {
	stable := w.seen.Stable
	if t := stable.Now(); stable == nil || t.Problem != "" || t.Ready >= t.Desired {
		return t.Problem
	}
	return r.askPart(ctx, w, stable)
}

// askPart is what the first of a part's pods says that is not ready.
func (r *Reconciler) askPart(ctx context.Context, w *world, p *workload.Part) string {
	pods := &corev1.PodList{}
	err := r.Kube.Live.List(ctx, pods, client.InNamespace(w.rollout.Namespace),
		client.MatchingLabels{w.driver.Kinds().Mark: p.Mark}, client.Limit(podsAsked))
	if err != nil {
		// The reason is only for people: without it the release goes on just the same.
		log.FromContext(ctx).V(1).Info("ask the pods why they do not start", "error", err.Error())
		return ""
	}
	for i := range pods.Items {
		if why := whyNotReady(&pods.Items[i]); why != "" {
			return clip(why)
		}
	}
	return ""
}

// whyNotReady is what a pod says of itself, empty if it is ready or says nothing.
func whyNotReady(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			return ""
		case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse:
			return said("pod "+p.Name, c.Reason, c.Message)
		}
	}
	statuses := append(append([]corev1.ContainerStatus{}, p.Status.InitContainerStatuses...),
		p.Status.ContainerStatuses...)
	for _, s := range statuses {
		who := fmt.Sprintf("pod %s, container %s", p.Name, s.Name)
		if state := s.State.Waiting; state != nil && state.Reason != "" {
			return said(who, state.Reason, state.Message)
		}
		if state := s.State.Terminated; state != nil && state.ExitCode != 0 {
			return said(who, fmt.Sprintf("ended with exit code %d", state.ExitCode), state.Message)
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if s.State.Running != nil && !s.Ready {
			return fmt.Sprintf("pod %s, container %s: it runs, and its readiness probe has not succeeded", p.Name, s.Name)
		}
	}
	return ""
}

func said(who, reason, message string) string {
	if message == "" {
		return who + ": " + reason
	}
	return who + ": " + reason + ": " + message
}
