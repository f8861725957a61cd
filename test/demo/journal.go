package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// journal keeps what has happened in the cluster, as the watches tell it. The API server counts all writes
// (resourceVersion), so that what came first can be said exactly.
type journal struct {
	mu        sync.Mutex
	pods      map[types.UID]pod
	ingresses map[string]uint64 // first write of each, by name
	releases  map[string]*v1alpha1.Release
	rollout   *v1alpha1.Rollout
}

// pod of the shop, as it is or was at its end.
type pod struct {
	name     string
	colour   string
	created  uint64 // the write that made it
	readyAt  uint64 // the write that first showed it ready; 0 if it never was
	ready    bool
	gone     bool
	restarts int32
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = clientgoscheme.AddToScheme(s)
	_ = v1alpha1.AddToScheme(s)
	return s
}

func startJournal(ctx context.Context, cfg *rest.Config) (*journal, error) {
	j := &journal{pods: map[types.UID]pod{}, ingresses: map[string]uint64{}, releases: map[string]*v1alpha1.Release{}}
	c, err := cache.New(cfg, cache.Options{Scheme: scheme(), DefaultNamespaces: map[string]cache.Config{namespace: {}}})
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	for _, o := range []client.Object{&corev1.Pod{}, &networkingv1.Ingress{}, &v1alpha1.Release{}, &v1alpha1.Rollout{}} {
		informer, err := c.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
		_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { j.see(o, false) },
			UpdateFunc: func(_, o any) { j.see(o, false) },
			DeleteFunc: func(o any) { j.see(o, true) },
		})
		if err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	go func() { _ = c.Start(ctx) }()
	if !c.WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("watch: %w", ctx.Err())
	}
	return j, nil
}

func (j *journal) see(o any, gone bool) {
	if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch o := o.(type) {
	case *corev1.Pod:
		j.seePod(o, gone)
	case *networkingv1.Ingress:
		if _, known := j.ingresses[o.Name]; !known {
			j.ingresses[o.Name] = version(o)
		}
		if gone {
			delete(j.ingresses, o.Name)
		}
	case *v1alpha1.Release:
		j.releases[o.Name] = o
	case *v1alpha1.Rollout:
		j.rollout = o
	}
}

func (j *journal) seePod(o *corev1.Pod, gone bool) {
	if o.Labels["app"] != shop {
		return
	}
	p, known := j.pods[o.UID]
	if !known {
		p = pod{name: o.Name, colour: colourOf(o.Spec.Containers[0].Image), created: version(o)}
	}
	p.gone, p.ready = gone, !gone && ready(o)
	if p.ready && p.readyAt == 0 {
		p.readyAt = version(o)
	}
	for _, c := range o.Status.ContainerStatuses {
		p.restarts = max(p.restarts, c.RestartCount)
	}
	j.pods[o.UID] = p
}

func ready(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil
		}
	}
	return false
}

func version(o client.Object) uint64 {
	n, _ := strconv.ParseUint(o.GetResourceVersion(), 10, 64)
	return n
}

// colourOf is the tag of an image.
func colourOf(image string) string { return image[strings.LastIndex(image, ":")+1:] }

// release is a release as it was seen last, nil if it was not.
func (j *journal) release(name string) *v1alpha1.Release {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.releases[name]
}

func (j *journal) state() *v1alpha1.Rollout {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.rollout
}

// canaryIngress is the write that made the canary Ingress that is there, 0 if none is.
func (j *journal) canaryIngress() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ingresses[shop+"-canary"]
}

// podsOf gives the shop's pods of a colour that are or ever were, by UID.
func (j *journal) podsOf(colour string) map[types.UID]pod {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := maps.Clone(j.pods)
	maps.DeleteFunc(out, func(_ types.UID, p pod) bool { return p.colour != colour })
	return out
}

// alive gives the names of pods that are there, ready or not.
func alive(pods map[types.UID]pod) map[types.UID]string {
	out := map[types.UID]string{}
	for uid, p := range pods {
		if !p.gone {
			out[uid] = p.name
		}
	}
	return out
}

// readyByColour counts.
func (j *journal) readyByColour() map[string]int {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := map[string]int{}
	for _, p := range j.pods {
		if p.ready {
			out[p.colour]++
		}
	}
	return out
}
