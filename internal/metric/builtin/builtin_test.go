package builtin

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
)

func decimal(t *testing.T, text string) *v1alpha1.Decimal {
	t.Helper()
	d, err := v1alpha1.NewDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// TestMetric: every dialect makes a measurement whose names can be filled in and whose condition can be read.
func TestMetric(t *testing.T) {
	values := map[string]string{"namespace": "demo", "canaryService": "shop-canary"}
	for _, dialect := range Dialects() {
		for _, a := range []v1alpha1.StepAnalysis{
			{Builtin: v1alpha1.BuiltinSuccessRate, Min: decimal(t, "99.5")},
			{Builtin: v1alpha1.BuiltinLatency, Max: decimal(t, "300"), Quantile: decimal(t, "0.99")},
		} {
			m, err := Metric(dialect, &a, false, 0)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = metric.Substitute(m, values); err != nil {
				t.Fatalf("%s %s: %v", dialect, a.Builtin, err)
			}
			condition, err := metric.Compile(m.SuccessCondition, m.FailureCondition)
			if err != nil {
				t.Fatalf("%s %s: %v", dialect, a.Builtin, err)
			}
			good, bad := 99.5, 99.4
			if a.Builtin == v1alpha1.BuiltinLatency {
				good, bad = 300, 300.1
			}
			for value, want := range map[float64]v1alpha1.AnalysisPhase{good: v1alpha1.AnalysisSuccessful, bad: v1alpha1.AnalysisFailed} {
				if got, why := condition.Judge(value, 0); got != want {
					t.Errorf("%s %s: %v is %s (%s), want %s", dialect, a.Builtin, value, got, why, want)
				}
			}
			if q := m.Provider.Prometheus.Query; !strings.Contains(q, "demo") || !strings.Contains(q, "shop-canary") || strings.Contains(q, "{{") {
				t.Errorf("%s %s: %s", dialect, a.Builtin, q)
			}
		}
	}
}

// TestCompare: both versions are asked about by name, and in a step the first proof is enough.
func TestCompare(t *testing.T) {
	for _, dialect := range Dialects() {
		a := &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinSuccessRate, Compare: &v1alpha1.ComparisonBounds{Tolerance: decimal(t, "0.5")}}
		for _, open := range []bool{false, true} {
			m, err := Metric(dialect, a, open, 0)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(m.Compare.Bad, "{{version}}") || !strings.Contains(m.Provider.Prometheus.Query, "{{version}}") {
				t.Errorf("%s: %+v", dialect, m)
			}
			if ends := m.ConsecutiveSuccessLimit != nil && m.Count != nil; ends == open {
				t.Errorf("%s: in the background %t, it ends by itself: %t", dialect, open, ends)
			}
		}
	}
}

// TestCount: a builtin ends by itself, unless a pause or the background says how long it goes on.
func TestCount(t *testing.T) {
	a := &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinSuccessRate, Min: decimal(t, "99"), Interval: &metav1.Duration{Duration: 20 * time.Second}}
	for name, tt := range map[string]struct {
		open  bool
		pause time.Duration
		ends  bool
	}{
		"no pause": {false, 0, true}, "a short pause": {false, 30 * time.Second, true}, "a long pause": {false, time.Minute, false},
		"background": {true, 0, false},
	} {
		m, err := Metric("istio", a, tt.open, tt.pause)
		if err != nil || (m.Count != nil) != tt.ends {
			t.Errorf("%s: count %v, %v", name, m.Count, err)
		}
	}
}

func TestUnknownDialect(t *testing.T) {
	_, err := Metric("", &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinSuccessRate}, false, 0)
	if err == nil || !strings.Contains(err.Error(), "--request-metrics (ingress-nginx, istio, playground, traefik)") {
		t.Errorf("the error is %v", err)
	}
}
