package rollout

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube/bound/boundtest"
	"github.com/sluice-dev/sluice/internal/workload"
)

// poisons write something into the objects of a release under way that the API server takes. What is not even taken says
// false.
var poisons = []func(c *cluster, key, value string) bool{
	func(c *cluster, _, value string) bool { // 0
		rel := c.release("shop-1")
		before := rel.Status.DeepCopy()
		rel.Status = v1alpha1.ReleaseStatus{}
		return into(value, &rel.Status) && phaseTaken(rel, before) && c.putStatus(rel)
	},
	func(c *cluster, _, value string) bool { // 1
		rel := c.release("shop-1")
		rel.Status.Memory = &v1alpha1.ReleaseMemory{}
		return into(value, rel.Status.Memory) && c.putStatus(rel)
	},
	func(c *cluster, _, value string) bool { // 2
		ro := c.rollout()
		return into(value, &ro.Status) && c.putStatus(ro)
	},
	func(c *cluster, _, value string) bool { // 3
		if o := (map[string]any{}); !into(value, &o) || o == nil {
			return false
		}
		for _, o := range c.all() {
			if h, ok := o.(*v1alpha1.Hold); ok {
				h.Spec.Original = &runtime.RawExtension{Raw: []byte(value)}
				c.update(h)
			}
		}
		return true
	},
	func(c *cluster, key, value string) bool { return c.annotate(c.deployment(), key, value) },      // 4
	func(c *cluster, key, value string) bool { return c.labelled(c.deployment(), key, value) },      // 5
	func(c *cluster, key, value string) bool { return c.eachSet(key, value, c.annotate) },           // 6
	func(c *cluster, key, value string) bool { return c.eachSet(key, value, c.labelled) },           // 7
	func(c *cluster, key, value string) bool { return c.eachService(key, value, c.annotate) },       // 8
	func(c *cluster, key, value string) bool { return c.eachService(key, value, c.labelled) },       // 9
	func(c *cluster, key, value string) bool { return c.eachIngress(key, value, c.annotate) },       // 10
	func(c *cluster, key, value string) bool { return c.eachIngress(key, value, c.labelled) },       // 11
	func(c *cluster, key, value string) bool { return c.eachSet(key, value, c.withoutLabels) },      // 12
	func(c *cluster, key, value string) bool { return c.oddDecisions(key, value) },                  // 13
	func(c *cluster, key, value string) bool { return c.oddRun(key, value) },                        // 14
	func(c *cluster, key, value string) bool { return c.annotate(c.release("shop-1"), key, value) }, // 15
}

func into(text string, o any) bool { return json.Unmarshal([]byte(text), o) == nil }

// phaseTaken: the API server knows the phases, and a release that has ended is another matter.
func phaseTaken(rel *v1alpha1.Release, before *v1alpha1.ReleaseStatus) bool {
	if rel.Status.Phase == "" {
		rel.Status.Phase = before.Phase
	}
	return slices.Contains([]v1alpha1.ReleasePhase{
		v1alpha1.ReleaseProgressing, v1alpha1.ReleasePaused, v1alpha1.ReleaseCompleting, v1alpha1.ReleaseAborting,
	}, rel.Status.Phase)
}

// putStatus writes a status as anybody may who has the right to; the API server refuses what the CRD does not allow.
func (c *cluster) putStatus(o client.Object) bool {
	return boundtest.Check(reflect.TypeOf(o).Elem().Name(), o) == nil && c.store.Status().Update(c.t.Context(), o) == nil
}

func (c *cluster) annotate(o client.Object, key, value string) bool {
	if len(validation.IsQualifiedName(strings.ToLower(key))) > 0 {
		return false
	}
	all := o.GetAnnotations()
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	o.SetAnnotations(all)
	return c.store.Update(c.t.Context(), o) == nil
}

func (c *cluster) labelled(o client.Object, key, value string) bool {
	if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
		return false
	}
	all := o.GetLabels()
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	o.SetLabels(all)
	return c.store.Update(c.t.Context(), o) == nil
}

func (c *cluster) withoutLabels(o client.Object, _, _ string) bool {
	o.SetLabels(nil)
	return c.store.Update(c.t.Context(), o) == nil
}

type writing = func(o client.Object, key, value string) bool

func (c *cluster) eachSet(key, value string, do writing) bool {
	for _, rs := range c.sets() {
		if !do(&rs, key, value) {
			return false
		}
	}
	return true
}

func (c *cluster) eachService(key, value string, do writing) bool {
	for _, o := range c.all() {
		if s, ok := o.(*corev1.Service); ok && !do(s, key, value) {
			return false
		}
	}
	return true
}

func (c *cluster) eachIngress(key, value string, do writing) bool {
	for _, o := range c.all() {
		if in, ok := o.(*networkingv1.Ingress); ok && !do(in, key, value) {
			return false
		}
	}
	return true
}

// oddDecisions have each verb, and otherwise anything.
func (c *cluster) oddDecisions(key, value string) bool {
	for i, verb := range []v1alpha1.DecisionVerb{
		v1alpha1.VerbPromote, v1alpha1.VerbPause, v1alpha1.VerbResume, v1alpha1.VerbApprove, v1alpha1.VerbReject, v1alpha1.VerbRetry, v1alpha1.VerbRollback,
	} {
		d := &v1alpha1.Decision{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("odd-%d", i)},
			Spec: v1alpha1.DecisionSpec{
				Release: "shop-1", Verb: verb, User: value, Step: key, PlanDigest: value, Comment: value, Groups: []string{key, value, ""},
			},
		}
		c.add(d)
	}
	c.add(&v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "odd"}, Spec: v1alpha1.DecisionSpec{Release: "shop-" + value, Verb: v1alpha1.VerbAbort, User: key},
	})
	return true
}

// oddRun is an AnalysisRun that the release is made to own.
func (c *cluster) oddRun(key, value string) bool {
	if len(validation.IsValidLabelValue(key)) > 0 {
		return false
	}
	rel := c.release("shop-1")
	run := &v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "odd", Labels: map[string]string{v1alpha1.LabelRollout: shop, labelAnalysis: key},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rel, v1alpha1.GroupVersion.WithKind("Release"))},
	}}
	if !into(value, &run.Status) {
		return false
	}
	c.add(run)
	return true
}

// outlives lets time pass with the poison in place. It has the test fail on a panic, and on work without end.
func (c *cluster) outlives(what string) (lastErr error) {
	c.t.Helper()
	defer func() {
		if p := recover(); p != nil {
			c.t.Fatalf("%s: panic: %v\n%s", what, p, debug.Stack())
		}
	}()
	const looks = 40
	late, quiet := 0, 0
	for i := 0; i < looks && quiet < 3; i++ {
		written, result, err := c.look()
		lastErr = err
		if i >= looks-20 {
			late += len(written)
		}
		moved := c.kubernetes()
		switch {
		case err != nil || len(written) > 0 || moved:
			c.now, quiet = c.now.Add(100*time.Millisecond), 0
		default:
			quiet++
			c.now = c.now.Add(max(result.RequeueAfter, time.Second))
		}
	}
	if late > 20 {
		c.t.Errorf("%s: %d writes in the last 20 looks: %s; the last:\n%s", what, late, c.tells(), strings.Join(c.writes[max(0, len(c.writes)-6):], "\n"))
	}
	return lastErr
}

// saysWhy is whether anybody can see why a Rollout does not go on.
func (c *cluster) saysWhy() bool {
	ro := c.rollout()
	if ro == nil {
		return true
	}
	rel := c.release("shop-1")
	return ro.Status.WaitingFor != nil && ro.Status.WaitingFor.Message != "" || rel != nil && rel.Status.WaitingFor != nil && rel.Status.WaitingFor.Message != ""
}

// oddMemories are what a release may find that it remembers.
var oddMemories = []string{
	`{}`, `{"step":-1}`, `{"step":2147483647}`, `{"step":1,"stepStartedAt":"0001-01-01T00:00:00.000000Z"}`,
	`{"step":0,"stepReachedAt":"9999-12-31T23:59:59.000000Z","drainFrom":"9999-12-31T23:59:59.000000Z"}`,
	`{"step":0,"measured":-2147483648,"measuredBackground":2147483647,"told":"nonsense","toldBackground":"\u0000"}`,
	`{"step":0,"pausedBy":"\u0007","pausedAt":"1677-09-21T00:12:43.000000Z","full":true,"promoted":true,"handedOver":true,"overdue":true}`,
	`{"step":0,"end":"Nonsense","endMessage":""}`, `{"step":0,"end":"AbortedByUser"}`,
	`{"step":0,"approvals":[{"user":"","at":"2026-11-20T09:00:00.000000Z"},{"user":"x","at":"9999-12-31T23:59:59.000000Z"}],"askedAt":"2026-11-20T09:00:00.000000Z"}`,
	`{"step":0,"answers":[{"decision":"word","outcome":"Nonsense","reason":"","message":""},{"decision":"","outcome":"Applied"}]}`,
}

// oddKeys are the annotations and labels that are read, by the poison that writes them.
var oddKeys = map[uint8][]string{
	4: {v1alpha1.AnnotationHeld, "sluice.dev/held-change-cause", workload.AnnotationKept, "sluice.dev/cached-template", "sluice.dev/former"},
	5: {v1alpha1.LabelRollout, "app"},
	6: {"sluice.dev/former", "deployment.kubernetes.io/revision", "sluice.dev/cached-template", "deployment.kubernetes.io/max-replicas", "deployment.kubernetes.io/desired-replicas"},
	7: {v1alpha1.LabelRollout, v1alpha1.LabelRelease, v1alpha1.LabelPodTemplateHash, "app"},
	8: {v1alpha1.LabelRollout},
	9: {v1alpha1.LabelRollout, v1alpha1.LabelRelease},
	10: {
		"sluice.dev/changed-at", "sluice.dev/cookie-first", "nginx.ingress.kubernetes.io/canary", "nginx.ingress.kubernetes.io/canary-weight",
		"nginx.ingress.kubernetes.io/canary-weight-total", "nginx.ingress.kubernetes.io/canary-by-header", "sluice.dev/changed-at",
	},
	11: {v1alpha1.LabelRollout, v1alpha1.LabelRelease},
	15: {v1alpha1.AnnotationHeld},
}

// FuzzPoison: whatever somebody writes into the objects of a release under way, nothing panics, the work is bounded, and
// it goes on, ends, or says why not; and when it has been taken back, no poison is in the way of the next.
func FuzzPoison(f *testing.F) {
	for i, m := range oddMemories {
		f.Add(uint8(1), "", m)
		phase := []string{"Progressing", "Aborting", "Completing", "Paused"}[i%4]
		f.Add(uint8(0), "", fmt.Sprintf(`{"phase":%q,"memory":%s}`, phase, m))
	}
	for _, s := range []string{
		`{"phase":"Healthy","stable":{"hash":"","podTemplateHash":""},"lastNumber":9223372036854775807}`, `{"lastNumber":-1,"currentRelease":"shop-7"}`,
		`{"stable":{"hash":"nonsense","podTemplateHash":"zz4xcvxzbc"}}`, `{"phase":"Stalled","observedGeneration":-5,"weight":-3}`,
	} {
		f.Add(uint8(2), "", s)
	}
	for _, o := range []string{
		`{}`, `{"selector":null}`, `{"selector":"x"}`, `{"selector":{"app":5}}`, `{"selector":{"app":"other"}}`,
		`{"rules":{}}`, `{"rules":[null,1,{"backendRefs":5}]}`, `{"selector":{"":"","pod-template-hash":"x"}}`,
	} {
		f.Add(uint8(3), "", o)
	}
	for where, keys := range oddKeys {
		for i, key := range keys {
			f.Add(where, key, []string{"nonsense", "", `{"hash":"nonsense"}`, "-99999999999999999999"}[i%4])
		}
	}
	f.Add(uint8(12), "", "")
	f.Add(uint8(13), "step-1", "nonsense")
	f.Add(uint8(13), "", "\x00\u202e")
	for i, key := range []string{"step-0-0", "step-99-0", "background-0-0", "step-0-99999999999999999999", "--", "step-1-1"} {
		f.Add(uint8(14), key, []string{`{"phase":"Failed"}`, `{"phase":"Nonsense"}`, `{"phase":"Successful","metrics":[{"name":"","evidence":"{"}]}`}[i%3])
	}
	f.Fuzz(func(t *testing.T, where uint8, key, value string) {
		t.Parallel()
		poisoned(t, int(where)%len(poisons), (len(key)+len(value))%3, key, value)
	})
}

func poisoned(t *testing.T, where, moment int, key, value string) {
	t.Helper()
	c := underWay(t)
	what := fmt.Sprintf("poison %d at %d with %q, %q", where, moment, key, value)
	c.begin("shop-1")
	c.kubernetes()
	for range 2 {
		c.mustLook()
		c.kubernetes()
	}
	switch moment {
	case 1: // It stands still in its second step.
		c.settle()
	case 2: // It is being completed.
		c.settle()
		c.decide(v1alpha1.VerbPromote, "shop-1")
		for range 3 {
			_, _, _ = c.look()
			c.kubernetes()
		}
	}
	if c.release("shop-1").Status.Phase.Terminal() || !poisons[where](c, key, value) {
		return
	}
	if err := c.outlives(what); err != nil && !c.saysWhy() {
		t.Errorf("%s: it fails and nobody is told why: %v\n%s", what, err, c.tells())
	}
	if rel := c.release("shop-1"); rel == nil || rel.Status.Phase.Terminal() {
		return
	}
	c.decide(v1alpha1.VerbAbort, "shop-1")
	if err := c.outlives(what + ", then an abort"); err != nil && !c.saysWhy() {
		t.Errorf("%s: the abort fails and nobody is told why: %v\n%s", what, err, c.tells())
	}
	if rel := c.release("shop-1"); rel != nil && !rel.Status.Phase.Terminal() && !c.saysWhy() {
		t.Errorf("%s: an abort does not end it, and nobody is told why: %s", what, c.tells())
	}
}
