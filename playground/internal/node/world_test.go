package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/playground/internal/network"
)

// world is a host in virtual time: programs and probes do what the test says, and the
// story of what happened is written down with the second it happened in.
type world struct {
	*host
	begin time.Time

	mu     sync.Mutex
	story  []string
	answer func(path string) error                    // what a probe of this path finds
	found  func() (environment, error)                // what a look-up finds
	runs   map[string]func(c *call, n int) (code int) // by image; n counts its runs
	counts map[string]int
}

// run plays a test in virtual time with a pod made by change from a plain one.
func run(t *testing.T, change func(*corev1.Pod), play func(w *world, p *pod)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := newPod(w.host, plainPod(change), "198.18.0.1")
		defer func() { p.abandon(); synctest.Wait() }()
		play(w, p)
	})
}

func newWorld() *world {
	w := &world{
		begin: time.Now(), counts: map[string]int{}, runs: map[string]func(*call, int) int{},
		answer: func(string) error { return nil },
		found:  func() (environment, error) { return environment{}, nil },
	}
	w.host = &host{
		network: network.New(), events: w, log: slog.New(slog.DiscardHandler), times: defaultTimes(0),
		images: w.image, probe: w.probe,
		hookGet: func(ctx context.Context, _ string, _ []corev1.ContainerPort, g *corev1.HTTPGetAction) error {
			w.tell("preStop " + g.Path)
			return w.ask(g.Path)
		},
		lookUp: func(context.Context, *corev1.Pod, *corev1.Container) (environment, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.found()
		},
		changed: func(*pod) {},
	}
	return w
}

func plainPod(change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop-1", UID: "u1"},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: new(int64(30)),
			Containers:                    []corev1.Container{{Name: "web", Image: "serve"}},
		},
	}
	if change != nil {
		change(p)
	}
	return p
}

func (w *world) ask(path string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answer(path)
}

// answers says what probes and hooks find from now on.
func (w *world) answers(answer func(path string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// finds says what look-ups find from now on.
func (w *world) finds(found func() (environment, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = found
}

func (w *world) tell(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf("%v %s", time.Since(w.begin), what))
}

// told returns the story since it was last asked for.
func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.story, "\n")
	w.story = nil
	return s
}

// Event writes events into the story, but for those of an ordinary start.
func (w *world) Event(_ runtime.Object, _, reason, message string) {
	if !slices.Contains([]string{"Pulled", "Created", "Pulling"}, reason) {
		w.tell(reason + ": " + message)
	}
}

func (w *world) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	w.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

func (w *world) AnnotatedEventf(o runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	w.Event(o, kind, reason, fmt.Sprintf(format, args...))
}

// image knows "serve" (until SIGTERM, then one second more), "deaf" (ignores SIGTERM),
// those that the test has put into runs, and nothing else.
func (w *world) image(name string) (program, error) {
	body, ok := w.runs[name]
	switch {
	case ok:
	case name == "serve":
		body = func(c *call, _ int) int {
			<-c.terminated.Done()
			if c.killed.Err() == nil {
				w.tell("SIGTERM")
				time.Sleep(time.Second)
			}
			return 0
		}
	case name == "deaf":
		body = func(c *call, _ int) int { <-c.killed.Done(); return 0 }
	default:
		return nil, errors.New("no such image")
	}
	return func(c *call) func() int {
		w.mu.Lock()
		w.counts[name]++
		n := w.counts[name]
		w.mu.Unlock()
		return func() int { return body(c, n) }
	}, nil
}

// exits is a program that ends after d with a code.
func exits(d time.Duration, code int) func(*call, int) int {
	return func(c *call, _ int) int {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return code
		case <-c.terminated.Done():
			return 0
		}
	}
}

func (w *world) probe(_ context.Context, _ string, _ []corev1.ContainerPort, h *corev1.ProbeHandler) (bool, string) {
	if err := w.ask(h.HTTPGet.Path); err != nil {
		return false, err.Error()
	}
	return true, ""
}

// after lets d pass and everything due in it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (p *pod) now() *corev1.PodStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status()
}

func web(p *pod) corev1.ContainerStatus { return p.now().ContainerStatuses[0] }

func isReady(p *pod) bool {
	return conditionOf(p.now().Conditions, corev1.PodReady).Status == corev1.ConditionTrue
}

func get(path string, change func(*corev1.Probe)) *corev1.Probe {
	b := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path}},
		PeriodSeconds: 1, TimeoutSeconds: 1, FailureThreshold: 3, SuccessThreshold: 1,
	}
	if change != nil {
		change(b)
	}
	return b
}

func wantStory(t *testing.T, w *world, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(want), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	if got := w.told(); got != strings.Join(lines, "\n") {
		t.Errorf("story:\n%s\nwant:\n%s", got, strings.Join(lines, "\n"))
	}
}
