package cli

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file asks for `plan` what the controller asks before a release, and the API server when a Rollout is applied:
// who reads a layer's object, who else divides its requests, and whether the author may do himself what he has Sluice
// do.

// observeReaders fills in the class of a layer's object, and the objects that may divide the same requests. What the
// user may not read is a note: the controller will see it.
func (w *surroundings) observeReaders(ctx context.Context, c client.Client, provider traffic.Provider,
	world *traffic.World,
) {
	if p, ok := provider.(traffic.Classed); ok {
		var err error
		if world.Class, err = classOf(ctx, c, p.Class(*world)); err != nil {
			w.note("%s: its class was not looked up: %s", traffic.RefOf(traffic.Team(provider, *world)[0]), sentence(err))
		}
	}
	if _, ok := provider.(traffic.Contended); !ok {
		return
	}
	// A layer may have several objects of one kind. All of a kind are listed, so one list for each kind is enough.
	looked := map[schema.GroupVersionKind]bool{}
	for _, u := range traffic.Team(provider, *world) {
		if kind := u.GroupVersionKind(); !looked[kind] {
			looked[kind] = true
			w.observeOthers(ctx, c, kind, u.GetNamespace(), world)
		}
	}
}

// observeOthers adds the objects of a kind that may divide the same requests. It looks in all namespaces, since an
// object of another namespace can name the same host. Few users may list those, so the Rollout's own namespace has to
// do where they may not; the controller sees them all.
func (w *surroundings) observeOthers(
	ctx context.Context, c client.Client, kind schema.GroupVersionKind, namespace string, world *traffic.World,
) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind)
	err := c.List(ctx, list)
	if apierrors.IsForbidden(err) {
		w.note("only %ss of namespace %s were looked at: one of another namespace could divide the same requests",
			kind.Kind, namespace)
		err = c.List(ctx, list, client.InNamespace(namespace))
	}
	if err != nil {
		w.note("%ss: %s", kind.Kind, sentence(err))
	}
	for i := range list.Items {
		if !madeByARelease(ctx, c, &list.Items[i]) { // A release waits for another one; that is no refusal.
			world.Others = append(world.Others, &list.Items[i])
		}
	}
}

// classOf is the class of that name; nil, with the error, where it cannot be read. One that does not exist is a class
// without a controller and no error: what that means is for the layer's provider to say.
func classOf(ctx context.Context, c client.Client, name string) (*traffic.Class, error) {
	if name == "" {
		return &traffic.Class{}, nil
	}
	var found networkingv1.IngressClass
	if err := c.Get(ctx, client.ObjectKey{Name: name}, &found); err != nil && !missing(err) {
		return nil, err
	}
	return &traffic.Class{Name: name, Controller: found.Spec.Controller}, nil
}

// madeByARelease says whether a release under way has made the object. A name proves nothing, since an owner may have
// been deleted and made anew: the owner's UID has to be the release's.
func madeByARelease(ctx context.Context, c client.Client, o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	if owner == nil || owner.Kind != "Release" {
		return false
	}
	var rel v1alpha1.Release
	err := c.Get(ctx, client.ObjectKey{Namespace: o.GetNamespace(), Name: owner.Name}, &rel)
	return err == nil && rel.UID == owner.UID && !rel.Status.Phase.Terminal()
}

// checkRights asks what the policy sluice-rollout-author asks of whoever applies the Rollout: nobody may borrow
// Sluice's rights to change what he may not change himself. One that is in the cluster has been asked. The answers
// come from SelfSubjectAccessReviews, which every user may create and which the API server does not store.
func (w *surroundings) checkRights(ctx context.Context, c client.Client, r *v1alpha1.Rollout) {
	if r.UID != "" {
		return
	}
	ask := func(field, verb, group, resource, name string) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: r.Namespace, Verb: verb, Group: group, Resource: resource, Name: name,
			},
		}}
		if err := c.Create(ctx, review); err != nil || review.Status.Allowed {
			return // Where the question fails nothing is refused: the policy asks again when the Rollout is applied.
		}
		what := resource
		if group != "" {
			what += "." + group
		}
		if name != "" {
			what += fmt.Sprintf(" %q", name)
		}
		w.refuse("%s: you may not %s %s in namespace %s, and so may not have Sluice do it; ask for the RBAC verb %q on it",
			field, verb, what, r.Namespace, verb)
	}
	ask("spec.workload.name", "update", "apps", "deployments", r.Spec.Workload.Name)
	if !translate.Apart(r) {
		return
	}
	needs := "spec.traffic"
	if len(r.Spec.Traffic) == 0 {
		needs = "spec.blueGreen"
	}
	// Sluice finds Services by their selectors, and the Rollout does not name them. So the right is asked for all.
	ask(needs, "update", "", "services", "")
	ask(needs, "create", "", "services", "")
	for i := range r.Spec.Traffic {
		l, known := w.layers[i]
		if !known {
			continue
		}
		field := fmt.Sprintf("spec.traffic[%d]", i)
		for _, o := range l.provider.Objects(l.world) {
			plural, _ := meta.UnsafeGuessKindToResource(o.GroupVersionKind)
			switch {
			case o.Part == traffic.Makes:
				ask(field, "create", plural.Group, plural.Resource, "")
			case o.Name != "":
				ask(field, "update", plural.Group, plural.Resource, o.Name)
			}
		}
	}
}
