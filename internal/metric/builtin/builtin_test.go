package builtin

import (
	"regexp"
	"strconv"
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
			m, err := Metric(dialect, &a, false, 0, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if m, err = metric.Substitute(m, values); err != nil {
				t.Fatalf("%s %s: %v", dialect, a.Builtin, err)
			}
			condition, err := metric.Compile(metric.ShapeOf(m.Provider), m.SuccessCondition, m.FailureCondition)
			if err != nil {
				t.Fatalf("%s %s: %v", dialect, a.Builtin, err)
			}
			good, bad := 99.5, 99.4
			if a.Builtin == v1alpha1.BuiltinLatency {
				good, bad = 300, 300.1
			}
			for value, want := range map[float64]v1alpha1.AnalysisPhase{good: v1alpha1.AnalysisSuccessful, bad: v1alpha1.AnalysisFailed} {
				if got, why := condition.Judge([]float64{value}, 0); got != want {
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
		for _, name := range []string{v1alpha1.BuiltinSuccessRate, v1alpha1.BuiltinLatency} {
			a := &v1alpha1.StepAnalysis{Builtin: name, Compare: &v1alpha1.ComparisonBounds{Tolerance: decimal(t, "0.5")}}
			for _, open := range []bool{false, true} {
				m, err := Metric(dialect, a, open, 0, time.Second)
				if err != nil {
					t.Fatal(err)
				}
				if m.SuccessCondition != "" || m.Compare.Tolerance.String() != "0.5" || !strings.Contains(m.Provider.Prometheus.Query, "{{version}}") {
					t.Errorf("%s %s: %+v", dialect, name, m)
				}
				if ends := m.ConsecutiveSuccessLimit != nil && m.Count != nil; ends == open {
					t.Errorf("%s %s: in the background %t, it ends by itself: %t", dialect, name, open, ends)
				}
				shares := strings.Contains(m.Compare.Bad, "{{version}}") && m.Compare.Quantile == nil && m.Compare.Unit == ""
				if shares != (name == v1alpha1.BuiltinSuccessRate) {
					t.Errorf("%s %s compares %+v", dialect, name, m.Compare)
				}
			}
		}
	}
}

// TestCompareLatency: the buckets by le are asked for, and what is compared is told in the layer's unit.
func TestCompareLatency(t *testing.T) {
	for dialect, unit := range map[string]string{"istio": "ms", "ingress-nginx": "s", "playground": "s", "traefik": "s", "contour": "ms", "kgateway": "ms"} {
		for want, quantile := range map[string]*v1alpha1.Decimal{"0.95": nil, "0.5": decimal(t, "0.5")} {
			a := &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinLatency, Quantile: quantile, Compare: &v1alpha1.ComparisonBounds{}}
			m, err := Metric(dialect, a, false, 0, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if c := m.Compare; c.Quantile == nil || c.Quantile.String() != want || c.Unit != unit || c.Bad != "" {
				t.Errorf("%s compares %+v", dialect, c)
			}
			if q := m.Provider.Prometheus.Query; !strings.HasPrefix(q, "sum by (le) (") || !strings.Contains(q, "_bucket{") {
				t.Errorf("%s: %s", dialect, q)
			}
		}
	}
}

// TestVersionsApart: what is asked about one version counts no request to the other one, whose Service's name begins alike.
func TestVersionsApart(t *testing.T) {
	stable := map[string]map[string]string{
		"ingress-nginx": {"namespace": "demo", "ingress": "shop", "service": "shop", "canary": ""},
		"traefik":       {"exported_service": "demo-shop-80@kubernetes"},
		"istio":         {"reporter": "source", "destination_service_namespace": "demo", "destination_service_name": "shop"},
		"playground":    {"namespace": "demo", "service": "shop"},
		"contour":       {"envoy_cluster_name": "demo_shop_80"},
		"kgateway":      {"envoy_cluster_name": "kube_demo_shop_80"},
	}
	canary := map[string]map[string]string{
		"ingress-nginx": {"namespace": "demo", "ingress": "shop", "service": "shop", "canary": "demo-shop-canary-http-web"},
		"traefik":       {"exported_service": "demo-shop-canary-http@kubernetescrd"},
		"istio":         {"reporter": "source", "destination_service_namespace": "demo", "destination_service_name": "shop-canary"},
		"playground":    {"namespace": "demo", "service": "shop-canary"},
		"contour":       {"envoy_cluster_name": "demo_shop-canary_80"},
		"kgateway":      {"envoy_cluster_name": "kube_demo_shop-canary_80"},
	}
	scraped := map[string]string{"namespace": "ingress", "exported_namespace": "demo", "service": "nginx", "exported_service": "shop", "canary": ""}
	for _, name := range Dialects() {
		d := dialects[name]
		for what, series := range map[string]map[string]string{"shop": stable[name], "shop-canary": canary[name]} {
			for _, version := range []string{"shop", "shop-canary"} {
				if got := selects(t, d, version, series); got != (what == version) {
					t.Errorf("%s: of %s, %v is counted: %t", name, version, series, got)
				}
			}
		}
	}
	if d := dialects["ingress-nginx"]; !selects(t, d, "shop", scraped) || selects(t, d, "shop-canary", scraped) {
		t.Errorf("ingress-nginx without honor_labels: %v", scraped)
	}
}

// TestCountedOnce: Istio reports a request at both ends, and one that is counted twice would prove what it does not.
func TestCountedOnce(t *testing.T) {
	series := map[string]string{"reporter": "destination", "destination_service_namespace": "demo", "destination_service_name": "shop"}
	if selects(t, dialects["istio"], "shop", series) {
		t.Errorf("%v is counted beside that of the source", series)
	}
}

// selects says whether a series is among those of a version.
func selects(t *testing.T, d dialect, version string, series map[string]string) bool {
	t.Helper()
	for _, form := range append([]string{d.labels}, d.stable...) {
		form = strings.NewReplacer("{{namespace}}", "demo", "{{version}}", version).Replace(form)
		all := true
		for _, m := range regexp.MustCompile(`(\w+)(=~|!~|=)"([^"]*)"`).FindAllStringSubmatch(form, -1) {
			matched := series[m[1]] == m[3]
			if m[2] != "=" {
				matched = regexp.MustCompile("^(?:"+m[3]+")$").MatchString(series[m[1]]) == (m[2] == "=~")
			}
			all = all && matched
		}
		if all {
			return true
		}
	}
	return false
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
		m, err := Metric("istio", a, tt.open, tt.pause, time.Second)
		if err != nil || (m.Count != nil) != tt.ends {
			t.Errorf("%s: count %v, %v", name, m.Count, err)
		}
	}
}

func TestUnknownDialect(t *testing.T) {
	_, err := Metric("", &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinSuccessRate}, false, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "--request-metrics (contour, ingress-nginx, istio, kgateway, playground, traefik)") {
		t.Errorf("the error is %v", err)
	}
}

// TestFaultC6Windows: what is asked for follows how often Prometheus collects. A rate over less than a few collections is of
// nothing, a new version has no rate before the second one, and where it is not known how often that is, the longest
// usual time is taken.
func TestFaultC6Windows(t *testing.T) {
	for _, c := range []struct{ collection, window, first, waits time.Duration }{
		{time.Second, 10 * time.Second, 10 * time.Second, 2 * time.Minute},
		{15 * time.Second, time.Minute, 30 * time.Second, 2 * time.Minute},
		{30 * time.Second, 2 * time.Minute, time.Minute, 3 * time.Minute},
		{time.Minute, 4 * time.Minute, 2 * time.Minute, 6 * time.Minute},
		{0, 4 * time.Minute, 2 * time.Minute, 6 * time.Minute},
	} {
		a := &v1alpha1.StepAnalysis{Builtin: v1alpha1.BuiltinSuccessRate, Min: decimal(t, "99")}
		for _, dialect := range Dialects() {
			m, err := Metric(dialect, a, false, 0, c.collection)
			if err != nil {
				t.Fatal(err)
			}
			if over := "[" + strconv.Itoa(int(c.window.Seconds())) + "s]"; !strings.Contains(m.Provider.Prometheus.Query, over) {
				t.Errorf("%s, collected every %s: want a rate over %s: %s", dialect, c.collection, over, m.Provider.Prometheus.Query)
			}
			if m.InitialDelay.Duration != c.first || m.WaitForData.Duration != c.waits {
				t.Errorf("%s, collected every %s: first look after %s, no data is waited for during %s", dialect, c.collection, m.InitialDelay.Duration, m.WaitForData.Duration)
			}
		}
	}
}
