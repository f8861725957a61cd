package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// surroundings are what a release would find, looked at as the controller would and without a change.
type surroundings struct {
	deployment *appsv1.Deployment
	// problems are what the controller would refuse; notes are for the reader to know.
	problems, notes []string
}

// lookAround reads the workload, its Services and its traffic objects. Without a cluster it says so. A workload that
// is yet to be created from the same file is no problem.
func (e *env) lookAround(ctx context.Context, c client.Client, r *v1alpha1.Rollout, inFile bool) *surroundings {
	w := &surroundings{}
	if c == nil {
		w.note("no cluster was looked at: whether the workload and the traffic objects fit is not known")
		return w
	}
	var d appsv1.Deployment
	err := c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.Workload.Name}, &d)
	switch {
	case missing(err) && inFile:
		w.note("deployment/%s is not in namespace %s yet: whether it and the traffic objects fit is not known", r.Spec.Workload.Name, r.Namespace)
		return w
	case missing(err):
		w.refuse("spec.workload: there is no deployment/%s in namespace %s; create it, or name another", r.Spec.Workload.Name, r.Namespace)
		return w
	case err != nil:
		w.note("the cluster could not be looked at: %s", sentence(err))
		return w
	}
	w.deployment = &d
	w.checkStrategy(&d)
	w.checkOthers(ctx, c, r)
	services, err := servicesOf(ctx, c, &d)
	if err != nil {
		w.note("services: %s", sentence(err))
		return w
	}
	w.checkServices(r, &d, services)
	for i, l := range r.Spec.Traffic {
		e.checkLayer(ctx, c, w, r, i, l, services)
	}
	return w
}

func (w *surroundings) refuse(format string, a ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, a...))
}

func (w *surroundings) note(format string, a ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, a...))
}

// checkStrategy refuses a workload that asks that two of its revisions never run at once.
func (w *surroundings) checkStrategy(d *appsv1.Deployment) {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		w.refuse("spec.workload: %s", translate.TwoAtOnce(d.Name))
	}
}

// checkOthers finds another Rollout for the workload.
func (w *surroundings) checkOthers(ctx context.Context, c client.Client, r *v1alpha1.Rollout) {
	var all v1alpha1.RolloutList
	if err := c.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		if sayNotInstalled(err) == "" {
			w.note("rollouts: %s", sentence(err))
		} else {
			w.note("Sluice is not installed in this cluster; `sluice install` does that")
		}
		return
	}
	for _, other := range all.Items {
		if other.Name != r.Name && other.Spec.Workload.Name == r.Spec.Workload.Name {
			w.refuse("spec.workload.name: rollout/%s names deployment/%s too; one workload may be named by one Rollout only", other.Name, r.Spec.Workload.Name)
		}
	}
}

// servicesOf are the Services that send requests to the workload's pods.
func servicesOf(ctx context.Context, c client.Client, d *appsv1.Deployment) ([]corev1.Service, error) {
	var all corev1.ServiceList
	if err := c.List(ctx, &all, client.InNamespace(d.Namespace)); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Items, func(s corev1.Service) bool {
		selector := labels.Set{}
		for k, v := range s.Spec.Selector { // Narrowed during a release.
			if k != v1alpha1.LabelPodTemplateHash {
				selector[k] = v
			}
		}
		ours := s.Labels[v1alpha1.LabelRelease] != ""
		return ours || len(selector) == 0 || !selector.AsSelector().Matches(labels.Set(d.Spec.Template.Labels))
	}), nil
}

func (w *surroundings) checkServices(r *v1alpha1.Rollout, d *appsv1.Deployment, services []corev1.Service) {
	if len(services) == 0 && len(r.Spec.Traffic) > 0 {
		w.refuse("spec.traffic: no Service in namespace %s selects the pods of deployment/%s (labels %s); create one, or correct its selector",
			r.Namespace, d.Name, metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: d.Spec.Template.Labels}))
	}
	if len(services) == 0 && len(r.Spec.Traffic) == 0 {
		w.note("no Service selects the pods of deployment/%s, so what requests they get is not known", d.Name)
	}
}

// checkLayer asks the layer's provider whether it can do what the steps want with the team's object.
func (e *env) checkLayer(ctx context.Context, c client.Client, w *surroundings, r *v1alpha1.Rollout, i int, l v1alpha1.TrafficLayer, services []corev1.Service) {
	if e.traffic == nil {
		return
	}
	provider, name := e.traffic(l)
	if provider == nil {
		return
	}
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(provider.Kind())
	err := c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: name}, route)
	kind := strings.ToLower(provider.Kind().Kind)
	switch {
	case missing(err):
		w.refuse("spec.traffic[%d]: there is no %s/%s in namespace %s; create it, or name another", i, kind, name, r.Namespace)
		return
	case err != nil && sayNotInstalled(err) != "":
		w.refuse("spec.traffic[%d]: the cluster does not know the kind %s; install it, or name another layer", i, provider.Kind().Kind)
		return
	case err != nil:
		w.note("%s/%s: %s", kind, name, sentence(err))
		return
	}
	world := traffic.World{Rollout: r.Name, Route: route, Backends: backendsOf(services), Now: e.now()}
	if err := provider.Check(world, splitsOf(r)); err != nil {
		w.refuse("spec.traffic[%d]: %s", i, err.Error())
	}
}

func backendsOf(services []corev1.Service) []traffic.Backend {
	var out []traffic.Backend
	for _, s := range services {
		b := traffic.Backend{Stable: s.Name, Canary: s.Name + "-canary"}
		for _, p := range s.Spec.Ports {
			b.Ports = append(b.Ports, traffic.Port{Name: p.Name, Number: int64(p.Port)})
		}
		out = append(out, b)
	}
	return out
}

func splitsOf(r *v1alpha1.Rollout) []traffic.Split {
	var out []traffic.Split
	var steps []release.Step = translate.Spec(translate.Plan(r), "", "").Steps
	for _, s := range steps {
		out = append(out, traffic.Split{Weight: s.Weight, Matches: s.Matches})
	}
	return out
}
