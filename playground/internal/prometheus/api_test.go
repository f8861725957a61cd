package prometheus

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
)

// begin is the moment of the first sample, now that of the request.
var (
	begin = time.Unix(1_700_000_000, 0)
	now   = begin.Add(60 * time.Second)
)

// sampled is a database with one minute of a counter for each of two Services: shop
// answers ten requests a second, shop-canary two, every fourth of which fails.
func sampled(t *testing.T) *tsdb.DB {
	t.Helper()
	db, err := openStorage(Options{Dir: t.TempDir(), Ephemeral: true, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	a := db.Appender(t.Context())
	for second := range 61 {
		for _, s := range []struct {
			service, class string
			rate           float64
		}{{"shop", "2xx", 10}, {"shop-canary", "2xx", 1.5}, {"shop-canary", "5xx", .5}} {
			set := labels.FromStrings("__name__", "requests_total", "service", s.service, "class", s.class)
			at := begin.Add(time.Duration(second) * time.Second).UnixMilli()
			if _, err := a.Append(0, set, at, s.rate*float64(second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
	return db
}

func testAPI(t *testing.T) http.Handler {
	t.Helper()
	a := newAPI(sampled(t), newEngine(Options{Interval: time.Second, Log: quiet}), func() map[string][]*scrape.Target { return nil })
	a.now = func() time.Time { return now }
	return a.handler()
}

// ask gives the code and the body of an answer. A path that begins with POST has its
// parameters in the body.
func ask(h http.Handler, path string) (int, string) {
	method, body := http.MethodGet, ""
	if rest, ok := strings.CutPrefix(path, "POST "); ok {
		method = http.MethodPost
		path, body, _ = strings.Cut(rest, "?")
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const successRate = `sum(rate(requests_total{service="shop-canary",class!="5xx"}[30s])) / sum(rate(requests_total{service="shop-canary"}[30s]))`

func TestAPIAnswers(t *testing.T) {
	h := testAPI(t)
	for name, test := range map[string]struct{ path, want string }{
		"a vector": {
			"/api/v1/query?query=" + url.QueryEscape(`requests_total{service="shop"}`),
			`{"status":"success","data":{"result":[{"metric":{"__name__":"requests_total","class":"2xx","service":"shop"},"value":[1700000060,"600"]}],"resultType":"vector"}}`,
		},
		"success rate": {
			"/api/v1/query?query=" + url.QueryEscape(successRate),
			`{"status":"success","data":{"result":[{"metric":{},"value":[1700000060,"0.75"]}],"resultType":"vector"}}`,
		},
		"in the body": {
			"POST /api/v1/query?query=" + url.QueryEscape(successRate),
			`{"status":"success","data":{"result":[{"metric":{},"value":[1700000060,"0.75"]}],"resultType":"vector"}}`,
		},
		"an earlier moment": {
			"/api/v1/query?time=1700000010.5&query=" + url.QueryEscape(`requests_total{service="shop"}`),
			`{"status":"success","data":{"result":[{"metric":{"__name__":"requests_total","class":"2xx","service":"shop"},"value":[1700000010.5,"100"]}],"resultType":"vector"}}`,
		},
		"a moment in words": {
			"/api/v1/query?time=2023-11-14T22:13:30Z&query=" + url.QueryEscape(`sum(requests_total)`),
			`{"status":"success","data":{"result":[{"metric":{},"value":[1700000010,"120"]}],"resultType":"vector"}}`,
		},
		"nothing":  {"/api/v1/query?query=absent_total", `{"status":"success","data":{"result":[],"resultType":"vector"}}`},
		"a scalar": {"/api/v1/query?query=1%2B1", `{"status":"success","data":{"result":[1700000060,"2"],"resultType":"scalar"}}`},
		"no number": {
			"/api/v1/query?query=0%2F0", `{"status":"success","data":{"result":[1700000060,"NaN"],"resultType":"scalar"}}`,
		},
		"cut short": {
			"/api/v1/query?limit=1&query=" + url.QueryEscape(`sort(sum by (service) (requests_total))`),
			`{"status":"success","data":{"result":[{"metric":{"service":"shop-canary"},"value":[1700000060,"120"]}],"resultType":"vector"},"warnings":["results truncated due to limit"]}`,
		},
		"a remark of the engine": {
			"/api/v1/query?query=" + url.QueryEscape(`quantile(2, requests_total{service="shop"})`),
			`{"status":"success","data":{"result":[{"metric":{},"value":[1700000060,"+Inf"]}],"resultType":"vector"},"warnings":["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]}`,
		},
		"a range": {
			"/api/v1/query_range?start=1700000030&end=1700000060&step=15s&query=" + url.QueryEscape(`sum by (service) (requests_total{service="shop"})`),
			`{"status":"success","data":{"result":[{"metric":{"service":"shop"},"values":[[1700000030,"300"],[1700000045,"450"],[1700000060,"600"]]}],"resultType":"matrix"}}`,
		},
		"series": {
			"/api/v1/series?match[]=requests_total{class=\"5xx\"}&match[]=" + url.QueryEscape(`{service="shop-canary",class="5xx"}`),
			`{"status":"success","data":[{"__name__":"requests_total","class":"5xx","service":"shop-canary"}]}`,
		},
		"no series then": {"/api/v1/series?end=1600000000&match[]=requests_total", `{"status":"success","data":[]}`},
		"label names":    {"/api/v1/labels", `{"status":"success","data":["__name__","class","service"]}`},
		"label values":   {"/api/v1/label/service/values", `{"status":"success","data":["shop","shop-canary"]}`},
		"label values of some": {
			"/api/v1/label/service/values?match[]=" + url.QueryEscape(`{class="5xx"}`), `{"status":"success","data":["shop-canary"]}`,
		},
		"targets": {"/api/v1/targets", `{"status":"success","data":{"activeTargets":[],"droppedTargets":[]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := ask(h, test.path)
			if diff := cmp.Diff(test.want, body); code != http.StatusOK || diff != "" {
				t.Errorf("code %d (-want +got):\n%s", code, diff)
			}
		})
	}
}

func TestAPIRefuses(t *testing.T) {
	h := testAPI(t)
	for name, test := range map[string]struct {
		path      string
		code      int
		kind, say string
	}{
		"no query":             {"/api/v1/query", 400, "bad_data", `invalid parameter "query"`},
		"bad query":            {"/api/v1/query?query=rate(x)", 400, "bad_data", "expected type range vector"},
		"bad time":             {"/api/v1/query?query=up&time=noon", 400, "bad_data", `cannot parse "noon" to a valid timestamp`},
		"bad timeout":          {"/api/v1/query?query=up&timeout=soon", 400, "bad_data", `invalid parameter "timeout"`},
		"bad limit":            {"/api/v1/query?query=up&limit=-1", 400, "bad_data", "limit must be non-negative"},
		"no time left":         {"/api/v1/query?query=up&timeout=0.000000001", 503, "timeout", "timed out"},
		"many to many":         {"/api/v1/query?query=" + url.QueryEscape(`requests_total * on () requests_total`), 422, "execution", "many-to-many"},
		"no start":             {"/api/v1/query_range?query=up&end=1&step=1", 400, "bad_data", `invalid parameter "start"`},
		"end before start":     {"/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "end timestamp must not be before start time"},
		"no step":              {"/api/v1/query_range?query=up&start=1&end=2", 400, "bad_data", `invalid parameter "step"`},
		"step of zero":         {"/api/v1/query_range?query=up&start=1&end=2&step=0", 400, "bad_data", "zero or negative"},
		"too many points":      {"/api/v1/query_range?query=up&start=0&end=12000&step=1", 400, "bad_data", "11,000 points"},
		"series of everything": {"/api/v1/series", 400, "bad_data", "no match[] parameter"},
		"selector of all":      {"/api/v1/series?match[]=" + url.QueryEscape(`{service=~".*"}`), 400, "bad_data", "match[]"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := ask(h, test.path)
			var r response
			if err := json.Unmarshal([]byte(body), &r); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if code != test.code || r.Status != "error" || r.ErrorType != test.kind || !strings.Contains(r.Error, test.say) {
				t.Errorf("got %d %s, want %d %s ... %s", code, body, test.code, test.kind, test.say)
			}
		})
	}
}

func TestPeopleAreToldWhatThereIs(t *testing.T) {
	h := testAPI(t)
	for path, want := range map[string]string{"/": "/api/v1/query?query=up", "/-/ready": "Ready", "/-/healthy": "Healthy"} {
		if code, body := ask(h, path); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code, _ := ask(h, "/graph"); code != http.StatusNotFound {
		t.Errorf("/graph: %d", code)
	}
}
