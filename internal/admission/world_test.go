package admission_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/kube/install"
	"github.com/sluice-dev/sluice/test/playground"
)

func TestMain(m *testing.M) { playground.Main(m) }

var (
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	replicaSets  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
	ingresses    = schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}
	services     = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	httpRoutes   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	grpcRoutes   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "grpcroutes"}
	crds         = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	jobs         = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	decisions    = v1alpha1.GroupVersion.WithResource("decisions")
	holds        = v1alpha1.GroupVersion.WithResource("holds")
	roles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	roleBindings = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}
)

// sluice is the user name of the controller.
var sluice = deploy.Username(deploy.Namespace)

var installed sync.Once

// world is one namespace of a cluster in which Sluice is installed and no controller runs, so that what is seen
// is the API server's doing alone.
type world struct {
	*playground.Cluster
	t         *testing.T
	namespace string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	c := playground.Start(t)
	installed.Do(func() {
		if err := install.Install(t.Context(), c.Config, install.Options{SkipController: true, Out: io.Discard}); err != nil {
			t.Fatal(err)
		}
	})
	return inNamespace(t, c)
}

// inNamespace makes a namespace where alice and bob may edit what a team edits.
func inNamespace(t *testing.T, c *playground.Cluster) *world {
	t.Helper()
	w := &world{Cluster: c, t: t, namespace: c.Namespace(t)}
	// The role "edit" has no rights on routes; a platform gives them to its teams as is done here.
	w.create("", roles, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: routes}
rules: [{apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes], verbs: ["*"]}]
`)
	w.bind("alice", "Role", "routes")
	for _, user := range []string{"alice", "bob"} {
		w.bind(user, "ClusterRole", "edit")
	}
	return w
}

// as is a client in the world's namespace for this user; "" is the administrator.
func (w *world) as(user string, resource schema.GroupVersionResource) dynamic.ResourceInterface {
	w.t.Helper()
	cfg := w.Config
	if user != "" {
		cfg = w.As(user)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(resource).Namespace(w.namespace)
}

// kubectl runs kubectl in the namespace as this user.
func (w *world) kubectl(user, input string, args ...string) (string, error) {
	w.t.Helper()
	return w.Kubectl(w.t, input, append([]string{"-n", w.namespace, "--as", user, "--as-group", "system:authenticated"}, args...)...)
}

func (w *world) mustKubectl(user, input string, args ...string) string {
	w.t.Helper()
	output, err := w.kubectl(user, input, args...)
	if err != nil {
		w.t.Fatalf("kubectl %v as %s: %v\n%s", args, user, err, output)
	}
	return output
}

func (w *world) get(resource schema.GroupVersionResource, name string) *unstructured.Unstructured {
	w.t.Helper()
	object, err := w.as("", resource).Get(w.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return object
}

func (w *world) create(user string, resource schema.GroupVersionResource, manifest string) *unstructured.Unstructured {
	w.t.Helper()
	object, err := w.as(user, resource).Create(w.t.Context(), parse(w.t, manifest), metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return object
}

func (w *world) patch(user string, resource schema.GroupVersionResource, name, patch string) {
	w.t.Helper()
	_, err := w.as(user, resource).Patch(w.t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// bind gives a user a role in the namespace, and waits until it counts.
func (w *world) bind(user, kind, role string) {
	w.t.Helper()
	before := w.rules(user)
	w.create("", roleBindings, fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {generateName: test-}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %s}
subjects: [{kind: User, name: %s, apiGroup: rbac.authorization.k8s.io}]
`, kind, role, user))
	w.eventually("the API server knows the new role", func(context.Context) error {
		if now := w.rules(user); now <= before {
			return fmt.Errorf("%d rules for %s", now, user)
		}
		return nil
	})
}

// rules counts what a user may do in the namespace.
func (w *world) rules(user string) int {
	w.t.Helper()
	client, err := kubernetes.NewForConfig(w.As(user))
	if err != nil {
		w.t.Fatal(err)
	}
	review := &authorization.SelfSubjectRulesReview{Spec: authorization.SelfSubjectRulesReviewSpec{Namespace: w.namespace}}
	answer, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(w.t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return len(answer.Status.ResourceRules)
}

// eventually waits until a look finds what it wants.
func (w *world) eventually(what string, look func(ctx context.Context) error) {
	w.t.Helper()
	playground.Eventually(w.t, what, look)
}

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &object.Object); err != nil {
		t.Fatal(err)
	}
	return object
}

func nested[T any](t *testing.T, object *unstructured.Unstructured, path ...string) T {
	t.Helper()
	value, _, err := unstructured.NestedFieldNoCopy(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	typed, _ := value.(T)
	return typed
}
