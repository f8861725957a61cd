package admission_test

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// TestFaultA6Measurements proves that nobody with ordinary rights can make the Job by which Sluice measures, or a pod that
// the Job controller would adopt for it, or change what either runs.
func TestFaultA6Measurements(t *testing.T) {
	w := newWorld(t)
	pods, jobs := schema.GroupVersionResource{Version: "v1", Resource: "pods"}, schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	alice, jobController := w.certificate("alice"), "system:serviceaccount:kube-system:job-controller"
	const container = `containers: [{name: check, image: "check:1"}], restartPolicy: Never`
	pod := func(name, label string) string {
		return `{apiVersion: v1, kind: Pod, metadata: {name: ` + name + `, labels: {app: x` + label + `}}, spec: {` + container + `}}`
	}
	job := func(name string) string {
		return `{apiVersion: batch/v1, kind: Job, metadata: {name: ` + name + `, labels: {sluice.dev/measurement: a, sluice.dev/metric: smoke}, finalizers: [test/keep],
			ownerReferences: [{apiVersion: sluice.dev/v1alpha1, kind: AnalysisRun, name: x, uid: x, controller: true}]},
			spec: {manualSelector: true, suspend: true, selector: {matchLabels: {sluice.dev/measurement: a}},
			template: {metadata: {labels: {sluice.dev/measurement: a}}, spec: {` + container + `}}}}`
	}
	creates := func(resource schema.GroupVersionResource, manifest string) error {
		_, err := w.over(alice, resource).Create(t.Context(), parse(t, manifest), metav1.CreateOptions{})
		return err
	}
	w.eventually("the policy is in force", func(context.Context) error {
		if creates(pods, pod("early", ", sluice.dev/measurement: a")) == nil {
			_ = w.as("", pods).Delete(context.Background(), "early", metav1.DeleteOptions{})
			return errors.New("it is not")
		}
		return nil
	})
	const notYours = "the label sluice.dev/measurement is for the Jobs by which Sluice measures"
	wantForbidden(t, creates(jobs, job("forged")), notYours)
	wantForbidden(t, creates(pods, pod("forged", ", sluice.dev/measurement: a")), notYours)
	// The Job controller makes pods for anybody's Job: with the label they would be adopted once they have no owner.
	wantForbidden(t, creates(jobs, `{apiVersion: batch/v1, kind: Job, metadata: {name: mine, labels: {x: z}}, spec: {manualSelector: true, selector: {matchLabels: {x: z}},
		template: {metadata: {labels: {x: z, sluice.dev/measurement: a}}, spec: {`+container+`}}}}`), "spec.template.metadata.labels: the label sluice.dev/measurement")
	if err := creates(pods, pod("plain", "")); err != nil {
		t.Error(err)
	}

	w.bind(sluice, "ClusterRole", "sluice-job-runner")
	w.create(sluice, jobs, job("smoke"))
	t.Cleanup(func() {
		_, _ = w.as("", jobs).Patch(context.Background(), "smoke", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	})
	w.create(jobController, pods, pod("smoke-1", ", sluice.dev/measurement: a"))
	patch := func(resource schema.GroupVersionResource, name, text string, sub ...string) error {
		_, err := w.over(alice, resource).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "alice"}, sub...)
		return err
	}
	for name, test := range map[string]struct {
		err  error
		says string
	}{
		"an adopted pod":   {patch(pods, "plain", `{"metadata":{"labels":{"sluice.dev/measurement":"a"}}}`), "are Sluice's"},
		"another image":    {patch(pods, "smoke-1", `{"spec":{"containers":[{"name":"check","image":"true"}]}}`), "what it runs stays as it is"},
		"the label goes":   {patch(pods, "smoke-1", `{"metadata":{"labels":{"sluice.dev/measurement":null}}}`), "are Sluice's"},
		"no owner":         {patch(pods, "smoke-1", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"x","uid":"x"}]}}`), "its owners stay as they are"},
		"the Job's metric": {patch(jobs, "smoke", `{"metadata":{"labels":{"sluice.dev/metric":"other"}}}`), "are Sluice's"},
	} {
		t.Run(name, func(t *testing.T) { wantForbidden(t, test.err, test.says) })
	}
	if err := patch(pods, "smoke-1", `{"metadata":{"annotations":{"a":"b"}}}`); err != nil {
		t.Error(err)
	}
	for _, o := range []struct {
		resource schema.GroupVersionResource
		name     string
	}{{pods, "smoke-1"}, {jobs, "smoke"}} {
		if err := w.over(alice, o.resource).Delete(t.Context(), o.name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}
