package rollout

import (
	"context"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// mapper finds the Rollouts that an object concerns. A mapping function cannot return an error, so what fails is
// logged, and brings nobody back.
type mapper struct {
	reader client.Reader
	looks  *looks
	fronts *fronts
	layers translate.LayerKinds
}

// names of Rollouts in the object's namespace.
type names func(context.Context, client.Object) []string

// ofTemplate brings back the Rollouts whose templates may have been missing or wrong.
func (m *mapper) ofTemplate(ctx context.Context, o client.Object) []string {
	return namesOf(m.all(ctx, o.GetNamespace(), measures))
}

// ofClusterTemplate does the same for the templates of the whole cluster. It returns requests, since the Rollouts are
// in any namespace, and names are in the object's own.
func (m *mapper) ofClusterTemplate(ctx context.Context, _ client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, ro := range m.all(ctx, metav1.NamespaceAll, measures) {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(ro)})
	}
	return out
}

// ofWindow brings back all Rollouts of the namespace: a window that has changed may have selected others before.
func (m *mapper) ofWindow(ctx context.Context, o client.Object) []string {
	return namesOf(m.all(ctx, o.GetNamespace(), func(*v1alpha1.Rollout) bool { return true }))
}

// all finds the Rollouts of a namespace that an object concerns, where no index tells.
func (m *mapper) all(ctx context.Context, namespace string, concerns func(*v1alpha1.Rollout) bool) []*v1alpha1.Rollout {
	list := &v1alpha1.RolloutList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "list Rollouts")
		return nil
	}
	var out []*v1alpha1.Rollout
	for i := range list.Items {
		if concerns(&list.Items[i]) {
			out = append(out, &list.Items[i])
		}
	}
	return out
}

func namesOf(rollouts []*v1alpha1.Rollout) []string {
	var out []string
	for _, ro := range rollouts {
		out = append(out, ro.Name)
	}
	return out
}

// ofHold brings back every Rollout that has something to do with a Hold.
func ofHold(_ context.Context, o client.Object) []string {
	out := byLabel(o)
	for _, s := range o.(*v1alpha1.Hold).Spec.Shares {
		out = append(out, s.Rollout)
	}
	return out
}

func itself(_ context.Context, o client.Object) []string { return []string{o.GetName()} }

func label(_ context.Context, o client.Object) []string { return byLabel(o) }

// ofWorkload brings back the Rollouts that name a workload, and the one that its label names: a workload that its
// Rollout no longer names has to be freed (freeStrays).
func (m *mapper) ofWorkload(ctx context.Context, o client.Object) []string {
	return append(byLabel(o), m.rollouts(ctx, o.GetNamespace(), indexWorkload,
		o.GetObjectKind().GroupVersionKind().Kind+"/"+o.GetName())...)
}

// ofPart brings back the Rollout of a part by its controller, the workload or a release. A part without one may be
// kept by a Rollout whose workload is gone.
func (m *mapper) ofPart(ctx context.Context, o client.Object) []string {
	c := metav1.GetControllerOf(o)
	switch {
	case c == nil:
		return keepers(o)
	case c.Kind != "Release":
		return m.rollouts(ctx, o.GetNamespace(), indexWorkload, c.Kind+"/"+c.Name)
	}
	return one(rolloutOf(c.Name)) // A release's.
}

// ofService also brings back the Rollouts that were last seen behind the Service: after an edit of its selector
// nothing else leads from it to them.
func (m *mapper) ofService(ctx context.Context, o client.Object) []string {
	names := append(byLabel(o), m.holders(ctx, o.GetNamespace(), "Service/"+o.GetName())...)
	return append(names, m.fronts.of(client.ObjectKeyFromObject(o))...)
}

// ofEndpoints: an EndpointSlice bears its Service's labels, so that of a twin is found by them.
func (m *mapper) ofEndpoints(ctx context.Context, o client.Object) []string {
	service := o.GetLabels()[discoveryv1.LabelServiceName]
	behind := m.looks.behind(types.NamespacedName{Namespace: o.GetNamespace(), Name: service})
	return slices.Concat(byLabel(o), m.holders(ctx, o.GetNamespace(), "Service/"+service), behind)
}

// ofRoute: an object that may divide the same requests concerns every Rollout of the namespace that has layers; any
// other one those that name it or hold it.
func (m *mapper) ofRoute(ctx context.Context, o client.Object) []string {
	if contends(m.layers, o) {
		return namesOf(m.all(ctx, o.GetNamespace(), func(ro *v1alpha1.Rollout) bool { return len(ro.Spec.Traffic) > 0 }))
	}
	key := o.GetObjectKind().GroupVersionKind().Kind + "/" + o.GetName()
	// A release under way may be on a route that its Rollout no longer names.
	out := append(byLabel(o), m.holders(ctx, o.GetNamespace(), key)...)
	return append(out, m.rollouts(ctx, o.GetNamespace(), indexTraffic, key)...)
}

func (m *mapper) rollouts(ctx context.Context, namespace, ix, value string) []string {
	list := &v1alpha1.RolloutList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{ix: value}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find Rollouts", "by", ix, "value", value)
		return nil
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out
}

func (m *mapper) holders(ctx context.Context, namespace, target string) []string {
	list := &v1alpha1.HoldList{}
	if err := m.reader.List(ctx, list, client.InNamespace(namespace),
		client.MatchingFields{indexTarget: target}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find Holds", "target", target)
		return nil
	}
	var out []string
	for i := range list.Items {
		out = append(out, ofHold(ctx, &list.Items[i])...)
	}
	return out
}
