package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/workload"
)

// row is one world, one look at it, and what is written. The second look must write what then says, by default nothing.
type row struct {
	name  string
	given func(*cluster)
	want  []string
	then  []string
	// says is a part of what the Rollout waits for in the end; event the beginning of one that was sent.
	says, event string
}

// adopt takes a Rollout's two writes and its report as read.
func adopt(c *cluster) {
	c.kubernetes()
	c.settle()
	c.writes = nil
}

// on makes a cluster with a Rollout and changes it further.
func on(ro *v1alpha1.Rollout, steps ...func(*cluster)) func(*cluster) {
	return func(c *cluster) {
		for _, o := range team(ro) {
			c.add(o)
		}
		c.kubernetes()
		for _, step := range steps {
			step(c)
		}
	}
}

const stalled = `status Rollout shop Stalled/`

// keptSet is the write that makes the Rollout the second owner of its released ReplicaSet.
const keptSet = `patch ReplicaSet shop-zz4xcvxzbc {"metadata":{"ownerReferences":[` +
	`{"apiVersion":"apps/v1","blockOwnerDeletion":true,"controller":true,"kind":"Deployment","name":"shop","uid":"deploy-1"},` +
	`{"apiVersion":"sluice.dev/v1alpha1","kind":"Rollout","name":"shop","uid":"rollout-1"}]}}`

func refused(name, says string, steps ...func(*cluster)) row {
	return row{
		name: name, given: on(canary(50), steps...), says: says,
		want: []string{
			`patch Rollout shop {"metadata":{"finalizers":["sluice.dev/put-back"]}}`,
			`patch Deployment shop {"metadata":{"labels":{"sluice.dev/rollout":"shop"}}}`,
			keptSet,
			stalled + release.ReasonSpecRefused,
		}, event: "Warning SpecRefused",
	}
}

func edit[T client.Object](o T, name string, change func(T)) func(*cluster) {
	return func(c *cluster) {
		c.get(o, name)
		change(o)
		c.update(o)
	}
}

var rows = []row{
	{
		name: "a workload is taken over, and no pod is touched", given: on(canary(50)),
		want: []string{
			`patch Rollout shop {"metadata":{"finalizers":["sluice.dev/put-back"]}}`,
			`patch Deployment shop {"metadata":{"labels":{"sluice.dev/rollout":"shop"}}}`,
			keptSet,
			`status Rollout shop Healthy`,
		},
	},
	{name: "what was taken over is left alone", given: on(canary(50), adopt)},
	{
		name: "without a policy the workload is paused in the same write", given: on(canary(50), func(c *cluster) { c.policy = false }),
		want: []string{
			`patch Rollout shop {"metadata":{"finalizers":["sluice.dev/put-back"]}}`,
			`patch Deployment shop {"metadata":{"annotations":{"sluice.dev/kept-paused":"true"},"labels":{"sluice.dev/rollout":"shop"}},"spec":{"paused":true}}`,
			keptSet,
			`status Rollout shop Healthy`,
		},
	},
	{
		name:  "once there is a policy, what was kept paused is let go",
		given: on(canary(50), func(c *cluster) { c.policy = false }, adopt, func(c *cluster) { c.policy = true }),
		want: []string{
			`patch Deployment shop [remove /metadata/annotations/sluice.dev~1kept-paused, remove /spec/paused]`,
			`status Rollout shop Healthy`,
		},
	},
	{
		name: "a pause of the team's is left to the team", given: on(canary(50), adopt, pause),
	},
	{
		name:  "a revision behind the team's pause waits for the team",
		given: on(canary(50), adopt, pause, func(c *cluster) { c.policy = false; c.setImage("shop:v2"); c.policy = true }),
		want:  []string{`status Rollout shop Pending/PausedByTeam`}, says: "kubectl rollout resume",
	},
	{
		name:  "a revision that slipped in is paused, and released",
		given: on(canary(50), adopt, func(c *cluster) { c.policy = false; c.setImage("shop:v2"); c.policy = true }),
		want: []string{
			`patch Deployment shop {"metadata":{"annotations":{"sluice.dev/kept-paused":"true"}},"spec":{"paused":true}}`,
			`create ControllerRevision shop-e4d085863a3c7c07`, `create Release shop-1`, `status Rollout shop Progressing/Starting`,
		},
		then: []string{`create Hold shop-1-service-web`, `patch Service web {"spec":{"selector":{"pod-template-hash":"zz4xcvxzbc"}}}`},
	},
	{
		name: "a new revision gets a release", given: on(canary(50), adopt, func(c *cluster) { c.setImage("shop:v2") }),
		want:  []string{`create ControllerRevision shop-e4d085863a3c7c07`, `create Release shop-1`, `status Rollout shop Progressing/Starting`},
		then:  []string{`create Hold shop-1-service-web`, `patch Service web {"spec":{"selector":{"pod-template-hash":"zz4xcvxzbc"}}}`},
		event: "Normal ReleaseStarted",
	},
	{
		name: "no workload", given: func(c *cluster) { c.add(canary(50)) },
		want: []string{stalled + release.ReasonWorkloadNotFound}, says: `spec.workload names the Deployment "shop", which is not in namespace demo`, event: "Warning WorkloadNotFound",
	},
	{
		name: "an older Rollout has the workload", given: on(canary(50), func(c *cluster) {
			older := canary(50)
			older.Name, older.UID, older.CreationTimestamp = "older", "", metav1.NewTime(c.now.Add(-1))
			c.add(older)
		}),
		want: []string{stalled + release.ReasonWorkloadTaken}, says: `which the older Rollout "older" names as well`, event: "Warning WorkloadTaken",
	},
	{
		name: "another Rollout has taken the workload over", given: on(canary(50), func(c *cluster) {
			other := canary(50)
			other.Name, other.UID, other.CreationTimestamp = "other", "", metav1.NewTime(c.now.Add(1))
			c.add(other)
			d := c.deployment()
			d.SetLabels(map[string]string{v1alpha1.LabelRollout: "other"})
			c.update(d)
		}),
		want: []string{stalled + release.ReasonWorkloadTaken}, says: `which the Rollout "other" releases already`,
	},
	refused("no Service in front", `no Service in namespace demo selects the pods of Deployment "shop"`,
		edit(&corev1.Service{}, "web", func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "other"} })),
	refused("a Service that selects other pods too", `the Service "web" selects pods of other workloads too (stranger-x0000)`, func(c *cluster) {
		rs := ownSet("stranger:v1", 1)
		rs.SetName("stranger")
		rs.SetUID("")
		rs.SetOwnerReferences(nil)
		c.add(rs)
		c.kubernetes()
	}),
	refused("a Service of our canary Service's name", `the Service "web-canary", which a release needs for the canary of Service "web", exists already and is not Sluice's`, func(c *cluster) {
		s := webService()
		s.Name, s.UID, s.Spec.Selector = "web-canary", "", map[string]string{"app": "other"}
		c.add(s)
	}),
	refused("an Ingress of our canary Ingress's name", `the Ingress "web-canary-4586ae564e", which this release needs, exists already and is not Sluice's`, func(c *cluster) {
		in := webIngress()
		in.Name, in.UID = "web-canary-4586ae564e", ""
		c.add(in)
	}),
	refused("no Ingress", `spec.traffic names the Ingress "web", which is not in namespace demo: create it, or correct the name`,
		func(c *cluster) { c.deleteNamed(&networkingv1.Ingress{}, "web") }),
	refused("an Ingress that leads elsewhere", "Ingress web has no backend of the workload's Services", edit(&networkingv1.Ingress{}, "web", func(in *networkingv1.Ingress) {
		in.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "other"
	})),
	refused("a match that an Ingress cannot make", "spec.canary.steps[0]", edit(&v1alpha1.Rollout{}, shop, func(ro *v1alpha1.Rollout) {
		ro.Spec.Canary.Steps[0].Match = []v1alpha1.RequestMatch{{Cookies: []v1alpha1.CookieMatch{{Name: "who", Value: "me"}}}}
	})),
	refused("weights that fall", "spec.canary.steps[1]", edit(&v1alpha1.Rollout{}, shop, func(ro *v1alpha1.Rollout) {
		ro.Spec.Canary.Steps = append(ro.Spec.Canary.Steps, v1alpha1.CanaryStep{Weight: ptr.To(int32(20))})
	})),
	{
		name: "a Rollout without a trace is let go", given: on(canary(50), func(c *cluster) { c.delete(c.rollout()) }),
	},
	{
		name: "an idle Rollout that is deleted gives the workload back", given: on(canary(50), adopt, func(c *cluster) { c.delete(c.rollout()) }),
		want: []string{`patch Deployment shop {"metadata":{"labels":{"sluice.dev/rollout":null}}}`, `patch Rollout shop {"metadata":{"finalizers":null}}`},
	},
	{
		name: "a held revision is not let loose by the deletion of its Rollout", given: on(canary(50), adopt, func(c *cluster) {
			c.setImage("shop:v2")
			c.delete(c.rollout())
		}),
		want: []string{
			`patch Deployment shop {"metadata":{"annotations":{"sluice.dev/held-authors":null,"sluice.dev/held-change-by":null},"labels":{"sluice.dev/rollout":null}},"spec":{"paused":null,"template":{"spec":{"containers":[{"image":"shop:v1","name":"web","resources":{}}]}}}}`,
			`patch Rollout shop {"metadata":{"finalizers":null}}`,
		},
	},
	{
		name: "a Decision on a release that never was", given: on(canary(50), adopt, func(c *cluster) { c.decide(v1alpha1.VerbAbort, "shop-7") }),
		want: []string{`status Decision word Refused/ReleaseNotFound`},
	},
	{
		name: "a narrowed Service is given back although somebody has removed the release's record",
		given: on(canary(50), adopt, edit(&corev1.Service{}, "web", narrowed), func(c *cluster) {
			ro := c.rollout()
			ro.Status.CurrentReleaseUID = "gone"
			if err := c.store.Status().Update(c.t.Context(), ro); err != nil {
				c.t.Fatal(err)
			}
		}),
		want: []string{`patch Service web {"spec":{"selector":{"pod-template-hash":null}}}`},
	},
	{
		name:  "a Service that the team has select one revision is left as it is",
		given: on(canary(50), adopt, edit(&corev1.Service{}, "web", narrowed)),
		want:  []string{"status Rollout shop Stalled/SpecRefused"},
	},
	{
		name: "the mark of a former revision goes when somebody undoes", given: on(canary(50), adopt, func(c *cluster) {
			c.setImage("shop:v2")
			d := c.deployment()
			_ = unstructured.SetNestedField(d.Object, "true", "spec", "template", "metadata", "annotations", "sluice.dev/former")
			c.update(d)
		}),
		want: []string{
			`patch Deployment shop {"spec":{"template":{"metadata":{"annotations":{"sluice.dev/former":null}}}}}`,
			`create ControllerRevision shop-e4d085863a3c7c07`, `create Release shop-1`, `status Rollout shop Progressing/Starting`,
		},
		then: []string{`create Hold shop-1-service-web`, `patch Service web {"spec":{"selector":{"pod-template-hash":"zz4xcvxzbc"}}}`},
	},
}

func narrowed(s *corev1.Service) { s.Spec.Selector[v1alpha1.LabelPodTemplateHash] = "zz4xcvxzbc" }

func pause(c *cluster) {
	d := c.deployment()
	_ = unstructured.SetNestedField(d.Object, true, "spec", "paused")
	c.update(d)
}

func TestRows(t *testing.T) {
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			r.given(c)
			c.writes = nil
			written, result, err := c.look()
			if err != nil {
				t.Fatal(err)
			}
			// What a write leads to is seen in the next look, and a release begins when nothing has changed for a moment.
			for range 3 {
				if result.RequeueAfter == 0 || result.RequeueAfter > quiet || len(c.releases()) > 0 {
					break
				}
				c.now = c.now.Add(result.RequeueAfter)
				var then []string
				if then, result, err = c.look(); err != nil {
					t.Fatal(err)
				}
				written = append(written, then...)
			}
			if diff := cmp.Diff(r.want, written, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("writes (-want +got):\n%s", diff)
			}
			if ro := c.rollout(); r.says != "" && (ro.Status.WaitingFor == nil || !strings.Contains(ro.Status.WaitingFor.Message, r.says)) {
				t.Errorf("waits for %+v, want %q", ro.Status.WaitingFor, r.says)
			}
			c.expectEvent(r.event)
			if written, _, err = c.look(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(r.then, written, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("writes of the second look (-want +got):\n%s", diff)
			}
		})
	}
}

func (c *cluster) releases() []v1alpha1.Release {
	c.t.Helper()
	list := &v1alpha1.ReleaseList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	return list.Items
}

// expectEvent looks for an event that begins like this.
func (c *cluster) expectEvent(begins string) {
	c.t.Helper()
	if begins == "" {
		return
	}
	var seen []string
	for {
		select {
		case e := <-c.events.Events:
			if strings.HasPrefix(e, begins) {
				return
			}
			seen = append(seen, e)
			continue
		default:
		}
		c.t.Errorf("no event %q among %q", begins, seen)
		return
	}
}

// TestRejectedRevisionRests: it is not tried again by itself, not even when its record is removed; a retry does, once.
func TestRejectedRevisionRests(t *testing.T) {
	for _, fault := range []bool{false, true} {
		t.Run(fmt.Sprintf("the process dies between the retry and its answer: %v", fault), func(t *testing.T) {
			c := underWay(t)
			play(c, v1alpha1.VerbAbort)
			c.writes = nil
			c.restart()
			c.settle()
			if len(c.writes) > 0 {
				t.Fatalf("writes at rest: %q", c.writes)
			}
			name := c.decide(v1alpha1.VerbRetry, "shop-1")
			c.failure = func(_ int, write string) (error, bool) {
				if fault && strings.HasPrefix(write, "status Decision "+name) {
					fault = false
					c.restart()
					return errLost, false
				}
				return nil, false
			}
			c.promoteAll()
			if rel := c.release("shop-2"); rel == nil || rel.Status.Phase != v1alpha1.ReleaseSucceeded || rel.Spec.Cause != v1alpha1.CauseRetry {
				t.Fatalf("the retry: %s", c.tells())
			}
			d := &v1alpha1.Decision{}
			if c.get(d, name); d.Status.Outcome != v1alpha1.DecisionApplied {
				t.Errorf("the retry was answered %+v", d.Status)
			}
		})
	}
	t.Run("its record is removed", func(t *testing.T) {
		c := underWay(t)
		play(c, v1alpha1.VerbAbort)
		c.delete(c.release("shop-1"))
		c.settle()
		if ro := c.rollout(); ro.Status.Phase != v1alpha1.RolloutRejected || c.release("shop-2") != nil {
			t.Errorf("want it to rest: %s", c.tells())
		}
	})
}

func TestRollback(t *testing.T) {
	c := underWay(t)
	c.promoteAll()
	c.setImage("shop:v3")
	c.promoteAll()
	c.decide(v1alpha1.VerbRollback, "shop-1")
	c.promoteAll()
	rel := c.release("shop-3")
	if rel == nil || rel.Status.Phase != v1alpha1.ReleaseSucceeded || rel.Spec.Cause != v1alpha1.CauseRollback || len(rel.Spec.Plan.Steps) != 1 {
		t.Fatalf("the rollback: %s", c.tells())
	}
	c.expectRest("rolled back", v1alpha1.RolloutHealthy, "shop:v2")
}

// TestRollbackIsWrittenBeforeItIsAnswered: an edit in the very moment of a rollback leaves it to be decided anew.
func TestRollbackIsWrittenBeforeItIsAnswered(t *testing.T) {
	c := underWay(t)
	c.promoteAll()
	c.setImage("shop:v3")
	c.promoteAll()
	name := c.decide(v1alpha1.VerbRollback, "shop-1")
	// The cache shows the workload as it was before this edit.
	before := c.deployment()
	edited := before.DeepCopy()
	edited.SetAnnotations(map[string]string{"team": "note"})
	c.update(edited)
	w, err := c.r.observe(t.Context(), shopKey)
	if err != nil {
		t.Fatal(err)
	}
	w.object = before
	w.look()
	if _, err := c.r.atRest(t.Context(), c.r.Kube.For(shopKey), w); err != nil {
		t.Fatal(err)
	}
	d := &v1alpha1.Decision{}
	if c.get(d, name); d.Status.Outcome != "" {
		t.Errorf("answered %+v, but the template is %v", d.Status, workload.TemplateOf(c.deployment()).Images)
	}
}

// TestAbortOfEarlierTime: when the API server's clock was set back, a release is still aborted.
func TestAbortOfEarlierTime(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	c.settle()
	c.setImage("shop:v2")
	c.settle()
	rel := c.release("shop-1")
	c.add(&v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "early", CreationTimestamp: metav1.NewTime(rel.CreationTimestamp.Add(-time.Hour))},
		Spec:       v1alpha1.DecisionSpec{Release: rel.Name, Verb: v1alpha1.VerbAbort, User: "bob", PlanDigest: rel.Spec.PlanDigest},
	})
	c.settle()
	c.expectEnd("an abort of an earlier time", v1alpha1.ReleaseAborted)
}

func TestDecisionOlderThanItsRelease(t *testing.T) {
	c := newCluster(t, team(canary(25, 50))...)
	old := c.decide(v1alpha1.VerbPromoteFull, "shop-1") // Before a release of this name ever was; nobody was there to answer.
	c.settle()
	d := &v1alpha1.Decision{}
	if c.get(d, old); d.Status.Reason != release.ReasonUnknownDecision {
		t.Fatalf("answered %+v", d.Status)
	}
	c.setImage("shop:v2")
	c.begin("shop-1")
	late := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "late", CreationTimestamp: metav1.NewTime(c.release("shop-1").CreationTimestamp.Add(-5e9))},
		Spec:       v1alpha1.DecisionSpec{Release: "shop-1", Verb: v1alpha1.VerbPromoteFull, User: "bob"},
	}
	c.add(late)
	c.settle()
	if c.get(d, "late"); d.Status.Outcome != v1alpha1.DecisionRefused {
		t.Errorf("answered %+v", d.Status)
	}
	if got := c.rollout().Status.Phase; got != v1alpha1.RolloutPaused {
		t.Errorf("the release went past its pause: %s", c.tells())
	}
}

// TestRefusedWrite: a right that is missing is said with its remedy, in the Release and in the Rollout, and nothing is
// written in a loop meanwhile.
func TestRefusedWrite(t *testing.T) {
	c := underWay(t)
	denied := true
	c.failure = func(_ int, write string) (error, bool) {
		if denied && strings.HasPrefix(write, "patch Service") {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "web", fmt.Errorf("no right")), false
		}
		return nil, false
	}
	for range 60 {
		_, _, _ = c.look()
		c.kubernetes()
		c.now = c.now.Add(200 * 1e6)
	}
	ro, rel := c.rollout(), c.release("shop-1")
	for what, w := range map[string]*v1alpha1.WaitingFor{"Rollout": ro.Status.WaitingFor, "Release": rel.Status.WaitingFor} {
		if w == nil || w.Reason != "Trouble" || !strings.Contains(w.Message, "sluice install") {
			t.Errorf("the %s waits for %+v", what, w)
		}
	}
	statuses := 0
	for _, w := range c.writes {
		if strings.HasPrefix(w, "status") {
			statuses++
		}
	}
	if statuses > 5 {
		t.Errorf("%d status writes in 60 looks:\n%s", statuses, strings.Join(c.writes, "\n"))
	}
	denied = false
	c.promoteAll()
	c.expectRest("with the right", v1alpha1.RolloutHealthy, "shop:v2")
}

// TestHistory: records beyond the limit go, with their Decisions; the numbers go on.
func TestHistory(t *testing.T) {
	ro := canary(50)
	ro.Spec.HistoryLimit = ptr.To(int32(2))
	c := newCluster(t, team(ro)...)
	c.settle()
	for i := 2; i < 6; i++ {
		c.setImage(fmt.Sprintf("shop:v%d", i))
		c.promoteAll()
	}
	var left []string
	for _, o := range c.all() {
		switch o.(type) {
		case *v1alpha1.Release, *v1alpha1.Decision:
			left = append(left, short(o))
		}
	}
	if diff := cmp.Diff([]string{"Release shop-3", "Release shop-4", "Decision word-2", "Decision word-3"}, left); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReleasesOfAnotherRollout: what an earlier Rollout of the same name has left is not taken for our own record.
func TestReleasesOfAnotherRollout(t *testing.T) {
	c := underWay(t)
	c.promoteAll()
	c.delete(c.rollout())
	c.settle()
	if c.release("shop-1") == nil {
		t.Fatal("the record has gone with its Rollout")
	}
	c.setImage("shop:v3") // Nobody holds it now.
	c.settle()
	c.kubernetes()
	anew := canary(50)
	anew.UID = "rollout-2"
	c.add(anew)
	c.settle()
	c.expectRest("made anew", v1alpha1.RolloutHealthy, "shop:v3")
}
