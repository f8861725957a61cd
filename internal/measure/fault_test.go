package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// large is a Rollout of so many steps that all name one template.
func large(steps int, match string) *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{}
	ro.Name = "shop"
	for i := range steps {
		s := v1alpha1.CanaryStep{
			Name: fmt.Sprintf("step-%d", i), Weight: ptr.To(int32(1)),
			Analysis: &v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: "large"}}},
		}
		if match != "" {
			s.Match = []v1alpha1.RequestMatch{{Headers: []v1alpha1.HeaderMatch{{Name: "X", Value: match}}}}
		}
		ro.Spec.Canary.Steps = append(ro.Spec.Canary.Steps, s)
	}
	return ro
}

func templateOf(metrics, query int) Reader {
	return func(context.Context, v1alpha1.AnalysisTemplateReference) (spec v1alpha1.AnalysisTemplateSpec, err error) {
		for i := range metrics {
			m := v1alpha1.Metric{Name: fmt.Sprintf("m%d", i), SuccessCondition: "value < 1.0"}
			m.Provider.Prometheus = &v1alpha1.PrometheusProvider{Query: strings.Repeat("q", query)}
			spec.Metrics = append(spec.Metrics, m)
		}
		return spec, nil
	}
}

// TestFaultA15Plan: a plan that no Release could store is refused before anything moves, and a large template that many
// steps name is read once.
func TestFaultA15Plan(t *testing.T) {
	for name, tt := range map[string]struct {
		ro   *v1alpha1.Rollout
		read Reader
		says string
	}{
		"large template in 50 steps": {large(50, ""), templateOf(32, 8000), ""},
		"large matches":              {large(50, strings.Repeat("\x01", 4000)), templateOf(1, 10), "the plan is"},
		"too large a run":            {large(1, ""), templateOf(64, 8190), "templates"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := v1alpha1.ReleasePlan{Steps: tt.ro.Spec.Canary.Steps}
			began := time.Now()
			err := Prepare(t.Context(), tt.ro, &plan, tt.read, Requests{})
			p, is := errors.AsType[*Problem](err)
			switch {
			case tt.says == "" && err != nil:
				t.Errorf("refused: %.200v", err)
			case tt.says != "" && (!is || !strings.Contains(p.Error(), tt.says)):
				t.Errorf("%.200v, want a problem that says %q", err, tt.says)
			}
			t.Logf("took %s: %.200v", time.Since(began), err)
		})
	}
}
