package notify

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/controller/loop"
	"github.com/sluice-dev/sluice/internal/kube"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/notify"
)

// Reconciler looks after Notifiers.
type Reconciler struct {
	Kube *kube.Client
	// Now is the time that waits go by; Calendar the one that messages are signed with, which may step.
	Now, Calendar func() time.Time
	// Queue says how messages are delivered; Now and Done are set here.
	Queue notify.Options

	egress   *metric.Egress
	client   *http.Client
	couriers *couriers
	// landed has Notifiers looked at again of which a message has arrived, or was given up.
	landed *loop.Waker
}

// attempts at one message: with the Queue's usual waits they take some four minutes, which a short outage does not
// outlast.
const attempts = 10

// New makes a Reconciler. Egress says what may be reached.
func New(kubeClient *kube.Client, egress *metric.Egress, now func() time.Time) *Reconciler {
	return &Reconciler{
		Kube: kubeClient, Now: now, Calendar: now, Queue: notify.Options{Attempts: attempts},
		egress: egress, client: egress.Client(nil, metric.DefaultTimeout),
		couriers: &couriers{of: map[types.NamespacedName]*courier{}}, landed: loop.NewWaker(),
	}
}

// recheck is how often a sink that cannot be made is looked at again, although nothing is to be sent.
const recheck = time.Minute

// Reconcile looks after one Notifier: what is new is sent on its way, what has arrived is written down.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	key := req.NamespacedName
	// What we wrote to a Notifier that is gone will never be seen, so that is found out first.
	n, err := r.read(ctx, key)
	if err != nil || n == nil {
		return ctrl.Result{}, err
	}
	return loop.Run(ctx, r.Kube, key, func(ctx context.Context, write *kube.Writer) (ctrl.Result, error) {
		return r.look(ctx, write, key)
	})
}

func (r *Reconciler) look(ctx context.Context, write *kube.Writer, key types.NamespacedName) (ctrl.Result, error) {
	n, err := r.read(ctx, key)
	if err != nil || n == nil {
		return ctrl.Result{}, err
	}
	all, err := r.facts(ctx, n.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	c := r.couriers.get(key, n.UID, func() *courier { return r.hire(n) })
	if c == nil { // The process ends.
		return ctrl.Result{}, nil
	}
	c.work.Lock()
	defer c.work.Unlock()
	c.change(n)
	if err := r.tell(ctx, n, c, all); err != nil {
		return ctrl.Result{}, err
	}
	return r.record(ctx, write, n, c, all)
}

// read reads a Notifier. One that is gone has its courier stopped, and is nil.
func (r *Reconciler) read(ctx context.Context, key types.NamespacedName) (*v1alpha1.Notifier, error) {
	n := &v1alpha1.Notifier{}
	err := r.Kube.Get(ctx, key, n)
	if apierrors.IsNotFound(err) || err == nil && n.DeletionTimestamp != nil {
		r.couriers.stop(key)
		r.Kube.Forget(key)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Notifier %s: %w", key, err)
	}
	return n, nil
}

// facts are all that there is to tell in a namespace, in order. The releases are the cache's own, and only read.
func (r *Reconciler) facts(ctx context.Context, namespace string) ([]fact, error) {
	list := &v1alpha1.ReleaseList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Releases: %w", err)
	}
	var out []fact
	for i := range list.Items {
		out = append(out, factsOf(&list.Items[i])...)
	}
	slices.SortStableFunc(out, byTime)
	return out, nil
}

// tell sends what is new on its way.
func (r *Reconciler) tell(ctx context.Context, n *v1alpha1.Notifier, c *courier, all []fact) error {
	selects, err := r.selection(ctx, n)
	if err != nil {
		return err
	}
	for _, f := range c.news(all, readCursor(n.Status.Cursor)) {
		e := f.as(n.Spec.Events)
		if e == "" || !selects(f.rollout) {
			continue
		}
		m, err := f.message(n.Namespace, e, c.template)
		if err != nil { // The usual text is in the message.
			c.flaw = err.Error() + "; the usual text is sent"
		}
		c.put(&f, m)
	}
	return nil
}

// selection says which Rollouts a Notifier picks.
func (r *Reconciler) selection(ctx context.Context, n *v1alpha1.Notifier) (func(rollout string) bool, error) {
	if n.Spec.Selector == nil {
		return func(string) bool { return true }, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(n.Spec.Selector)
	if err != nil {
		return func(string) bool { return false }, nil //nolint:nilerr // it is told in the status, by flaws
	}
	if selector.Empty() {
		return func(string) bool { return true }, nil
	}
	list := &v1alpha1.RolloutList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(n.Namespace), client.MatchingLabelsSelector{Selector: selector},
		client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list Rollouts: %w", err)
	}
	picked := map[string]bool{}
	for i := range list.Items {
		picked[list.Items[i].Name] = true
	}
	return func(rollout string) bool { return picked[rollout] }, nil
}

// selectorFlaw is what is wrong with a selector, if anything is. The API server checks no label selector of a custom
// resource, so a wrong one can be stored.
func selectorFlaw(s *metav1.LabelSelector) string {
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		return "spec.selector: " + err.Error()
	}
	return ""
}

// wake has a Notifier looked at again.
func (r *Reconciler) wake(ctx context.Context, key types.NamespacedName) {
	n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	r.landed.Wake(ctx, n)
}
