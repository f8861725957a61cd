package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	clientcache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// tracker knows in what state every Rollout and Release is, and since when.
type tracker struct {
	cancel context.CancelFunc

	mu      sync.Mutex
	states  map[client.ObjectKey]map[string]time.Time
	now     map[client.ObjectKey]string
	changed chan struct{}
}

func newTracker(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme) (*tracker, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &tracker{
		cancel: cancel, states: map[client.ObjectKey]map[string]time.Time{}, now: map[client.ObjectKey]string{},
		changed: make(chan struct{}),
	}
	c, err := cache.New(cfg, cache.Options{Scheme: scheme})
	if err != nil {
		return t, fmt.Errorf("watch releases: %w", err)
	}
	for _, kind := range []client.Object{&v1alpha1.Rollout{}, &v1alpha1.Release{}} {
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

func (t *tracker) see(o any) {
	state := ""
	switch x := o.(type) {
	case *v1alpha1.Rollout:
		state = string(x.Status.Phase)
	case *v1alpha1.Release:
		state = string(x.Status.Phase)
		if state == "Paused" {
			state += " " + x.Status.StepSummary
		}
	}
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

// waitAll is wait for many objects with one limit.
func (t *tracker) waitAll(ctx context.Context, keys []client.ObjectKey, state string,
	limit time.Duration,
) ([]time.Time, error) {
	ends := time.Now().Add(limit)
	out := make([]time.Time, len(keys))
	for i, key := range keys {
		at, err := t.wait(ctx, key, state, time.Until(ends))
		if err != nil {
			return nil, err
		}
		out[i] = at
	}
	return out, nil
}
