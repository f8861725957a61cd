package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/sluice-dev/sluice/playground/internal/gateway/route"
)

// problemPatience is how long a problem must last before it is told: objects
// that are made together arrive one after the other.
const problemPatience = 2 * time.Second

// reporter tells each problem once, in the log and as an Event on its object.
type reporter struct {
	client kubernetes.Interface
	log    *slog.Logger

	mu    sync.Mutex
	since map[route.Problem]time.Time
	told  map[route.Problem]bool
	wake  chan struct{}
}

func newReporter(client kubernetes.Interface, log *slog.Logger) *reporter {
	return &reporter{
		client: client, log: log,
		since: map[route.Problem]time.Time{}, told: map[route.Problem]bool{},
		wake: make(chan struct{}, 1),
	}
}

// update replaces the present problems; one that has gone may be told again.
func (r *reporter) update(problems []route.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	current := make(map[route.Problem]time.Time, len(problems))
	for _, p := range problems {
		current[p] = now
		if t, ok := r.since[p]; ok {
			current[p] = t
		}
	}
	for p := range r.told {
		if _, ok := current[p]; !ok {
			delete(r.told, p)
		}
	}
	r.since = current
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reporter) run(ctx context.Context) {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: r.client.CoreV1().Events("")})
	events := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: userAgent})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-timer.C:
		}
		due, next := r.due(time.Now())
		for _, p := range due {
			r.log.Warn(p.Message, "reason", p.Reason, "kind", p.Object.Kind, "namespace", p.Object.Namespace, "name",
				p.Object.Name)
			events.Event(&p.Object, corev1.EventTypeWarning, p.Reason, p.Message)
		}
		timer.Reset(next)
	}
}

// due gives the problems to tell now and the time until the next may be due.
func (r *reporter) due(now time.Time) (due []route.Problem, next time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next = time.Hour
	for p, since := range r.since {
		if r.told[p] {
			continue
		}
		if wait := problemPatience - now.Sub(since); wait > 0 {
			next = min(next, wait)
			continue
		}
		r.told[p] = true
		due = append(due, p)
	}
	return due, next
}
