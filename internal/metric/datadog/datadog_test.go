package datadog_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric/datadog"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
)

func kit(window time.Duration) metrictest.Kit {
	return metrictest.Kit{
		Source: datadog.New(),
		Provider: func(address string, _ *v1alpha1.Connection) v1alpha1.MetricProvider {
			p := &v1alpha1.DatadogProvider{Address: address, Query: "avg:errors{*}", Secret: v1alpha1.SecretReference{Name: "datadog"}}
			if window > 0 {
				p.Window = &metav1.Duration{Duration: window}
			}
			return v1alpha1.MetricProvider{Datadog: p}
		},
		Secrets: metrictest.Secrets{"datadog": {"api-key": "the-api-key", "app-key": "the-app-key"}},
		Good:    metrictest.Answers(http.StatusOK, `{"status":"ok","series":[{"pointlist":[[1893553400000,1],[1893553420000,0.5],[1893553440000,null]]}]}`),
		Want:    0.5,
	}
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit(0)) }

func TestAnswer(t *testing.T) {
	metrictest.Table(t, kit(0), []metrictest.Case{
		{Name: "the last", Body: `{"status":"ok","res_type":"time_series","series":[{"pointlist":[[1,1.0],[2,7]]}]}`, Want: 7.0},
		{Name: "no series", Body: `{"status":"ok","series":[]}`, Err: "no series", NoData: true},
		{Name: "no points", Body: `{"status":"ok","series":[{"pointlist":[]}]}`, Err: "no value", NoData: true},
		{Name: "only nulls", Body: `{"status":"ok","series":[{"pointlist":[[1,null],[2,null]]}]}`, Err: "no value", NoData: true},
		{Name: "several", Body: `{"status":"ok","series":[{"pointlist":[[1,1]]},{"pointlist":[[1,2]]}]}`, Err: "finds 2 series"},
		{Name: "error with 200", Body: `{"status":"error","error":"WORDS-OF-THE-SERVER","series":[{"pointlist":[[1,1]]}]}`, Err: "could not answer"},
		{Name: "error beside ok", Body: `{"status":"ok","error":"WORDS-OF-THE-SERVER","series":[{"pointlist":[[1,1]]}]}`, Err: "could not answer"},
		{Name: "keys", Status: 403, Body: `{"errors":["WORDS-OF-THE-SERVER"]}`, Err: "403 Forbidden; look at the credentials"},
		{Name: "too often", Status: 429, Body: `{}`, Err: "make the interval longer"},
		{Name: "text for a number", Body: `{"status":"ok","series":[{"pointlist":[[1,"1"]]}]}`, Err: "not that of Datadog"},
	})
}

func TestQuestion(t *testing.T) {
	for window, from := range map[time.Duration]string{0: "1893553145", time.Hour: "1893549845"} {
		k := kit(window)
		_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
			want := url.Values{"query": {"avg:errors{*}"}, "from": {from}, "to": {"1893553445"}}
			if d := cmp.Diff(want, r.URL.Query()); d != "" || r.Method != http.MethodGet || r.URL.Path != "/api/v1/query" {
				t.Errorf("%s %s (-want +got):\n%s", r.Method, r.URL.Path, d)
			}
			if r.Header.Get("DD-API-KEY") != "the-api-key" || r.Header.Get("DD-APPLICATION-KEY") != "the-app-key" {
				t.Errorf("keys are %v", r.Header)
			}
			k.Good(w, r)
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// The site is a part of a host's name and may not become another host's.
func TestSite(t *testing.T) {
	for site, want := range map[string]string{
		"":                 "ask api.datadoghq.com: the host is not allowed",
		"datadoghq.eu":     "ask api.datadoghq.eu: the host is not allowed",
		"evil.example/x":   "is no name of a site",
		"@evil.example":    "is no name of a site",
		"a:80@evil.exampl": "is no name of a site",
	} {
		k := kit(0)
		q := k.Query(t, "", nil, nil)
		q.Provider.Datadog.Site = site
		_, err := k.Source.Measure(t.Context(), q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("site %q: error is %v, not %q", site, err, want)
		}
	}
}
