package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestRefusedByTheAPIServer: what the schema forbids is refused by kubectl apply, and by sluice lint without a
// cluster, with the same words.
func TestRefusedByTheAPIServer(t *testing.T) {
	for name, tt := range map[string]struct {
		steps []map[string]any
		words string
	}{
		"WeightOutOfRange": {[]map[string]any{passing(101)}, "spec.canary.steps[0].weight: Invalid value: 101: spec.canary.steps[0].weight in body should be less than or equal to 100"},
		"WeightNegative":   {[]map[string]any{passing(-1)}, "spec.canary.steps[0].weight in body should be greater than or equal to 0"},
		"FallingWeights":   {[]map[string]any{passing(50), passing(20)}, "weights must not fall from one step to the next; to take a version back, abort the release"},
		"NoSteps":          {nil, "spec.canary.steps in body should have at least 1 items"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			rollout := only(w.example("1-nginx/rollout.yaml"), "Rollout")
			set(rollout, []any{}, "spec", "canary", "steps")
			steps(rollout, tt.steps...)
			if tt.steps == nil {
				set(rollout, []any{}, "spec", "canary", "steps")
			}
			out, err := w.tryKubectl(manifest([]*unstructured.Unstructured{rollout}), "apply", "-f", "-")
			if err == nil || !strings.Contains(out, tt.words) {
				t.Errorf("kubectl apply: %v\n%s\nwant %q", err, out, tt.words)
			}
			file := filepath.Join(t.TempDir(), "rollout.yaml")
			must(t, os.WriteFile(file, []byte(manifest([]*unstructured.Unstructured{rollout})), 0o600))
			said, code := w.sluice("lint", "-f", file)
			last := tt.words[strings.LastIndex(tt.words, "body ")+1:]
			if i := strings.Index(last, "should"); i >= 0 {
				last = last[i:]
			}
			if code != 1 || !strings.Contains(said, last) {
				t.Errorf("sluice lint: exit code %d\n%s\nwant %q", code, said, last)
			}
		})
	}
}

// TestRefusedByTheController: what only the world can show is told in the status, and moves nothing.
func TestRefusedByTheController(t *testing.T) {
	type objects = []*unstructured.Unstructured
	for name, tt := range map[string]struct {
		spoil  func(*world, objects) objects
		reason string
		words  []string
	}{
		"UnknownWorkload": {func(_ *world, o objects) objects {
			set(only(o, "Rollout"), "nope", "spec", "workload", "name")
			return o
		}, "WorkloadNotFound", []string{"spec.workload", `"nope"`, "create it, or correct the name"}},
		"UnknownIngress": {func(_ *world, o objects) objects {
			eachLayer(only(o, "Rollout"), func(in map[string]any) { in["name"] = "nope" })
			return o
		}, "SpecRefused", []string{"spec.traffic", "nope", "create it, or correct the name"}},
		"IngressOfAnotherService": {func(w *world, o objects) objects {
			eachLayer(only(o, "Rollout"), func(in map[string]any) { in["name"] = "other" })
			return append(o, w.objects(`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: other}, spec: {ingressClassName: nginx, rules: [{host: other.canary.demo, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: assets, port: {number: 80}}}}]}}]}}`)...)
		}, "SpecRefused", []string{"spec.traffic[].ingress.name", "has no backend of the workload's Services (shop), only of assets"}},
		"ServiceOfOtherPodsToo": {func(_ *world, o objects) objects {
			for _, x := range o {
				if x.GetKind() == "Deployment" {
					set(x, "retail", "spec", "template", "metadata", "labels", "team")
				}
				if x.GetKind() == "Service" && x.GetName() == "shop" {
					set(x, map[string]any{"team": "retail"}, "spec", "selector")
				}
			}
			return o
		}, "SpecRefused", []string{`the Service "shop" selects pods of other workloads too`, "assets", "give it a selector"}},
		"MatchThatTheLayerCannot": {func(_ *world, o objects) objects {
			first := step(20)
			first["match"] = headers("X-A", "1", "X-B", "2")
			steps(only(o, "Rollout"), first)
			return o
		}, "SpecRefused", []string{"spec.canary.steps[0].match[0].headers[1]", "ingress-nginx can match one header; keep one"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			all := tt.spoil(w, w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml"))
			w.apply(without(all, "Rollout")...)
			w.ready("shop", "assets")
			before, pods, load := w.team(), names(w), w.load()
			generation := w.deployment().Generation
			w.apply(only(all, "Rollout"))
			w.stalled("shop", tt.reason, tt.words...)
			w.nothingMoved(before, pods, generation)
			load.next(t, 100)
			noneFailed(t, load.end())
		})
	}
}

// stalled waits until a Rollout says what a person has to mend. The controller may have looked before it knew of all that
// the test has applied, and then says so first.
func (w *world) stalled(name, reason string, words ...string) {
	w.Helper()
	r := &v1alpha1.Rollout{}
	until(w, long, "the Rollout "+name+" is Stalled", func() error {
		if err := w.get(r, name); err != nil {
			return err
		}
		c := condition(r, v1alpha1.ConditionStalled)
		if r.Status.Phase != v1alpha1.RolloutStalled || c == nil || c.Status != "True" {
			return fmt.Errorf("it is %s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
		}
		if c.Reason != reason {
			return fmt.Errorf("the Stalled condition's reason is %s, want %s: %s", c.Reason, reason, c.Message)
		}
		for _, word := range words {
			if !strings.Contains(c.Message, word) {
				return fmt.Errorf("the Stalled condition says %q; want %q in it", c.Message, word)
			}
		}
		return nil
	})
	c := condition(r, v1alpha1.ConditionStalled)
	if r.Status.WaitingFor == nil || r.Status.WaitingFor.Message != c.Message || r.Status.WaitingFor.Who == "" {
		w.Errorf("waitingFor is %+v, want the Stalled condition's message and somebody to mend it", r.Status.WaitingFor)
	}
	if out, code := w.sluice("status", name); code != 1 {
		w.Errorf("sluice status: exit code %d, want 1: %s", code, out)
	}
}

// nothingMoved has the test fail if a pod, a route or the workload was touched.
func (w *world) nothingMoved(before team, pods string, generation int64) {
	w.Helper()
	w.nothingLeft(before)
	if got := names(w); got != pods {
		w.Errorf("pods are %s, were %s", got, pods)
	}
	if d := w.deployment(); d.Generation != generation {
		w.Errorf("the Deployment's spec was changed: generation %d, was %d", d.Generation, generation)
	}
	releases := &v1alpha1.ReleaseList{}
	if w.list(releases); len(releases.Items) > 0 {
		w.Errorf("there is a release: %s", releases.Items[0].Name)
	}
}

// TestTwoRollouts: the second for one workload is refused, and the first goes on.
func TestTwoRollouts(t *testing.T) {
	w := newWorld(t)
	w.start(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")...)
	before, load := w.team(), w.load()
	second := only(w.example("1-nginx/rollout.yaml"), "Rollout")
	second.SetName("second")
	w.apply(second)
	w.stalled("second", "WorkloadTaken", `the Deployment "shop"`, `the Rollout "shop" releases already`, "delete one of the two")
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.noFurther("second-1")
	w.kubectl("delete", "rollout", "second", "--timeout=60s")
	load.sharedOut(t, 400, "green", 20)
	w.mustSluice("promote", "shop", "--full")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// TestCannotStart releases templates whose pods never become ready: no request reaches them, and the release is
// taken back with a reason.
func TestCannotStart(t *testing.T) {
	for name, tt := range map[string]struct {
		colour, quota string
		words         []string
	}{
		"UnknownImage": {colour: "nosuch", words: []string{"0 of 1 new pods", "ImagePull"}},
		"Crash":        {colour: "crash", words: []string{"0 of 1 new pods", "CrashLoopBackOff"}},
		"Quota":        {colour: "green", quota: "5", words: []string{"0 of 1 new pods", "exceeded quota"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
			set(only(objects, "Rollout"), "8s", "spec", "progressDeadline")
			w.start(objects...)
			if tt.quota != "" {
				w.apply(w.objects(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: pods}, spec: {hard: {pods: "` + tt.quota + `"}}}`)...)
				until(t, short, "the quota is counted", func() error {
					if out := w.kubectl("get", "resourcequota", "pods", "-o", "jsonpath={.status.used.pods}"); out != "5" {
						return fmt.Errorf("used: %s", out)
					}
					return nil
				})
			}
			before, blue, load := w.team(), names(w), w.load()
			w.setImage(tt.colour)
			rel := w.ended("shop-1", v1alpha1.ReleaseAborted)
			w.phase(v1alpha1.RolloutRejected)
			for _, word := range tt.words {
				if !strings.Contains(rel.Status.Result+rel.Status.Memory.EndMessage, word) {
					t.Errorf("the record says %q, %q; want %q in it", rel.Status.Result, rel.Status.Memory.EndMessage, word)
				}
			}
			w.nothingLeft(before)
			w.onlyPods("blue", 4)
			if got := names(w); got != blue {
				t.Errorf("pods are %s, were %s", got, blue)
			}
			all := load.end()
			noneFailed(t, all)
			if got := versions(all); len(got) != 1 || got["blue"] == 0 {
				t.Errorf("requests were answered by %v, want blue alone", got)
			}
		})
	}
}
