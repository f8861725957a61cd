package analysis

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// counters is a Prometheus that knows how many requests each version had, and how many of them were bad.
type counters struct {
	mu         sync.Mutex
	total, bad map[string]float64
}

func (c *counters) add(version string, total, bad float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total[version] += total
	c.bad[version] += bad
}

func (c *counters) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, version, _ := strings.Cut(r.FormValue("query"), " of ")
	value := c.total[version]
	if kind == "bad" {
		value = c.bad[version]
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"%g"]}]}}`, value)
}

// comparing is a run that compares shop-canary with shop.
func comparing(t *testing.T, change func(*v1alpha1.Metric)) (*bench, *counters) {
	t.Helper()
	c := &counters{total: map[string]float64{}, bad: map[string]float64{}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	tolerance, err := v1alpha1.NewDecimal("1")
	if err != nil {
		t.Fatal(err)
	}
	m := v1alpha1.Metric{
		Name: "errors", Interval: &metav1.Duration{Duration: 10 * time.Second}, ConsecutiveSuccessLimit: ptr.To(int32(1)),
		Compare:  &v1alpha1.Comparison{Bad: "bad of {{version}}", ComparisonBounds: v1alpha1.ComparisonBounds{Tolerance: &tolerance}},
		Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Address: s.URL, Query: "all of {{version}}"}},
	}
	return shopCompares(t, m, change), c
}

// shopCompares is a run of one metric that compares shop-canary with shop.
func shopCompares(t *testing.T, m v1alpha1.Metric, change func(*v1alpha1.Metric)) *bench {
	t.Helper()
	if change != nil {
		change(&m)
	}
	b := newBench(t, m)
	run := b.run()
	run.Spec.StableVersion, run.Spec.CanaryVersion = "shop", "shop-canary"
	if err := b.store.Update(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCompareWorse: an error rate of which the stable version has a tenth is found out, whatever the constant would be.
func TestCompareWorse(t *testing.T) {
	b, c := comparing(t, nil)
	b.is(b.look(), v1alpha1.AnalysisRunning, "counted from now on")
	for range 30 {
		c.add("shop", 800, 8)
		c.add("shop-canary", 200, 20)
		if run := b.after(10 * time.Second); run.Status.FinishedAt != nil {
			b.is(run, v1alpha1.AnalysisFailed, "errors failed once")
			if e := run.Status.Metrics[0].Evidence; len(e) == 0 || len(e) > 4096 {
				t.Errorf("the evidence has %d bytes", len(e))
			}
			return
		}
	}
	t.Errorf("10%% bad against 1%% was not found out: %+v", b.run().Status)
}

// TestCompareSame: both versions are bad, as when the database is slow; the new one is not worse for that.
func TestCompareSame(t *testing.T) {
	b, c := comparing(t, nil)
	b.look()
	b.restart() // What was read last stands in the status.
	for range 300 {
		c.add("shop", 8000, 240)
		c.add("shop-canary", 2000, 60)
		if run := b.after(10 * time.Second); run.Status.FinishedAt != nil {
			b.is(run, v1alpha1.AnalysisSuccessful, "errors was good once in a row")
			return
		}
	}
	t.Errorf("equal versions were not proven so: %+v", b.run().Status)
}

// TestCompareNothingProven: it goes on, and is no success when it has to conclude.
func TestCompareNothingProven(t *testing.T) {
	b, c := comparing(t, func(m *v1alpha1.Metric) { m.Count = ptr.To(int32(3)) })
	b.look()
	for range 2 {
		c.add("shop", 10, 0)
		c.add("shop-canary", 10, 0)
		b.after(10 * time.Second)
	}
	b.is(b.run(), v1alpha1.AnalysisInconclusive, "never good in 3 measurements")
}

// TestCompareWithoutRequests: a version that gets none is not good, and counters that begin anew are no counts.
func TestCompareWithoutRequests(t *testing.T) {
	b, c := comparing(t, nil)
	c.add("shop", 1000, 10)
	b.look()
	c.add("shop", 1000, 10)
	run := b.after(10 * time.Second)
	if m := run.Status.Metrics[0]; m.Errors != 1 || !strings.Contains(m.Message, "canary had no requests") {
		t.Errorf("without requests: %+v", m)
	}
	c.add("shop", -1900, -19)
	c.add("shop-canary", 100, 0)
	run = b.after(10 * time.Second)
	if m := run.Status.Metrics[0]; m.Errors != 2 || m.Phase != v1alpha1.AnalysisRunning {
		t.Errorf("counters that began anew: %+v", m)
	}
	c.add("shop", 800, 8)
	c.add("shop-canary", 200, 2)
	if m := b.after(10 * time.Second).Status.Metrics[0]; m.Errors != 2 || m.ConsecutiveErrors != 0 {
		t.Errorf("after that: %+v", m)
	}
}
