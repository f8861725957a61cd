package rollout

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// disturbances are what others may do at any moment of a release, and what must come of it once people have promoted
// all that asks to be promoted.
var disturbances = map[string]struct {
	do func(c *cluster)
	// phase of the Rollout in the end, empty if it is gone; image of the pods, or of one of them: empty if any will do.
	phase v1alpha1.RolloutPhase
	image string
}{
	"the Rollout is deleted": {do: func(c *cluster) { c.delete(c.rollout()) }},
	"the Rollout is removed by force": {
		do: func(c *cluster) {
			if ro := c.rollout(); ro != nil {
				ro.Finalizers = nil
				c.update(ro)
				c.delete(ro)
			}
		},
	},
	"the workload is deleted": {
		do:    func(c *cluster) { c.delete(c.deployment()) },
		phase: v1alpha1.RolloutStalled,
	},
	"the workload is made anew with the new revision": {
		do:    func(c *cluster) { c.replace("shop:v2") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
	"the workload is made anew with the old revision": {
		do:    func(c *cluster) { c.replace("shop:v1") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v1",
	},
	"the workload is made anew with another revision": {
		do:    func(c *cluster) { c.replace("shop:v3") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v3",
	},
	"the template is edited": {
		do:    func(c *cluster) { c.setImage("shop:v3") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v3",
	},
	"the template is set back": {
		do:    func(c *cluster) { c.setImage("shop:v1") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v1",
	},
	"the Hold is deleted": {
		do:    func(c *cluster) { c.deleteNamed(&v1alpha1.Hold{}, "shop-1-service-web") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
	"the canary Service is deleted": {
		do:    func(c *cluster) { c.deleteNamed(&corev1.Service{}, "web-canary") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
	"the canary Ingress is deleted": {
		do:    func(c *cluster) { c.deleteNamed(&networkingv1.Ingress{}, "web-canary-4586ae564e") },
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
	"the Service is written back": {
		do: func(c *cluster) {
			s := &corev1.Service{}
			c.get(s, "web")
			s.Spec.Selector = webService().Spec.Selector
			c.update(s)
		},
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
	"the Service is made anew": {
		do: func(c *cluster) {
			c.deleteNamed(&corev1.Service{}, "web")
			s := webService()
			s.UID = "service-web-2"
			c.add(s)
		},
		phase: v1alpha1.RolloutHealthy, image: "shop:v2",
	},
}

func TestDisturbanceAtEveryWrite(t *testing.T) {
	every := 4
	if testing.Short() {
		every = 12
	}
	for name, d := range disturbances {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n += every {
				c, hit := underWay(t), ""
				c.failure = func(i int, write string) (error, bool) {
					if i == n {
						hit = write
						d.do(c)
					}
					return nil, false
				}
				c.promoteAll()
				what := fmt.Sprintf("%s before write %d (%s)", name, n, hit)
				if hit == "" {
					return
				}
				c.expectRest(what, d.phase, d.image)
				if t.Failed() {
					return // The others tell no more.
				}
			}
		})
	}
}

// TestRouteDeletedMidRelease: our canary Ingress does not outlive the team's.
func TestRouteDeletedMidRelease(t *testing.T) {
	c := underWay(t)
	c.settle()
	c.deleteNamed(&networkingv1.Ingress{}, "web")
	c.settle()
	if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != "Trouble" {
		t.Errorf("waits for %+v", w)
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	c.expectNothingLeft("the Ingress was deleted")
	c.expectPods("the Ingress was deleted", map[string]int{"shop:v1": 4})
	if rel := c.release("shop-1"); rel.Status.Phase != v1alpha1.ReleaseAborted {
		t.Errorf("the release: %s", c.tells())
	}
}

// TestRemovedByForce: a release whose record was removed in its middle leaves nothing narrowed behind.
func TestRemovedByForce(t *testing.T) {
	for _, also := range []string{"", "the Rollout goes too"} {
		t.Run(also, func(t *testing.T) {
			c := underWay(t)
			c.settle()
			if also != "" {
				c.delete(c.rollout())
			}
			c.delete(c.release("shop-1"))
			c.setImage("shop:v1")
			c.kubernetes()
			c.settle()
			phase := v1alpha1.RolloutHealthy
			if also != "" {
				phase = ""
			}
			c.expectRest("the Release was deleted", phase, "shop:v1")
		})
	}
}

// promoteAll lets releases go on until nothing asks to be promoted any more.
func (c *cluster) promoteAll() {
	c.t.Helper()
	for range 5 {
		c.settle()
		ro := c.rollout()
		if ro == nil || ro.Status.Phase != v1alpha1.RolloutPaused {
			return
		}
		c.decide(v1alpha1.VerbPromote, ro.Status.CurrentRelease)
	}
	c.t.Fatalf("releases do not end: %s", c.tells())
}

// expectRest checks that nothing is under way and nothing left behind.
func (c *cluster) expectRest(what string, phase v1alpha1.RolloutPhase, image string) {
	c.t.Helper()
	c.expectNothingLeft(what)
	ro, d := c.rollout(), c.deployment()
	switch {
	case phase == "" && ro != nil:
		c.t.Errorf("%s: the Rollout is still there: %s", what, c.tells())
	case phase != "" && (ro == nil || ro.Status.Phase != phase):
		c.t.Errorf("%s: the Rollout should be %s: %s", what, phase, c.tells())
	}
	if image != "" {
		c.expectPods(what, map[string]int{image: 4})
	}
	if d == nil {
		return
	}
	if deployment.Paused(d) || d.GetAnnotations()[v1alpha1.AnnotationHeld] != "" {
		c.t.Errorf("%s: the workload is still held: %v", what, d.GetAnnotations())
	}
	if got := d.GetLabels()[v1alpha1.LabelRollout]; (got != "") != (ro != nil) {
		c.t.Errorf("%s: the workload's label is %q", what, got)
	}
	running := workload.TemplateOf(d).Images[0].Image
	c.expectPods(what+": as the workload says", map[string]int{running: 4})
	if diff := cmp.Diff(4, len(c.pods(map[string]string{"app": shop}))); diff != "" {
		c.t.Errorf("%s: ready pods behind the Service (-want +got):\n%s", what, diff)
	}
}

// TestRemovedAndKilledAtEveryWrite: the process dies after each write that follows on the deletion of a Rollout: with a new
// revision that is held, in mid-release, and at rest with a revision that was rejected and is held.
func TestRemovedAndKilledAtEveryWrite(t *testing.T) {
	for name, before := range map[string]func(*cluster){
		"before a release begins": func(*cluster) {},
		"in mid-release":          (*cluster).settle,
		"on its rejected":         func(c *cluster) { play(c, v1alpha1.VerbAbort) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, hit := 1, "the first"; hit != "" && !t.Failed(); n++ {
				c := underWay(t)
				before(c)
				c.writes, hit = nil, ""
				c.diesAfter(n, &hit)
				c.delete(c.rollout())
				c.settle()
				c.expectRest(fmt.Sprintf("killed after write %d (%s)", n, hit), "", "shop:v1")
			}
		})
	}
}

// replace deletes the workload and makes it anew under the same name, as Helm and `kubectl replace --force` do. The API
// server holds it in the create, as long as there is a Rollout for it.
func (c *cluster) replace(image string) {
	c.t.Helper()
	c.delete(c.deployment())
	c.collectGarbage()
	d := shopDeployment(image)
	c.made++
	d.SetUID("")
	if c.rollout() != nil {
		d.SetLabels(map[string]string{v1alpha1.LabelRollout: shop})
		d.SetAnnotations(map[string]string{v1alpha1.AnnotationHeld: "ann", v1alpha1.AnnotationAuthors: "ann"})
		_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	}
	c.add(d)
}

func (c *cluster) deleteNamed(o client.Object, name string) {
	c.t.Helper()
	if c.get(o, name) {
		c.delete(o)
	}
}

// TestMemoryTakenAway: a release whose memory somebody has removed does not begin anew, which would move traffic back and
// forth; it says so and can be aborted, and one that is being aborted goes on with that.
func TestMemoryTakenAway(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	c.forget(v1alpha1.ReleasePaused)
	c.settle()
	if w := c.release("shop-1").Status.WaitingFor; w == nil || w.Reason != release.ReasonMemoryInvalid || !strings.Contains(w.Message, "abort the release") {
		t.Errorf("it says %+v", w)
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	for c.release("shop-1").Status.Phase == v1alpha1.ReleasePaused {
		if _, _, err := c.look(); err != nil {
			t.Fatal(err)
		}
	}
	c.forget(v1alpha1.ReleaseAborting)
	c.settle()
	c.expectEnd("the memory was taken away", v1alpha1.ReleaseAborted)
}

// forget removes a release's memory and leaves its phase.
func (c *cluster) forget(phase v1alpha1.ReleasePhase) {
	c.t.Helper()
	rel := c.release("shop-1")
	if rel.Status.Phase != phase {
		c.t.Fatalf("the release is %s, not %s", rel.Status.Phase, phase)
	}
	rel.Status.Memory = nil
	if err := c.store.Status().Update(c.t.Context(), rel); err != nil {
		c.t.Fatal(err)
	}
}
