package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clientcache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// tracker knows in what state every object of some kinds is, and since when. No two of them have the same name.
type tracker struct {
	cancel context.CancelFunc

	mu      sync.Mutex
	states  map[client.ObjectKey]map[string]time.Time
	now     map[client.ObjectKey]string
	changed chan struct{}
}

func newTracker(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme, kinds ...client.Object) (
	*tracker, error,
) {
	ctx, cancel := context.WithCancel(ctx)
	t := &tracker{
		cancel: cancel, states: map[client.ObjectKey]map[string]time.Time{}, now: map[client.ObjectKey]string{},
		changed: make(chan struct{}),
	}
	c, err := cache.New(cfg, cache.Options{Scheme: scheme})
	if err != nil {
		return t, fmt.Errorf("watch releases: %w", err)
	}
	for _, kind := range kinds {
		informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return t, fmt.Errorf("watch releases: %w", err)
		}
		_, err = informer.AddEventHandler(clientcache.ResourceEventHandlerFuncs{
			AddFunc: t.see, UpdateFunc: func(_, o any) { t.see(o) },
		})
		if err != nil {
			return t, fmt.Errorf("watch releases: %w", err)
		}
	}
	go func() { _ = c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		return t, fmt.Errorf("watch releases: %w", ctx.Err())
	}
	return t, nil
}

func (t *tracker) stop() { t.cancel() }

// stateOf tells of an object what a wait can be for.
func stateOf(o any) string {
	switch x := o.(type) {
	case *v1alpha1.Rollout:
		return string(x.Status.Phase)
	case *v1alpha1.Release:
		if x.Status.Phase == v1alpha1.ReleasePaused {
			return string(x.Status.Phase) + " " + x.Status.StepSummary
		}
		return string(x.Status.Phase)
	case *appsv1.Deployment:
		return deploymentState(x)
	case *unstructured.Unstructured:
		return argoState(x)
	}
	return ""
}

// deploymentState says which image a Deployment runs, once all that it was told is done and no old pod counts.
func deploymentState(d *appsv1.Deployment) string {
	wanted, s := ptr.Deref(d.Spec.Replicas, 1), d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != wanted || s.AvailableReplicas != wanted ||
		s.Replicas != wanted {
		return "rolling"
	}
	return runs(d.Spec.Template.Spec.Containers[0].Image)
}

func (t *tracker) see(o any) {
	state := stateOf(o)
	key := client.ObjectKeyFromObject(o.(client.Object))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.states[key] == nil {
		t.states[key] = map[string]time.Time{}
	}
	if _, known := t.states[key][state]; !known {
		t.states[key][state] = time.Now()
	}
	t.now[key] = state
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait returns when an object is in a state, or has been, and since when.
func (t *tracker) wait(ctx context.Context, key client.ObjectKey, state string, limit time.Duration) (
	time.Time, error,
) {
	late := time.After(limit)
	for {
		t.mu.Lock()
		at, ok := t.states[key][state]
		now, changed := t.now[key], t.changed
		t.mu.Unlock()
		if ok {
			return at, nil
		}
		select {
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-late:
			return time.Time{}, fmt.Errorf("%s is not %s in %s, but %q", key, state, limit, now)
		case <-changed:
		}
	}
}

// waitAll is wait for many goals with one limit.
func (t *tracker) waitAll(ctx context.Context, goals []goal, limit time.Duration) ([]time.Time, error) {
	ends := time.Now().Add(limit)
	out := make([]time.Time, len(goals))
	for i, g := range goals {
		at, err := t.wait(ctx, g.object, g.state, time.Until(ends))
		if err != nil {
			return nil, err
		}
		out[i] = at
	}
	return out, nil
}
