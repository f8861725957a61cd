package analysis

import (
	"encoding/json"
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

// latencies is a Prometheus that knows how long each version's requests took: how many in each bucket, by its bound.
type latencies struct {
	mu     sync.Mutex
	bounds []string
	counts map[string][]float64
	// without has no label le in the answers.
	without bool
}

var shopBounds = []string{"0.1", "0.25", "0.5", "1.0", "+Inf"}

// add has each bucket grow by the requests that took no longer than it.
func (l *latencies) add(version string, requests ...float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts[version] == nil {
		l.counts[version] = make([]float64, len(l.bounds))
	}
	sum := 0.0
	for i, n := range requests {
		sum += n
		l.counts[version][i] += sum
	}
}

func (l *latencies) begin(bounds ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bounds, l.counts = bounds, map[string][]float64{}
}

func (l *latencies) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	version := strings.TrimPrefix(r.FormValue("query"), "buckets of ")
	var all []string
	for i, n := range l.counts[version] {
		labels := fmt.Sprintf(`{"le":%q}`, l.bounds[i])
		if l.without {
			labels = "{}"
		}
		all = append(all, fmt.Sprintf(`{"metric":%s,"value":[1,"%g"]}`, labels, n))
	}
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(all, ","))
}

// comparingLatencies is a run that compares how long shop-canary takes with how long shop does.
func comparingLatencies(t *testing.T, change func(*v1alpha1.Metric)) (*bench, *latencies) {
	t.Helper()
	l := &latencies{}
	l.begin(shopBounds...)
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	quantile, err := v1alpha1.NewDecimal("0.95")
	if err != nil {
		t.Fatal(err)
	}
	m := v1alpha1.Metric{
		Name: "slow", Interval: &metav1.Duration{Duration: 10 * time.Second}, ConsecutiveSuccessLimit: ptr.To(int32(1)),
		Compare:  &v1alpha1.Comparison{Quantile: &quantile, Unit: "s"},
		Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Address: s.URL, Query: "buckets of {{version}}"}},
	}
	return shopCompares(t, m, change), l
}

// as usual are the requests of a look to stable, of which 4% take longer than half a second.
func (l *latencies) asUsual() { l.add("shop", 480, 240, 48, 24, 8) }

// asFast is a canary that is no slower.
func (l *latencies) asFast() { l.add("shop-canary", 120, 60, 12, 6, 2) }

// last is the message of the newest measurement.
func last(run *v1alpha1.AnalysisRun) v1alpha1.Measurement {
	all := run.Status.Metrics[0].Measurements
	return all[len(all)-1]
}

// TestCompareSlower: a canary of which more requests are slower than stable's quantile is found out, and the status says
// what was compared. The evidence is small, and outlives the process.
func TestCompareSlower(t *testing.T) {
	b, l := comparingLatencies(t, nil)
	l.asUsual()
	l.asFast()
	b.is(b.look(), v1alpha1.AnalysisRunning, "counted from now on")
	l.asUsual()
	l.asFast()
	if m := last(b.after(10 * time.Second)); !strings.Contains(m.Message, "from now on requests slower than 0.5 s are compared, which 4% of 800 requests to stable were") {
		t.Errorf("it has learnt: %+v", m)
	}
	b.restart()
	for range 30 {
		l.asUsual()
		l.add("shop-canary", 100, 60, 12, 20, 8)
		run := b.after(10 * time.Second)
		e := run.Status.Metrics[0].Evidence
		if len(e) > 1500 || !json.Valid([]byte(e)) || !strings.Contains(e, `"threshold":"0.5"`) || !strings.Contains(e, `"stable":{"buckets":{"+Inf":`) {
			t.Fatalf("the evidence has %d bytes: %s", len(e), e)
		}
		if run.Status.FinishedAt != nil {
			b.is(run, v1alpha1.AnalysisFailed, "canary 14% slower than 0.5 s (")
			b.is(run, v1alpha1.AnalysisFailed, ", stable 4% (")
			b.is(run, v1alpha1.AnalysisFailed, "worse by more than 2 points")
			return
		}
	}
	t.Errorf("14%% slow against 4%% was not found out: %+v", b.run().Status)
}

// TestCompareAsFast: both get slower in the middle, as when the database does; the new one is not worse for that.
func TestCompareAsFast(t *testing.T) {
	b, l := comparingLatencies(t, nil)
	l.asUsual()
	l.asFast()
	b.look()
	for i := range 300 {
		if i < 5 {
			l.asUsual()
			l.asFast()
		} else {
			l.add("shop", 240, 240, 240, 72, 8)
			l.add("shop-canary", 60, 60, 60, 18, 2)
		}
		if run := b.after(10 * time.Second); run.Status.FinishedAt != nil {
			b.is(run, v1alpha1.AnalysisSuccessful, "slow was good once in a row")
			return
		}
	}
	t.Errorf("equal versions were not proven so: %+v", b.run().Status)
}

// TestCompareLatenciesUnclear: what is no pair of histograms that go on is an error at its look, and is told; afterwards it
// goes on.
func TestCompareLatenciesUnclear(t *testing.T) {
	for name, test := range map[string]struct {
		// looks before it happens, of which one is for learning.
		looks   int
		happens func(*latencies)
		want    string
		// lost are the looks after it, of three, that are errors, too.
		lost int
	}{
		"a restarted pod, while learning": {1, func(l *latencies) { l.add("shop", -1000, 900) }, `the histogram of stable has a bucket le="0.1" whose count is below zero: a counter was reset`, 0},
		"a restarted pod":                 {4, func(l *latencies) { l.add("shop", 0, 0, -2500, 2500) }, `the histogram of stable has a bucket le="0.5" whose count is below zero: a counter was reset`, 0},
		"a restarted canary":              {4, func(l *latencies) { delete(l.counts, "shop-canary"); l.asFast() }, `the histogram of the canary has a bucket le="+Inf" whose count is below zero`, 0},
		"no canary":                       {4, func(l *latencies) { delete(l.counts, "shop-canary") }, "count the requests of shop-canary: no data: prometheus.query finds no series", 1},
		"no requests":                     {4, func(l *latencies) { l.add("shop-canary", -120, -60, -12, -6, -2) }, "canary had no requests since the look before", 0},
		"no label":                        {4, func(l *latencies) { l.without = true }, "count the requests of shop-canary: prometheus.query gives a series without the label le; group by it", 3},
		"other buckets, while learning":   {1, func(l *latencies) { l.begin("0.2", "0.3", "0.6", "1", "+Inf"); l.asUsual(); l.asFast() }, `the histogram of the canary has no bucket le="0.1" any more`, 0},
		"other buckets":                   {4, func(l *latencies) { l.begin("0.2", "0.3", "0.6", "1", "+Inf"); l.asUsual(); l.asFast() }, `the histogram of the canary has no bucket le="0.5" any more`, 3},
	} {
		t.Run(name, func(t *testing.T) {
			b, l := comparingLatencies(t, nil)
			next := func() v1alpha1.Measurement {
				l.asUsual()
				l.asFast()
				return last(b.after(10 * time.Second))
			}
			for range test.looks {
				next()
			}
			l.asUsual()
			l.asFast()
			test.happens(l)
			if m := last(b.after(10 * time.Second)); m.Phase != v1alpha1.AnalysisError || !strings.Contains(m.Message, test.want) {
				t.Errorf("it is %s: %s; want an error with %q", m.Phase, m.Message, test.want)
			}
			for i := range 3 {
				if m := next(); (m.Phase == v1alpha1.AnalysisError) != (i < test.lost) {
					t.Errorf("%d looks after that it is %s: %s", i+1, m.Phase, m.Message)
				}
			}
		})
	}
}

// TestCompareTooManyBuckets: more than the API takes is no write that is refused for ever, but an error that is told.
func TestCompareTooManyBuckets(t *testing.T) {
	b, l := comparingLatencies(t, func(m *v1alpha1.Metric) { m.ConsecutiveErrorLimit = ptr.To(int32(0)) })
	var bounds []string
	for i := range 600 {
		bounds = append(bounds, fmt.Sprintf("%d.5", i))
	}
	l.begin(append(bounds, "+Inf")...)
	l.add("shop", 10000)
	l.add("shop-canary", 10000)
	run := b.look()
	b.is(run, v1alpha1.AnalysisError, "the histogram has 601 buckets, more than can be remembered: leave some out in provider.prometheus.query")
	if e := run.Status.Metrics[0].Evidence; e != "" {
		t.Errorf("the evidence has %d bytes", len(e))
	}
}

// TestCompareBounds: the defaults, and what cannot be compared.
func TestCompareBounds(t *testing.T) {
	decimal := func(text string) *v1alpha1.Decimal {
		d, err := v1alpha1.NewDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return &d
	}
	for _, test := range []struct {
		c         v1alpha1.Comparison
		tolerance float64
		err       string
	}{
		{v1alpha1.Comparison{Bad: "x"}, 0.5, ""},
		{v1alpha1.Comparison{Quantile: decimal("0.99")}, 2, ""},
		{v1alpha1.Comparison{Quantile: decimal("0.99"), ComparisonBounds: v1alpha1.ComparisonBounds{Tolerance: decimal("3")}}, 3, ""},
		{v1alpha1.Comparison{Quantile: decimal("95")}, 2, "quantile: 95 is no quantile to compare"},
	} {
		got, err := bounds(&test.c)
		if got.Tolerance != test.tolerance || got.ErrorRate != 0.05 || got.MinSamples != 100 || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%+v: %+v, %v", test.c, got, err)
		}
	}
}
