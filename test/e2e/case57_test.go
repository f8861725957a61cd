package e2e

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestCase5Pods is the first point of case 5: without a layer, requests are split by the number of pods. The Ingress
// by which the client comes is not named by the Rollout.
func TestCase5Pods(t *testing.T) {
	w := newWorld(t)
	front := w.objects(`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: front}, spec: {ingressClassName: nginx, rules: [{host: canary.demo, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {number: 80}}}}]}}]}}`)
	objects := w.example("5-split/shop.yaml", "5-split/rollout.yaml")
	w.start(append(objects, front...)...)
	before, load := w.team(), w.load()
	w.journal.count()

	w.setImage("green")
	for step, weight := range []float64{20, 50} {
		w.atStep("shop-1", int32(step+1))
		blue, green := readyPods(w)
		nearest(t, blue, green, weight)
		load.sharedOut(t, 500, "green", 100*float64(green)/float64(blue+green))
		w.mustSluice("promote", "shop")
	}
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 10)
	w.startedOnce("green", 10)
	w.startedOnce("blue", 10)
	w.nothingLeft(before)
	if least := w.journal.least(); least < 10 {
		t.Errorf("there were only %d ready pods at a time, want 10 throughout", least)
	}
	noneFailed(t, load.end())
}

func readyPods(w *world) (blue, green int) {
	w.Helper()
	for _, p := range w.pods() {
		if _, ready := podReadyAt(&p); !ready || p.DeletionTimestamp != nil {
			continue
		}
		if colourOf(&p) == "blue" {
			blue++
		} else {
			green++
		}
	}
	return blue, green
}

// nearest has the test fail if one pod more or less of the new version would be nearer to the weight.
func nearest(t *testing.T, blue, green int, weight float64) {
	t.Helper()
	off := func(n int) float64 { return math.Abs(100*float64(n)/float64(blue+n) - weight) }
	if off(green) > off(green+1) || off(green) > off(green-1) {
		t.Errorf("%d blue and %d green pods are ready: not the nearest to %g%%", blue, green, weight)
	}
	t.Logf("%g%%: %d blue and %d green pods", weight, blue, green)
}

// smoke is case 7 in its first step, where a person decides.
func smoke(t *testing.T) (*world, team, *load) {
	t.Helper()
	w := newWorld(t)
	objects := w.example("7-smoke/shop.yaml", "7-smoke/rollout.yaml")
	eachStep(only(objects, "Rollout"), func(step map[string]any) {
		if _, checked := step["analysis"]; checked {
			delete(step, "analysis")
			step["pause"] = map[string]any{}
		}
	})
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	if _, green := readyPods(w); green != 1 {
		t.Errorf("%d green pods are ready, want 1 (replicas: 1)", green)
	}
	w.allFrom("green", 50, w.to("/color", "X-Canary", "always"))
	load.next(t, 400)
	if got := versions(load.between(time.Time{}, time.Now())); got["green"] > 0 {
		t.Errorf("ordinary requests were answered by %v, want blue alone", got)
	}
	return w, before, load
}

// TestCase7SmokePromote lets a version live after its smoke test.
func TestCase7SmokePromote(t *testing.T) {
	w, before, load := smoke(t)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.startedOnce("green", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// TestCase7SmokeAbort takes it down: no ordinary request has ever reached it.
func TestCase7SmokeAbort(t *testing.T) {
	w, before, load := smoke(t)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 4)
	w.nothingLeft(before)
	all := load.end()
	noneFailed(t, all)
	if got := versions(all); got["green"] > 0 {
		t.Errorf("ordinary requests were answered by %v, want blue alone", got)
	}
}

// TestReplicasOne releases a workload of a single pod.
func TestReplicasOne(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	set(only(objects, "Deployment"), int64(1), "spec", "replicas")
	steps(only(objects, "Rollout"), step(20), passing(50))
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	load.sharedOut(t, 400, "green", 20)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 1)
	w.startedOnce("green", 1)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// TestScaleDuringRelease scales the workload up and down while a release stands in its steps.
func TestScaleDuringRelease(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(only(objects, "Rollout"), step(20), step(50))
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)

	w.kubectl("scale", "deployment/shop", "--replicas=9")
	until(t, long, "there are 9 blue and 2 green pods", func() error { return counted(w, 9, 2) })
	if r := w.atStep("shop-1", 1); *r.Status.Weight != 20 {
		t.Errorf("a scale changed the weight to %d", *r.Status.Weight)
	}
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	until(t, long, "there are 9 blue and 5 green pods", func() error { return counted(w, 9, 5) })

	w.kubectl("scale", "deployment/shop", "--replicas=6")
	until(t, long, "there are 6 blue pods, and enough green ones", func() error {
		if blue, green := readyPods(w); blue != 6 || green < 3 {
			return counted(w, 6, 3)
		}
		return nil
	})
	load.sharedOut(t, 400, "green", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 6)
	w.nothingLeft(before)
	if n := *w.deployment().Spec.Replicas; n != 6 {
		t.Errorf("spec.replicas is %d, the team said 6", n)
	}
	noneFailed(t, load.end())
}

func counted(w *world, blue, green int) error {
	if b, g := readyPods(w); b != blue || g != green {
		return fmt.Errorf("%d blue and %d green pods are ready", b, g)
	}
	return nil
}
