package view

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
)

// TestLayersToldOrRead: while the status tells of every layer, nothing that was read of the routes counts; where
// it does not, as an older controller's does not, what was read does.
func TestLayersToldOrRead(t *testing.T) {
	read := ReadLayer("ingress/shop", traffic.State{Routed: true, Accepted: true, Split: traffic.Split{Weight: 70}})
	o := underWay(v1alpha1.ReleasePaused, nil)
	o.Layers = []Layer{read}
	if l := Of(o).Layers[0]; !o.LayersTold() || l.Weight != 20 {
		t.Errorf("told by the status: %v, %d%%, want 20%%", o.LayersTold(), l.Weight)
	}
	told := o.Release.Status.Layers
	for name, layers := range map[string][]v1alpha1.LayerStatus{
		"none": nil, "another": {{Name: "httproute/shop", Weight: ptr.To(int32(20))}},
	} {
		o.Release.Status.Layers = layers
		if l := Of(o).Layers[0]; o.LayersTold() || l.Text != "70% to the canary" {
			t.Errorf("the status tells of %s: %q, want what was read", name, l.Text)
		}
	}
	o.Release.Status.Layers, o.Release.Status.Phase = told, v1alpha1.ReleaseSucceeded
	if l := Of(o).Layers[0]; o.LayersTold() || l.Weight != 70 {
		t.Errorf("at rest: %+v, want what was read", l)
	}
}

// TestMatchesInWords: the status has the number of the matches. The words are those of the plan, where only one fits.
func TestMatchesInWords(t *testing.T) {
	header := func(name string) []v1alpha1.RequestMatch {
		return []v1alpha1.RequestMatch{{Headers: []v1alpha1.HeaderMatch{{Name: name, Value: "yes"}}}}
	}
	step := func(weight int32, match []v1alpha1.RequestMatch) v1alpha1.CanaryStep {
		return v1alpha1.CanaryStep{Weight: &weight, Match: match}
	}
	type plan []v1alpha1.CanaryStep
	for name, test := range map[string]struct {
		steps   plan
		reached bool
		want    string
	}{
		"one step fits":             {plan{step(10, header("A")), step(20, header("B"))}, false, "or header A=yes"},
		"two fit, and say the same": {plan{step(10, header("A")), step(10, header("A"))}, false, "or header A=yes"},
		"two fit, and differ":       {plan{step(10, header("A")), step(10, header("B"))}, false, "or 1 match"},
		"the one of them in force":  {plan{step(10, header("A")), step(10, header("B"))}, true, "or header A=yes"},
		"none fits":                 {plan{step(20, header("A"))}, true, "or 1 match"},
	} {
		r := &v1alpha1.Release{}
		r.Spec.Plan.Steps, r.Status.Memory = test.steps, &v1alpha1.ReleaseMemory{}
		if test.reached {
			r.Status.Memory.StepReachedAt = &metav1.MicroTime{Time: start.Time}
		}
		if got := matchOf(r, Layer{Weight: 10, Matches: 1}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
