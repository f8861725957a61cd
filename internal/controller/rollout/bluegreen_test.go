package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

const keptFor = time.Minute

// blueGreen is a Rollout of shop that waits for a person before and after the switch; layered by the Ingress, or not.
func blueGreen(layered bool) *v1alpha1.Rollout {
	ro := canary(100)
	ro.Spec.Canary = v1alpha1.CanaryStrategy{}
	wait := &v1alpha1.BlueGreenGate{Pause: &v1alpha1.Pause{}}
	ro.Spec.BlueGreen = &v1alpha1.BlueGreenStrategy{
		Preview: &v1alpha1.BlueGreenPreview{Service: "web-preview"},
		Before:  wait, After: wait, KeepOld: &metav1.Duration{Duration: keptFor},
	}
	if !layered {
		ro.Spec.Traffic = nil
	}
	return ro
}

// blueGreenBegun is a cluster in which a blue-green release of shop:v2 has been asked for.
func blueGreenBegun(t *testing.T, layered bool) *cluster {
	t.Helper()
	c := newCluster(t, team(blueGreen(layered))...)
	c.settle()
	c.setImage("shop:v2")
	c.writes = nil
	return c
}

// leads says which image a Service's pods are of.
func (c *cluster) leads(service string) string {
	c.t.Helper()
	s := &corev1.Service{}
	if !c.get(s, service) {
		return ""
	}
	hash, images := s.Spec.Selector[v1alpha1.LabelPodTemplateHash], map[string]string{}
	for _, image := range []string{"shop:v1", "shop:v2", "shop:v3"} {
		if set := c.setOf(image); set != "none" {
			images[deployment.PodTemplateHash(c.named(set))] = image
		}
	}
	return images[hash]
}

func (c *cluster) wantLeads(what string, want map[string]string) {
	c.t.Helper()
	for service, image := range want {
		if got := c.leads(service); got != image {
			c.t.Errorf("%s: Service %s leads to %q, want %q; %s", what, service, got, image, c.tells())
		}
	}
}

// throughSwitch takes a blue-green release to the time in which its old pods are kept.
func throughSwitch(c *cluster) {
	c.t.Helper()
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
}

// TestBlueGreen: all new pods come up beside the old ones and get no requests; after the switch they get all of them; and
// once the workload has taken them over, the old ones stay ready for a rollback.
func TestBlueGreen(t *testing.T) {
	for _, layered := range []bool{true, false} {
		t.Run(fmt.Sprintf("layered %v", layered), func(t *testing.T) {
			t.Parallel()
			c := blueGreenBegun(t, layered)
			c.settle()
			both := map[string]int{"shop:v1": 4, "shop:v2": 4}
			c.expectPods("preview", both)
			c.wantLeads("preview", map[string]string{"web": "shop:v1", "web-preview": "shop:v2"})
			if ro := c.rollout(); ro.Status.Phase != v1alpha1.RolloutPaused || *ro.Status.Weight != 0 {
				t.Fatalf("before the switch: %s", c.tells())
			}
			c.decide(v1alpha1.VerbPromote, "shop-1")
			c.settle()
			c.expectPods("switched", both)
			if !layered {
				c.wantLeads("switched", map[string]string{"web": "shop:v2"})
			}
			if ro := c.rollout(); ro.Status.Phase != v1alpha1.RolloutPaused || *ro.Status.Weight != 100 {
				t.Fatalf("after the switch: %s", c.tells())
			}
			c.decide(v1alpha1.VerbPromote, "shop-1")
			c.settle()
			c.expectPods("kept", both)
			c.wantLeads("kept", map[string]string{"web": "shop:v2"})
			if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonKeepingOld {
				t.Fatalf("the old pods are not kept: %s", c.tells())
			}
			if d := c.deployment(); deployment.Paused(d) {
				t.Error("the workload is paused while the old pods are kept")
			}
			c.elapse(keptFor)
			c.settle()
			c.expectRest("the time is over", v1alpha1.RolloutHealthy, "shop:v2")
		})
	}
}

// atRest: nothing is under way. Without the policy that holds new revisions, the workload is kept paused all the time.
func atRest(c *cluster, what string, phase v1alpha1.RolloutPhase, image string) {
	c.t.Helper()
	if c.policy {
		c.expectRest(what, phase, image)
		return
	}
	c.expectNothingLeft(what)
	c.expectPods(what, map[string]int{image: 4})
	if got := c.rollout().Status.Phase; got != phase {
		c.t.Errorf("%s: the Rollout is %s, want %s", what, got, phase)
	}
}

// wentBack: the old pods have all requests again, and the workload is held.
func wentBack(c *cluster, what string) {
	c.t.Helper()
	c.expectPods(what, map[string]int{"shop:v1": 4})
	c.expectNothingLeft(what)
	d := c.deployment()
	if !deployment.Paused(d) || c.policy && d.GetAnnotations()[v1alpha1.AnnotationHeld] == "" {
		c.t.Errorf("%s: the workload is not held: %v", what, d.GetAnnotations())
	}
	if rel, ro := c.release("shop-1"), c.rollout(); rel.Status.Phase != v1alpha1.ReleaseAborted ||
		ro.Status.Phase != v1alpha1.RolloutRejected {
		c.t.Errorf("%s: the release is %s; %s", what, rel.Status.Phase, c.tells())
	}
	c.setImage("shop:v1")
	c.settle()
	atRest(c, what+", and set back", v1alpha1.RolloutHealthy, "shop:v1")
}

// keptEnds are the ways in which the time of the old pods ends.
var keptEnds = map[string]struct {
	do   func(*cluster)
	want func(*cluster, string)
}{
	"rollback": {
		func(c *cluster) { c.decide(v1alpha1.VerbRollback, "shop-1") },
		wentBack,
	},
	"abort": {
		func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-1") },
		wentBack,
	},
	"given up": {
		func(c *cluster) { c.decide(v1alpha1.VerbPromote, "shop-1") },
		func(c *cluster, what string) { atRest(c, what, v1alpha1.RolloutHealthy, "shop:v2") },
	},
	"the template is set back": {
		func(c *cluster) { c.setImage("shop:v1") },
		func(c *cluster, what string) { atRest(c, what, v1alpha1.RolloutHealthy, "shop:v1") },
	},
	"a newer revision": {
		func(c *cluster) { c.setImage("shop:v3") },
		func(c *cluster, what string) {
			c.expectPods(what, map[string]int{"shop:v2": 4, "shop:v3": 4})
			if rel := c.release("shop-2"); rel == nil || rel.Status.Phase != v1alpha1.ReleasePaused {
				c.t.Errorf("%s: %s", what, c.tells())
			}
			c.decide(v1alpha1.VerbAbort, "shop-2")
			c.settle()
			c.expectPods(what, map[string]int{"shop:v2": 4})
		},
	},
	"the Rollout is removed": {
		func(c *cluster) { c.delete(c.rollout()) },
		func(c *cluster, what string) { c.expectRest(what, "", "shop:v2") },
	},
	"the workload is removed": {
		func(c *cluster) { c.delete(c.deployment()) },
		func(c *cluster, what string) {
			if pods := c.pods(map[string]string{"app": shop}); len(pods) > 0 {
				c.t.Errorf("%s: pods are left: %v", what, pods)
			}
		},
	},
}

func TestKeptOldEnds(t *testing.T) {
	for name, end := range keptEnds {
		for _, in := range []struct{ layered, policy bool }{{true, true}, {false, true}, {false, false}} {
			t.Run(fmt.Sprintf("%s/%+v", name, in), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, team(blueGreen(in.layered))...)
				c.policy = in.policy
				c.settle()
				c.setImage("shop:v2")
				throughSwitch(c)
				end.do(c)
				c.settle()
				end.want(c, name)
			})
		}
	}
}

// TestBlueGreenKilled: whichever of every third write the process dies after, the end is the same.
func TestBlueGreenKilled(t *testing.T) {
	for name, end := range keptEnds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n += 3 {
				c, hit := blueGreenBegun(t, n%2 == 1), ""
				c.diesAfter(n, &hit)
				throughSwitch(c)
				end.do(c)
				c.settle()
				if hit == "" {
					return
				}
				end.want(c, fmt.Sprintf("%s, killed after write %d (%s)", name, n, hit))
			}
		})
	}
}

// TestPreviewRefused: a preview Service that cannot be made is refused before anything moves.
func TestPreviewRefused(t *testing.T) {
	other := func(name string, selector map[string]string) *corev1.Service {
		s := webService()
		s.Name, s.UID, s.Spec.Selector = name, types.UID("service-"+name), selector
		return s
	}
	for name, test := range map[string]struct {
		also *corev1.Service
		says string
	}{
		"taken":     {other("web-preview", map[string]string{"app": "other"}), "exists and does not select the workload's pods"},
		"ambiguous": {other("web-inside", map[string]string{"app": shop}), "several Services lead to the workload (web, web-inside)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, append(team(blueGreen(false)), test.also)...)
			c.settle()
			c.setImage("shop:v2")
			c.settle()
			w := c.rollout().Status.WaitingFor
			if w == nil || w.Reason != release.ReasonSpecRefused || !strings.Contains(w.Message, test.says) {
				t.Errorf("%s", c.tells())
			}
			c.expectPods(name, map[string]int{"shop:v1": 4})
			if len(c.releases()) > 0 {
				t.Error("a release has begun")
			}
		})
	}
}

// TestTeamsPreview: a preview Service of the team's own leads to the new pods as soon as they are ready, and to all pods
// again at the end.
func TestTeamsPreview(t *testing.T) {
	t.Parallel()
	preview := webService()
	preview.Name, preview.UID = "web-preview", "service-web-preview"
	c := newCluster(t, append(team(blueGreen(true)), preview)...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	c.wantLeads("preview", map[string]string{"web": "shop:v1", "web-preview": "shop:v2"})
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	c.expectPods("aborted", map[string]int{"shop:v1": 4})
	for _, name := range []string{"web", "web-preview"} {
		if s := c.service(name); len(s.Spec.Selector) != 1 {
			t.Errorf("Service %s selects %v", name, s.Spec.Selector)
		}
	}
}
