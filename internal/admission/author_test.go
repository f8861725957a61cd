package admission_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

var (
	templates           = v1alpha1.GroupVersion.WithResource("analysistemplates")
	clusterTemplates    = v1alpha1.GroupVersion.WithResource("clusteranalysistemplates")
	notifiers           = v1alpha1.GroupVersion.WithResource("notifiers")
	clusterRoles        = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	clusterRoleBindings = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
)

// kinds of templates, and where they are.
var measured = map[string]schema.GroupVersionResource{
	"AnalysisTemplate": templates, "ClusterAnalysisTemplate": clusterTemplates,
}

// authors is a world where all may write templates and Notifiers, and may read different Secrets in its namespace:
// nan none, lea none but lists them, rob none but creates Jobs, ann "ours" by its name, bob all, and creates Jobs, since
// he has Kubernetes' role edit.
type authors struct {
	*world
	// cora and carl may write ClusterAnalysisTemplates. Cora reads all Secrets and creates Jobs in the namespace, carl
	// reads "ours" and creates Jobs in every one.
	cora, carl string
}

// newAuthors waits until the policies are in force, which is a moment after they were made.
func newAuthors(t *testing.T) authors {
	t.Helper()
	w := newWorld(t)
	const (
		ours    = "{apiGroups: [''], resources: [secrets], resourceNames: [ours], verbs: [get]}"
		jobs    = "{apiGroups: [batch], resources: [jobs], verbs: [create]}"
		cluster = "{apiGroups: [sluice.dev], resources: [clusteranalysistemplates], verbs: [create, update, patch]}"
	)
	w.role("author", "{apiGroups: [sluice.dev], resources: [analysistemplates, notifiers], verbs: [create, update, patch]}")
	w.role("ours", ours)
	w.role("jobs", jobs)
	w.role("lister", "{apiGroups: [''], resources: [secrets], verbs: [list, watch, create, update]}")
	// Rights everywhere outlive a test by a moment, so that nobody of the next one may have the same name.
	a := authors{world: w, cora: "cora-" + w.namespace, carl: "carl-" + w.namespace}
	for user, more := range map[string]string{"nan": "", "ann": "ours", "rob": "jobs", "lea": "lister", "bob": "", a.cora: "", a.carl: ""} {
		w.bind(user, "Role", "author")
		if more != "" {
			w.bind(user, "Role", more)
		}
	}
	w.bind(a.cora, "ClusterRole", "edit")
	w.bindEverywhere(a.cora, cluster)
	w.bindEverywhere(a.carl, cluster, ours, jobs)
	w.eventually("the policies are in force", func(context.Context) error {
		for resource, object := range map[schema.GroupVersionResource]*unstructured.Unstructured{
			templates: template(t, tokenOf("ours")), notifiers: notifier(t, "slack: {url: {name: ours, key: url}}"),
		} {
			if err := w.try("nan", resource, object); err == nil || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
				return fmt.Errorf("a policy does not look at %s: %w", resource.Resource, err)
			}
		}
		return nil
	})
	return a
}

// role makes a Role of this rule.
func (w *world) role(name, rule string) {
	w.t.Helper()
	w.create("", roles, fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: %s}, rules: [%s]}", name, rule))
}

// bindEverywhere gives a user rules in every namespace, and waits until they count.
func (w *world) bindEverywhere(user string, rules ...string) {
	w.t.Helper()
	before := w.rules(user)
	for resource, manifest := range map[schema.GroupVersionResource]string{
		clusterRoles: fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: %s}, rules: [%s]}",
			user, strings.Join(rules, ", ")),
		clusterRoleBindings: fmt.Sprintf("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: %[1]s}, "+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}, subjects: [{kind: User, name: %[1]s, apiGroup: rbac.authorization.k8s.io}]}", user),
	} {
		client := w.on("", resource)
		if _, err := client.Create(w.t.Context(), parse(w.t, manifest), metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = client.Delete(context.Background(), user, metav1.DeleteOptions{}) })
	}
	w.eventually("the API server knows the new role", func(context.Context) error {
		if now := w.rules(user); now <= before {
			return fmt.Errorf("%d rules for %s", now, user)
		}
		return nil
	})
}

// on is a user's client for a kind, in the world's namespace if the kind has namespaces.
func (w *world) on(user string, resource schema.GroupVersionResource) dynamic.ResourceInterface {
	w.t.Helper()
	if !slices.Contains([]schema.GroupVersionResource{clusterTemplates, clusterRoles, clusterRoleBindings}, resource) {
		return w.as(user, resource)
	}
	cfg := w.Config
	if user != "" {
		cfg = w.As(user)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return client.Resource(resource)
}

// try asks whether a user might create this.
func (w *world) try(user string, resource schema.GroupVersionResource, object *unstructured.Unstructured) error {
	w.t.Helper()
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	_, err := w.on(user, resource).Create(w.t.Context(), object, options)
	return err
}

// template is an AnalysisTemplate of these metrics.
func template(t *testing.T, metrics ...string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, "{apiVersion: sluice.dev/v1alpha1, kind: AnalysisTemplate, metadata: {name: t}, spec: {metrics: ["+strings.Join(metrics, ", ")+"]}}")
}

// asKind is the same as an object of another kind.
func asKind(kind string, template *unstructured.Unstructured) *unstructured.Unstructured {
	object := template.DeepCopy()
	object.SetKind(kind)
	if kind == "AnalysisRun" {
		_ = unstructured.SetNestedField(object.Object, "shop-1", "spec", "release")
	}
	return object
}

// tokenOf is a metric that sends a token of this Secret.
func tokenOf(secret string) string {
	return fmt.Sprintf(`{name: %[1]s, provider: {http: {url: "https://metrics.example", connection: {bearerToken: {name: %[1]s, key: token}}}}}`, secret)
}

// job is a metric that runs a Job, which itself is given a Secret.
const job = `{name: smoke, provider: {job: {containers: [{name: test, image: test, env: [{name: TOKEN, secret: {name: theirs, key: token}}]}]}}}`

// notifier is a Notifier with this sink.
func notifier(t *testing.T, sink string) *unstructured.Unstructured {
	t.Helper()
	return parse(t, "{apiVersion: sluice.dev/v1alpha1, kind: Notifier, metadata: {name: chat}, spec: {sink: {"+sink+"}}}")
}
