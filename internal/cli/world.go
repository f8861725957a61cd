package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// surroundings are what a release would find, looked at as the controller would and without a change.
type surroundings struct {
	deployment *appsv1.Deployment
	// problems are what the controller would refuse; notes are for the reader to know.
	problems, notes []string
	// layers are those of spec.traffic whose objects are there, by their places in it.
	layers map[int]layer
}

// lookAround reads the workload, its Services and its traffic objects. Without a cluster it says so. A workload that
// is yet to be created from the same file is no problem. What cannot be read is a note and no problem: the controller
// has rights of its own, and will see it. It never fails, since the steps can be planned all the same.
func (e *env) lookAround(ctx context.Context, c client.Client, r *v1alpha1.Rollout, inFile bool) *surroundings {
	w := &surroundings{layers: map[int]layer{}}
	if c == nil {
		w.note("no cluster was looked at: whether the workload and the traffic objects fit is not known")
		return w
	}
	var d appsv1.Deployment
	err := c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.Workload.Name}, &d)
	switch {
	case missing(err) && inFile:
		w.note("deployment/%s is not in namespace %s yet: whether it and the traffic objects fit is not known",
			r.Spec.Workload.Name, r.Namespace)
		return w
	case missing(err):
		w.refuse("spec.workload: there is no deployment/%s in namespace %s; create it, or name another",
			r.Spec.Workload.Name, r.Namespace)
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
	divided, left := byRule(services, r.Spec.Services)
	w.checkServices(ctx, c, r, &d, divided, left)
	w.checkBehind(ctx, c, r, &d, divided)
	w.checkWindows(ctx, c, r, e.now())
	for i, l := range r.Spec.Traffic {
		e.checkLayer(ctx, c, w, r, l, i, divided)
	}
	w.checkFronts(r, services)
	w.checkRights(ctx, c, r)
	return w
}

func (w *surroundings) refuse(format string, a ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, a...))
}

func (w *surroundings) note(format string, a ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, a...))
}

// checkStrategy refuses a workload that asks that two of its revisions never run at once: strategy Recreate. In a
// release both run beside each other, which such a workload may not survive.
func (w *surroundings) checkStrategy(d *appsv1.Deployment) {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		w.refuse("spec.workload: %s", preflight.TwoAtOnce(d.Name))
	}
}

// checkOthers finds another Rollout for the workload. It is the first that asks for one of Sluice's kinds, so it tells
// where Sluice is not installed; checkWindows does not say it again.
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
			w.refuse("spec.workload.name: rollout/%s names deployment/%s too; one workload may be named by one Rollout only",
				other.Name, r.Spec.Workload.Name)
		}
	}
}

// servicesOf are the Services that send requests to the workload's pods.
func servicesOf(ctx context.Context, c client.Reader, d *appsv1.Deployment) ([]corev1.Service, error) {
	all, err := allServices(ctx, c, d.Namespace)
	return inFront(all, d), err
}

func allServices(ctx context.Context, c client.Reader, namespace string) ([]corev1.Service, error) {
	var all corev1.ServiceList
	err := c.List(ctx, &all, client.InNamespace(namespace))
	return all.Items, err
}

// inFront are those of the Services that send requests to the workload's pods. A Service without a selector is not
// among them: Kubernetes gives it no pods. Nor are the canary Services that releases have made, since these are not
// the team's.
func inFront(all []corev1.Service, d *appsv1.Deployment) []corev1.Service {
	return slices.DeleteFunc(slices.Clone(all), func(s corev1.Service) bool {
		selector := labels.Set{}
		for k, v := range s.Spec.Selector { // Narrowed during a release.
			if k != v1alpha1.LabelPodTemplateHash {
				selector[k] = v
			}
		}
		owner := metav1.GetControllerOf(&s)
		ours := owner != nil && owner.Kind == "Release" && owner.APIVersion == v1alpha1.GroupVersion.String()
		return ours || len(selector) == 0 || !selector.AsSelector().Matches(labels.Set(d.Spec.Template.Labels))
	})
}

// checkServices refuses layers and blue-green without a Service to divide, and says which of the reasons it is: all
// Services are left as they are, they lead to the old pods, or there is none. Without layers pods are divided by their
// number, which works without a Service.
func (w *surroundings) checkServices(ctx context.Context, c client.Client, r *v1alpha1.Rollout, d *appsv1.Deployment,
	services, left []corev1.Service,
) {
	apart := translate.Apart(r)
	switch {
	case len(services) > 0:
	case apart && len(left) > 0:
		w.refuse("%s", preflight.AllLeft(d.Name, serviceNames(left)))
	case len(left) > 0:
	case apart && w.leadToOld(ctx, c, d):
	case apart:
		w.refuse("%s", preflight.NoService(r.Namespace, d.Name, d.Spec.Template.Labels))
	default:
		w.note("no Service selects the pods of deployment/%s, so what requests they get is not known", d.Name)
	}
}

// leadToOld refuses where Services lead to the pods that run, and not to those of the new pod template.
func (w *surroundings) leadToOld(ctx context.Context, c client.Client, d *appsv1.Deployment) bool {
	var sets appsv1.ReplicaSetList
	if c.List(ctx, &sets, client.InNamespace(d.Namespace)) != nil {
		return false
	}
	for i := range sets.Items {
		rs := &sets.Items[i]
		if !metav1.IsControlledBy(rs, d) || rs.Spec.Replicas != nil && *rs.Spec.Replicas == 0 {
			continue
		}
		old := d.DeepCopy()
		old.Spec.Template = rs.Spec.Template
		services, err := servicesOf(ctx, c, old)
		if err != nil || len(services) == 0 {
			continue
		}
		// The Deployment controller has added this label. The message is about labels that the team writes.
		delete(old.Spec.Template.Labels, v1alpha1.LabelPodTemplateHash)
		w.refuse("%s", preflight.SelectsOld(serviceNames(services), d.Name, old.Spec.Template.Labels, d.Spec.Template.Labels))
		return true
	}
	return false
}

// checkBehind looks for pods of other workloads behind the Services, and for Services that have the names of canary
// ones. A release narrows a Service to one revision, so the pods of others would get no more requests; and it never
// writes into a Service of somebody else's. Without layers and blue-green it does neither.
func (w *surroundings) checkBehind(ctx context.Context, c client.Client, r *v1alpha1.Rollout, d *appsv1.Deployment,
	services []corev1.Service,
) {
	if !translate.Apart(r) {
		return
	}
	sets, err := setsOf(ctx, c, r, d)
	if err != nil {
		w.note("replicasets: %s", sentence(err))
		return
	}
	for _, s := range services {
		var endpoints discoveryv1.EndpointSliceList
		err := c.List(ctx, &endpoints, client.InNamespace(r.Namespace),
			client.MatchingLabels{discoveryv1.LabelServiceName: s.Name})
		if err != nil {
			w.note("endpoints of service/%s: %s", s.Name, sentence(err))
		} else if foreign := preflight.Foreign(preflight.ReadyPods(endpoints.Items), sets); len(foreign) > 0 {
			w.refuse("%s", preflight.SelectsOthers(s.Name, d.Name, foreign))
		}
		var twin corev1.Service
		err = c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: naming.CanaryService(s.Name, naming.PlainSuffix)},
			&twin)
		switch {
		case missing(err):
		case err != nil:
			w.note("service/%s: %s", naming.CanaryService(s.Name, naming.PlainSuffix), sentence(err))
		case !ofARelease(ctx, c, &twin, r):
			w.refuse("%s", preflight.TwinTaken(twin.Name, s.Name))
		}
	}
}

// setsOf are the ReplicaSets of the workload, and those that releases of the Rollout have made beside it.
func setsOf(ctx context.Context, c client.Client, r *v1alpha1.Rollout,
	d *appsv1.Deployment,
) ([]*unstructured.Unstructured, error) {
	var all appsv1.ReplicaSetList
	if err := c.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		return nil, err
	}
	var out []*unstructured.Unstructured
	for i := range all.Items {
		if rs := &all.Items[i]; metav1.IsControlledBy(rs, d) || ofARelease(ctx, c, rs, r) {
			named := &unstructured.Unstructured{}
			named.SetName(rs.Name)
			out = append(out, named)
		}
	}
	return out, nil
}

// ofARelease says whether a release of the Rollout controls an object. Anybody can write labels and the names of
// owners; so the UID has to be that of a release that exists.
func ofARelease(ctx context.Context, c client.Client, o metav1.Object, r *v1alpha1.Rollout) bool {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != "Release" {
		return false
	}
	var rel v1alpha1.Release
	err := c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: owner.Name}, &rel)
	return err == nil && rel.UID == owner.UID && rel.Spec.Rollout == r.Name
}

// checkWindows tells which ReleaseWindow would keep a release out now.
func (w *surroundings) checkWindows(ctx context.Context, c client.Client, r *v1alpha1.Rollout, now time.Time) {
	var all v1alpha1.ReleaseWindowList
	if err := c.List(ctx, &all, client.InNamespace(r.Namespace)); err != nil {
		if sayNotInstalled(err) == "" {
			w.note("release windows: %s", sentence(err))
		}
		return
	}
	if _, message, _ := preflight.Shut(all.Items, r, now); message != "" {
		w.note("a release would wait: %s", message)
	}
}

// checkLayer asks the layer's provider whether it can do what the steps want with the team's objects. It stops at the
// first refusal: what comes after would only be a consequence of it. The layer is kept even so once its objects have
// been read, for checkFronts and checkRights.
func (e *env) checkLayer(ctx context.Context, c client.Client, w *surroundings, r *v1alpha1.Rollout,
	l v1alpha1.TrafficLayer, i int, services []corev1.Service,
) {
	provider, name := e.layers.Of(l), translate.LayerOf(l).String()
	if provider == nil {
		return
	}
	taken := ""
	world := traffic.World{Rollout: r.Name, Backends: backendsOf(services, naming.Twins{}, nil), Now: e.now()}
	world, err := traffic.Look(provider, world, func(o traffic.Object) (*unstructured.Unstructured, error) {
		found, err := objectOf(ctx, c, r.Namespace, o.Ref)
		switch {
		case o.Optional && apierrors.IsNotFound(err): // It, or its kind.
			return nil, nil
		case o.Part != traffic.Makes && err != nil:
			return nil, w.checkFound(o.Ref, r.Namespace, err)
		case err != nil: // What a release makes need not be there yet.
			return nil, nil
		case o.Part == traffic.Makes && !ofARelease(ctx, c, found, r):
			taken = preflight.BesideTaken(o.Kind, o.Name)
			return nil, nil
		}
		return found, nil
	})
	if err != nil {
		return // It has been told.
	}
	w.layers[i] = layer{name: name, provider: provider, world: world}
	if taken != "" {
		w.refuse("%s", taken)
		return
	}
	world.Holds = originalsOf(ctx, c, r, provider, world)
	w.observeReaders(ctx, c, provider, &world)
	if contended, ok := provider.(traffic.Contended); ok {
		if problem := contended.Contention(world); problem != "" {
			w.refuse("spec.traffic[%d]: %s", i, problem)
			return
		}
	}
	if err := provider.Check(world, splitsOf(r)); err != nil {
		// A provider does not know at which place of spec.traffic its layer stands.
		w.refuse("%s", strings.ReplaceAll(err.Error(), "spec.traffic[]", fmt.Sprintf("spec.traffic[%d]", i)))
	}
}

// checkFound tells why one of the team's objects could not be read, and gives the reason back.
func (w *surroundings) checkFound(of traffic.Ref, namespace string, err error) error {
	switch {
	case missing(err):
		w.refuse("%s", preflight.RouteMissing(of.Kind, of.Name, namespace))
	case sayNotInstalled(err) != "":
		w.refuse("%s", preflight.KindNotServed(of.Kind, of.Name, of.GroupVersion().String()))
	default:
		w.note("%s/%s: %s", strings.ToLower(of.Kind), of.Name, sentence(err))
	}
	return err
}

func objectOf(
	ctx context.Context, c client.Reader, namespace string, of traffic.Ref,
) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(of.GroupVersionKind)
	return u, c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: of.Name}, u)
}

// originalsOf are what releases under way have changed in a layer's objects, as it was before. With them a provider
// judges the object as the team has written it. Without them, where the Holds may not be read, it judges what is
// there now.
func originalsOf(
	ctx context.Context, c client.Client, r *v1alpha1.Rollout, p traffic.Provider, w traffic.World,
) map[traffic.Ref]traffic.Hold {
	out := map[traffic.Ref]traffic.Hold{}
	var holds v1alpha1.HoldList
	if c.List(ctx, &holds, client.InNamespace(r.Namespace)) != nil {
		return out
	}
	for _, o := range p.Objects(w) {
		for i := range holds.Items {
			if holds.Items[i].Spec.Target != translate.Target(o.Ref) {
				continue
			}
			if original, err := translate.Original(&holds.Items[i]); err == nil && original != nil {
				out[o.Ref] = traffic.Hold{Original: original}
			}
		}
	}
	return out
}

// backendsOf are Services with the canary Services beside them, as a release names these. What a canary
// Service selects is known where it is among all.
func backendsOf(services []corev1.Service, twins naming.Twins, all []corev1.Service) []traffic.Backend {
	var out []traffic.Backend
	for _, s := range services {
		b := traffic.Twins(s.Name, twins.Of(s.Name))
		b.Stable.Labels = s.Spec.Selector
		if i := slices.IndexFunc(all, func(o corev1.Service) bool { return o.Name == b.Canary.Service }); i >= 0 {
			b.Canary.Labels = all[i].Spec.Selector
		}
		for _, p := range s.Spec.Ports {
			b.Ports = append(b.Ports, traffic.Port{Name: p.Name, Number: int64(p.Port)})
		}
		out = append(out, b)
	}
	return out
}

func splitsOf(r *v1alpha1.Rollout) []traffic.Split {
	return traffic.Splits(translate.Spec(translate.Plan(r, nil), "", ""))
}
