package view

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestAnalyses: those that the release controls are shown, oldest first, with the last value of each metric.
func TestAnalyses(t *testing.T) {
	o := underWay(v1alpha1.ReleaseProgressing, nil)
	o.Release.Spec.Plan.Steps[0].Analysis = &v1alpha1.StepAnalysis{Builtin: "success-rate"}
	run := func(name string, at time.Duration, owner string, metrics ...v1alpha1.MetricResult) v1alpha1.AnalysisRun {
		r := v1alpha1.AnalysisRun{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: *after(at)}}
		r.OwnerReferences = []metav1.OwnerReference{{UID: "uid-1", Controller: new(owner == "ours")}}
		r.Status.Metrics = metrics
		return r
	}
	o.Analyses = []v1alpha1.AnalysisRun{
		run("second", time.Minute, "ours", v1alpha1.MetricResult{Name: "rate", Phase: v1alpha1.AnalysisRunning}),
		run("another's", 0, "another's"),
		run("first", 0, "ours", v1alpha1.MetricResult{
			Name: "errors", Phase: v1alpha1.AnalysisFailed, Successful: 2, Failed: 1, Inconclusive: 1, Errors: 3, DryRun: true,
			Measurements: []v1alpha1.Measurement{{Value: "0.9"}, {Value: "0.8", Message: "too low\nfor us"}},
		}),
	}
	want := []Analysis{
		{Name: "first", Phase: v1alpha1.AnalysisPending, Metrics: []Metric{{
			Name: "errors", Phase: v1alpha1.AnalysisFailed,
			Last: "0.8: too low (2 good, 1 bad, 1 inconclusive, 3 errors, a dry run)",
		}}},
		{Name: "second", Phase: v1alpha1.AnalysisPending, Metrics: []Metric{{
			Name: "rate", Phase: v1alpha1.AnalysisRunning, Last: "not measured yet",
		}}},
	}
	if diff := cmp.Diff(want, Of(o).Analyses); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPods: each version has its own, by the hash in their labels.
func TestPods(t *testing.T) {
	o := underWay(v1alpha1.ReleaseProgressing, nil)
	o.Release.Spec.To.PodTemplateHash = "" // Known only from the ReplicaSet that the release made.
	o.Sets[1].Labels[v1alpha1.LabelRelease] = "shop-1"
	pod := func(name, hash string, change func(*corev1.Pod)) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Labels = map[string]string{v1alpha1.LabelPodTemplateHash: hash}
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if change != nil {
			change(&p)
		}
		return p
	}
	o.Pods = []corev1.Pod{
		pod("d", "7f86", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 2}}
			p.Status.Conditions = nil
		}),
		pod("c", "7f86", func(p *corev1.Pod) {
			waits := &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: waits}}}
		}),
		pod("b", "5b8f", func(p *corev1.Pod) { p.DeletionTimestamp = &start }),
		pod("a", "5b8f", nil),
		pod("of no version", "", nil),
	}
	want := [][]Pod{
		{{Name: "a", State: "Running", Ready: true}, {Name: "b", State: "Terminating"}},
		{{Name: "c", State: "CrashLoopBackOff", Ready: true}, {Name: "d", State: "Running, not ready", Restarts: 2}},
	}
	for i, v := range Of(o).Versions {
		if diff := cmp.Diff(want[i], v.Pods); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.Role, diff)
		}
	}
}

// TestMayApprove: who the step names, or one of his groups; once, and not the author under separation of duty.
func TestMayApprove(t *testing.T) {
	rel := underWay(v1alpha1.ReleasePaused, nil).Release
	rel.Spec.Authors = []string{"alice"}
	rel.Status.Memory.Approvals = []v1alpha1.ApprovalRecord{{User: "bob"}}
	rel.Spec.Plan.Steps[0].Approval = &v1alpha1.Approval{SeparationOfDuty: true}
	from := &rel.Spec.Plan.Steps[0].Approval.From
	from.Users, from.Groups = []string{"alice", "bob", "carol"}, []string{"leads"}
	for name, test := range map[string]struct {
		who  Person
		want bool
	}{
		"named":             {Person{Name: "carol"}, true},
		"of a named group":  {Person{Name: "dan", Groups: []string{"leads"}}, true},
		"not named":         {Person{Name: "dan"}, false},
		"the author":        {Person{Name: "alice"}, false},
		"for a second time": {Person{Name: "bob"}, false},
	} {
		if got := test.who.MayApprove(rel); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	rel.Status.Memory.Step = -1 // Somebody has edited the status.
	if (Person{Name: "carol"}).MayApprove(rel) {
		t.Error("a release at no step asks for no approval")
	}
}
