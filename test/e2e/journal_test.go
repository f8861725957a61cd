package e2e

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// journal records every state that the pods and releases of a namespace have been in, as the watches told it.
type journal struct {
	mu       sync.Mutex
	pods     map[types.UID]*corev1.Pod
	gone     map[types.UID]bool
	releases []entry
	// leastReady is the smallest number of ready pods of the workload since count was called.
	counting   bool
	leastReady int
}

type entry struct {
	at      time.Time
	release *v1alpha1.Release
}

func newJournal(t *testing.T, cfg *rest.Config, scheme *runtime.Scheme, ns string) *journal {
	t.Helper()
	j := &journal{pods: map[types.UID]*corev1.Pod{}, gone: map[types.UID]bool{}}
	c, err := cache.New(cfg, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{ns: {}}})
	must(t, err)
	j.follow(t, c, &corev1.Pod{}, func(o any) { j.pod(o.(*corev1.Pod), false) }, func(o any) { j.pod(o.(*corev1.Pod), true) })
	j.follow(t, c, &v1alpha1.Release{}, func(o any) { j.release(o.(*v1alpha1.Release)) }, func(any) {})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Start(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	if !c.WaitForCacheSync(ctx) {
		t.Fatal("the watches did not begin")
	}
	return j
}

func (j *journal) follow(t *testing.T, c cache.Cache, o client.Object, seen, gone func(any)) {
	t.Helper()
	i, err := c.GetInformer(t.Context(), o, cache.BlockUntilSynced(false))
	must(t, err)
	_, err = i.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, o any) { seen(o) },
		DeleteFunc: func(o any) {
			if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			gone(o)
		},
	})
	must(t, err)
}

func (j *journal) pod(p *corev1.Pod, gone bool) {
	if p.Labels["app"] != "shop" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pods[p.UID], j.gone[p.UID] = p, gone
	if j.counting {
		j.leastReady = min(j.leastReady, j.ready())
	}
}

func (j *journal) ready() int {
	n := 0
	for uid, p := range j.pods {
		if _, ok := podReadyAt(p); ok && !j.gone[uid] && p.DeletionTimestamp == nil {
			n++
		}
	}
	return n
}

func (j *journal) release(r *v1alpha1.Release) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.releases = append(j.releases, entry{at: time.Now(), release: r})
}

// count begins to watch how many pods are ready.
func (j *journal) count() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counting, j.leastReady = true, j.ready()
}

func (j *journal) least() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.leastReady
}

// started lists the pods of a colour that were ever made.
func (j *journal) started(colour string) []*corev1.Pod {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*corev1.Pod
	for _, p := range j.pods {
		if colourOf(p) == colour {
			out = append(out, p)
		}
	}
	return out
}

// window is the time that a release spent in a step (from 1) with its routes in force. It ends a little before the
// next step was seen to begin, since the news of it may be late.
func (j *journal) window(t testing.TB, name string, step int32) window {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var w window
	for _, e := range j.releases {
		m := e.release.Status.Memory
		if e.release.Name != name || m == nil {
			continue
		}
		in := m.Step == step-1 && m.StepReachedAt != nil && !e.release.Status.Phase.Terminal() &&
			e.release.Status.Phase != v1alpha1.ReleaseCompleting && e.release.Status.Phase != v1alpha1.ReleaseAborting
		switch {
		case in && w.from.IsZero():
			w.from = e.at
		case !in && !w.from.IsZero() && w.to.IsZero():
			w.to = e.at.Add(-300 * time.Millisecond)
		}
	}
	if w.from.IsZero() || w.to.IsZero() {
		t.Fatalf("%s was not seen to reach and leave step %d", name, step)
	}
	return w
}

// story tells all of it, for a test that failed.
func (j *journal) story() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, e := range j.releases {
		s := e.release.Status
		fmt.Fprintf(&b, "%s %s %s %q", e.at.Format("15:04:05.000"), e.release.Name, s.Phase, s.StepSummary)
		if s.Replicas != nil {
			fmt.Fprintf(&b, " stable %d canary %d of %d", s.Replicas.Stable, s.Replicas.Canary, s.Replicas.CanaryDesired)
		}
		if s.Weight != nil {
			fmt.Fprintf(&b, " weight %d", *s.Weight)
		}
		fmt.Fprintf(&b, " %s %s\n", s.Result, waits(s.WaitingFor))
	}
	var pods []string
	for uid, p := range j.pods {
		at, ready := podReadyAt(p)
		pods = append(pods, fmt.Sprintf("%s %s made %s ready %v (%s) gone %v\n", p.Name, colourOf(p),
			p.CreationTimestamp.Format("15:04:05"), ready, at.Format("15:04:05"), j.gone[uid]))
	}
	sort.Strings(pods)
	return b.String() + strings.Join(pods, "")
}
