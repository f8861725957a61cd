package e2e

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// blueGreenBegun is case 11 before its switch, where a person decides. Ordinary requests come by the Ingress front where
// the Rollout names no layer, and those of the preview by the Ingress preview.
func blueGreenBegun(t *testing.T, layered bool) (*world, team, *load) {
	t.Helper()
	w := newWorld(t)
	objects := w.example("11-blue-green/shop.yaml", "11-blue-green/rollout.yaml")
	objects = append(objects, w.objects(`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: preview}, spec: {ingressClassName: nginx, rules: [{host: preview.canary.demo, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop-preview, port: {number: 80}}}}]}}]}}`)...)
	rollout := only(objects, "Rollout")
	for _, gate := range []string{"before", "after"} {
		set(rollout, map[string]any{"pause": map[string]any{}}, "spec", "blueGreen", gate)
	}
	if !layered {
		unstructured.RemoveNestedField(rollout.Object, "spec", "traffic")
		unstructured.RemoveNestedField(rollout.Object, "spec", "blueGreen", "preview", "match")
	}
	w.start(objects...)
	before, load := w.team(), w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	if blue, green := readyPods(w); blue != 4 || green != 4 {
		t.Errorf("%d blue and %d green pods are ready before the switch, want 4 of each", blue, green)
	}
	preview := w.to("/color").on("preview")
	w.serves(preview)
	w.allFrom("green", 50, preview)
	if layered {
		w.allFrom("green", 50, w.to("/color", "X-Preview", "1"))
	}
	load.next(t, 300)
	if got := versions(load.between(time.Time{}, time.Now())); got["green"] > 0 {
		t.Errorf("before the switch ordinary requests were answered by %v, want blue alone", got)
	}
	return w, before, load
}

// switched has the switch made, and sees all ordinary requests answered by green.
func (w *world) switched() {
	w.Helper()
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	w.answers("green")
	if blue, green := readyPods(w); blue != 4 || green != 4 {
		w.Errorf("%d blue and %d green pods are ready after the switch, want 4 of each", blue, green)
	}
}

// keepsOld waits until a release keeps its old pods after the hand-over.
func (w *world) keepsOld(name string) {
	w.Helper()
	w.release(name, name+" keeps its old pods", func(r *v1alpha1.Release) error {
		if wait := r.Status.WaitingFor; wait == nil || wait.Reason != "KeepingOld" {
			return fmt.Errorf("is %s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
		}
		return nil
	})
}

// keepingOld waits until the workload has the new pods, and the old ones are kept.
func (w *world) keepingOld() {
	w.Helper()
	w.mustSluice("promote", "shop")
	w.keepsOld("shop-1")
	// The Deployment has neither ReplicaSet for a moment, and its controller may have seen that.
	until(w, long, "the Deployment is complete while the old pods are kept", func() error {
		d := w.deployment()
		if d.Spec.Paused || d.Status.UpdatedReplicas != 4 || d.Status.Replicas != 4 || d.Status.AvailableReplicas != 4 {
			return fmt.Errorf("paused %v, %+v", d.Spec.Paused, d.Status)
		}
		return nil
	})
	if blue, green := readyPods(w); blue != 4 || green != 4 {
		w.Errorf("%d blue and %d green pods are ready after the hand-over, want 4 of each", blue, green)
	}
	w.allFrom("green", 50, w.to("/color"))
}

// backWithin measures how long it takes from a command until all requests are answered by blue.
func (w *world) backWithin(args ...string) {
	w.Helper()
	began := time.Now()
	w.mustSluice(args...)
	said := time.Since(began)
	w.answers("blue")
	w.Logf("%v: answered after %s, all requests are answered by blue after %s", args, said.Round(10*time.Millisecond),
		time.Since(began).Round(10*time.Millisecond))
}

// answers waits until one version answers all requests. A gateway follows a Service's endpoints a moment later.
func (w *world) answers(version string) {
	w.Helper()
	until(w, long, version+" answers", func() error {
		for range 50 {
			if s := ask(w.http, w.to("/color")); s.version != version {
				return fmt.Errorf("%s", s)
			}
		}
		return nil
	})
}

func TestCase11BlueGreen(t *testing.T) {
	for _, layered := range []bool{true, false} {
		t.Run(map[bool]string{true: "Ingress", false: "Selector"}[layered], func(t *testing.T) {
			w, before, load := blueGreenBegun(t, layered)
			w.switched()
			w.keepingOld()
			w.backWithin("rollback", "shop")
			w.ended("shop-1", v1alpha1.ReleaseAborted)
			w.phase(v1alpha1.RolloutRejected)
			w.onlyPods("blue", 4)
			w.startedOnce("blue", 4)
			w.startedOnce("green", 4)
			w.nothingLeft(before)
			noneFailed(t, load.end())
		})
	}
}

// TestCase11Abort takes the new version back after the switch, to pods that have never ended; then it is released to the
// end, and the next one lets the kept pods go first.
func TestCase11Abort(t *testing.T) {
	w, before, load := blueGreenBegun(t, false)
	w.switched()
	w.backWithin("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.onlyPods("blue", 4)
	w.startedOnce("blue", 4)
	w.nothingLeft(before)

	w.mustSluice("retry", "shop")
	w.atStep("shop-2", 1)
	w.mustSluice("promote", "--full", "shop")
	w.keepsOld("shop-2")
	w.setImage("yellow")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.atStep("shop-3", 1)
	for _, p := range w.pods() {
		if _, ready := podReadyAt(&p); ready && p.DeletionTimestamp == nil && colourOf(&p) == "blue" {
			t.Errorf("pod %s of the first version is left beside the third one", p.Name)
		}
	}
	w.allFrom("green", 50, w.to("/color"))
	w.mustSluice("abort", "shop")
	w.ended("shop-3", v1alpha1.ReleaseAborted)
	w.nothingLeft(before)
	s := &corev1.Service{}
	if w.get(s, "shop-preview") == nil {
		t.Error("the Service shop-preview is left")
	}
	noneFailed(t, load.end())
}
