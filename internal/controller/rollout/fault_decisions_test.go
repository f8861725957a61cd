package rollout

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// words writes many Decisions on a release.
func (c *cluster) wordsOn(verb v1alpha1.DecisionVerb, release string, n int) {
	c.t.Helper()
	for i := range n {
		c.add(&v1alpha1.Decision{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%s-%04d", release, strings.ToLower(string(verb)), i)},
			Spec:       v1alpha1.DecisionSpec{Release: release, Verb: verb, User: "bob", Comment: strings.Repeat("界", 1024)},
		})
	}
}

func (c *cluster) decisions() (unanswered int, reasons map[string]int) {
	c.t.Helper()
	list := &v1alpha1.DecisionList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	reasons = map[string]int{}
	for _, d := range list.Items {
		if d.Status.Outcome == "" {
			unanswered++
		}
		reasons[d.Status.Reason]++
	}
	return unanswered, reasons
}

// TestFaultA7Flood: hundreds of unanswered Decisions are answered in batches, what is too much is refused with a reason,
// and an abort that comes last is heard first.
func TestFaultA7Flood(t *testing.T) {
	for name, verbs := range map[string][]v1alpha1.DecisionVerb{
		"33 promotions":       {v1alpha1.VerbResume},
		"pauses and resumes":  {v1alpha1.VerbPause, v1alpha1.VerbResume},
		"hundreds of aborts":  {v1alpha1.VerbAbort, v1alpha1.VerbAbort},
		"words on no release": {v1alpha1.VerbRetry, v1alpha1.VerbRollback},
	} {
		t.Run(name, func(t *testing.T) {
			c := underWay(t)
			c.settle()
			for i, verb := range verbs {
				on := "shop-1"
				if verb == v1alpha1.VerbRetry || verb == v1alpha1.VerbRollback {
					on = fmt.Sprintf("shop-%d", 7+i)
				}
				if i == 1 && on == "shop-1" && verb == verbs[0] {
					break
				}
				c.wordsOn(verb, on, 33+i*100)
			}
			c.now = c.now.Add(2 * time.Second)
			c.decide(v1alpha1.VerbAbort, "shop-1")
			for range 2 {
				if _, _, err := c.look(); err != nil {
					t.Fatal(err)
				}
			}
			if p := c.release("shop-1").Status.Phase; p != v1alpha1.ReleaseAborting && p != v1alpha1.ReleaseAborted {
				t.Errorf("after two looks the release is %s: %s", p, c.tells())
			}
			if n := len(c.release("shop-1").Status.Memory.Answers); n > mostAnswers {
				t.Errorf("%d answers in the memory", n)
			}
			c.settle()
			if left, reasons := c.decisions(); left > 0 {
				t.Errorf("%d are never answered: %v", left, reasons)
			}
		})
	}
}

// TestFaultA7FloodOfAborts: whoever writes thousands of aborts and rejections that do not count keeps nobody else waiting.
func TestFaultA7FloodOfAborts(t *testing.T) {
	for name, flood := range map[string]v1alpha1.DecisionSpec{
		"of another plan": {Verb: v1alpha1.VerbAbort, PlanDigest: "sha256:0000"},
		"by no approver":  {Verb: v1alpha1.VerbReject},
	} {
		t.Run(name, func(t *testing.T) {
			c := underWay(t)
			c.settle()
			flood.Release, flood.User = "shop-1", "mallory"
			if flood.PlanDigest == "" {
				flood.PlanDigest = c.release("shop-1").Spec.PlanDigest
			}
			for i := range 1000 {
				c.add(&v1alpha1.Decision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("flood-%04d", i)}, Spec: flood})
			}
			c.now = c.now.Add(2 * time.Second)
			c.decide(v1alpha1.VerbAbort, "shop-1")
			if _, _, err := c.look(); err != nil {
				t.Fatal(err)
			}
			if p := c.release("shop-1").Status.Phase; p != v1alpha1.ReleaseAborting && p != v1alpha1.ReleaseAborted {
				t.Errorf("after a look the release is %s: %s", p, c.tells())
			}
		})
	}
}

// TestFaultA7TooMany: beyond 64 that wait, words are refused with a reason, and answered ones do not pile up.
func TestFaultA7TooMany(t *testing.T) {
	c := underWay(t)
	c.settle()
	c.wordsOn(v1alpha1.VerbResume, "shop-1", mostKept+mostWaiting+50)
	written, result, err := c.look()
	if err != nil || len(written) > 3*wordsPerLook || result.RequeueAfter > time.Second {
		t.Fatalf("one look writes %d times, and comes back in %s: %v", len(written), result.RequeueAfter, err)
	}
	c.settle()
	left, reasons := c.decisions()
	if left > 0 || reasons[ReasonTooManyDecisions] == 0 {
		t.Errorf("%d unanswered, %v", left, reasons)
	}
	if all := reasons[ReasonTooManyDecisions] + reasons[release.RefusedNotPaused]; all > mostKept+wordsPerLook {
		t.Errorf("%d answered Decisions are kept", all)
	}
}

// TestFaultA7InvalidStatus: a status that the API server does not store stops neither an abort nor a release.
func TestFaultA7InvalidStatus(t *testing.T) {
	invalid := apierrors.NewInvalid(schema.GroupKind{Group: "sluice.dev", Kind: "Release"}, "shop-1", nil)
	for name, refuses := range map[string]func(string) bool{
		"all statuses":          func(write string) bool { return strings.HasPrefix(write, "status Release/") },
		"the first try of each": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := underWay(t)
			c.settle()
			c.decide(v1alpha1.VerbAbort, "shop-1")
			last := ""
			c.failure = func(_ int, write string) (error, bool) {
				status := strings.HasPrefix(write, "status Release")
				refused := status && (refuses != nil || last != write)
				last = write
				if refused {
					return invalid, false
				}
				return nil, false
			}
			for range 40 {
				_, _, _ = c.look()
				c.kubernetes()
				c.now = c.now.Add(time.Second)
			}
			if layer := c.pods(nil); len(layer) == 0 {
				t.Fatal("no pods")
			}
			for _, w := range c.writes {
				if strings.Contains(w, "Ingress") && strings.HasPrefix(w, "delete") {
					return // The requests have gone back to stable.
				}
			}
			t.Errorf("the canary's route is still there; the last writes: %s", strings.Join(c.writes[max(0, len(c.writes)-8):], "\n"))
		})
	}
}

// TestFaultA15StrayDecisions: a Decision on a release of no Rollout is answered within one look, and removed an hour later;
// so is one that names no release at all.
func TestFaultA15StrayDecisions(t *testing.T) {
	c := newCluster(t)
	for _, on := range []string{"ghost-1", "ghost", "x-y-z"} {
		c.wordsOn(v1alpha1.VerbAbort, on, 1)
		key := keyOfDecision(&v1alpha1.Decision{Spec: v1alpha1.DecisionSpec{Release: on}})
		look := func() ctrl.Result {
			result, err := c.r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: key}})
			if err != nil {
				t.Fatal(err)
			}
			return result
		}
		if r := look(); r.RequeueAfter == 0 || r.RequeueAfter > strayFor {
			t.Errorf("%s: it comes back in %s", on, r.RequeueAfter)
		}
		if left, reasons := c.decisions(); left > 0 || reasons[release.ReasonUnknownDecision] != 1 {
			t.Errorf("%s: %d unanswered, %v", on, left, reasons)
		}
		c.now = c.now.Add(strayFor + time.Minute)
		look()
		if _, reasons := c.decisions(); len(reasons) > 0 {
			t.Errorf("%s: it is still there: %v", on, reasons)
		}
	}
}
