package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

var (
	rollouts    = v1alpha1.GroupVersion.WithResource("rollouts")
	holds       = v1alpha1.GroupVersion.WithResource("holds")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	leases      = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// removeRollouts deletes every Rollout and waits until what they changed is as it was.
func (c *cluster) removeRollouts(ctx context.Context, o UninstallOptions) error {
	all, err := c.list(ctx, rollouts, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, rollout := range all {
		err := c.dynamic.Resource(rollouts).Namespace(rollout.GetNamespace()).Delete(ctx, rollout.GetName(),
			metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete rollout %s: %w", full(&rollout), explain(err))
		}
		fmt.Fprintf(c.out, "rollout.sluice.dev/%s in %s: puts everything back\n", rollout.GetName(), rollout.GetNamespace())
	}
	if len(all) > 0 {
		err = c.waitPutBack(ctx, o)
	}
	if err != nil && !o.Force {
		return err
	}
	if err != nil {
		// The time may be up; what is forced gets a little of its own.
		forced, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		return c.abandon(forced, err)
	}
	return c.refuseHolds(ctx, o)
}

// waitPutBack waits until no Rollout is left, with the work done here when there is no controller.
func (c *cluster) waitPutBack(ctx context.Context, o UninstallOptions) error {
	running, err := c.controllerRuns(ctx, o.Namespace)
	if err != nil {
		return err
	}
	remedy := "see sluice get for what each waits for, and the controller's log (kubectl -n " + o.Namespace +
		" logs deploy/" + deploy.Controller + ")"
	untilBack := func(ctx context.Context) error {
		shown := ""
		return until(ctx, "all Rollouts have put everything back", remedy, func(ctx context.Context) (bool, string, error) {
			left, err := c.list(ctx, rollouts, metav1.ListOptions{})
			seen := waiting(left)
			if seen != shown && seen != "" {
				fmt.Fprintf(c.out, "waiting for %s\n", seen)
			}
			shown = seen
			return err == nil && len(left) == 0, seen, err
		})
	}
	if !running && o.PutBack != nil {
		running, err = c.somebodyAnswers(ctx)
	}
	switch {
	case err != nil:
		return err
	case running:
		return untilBack(ctx)
	case o.PutBack != nil:
		fmt.Fprintf(c.out, "no controller runs in namespace %s; this command puts everything back itself\n", o.Namespace)
		served, err := c.reach(ctx)
		if err != nil {
			return err
		}
		if served.everywhere {
			served.namespaces = nil
		}
		return alongside(ctx, func(ctx context.Context) error { return o.PutBack(ctx, served.namespaces) }, untilBack)
	}
	remedy = "no controller runs in namespace " + o.Namespace + ", and only a controller can put things back: start one " +
		"(kubectl -n " + o.Namespace + " scale deploy/" + deploy.Controller + " --replicas=1, or sluice controller) and " +
		"repeat; " +
		"to leave things as they are, use --force"
	fmt.Fprintf(c.out, "note: %s\n", remedy)
	return untilBack(ctx)
}

// grace is the time for a controller without a lease, on somebody's machine, to show that it is there. Two at
// once would act against each other.
const grace = 5 * time.Second

// somebodyAnswers says whether Rollouts that are being deleted are looked after.
func (c *cluster) somebodyAnswers(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	answered := false
	err := wait.PollUntilContextCancel(ctx, interval, true, func(ctx context.Context) (bool, error) {
		left, err := c.list(ctx, rollouts, metav1.ListOptions{})
		answered = err == nil && (len(left) == 0 || slices.ContainsFunc(left, removing))
		return answered, err
	})
	if ctx.Err() != nil {
		return answered, nil
	}
	return answered, err
}

// removing says whether a controller has seen that a Rollout is being deleted.
func removing(rollout unstructured.Unstructured) bool {
	phase, _, _ := unstructured.NestedString(rollout.Object, "status", "phase")
	return phase == string(v1alpha1.RolloutRemoving)
}

// ending is how long the put-back may take to end once it is no longer waited for. One that cannot even begin, for
// want of rights, does not listen.
const ending = 15 * time.Second

// alongside runs work until wait is over. When the work ends first by an error, that is the outcome.
func alongside(ctx context.Context, work, wait func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := work(ctx); err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("put everything back: %w", err))
		}
	}()
	err := wait(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		err = cause
	}
	cancel(nil)
	select {
	case <-done:
	case <-time.After(ending):
	}
	return err
}

// controllerRuns says whether there is a controller that will answer: a Deployment with a ready pod, or a
// leader elsewhere that renews its lease.
func (c *cluster) controllerRuns(ctx context.Context, namespace string) (bool, error) {
	found, err := c.dynamic.Resource(deployments).Namespace(namespace).Get(ctx, deploy.Controller, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return false, fmt.Errorf("read the controller's Deployment: %w", explain(err))
	}
	if err == nil {
		if ready, _, _ := unstructured.NestedInt64(found.Object, "status", "availableReplicas"); ready > 0 {
			return true, nil
		}
	}
	held, err := c.dynamic.Resource(leases).Namespace(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("read the leader's lease: %w", explain(err))
	}
	return slices.ContainsFunc(held.Items, func(lease unstructured.Unstructured) bool {
		return fresh(&lease,
			time.Now())
	}), nil
}

// fresh says whether a lease has a holder who renews it.
func fresh(lease *unstructured.Unstructured, now time.Time) bool {
	holder, _, _ := unstructured.NestedString(lease.Object, "spec", "holderIdentity")
	renewed, _, _ := unstructured.NestedString(lease.Object, "spec", "renewTime")
	seconds, _, _ := unstructured.NestedInt64(lease.Object, "spec", "leaseDurationSeconds")
	at, err := time.Parse(time.RFC3339Nano, renewed)
	return holder != "" && err == nil && now.Sub(at) < time.Duration(seconds)*time.Second
}

// abandon removes the finalizers of the Rollouts that are left, and says what stays changed.
func (c *cluster) abandon(ctx context.Context, cause error) error {
	fmt.Fprintf(c.out, "forced: %v\n", cause)
	left, err := c.list(ctx, rollouts, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, rollout := range left {
		patch := []byte(`{"metadata":{"finalizers":null}}`)
		_, err := c.dynamic.Resource(rollouts).Namespace(rollout.GetNamespace()).Patch(ctx, rollout.GetName(),
			types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove finalizers of rollout %s: %w", full(&rollout), explain(err))
		}
		fmt.Fprintf(c.out, "rollout.sluice.dev/%s in %s: abandoned\n", rollout.GetName(), rollout.GetNamespace())
	}
	held, err := c.list(ctx, holds, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, hold := range held {
		fmt.Fprintf(c.out, "left changed: %s\n", heldObject(&hold))
	}
	return nil
}

// refuseHolds stops before the only record of the originals would be removed.
func (c *cluster) refuseHolds(ctx context.Context, o UninstallOptions) error {
	held, err := c.list(ctx, holds, metav1.ListOptions{})
	if err != nil || len(held) == 0 || !o.DeleteCRDs {
		return err
	}
	var names []string
	for _, hold := range held {
		names = append(names, heldObject(&hold))
	}
	if o.Force {
		fmt.Fprintf(c.out, "left changed: %s\n", strings.Join(names, "; "))
		return nil
	}
	return fmt.Errorf("these are still changed by a release: %s; put them back and delete their Holds (kubectl get "+
		"holds -A), or use --force", strings.Join(names, "; "))
}

// heldObject names what a Hold holds, and what it was.
func heldObject(hold *unstructured.Unstructured) string {
	kind, _, _ := unstructured.NestedString(hold.Object, "spec", "target", "kind")
	name, _, _ := unstructured.NestedString(hold.Object, "spec", "target", "name")
	original, _, _ := unstructured.NestedFieldNoCopy(hold.Object, "spec", "original")
	return fmt.Sprintf("%s %s/%s, which was %s", kind, hold.GetNamespace(), name, compact(original))
}

// waiting sums up what the Rollouts that are left wait for.
func waiting(left []unstructured.Unstructured) string {
	var lines []string
	for _, rollout := range left {
		message, _, _ := unstructured.NestedString(rollout.Object, "status", "waitingFor", "message")
		if message == "" {
			message = "no word from the controller yet"
		}
		lines = append(lines, "rollout "+full(&rollout)+": "+message)
	}
	return strings.Join(lines, "; ")
}

// labelledWorkloads are the Deployments that bear Sluice's label.
func (c *cluster) labelledWorkloads(ctx context.Context) ([]unstructured.Unstructured, error) {
	return c.list(ctx, deployments, metav1.ListOptions{LabelSelector: v1alpha1.LabelRollout})
}

// list reads the objects of all namespaces. A kind that the cluster does not have has no objects.
func (c *cluster) list(ctx context.Context, resource schema.GroupVersionResource,
	o metav1.ListOptions,
) ([]unstructured.Unstructured, error) {
	found, err := c.dynamic.Resource(resource).List(ctx, o)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.Resource, explain(err))
	}
	return found.Items, nil
}

func full(object *unstructured.Unstructured) string {
	return object.GetNamespace() + "/" + object.GetName()
}
