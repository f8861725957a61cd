// Package deploy holds everything that Sluice puts into a cluster for itself: kinds, access rights, admission
// policies and the controller. The YAML files beside this one are the only source; this package reads
// them, so that `sluice install`, `kubectl apply -k` and the tests speak of the same objects.
//
// Any package may import it; it imports none of ours.
package deploy

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	// Namespace is where the controller lives unless told otherwise.
	Namespace = "sluice-system"
	// ServiceAccount is the name of the controller's service account.
	ServiceAccount = "sluice"
	// Controller is the name of the controller's Deployment.
	Controller = "sluice"

	// secretReader and jobRunner are the ClusterRoles by which the controller is let read Secrets and run Jobs, bound to
	// nobody at first.
	secretReader = "sluice-secret-reader"
	jobRunner    = "sluice-job-runner"
)

//go:embed crds/*.yaml namespace.yaml rbac/*.yaml policies/*.yaml controller.yaml networkpolicy.yaml
var files embed.FS

// Username is the name by which the API server knows the controller that is installed in this namespace.
func Username(namespace string) string {
	return "system:serviceaccount:" + namespace + ":" + ServiceAccount
}

// LetReadSecrets is what to do for the controller to read the Secrets of a namespace, which nothing lets it by itself.
func LetReadSecrets(namespace string) string {
	return "let the controller read Secrets of this namespace: " + bind(secretReader, namespace)
}

// LetRunJobs is what to do for the controller to run Jobs in a namespace, which nothing lets it by itself.
func LetRunJobs(namespace string) string {
	return "let the controller run Jobs in this namespace: " + bind(jobRunner, namespace)
}

func bind(role, namespace string) string {
	return fmt.Sprintf("kubectl create rolebinding %[1]s -n %[2]s --clusterrole %[1]s --serviceaccount %[3]s:%[4]s",
		role, namespace, Namespace, ServiceAccount)
}

// CRDs are the kinds. They must be established before anything else is made of them.
func CRDs() ([]*unstructured.Unstructured, error) {
	return read(Namespace,
		"crds/sluice.dev_rollouts.yaml",
		"crds/sluice.dev_releases.yaml",
		"crds/sluice.dev_holds.yaml",
		"crds/sluice.dev_decisions.yaml",
		"crds/sluice.dev_analysistemplates.yaml",
		"crds/sluice.dev_clusteranalysistemplates.yaml",
		"crds/sluice.dev_analysisruns.yaml",
		"crds/sluice.dev_releasewindows.yaml",
		"crds/sluice.dev_notifiers.yaml",
	)
}

// Access is the namespace, the controller's service account and rights, and the roles for people. Where namespaces are
// named, the controller has its rights in these only, by a Role and a RoleBinding in each.
func Access(namespace string, only ...string) ([]*unstructured.Unstructured, error) {
	all, err := read(namespace, "namespace.yaml", "rbac/controller.yaml", "rbac/user.yaml")
	if err != nil || len(only) == 0 {
		return all, err
	}
	return confined(all, only)
}

// Policies are the admission policies and their bindings, for a controller in this namespace. They come
// after the kinds. Where namespaces are named, the objects of teams elsewhere are left alone.
func Policies(namespace string, only ...string) ([]*unstructured.Unstructured, error) {
	all, err := read(namespace,
		"policies/decision-author.yaml",
		"policies/keep-release.yaml",
		"policies/keep-measurements.yaml",
		"policies/keep-records.yaml",
		"policies/keep-replicaset.yaml",
		"policies/keep-canary.yaml",
		"policies/template-author.yaml",
		"policies/notifier-author.yaml",
		"policies/rollout-author.yaml",
		"policies/hold-workload.yaml",
		"policies/hold-new-workload.yaml",
		"policies/keep-hold.yaml",
		"policies/hold-service.yaml",
		"policies/hold-route.yaml",
		"policies/controller.yaml",
		"policies/own-nothing.yaml",
	)
	if err != nil || len(only) == 0 {
		return all, err
	}
	return all, narrow(all, only)
}

// ControllerObjects are the objects that run the controller. An empty image means the manifest's; flags come after
// those of the manifest.
func ControllerObjects(namespace, image string, flags ...string) ([]*unstructured.Unstructured, error) {
	objects, err := read(namespace, "controller.yaml", "networkpolicy.yaml")
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Deployment":
			err = setContainer(object, image, flags)
		case "NetworkPolicy":
			err = setEgress(object, flags)
		}
		if err != nil {
			return nil, err
		}
	}
	return objects, nil
}

// setContainer gives the only container of a Deployment another image and further flags.
func setContainer(object *unstructured.Unstructured, image string, flags []string) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, found, err := unstructured.NestedSlice(object.Object, path...)
	if err != nil {
		return fmt.Errorf("read containers of %s: %w", object.GetName(), err)
	}
	if !found || len(containers) != 1 {
		return fmt.Errorf("read containers of %s: want exactly one, have %d", object.GetName(), len(containers))
	}
	container, _ := containers[0].(map[string]any)
	if image != "" {
		container["image"] = image
	}
	args, _ := container["args"].([]any)
	for _, f := range flags {
		args = append(args, f)
	}
	container["args"] = args
	return unstructured.SetNestedSlice(object.Object, containers, path...)
}

// read reads the objects of these files, in order, with the namespace in place of the default one.
func read(namespace string, names ...string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		more, err := decode(rename(data, namespace))
		if err != nil {
			return nil, fmt.Errorf("decode manifest %s: %w", name, err)
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

// rename puts another namespace in the place of the default one, in the expressions too: no other word in
// the manifests contains its name.
func rename(data []byte, namespace string) []byte {
	if namespace == "" || namespace == Namespace {
		return data
	}
	return []byte(strings.ReplaceAll(string(data), Namespace, namespace))
}

func decode(data []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
