package rollout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks after Holds that several Rollouts share: those of the team's objects that a layer changes.
// designs/0001-shared-routes.md says why.

// errRouteBehind: the cache shows an object that is older than its Hold. What the Hold says is not true of it.
var errRouteBehind = errors.New("the cache shows an older state of the object than the one that its Hold is about")

// observeShares reads the Holds of the objects that a layer changes.
func (r *Reconciler) observeShares(ctx context.Context, w *world, l *layer) error {
	l.world.Holds = map[traffic.Ref]traffic.Hold{}
	for _, o := range l.provider.Objects(l.world) {
		if o.Name == "" || o.Part != traffic.Changes {
			continue
		}
		if err := r.observeHold(ctx, w, l, o.Ref); err != nil {
			return err
		}
	}
	return nil
}

// observeHold reads the Hold of one object, and which releases have a share in it.
func (r *Reconciler) observeHold(ctx context.Context, w *world, l *layer, of traffic.Ref) error {
	h, err := r.sharedHold(ctx, w.rollout.Namespace, translate.Target(of))
	if h == nil || err != nil {
		return err
	}
	var seen traffic.Hold
	if seen.Original, err = translate.Original(h); err != nil {
		return err
	}
	for _, s := range h.Spec.Shares {
		if s.Rollout == w.rollout.Name {
			// What an earlier release has left there is taken over by the one under way, or else given back.
			if rel := w.active(); rel == nil || string(rel.UID) == s.UID {
				seen.Held, seen.Matches = true, translate.Matches(s.Match)
			}
			continue
		}
		p, err := r.party(ctx, h.Namespace, s, of)
		if err != nil {
			return err
		}
		if own := l.world.Objects[of]; own != nil {
			p.Objects = []*unstructured.Unstructured{own}
		}
		l.world.Join(p)
	}
	l.holds[of], l.world.Holds[of] = h, seen
	return r.upToDate(ctx, l.world.Objects[of], h)
}

// sharedHold finds the Hold of an object, or nil.
func (r *Reconciler) sharedHold(ctx context.Context, namespace string, target v1alpha1.HoldTarget) (
	*v1alpha1.Hold, error,
) {
	list := &v1alpha1.HoldList{}
	err := r.Kube.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{indexTarget: targetKey(target)})
	if err != nil {
		return nil, fmt.Errorf("list Holds of %s %s: %w", target.Kind, target.Name, err)
	}
	for i := range list.Items {
		// The index goes by kind and name; the API group is compared here.
		if list.Items[i].Spec.Target == target {
			return &list.Items[i], nil
		}
	}
	return nil, nil
}

// party is another release that has a share in the Hold of an object. One whose record is gone has nothing in it any
// more.
func (r *Reconciler) party(
	ctx context.Context, namespace string, s v1alpha1.HoldShare, of traffic.Ref,
) (traffic.Party, error) {
	p := translate.Party(s, of)
	rel, err := r.releaseOf(ctx, r.Kube.Client, namespace, s)
	if err == nil && rel == nil {
		rel, err = r.releaseOf(ctx, r.Kube.Live, namespace, s) // The cache of Releases may be behind that of Holds.
	}
	switch {
	case err != nil:
		return p, err
	case rel == nil:
		p.Gone = true
	default:
		p.Planned = planned(rel)
	}
	return p, nil
}

// releaseOf reads the release that has a share. One of the same name and another UID is not it.
func (r *Reconciler) releaseOf(ctx context.Context, from client.Reader, namespace string,
	s v1alpha1.HoldShare,
) (*v1alpha1.Release, error) {
	rel := &v1alpha1.Release{}
	err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: s.Release}, rel)
	switch {
	case apierrors.IsNotFound(err) || err == nil && string(rel.UID) != s.UID:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read Release %s/%s: %w", namespace, s.Release, err)
	}
	return rel, nil
}

// planned are the splits of a release's steps.
func planned(rel *v1alpha1.Release) []traffic.Split {
	return traffic.Splits(translate.Spec(rel.Spec.Plan, rel.Spec.From.Hash, rel.Spec.To.Hash))
}

// upToDate demands an object that is at least as new as what its Hold is about. Where the API server itself has an
// older one, it was restored from a backup, and is as good as edited.
func (r *Reconciler) upToDate(ctx context.Context, object *unstructured.Unstructured, h *v1alpha1.Hold) error {
	if object == nil || string(object.GetUID()) != h.Spec.TargetUID || object.GetGeneration() >= h.Spec.Generation {
		return nil
	}
	of := traffic.RefOf(object)
	live := untyped(of.GroupVersionKind)
	err := r.Kube.Live.Get(ctx, client.ObjectKeyFromObject(object), live)
	if err == nil && live.GetResourceVersion() == object.GetResourceVersion() {
		return nil
	}
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("read %s: %w", of, err)
	}
	return fmt.Errorf("look at %s: %w", of, apierrors.NewConflict(
		schema.GroupResource{Group: of.Group, Resource: of.Kind}, of.Name, errRouteBehind))
}

// holdShared records the original of an object and this release's share in it, before the object is changed. A Hold
// that another release has written since it was read makes the write fail, and the object is looked at again.
func (c *carrier) holdShared(ctx context.Context, l *layer, of traffic.Ref, record *traffic.Record) error {
	raw, err := json.Marshal(record.Original)
	if err != nil {
		return fmt.Errorf("record the original of %s: %w", of, err)
	}
	target := translate.Target(of)
	before, after := l.holds[of], &v1alpha1.Hold{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.w.rollout.Namespace, Name: naming.SharedHold(target.Kind, target.Name)},
		Spec:       v1alpha1.HoldSpec{Target: target},
	}
	if before != nil {
		after = before.DeepCopy()
	}
	if after.Spec.Original == nil || !sameJSON(after.Spec.Original.Raw, raw) {
		after.Spec.Original = &runtime.RawExtension{Raw: raw}
	}
	about(after, l.world.Objects[of])
	if c.rel != nil {
		c.join(after, l, record.Matches)
	}
	if before == nil {
		err = c.write.Create(ctx, after)
	} else {
		err = c.write.Patch(ctx, before, after)
	}
	if err != nil {
		return err
	}
	l.holds[of] = after
	return nil
}

// about notes which state of its object a Hold is about. A generation counts for one object only, so it begins anew
// where the object was made anew. It never goes back, since the cache may show an older state than the one that the
// last write was about.
func about(h *v1alpha1.Hold, object *unstructured.Unstructured) {
	if uid := string(object.GetUID()); h.Spec.TargetUID != uid {
		h.Spec.TargetUID, h.Spec.Generation = uid, 0
	}
	h.Spec.Generation = max(h.Spec.Generation, object.GetGeneration())
}

// join gives the release its share in a Hold, in place of an earlier one of the Rollout's.
func (c *carrier) join(h *v1alpha1.Hold, l *layer, matches []release.Match) {
	share := v1alpha1.HoldShare{
		Rollout: c.w.rollout.Name, Release: c.rel.Name, UID: string(c.rel.UID), Match: translate.RequestMatches(matches),
	}
	for _, b := range l.world.Backends {
		share.Services = append(share.Services, v1alpha1.HoldService{Stable: b.Stable.Service, Canary: b.Canary.Service})
	}
	i := slices.IndexFunc(h.Spec.Shares, func(s v1alpha1.HoldShare) bool { return s.Rollout == share.Rollout })
	if i < 0 {
		h.Spec.Shares = append(h.Spec.Shares, share)
	} else {
		h.Spec.Shares[i] = share
	}
	h.OwnerReferences = ownersOf(h.Spec.Shares)
	h.Spec.Release = h.Spec.Shares[0].Release
}

// ownersOf has a Hold go when the records of all releases that share it have gone. Kubernetes removes an object when
// the last of its owners is gone, not the first.
func ownersOf(shares []v1alpha1.HoldShare) []metav1.OwnerReference {
	out := make([]metav1.OwnerReference, 0, len(shares))
	for _, s := range shares {
		out = append(out, metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "Release", Name: s.Release, UID: types.UID(s.UID),
		})
	}
	return out
}

// leave takes the Rollout's share off the Hold of an object, and the Hold away with the last share. now is the state of
// the object from which the split has been removed, nil if there is no such object any more.
func (c *carrier) leave(ctx context.Context, l *layer, of traffic.Ref, now *unstructured.Unstructured) error {
	before := l.holds[of]
	after := before.DeepCopy()
	after.Spec.Shares = slices.DeleteFunc(after.Spec.Shares, func(s v1alpha1.HoldShare) bool {
		return s.Rollout == c.w.rollout.Name || l.gone(s.Release)
	})
	if len(after.Spec.Shares) == 0 {
		// Only as it was read: another release may have joined it since.
		return c.write.DeleteUnchanged(ctx, before)
	}
	if now != nil {
		about(after, now)
	}
	after.OwnerReferences, after.Spec.Release = ownersOf(after.Spec.Shares), after.Spec.Shares[0].Release
	return c.write.Patch(ctx, before, after)
}

// gone says whether a release that has a share in one of the layer's Holds has no record any more.
func (l *layer) gone(release string) bool {
	return slices.ContainsFunc(l.world.Parties, func(p traffic.Party) bool { return p.Release == release && p.Gone })
}
