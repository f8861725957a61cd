package admission_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorization "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

var verbs = []v1alpha1.DecisionVerb{
	v1alpha1.VerbPromote, v1alpha1.VerbPromoteFull, v1alpha1.VerbPause, v1alpha1.VerbResume,
	v1alpha1.VerbAbort, v1alpha1.VerbRetry, v1alpha1.VerbRollback,
}

// TestReadyMadeRoles: what each role may decide is as docs/access.md says, tried by deciding it; Kubernetes' own
// roles have got ours.
func TestReadyMadeRoles(t *testing.T) {
	w := newWorld(t)
	all := verbs
	some := []v1alpha1.DecisionVerb{v1alpha1.VerbPromote, v1alpha1.VerbAbort}
	for role, want := range map[string]struct {
		decide        []v1alpha1.DecisionVerb
		writeRollouts bool
	}{
		"sluice-viewer":   {},
		"view":            {},
		"sluice-approver": {decide: some},
		"sluice-releaser": {decide: all},
		"edit":            {decide: all},
		"sluice-admin":    {decide: all, writeRollouts: true},
		"admin":           {decide: all, writeRollouts: true},
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
			for _, verb := range []string{"create", "patch", "delete"} {
				if got := w.may(user, "sluice.dev", "rollouts", verb); got != want.writeRollouts {
					t.Errorf("may %s rollouts: %v, want %v", verb, got, want.writeRollouts)
				}
			}
			for _, resource := range []string{"rollouts", "releases", "holds", "decisions"} {
				if !w.may(user, "sluice.dev", resource, "watch") {
					t.Errorf("may not watch %s", resource)
				}
				for _, verb := range []string{"update", "patch"} {
					if resource != "rollouts" && w.may(user, "sluice.dev", resource, verb) {
						t.Errorf("may %s %s, which only Sluice writes", verb, resource)
					}
				}
			}
			if w.may(user, "sluice.dev", "decisions/status", "patch") || w.may(user, "sluice.dev", "releases/status", "patch") {
				t.Error("may write a status, which only Sluice writes")
			}
		})
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
