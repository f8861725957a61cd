package e2e

import (
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestFaultA5StableSetDeleted: alice deletes the stable ReplicaSet in mid-release. It comes back from the record, with the
// pods that are still there, and the release can be taken back.
func TestFaultA5StableSetDeleted(t *testing.T) {
	w, alice := shopOf(t)
	load := w.load()
	remade := func(release string, args ...string) {
		w.Helper()
		stable := "shop-" + w.atStep(release, 1).Spec.From.PodTemplateHash
		before := &appsv1.ReplicaSet{}
		must(t, w.get(before, stable))
		w.kubectl(append(append([]string{"delete", "replicaset", stable}, args...), alice...)...)
		w.comesBack(stable, before.UID)
		w.mustSluice("abort", "shop")
		w.ended(release, v1alpha1.ReleaseAborted)
		w.onlyPods("blue", 4)
	}
	w.setImage("green")
	remade("shop-1", "--cascade=orphan")
	noneFailed(t, load.end())
	w.setImage("yellow")
	remade("shop-2")
	w.allFrom("blue", 40, w.to("/color"))
}

// comesBack waits for a ReplicaSet that was made anew and has all its pods ready.
func (w *world) comesBack(name string, before types.UID) {
	w.Helper()
	until(w.T, long, "ReplicaSet "+name+" is made anew", func() error {
		rs := &appsv1.ReplicaSet{}
		if err := w.get(rs, name); err != nil {
			return err
		}
		if rs.UID == before || rs.Status.AvailableReplicas != 4 {
			return fmt.Errorf("UID %s, %d of 4 pods are available", rs.UID, rs.Status.AvailableReplicas)
		}
		return nil
	})
}

// TestFaultA4CanaryKept: alice puts a finalizer on the canary Ingress. An abort takes its weight all the same, and ends.
func TestFaultA4CanaryKept(t *testing.T) {
	w, alice := shopOf(t)
	load := w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.kubectl(append([]string{"patch", "ingress", "shop-canary", "--type=merge", "-p", `{"metadata":{"finalizers":["example.com/keeps"]}}`}, alice...)...)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.onlyPods("blue", 4)
	in := &networkingv1.Ingress{}
	must(t, w.get(in, "shop-canary"))
	if got := in.Annotations["nginx.ingress.kubernetes.io/canary-weight"]; in.DeletionTimestamp == nil || got != "0" {
		t.Errorf("the canary Ingress is left with weight %q, to be removed at %v", got, in.DeletionTimestamp)
	}
	w.kubectl("delete", "rollout", "shop", "--timeout=60s")
	w.kubectl("patch", "ingress", "shop-canary", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	until(t, long, "the canary Ingress goes", func() error {
		if err := w.get(in, "shop-canary"); !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("it is there"), err)
		}
		return nil
	})
	noneFailed(t, load.end())
}
