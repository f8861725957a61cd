package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/admission"
)

// DefaultUninstallTimeout bounds the waits of an uninstallation: releases under way are taken back with their
// drain delays.
const DefaultUninstallTimeout = 10 * time.Minute

// UninstallOptions say what to take out.
type UninstallOptions struct {
	// Namespace of the controller. Default sluice-system.
	Namespace string
	// DeleteCRDs removes the kinds too, and with them every record: Releases and Decisions.
	DeleteCRDs bool
	// PutBack is called when no controller answers. It does in this process what the controller does to
	// Rollouts that are being deleted, and goes on until its context ends. It must act as the controller
	// (AsController), since the admission policies hold workloads against everybody else.
	// Namespaces are those in which the controller has rights; none for all.
	PutBack func(ctx context.Context, namespaces []string) error
	// Force goes on when the Rollouts are not gone in time: it removes their finalizers and prints what is
	// left changed. Without it nothing that could put things back is removed before they are back.
	Force bool
	// Timeout bounds all waits together. Default DefaultUninstallTimeout.
	Timeout time.Duration
	// Out gets one line per object and the progress of waits. Nil means nowhere.
	Out io.Writer
}

// Uninstall deletes all Rollouts, waits until the controller has put back all that they changed, and only then
// removes the controller, the admission policies, the kinds if told so, the rights and the namespace. At the
// end it checks that nothing is left.
func Uninstall(ctx context.Context, cfg *rest.Config, o UninstallOptions) error {
	o = o.complete()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c, err := connect(cfg, o.Out, false)
	if err != nil {
		return err
	}
	if err := c.removeRollouts(ctx, o); err != nil {
		return err
	}
	before, err := c.reach(ctx)
	if err != nil {
		return err
	}
	objects, err := removalOrder(o)
	if err != nil {
		return err
	}
	for i := range before.grants {
		if before.grants[i].GetNamespace() != "" {
			objects = append(objects, &before.grants[i])
		}
	}
	for _, object := range objects {
		if err := c.remove(ctx, object); err != nil {
			return err
		}
	}
	for _, object := range objects {
		if err := c.waitGone(ctx, object); err != nil {
			return err
		}
	}
	return c.verifyWorkloads(ctx)
}

// AsController is a connection that acts as the controller in this namespace. It takes the right to impersonate
// its service account, as cluster administrators have it.
func AsController(cfg *rest.Config, namespace string) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: deploy.Username(namespace),
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return cfg
}

func (o UninstallOptions) complete() UninstallOptions {
	if o.Namespace == "" {
		o.Namespace = deploy.Namespace
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultUninstallTimeout
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// removalOrder is the order of installation turned round, but for the kinds: the controller first, so that it
// sees nothing half removed, and bindings before their policies.
func removalOrder(o UninstallOptions) ([]*unstructured.Unstructured, error) {
	sets := []func() ([]*unstructured.Unstructured, error){
		func() ([]*unstructured.Unstructured, error) { return deploy.ControllerObjects(o.Namespace, "") },
		func() ([]*unstructured.Unstructured, error) { return admission.Policies(o.Namespace, true) },
	}
	if o.DeleteCRDs {
		sets = append(sets, deploy.CRDs)
	}
	sets = append(sets, func() ([]*unstructured.Unstructured, error) { return deploy.Access(o.Namespace) })
	var all []*unstructured.Unstructured
	for _, set := range sets {
		objects, err := set()
		if err != nil {
			return nil, err
		}
		slices.Reverse(objects)
		all = append(all, objects...)
	}
	return all, nil
}

// remove deletes one object, if it is there and ours.
func (c *cluster) remove(ctx context.Context, object *unstructured.Unstructured) error {
	found, err := c.get(ctx, object)
	if err != nil {
		return c.unlessKindMissing(object, err)
	}
	if found == nil {
		return nil
	}
	if isForeignNamespace(found) {
		c.report(object, "left: it was there before Sluice")
		return nil
	}
	foreground := metav1.DeletePropagationForeground
	err = c.on(object).Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", describe(object), explain(err))
	}
	c.report(object, "deleted")
	return nil
}

// unlessKindMissing forgives that a cluster does not have a kind at all.
func (c *cluster) unlessKindMissing(object *unstructured.Unstructured, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("read %s: %w", describe(object), explain(err))
}

// waitGone waits until an object is really gone.
func (c *cluster) waitGone(ctx context.Context, object *unstructured.Unstructured) error {
	remedy := "see what holds it: kubectl get " + describe(object) + " -o yaml (finalizers, conditions)"
	return until(ctx, describe(object)+" is gone", remedy, func(ctx context.Context) (bool, string, error) {
		found, err := c.get(ctx, object)
		if err != nil || found == nil {
			return err == nil, "", err
		}
		if isForeignNamespace(found) {
			return true, "", nil
		}
		return false, fmt.Sprintf("still there, finalizers %v", found.GetFinalizers()), nil
	})
}

// verifyWorkloads says which workloads still bear Sluice's marks.
func (c *cluster) verifyWorkloads(ctx context.Context) error {
	left, err := c.labelledWorkloads(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, workload := range left {
		errs = append(errs, fmt.Errorf("deployment %s/%s still bears Sluice's label or hold: nothing binds it any more; "+
			"remove them by kubectl -n %[1]s label deployment %[2]s sluice.dev/rollout-, kubectl -n %[1]s annotate "+
			"deployment %[2]s sluice.dev/held-change-by-, "+
			"and resume it by kubectl -n %[1]s rollout resume deployment %[2]s when its new revision may run",
			workload.GetNamespace(), workload.GetName()))
	}
	return errors.Join(errs...)
}
