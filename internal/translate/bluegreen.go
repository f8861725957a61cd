package translate

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// The names of the two steps of a blue-green release.
const (
	stepPreview = "preview"
	stepSwitch  = "switch"
)

// blueGreen writes a blue-green strategy into the plan, as the two steps that it is.
func blueGreen(p *v1alpha1.ReleasePlan, s *v1alpha1.BlueGreenStrategy) {
	preview := v1alpha1.CanaryStep{Name: stepPreview, Weight: new(int32(0)), Replicas: s.Replicas}
	if preview.Replicas == nil {
		preview.Replicas = new(intstr.FromString("100%"))
	}
	if s.Preview != nil {
		preview.Match, p.PreviewService = s.Preview.Match, s.Preview.Service
	}
	then := v1alpha1.CanaryStep{Name: stepSwitch, Weight: new(int32(100))}
	gate(&preview, s.Before)
	gate(&then, s.After)
	p.Steps = []v1alpha1.CanaryStep{preview, then}
	p.Switch, p.KeepOld = len(p.Traffic) == 0, s.KeepOld
}

func gate(step *v1alpha1.CanaryStep, g *v1alpha1.BlueGreenGate) {
	if g != nil {
		step.Pause, step.Analysis, step.Approval = g.Pause, g.Analysis, g.Approval
	}
}

// blueGreenFields are the fields of a blue-green strategy, by those of the steps that it is written as.
var blueGreenFields = strings.NewReplacer(
	"spec.canary.steps[0].match", "spec.blueGreen.preview.match",
	"spec.canary.steps[0].replicas", "spec.blueGreen.replicas",
	"spec.canary.steps[0]", "spec.blueGreen.before",
	"spec.canary.steps[1]", "spec.blueGreen.after",
	"spec.canary.keepOld", "spec.blueGreen.keepOld",
)

// OwnFields is a text, or the name of a field, that names the Rollout's fields as its author has written them.
func OwnFields(s *v1alpha1.RolloutSpec, text string) string {
	if s.BlueGreen == nil {
		return text
	}
	return blueGreenFields.Replace(text)
}

// Apart says whether the releases of a Rollout have each Service in front of the workload lead to one version alone.
func Apart(r *v1alpha1.Rollout) bool { return len(r.Spec.Traffic) > 0 || r.Spec.BlueGreen != nil }

// StepsOf are the steps that a Rollout asks for, with the defaults filled in.
func StepsOf(r *v1alpha1.Rollout) []v1alpha1.CanaryStep { return Plan(r, nil).Steps }
