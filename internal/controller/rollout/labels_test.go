package rollout

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// labelled is a workload whose pods bear a version, behind a Service that selects it.
type labelled struct{ *cluster }

func newLabelled(t *testing.T) labelled {
	t.Helper()
	d, svc := shopDeployment("shop:v1"), webService()
	bear(d, "1")
	svc.Spec.Selector["version"] = "1"
	rs := deployment.Next(d, deployment.Owner(d), nil, workload.Short(workload.TemplateOf(d).Hash, 0), 4)
	c := newCluster(t, d, svc, webIngress(), canary(50))
	rs.SetUID("set-v1")
	rs.SetAnnotations(map[string]string{"deployment.kubernetes.io/revision": "1"})
	c.add(rs)
	c.settle()
	if got := c.rollout().Status.Phase; got != v1alpha1.RolloutHealthy {
		t.Fatalf("the Rollout is %s at the start: %s", got, c.tells())
	}
	return labelled{c}
}

func bear(d *unstructured.Unstructured, version string) {
	_ = unstructured.SetNestedField(d.Object, version, "spec", "template", "metadata", "labels", "version")
}

// release is the Deployment half of the chart: a new image whose pods bear another version.
func (c labelled) release(version string) {
	c.t.Helper()
	c.setImage("shop:v" + version)
	d := c.deployment()
	bear(d, version)
	c.update(d)
}

func (c labelled) service() *corev1.Service {
	c.t.Helper()
	s := &corev1.Service{}
	if !c.get(s, "web") {
		c.t.Fatal("the Service is gone")
	}
	return s
}

// point is the Service half.
func (c labelled) point(selector map[string]string) {
	c.t.Helper()
	s := c.service()
	s.Spec.Selector = selector
	c.update(s)
}

func versioned(version string) map[string]string {
	return map[string]string{"app": shop, "version": version}
}

// serves fails unless the Service leads to so many pods.
func (c labelled) serves(when string, want int) {
	c.t.Helper()
	s := c.service()
	if got := len(c.pods(s.Spec.Selector)); got != want {
		c.t.Fatalf("%s: the Service leads to %d pods, not %d, by %v: %s", when, got, want, s.Spec.Selector, c.tells())
	}
}

// says fails unless the status of the Rollout has the reason and all the words.
func (c labelled) says(reason string, words ...string) {
	c.t.Helper()
	w := c.rollout().Status.WaitingFor
	if w == nil || w.Reason != reason {
		c.t.Fatalf("the Rollout does not wait for %s: %s", reason, c.tells())
	}
	for _, word := range words {
		if !strings.Contains(w.Message, word) {
			c.t.Errorf("no %q in: %s", word, w.Message)
		}
	}
}

func (c labelled) holds() []v1alpha1.Hold {
	c.t.Helper()
	list := &v1alpha1.HoldList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// TestFaultB1 changes a label of the pods and the Service's selector together with the image, in every order. The Service
// leads to pods that are ready in every step, after the abort, and at the end; and the status says what is the matter.
func TestFaultB1(t *testing.T) {
	for name, apply := range map[string]func(labelled){
		"together":      func(c labelled) { c.release("2"); c.point(versioned("2")) },
		"Service first": func(c labelled) { c.point(versioned("2")); c.settle(); c.release("2") },
		"Deployment first": func(c labelled) {
			c.release("2")
			c.settle()
			c.serves("before the Service follows", 4)
			c.point(versioned("2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newLabelled(t)
			apply(c)
			c.settle()
			c.serves("in the step", 4)
			c.says(release.ReasonPausedForPerson)

			c.decide(v1alpha1.VerbAbort, "shop-1")
			c.settle()
			c.serves("after the abort", 4)
			c.says(release.ReasonRevisionRejected, "Service web stays on the running pods", "app=shop,version=2")
			if holds := c.holds(); len(holds) != 1 || holds[0].OwnerReferences[0].Kind != "Rollout" {
				t.Errorf("not one Hold of the Rollout's: %v", holds)
			}

			// The fix bears the label as well: it ends with the Service as the team wrote it.
			c.setImage("shop:v3")
			c.settle()
			c.serves("in the step of the fix", 4)
			c.decide(v1alpha1.VerbPromote, "shop-2")
			c.settle()
			c.serves("at the end", 4)
			if got := c.service().Spec.Selector; !maps.Equal(got, versioned("2")) || len(c.holds()) > 0 {
				t.Errorf("the Service is left with %v, and %d Holds: %s", got, len(c.holds()), c.tells())
			}
		})
	}
}

// TestFaultB1GoesBack has the team go back to the former chart after the abort, by server-side apply and by kubectl's
// own, which writes nothing into a selector that looks right already.
func TestFaultB1GoesBack(t *testing.T) {
	for name, back := range map[string]func(labelled){
		"replaced": func(c labelled) { c.point(versioned("1")) },
		"kubectl apply": func(c labelled) {
			s := c.service()
			applied, _ := json.Marshal(map[string]any{"spec": map[string]any{"selector": versioned("1")}})
			s.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: string(applied)}
			c.update(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newLabelled(t)
			c.release("2")
			c.point(versioned("2"))
			c.settle()
			c.decide(v1alpha1.VerbAbort, "shop-1")
			c.settle()
			back(c)
			c.release("1")
			c.settle()
			c.serves("back", 4)
			if got := c.service().Spec.Selector; !maps.Equal(got, versioned("1")) || len(c.holds()) > 0 {
				t.Errorf("the Service is left with %v, and %d Holds: %s", got, len(c.holds()), c.tells())
			}
			if got := c.rollout().Status.Phase; got != v1alpha1.RolloutHealthy {
				t.Errorf("the Rollout is %s: %s", got, c.tells())
			}
		})
	}
}

// TestFaultB1KeptAndGone: a Service that is kept on the pods that run is given back when their workload is gone for good.
func TestFaultB1KeptAndGone(t *testing.T) {
	c := newLabelled(t)
	c.setImage("shop:v2")
	c.settle()
	c.point(versioned("2"))
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.says(release.ReasonServiceKept, "app=shop,version=2")
	c.delete(c.deployment())
	c.settle()
	c.now = c.now.Add(goneFor)
	c.settle()
	if got := c.service().Spec.Selector; !maps.Equal(got, versioned("2")) || len(c.holds()) > 0 {
		t.Errorf("the Service is left with %v, and %d Holds: %s", got, len(c.holds()), c.tells())
	}
}

// TestFaultB1Merged has kubectl merge the team's edit into the selector that a release has written: what comes out selects
// nobody, and is mended at the next look.
func TestFaultB1Merged(t *testing.T) {
	c := newLabelled(t)
	c.setImage("shop:v2")
	c.settle()
	c.says(release.ReasonPausedForPerson)
	s := c.service()
	s.Spec.Selector["version"] = "2" // The hash stays: a merge touches nothing else.
	c.update(s)
	c.serves("merged", 0)
	c.settle()
	c.serves("mended", 4)
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.serves("at the end", 4)
	c.says(release.ReasonServiceKept, "app=shop,version=2")
	c.point(versioned("1"))
	c.settle()
	c.serves("corrected", 4)
	if got := c.service().Spec.Selector; !maps.Equal(got, versioned("1")) || len(c.holds()) > 0 {
		t.Errorf("the Service is left with %v, and %d Holds: %s", got, len(c.holds()), c.tells())
	}
}

// TestFaultB1Lost edits the Service alone: nothing is released, nobody is served, and the status says so.
func TestFaultB1Lost(t *testing.T) {
	c := newLabelled(t)
	c.point(versioned("2"))
	c.settle()
	c.says(release.ReasonServiceLost, `"web"`, "version=2", "version=1")
	if c.rollout().Status.Phase == v1alpha1.RolloutHealthy {
		t.Errorf("Healthy: %s", c.tells())
	}
	c.point(versioned("1"))
	c.settle()
	if c.rollout().Status.Phase != v1alpha1.RolloutHealthy {
		t.Errorf("not Healthy again: %s", c.tells())
	}
}

// TestFaultB1WithoutLayers: two versions that share by number what a Service gets need one that leads to both. One that
// leads to the new pods alone is refused before anything moves, and stays on the pods that run.
func TestFaultB1WithoutLayers(t *testing.T) {
	c := newLabelled(t)
	ro := c.rollout()
	ro.Spec.Traffic = nil
	c.update(ro)
	c.release("2")
	c.point(versioned("2"))
	c.settle()
	c.serves("refused", 4)
	c.says(release.ReasonSpecRefused, `"web"`, "version=2", "spec.traffic")
	c.point(map[string]string{"app": shop})
	c.settle()
	c.says(release.ReasonPausedForPerson)
	c.serves("in the step", 8)
	c.point(versioned("2"))
	c.settle()
	c.serves("turned in the middle", 4)
	c.says(release.ReasonTrouble, `"web"`, "version=2")
	c.point(map[string]string{"app": shop})
	c.settle()
	c.says(release.ReasonPausedForPerson)
	if len(c.holds()) > 0 {
		t.Errorf("%d Holds are left", len(c.holds()))
	}
}

// TestFaultB1Removed deletes the Rollout while a Service is kept: it goes on serving, and nothing is left.
func TestFaultB1Removed(t *testing.T) {
	c := newLabelled(t)
	c.release("2")
	c.point(versioned("2"))
	c.settle()
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	c.delete(c.rollout())
	c.settle()
	c.serves("removed", 4)
	if got := c.service().Spec.Selector; !maps.Equal(got, versioned("1")) || len(c.holds()) > 0 {
		t.Errorf("the Service is left with %v, and %d Holds", got, len(c.holds()))
	}
}

// TestFaultB1Port gives the Service a targetPort that only the new pods have: no step is in force, a person is asked after
// the deadline, and the message says why and what to do.
func TestFaultB1Port(t *testing.T) {
	c := newLabelled(t)
	c.portOf = "shop:v2"
	c.setImage("shop:v2")
	c.settle()
	c.says(release.ReasonStableNotReady, "shows 0 of the 2 stable endpoints")
	c.now = c.now.Add(translate.DefaultProgressDeadline)
	c.settle()
	c.says(release.ReasonStepFailed, "shows 0 of the 2 stable endpoints", "4 of 4 stable pods are ready", "targetPort", "promote --full")
}

// TestFaultB1Renewed has kubectl merge an edit into the selector that a release has written, after which the same pods are
// selected: the Hold keeps what the team has written now, so that to apply it again changes nothing.
func TestFaultB1Renewed(t *testing.T) {
	c := newLabelled(t)
	c.setImage("shop:v2")
	c.settle()
	s := c.service()
	delete(s.Spec.Selector, "version")
	c.update(s)
	c.settle()
	c.serves("merged", 4)
	holds := c.holds()
	if len(holds) != 1 || !maps.Equal(originalOf(&holds[0]), map[string]string{"app": shop}) {
		t.Errorf("the Holds are %v", holds)
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	if got := c.service().Spec.Selector; !maps.Equal(got, map[string]string{"app": shop}) || len(c.holds()) > 0 {
		t.Errorf("the Service is left with %v, and %d Holds: %s", got, len(c.holds()), c.tells())
	}
}

// underWayWithoutLayers is a release in its first step that divides requests by the number of pods.
func underWayWithoutLayers(t *testing.T) labelled {
	t.Helper()
	c := newLabelled(t)
	ro := c.rollout()
	ro.Spec.Traffic = nil
	c.update(ro)
	c.point(map[string]string{"app": shop})
	c.release("2")
	c.settle()
	return c
}

// TestFaultB1CutShort: without layers, the hand-over is remembered and not made, and meanwhile the team turns the Service to
// the new pods alone. They can still be taken back, so the Service has to be on the stable ones by then.
func TestFaultB1CutShort(t *testing.T) {
	c := underWayWithoutLayers(t)
	c.says(release.ReasonPausedForPerson)
	cut := false
	c.failure = func(_ int, write string) (error, bool) {
		if cut {
			c.serves("before "+write, 4)
			return nil, false
		}
		if !strings.HasPrefix(write, "patch ReplicaSet") || !c.cluster.release("shop-1").Status.Memory.HandedOver {
			return nil, false
		}
		cut = true
		c.point(versioned("2"))
		return errLost, false
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	if !cut {
		t.Fatalf("it was not cut short: %s", c.tells())
	}
	c.serves("cut short", 4)
	c.now = c.now.Add(translate.DefaultProgressDeadline)
	c.settle()
	c.serves("taken back", 4)
}

// TestFaultB1Crossed: without layers, an edit crosses the hand-over while a Service is kept on the new pods, since the team
// has turned it to the stable ones alone. It stays there until as many of these are ready as are needed.
func TestFaultB1Crossed(t *testing.T) {
	c := underWayWithoutLayers(t)
	c.decide(v1alpha1.VerbPromote, "shop-1")
	for !c.handed("2") {
		if c.mustLook(); !c.handed("2") {
			c.kubernetes()
			c.now = c.now.Add(time.Second)
		}
	}
	c.release("1")
	c.setImage("shop:v3")
	c.point(versioned("1"))
	c.scaleSet("1", 2) // The workload, being held, divides its pods.
	for range 10 {
		c.mustLook()
		c.runReplicaSets()
		c.serves("until stable is back", 4)
		c.now = c.now.Add(time.Second)
	}
	if got := c.cluster.release("shop-1").Status.Phase; got != v1alpha1.ReleaseAborting {
		t.Fatalf("the release is %s: %s", got, c.tells())
	}
	c.scaleSet("1", 4)
	c.settle()
	c.serves("given back, in the step of the edit", 8)
	if got := c.cluster.release("shop-1").Status.Phase; got != v1alpha1.ReleaseSuperseded {
		t.Errorf("the release is %s: %s", got, c.tells())
	}
}

// set is the ReplicaSet whose pods bear a version.
func (c labelled) set(version string) *unstructured.Unstructured {
	c.t.Helper()
	for _, rs := range c.sets() {
		if workload.TemplateOf(&rs).Labels["version"] == version {
			return &rs
		}
	}
	c.t.Fatalf("no ReplicaSet of version %s", version)
	return nil
}

func (c labelled) handed(version string) bool {
	c.t.Helper()
	return workload.OwnedBy(c.set(version), c.deployment().GetUID())
}

func (c labelled) scaleSet(version string, replicas int64) {
	c.t.Helper()
	rs := c.set(version)
	_ = unstructured.SetNestedField(rs.Object, replicas, "spec", "replicas")
	c.update(rs)
	c.runReplicaSets()
}
