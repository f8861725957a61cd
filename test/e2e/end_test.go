package e2e

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/kube"
)

// team is what the team has, as it is to be again when a release has ended: all but what Kubernetes itself counts
// and writes.
type team map[string]map[string]any

// team reads all objects of the namespace that the team made or that a release might leave behind.
func (w *world) team() team {
	w.Helper()
	out := team{}
	services, ingresses := &corev1.ServiceList{}, &networkingv1.IngressList{}
	w.list(services)
	w.list(ingresses)
	for i := range services.Items {
		out.add(w, "Service", &services.Items[i])
	}
	for i := range ingresses.Items {
		out.add(w, "Ingress", &ingresses.Items[i])
	}
	routes := &unstructured.UnstructuredList{}
	routes.SetAPIVersion("gateway.networking.k8s.io/v1")
	routes.SetKind("HTTPRouteList")
	w.list(routes)
	for i := range routes.Items {
		out.add(w, "HTTPRoute", &routes.Items[i])
	}
	return out
}

func (t team) add(w *world, kind string, o metav1.Object) {
	w.Helper()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	must(w, err)
	u := unstructured.Unstructured{Object: raw}
	t[kind+"/"+o.GetName()] = map[string]any{
		"spec": u.Object["spec"], "labels": u.GetLabels(), "annotations": u.GetAnnotations(),
		"owners": len(u.GetOwnerReferences()), "finalizers": len(u.GetFinalizers()), "sluice's": ownedBySluice(o),
	}
}

// ownedBySluice are the fields of an object's spec that Sluice owns as a field manager. While there are any, a server-side
// apply of the team's that changes them is a conflict.
func ownedBySluice(o metav1.Object) []string {
	var out []string
	for _, e := range o.GetManagedFields() {
		if e.Manager == kube.FieldManager && e.Subresource == "" && e.FieldsV1 != nil && strings.Contains(e.FieldsV1.GetRawString(), `"f:spec"`) {
			out = append(out, e.FieldsV1.GetRawString())
		}
	}
	return out
}

// nothingLeft has the test fail unless everything is as it was, and nothing of the release is there but its record.
func (w *world) nothingLeft(before team) {
	w.Helper()
	until(w, short, "nothing is left of the release", func() error {
		if d := cmp.Diff(before, w.team()); d != "" {
			return fmt.Errorf("the team's objects (-before +after):\n%s", d)
		}
		return errors.Join(w.noHolds(), w.noReplicaSets(), w.noHeldWorkload(), w.answered())
	})
}

func (w *world) noHolds() error {
	holds := &v1alpha1.HoldList{}
	w.list(holds)
	if n := len(holds.Items); n > 0 {
		return fmt.Errorf("%d Holds are left, as %s", n, holds.Items[0].Name)
	}
	return nil
}

func (w *world) noReplicaSets() error {
	sets := &appsv1.ReplicaSetList{}
	w.list(sets)
	for _, rs := range sets.Items {
		if c := metav1.GetControllerOf(&rs); c == nil || c.Kind != "Deployment" {
			return fmt.Errorf("ReplicaSet %s is not the Deployment's", rs.Name)
		}
		for k := range rs.Labels {
			if strings.HasPrefix(k, "sluice.dev/") {
				return fmt.Errorf("ReplicaSet %s still has the label %s", rs.Name, k)
			}
		}
	}
	return nil
}

// noHeldWorkload looks for our marks on a workload that may run.
func (w *world) noHeldWorkload() error {
	d := w.deployment()
	r := &v1alpha1.Rollout{}
	rejected := w.get(r, "shop") == nil && r.Status.Phase == v1alpha1.RolloutRejected
	if d.Spec.Paused != rejected {
		return fmt.Errorf("the Deployment's spec.paused is %v; rejected: %v", d.Spec.Paused, rejected)
	}
	if held := d.Annotations[v1alpha1.AnnotationHeld]; held != "" && !rejected {
		return fmt.Errorf("the Deployment is still marked as held (%s)", held)
	}
	if owned := ownedBySluice(d); len(owned) > 0 {
		return fmt.Errorf("Sluice owns fields of the Deployment: %v", owned)
	}
	return nil
}

func (w *world) answered() error {
	decisions := &v1alpha1.DecisionList{}
	w.list(decisions)
	for _, d := range decisions.Items {
		if d.Status.Outcome == "" {
			return fmt.Errorf("decision %s (%s) has no answer", d.Name, d.Spec.Verb)
		}
	}
	return nil
}

// onlyPods has the test fail unless exactly the pods of these colours serve, n of each, and none was started twice.
func (w *world) onlyPods(colour string, n int) {
	w.Helper()
	until(w, short, fmt.Sprintf("%d %s pods are all there are", n, colour), func() error {
		pods := w.pods()
		for _, p := range pods {
			if colourOf(&p) != colour {
				return fmt.Errorf("%s is %s", p.Name, colourOf(&p))
			}
			if s := p.Status.ContainerStatuses; len(s) == 0 || s[0].RestartCount > 0 {
				return fmt.Errorf("%s has been restarted", p.Name)
			}
		}
		if len(pods) != n {
			return fmt.Errorf("there are %d", len(pods))
		}
		return nil
	})
}

// startedOnce has the test fail unless exactly n pods of a colour were ever made.
func (w *world) startedOnce(colour string, n int) {
	w.Helper()
	if got := len(w.journal.started(colour)); got != n {
		w.Errorf("%d %s pods were started, want %d: no pod is to be started twice", got, colour, n)
	}
}
