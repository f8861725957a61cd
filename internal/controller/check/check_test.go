package check

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func weekly(from, to string) []v1alpha1.WindowPeriod {
	return []v1alpha1.WindowPeriod{{Weekly: &v1alpha1.WeeklyPeriod{From: from, To: to}}}
}

// TestFaultB14TellsAtOnce: what the API server let through is told on the object itself, with the field and the remedy.
func TestFaultB14TellsAtOnce(t *testing.T) {
	template := v1alpha1.AnalysisTemplateSpec{Metrics: []v1alpha1.Metric{{
		Name: "errors", SuccessCondition: "result < 0.05", Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Query: "up"}},
	}}}
	for name, c := range map[string]struct {
		object client.Object
		want   string // empty: it can be read
	}{
		"window": {&v1alpha1.ReleaseWindow{Spec: v1alpha1.ReleaseWindowSpec{Allow: weekly("09:00", "17:00")}}, ""},
		"zone": {
			&v1alpha1.ReleaseWindow{Spec: v1alpha1.ReleaseWindowSpec{TimeZone: "Mars/Base", Allow: weekly("25:00", "17:00")}},
			`spec.timeZone: unknown zone "Mars/Base"; use a name of the IANA database, as Europe/Berlin; spec.allow[0].weekly.from: "25:00" is no time of the day; write it as 09:00; until that is mended, the releases`,
		},
		"never":    {&v1alpha1.ReleaseWindow{}, "spec.allow: list at least one period here"},
		"template": {&v1alpha1.AnalysisTemplate{Spec: template}, "spec.metrics[0]: metric errors: successCondition, line 1, column 8: result is a list of numbers"},
		"cluster":  {&v1alpha1.ClusterAnalysisTemplate{Spec: template}, "result is a list of numbers"},
	} {
		t.Run(name, func(t *testing.T) {
			k := kindOf(t, c.object)
			problems, status := k.look(c.object)
			if !note(status, problems, 3) {
				t.Error("the first look is no news")
			}
			if note(status, problems, 3) {
				t.Error("the same is news again")
			}
			valid := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionValid)
			if valid == nil || valid.ObservedGeneration != 3 || (valid.Status == "True") != (c.want == "") || !strings.Contains(valid.Message, c.want) {
				t.Errorf("%+v", valid)
			}
		})
	}
}

func kindOf(t *testing.T, o client.Object) checked {
	t.Helper()
	switch o.(type) {
	case *v1alpha1.ReleaseWindow:
		return kinds[0]
	case *v1alpha1.AnalysisTemplate:
		return kinds[1]
	}
	return kinds[2]
}
