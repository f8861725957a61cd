package rollout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// resume is what `kubectl rollout resume` does, where no policy prevents it. Kubernetes has done its worst before Sluice
// looks: only pods of the new template are left.
func (c *cluster) resume() {
	c.t.Helper()
	d := c.deployment()
	_ = unstructured.SetNestedField(d.Object, false, "spec", "paused")
	c.update(d)
	for c.kubernetes() {
	}
}

// served says whether the Service leads to a ready pod.
func (c *cluster) served() bool {
	c.t.Helper()
	s := &corev1.Service{}
	return c.get(s, "web") && len(c.pods(s.Spec.Selector)) > 0
}

// TestFaultB23ResumedInARelease: on a cluster without admission policies somebody resumes the workload in mid-release.
// It is paused again, what it has started is taken from it, the stable pods come back, and the Service always leads to a
// pod that is ready, except for the moment in which a stable pod could be back by itself.
func TestFaultB23ResumedInARelease(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(c *cluster) // the workload is resumed
		then   func(c *cluster)
		split  bool // by the number of pods, without a layer
		phase  v1alpha1.RolloutPhase
		pods   map[string]int
	}{
		"before its first pod": {
			before: func(c *cluster) { c.begin("shop-1") }, then: func(*cluster) {},
			phase: v1alpha1.RolloutPaused, pods: map[string]int{"shop:v1": 4, "shop:v2": 4}, // They are ready, so they are kept.
		},
		"at a step": {
			before: func(c *cluster) { c.settle() }, then: func(*cluster) {},
			phase: v1alpha1.RolloutPaused, pods: map[string]int{"shop:v1": 4, "shop:v2": 2},
		},
		"at a step, then it is aborted": {
			before: func(c *cluster) { c.settle() }, then: func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-1") },
			phase: v1alpha1.RolloutRejected, pods: map[string]int{"shop:v1": 4},
		},
		"at a step, then it is promoted": {
			before: func(c *cluster) { c.settle() }, then: func(c *cluster) {
				c.settle()
				c.decide(v1alpha1.VerbPromote, "shop-1")
			},
			phase: v1alpha1.RolloutHealthy, pods: map[string]int{"shop:v2": 4},
		},
		"at a step, and the Rollout is deleted": {
			before: func(c *cluster) { c.settle() }, then: func(c *cluster) { c.delete(c.rollout()) },
			pods: map[string]int{"shop:v1": 4},
		},
		"without layers, then it is aborted": {
			split: true, before: func(c *cluster) { c.settle() }, then: func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-1") },
			phase: v1alpha1.RolloutRejected, pods: map[string]int{"shop:v1": 4},
		},
		"without layers, then it is promoted": {
			split: true, before: func(c *cluster) { c.settle() }, then: func(c *cluster) {
				c.settle()
				c.decide(v1alpha1.VerbPromote, "shop-1")
			},
			phase: v1alpha1.RolloutHealthy, pods: map[string]int{"shop:v2": 4},
		},
		"and a newer revision with it": {
			before: func(c *cluster) { c.settle(); c.setImage("shop:v3") }, then: func(c *cluster) {
				c.settle()
				c.decide(v1alpha1.VerbPromote, "shop-2")
			},
			phase: v1alpha1.RolloutHealthy, pods: map[string]int{"shop:v3": 4},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ro := canary(25, 50)
			if tt.split {
				ro.Spec.Traffic = nil
			}
			c := newCluster(t, team(ro)...)
			c.policy = false
			c.settle()
			c.setImage("shop:v2")
			tt.before(c)
			c.resume()
			tt.then(c)
			lost := time.Time{}
			for range 200 {
				_, result, _ := c.look()
				c.kubernetes()
				if c.served() {
					lost = time.Time{}
				} else if lost.IsZero() {
					lost = c.now
				} else if c.now.Sub(lost) > 12*time.Second {
					t.Fatalf("the Service leads to nobody for %s: %s", c.now.Sub(lost), c.tells())
				}
				c.now = c.now.Add(min(max(result.RequeueAfter, 10*time.Millisecond), time.Second))
			}
			ro = c.rollout()
			if tt.phase == "" && ro != nil || tt.phase != "" && (ro == nil || ro.Status.Phase != tt.phase) {
				t.Errorf("in the end: %s", c.tells())
			}
			c.expectPods("in the end", tt.pods)
			if ro != nil && !deployment.Paused(c.deployment()) {
				t.Error("the workload is left free")
			}
			again := slices.ContainsFunc(c.writes, func(w string) bool {
				return strings.HasPrefix(w, "patch Deployment") && strings.Contains(w, `"paused":true`)
			})
			if !again {
				t.Errorf("it was not paused again:\n%s", strings.Join(c.writes, "\n"))
			}
		})
	}
}

// TestFaultB23KilledAtEveryWrite: the process dies after each write that follows on such a resume, up to the end of the
// release, and the end is the same.
func TestFaultB23KilledAtEveryWrite(t *testing.T) {
	for _, split := range []bool{false, true} {
		for verb, phase := range ends {
			t.Run(fmt.Sprintf("split %v/%s", split, verb), func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					ro := canary(25, 50)
					if split {
						ro.Spec.Traffic = nil
					}
					c, hit := newCluster(t, team(ro)...), ""
					c.policy = false
					c.settle()
					c.setImage("shop:v2")
					c.settle()
					c.resume()
					c.writes = nil
					c.diesAfter(n, &hit)
					play(c, verb)
					what := fmt.Sprintf("killed after write %d (%s)", n, hit)
					if got := c.release("shop-1").Status.Phase; got != phase {
						t.Errorf("%s: the release should be %s: %s", what, phase, c.tells())
					}
					want := "shop:v1"
					if phase == v1alpha1.ReleaseSucceeded {
						want = "shop:v2"
					}
					c.expectPods(what, map[string]int{want: 4})
					c.expectNothingLeft(what)
					if hit == "" || t.Failed() {
						return
					}
				}
			})
		}
	}
}
