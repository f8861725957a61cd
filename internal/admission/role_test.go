package admission_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

var verbs = []v1alpha1.DecisionVerb{
	v1alpha1.VerbPromote, v1alpha1.VerbPromoteFull, v1alpha1.VerbPause, v1alpha1.VerbResume,
	v1alpha1.VerbAbort, v1alpha1.VerbRetry, v1alpha1.VerbRollback,
	v1alpha1.VerbApprove, v1alpha1.VerbReject, v1alpha1.VerbOverride,
}

// Kinds by who writes them.
var (
	ofPeople = []string{"rollouts", "analysistemplates", "clusteranalysistemplates", "releasewindows", "notifiers"}
	ofSluice = []string{"releases", "holds", "analysisruns"}
	statuses = []string{"rollouts/status", "releases/status", "decisions/status", "analysisruns/status", "notifiers/status"}
)

// TestReadyMadeRoles: what each role may decide is as docs/access.md says, tried by deciding it; Kubernetes' own
// roles have got ours.
func TestReadyMadeRoles(t *testing.T) {
	w := newWorld(t)
	drive := verbs[:7]
	answer := []v1alpha1.DecisionVerb{v1alpha1.VerbPromote, v1alpha1.VerbAbort, v1alpha1.VerbApprove, v1alpha1.VerbReject}
	for role, want := range map[string]struct {
		decide []v1alpha1.DecisionVerb
		write  bool
	}{
		"sluice-viewer":   {},
		"view":            {},
		"sluice-approver": {decide: answer},
		"sluice-releaser": {decide: drive},
		"edit":            {decide: drive},
		"sluice-admin":    {decide: verbs, write: true},
		"admin":           {decide: verbs, write: true},
	} {
		t.Run(role, func(t *testing.T) {
			user := "user-of-" + role
			w.bind(user, "ClusterRole", role)
			var got []v1alpha1.DecisionVerb
			for _, verb := range verbs {
				if _, err := w.decide(w.As(user), word{verb: verb, release: "shop-1"}); err == nil {
					got = append(got, verb)
				}
			}
			if diff := cmp.Diff(want.decide, got); diff != "" {
				t.Errorf("decides (-want +got):\n%s", diff)
			}
			w.wantRights(t, user, ofPeople, []string{"create", "update", "patch", "delete"}, want.write)
			w.wantRights(t, user, slices.Concat(ofPeople, ofSluice, []string{"decisions"}), []string{"get", "list", "watch"}, true)
			w.wantRights(t, user, ofSluice, []string{"create", "update", "patch"}, false)
			w.wantRights(t, user, []string{"decisions"}, []string{"update", "patch"}, false)
			w.wantRights(t, user, []string{"releases", "analysisruns", "decisions"}, []string{"delete"}, want.write)
			w.wantRights(t, user, []string{"holds"}, []string{"delete"}, false)
			w.wantRights(t, user, statuses, []string{"update", "patch"}, false)
		})
	}
}

// wantRights wants a user to have all of these rights, or none.
func (w *world) wantRights(t *testing.T, user string, resources, verbs []string, want bool) {
	t.Helper()
	for _, resource := range resources {
		for _, verb := range verbs {
			if got := w.may(user, v1alpha1.GroupVersion.Group, resource, verb); got != want {
				t.Errorf("may %s %s: %v, want %v", verb, resource, got, want)
			}
		}
	}
}

// TestSecretReader: the role with which the controller reads Secrets is bound to nobody, and reaches as far as an
// administrator lets it, by the command that deploy/rbac/controller.yaml tells.
func TestSecretReader(t *testing.T) {
	const role = "sluice-secret-reader"
	objects, err := deploy.Access(deploy.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	made := false
	for _, object := range objects {
		if bound, _, _ := unstructured.NestedString(object.Object, "roleRef", "name"); bound == role {
			t.Errorf("%s %s binds it", object.GetKind(), object.GetName())
		}
		if object.GetName() != role {
			continue
		}
		made = true
		for label := range object.GetLabels() {
			if strings.HasPrefix(label, "rbac.authorization.k8s.io/") {
				t.Errorf("%s gives it to another role", label)
			}
		}
	}
	if !made {
		t.Error("there is no such role")
	}

	w := newWorld(t)
	other := inNamespace(t, w.Cluster)
	w.MustKubectl(t, "", "create", "rolebinding", role, "-n", w.namespace, "--clusterrole", role, "--serviceaccount", "sluice-system:sluice")
	w.eventually("the controller may read Secrets", func(context.Context) error {
		if !w.may(sluice, "", "secrets", "get") {
			return errors.New("it may not")
		}
		return nil
	})
	for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete"} {
		if w.may(sluice, "", "secrets", verb) {
			t.Errorf("may %s Secrets", verb)
		}
	}
	if other.may(sluice, "", "secrets", "get") {
		t.Error("may read Secrets in another namespace too")
	}
}

// TestControllerRights: the controller may do what it has to, and no more.
func TestControllerRights(t *testing.T) {
	w := newWorld(t)
	for resource, verbs := range map[string][]string{
		"apps/deployments":                     {"get", "list", "watch", "patch", "update"},
		"apps/replicasets":                     {"get", "list", "watch", "create", "patch", "update", "delete"},
		"/services":                            {"get", "list", "watch", "create", "patch", "update", "delete"},
		"/pods":                                {"get", "list"},
		"/secrets":                             nil,
		"/configmaps":                          nil,
		"discovery.k8s.io/endpointslices":      {"get", "list", "watch"},
		"networking.k8s.io/ingresses":          {"get", "list", "watch", "create", "patch", "update", "delete"},
		"networking.k8s.io/ingressclasses":     {"get"},
		"gateway.networking.k8s.io/httproutes": {"get", "list", "watch", "patch", "update"},
		"autoscaling/horizontalpodautoscalers": {"get", "list", "watch"},
		"events.k8s.io/events":                 {"create", "patch"},
		"coordination.k8s.io/leases":           nil, // only in its own namespace
		"rbac.authorization.k8s.io/roles":      nil,
		"sluice.dev/rollouts":                  {"get", "list", "watch", "patch", "update"},
		"sluice.dev/rollouts/status":           {"get", "patch", "update"},
		"sluice.dev/releases":                  {"get", "list", "watch", "create", "patch", "update", "delete"},
		"sluice.dev/holds":                     {"get", "list", "watch", "create", "patch", "update", "delete"},
		"sluice.dev/decisions":                 {"get", "list", "watch", "patch", "delete"},
		"sluice.dev/decisions/status":          {"get", "patch", "update"},
		"sluice.dev/analysisruns":              {"get", "list", "watch", "create", "patch", "update", "delete"},
		"sluice.dev/analysisruns/status":       {"get", "patch", "update"},
		"sluice.dev/analysistemplates":         {"get", "list", "watch"},
		"sluice.dev/clusteranalysistemplates":  {"get", "list", "watch"},
		"sluice.dev/releasewindows":            {"get", "list", "watch"},
		"sluice.dev/notifiers":                 {"get", "list", "watch"},
		"sluice.dev/notifiers/status":          {"get", "patch", "update"},
		"batch/jobs":                           {"get", "list", "watch", "create", "delete"},
		"batch/cronjobs":                       nil,
		"/pods/log":                            {"get"},
		"/pods/exec":                           nil,
		"/serviceaccounts":                     nil,
		"/serviceaccounts/token":               nil,
		"admissionregistration.k8s.io/mutatingadmissionpolicies":   {"get", "list", "watch"},
		"admissionregistration.k8s.io/validatingadmissionpolicies": nil,
	} {
		group, name, _ := strings.Cut(resource, "/")
		var got []string
		for _, verb := range []string{"get", "list", "watch", "create", "patch", "update", "delete", "deletecollection", "impersonate", "escalate", "bind"} {
			if w.may(sluice, group, name, verb) {
				got = append(got, verb)
			}
		}
		slices.Sort(verbs)
		slices.Sort(got)
		if diff := cmp.Diff(verbs, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", resource, diff)
		}
	}
	for _, verb := range verbs {
		if w.may(sluice, v1alpha1.GroupVersion.Group, "releases", string(verb)) {
			t.Errorf("may %s a release, which is for people", verb)
		}
	}
}

// may asks the API server.
func (w *world) may(user, group, resource, verb string) bool {
	w.t.Helper()
	client, err := kubernetes.NewForConfig(w.Config)
	if err != nil {
		w.t.Fatal(err)
	}
	name, subresource, _ := strings.Cut(resource, "/")
	answer, err := client.AuthorizationV1().SubjectAccessReviews().Create(w.t.Context(), &authorization.SubjectAccessReview{
		Spec: authorization.SubjectAccessReviewSpec{
			User: user, Groups: []string{"system:authenticated"},
			ResourceAttributes: &authorization.ResourceAttributes{Namespace: w.namespace, Group: group, Resource: name, Subresource: subresource, Verb: verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.Status.Allowed
}
