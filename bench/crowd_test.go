package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPlainDeploymentIsComplete(t *testing.T) {
	tm := crowdTeams("plain", 1, nil)[0]
	tm.replicas = 2
	for name, c := range map[string]struct {
		change func(*appsv1.Deployment)
		want   string
	}{
		"complete":          {func(*appsv1.Deployment) {}, runs(before)},
		"edit not seen yet": {func(d *appsv1.Deployment) { d.Generation = 3 }, "rolling"},
		"a pod not updated": {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, "rolling"},
		"one not available": {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, "rolling"},
		"an old one left":   {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, "rolling"},
		"nothing told yet":  {func(d *appsv1.Deployment) { d.Status = appsv1.DeploymentStatus{} }, "rolling"},
	} {
		d := tm.deployment(metav1.ObjectMeta{Generation: 2}).(*appsv1.Deployment)
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2}
		c.change(d)
		if got := stateOf(d); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestSidesDifferInTheRollerOnly(t *testing.T) {
	b := &bench{argo: "rollouts-controller"}
	var names []string
	for _, s := range b.sides(30) {
		names = append(names, s.name)
		if len(s.alone) != 1 || len(s.all) != 30 {
			t.Errorf("%s: %d alone, %d in the crowd", s.name, len(s.alone), len(s.all))
		}
		for _, tm := range append(s.alone, s.all...) {
			if !strings.HasPrefix(tm.name, s.name) || tm.roller != s.roller || len(tm.steps) != 4 {
				t.Errorf("%s has %+v", s.name, tm)
			}
		}
	}
	if diff := cmp.Diff([]string{"plain", "concurrent", "argo"}, names); diff != "" {
		t.Error(diff)
	}
	if got := len((&bench{}).sides(1)); got != 2 {
		t.Errorf("%d sides without Argo Rollouts", got)
	}
}

func TestCompare(t *testing.T) {
	var out strings.Builder
	cores := load{{0, 10, 2}, {2, 12, 2}, {3, 14, 2}}
	(&bench{out: &out}).compare([]*side{
		{name: "plain", roller: kubernetes, turns: []turn{{over: 8, cores: cores}, {over: 12, cores: cores}}},
		{name: "concurrent", roller: sluice, turns: []turn{{over: 13, used: 1}, {over: 11, used: 3}}},
	}, 100)
	want := `plain-100-seconds-over-alone 10 s
plain-100-cores-busy 75 %
plain-100-cores-full 50 %
concurrent-100-seconds-over-alone 12 s
concurrent-100-cores-busy unknown
concurrent-100-cores-full unknown
concurrent-100-cpu-ms-per-release 20 ms
concurrent-100-over-plain 1.20 times
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
