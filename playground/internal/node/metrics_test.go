package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// told writes down what a pod says of its metrics, and whether its port was open then.
type told struct {
	dial func(ctx context.Context, address string) error

	mu    sync.Mutex
	lines []string
}

func (s *told) tell(address string, labels map[string]string) {
	line := "ends"
	if labels != nil {
		var parts []string
		for name, value := range labels {
			parts = append(parts, name+"="+value)
		}
		slices.Sort(parts)
		line = strings.Join(parts, " ")
	}
	open := s.dial(context.Background(), address) == nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s open=%t: %s", address, open, line))
}

func (s *told) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func labelled(labels map[string]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop-1", Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
}

// A program tells of its metrics while it can be asked, from the first moment to the last.
func TestMetricsAreToldWhileServed(t *testing.T) {
	s := &told{}
	var p *started
	s.dial = func(ctx context.Context, address string) error {
		c, err := p.host.network.DialContext(ctx, "tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	at := &scraped{tell: s.tell, api: labelled(map[string]string{"app": "shop", "pod-template-hash": "abc", "code": "no"})}
	p = prepare(t, "sluice.dev/demo:green", map[string]string{"TERMINATION_DELAY": "0s"})
	p.scraped, p.container = at, "web"
	p.launch(t)
	at.relabel(labelled(map[string]string{"app": "shop", "pod-template-hash": "abc", "code": "changed"})) // none of ours
	at.relabel(labelled(map[string]string{"app": "store"}))
	p.terminate()
	if code := <-p.code; code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.out)
	}
	at.relabel(labelled(map[string]string{"app": "later"})) // nothing is served now
	want := `198.18.99.1:8080 open=true: app=shop container=web namespace=demo node=n1 pod=shop-1 pod_template_hash=abc
198.18.99.1:8080 open=true: app=store container=web namespace=demo node=n1 pod=shop-1
198.18.99.1:8080 open=true: ends`
	if got := s.all(); got != want {
		t.Errorf("told:\n%s\nwant:\n%s", got, want)
	}
}

// What never listens has no metrics.
func TestNoMetricsOfAProgramThatDoesNotListen(t *testing.T) {
	for _, tag := range []string{"never-ready", "crash"} {
		p := prepare(t, "sluice.dev/demo:"+tag, nil)
		s := &told{dial: func(context.Context, string) error { return nil }}
		p.scraped = &scraped{tell: s.tell, api: labelled(nil)}
		p.launch(t)
		p.terminate()
		<-p.code
		if got := s.all(); got != "" {
			t.Errorf("%s told: %s", tag, got)
		}
	}
}

// The way from the node's option to a pod's program, and of a changed label.
func TestPodTellsItsMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := &told{dial: func(context.Context, string) error { return nil }}
		w.scraped = s.tell
		w.runs["metrics"] = func(c *call, _ int) int {
			l := c.scraped.serves(nopListener{}, c.container, c.ip, 8080)
			<-c.terminated.Done()
			_ = l.Close()
			return 0
		}
		api := plainPod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Image = "metrics"
			p.Labels = map[string]string{"controller-revision-hash": "r1"}
		})
		p := newPod(w.host, api, "198.18.0.1")
		p.begin()
		synctest.Wait()
		next := api.DeepCopy()
		next.Labels["controller-revision-hash"] = "r2"
		p.update(next)
		p.abandon()
		synctest.Wait()
		want := `198.18.0.1:8080 open=true: container=web controller_revision_hash=r1 namespace=demo node= pod=shop-1
198.18.0.1:8080 open=true: container=web controller_revision_hash=r2 namespace=demo node= pod=shop-1
198.18.0.1:8080 open=true: ends`
		if got := s.all(); got != want {
			t.Errorf("told:\n%s\nwant:\n%s", got, want)
		}
	})
}

// nopListener stands for a port in a test without a network.
type nopListener struct{ net.Listener }

func (nopListener) Close() error { return nil }
