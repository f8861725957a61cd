package prometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
	"github.com/sluice-dev/sluice/internal/metric/prometheus"
)

func kit(r *v1alpha1.PrometheusRange) metrictest.Kit {
	return metrictest.Kit{
		Source: prometheus.New(), Connection: true,
		Provider: func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider {
			return v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Address: address, Query: "up", Range: r, Connection: c}}
		},
		Good: metrictest.Answers(http.StatusOK, success("vector", sample("0.25"))),
		Want: []float64{0.25},
	}
}

func minutes(duration, step float64) *v1alpha1.PrometheusRange {
	d := func(m float64) metav1.Duration {
		return metav1.Duration{Duration: time.Duration(m * float64(time.Minute))}
	}
	return &v1alpha1.PrometheusRange{Duration: d(duration), Step: d(step)}
}

func success(kind string, results ...string) string {
	list := "[" + strings.Join(results, ",") + "]"
	if kind == "scalar" || kind == "string" {
		list = results[0]
	}
	return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, list)
}

func sample(v string) string {
	return fmt.Sprintf(`{"metric":{"pod":"a"},"value":[1893553445.123,%q]}`, v)
}

func samples(values ...string) string {
	points := make([]string, len(values))
	for i, v := range values {
		points[i] = fmt.Sprintf(`[%d,%q]`, 1893553445+i, v)
	}
	return `{"metric":{},"values":[` + strings.Join(points, ",") + `]}`
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit(nil)) }

func TestInstant(t *testing.T) {
	metrictest.Table(t, kit(nil), []metrictest.Case{
		{Name: "one series", Body: success("vector", sample("1e-3")), Want: []float64{0.001}},
		{Name: "several", Body: success("vector", sample("1"), sample("2.5")), Want: []float64{1, 2.5}},
		{Name: "scalar", Body: success("scalar", `[1893553445,"42"]`), Want: []float64{42}},
		{Name: "selector of a range", Body: success("matrix", samples("1", "2")), Err: "set prometheus.range"},
		{Name: "none", Body: success("vector"), Want: []float64{}},
		{Name: "NaN", Body: success("vector", sample("NaN")), Err: "NaN", NoData: true},
		{Name: "one of several is NaN", Body: success("vector", sample("1"), sample("NaN")), Err: "NaN", NoData: true},
		{Name: "infinite", Body: success("vector", sample("+Inf")), Err: "infinite", NoData: true},
		{Name: "negative infinite scalar", Body: success("scalar", `[1,"-Inf"]`), Err: "infinite", NoData: true},
		{Name: "text", Body: success("string", `[1,"WORDS-OF-THE-SERVER"]`), Err: "gives a text"},
		{Name: "histogram", Body: success("vector", `{"metric":{},"histogram":[1,{"count":"1"}]}`), Err: "histogram_quantile"},
		{Name: "number that is none", Body: success("vector", sample("WORDS-OF-THE-SERVER")), Err: "no number"},
		{Name: "number that is no text", Body: success("vector", `{"value":[1,2]}`), Err: "has not the form"},
		{Name: "unknown kind", Body: success("tensor"), Err: "has not the form"},
		{
			Name: "warnings", Want: []float64{1}, Note: "1 warning",
			Body: strings.Replace(success("vector", sample("1")), `"success"`, `"success","warnings":["WORDS-OF-THE-SERVER"]`, 1),
		},
		{
			Name: "bad query", Status: 400, Err: "400 Bad Request (bad_data: prometheus.query is not valid PromQL",
			Body: `{"status":"error","errorType":"bad_data","error":"WORDS-OF-THE-SERVER"}`,
		},
		{
			Name: "execution", Status: 422, Err: "execution: prometheus.query is valid",
			Body: `{"status":"error","errorType":"execution","error":"WORDS-OF-THE-SERVER"}`,
		},
		{
			Name: "error with 200", Err: "could not answer (a code that Sluice does not know)",
			Body: `{"status":"error","errorType":"WORDS-OF-THE-SERVER","data":{"resultType":"vector","result":[{"value":[1,"1"]}]}}`,
		},
		{Name: "proxy", Status: 502, Body: "<html>WORDS-OF-THE-SERVER", Err: "502 Bad Gateway"},
	})
}

// TestFaultB12OneSeriesIsAListAsWell: the same condition can be evaluated whatever number of pods has been scraped.
func TestFaultB12OneSeriesIsAListAsWell(t *testing.T) {
	condition, err := metric.Compile(metric.ShapeOf(v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{}}), "result.all(x, x < 5.0)", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{success("vector", sample("1")), success("vector", sample("1"), sample("2")), success("scalar", `[1,"1"]`)} {
		r, err := kit(nil).Measure(t, metrictest.Answers(http.StatusOK, body))
		if err != nil {
			t.Fatal(err)
		}
		if phase, why := condition.Judge(r.Value, r.Status); phase != v1alpha1.AnalysisSuccessful {
			t.Errorf("%s: %s (%s)", body, phase, why)
		}
	}
}

// byLabel asks for the series by a label.
type byLabel struct {
	metric.Source
	label string
}

func (s byLabel) Measure(ctx context.Context, q metric.Query) (metric.Result, error) {
	q.By = s.label
	return s.Source.Measure(ctx, q)
}

func TestByLabel(t *testing.T) {
	k := kit(nil)
	k.Source = byLabel{k.Source, "le"}
	bucket := func(le, v string) string {
		return fmt.Sprintf(`{"metric":{"le":%q,"pod":"a"},"value":[1893553445.123,%q]}`, le, v)
	}
	metrictest.Table(t, k, []metrictest.Case{
		{Name: "several", Body: success("vector", bucket("0.1", "7"), bucket("+Inf", "9")), Want: map[string]any{"0.1": 7.0, "+Inf": 9.0}},
		{Name: "one", Body: success("vector", bucket("+Inf", "9")), Want: map[string]any{"+Inf": 9.0}},
		{Name: "none", Body: success("vector"), Err: "finds no series", NoData: true},
		{Name: "without the label", Body: success("vector", sample("1")), Err: "without the label le; group by it, as sum by (le) (...)"},
		{Name: "one of several without", Body: success("vector", bucket("0.1", "7"), sample("1")), Err: "without the label le"},
		{Name: "twice", Body: success("vector", bucket("0.1", "7"), bucket("0.1", "7")), Err: "several series with the same label le; sum them up"},
		{Name: "NaN", Body: success("vector", bucket("0.1", "NaN")), Err: "NaN", NoData: true},
		{Name: "scalar", Body: success("scalar", `[1,"42"]`), Err: "no series of now with the label le"},
		{Name: "over a time", Body: success("matrix", samples("1")), Err: "set no range"},
		{Name: "native histogram", Body: success("vector", `{"metric":{},"histogram":[1,{"count":"1"}]}`), Err: "native histogram"},
		{Name: "no value", Body: success("vector", `{"metric":{"le":"1"}}`), Err: "has not the form"},
		{Name: "nonsense", Body: success("vector", `{"metric":{"le":1},"value":[1,"1"]}`), Err: "has not the form"},
	})
}

func TestRange(t *testing.T) {
	metrictest.Table(t, kit(minutes(5, 1)), []metrictest.Case{
		{Name: "one series", Body: success("matrix", samples("1", "2", "3")), Want: []float64{1, 2, 3}},
		{Name: "one value is a list as well", Body: success("matrix", samples("1")), Want: []float64{1}},
		{Name: "several", Body: success("matrix", samples("1"), samples("2")), Err: "finds 2 series"},
		{Name: "none", Body: success("matrix"), Err: "finds no series", NoData: true},
		{Name: "no values", Body: success("matrix", samples()), Err: "finds no series", NoData: true},
		{Name: "NaN among them", Body: success("matrix", samples("1", "NaN")), Err: "NaN", NoData: true},
		{Name: "histograms", Body: success("matrix", `{"metric":{},"histograms":[[1,{}]]}`), Err: "histogram_quantile"},
	})
}

// recorded is what the server is asked, as a form.
func recorded(t *testing.T, k metrictest.Kit, post bool, address string, q metric.Query) (path string, form url.Values, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !post {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		path, form = r.URL.Path, r.Form
		k.Good(w, r)
	}))
	defer s.Close()
	if q.Prometheus != "" {
		q.Prometheus = s.URL + address
	} else {
		q.Provider.Prometheus.Address = s.URL + address
	}
	_, err = k.Source.Measure(t.Context(), q)
	return path, form, err
}

func TestQuestion(t *testing.T) {
	for name, c := range map[string]struct {
		r         *v1alpha1.PrometheusRange
		post, own bool
		address   string
		path      string
		want      url.Values
	}{
		"instant": {post: true, path: "/api/v1/query", want: url.Values{"query": {"up"}, "time": {"2030-01-02T03:04:05Z"}}},
		"below a path": {
			post: true, address: "/thanos/?dedup=true", path: "/thanos/api/v1/query",
			want: url.Values{"query": {"up"}, "time": {"2030-01-02T03:04:05Z"}, "dedup": {"true"}},
		},
		"the installation's own": {post: true, own: true, path: "/api/v1/query", want: url.Values{"query": {"up"}, "time": {"2030-01-02T03:04:05Z"}}},
		"a server without POST":  {path: "/api/v1/query", want: url.Values{"query": {"up"}, "time": {"2030-01-02T03:04:05Z"}}},
		"range": {
			r: minutes(10, 0.5), post: true, path: "/api/v1/query_range",
			want: url.Values{"query": {"up"}, "start": {"2030-01-02T02:54:05Z"}, "end": {"2030-01-02T03:04:05Z"}, "step": {"30"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := kit(c.r)
			q := k.Query(t, "", nil, nil)
			if c.own {
				q.Prometheus = "own"
			}
			path, form, err := recorded(t, k, c.post, c.address, q)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, form); d != "" || path != c.path {
				t.Errorf("asked %s (-want +got):\n%s", path, d)
			}
		})
	}
}

func TestRefusedBeforeAsking(t *testing.T) {
	for want, c := range map[string]struct {
		address string
		r       *v1alpha1.PrometheusRange
	}{
		"names no Prometheus":                   {},
		"more than the 11000 values":            {address: "http://127.0.0.1:9", r: minutes(1440, 1.0/60)},
		"prometheus.range: set duration":        {address: "http://127.0.0.1:9", r: minutes(0, 1)},
		"prometheus.address: is no URL":         {address: "prometheus:9090x"},
		"prometheus.address: only http and htt": {address: "gopher://prometheus"},
	} {
		k := kit(c.r)
		_, err := k.Source.Measure(t.Context(), k.Query(t, c.address, nil, nil))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, not %q", err, want)
		}
	}
}
