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
	lent(t, "sluice-secret-reader", "secrets", "get", []string{"list", "watch", "create", "update", "patch", "delete"})
}

// TestFaultA14JobRunner proves the same of the role with which the controller runs Jobs: without it its token, stolen or
// misled, could run any pod anywhere.
func TestFaultA14JobRunner(t *testing.T) {
	lent(t, "sluice-job-runner", "batch/jobs", "create", []string{"update", "patch", "deletecollection"})
}

// lent wants a role to be bound to nobody, and to let the controller do what verb says, and none of the others, only in the
// namespace where somebody binds it.
func lent(t *testing.T, role, resource, verb string, others []string) {
	t.Helper()
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
	group, name, found := strings.Cut(resource, "/")
	if !found {
		group, name = "", resource
	}
	w.eventually("the controller may do it", func(context.Context) error {
		if !w.may(sluice, group, name, verb) {
			return errors.New("it may not")
		}
		return nil
	})
	for _, other := range others {
		if w.may(sluice, group, name, other) {
			t.Errorf("may %s %s", other, name)
		}
	}
	if other.may(sluice, group, name, verb) {
		t.Errorf("may %s %s in another namespace too", verb, name)
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
