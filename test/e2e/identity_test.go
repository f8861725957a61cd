package e2e

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// shopOf is the shop of the first example with one step that waits for a person, and alice, who has the role edit.
func shopOf(t *testing.T) (*world, []string) {
	t.Helper()
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(only(objects, "Rollout"), map[string]any{"weight": int64(50), "pause": map[string]any{}})
	w.start(objects...)
	w.kubectl("create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice")
	return w, w.as("alice")
}

// TestFaultA2A3A4LiesOfAnEditor: alice, who may edit the namespace, gets past no step by an annotation, keeps no Service
// wide by a label, and has nothing of hers written back by a ReplicaSet that looks like stable's.
func TestFaultA2A3A4LiesOfAnEditor(t *testing.T) {
	w, alice := shopOf(t)
	by := func(args ...string) { w.Helper(); w.kubectl(append(args, alice...)...) }
	second := w.objects(fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: second, labels: {sluice.dev/rollout: shop, sluice.dev/release: shop-1}},
		spec: {selector: {app: shop}, ports: [{port: 80, targetPort: %d}]}}`, 8080))
	w.apply(second...)
	load := w.load() // What the steps bring is counted by what is served.

	by("set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green")
	first := w.atStep("shop-1", 1)
	// A4: the second Service leads to the stable pods alone, whatever its labels say.
	svc := &corev1.Service{}
	must(t, w.get(svc, "second"))
	if got := svc.Spec.Selector[v1alpha1.LabelPodTemplateHash]; got != first.Spec.From.PodTemplateHash {
		t.Errorf("A4: the Service with our label selects %v, want the stable pods alone", svc.Spec.Selector)
	}

	// A2: after the rejection neither the annotation nor a retry makes a rollback of it.
	w.mustSluice("abort", "shop")
	w.phase(v1alpha1.RolloutRejected)
	by("annotate", "deployment/shop", "sluice.dev/held-change-cause=Rollback shop-1")
	if got := w.deployment().Annotations["sluice.dev/held-change-cause"]; got != "" {
		t.Errorf("A2: alice's mark is stored: %q", got)
	}
	w.mustSluice(append([]string{"retry", "shop"}, alice...)...)
	again := w.atStep("shop-2", 1)
	if again.Spec.Cause != v1alpha1.CauseRetry || len(again.Spec.Plan.Steps) != 1 || again.Spec.Plan.Steps[0].Pause == nil {
		t.Errorf("A2: the retry is %s with the steps %+v", again.Spec.Cause, again.Spec.Plan.Steps)
	}

	// A3: a ReplicaSet that looks like stable's, with the Deployment for its owner, is not written back.
	set, d, yes := &appsv1.ReplicaSet{}, w.deployment(), true
	must(t, w.get(set, "shop-"+again.Spec.From.PodTemplateHash))
	forged := set.DeepCopy()
	forged.ObjectMeta = metav1.ObjectMeta{
		Namespace: w.ns, Name: "aaa", Labels: set.Labels, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID, Controller: &yes},
		},
	}
	forged.Labels[v1alpha1.LabelRollout] = "shop"
	forged.Spec.Replicas = new(int32(0))
	forged.Spec.Template.Spec.Containers[0].Image = "argoproj/rollouts-demo:bad-red"
	must(t, w.client.Create(t.Context(), forged))
	w.kubectl("delete", "rollout", "shop", "--timeout=120s")
	if got := w.deployment(); got.Spec.Template.Spec.Containers[0].Image != "argoproj/rollouts-demo:blue" || got.Spec.Paused {
		t.Errorf("A3: the Deployment has %s, paused %v; want blue, resumed", got.Spec.Template.Spec.Containers[0].Image, got.Spec.Paused)
	}
	w.onlyPods("blue", 4)
	noneFailed(t, load.end())
}

// TestFaultB10B18EnvironmentAndFirst: after an abort a fix by environment variable alone is followed to its end, people are
// told what differs; and after the first release what ran before is gone back to, though Kubernetes keeps no old
// ReplicaSet.
func TestFaultB10B18EnvironmentAndFirst(t *testing.T) {
	w, _ := shopOf(t)
	w.kubectl("patch", "deployment", "shop", "--type=merge", "-p", `{"spec":{"revisionHistoryLimit":0}}`)
	load := w.load()
	w.kubectl("set", "env", "deployment/shop", "MODE=broken")
	w.atStep("shop-1", 1)
	w.mustSluice("abort", "shop")
	w.phase(v1alpha1.RolloutRejected)
	if out, code := w.sluice("status", "shop"); code != 1 || !strings.Contains(out, "it differs from the stable revision in containers[web].env") {
		t.Errorf("B10: status of the rejected revision: %d, %s", code, out)
	}
	w.kubectl("set", "env", "deployment/shop", "MODE=mended")
	if out, code := w.sluice("status", "shop", "--wait"); code != 3 {
		t.Errorf("B10: status --wait after the fix: %d, %s; want that it waits for a person", code, out)
	}
	w.waitsFor("shop-2", release.ReasonPausedForPerson)
	w.mustSluice("promote", "shop")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.mustSluice("rollback", "shop")
	back := w.ended("shop-3", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	if env := w.deployment().Spec.Template.Spec.Containers[0].Env; back.Spec.Cause != v1alpha1.CauseRollback || len(env) != 0 {
		t.Errorf("B18: %s, environment %v; want the template that ran before the first release", back.Spec.Cause, env)
	}
	noneFailed(t, load.end())
}
