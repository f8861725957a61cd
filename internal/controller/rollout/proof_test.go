package rollout

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// asks gives the last step of a Rollout an approval, and takes the pause off.
func asks(ro *v1alpha1.Rollout) *v1alpha1.Rollout {
	last := &ro.Spec.Canary.Steps[len(ro.Spec.Canary.Steps)-1]
	last.Pause, last.Approval = nil, &v1alpha1.Approval{From: v1alpha1.Approvers{Users: []string{"carol"}}}
	return ro
}

// TestFaultA2AnnotationIsNoProof: an annotation does not make a release a rollback, which would need no approval; a
// Decision on a release that succeeded does, once.
func TestFaultA2AnnotationIsNoProof(t *testing.T) {
	forge := func(c *cluster, cause string) {
		d := c.deployment()
		workload.Annotate(d, "sluice.dev/held-change-cause", cause)
		c.update(d)
	}
	t.Run("on the revision that was rejected", func(t *testing.T) {
		c := underWay(t)
		play(c, v1alpha1.VerbAbort)
		forge(c, "Rollback shop-1")
		c.decide(v1alpha1.VerbRetry, "shop-1")
		c.settle()
		if rel := c.release("shop-2"); rel == nil || rel.Spec.Cause != v1alpha1.CauseRetry || len(rel.Spec.Plan.Steps) != 2 {
			t.Fatalf("an annotation made it a rollback: %s", c.tells())
		}
	})
	t.Run("on a revision that was released before", func(t *testing.T) {
		c := newCluster(t, team(asks(canary(25, 50)))...)
		c.settle()
		c.setImage("shop:v2")
		c.settle()
		c.approve("shop-1")
		c.setImage("shop:v3")
		c.settle()
		c.approve("shop-2")
		c.expectRest("both released", v1alpha1.RolloutHealthy, "shop:v3")
		forge(c, "Rollback shop-1")
		c.setImage("shop:v2")
		c.settle()
		if rel := c.release("shop-3"); rel == nil || rel.Spec.Cause != v1alpha1.CauseTemplateChanged || rel.Status.Phase.Terminal() {
			t.Fatalf("an annotation made it a rollback: %s", c.tells())
		}
	})
	t.Run("a rollback that was decided counts once", func(t *testing.T) {
		c := underWay(t)
		c.promoteAll()
		c.setImage("shop:v3")
		c.promoteAll()
		c.decide(v1alpha1.VerbRollback, "shop-1")
		c.begin("shop-3")
		if rel := c.release("shop-3"); rel.Spec.Cause != v1alpha1.CauseRollback || len(rel.Spec.Plan.Steps) != 1 {
			t.Fatalf("the rollback: %+v", rel.Spec)
		}
		c.decide(v1alpha1.VerbAbort, "shop-3")
		c.settle()
		c.decide(v1alpha1.VerbRetry, "shop-3")
		c.settle()
		if rel := c.release("shop-4"); rel == nil || rel.Spec.Cause == v1alpha1.CauseRollback || len(rel.Spec.Plan.Steps) != 2 {
			t.Errorf("the rollback was used twice: %s", c.tells())
		}
	})
}

// approve answers the approval that a release asks for, and takes it to its end.
func (c *cluster) approve(name string) {
	c.t.Helper()
	rel := c.release(name)
	c.now = c.now.Add(2 * time.Second)
	c.add(&v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: c.word()},
		Spec: v1alpha1.DecisionSpec{
			Release: name, Verb: v1alpha1.VerbApprove, User: "carol", PlanDigest: rel.Spec.PlanDigest,
			Step: rel.Spec.Plan.Steps[len(rel.Spec.Plan.Steps)-1].Name,
		},
	})
	c.settle()
}

// forgedSet is alice's: labelled as stable's, with another image in it.
func forgedSet(hash string) *unstructured.Unstructured {
	rs := ownSet("shop:evil", 0)
	rs.SetName("aaa-first")
	rs.SetUID("")
	rs.SetOwnerReferences(nil)
	rs.SetLabels(map[string]string{"app": shop, v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1", v1alpha1.LabelPodTemplateHash: hash})
	return rs
}

// TestFaultA3StableIsProven: what is written back when a Rollout goes is the stable template, or nothing.
func TestFaultA3StableIsProven(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(c *cluster)
		// image of the Deployment in the end, and whether it is left paused.
		image  string
		paused bool
	}{
		"a ReplicaSet with stable's labels": {
			before: func(c *cluster) { c.add(forgedSet(c.rollout().Status.Stable.PodTemplateHash)) }, image: "shop:v1",
		},
		"the same, which the Deployment owns": {
			before: func(c *cluster) {
				rs := forgedSet(c.rollout().Status.Stable.PodTemplateHash)
				rs.SetOwnerReferences([]metav1.OwnerReference{deployment.Owner(c.deployment())})
				c.add(rs)
			}, image: "shop:v1",
		},
		"stable's own ReplicaSet, edited": {
			before: func(c *cluster) { c.editSets("shop:v1", "shop:evil") }, image: "shop:v1", // From the record.
		},
		"the same, and the record is gone": {
			before: func(c *cluster) {
				c.editSets("shop:v1", "shop:evil")
				c.deleteNamed(untyped(workload.RecordKind), recordKey(c.rollout(), c.rollout().Status.Stable.Hash).Name)
			}, image: "shop:v2", paused: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := underWay(t)
			play(c, v1alpha1.VerbAbort) // The Deployment names shop:v2, held.
			tt.before(c)
			c.delete(c.rollout())
			c.settle()
			if c.rollout() != nil {
				t.Fatalf("the Rollout does not go: %s", c.tells())
			}
			d := c.deployment()
			if got := workload.TemplateOf(d).Images[0].Image; got != tt.image || deployment.Paused(d) != tt.paused {
				t.Errorf("the Deployment has %s, paused %v; want %s, %v", got, deployment.Paused(d), tt.image, tt.paused)
			}
			if tt.paused {
				c.expectEvent("Warning " + workload.ReasonLeftPaused)
			}
		})
	}
}

// editSets gives the ReplicaSets of one image another one.
func (c *cluster) editSets(from, to string) {
	c.t.Helper()
	for _, rs := range c.sets() {
		if workload.TemplateOf(&rs).Images[0].Image == from {
			setImage(&rs, to)
			c.update(&rs)
		}
	}
}

// TestFaultA4LabelIsNoProof: a Service of the team's that bears our label is narrowed like any other, also one that names
// a release as its owner.
func TestFaultA4LabelIsNoProof(t *testing.T) {
	for name, mark := range map[string]func(c *cluster, s *corev1.Service){
		"a label": func(_ *cluster, s *corev1.Service) {
			s.Labels = map[string]string{v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1"}
		},
		"a label and an owner": func(c *cluster, s *corev1.Service) {
			s.Labels = map[string]string{v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1"}
			s.OwnerReferences = []metav1.OwnerReference{ownerOf(c.release("shop-1"))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			second := webService()
			second.Name, second.UID = "second", "service-second"
			c := newCluster(t, team(canary(25, 50), second)...)
			c.settle()
			c.setImage("shop:v2")
			c.begin("shop-1")
			c.get(second, "second")
			mark(c, second)
			c.update(second)
			c.settle()
			c.get(second, "second")
			if got := second.Spec.Selector[v1alpha1.LabelPodTemplateHash]; got != c.release("shop-1").Spec.From.PodTemplateHash {
				t.Errorf("the Service is not narrowed to the stable pods: %v", second.Spec.Selector)
			}
			for _, pod := range c.pods(second.Spec.Selector) {
				if strings.Contains(pod, c.release("shop-1").Spec.To.PodTemplateHash) {
					t.Errorf("it leads to %s, which waits for its release", pod)
				}
			}
		})
	}
}

// TestFaultA4Restored: objects that a backup has brought back bear our labels, and owners that are no more. They are
// reported and not trusted.
func TestFaultA4Restored(t *testing.T) {
	gone := metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Release", Name: "shop-1", UID: "gone", Controller: new(true)}
	labels := map[string]string{v1alpha1.LabelRollout: shop, v1alpha1.LabelRelease: "shop-1"}
	for name, tt := range map[string]struct {
		add  func(c *cluster)
		says string
	}{
		"a Hold": {func(c *cluster) {
			c.add(&v1alpha1.Hold{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-1-service-web", Labels: labels, OwnerReferences: []metav1.OwnerReference{gone}},
				Spec:       v1alpha1.HoldSpec{Release: "shop-1", Target: serviceTarget("web")},
			})
		}, "Hold shop-1-service-web: labelled as of this Rollout"},
		"a canary Service": {func(c *cluster) {
			s := webService()
			s.Name, s.UID, s.Labels, s.OwnerReferences = "web-canary", "", labels, []metav1.OwnerReference{gone}
			s.Spec.Selector = map[string]string{"app": "other"}
			c.add(s)
		}, "is not Sluice's"},
		"a canary Ingress": {func(c *cluster) {
			in := webIngress()
			in.Name, in.UID, in.Labels = naming.CanaryObject("web", shop), "", labels
			in.OwnerReferences = []metav1.OwnerReference{gone}
			c.add(in)
		}, "is not Sluice's"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(50))...)
			tt.add(c)
			for range 5 {
				_, _, _ = c.look()
			}
			c.expectWaits(tt.says)
		})
	}
}

// TestFaultA11Authors: a release names all who changed the template since the stable revision; where somebody is not
// known, it names nobody.
func TestFaultA11Authors(t *testing.T) {
	for name, tt := range map[string]struct {
		annotations map[string]string
		policy      bool
		want        []string
	}{
		"two":                       {map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "alice\nbob"}, true, []string{"alice", "bob"}},
		"one is not known":          {map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "alice\n?\nbob"}, true, nil},
		"none":                      {map[string]string{v1alpha1.AnnotationHeld: "bob"}, true, nil},
		"written without a policy":  {map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "bob"}, false, nil},
		"a change while none ruled": {map[string]string{v1alpha1.AnnotationHeld: "bob", v1alpha1.AnnotationAuthors: "bob", workload.AnnotationKept: "true"}, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, team(canary(50))...)
			c.settle()
			c.policy = tt.policy
			d := c.deployment()
			setImage(d, "shop:v2")
			_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
			d.SetAnnotations(tt.annotations)
			c.update(d)
			c.settle()
			if diff := cmp.Diff(tt.want, c.release("shop-1").Spec.Authors); diff != "" {
				t.Errorf("authors (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFaultB10Changes: where two revisions have the same images, people are told what differs.
func TestFaultB10Changes(t *testing.T) {
	c := newCluster(t, team(canary(50))...)
	c.settle()
	d := c.deployment()
	_ = unstructured.SetNestedSlice(d.Object, []any{map[string]any{"name": "web", "image": "shop:v1", "env": []any{map[string]any{"name": "MODE", "value": "secret"}}}},
		"spec", "template", "spec", "containers")
	_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	workload.Annotate(d, v1alpha1.AnnotationHeld, "ann")
	c.update(d)
	c.settle()
	want := []string{"containers[web].env added"}
	if diff := cmp.Diff(want, c.release("shop-1").Spec.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	c.settle()
	c.expectWaits("it differs from the stable one in containers[web].env added")
	c.decide(v1alpha1.VerbRetry, "shop-1")
	c.promoteAll()
	i := slices.IndexFunc(c.rollout().Status.Conditions, func(x metav1.Condition) bool { return x.Type == v1alpha1.ConditionReady })
	if got := c.rollout().Status.Conditions[i].Message; !strings.Contains(got, "shop-2 changed containers[web].env added") {
		t.Errorf("it says %q", got)
	}
}

// TestFaultB18BackToTheFirst: what ran before the first release can be gone back to, also when Kubernetes keeps no old
// ReplicaSet, and whatever write fails on the way. The record goes with the release that speaks of it.
func TestFaultB18BackToTheFirst(t *testing.T) {
	for n := 0; n < 60; n += 4 {
		c := underWay(t)
		c.promoteAll()
		for _, rs := range c.sets() {
			if deployment.Replicas(&rs) == 0 {
				c.delete(&rs) // spec.revisionHistoryLimit
			}
		}
		c.add(&v1alpha1.Decision{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "back"},
			Spec:       v1alpha1.DecisionSpec{Release: "shop-1", Verb: v1alpha1.VerbRollback, Before: true, User: "bob"},
		})
		before := len(c.writes)
		c.failure = func(i int, _ string) (error, bool) {
			if n > 0 && i == before+n {
				c.restart()
				return errLost, n%8 == 0
			}
			return nil, false
		}
		c.promoteAll()
		d := &v1alpha1.Decision{}
		if c.get(d, "back"); d.Status.Reason != "RolledBack" {
			t.Errorf("answered %+v", d.Status)
		}
		if rel := c.release("shop-2"); rel == nil || rel.Spec.Cause != v1alpha1.CauseRollback || len(rel.Spec.Plan.Steps) != 1 {
			t.Fatalf("fault at write %d: %s\n%s", n, c.tells(), strings.Join(c.writes[before:], "\n"))
		}
		c.expectRest("rolled back", v1alpha1.RolloutHealthy, "shop:v1")
		if c.rollout().Status.Rollback != nil {
			t.Errorf("the rollback is still pending: %+v", c.rollout().Status.Rollback)
		}
	}
	c := underWay(t)
	ro := c.rollout()
	ro.Spec.HistoryLimit = new(int32(1))
	c.update(ro)
	c.promoteAll()
	first := recordKey(ro, c.release("shop-1").Spec.From.Hash).Name
	if !c.get(untyped(workload.RecordKind), first) {
		t.Fatal("no record")
	}
	c.setImage("shop:v3")
	c.promoteAll()
	if c.get(untyped(workload.RecordKind), first) || !c.get(untyped(workload.RecordKind), recordKey(ro, c.release("shop-2").Spec.From.Hash).Name) {
		t.Error("the record of a release that is gone is still there, or that of the last one is not")
	}
}
