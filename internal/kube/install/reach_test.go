package install_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

// someNamespaces goes through the life of an installation for some namespaces: what it refuses before anything is changed,
// where the controller has rights, how the list changes, and that nothing is left.
func someNamespaces(t *testing.T, c *playground.Cluster) {
	a, b := c.Namespace(t), c.Namespace(t)
	for _, test := range []struct {
		o    install.Options
		want string
	}{
		{install.Options{Namespaces: []string{a, "nowhere"}}, `--namespaces: there is no namespace "nowhere"; create it first (kubectl create namespace nowhere)`},
		{install.Options{Namespaces: []string{"a b"}}, `--namespaces: "a b" is no name of a namespace`},
		{install.Options{Namespaces: []string{a}, AllNamespaces: true}, "--namespaces and --all-namespaces contradict each other"},
	} {
		_, err := runInstall(t.Context(), c.Config, test.o)
		wantError(t, err, test.want)
	}
	if left := present(t, c); len(left) != 0 {
		t.Fatalf("a refused installation has made %v", left)
	}

	doInstall(t, c.Config, install.Options{Namespaces: []string{b, a, a}})
	wantGrants(t, c, a, b)
	if got := controllerArgs(t, c); !slices.Contains(got, "--namespaces="+sorted(a, b)) {
		t.Errorf("the controller is run with %v", got)
	}
	if out := doInstall(t, c.Config, install.Options{Namespaces: []string{a, b}}); strings.Contains(out, "created") || strings.Contains(out, "configured") || strings.Contains(out, "deleted") {
		t.Errorf("the same again changes something:\n%s", out)
	}
	_, err := runInstall(t.Context(), c.Config, install.Options{})
	wantError(t, err, "this Sluice is installed for some namespaces only: repeat --namespaces "+sorted(a, b)+", or give it rights in all by --all-namespaces")

	makeRolloutIn(t, c, b, "shop")
	_, err = runInstall(t.Context(), c.Config, install.Options{Namespaces: []string{a}})
	wantError(t, err, "nobody would look after these Rollouts any more", b+"/shop")
	wantGrants(t, c, a, b)
	removeRollout(t, c, b, "shop")
	doInstall(t, c.Config, install.Options{Namespaces: []string{a}})
	wantGrants(t, c, a)

	doInstall(t, c.Config, install.Options{AllNamespaces: true})
	wantGrants(t, c, "")
	if got := controllerArgs(t, c); slices.ContainsFunc(got, func(arg string) bool { return strings.HasPrefix(arg, "--namespaces") }) {
		t.Errorf("the controller is run with %v", got)
	}
	makeRolloutIn(t, c, b, "shop")
	_, err = runInstall(t.Context(), c.Config, install.Options{Namespaces: []string{a}})
	wantError(t, err, b+"/shop")
	doInstall(t, c.Config, install.Options{Namespaces: []string{a, b}})
	wantGrants(t, c, a, b)

	var asked []string
	doUninstall(t, c.Config, install.UninstallOptions{DeleteCRDs: true, PutBack: func(_ context.Context, namespaces []string) error {
		asked = namespaces
		removeRollout(t, c, b, "shop")
		return nil
	}})
	if diff := cmp.Diff(sorted(a, b), strings.Join(asked, ",")); diff != "" {
		t.Errorf("puts back in (-want +got):\n%s", diff)
	}
	wantGrants(t, c)
	if left := present(t, c); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func sorted(names ...string) string { return strings.Join(slices.Sorted(slices.Values(names)), ",") }

// wantGrants wants the controller's role to be bound in these namespaces, of which "" is all of them, and nowhere else.
func wantGrants(t *testing.T, c *playground.Cluster, namespaces ...string) {
	t.Helper()
	var got []string
	for _, name := range []string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"} {
		resource := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: name}
		list, err := c.Dynamic(t).Resource(resource).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			if object.GetName() == deploy.ControllerRole {
				got = append(got, object.GetKind()+" in "+object.GetNamespace())
			}
		}
	}
	var want []string
	for _, namespace := range namespaces {
		if namespace == "" {
			want = append(want, "ClusterRole in ", "ClusterRoleBinding in ")
			continue
		}
		want = append(want, "Role in "+namespace, "RoleBinding in "+namespace)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the controller's role (-want +got):\n%s", diff)
	}
}

func controllerArgs(t *testing.T, c *playground.Cluster) []string {
	t.Helper()
	found, err := c.Dynamic(t).Resource(deployments).Namespace(deploy.Namespace).Get(t.Context(), deploy.Controller, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(strings.Trim(fmt.Sprint(found.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)["args"]), "[]"))
}

// removeRollout deletes a Rollout as if a controller had put everything back.
func removeRollout(t *testing.T, c *playground.Cluster, namespace, name string) {
	t.Helper()
	client := c.Dynamic(t).Resource(rollouts).Namespace(namespace)
	if _, err := client.Patch(t.Context(), name, "application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Error(err)
	}
	_ = client.Delete(t.Context(), name, metav1.DeleteOptions{})
}
