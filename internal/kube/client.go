package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/sluice-dev/sluice/internal/kube/bound"
)

// FieldManager is the name under which Sluice writes.
const FieldManager = "sluice"

// doubt is the age from which an unseen write is checked against the API server itself: the object may have
// been removed by somebody else before the cache ever showed it.
const doubt = 5 * time.Second

// Client reads from the cache and writes to the API server.
type Client struct {
	client.Client
	// Live reads past the cache.
	Live   client.Reader
	ledger *ledger
}

// New makes a Client of a cached client and a reader past the cache.
func New(cached client.Client, live client.Reader, now func() time.Time) *Client {
	return &Client{Client: cached, Live: live, ledger: newLedger(now)}
}

// Stale is one object of which the cache shows less than we wrote.
type Stale struct {
	Kind string
	Name string
}

// Fresh says whether the cache has caught up with everything that was written for owner. If not it names the
// first object that is behind; the watch event that catches it up also brings the owner back.
func (c *Client) Fresh(ctx context.Context, owner types.NamespacedName) (*Stale, error) {
	for r, w := range c.ledger.outstanding(owner) {
		if w.version == unknown {
			if err := c.find(ctx, owner, r, w); err != nil {
				return nil, err
			}
			return &Stale{Kind: r.gvk.Kind, Name: r.name.Name}, nil
		}
		ok, err := c.caughtUp(ctx, c.Client, r, w)
		if err != nil {
			return nil, err
		}
		if !ok && c.ledger.now().Sub(w.at) > doubt {
			if ok, err = c.settledElsewhere(ctx, r, w.untyped); err != nil {
				return nil, err
			}
		}
		if !ok {
			return &Stale{Kind: r.gvk.Kind, Name: r.name.Name}, nil
		}
		c.ledger.settle(owner, r, w)
	}
	return nil, nil
}

// find asks the API server itself what became of a write whose answer never came. The cache then has to show at
// least that.
func (c *Client) find(ctx context.Context, owner types.NamespacedName, r ref, w written) error {
	now, err := c.look(ctx, c.Live, r, w.untyped)
	if err != nil {
		return err
	}
	if now.uid == "" { // Not there: nothing to wait for but that the cache shows none either.
		c.ledger.settle(owner, r, w)
		return nil
	}
	c.ledger.record(owner, r, written{version: now.version, untyped: w.untyped})
	return nil
}

// Forget drops what is remembered of an owner that is gone.
func (c *Client) Forget(owner types.NamespacedName) {
	for r, w := range c.ledger.outstanding(owner) {
		c.ledger.settle(owner, r, w)
	}
}

func (c *Client) caughtUp(ctx context.Context, from client.Reader, r ref, w written) (bool, error) {
	now, err := c.look(ctx, from, r, w.untyped)
	if err != nil {
		return false, err
	}
	return w.seen(now), nil
}

// settledElsewhere says whether cache and API server agree on an object, whatever we wrote.
func (c *Client) settledElsewhere(ctx context.Context, r ref, untyped bool) (bool, error) {
	now, err := c.look(ctx, c.Live, r, untyped)
	if err != nil {
		return false, err
	}
	cached, err := c.look(ctx, c.Client, r, untyped)
	return cached == now, err
}

func (c *Client) look(ctx context.Context, from client.Reader, r ref, untyped bool) (shown, error) {
	obj, err := c.empty(r.gvk, untyped)
	if err != nil {
		return shown{}, err
	}
	err = from.Get(ctx, r.name, obj)
	if apierrors.IsNotFound(err) {
		return shown{}, nil
	}
	if err != nil {
		return shown{}, fmt.Errorf("read %s %s: %w", r.gvk.Kind, r.name, err)
	}
	return shown{obj.GetUID(), obj.GetResourceVersion(), obj.GetDeletionTimestamp() != nil}, nil
}

func (c *Client) empty(gvk schema.GroupVersionKind, untyped bool) (client.Object, error) {
	if untyped {
		u := &unstructured.Unstructured{}
		u.SetGroupVersionKind(gvk)
		return u, nil
	}
	o, err := c.Scheme().New(gvk)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", gvk.Kind, err)
	}
	return o.(client.Object), nil
}

// Writer writes for one owner, and has the ledger remember it.
type Writer struct {
	client *Client
	owner  types.NamespacedName
	writes int
}

// For returns the Writer of one owner.
func (c *Client) For(owner types.NamespacedName) *Writer { return &Writer{client: c, owner: owner} }

// Writes counts what this Writer has written.
func (w *Writer) Writes() int { return w.writes }

// Create makes an object. If one of this name exists already the error says so (apierrors.IsAlreadyExists).
func (w *Writer) Create(ctx context.Context, obj client.Object) error {
	bound.Spec(obj)
	if err := w.client.Create(ctx, obj, client.FieldOwner(FieldManager)); err != nil {
		return w.lost(obj, fmt.Errorf("create %s: %w", w.describe(obj), err))
	}
	return w.wrote(obj, "")
}

// CreateUncached makes an object of a kind that no cache holds. Nothing waits until a cache shows it.
func (w *Writer) CreateUncached(ctx context.Context, obj client.Object) error {
	if err := w.client.Create(ctx, obj, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("create %s: %w", w.describe(obj), err)
	}
	w.writes++
	return nil
}

// DeleteUncached removes exactly this object, of a kind that no cache holds.
func (w *Writer) DeleteUncached(ctx context.Context, obj client.Object) error {
	uid := obj.GetUID()
	err := w.client.Delete(ctx, obj, client.Preconditions{UID: &uid}, client.PropagationPolicy("Background"))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", w.describe(obj), err)
	}
	w.writes++
	return nil
}

// Patch writes the difference between two states of an object, on condition that nobody has written it since
// before was read. Without a difference nothing is written.
func (w *Writer) Patch(ctx context.Context, before, after client.Object) error {
	if same(before, after) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := w.client.Patch(ctx, after, patch, client.FieldOwner(FieldManager)); err != nil {
		return w.lost(before, fmt.Errorf("patch %s: %w", w.describe(before), err))
	}
	return w.wrote(after, "")
}

// PatchSpec writes the difference between two states of an object, on condition that what the object asks for is
// still the same, and every field that changes as well. Unlike Patch it lets others write the status meanwhile: for
// objects of which the cluster reports all the time, and where what it reports does not matter to the write.
func (w *Writer) PatchSpec(ctx context.Context, before, after client.Object) error {
	if same(before, after) {
		return nil
	}
	data, err := conditional(before, after)
	if err != nil {
		return fmt.Errorf("patch %s: %w", w.describe(before), err)
	}
	err = w.client.Patch(ctx, after, client.RawPatch(types.JSONPatchType, data), client.FieldOwner(FieldManager))
	if err != nil {
		return w.lost(before, fmt.Errorf("patch %s: %w", w.describe(before), unmet(before, err)))
	}
	return w.wrote(after, "")
}

// PatchStatus does for the status what Patch does for the rest. What is too long for the status of one of Sluice's
// kinds is cut: the API server would refuse it as a whole.
func (w *Writer) PatchStatus(ctx context.Context, before, after client.Object) error {
	bound.Status(after)
	if same(before, after) {
		return nil
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := w.client.Status().Patch(ctx, after, patch, client.FieldOwner(FieldManager)); err != nil {
		return w.lost(before, fmt.Errorf("patch status of %s: %w", w.describe(before), err))
	}
	return w.wrote(after, "")
}

// Delete removes exactly this object, not one that has since been made under its name. One that is gone already, or is
// being removed and waits for others' finalizers, is as good.
func (w *Writer) Delete(ctx context.Context, obj client.Object) error {
	if obj.GetDeletionTimestamp() != nil {
		return nil
	}
	uid := obj.GetUID()
	return w.remove(ctx, obj, client.Preconditions{UID: &uid}, "Background")
}

// DeleteAlone removes exactly this object, and leaves what it controls where it is.
func (w *Writer) DeleteAlone(ctx context.Context, obj client.Object) error {
	uid := obj.GetUID()
	return w.remove(ctx, obj, client.Preconditions{UID: &uid}, "Orphan")
}

// DeleteUnchanged removes this object if nobody has written it since it was read. One that is gone already is as good.
func (w *Writer) DeleteUnchanged(ctx context.Context, obj client.Object) error {
	uid, version := obj.GetUID(), obj.GetResourceVersion()
	return w.remove(ctx, obj, client.Preconditions{UID: &uid, ResourceVersion: &version}, "Background")
}

func (w *Writer) remove(ctx context.Context, obj client.Object, only client.Preconditions,
	dependents client.PropagationPolicy,
) error {
	uid := obj.GetUID()
	if err := w.client.Delete(ctx, obj, only, dependents); err != nil && !apierrors.IsNotFound(err) {
		return w.lost(obj, fmt.Errorf("delete %s: %w", w.describe(obj), err))
	}
	return w.wrote(obj, uid)
}

// lost remembers a write of which it is not known whether it was done: no answer came, or the API server failed after
// it may have stored it. A refusal is an answer.
func (w *Writer) lost(obj client.Object, err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		if code := status.Status().Code; code != 0 && code < 500 && code != 408 {
			return err
		}
	}
	gvk, kindErr := apiutil.GVKForObject(obj, w.client.Scheme())
	if kindErr != nil {
		return errors.Join(err, kindErr)
	}
	_, untyped := obj.(*unstructured.Unstructured)
	r := ref{gvk: gvk, name: client.ObjectKeyFromObject(obj)}
	w.client.ledger.record(w.owner, r, written{version: unknown, untyped: untyped})
	return err
}

func (w *Writer) wrote(obj client.Object, deleted types.UID) error {
	w.writes++
	gvk, err := apiutil.GVKForObject(obj, w.client.Scheme())
	if err != nil {
		return fmt.Errorf("tell the kind of %T: %w", obj, err)
	}
	_, untyped := obj.(*unstructured.Unstructured)
	r := ref{gvk: gvk, name: client.ObjectKeyFromObject(obj)}
	w.client.ledger.record(w.owner, r, written{version: obj.GetResourceVersion(), deleted: deleted, untyped: untyped})
	return nil
}

func (w *Writer) describe(obj client.Object) string {
	gvk, err := apiutil.GVKForObject(obj, w.client.Scheme())
	if err != nil {
		return obj.GetName()
	}
	return gvk.Kind + " " + obj.GetNamespace() + "/" + obj.GetName()
}

// same says whether a patch between the two would be empty.
func same(before, after client.Object) bool {
	data, err := client.MergeFrom(before).Data(after)
	return err == nil && string(data) == "{}"
}
