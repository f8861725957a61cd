package deploy_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

// TestControllerPodIsRestricted: the API server lets the controller's pod into its namespace, which admits only
// what the strictest Pod Security Standard allows; without the standard's settings it does not.
func TestControllerPodIsRestricted(t *testing.T) {
	c := playground.Start(t)
	if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true}); err != nil {
		t.Fatal(err)
	}
	objects, err := deploy.ControllerObjects(deploy.Namespace, "")
	if err != nil {
		t.Fatal(err)
	}
	spec, _, err := unstructured.NestedMap(objects[0].Object, "spec", "template", "spec")
	if err != nil {
		t.Fatal(err)
	}
	pods := c.Dynamic(t).Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(deploy.Namespace)
	create := func() error {
		pod := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": spec}}
		pod.SetGenerateName("sluice-")
		_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	}
	if err := create(); err != nil {
		t.Error(err)
	}
	unstructured.RemoveNestedField(spec, "securityContext")
	wantRefusal(t, create(), []string{"violates PodSecurity", "runAsNonRoot"})
}
