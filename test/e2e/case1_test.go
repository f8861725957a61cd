package e2e

import (
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// nginx is case 1: the team's Deployment, Service and Ingress, another team's service at /static, and a Rollout.
func nginx(t *testing.T) (*world, team) {
	t.Helper()
	w := newWorld(t)
	w.start(append(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml"), w.example("1-nginx/rollout.yaml")...)...)
	w.serves(w.to("/color"))
	w.journal.count()
	return w, w.team()
}

// TestCase1TakeOver is point 1: a Rollout for what already runs restarts no pod and changes no route.
func TestCase1TakeOver(t *testing.T) {
	w := newWorld(t)
	w.apply(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml")...)
	w.ready("shop", "assets")
	load := w.load()
	before, pods, generation := w.team(), names(w), w.deployment().Generation

	w.apply(w.example("1-nginx/rollout.yaml")...)
	r := w.phase(v1alpha1.RolloutHealthy)

	load.next(t, 200)
	noneFailed(t, load.end())
	w.nothingLeft(before)
	if got := names(w); got != pods {
		t.Errorf("pods are %s, were %s", got, pods)
	}
	if d := w.deployment(); d.Generation != generation {
		t.Errorf("the Deployment's spec was changed: generation %d, was %d", d.Generation, generation)
	}
	ready := condition(r, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != "True" {
		t.Errorf("condition Ready is %+v", ready)
	}
	if held := condition(r, v1alpha1.ConditionHeld); held == nil || held.Reason != v1alpha1.ReasonAdmissionPolicy {
		t.Errorf("condition Held is %+v", held)
	}
}

// TestCase1Release is points 2 to 5.
func TestCase1Release(t *testing.T) {
	w, before := nginx(t)
	load, assets := w.load(), w.loadOn(w.to("/static/logo.png"), 10)
	blue := names(w)

	w.setImage("green")
	rel := w.atStep("shop-1", 1)
	canaryAfterPods(w)
	if got := names(w); !strings.HasPrefix(got, blue) {
		t.Errorf("pods are %s; the blue ones were %s", got, blue)
	}
	if rel.Spec.To.Images[0].Image != "argoproj/rollouts-demo:green" || rel.Spec.Author == "" {
		t.Errorf("shop-1 releases %+v for %q", rel.Spec.To, rel.Spec.Author)
	}
	load.sharedOut(t, 1000, "green", 20)
	w.allFrom("green", 50, w.to("/color", "X-Canary", "always"))
	w.allFrom("green", 50, w.to("/api/color", "X-Canary", "always"))
	w.allFrom("green", 50, w.to("/color", "Cookie", "canary=always"))
	w.allFrom("blue", 50, w.to("/color", "X-Canary", "never"))
	w.allFrom("purple", 50, w.to("/static/x", "X-Canary", "always"))

	if out := w.mustSluice("promote", "shop"); !strings.Contains(out, "shop-1") {
		t.Errorf("sluice promote does not say what it promoted: %s", out)
	}
	rel = w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.allFrom("green", 50, w.to("/color"))

	all := load.end()
	noneFailed(t, all)
	for step, percent := range map[int32]float64{2: 50, 3: 70} {
		span := w.journal.window(t, "shop-1", step)
		got := load.between(span.from, span.to)
		t.Logf("step %d: %d requests %v", step, len(got), versions(got))
		if d := deviation(got, "green", percent); d > 4 || len(got) < 300 {
			t.Errorf("step %d: of %d requests %v, %.1f standard deviations from %g%%", step, len(got), versions(got), d, percent)
		}
	}
	noneFailed(t, assets.end())
	if v := versions(assets.between(all[0].at, all[len(all)-1].at)); len(v) != 1 || v["purple"] == 0 {
		t.Errorf("/static was answered by %v, want assets alone", v)
	}
	completed(w, before, rel)
}

// completed is point 5: the pods that served as canary are the workload's own, and nothing else has changed.
func completed(w *world, before team, rel *v1alpha1.Release) {
	w.Helper()
	w.onlyPods("green", 4)
	w.startedOnce("green", 4)
	w.startedOnce("blue", 4)
	w.nothingLeft(before)
	d := w.deployment()
	if *d.Spec.Replicas != 4 || d.Annotations["deployment.kubernetes.io/revision"] != "2" {
		w.Errorf("%d replicas at revision %s, want 4 at 2", *d.Spec.Replicas, d.Annotations["deployment.kubernetes.io/revision"])
	}
	if out := w.kubectl("rollout", "history", "deployment/shop"); !strings.Contains(out, "\n2 ") {
		w.Errorf("kubectl rollout history has no revision 2:\n%s", out)
	}
	w.kubectl("rollout", "status", "deployment/shop", "--timeout=10s")
	if least := w.journal.least(); least < 4 {
		w.Errorf("there were only %d ready pods at a time", least)
	}
	if len(rel.Status.Timeline) == 0 || rel.Status.FinishedAt == nil {
		w.Errorf("the record is %+v", rel.Status)
	}
}

// TestCase1Abort is point 6.
func TestCase1Abort(t *testing.T) {
	w, before := nginx(t)
	holdStep(w, 2)
	load := w.load()
	blue := names(w)
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	load.sharedOut(t, 400, "green", 50)

	w.mustSluice("abort", "shop", "-m", "too green")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	r := w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 4)
	if got := names(w); got != blue {
		t.Errorf("pods are %s, were %s", got, blue)
	}
	w.allFrom("blue", 50, w.to("/color", "X-Canary", "always"))
	w.nothingLeft(before)
	if image := w.deployment().Spec.Template.Spec.Containers[0].Image; image != "argoproj/rollouts-demo:green" {
		t.Errorf("the Deployment names %s; an abort leaves green", image)
	}
	if r.Status.Rejected == nil || r.Status.Rejected.Images[0].Image != "argoproj/rollouts-demo:green" || r.Status.Rejected.Release != "shop-1" {
		t.Errorf("the Rollout's rejected revision is %+v", r.Status.Rejected)
	}
	if out, code := w.sluice("status", "shop"); code != 1 || !strings.Contains(out, "rejected") {
		t.Errorf("sluice status after an abort: exit code %d, %s", code, out)
	}

	w.setImage("blue")
	w.phase(v1alpha1.RolloutHealthy)
	w.noFurther("shop-2")
	w.nothingLeft(before)
	w.onlyPods("blue", 4)
	noneFailed(t, load.end())
	w.startedOnce("blue", 4)
}

// TestCase1Supersede is point 7.
func TestCase1Supersede(t *testing.T) {
	w, before := nginx(t)
	holdStep(w, 2)
	load := w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)

	w.setImage("yellow")
	w.ended("shop-1", v1alpha1.ReleaseSuperseded)
	rel := w.atStep("shop-2", 1)
	got := versions(load.next(t, 600))
	if got["green"] > 0 || got["yellow"] == 0 {
		t.Errorf("at yellow's first step requests are answered by %v, want blue and yellow", got)
	}
	load.sharedOut(t, 600, "yellow", 20)
	if from := rel.Spec.From.Images[0].Image; from != "argoproj/rollouts-demo:blue" {
		t.Errorf("yellow's release goes from %s, want blue: green was never released", from)
	}
	w.mustSluice("promote", "shop", "--full")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("yellow", 4)
	w.startedOnce("yellow", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// TestCase1Pattern is point 8.
func TestCase1Pattern(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	eachStep(only(objects, "Rollout"), func(step map[string]any) {
		if _, ok := step["match"]; ok {
			step["match"] = []any{map[string]any{"headers": []any{map[string]any{"name": "X-User", "regex": "(alice|bob)-[0-9]+"}}}}
		}
	})
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	canary := &networkingv1.Ingress{}
	must(t, w.get(canary, "shop-canary"))
	if p := canary.Annotations["nginx.ingress.kubernetes.io/canary-by-header-pattern"]; !strings.Contains(p, "(alice|bob)-[0-9]+") {
		t.Errorf("canary-by-header-pattern is %q", p)
	}
	w.allFrom("green", 50, w.to("/color", "X-User", "alice-7"))
	w.sometimesFrom("blue", w.to("/color", "X-User", "alice-seven")) // The whole value must match.
	w.sometimesFrom("blue", w.to("/color", "X-User", "not-alice-7"))
	load.sharedOut(t, 400, "green", 20)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// canaryAfterPods has the test fail unless the canary Ingress was made when the new pods were ready.
func canaryAfterPods(w *world) {
	w.Helper()
	canary := &networkingv1.Ingress{}
	must(w, w.get(canary, "shop-canary"))
	green := 0
	for _, p := range w.pods() {
		if colourOf(&p) != "green" {
			continue
		}
		green++
		if at, ready := podReadyAt(&p); !ready || canary.CreationTimestamp.Before(&at) {
			w.Errorf("the canary Ingress is of %s, and pod %s was ready (%v) at %s", canary.CreationTimestamp, p.Name, ready, at)
		}
	}
	if green == 0 {
		w.Error("there is a canary Ingress and no green pod")
	}
}

// holdStep has the release stand still in a step (from 1) until it is promoted.
func holdStep(w *world, step int) {
	w.Helper()
	objects := w.example("1-nginx/rollout.yaml")
	at := 0
	eachStep(objects[0], func(s map[string]any) {
		if at++; at == step {
			s["pause"] = map[string]any{}
		}
	})
	w.apply(objects...)
	w.phase(v1alpha1.RolloutHealthy)
}
