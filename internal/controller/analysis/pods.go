package analysis

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

// podsLimit bounds how many pods of a version are looked at. Those have to stand for all: a metric must not load the
// API server with thousands of pods.
const podsLimit = 500

// tally is what the pods of one version say of themselves.
type tally struct{ pods, ready, restarts, oomKills int }

// share is the ready share of the pods, from 0 to 1; 0 where there are none.
func (t tally) share() float64 {
	if t.pods == 0 {
		return 0
	}
	return float64(t.ready) / float64(t.pods)
}

// pods counts restarts, OOM kills and readiness of the new pods, and, beside them, of the stable ones.
func (r *Reconciler) pods(ctx context.Context, run *v1alpha1.AnalysisRun,
	p *v1alpha1.KubernetesProvider,
) (metric.Result, error) {
	canary, err := r.count(ctx, run.Namespace, run.Spec.CanaryHash, p.Container)
	if err != nil {
		return metric.Result{}, err
	}
	if canary.pods == 0 {
		return metric.Result{}, metric.NoData{Why: "the new revision has no pods"}
	}
	stable, err := r.count(ctx, run.Namespace, run.Spec.StableHash, p.Container)
	if err != nil {
		return metric.Result{}, err
	}
	return metric.Result{Value: map[string]any{
		"pods": float64(canary.pods), "ready": float64(canary.ready), "readyShare": canary.share(),
		"restarts": float64(canary.restarts), "oomKills": float64(canary.oomKills),
		"stablePods": float64(stable.pods), "stableReadyShare": stable.share(),
		"stableRestarts": float64(stable.restarts), "stableOomKills": float64(stable.oomKills),
	}}, nil
}

// count reads the pods of one version past the cache, which keeps no pods.
func (r *Reconciler) count(ctx context.Context, namespace, hash, container string) (tally, error) {
	if hash == "" {
		return tally{}, errors.New("the revision's pods cannot be told apart: spec.canaryHash or spec.stableHash of the " +
			"run is missing")
	}
	list := &corev1.PodList{}
	err := r.Kube.Live.List(ctx, list, client.InNamespace(namespace),
		client.MatchingLabels{v1alpha1.LabelPodTemplateHash: hash}, client.Limit(podsLimit))
	if err != nil {
		return tally{}, fmt.Errorf("list pods: %s", reasonOf(err))
	}
	var t tally
	for i := range list.Items {
		t.add(&list.Items[i], container)
	}
	return t, nil
}

// add counts one pod. Of an empty container name all containers count. Kubernetes remembers only the last termination
// of a container, so earlier OOM kills of it are not seen.
func (t *tally) add(p *corev1.Pod, container string) {
	// A pod that is being removed is not ready for that reason, which says nothing of its version.
	if p.DeletionTimestamp != nil {
		return
	}
	t.pods++
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			t.ready++
		}
	}
	for _, s := range p.Status.ContainerStatuses {
		if container != "" && s.Name != container {
			continue
		}
		t.restarts += int(s.RestartCount)
		for _, ended := range []*corev1.ContainerStateTerminated{s.LastTerminationState.Terminated, s.State.Terminated} {
			if ended != nil && ended.Reason == "OOMKilled" {
				t.oomKills++
			}
		}
	}
}
