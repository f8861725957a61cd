package main

import (
	"context"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// team is somebody's application with its Rollout.
type team struct {
	namespace, name string
	replicas        int32
	// probed pods are ready when a probe says so, once a second; others when they run.
	probed bool
	// layer is ingress or httproute.
	layer  string
	steps  []v1alpha1.CanaryStep
	roller roller
}

// roller is what rolls a team's pods.
type roller int

const (
	sluice     roller = iota
	kubernetes        // A plain Deployment, which no Rollout names.
	argo
)

// watched are the kinds that tell how far the teams are.
func (r roller) watched() []client.Object {
	switch r {
	case kubernetes:
		return []client.Object{&appsv1.Deployment{}}
	case argo:
		return []client.Object{newArgoRollout(metav1.ObjectMeta{})}
	default:
		return []client.Object{&v1alpha1.Rollout{}, &v1alpha1.Release{}}
	}
}

func (t team) key() client.ObjectKey { return client.ObjectKey{Namespace: t.namespace, Name: t.name} }

func (t team) release(n int) client.ObjectKey {
	return client.ObjectKey{Namespace: t.namespace, Name: fmt.Sprintf("%s-%d", t.name, n)}
}

const (
	before = "argoproj/rollouts-demo:blue"
	after  = "argoproj/rollouts-demo:green"
)

// images are a team's versions, one for each edit, since the way back to an old one could be shorter.
var images = []string{
	before, after, "argoproj/rollouts-demo:yellow", "argoproj/rollouts-demo:orange", "argoproj/rollouts-demo:purple",
}

// runs is the state in which a team runs an image and nothing else.
func runs(image string) string { return "runs " + image }

// goal is a state of an object that is waited for.
type goal struct {
	object client.ObjectKey
	state  string
}

// goal is what a team has reached with a version, of which 0 is the one that it was made with.
func (t team) goal(version int) goal {
	switch {
	case t.roller != sluice:
		return goal{t.key(), runs(images[version])}
	case version == 0:
		return goal{t.key(), "Healthy"}
	default:
		return goal{t.release(version), "Succeeded"}
	}
}

func goals(teams []team, version int) []goal {
	out := make([]goal, 0, len(teams))
	for _, t := range teams {
		out = append(out, t.goal(version))
	}
	return out
}

// step is one with a pause, or, with a nil pause, one that goes on at once.
func step(weight int32, pause *v1alpha1.Pause) v1alpha1.CanaryStep {
	return v1alpha1.CanaryStep{Weight: ptr.To(weight), Pause: pause}
}

func (t team) objects() ([]client.Object, error) {
	at := metav1.ObjectMeta{Namespace: t.namespace, Name: t.name}
	switch t.roller {
	case kubernetes:
		return []client.Object{t.deployment(at), t.service(at), t.ingress(at)}, nil
	case argo:
		return t.argoObjects(at)
	}
	traffic, route := v1alpha1.TrafficLayer{Ingress: &v1alpha1.IngressReference{Name: t.name}}, t.ingress(at)
	if t.layer == "httproute" {
		traffic = v1alpha1.TrafficLayer{HTTPRoute: &v1alpha1.HTTPRouteReference{Name: t.name}}
		route = t.httpRoute()
	}
	return []client.Object{
		t.deployment(at), t.service(at), route,
		&v1alpha1.Rollout{ObjectMeta: at, Spec: v1alpha1.RolloutSpec{
			Workload: v1alpha1.WorkloadReference{Kind: "Deployment", Name: t.name},
			Traffic:  []v1alpha1.TrafficLayer{traffic}, Canary: v1alpha1.CanaryStrategy{Steps: t.steps},
		}},
	}, nil
}

func (t team) labels() map[string]string { return map[string]string{"app": t.name} }

func (t team) template() corev1.PodTemplateSpec {
	web := corev1.Container{Name: "web", Image: before, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}
	if t.probed {
		web.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("http")},
		}}
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: t.labels()},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{web}},
	}
}

func (t team) deployment(at metav1.ObjectMeta) client.Object {
	return &appsv1.Deployment{ObjectMeta: at, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To(t.replicas), Selector: &metav1.LabelSelector{MatchLabels: t.labels()}, Template: t.template(),
	}}
}

func (t team) service(at metav1.ObjectMeta) client.Object {
	return &corev1.Service{ObjectMeta: at, Spec: corev1.ServiceSpec{
		Selector: t.labels(), Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
	}}
}

func (t team) ingress(at metav1.ObjectMeta) client.Object {
	backend := networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{
		Name: t.name,
		Port: networkingv1.ServiceBackendPort{Number: 80},
	}}
	return &networkingv1.Ingress{ObjectMeta: at, Spec: networkingv1.IngressSpec{
		IngressClassName: ptr.To("nginx"),
		Rules: []networkingv1.IngressRule{{
			Host: t.host(),
			IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
				Paths: []networkingv1.HTTPIngressPath{{Path: "/", PathType: ptr.To(networkingv1.PathTypePrefix), Backend: backend}},
			}},
		}},
	}}
}

func (t team) httpRoute() client.Object {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"namespace": t.namespace, "name": t.name},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"namespace": "default", "name": "playground"}},
			"hostnames":  []any{t.host()},
			"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": t.name, "port": int64(80)}}}},
		},
	}}
}

func (t team) host() string { return t.name + "." + t.namespace + ".demo" }

// create makes many teams' objects, some at a time.
func (c *cluster) create(ctx context.Context, teams []team) error {
	namespaces := map[string]bool{}
	for _, t := range teams {
		namespaces[t.namespace] = true
	}
	for name := range namespaces {
		err := c.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace: %w", err)
		}
	}
	return atOnce(teams, func(t team) error {
		objects, err := t.objects()
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := c.client.Create(ctx, o); err != nil {
				return fmt.Errorf("make %T %s: %w", o, t.key(), err)
			}
		}
		return nil
	})
}

// edit has a team's first new version released.
func (c *cluster) edit(ctx context.Context, t team) error { return c.editTo(ctx, t, after) }

// editTo changes the image as somebody of the team would.
func (c *cluster) editTo(ctx context.Context, t team, image string) error {
	at := metav1.ObjectMeta{Namespace: t.namespace, Name: t.name}
	var o client.Object = &appsv1.Deployment{ObjectMeta: at}
	if t.roller == argo {
		o = newArgoRollout(at)
	}
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, image)
	if err := c.client.Patch(ctx, o, client.RawPatch(types.JSONPatchType, patch)); err != nil {
		return fmt.Errorf("change the image of %s: %w", t.key(), err)
	}
	return nil
}

// decide is a person's word on a team's first release. As the command line does, a promotion names the wait that its
// author has seen: one that does not, and comes within a second of it, is refused.
func (c *cluster) decide(ctx context.Context, t team, verb v1alpha1.DecisionVerb) error {
	d := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: t.namespace, GenerateName: t.name + "-"},
		Spec:       v1alpha1.DecisionSpec{Release: t.release(1).Name, Verb: verb, User: "playground-admin"},
	}
	if verb == v1alpha1.VerbPromote {
		r := &v1alpha1.Release{}
		if err := c.client.Get(ctx, t.release(1), r); err != nil {
			return fmt.Errorf("look at %s: %w", t.release(1), err)
		}
		if r.Status.Memory == nil || r.Status.Memory.StepReachedAt == nil {
			return fmt.Errorf("promote %s: it is paused, but its step is not in force", t.release(1))
		}
		d.Spec.Since = r.Status.Memory.StepReachedAt
	}
	if err := c.client.Create(ctx, d); err != nil {
		return fmt.Errorf("%s %s: %w", verb, t.release(1), err)
	}
	return nil
}

// atOnce does something for each of a list, 32 at a time, and returns the first error.
func atOnce[T any](list []T, do func(T) error) error {
	var (
		wg    sync.WaitGroup
		once  sync.Once
		first error
		slots = make(chan struct{}, 32)
	)
	for _, x := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := do(x); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	wg.Wait()
	return first
}
