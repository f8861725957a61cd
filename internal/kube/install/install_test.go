package install_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/admission"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

var (
	rollouts    = v1alpha1.GroupVersion.WithResource("rollouts")
	holds       = v1alpha1.GroupVersion.WithResource("holds")
	deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	namespaces  = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	policies    = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingadmissionpolicies"}
)

// TestLife goes through the life of an installation on a cluster of its own, since others cannot use a cluster
// from which Sluice is being removed.
func TestLife(t *testing.T) {
	c := playground.New(t)
	out := doInstall(t, c.Config, install.Options{DryRun: true})
	if got, want := strings.Count(out, "created (server dry run)"), len(everything(t)); got != want {
		t.Errorf("dry run creates %d objects, want %d:\n%s", got, want, out)
	}
	if left := present(t, c); len(left) != 0 {
		t.Errorf("a dry run has made %v", left)
	}

	out = doInstall(t, c.Config, install.Options{})
	if got, want := strings.Count(out, " created\n"), len(everything(t)); got != want {
		t.Errorf("%d objects created, want %d:\n%s", got, want, out)
	}
	if !strings.Contains(out, "customresourcedefinition.apiextensions.k8s.io/rollouts.sluice.dev created\n") {
		t.Errorf("lines are not kubectl's:\n%s", out)
	}

	out = doInstall(t, c.Config, install.Options{DryRun: true})
	if strings.Contains(out, "created") || strings.Contains(out, "configured") {
		t.Errorf("a dry run over an installation finds changes:\n%s", out)
	}
	out = doInstall(t, c.Config, install.Options{ControllerImage: "sluice.dev/sluice:other"})
	if got := lines(out, "configured"); len(got) != 1 || got[0] != "deployment.apps/sluice configured" {
		t.Errorf("with another image %v is configured, want the controller alone:\n%s", got, out)
	}

	t.Run("NoRights", func(t *testing.T) { noRights(t, c) })
	t.Run("NobodyPutsBack", func(t *testing.T) { uninstallWithoutController(t, c) })
	t.Run("PutBackFails", func(t *testing.T) { uninstallPutBackFails(t, c) })
	t.Run("HoldLeft", func(t *testing.T) { uninstallHoldLeft(t, c) })
	t.Run("ControllerElsewhere", func(t *testing.T) { uninstallControllerElsewhere(t, c) })
	doInstall(t, c.Config, install.Options{})
	t.Run("PutBackHere", func(t *testing.T) { uninstallPutBack(t, c) })
	t.Run("Again", func(t *testing.T) {
		if out := doUninstall(t, c.Config, install.UninstallOptions{DeleteCRDs: true}); strings.Contains(out, "deleted") {
			t.Errorf("nothing was there, and yet:\n%s", out)
		}
	})
	t.Run("Forced", func(t *testing.T) { uninstallForced(t, c) })
	t.Run("NamespaceOfOthers", func(t *testing.T) { foreignNamespace(t, c) })
	t.Run("FaultA14SomeNamespaces", func(t *testing.T) { someNamespaces(t, c) })
}

// uninstallWithoutController: nothing that could put things back is removed before they are back.
func uninstallWithoutController(t *testing.T, c *playground.Cluster) {
	makeRollout(t, c, "shop")
	out, err := uninstall(t.Context(), c.Config, install.UninstallOptions{DeleteCRDs: true, Timeout: 2 * time.Second})
	wantError(t, err, "wait until all Rollouts have put everything back", "default/shop", "no controller runs in namespace sluice-system", "--force")
	if !strings.Contains(out, "rollout.sluice.dev/shop in default: puts everything back") {
		t.Errorf("does not say what it does:\n%s", out)
	}
	if got, want := len(present(t, c)), len(everything(t)); got != want {
		t.Errorf("%d of %d objects are left after a refusal", got, want)
	}
}

func uninstallPutBackFails(t *testing.T, c *playground.Cluster) {
	_, err := uninstall(t.Context(), c.Config, install.UninstallOptions{
		PutBack: func(context.Context, []string) error { return errors.New("ingress shop: forbidden") },
	})
	wantError(t, err, "put everything back: ingress shop: forbidden")
	if got, want := len(present(t, c)), len(everything(t)); got != want {
		t.Errorf("%d of %d objects are left after a failure", got, want)
	}
}

// uninstallHoldLeft: a Hold is the only record of what an object was.
func uninstallHoldLeft(t *testing.T, c *playground.Cluster) {
	hold := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"release":  "shop-1",
		"target":   map[string]any{"apiVersion": "v1", "kind": "Service", "name": "shop"},
		"original": map[string]any{"selector": map[string]any{"app": "shop"}},
	}}}
	hold.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Hold"))
	hold.SetName("service-shop")
	client := c.Dynamic(t).Resource(holds).Namespace("default")
	if _, err := client.Create(t.Context(), hold, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := uninstall(t.Context(), c.Config, install.UninstallOptions{DeleteCRDs: true, PutBack: letGo(c)})
	wantError(t, err, `Service default/shop, which was {"selector":{"app":"shop"}}`, "--force")
	if err := client.Delete(t.Context(), hold.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// uninstallControllerElsewhere: a controller on somebody's machine is noticed by what it does, so that two never
// act at once.
func uninstallControllerElsewhere(t *testing.T, c *playground.Cluster) {
	makeRollout(t, c, "shop")
	client := c.Dynamic(t).Resource(rollouts).Namespace("default")
	done := make(chan error, 1)
	go func() { done <- actOnRemoval(t.Context(), client) }()
	doUninstall(t, c.Config, install.UninstallOptions{PutBack: func(context.Context, []string) error {
		t.Error("puts back beside a controller")
		return nil
	}})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := client.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the records are gone, and nobody said so: %v", err)
	}
}

// actOnRemoval waits until the Rollout is being deleted, says that it is seen, and lets it go.
func actOnRemoval(ctx context.Context, client dynamic.ResourceInterface) error {
	watch, err := client.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		rollout, ok := event.Object.(*unstructured.Unstructured)
		if !ok || rollout.GetDeletionTimestamp() == nil {
			continue
		}
		if _, err := client.Patch(ctx, rollout.GetName(), types.MergePatchType, []byte(`{"status":{"phase":"Removing"}}`), metav1.PatchOptions{}, "status"); err != nil {
			return err
		}
		_, err := client.Patch(ctx, rollout.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		return err
	}
	return errors.New("the watch ended before the Rollout was deleted")
}

// uninstallPutBack: without a controller the caller's own work is done, as the controller, since everybody else is
// held; and then nothing is left.
func uninstallPutBack(t *testing.T, c *playground.Cluster) {
	makeRollout(t, c, "shop")
	makeDeployment(t, c, "default", "shop", map[string]any{v1alpha1.LabelRollout: "shop"})
	workload := c.Dynamic(t).Resource(deployments).Namespace("default")
	if _, err := workload.Patch(t.Context(), "shop", types.MergePatchType, []byte(`{"spec":{"template":{"metadata":{"labels":{"v":"2"}}}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	out := doUninstall(t, c.Config, install.UninstallOptions{DeleteCRDs: true, PutBack: letGo(c)})
	if !strings.Contains(out, "this command puts everything back itself") {
		t.Errorf("does not say who puts back:\n%s", out)
	}
	if left := present(t, c); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	got, err := workload.Get(t.Context(), "shop", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	paused, _, _ := unstructured.NestedBool(got.Object, "spec", "paused")
	if text := fmt.Sprint(got.GetLabels(), got.GetAnnotations()); paused || strings.Contains(text, "sluice") {
		t.Errorf("the workload is not free: paused %v, %s", paused, text)
	}
	if err := workload.Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// uninstallForced: what is left changed is named, by the output and by the error.
func uninstallForced(t *testing.T, c *playground.Cluster) {
	doInstall(t, c.Config, install.Options{SkipController: true})
	makeRollout(t, c, "shop")
	workload := makeDeployment(t, c, "default", "shop", map[string]any{v1alpha1.LabelRollout: "shop"})
	out, err := uninstall(t.Context(), c.Config, install.UninstallOptions{DeleteCRDs: true, Force: true, Timeout: time.Minute, PutBack: func(context.Context, []string) error {
		return errors.New("no rights")
	}})
	wantError(t, err, "deployment default/shop still bears Sluice's label", "kubectl -n default label deployment shop sluice.dev/rollout-")
	if !strings.Contains(out, "rollout.sluice.dev/shop in default: abandoned") {
		t.Errorf("does not say what it abandons:\n%s", out)
	}
	if left := present(t, c); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if err := c.Dynamic(t).Resource(deployments).Namespace("default").Delete(t.Context(), workload, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// foreignNamespace: a namespace that was there before keeps its labels and outlives Sluice, and the policies
// know the controller by its service account there.
func foreignNamespace(t *testing.T, c *playground.Cluster) {
	ns := c.Namespace(t)
	out := doInstall(t, c.Config, install.Options{Namespace: ns, SkipController: true})
	if !strings.Contains(out, "namespace/"+ns+" left as it is") {
		t.Errorf("does not say that the namespace is left alone:\n%s", out)
	}
	got, err := c.Dynamic(t).Resource(policies).Get(t.Context(), admission.HoldWorkload, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got.Object["spec"]); !strings.Contains(text, deploy.Username(ns)) || strings.Contains(text, deploy.Namespace) {
		t.Errorf("the policy speaks of another controller: %s", text)
	}
	doUninstall(t, c.Config, install.UninstallOptions{Namespace: ns, DeleteCRDs: true})
	found, err := c.Dynamic(t).Resource(namespaces).Get(t.Context(), ns, metav1.GetOptions{})
	if err != nil || found.GetDeletionTimestamp() != nil {
		t.Errorf("the namespace of others is gone or going: %v", err)
	}
}

// TestNoMutatingPolicies installs where the cluster has no mutating admission policies: the proof of a
// Decision's author is there all the same.
func TestNoMutatingPolicies(t *testing.T) {
	c := playground.New(t,
		"--feature-gates", "MutatingAdmissionPolicy=false",
		"--runtime-config", "admissionregistration.k8s.io/v1/mutatingadmissionpolicies=false,admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings=false")
	out := doInstall(t, c.Config, install.Options{SkipController: true})
	if !strings.Contains(out, "note: this cluster has no MutatingAdmissionPolicy") {
		t.Errorf("does not say what is missing:\n%s", out)
	}
	if strings.Contains(out, "mutatingadmissionpolicy") {
		t.Errorf("makes policies that the cluster does not have:\n%s", out)
	}
	for user, want := range map[string]string{"": `spec.user: is "", but this request comes from`, "somebody": `spec.user: is "somebody"`} {
		output, err := c.Kubectl(t, fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Decision
metadata: {name: word}
spec: {release: shop-1, verb: abort, user: %q}
`, user), "create", "-f", "-")
		if err == nil || !strings.Contains(output, want) {
			t.Errorf("author %q: %s, want a refusal with %q", user, output, want)
		}
	}
	doUninstall(t, c.Config, install.UninstallOptions{DeleteCRDs: true})
}

// noRights: whoever may not install is told so.
func noRights(t *testing.T, c *playground.Cluster) {
	_, err := runInstall(t.Context(), c.As("alice"), install.Options{DryRun: true})
	wantError(t, err, "list clusterrolebindings", `User "alice" cannot`, "rights of a cluster administrator")
}

func runInstall(ctx context.Context, cfg *rest.Config, o install.Options) (string, error) {
	var out strings.Builder
	o.Out = &out
	err := install.Install(ctx, cfg, o)
	return out.String(), err
}

func doInstall(t *testing.T, cfg *rest.Config, o install.Options) string {
	t.Helper()
	out, err := runInstall(t.Context(), cfg, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func uninstall(ctx context.Context, cfg *rest.Config, o install.UninstallOptions) (string, error) {
	var out strings.Builder
	o.Out = &out
	err := install.Uninstall(ctx, cfg, o)
	return out.String(), err
}

func doUninstall(t *testing.T, cfg *rest.Config, o install.UninstallOptions) string {
	t.Helper()
	out, err := uninstall(t.Context(), cfg, o)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q\n does not say %q", err, part)
		}
	}
}

func lines(out, suffix string) []string {
	var found []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, suffix) {
			found = append(found, line)
		}
	}
	return found
}

// everything is what an installation consists of.
func everything(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, set := range []func() ([]*unstructured.Unstructured, error){
		deploy.CRDs,
		func() ([]*unstructured.Unstructured, error) { return deploy.Access(deploy.Namespace) },
		func() ([]*unstructured.Unstructured, error) { return deploy.Policies(deploy.Namespace) },
		func() ([]*unstructured.Unstructured, error) { return deploy.ControllerObjects(deploy.Namespace, "") },
	} {
		objects, err := set()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, objects...)
	}
	return all
}

// present lists what of it the cluster has, and every other object whose name begins with ours.
func present(t *testing.T, c *playground.Cluster) []string {
	t.Helper()
	var found []string
	for _, object := range everything(t) {
		kind := object.GroupVersionKind()
		resource := kind.GroupVersion().WithResource(strings.ToLower(kind.Kind) + "s")
		resource.Resource = strings.Replace(resource.Resource, "policys", "policies", 1)
		var client dynamic.ResourceInterface = c.Dynamic(t).Resource(resource)
		if ns := object.GetNamespace(); ns != "" {
			client = c.Dynamic(t).Resource(resource).Namespace(ns)
		}
		_, err := client.Get(t.Context(), object.GetName(), metav1.GetOptions{})
		if err == nil {
			found = append(found, kind.Kind+"/"+object.GetName())
		} else if !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	return found
}

// makeRollout makes a Rollout that somebody has to put back.
func makeRollout(t *testing.T, c *playground.Cluster, name string) {
	t.Helper()
	makeRolloutIn(t, c, "default", name)
}

func makeRolloutIn(t *testing.T, c *playground.Cluster, namespace, name string) {
	t.Helper()
	rollout := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"workload": map[string]any{"kind": "Deployment", "name": name},
		"canary":   map[string]any{"steps": []any{map[string]any{"weight": int64(20)}}},
	}}}
	rollout.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Rollout"))
	rollout.SetName(name)
	rollout.SetFinalizers([]string{v1alpha1.FinalizerRollout})
	if _, err := c.Dynamic(t).Resource(rollouts).Namespace(namespace).Create(t.Context(), rollout, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// letGo does the least that a controller does when a Rollout is deleted: it lifts the hold and takes the finalizer
// away.
func letGo(c *playground.Cluster) func(context.Context, []string) error {
	return func(ctx context.Context, _ []string) error {
		client, err := dynamic.NewForConfig(install.AsController(c.Config, deploy.Namespace))
		if err != nil {
			return err
		}
		free := []byte(`{"metadata":{"labels":{"sluice.dev/rollout":null},"annotations":{"sluice.dev/held-change-by":null,"sluice.dev/held-authors":null}},"spec":{"paused":null}}`)
		_, err = client.Resource(deployments).Namespace("default").Patch(ctx, "shop", types.MergePatchType, free, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		_, err = client.Resource(rollouts).Namespace("default").Patch(ctx, "shop", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
}

func makeDeployment(t *testing.T, c *playground.Cluster, namespace, name string, labels map[string]any) string {
	t.Helper()
	app := map[string]any{"app": name}
	deployment := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"name": name, "labels": labels},
		"spec": map[string]any{
			"replicas": int64(0),
			"selector": map[string]any{"matchLabels": app},
			"template": map[string]any{
				"metadata": map[string]any{"labels": app},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "web", "image": "argoproj/rollouts-demo:blue"}}},
			},
		},
	}}
	if _, err := c.Dynamic(t).Resource(deployments).Namespace(namespace).Create(t.Context(), deployment, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}
