package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/analysis"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
)

// The ReplicaSets of shop:v1 and shop:v2.
const (
	oldSet = "shop-zz4xcvxzbc"
	newSet = "shop-4w424bfw65"
)

// times notes when each write was made; what it returns tells of the last one that begins so.
func (c *cluster) times() func(write string) time.Time {
	var seen []string
	var at []time.Time
	former := c.failure
	c.failure = func(n int, write string) (error, bool) {
		seen, at = append(seen, write), append(at, c.now)
		if former != nil {
			return former(n, write)
		}
		return nil, false
	}
	return func(write string) time.Time {
		for i := len(seen) - 1; i >= 0; i-- {
			if strings.HasPrefix(seen[i], write) {
				return at[i]
			}
		}
		c.t.Fatalf("%q was not written; written were\n%s", write, strings.Join(seen, "\n"))
		return time.Time{}
	}
}

// reachedAt is when a release's step came into force.
func (c *cluster) reachedAt() time.Time {
	c.t.Helper()
	m := c.release("shop-1").Status.Memory
	if m.StepReachedAt == nil {
		c.t.Fatalf("the step is not reached: %s", c.tells())
	}
	return m.StepReachedAt.Time
}

// TestFaultC1RemovalSettles: the removal of the canary Ingress is given its time like every change, also where the process
// dies right after it, and the drain comes after that and is as long.
func TestFaultC1RemovalSettles(t *testing.T) {
	for name, dies := range map[string]bool{"it lives": false, "it dies after the removal": true} {
		for verb, ended := range map[v1alpha1.DecisionVerb]string{v1alpha1.VerbPromote: "patch ReplicaSet " + oldSet, v1alpha1.VerbAbort: "patch ReplicaSet " + newSet} {
			t.Run(name+"/"+string(verb), func(t *testing.T) {
				ro := canary(50)
				ro.Spec.Traffic[0].Ingress.Settle = &metav1.Duration{Duration: 12 * time.Second}
				ro.Spec.DrainDelay = &metav1.Duration{Duration: time.Second}
				c := newCluster(t, team(ro)...)
				c.settle()
				c.setImage("shop:v2")
				if dies {
					c.failure = func(_ int, write string) (error, bool) {
						if write == "delete Ingress web-canary-4586ae564e" {
							c.restart()
							return errLost, true
						}
						return nil, false
					}
				}
				wrote := c.times()
				play(c, verb)
				removed, drained := wrote("delete Ingress web-canary-4586ae564e"), wrote(ended)
				if got := drained.Sub(removed); got < 24*time.Second {
					t.Errorf("the pods that went were touched %s after the removal of the canary Ingress; settle and drain are 24s", got)
				}
			})
		}
	}
}

// TestFaultC3SettleFromTheAnswer: an admission webhook holds a write up for 4 s. The time to follow counts from when the API
// server has answered.
func TestFaultC3SettleFromTheAnswer(t *testing.T) {
	ro := canary(50)
	ro.Spec.Traffic[0].Ingress.Settle = &metav1.Duration{Duration: 3 * time.Second}
	c := newCluster(t, team(ro)...)
	c.settle()
	c.setImage("shop:v2")
	var answered time.Time
	c.failure = func(_ int, write string) (error, bool) {
		if write == "create Ingress web-canary-4586ae564e" {
			c.now = c.now.Add(4 * time.Second)
			answered = c.now
		}
		return nil, false
	}
	c.settle()
	if got := c.reachedAt().Sub(answered); got < 3*time.Second || got > 4*time.Second {
		t.Errorf("in force %s after the answer, want 3s", got)
	}
}

// TestFaultC2Default: the default holds for ingress-nginx as it ships: 5.8 s at most from the write to the post, and up to
// 1 s until its workers have it.
func TestFaultC2Default(t *testing.T) {
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.setImage("shop:v2")
	wrote := c.times()
	c.settle()
	if got := c.reachedAt().Sub(wrote("create Ingress web-canary-4586ae564e")); got < 6800*time.Millisecond {
		t.Errorf("in force %s after the write", got)
	}
}

// TestFaultB8Refused: what an Ingress controller would not heed is refused before anything moves, with the object's name.
func TestFaultB8Refused(t *testing.T) {
	preview := webIngress()
	preview.Name, preview.UID, preview.Annotations = "shop-preview", "preview", map[string]string{
		"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-by-header": "X-Preview",
	}
	alb := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "alb"}, Spec: networkingv1.IngressClassSpec{Controller: "ingress.k8s.aws/alb"}}
	for name, c := range map[string]struct {
		given func(*cluster)
		says  string
	}{
		"a canary of the team's own": {func(c *cluster) { c.add(preview.DeepCopy()) }, "demo/shop-preview"},
		"of class alb": {func(c *cluster) {
			c.add(alb.DeepCopy())
			edit(&networkingv1.Ingress{}, "web", func(i *networkingv1.Ingress) { *i.Spec.IngressClassName = "alb" })(c)
		}, "ingress.k8s.aws/alb"},
		"of no class": {edit(&networkingv1.Ingress{}, "web", func(i *networkingv1.Ingress) { i.Spec.IngressClassName = nil }), "names no class"},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCluster(t, team(canary(50))...)
			cl.settle()
			c.given(cl)
			cl.now = cl.now.Add(time.Minute)
			cl.setImage("shop:v2")
			cl.settle()
			ro := cl.rollout()
			if ro.Status.Phase != v1alpha1.RolloutStalled || !strings.Contains(cl.tells(), c.says) {
				t.Errorf("want it refused with %q, is: %s", c.says, cl.tells())
			}
			if cl.release("shop-1") != nil {
				t.Error("a release began")
			}
		})
	}
}

// TestFaultC4RivalInMidRelease: a canary of somebody else's that comes in the middle of a release is seen: the step does not
// count as in force, the message names the object, and the release goes on when it is gone.
func TestFaultC4RivalInMidRelease(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	preview := webIngress()
	preview.Name, preview.UID, preview.Annotations = "shop-preview", "preview", map[string]string{"nginx.ingress.kubernetes.io/canary": "true"}
	come := false
	c.failure = func(_ int, write string) (error, bool) {
		if write == "create Ingress web-canary-4586ae564e" && !come {
			come = true
			c.add(preview)
		}
		return nil, false
	}
	for range 40 {
		_, result, _ := c.look()
		c.kubernetes()
		c.now = c.now.Add(min(max(result.RequeueAfter, 10*time.Millisecond), time.Second))
	}
	if rel := c.release("shop-1"); rel.Status.Memory.StepReachedAt != nil || rel.Status.WaitingFor == nil || !strings.Contains(rel.Status.WaitingFor.Message, "demo/shop-preview") {
		t.Fatalf("want it to wait for shop-preview to go: %s", c.tells())
	}
	c.delete(preview)
	c.settle()
	if c.reachedAt().IsZero() {
		t.Error("it does not go on")
	}
}

// TestFaultC5CanaryServiceOfItsOwn: where sessions stay by a cookie that names the Service, each release has a canary Service
// of its own; elsewhere its name is the same each time.
func TestFaultC5CanaryServiceOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		name    string
		given   func(*cluster)
		service string
	}{
		{"no sessions", func(*cluster) {}, "web-canary"},
		{"by ingress-nginx's cookie", edit(&networkingv1.Ingress{}, "web", func(i *networkingv1.Ingress) {
			i.Annotations = map[string]string{"nginx.ingress.kubernetes.io/affinity": "cookie"}
		}), "web-canary-1"},
		{"by Traefik's", edit(&corev1.Service{}, "web", func(s *corev1.Service) {
			s.Annotations = map[string]string{"traefik.ingress.kubernetes.io/service.sticky.cookie": "true"}
		}), "web-canary-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := newCluster(t, team(canary(50))...)
			c.given(cl)
			cl.settle()
			cl.setImage("shop:v2")
			cl.settle()
			twin, ing := &corev1.Service{}, &networkingv1.Ingress{}
			if !cl.get(twin, c.service) || !cl.get(ing, "web-canary-4586ae564e") {
				t.Fatalf("there is no Service %s: %s", c.service, cl.tells())
			}
			if got := ing.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name; got != c.service {
				t.Errorf("the canary Ingress leads to %s", got)
			}
			cl.promoteAll()
			if cl.get(&corev1.Service{}, c.service) {
				t.Error("it is left")
			}
		})
	}
	long := strings.Repeat("x", 60)
	if a, b := naming.Fit(long, "-canary-12", naming.MaxLabel), naming.Fit(long+"y", "-canary-12", naming.MaxLabel); len(a) != 63 || a == b || !strings.HasSuffix(a, "-canary-12") {
		t.Errorf("names of long Services: %s, %s", a, b)
	}
}

// fakeMeter counts what the test says.
type fakeMeter struct {
	mu    sync.Mutex
	share float64
	fails bool
	asked float64
}

func (m *fakeMeter) Counts(string) bool        { return true }
func (m *fakeMeter) Collection() time.Duration { return time.Second }
func (m *fakeMeter) Requests(_ context.Context, _, service string) (float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails {
		return 0, errors.New("connection refused")
	}
	m.asked += 1000
	if strings.HasSuffix(service, "-canary") {
		return m.asked * m.share, nil
	}
	return m.asked * (1 - m.share), nil
}

// metered is a cluster whose gateway is measured, at the step of 50%.
func metered(t *testing.T, m *fakeMeter) *cluster {
	t.Helper()
	c := newCluster(t, team(canary(50))...)
	c.settle()
	c.r.Meter = m
	c.r.shares.pace = time.Millisecond
	c.setImage("shop:v2")
	return c
}

// runUntil lets time pass until done, or the test fails.
func (c *cluster) runUntil(what string, done func() bool) {
	c.t.Helper()
	for range 600 {
		_, result, _ := c.look()
		c.kubernetes()
		if done() {
			return
		}
		c.now = c.now.Add(min(max(result.RequeueAfter, 10*time.Millisecond), 500*time.Millisecond))
		time.Sleep(time.Millisecond) // The counting is beside the reconcile, in real time.
	}
	c.t.Fatalf("%s: never; %s", what, c.tells())
}

func (c *cluster) reached() bool {
	rel := c.release("shop-1")
	return rel != nil && rel.Status.Memory != nil && rel.Status.Memory.StepReachedAt != nil
}

// TestFaultC4Metered: where the gateway's metrics show that the share is another than the weight, the step is not in force,
// and the reason says both numbers; when it is, the step counts.
func TestFaultC4Metered(t *testing.T) {
	m := &fakeMeter{share: 0.02}
	c := metered(t, m)
	c.runUntil("it says both numbers", func() bool {
		rel := c.release("shop-1")
		w := &v1alpha1.WaitingFor{}
		if rel != nil && rel.Status.WaitingFor != nil {
			w = rel.Status.WaitingFor
		}
		return w.Reason == release.ReasonRouteNotInForce && strings.Contains(w.Message, "2% of ") && strings.Contains(w.Message, "50% are due")
	})
	if c.reached() {
		t.Fatal("the step counts as in force")
	}
	m.mu.Lock()
	m.asked, m.share = 0, 0.5
	m.mu.Unlock()
	c.runUntil("the step is in force", c.reached)
}

// TestFaultC4MeterDown: without an answer the settle time has to do, after a while, and an abort does not wait at all.
func TestFaultC4MeterDown(t *testing.T) {
	c := metered(t, &fakeMeter{fails: true})
	wrote := c.times()
	c.runUntil("the step is in force", c.reached)
	if got := c.reachedAt().Sub(wrote("create Ingress web-canary-4586ae564e")); got < 7*time.Second+patience(time.Second) || got > time.Minute {
		t.Errorf("in force after %s", got)
	}

	c = metered(t, &fakeMeter{fails: true})
	c.runUntil("the route is written", func() bool { return c.get(&networkingv1.Ingress{}, "web-canary-4586ae564e") })
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.mustLook()
	c.mustLook()
	if c.get(&networkingv1.Ingress{}, "web-canary-4586ae564e") {
		t.Error("an abort waits for the metrics")
	}
}

// TestFaultC4NotMetered: a Rollout may have time alone decide, and where sessions stay where they are nothing is counted.
func TestFaultC4NotMetered(t *testing.T) {
	m := &fakeMeter{share: 0}
	c := newCluster(t, team(func() *v1alpha1.Rollout {
		ro := canary(50)
		ro.Spec.Traffic[0].Ingress.Confirm = v1alpha1.ConfirmBySettle
		return ro
	}())...)
	c.settle()
	c.r.Meter = m
	c.setImage("shop:v2")
	c.settle()
	if !c.reached() || m.asked > 0 {
		t.Errorf("asked %v times: %s", m.asked, c.tells())
	}
}

// TestCounting: a gateway that began anew, and counts that fail for a moment, spoil nothing.
func TestCounting(t *testing.T) {
	now := time.Unix(0, 0)
	var reads []analysis.Served
	c := &counting{
		share: analysis.Share{Due: 50}, now: func() time.Time { return now }, until: now.Add(time.Minute),
		count: func(context.Context) (analysis.Served, error) {
			next := reads[0]
			reads = reads[1:]
			if next.Total < 0 {
				return next, fmt.Errorf("no answer")
			}
			return next, nil
		},
	}
	reads = []analysis.Served{{Canary: 900, Total: 1000}, {Total: -1}, {Canary: 10, Total: 20}, {Canary: 1010, Total: 2020}}
	var got release.ServedVerdict
	for len(reads) > 0 {
		got, _ = c.look(t.Context())
	}
	if got != release.ServedAsDue {
		t.Errorf("%q", got)
	}
}
