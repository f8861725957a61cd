package admission_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/admission"
)

// TestPoliciesTypeCheck: the API server finds no expression that speaks of a field that is not there. It looks only where
// a policy names versions, so that here each is made once more, bound to nothing, with the version of today.
func TestPoliciesTypeCheck(t *testing.T) {
	w := newWorld(t)
	client, err := kubernetes.NewForConfig(w.Config)
	if err != nil {
		t.Fatal(err)
	}
	policies := client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	for _, name := range []string{admission.DecisionAuthor, admission.KeepRelease, admission.KeepRecords, admission.TemplateAuthor, admission.NotifierAuthor, admission.RolloutAuthor, admission.Controller} {
		ours, err := policies.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		warnings := func(spec admissionregistration.ValidatingAdmissionPolicySpec) (warnings []string) {
			made, err := policies.Create(t.Context(), &admissionregistration.ValidatingAdmissionPolicy{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "check-"}, Spec: spec,
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = policies.Delete(t.Context(), made.Name, metav1.DeleteOptions{}) }()
			w.eventually(name+" is checked", func(ctx context.Context) error {
				now, err := policies.Get(ctx, made.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if now.Status.TypeChecking == nil {
					return errors.New("it is not")
				}
				for _, warning := range now.Status.TypeChecking.ExpressionWarnings {
					warnings = append(warnings, warning.FieldRef+": "+warning.Warning)
				}
				return nil
			})
			return warnings
		}
		spec := ours.Spec.DeepCopy()
		for i := range spec.MatchConstraints.ResourceRules {
			spec.MatchConstraints.ResourceRules[i].APIVersions = []string{v1alpha1.GroupVersion.Version}
		}
		for _, warning := range warnings(*spec) {
			t.Errorf("%s: %s", name, warning)
		}
		spec.Validations[0].Expression = "object.spec.nothing == 'x'"
		if len(warnings(*spec)) == 0 {
			t.Errorf("%s: no warning where there must be one", name)
		}
	}
}

// TestPolicies: all that there are, and those that refuse where there are no others.
func TestPolicies(t *testing.T) {
	for mutating, want := range map[bool][]string{
		true: {
			admission.Controller, admission.DecisionAuthor, admission.DecisionAuthor, admission.HoldNewWorkload,
			admission.HoldRoute, admission.HoldService, admission.HoldWorkload, admission.KeepCanary, admission.KeepHold,
			admission.KeepMeasurementPods, admission.KeepMeasurements, admission.KeepRecords, admission.KeepRelease, admission.KeepReplicaSet, admission.NotifierAuthor, admission.OwnNothing,
			admission.RolloutAuthor, admission.TemplateAuthor,
		},
		false: {
			admission.Controller, admission.DecisionAuthor, admission.KeepCanary, admission.KeepHold, admission.KeepMeasurementPods, admission.KeepMeasurements, admission.KeepRecords,
			admission.KeepRelease, admission.KeepReplicaSet, admission.NotifierAuthor, admission.RolloutAuthor, admission.TemplateAuthor,
		},
	} {
		objects, err := admission.Policies(deploy.Namespace, mutating)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, object := range objects {
			if kind := object.GetKind(); kind == "ValidatingAdmissionPolicy" || kind == "MutatingAdmissionPolicy" {
				names = append(names, object.GetName())
			}
		}
		slices.Sort(names)
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("mutating %v (-want +got):\n%s", mutating, diff)
		}
	}
}
