package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-dev/sluice/deploy"
)

var (
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	roles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	roleBindings = schema.GroupVersionResource{
		Group: "rbac.authorization.k8s.io", Version: "v1",
		Resource: "rolebindings",
	}
	clusterRoles = schema.GroupVersionResource{
		Group: "rbac.authorization.k8s.io", Version: "v1",
		Resource: "clusterroles",
	}
	clusterRoleBindings = schema.GroupVersionResource{
		Group: "rbac.authorization.k8s.io", Version: "v1",
		Resource: "clusterrolebindings",
	}
)

// ours are the labels of everything that an installation makes.
const ours = "app.kubernetes.io/part-of=sluice"

// reach is where the controller has rights.
type reach struct {
	// everywhere by its ClusterRole, or in these namespaces by a Role in each. Neither where nothing is installed.
	everywhere bool
	namespaces []string
	// grants are the objects that give the rights.
	grants []unstructured.Unstructured
}

// reach looks where the controller has rights so far. The roles say it, and no record of ours.
func (c *cluster) reach(ctx context.Context) (reach, error) {
	var r reach
	for _, resource := range []schema.GroupVersionResource{clusterRoleBindings, clusterRoles, roleBindings, roles} {
		found, err := c.list(ctx, resource, metav1.ListOptions{LabelSelector: ours})
		if err != nil {
			return r, err
		}
		for _, object := range found {
			if object.GetName() != deploy.ControllerRole {
				continue
			}
			r.grants = append(r.grants, object)
			switch namespace := object.GetNamespace(); {
			case resource == clusterRoleBindings:
				r.everywhere = true
			case namespace != "" && !slices.Contains(r.namespaces, namespace):
				r.namespaces = append(r.namespaces, namespace)
			}
		}
	}
	slices.Sort(r.namespaces)
	return r, nil
}

// has says whether the controller has rights in a namespace.
func (r reach) has(namespace string) bool {
	return r.everywhere || slices.Contains(r.namespaces, namespace)
}

// checkReach refuses, before anything is changed, what would leave releases behind, and what somebody may not have
// meant.
func (c *cluster) checkReach(ctx context.Context, before reach, o Options) error {
	if len(o.Namespaces) > 0 && o.AllNamespaces {
		return errors.New("--namespaces and --all-namespaces contradict each other; give one of them")
	}
	if len(o.Namespaces) == 0 {
		if len(before.namespaces) > 0 && !before.everywhere && !o.AllNamespaces {
			return fmt.Errorf("this Sluice is installed for some namespaces only: repeat --namespaces %s, or give it rights "+
				"in all by --all-namespaces",
				strings.Join(before.namespaces, ","))
		}
		return nil
	}
	for _, namespace := range o.Namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return fmt.Errorf("--namespaces: %q is no name of a namespace: %s", namespace, strings.Join(problems, "; "))
		}
		_, err := c.dynamic.Resource(namespaces).Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("--namespaces: there is no namespace %q; create it first (kubectl create namespace %[1]s)",
				namespace)
		}
		if err != nil {
			return fmt.Errorf("read namespace %s: %w", namespace, explain(err))
		}
	}
	return c.checkLeftBehind(ctx, before, o.Namespaces)
}

// checkLeftBehind finds Rollouts that would lose their controller.
func (c *cluster) checkLeftBehind(ctx context.Context, before reach, only []string) error {
	all, err := c.list(ctx, rollouts, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var left []string
	for _, rollout := range all {
		if ns := rollout.GetNamespace(); before.has(ns) && !slices.Contains(only, ns) {
			left = append(left, full(&rollout))
		}
	}
	if len(left) == 0 {
		return nil
	}
	const most = 5
	if len(left) > most {
		left = append(left[:most], fmt.Sprintf("and %d more", len(left)-most))
	}
	return fmt.Errorf("--namespaces: nobody would look after these Rollouts any more, and put back what their releases "+
		"have changed: %s; "+
		"delete them first and wait until they are gone, or name their namespaces too", strings.Join(left, ", "))
}

// withdraw takes the rights away that the controller had before and is not to have any more. It comes last, when the
// controller has got the new ones.
func (c *cluster) withdraw(ctx context.Context, before reach, o Options) error {
	for i := range before.grants {
		grant := &before.grants[i]
		if stays(grant.GetNamespace(), o.Namespaces) {
			continue
		}
		err := c.on(grant).Delete(ctx, grant.GetName(), metav1.DeleteOptions{DryRun: c.dryRunOption()})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete %s: %w", describe(grant), explain(err))
		}
		c.report(grant, "deleted"+in(grant))
	}
	return nil
}

// stays says whether a grant in a namespace, or everywhere, is among those of an installation for these namespaces.
func stays(namespace string, only []string) bool {
	if namespace == "" {
		return len(only) == 0
	}
	return slices.Contains(only, namespace)
}

func in(object *unstructured.Unstructured) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return " in namespace " + namespace
	}
	return ""
}
