package http_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	source "github.com/sluice-dev/sluice/internal/metric/http"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
)

func kit(p v1alpha1.HTTPProvider) metrictest.Kit {
	return metrictest.Kit{
		Source: source.New(), Connection: true,
		Provider: func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider {
			p := p
			p.URL, p.Connection = address, c
			return v1alpha1.MetricProvider{HTTP: &p}
		},
		Good: metrictest.Answers(http.StatusOK, `{"ok": true, "rate": 1}`),
		Want: map[string]any{"ok": true, "rate": 1.0},
	}
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit(v1alpha1.HTTPProvider{})) }

func TestBody(t *testing.T) {
	metrictest.Table(t, kit(v1alpha1.HTTPProvider{}), []metrictest.Case{
		{Name: "number", Body: "3", Want: 3.0},
		{Name: "large number", Body: "123456789012345678901234567890", Want: 1.2345678901234568e29},
		{Name: "text", Body: `"NaN"`, Want: "NaN"},
		{Name: "list", Body: `[1, "a", {"b": [2]}]`, Want: []any{1.0, "a", map[string]any{"b": []any{2.0}}}},
		{Name: "null", Body: "null", Err: "null", NoData: true},
		{Name: "number without bounds", Body: "[1e999]", Err: "no number"},
		{Name: "two values", Body: "1 2", Err: "not JSON"},
		{Name: "page", Body: "<html>WORDS-OF-THE-SERVER", Err: "not JSON"},
		{Name: "status", Status: 503, Body: `{"ok": false}`, Err: "503 Service Unavailable"},
	})
}

const document = `{"data": {"ok": 3, "none": null, "items": [{"n": "a", "v": 1}, {"n": "b", "v": 2.5, "on": true}], "a.b": 7}, "list": [4, 5, 6]}`

func TestPath(t *testing.T) {
	none := metrictest.Case{Err: "finds nothing", NoData: true}
	emptyList := metrictest.Case{Want: []any{}} // A path that may find several things gives a list of none as well.
	for _, c := range []struct {
		path string
		metrictest.Case
	}{
		{"{.data.ok}", metrictest.Case{Want: 3.0}},
		{"{$.data.ok}", metrictest.Case{Want: 3.0}},
		{"{@.data.ok}", metrictest.Case{Want: 3.0}},
		{"{.data['a\\.b']}", metrictest.Case{Want: 7.0}},
		{"{.list[0]}", metrictest.Case{Want: 4.0}},
		{"{.list[-1]}", metrictest.Case{Want: 6.0}},
		{"{.list}", metrictest.Case{Want: []any{4.0, 5.0, 6.0}}},
		{"{.list[*]}", metrictest.Case{Want: []any{4.0, 5.0, 6.0}}},
		{"{.list[0:2]}", metrictest.Case{Want: []any{4.0, 5.0}}},
		{"{.list[0:1]}", metrictest.Case{Want: []any{4.0}}},
		{"{.list[-2:]}", metrictest.Case{Want: []any{5.0, 6.0}}},
		{"{.list[::2]}", metrictest.Case{Want: []any{4.0, 6.0}}},
		{"{.list[0:99]}", metrictest.Case{Want: []any{4.0, 5.0, 6.0}}},
		{"{.list[2:1]}", emptyList},
		{"{.list[0,2]}", metrictest.Case{Want: []any{4.0, 6.0}}},
		{"{.data['ok','a\\.b']}", metrictest.Case{Want: []any{3.0, 7.0}}},
		{"{.data.items[*].v}", metrictest.Case{Want: []any{1.0, 2.5}}},
		{"{.data.items[0].*}", metrictest.Case{Want: []any{"a", 1.0}}},
		{"{..v}", metrictest.Case{Want: []any{1.0, 2.5}}},
		{`{.data.items[?(@.n=="b")].v}`, metrictest.Case{Want: []any{2.5}}},
		{`{.data.items[?(@.v==1)].n}`, metrictest.Case{Want: []any{"a"}}},
		{`{.data.items[?(@.v>=1.5)].n}`, metrictest.Case{Want: []any{"b"}}},
		{`{.data.items[?(@.v!=1)].n}`, metrictest.Case{Want: []any{"b"}}},
		{`{.data.items[?(@.n<"b")].n}`, metrictest.Case{Want: []any{"a"}}},
		{`{.data.items[?(@.on==true)].n}`, metrictest.Case{Want: []any{"b"}}},
		{`{.data.items[?(@.on)].n}`, metrictest.Case{Want: []any{"b"}}},
		{`{.list[?(@>4)]}`, metrictest.Case{Want: []any{5.0, 6.0}}},
		{"{.data.missing}", none},
		{"{.data.missing.deeper}", none},
		{"{.data.ok.deeper}", none},
		{"{.data.none}", metrictest.Case{Err: "null", NoData: true}},
		{`{.data.items[?(@.n=="c")].v}`, emptyList},
		{"{.list[9]}", none},
		{"{.list[-9]}", none},
		{"{.data[0]}", none},
		{`{.data[?(@.a)]}`, emptyList},
		{`{.data.items[?(@.n>1)].v}`, metrictest.Case{Err: "compares values of different kinds"}},
		{`{.data.items[?(@.on>true)].v}`, metrictest.Case{Err: "compares values of different kinds"}},
		{`{.data.items[?(@.*==1)].v}`, metrictest.Case{Err: "compares several values"}},
		{"{.data.ok", metrictest.Case{Err: "http.jsonPath: unclosed"}},
		{".data.ok", metrictest.Case{Err: "one path in braces"}},
		{"{.a}{.b}", metrictest.Case{Err: "one path in braces"}},
		{"{range .list[*]}{@}{end}", metrictest.Case{Err: "one path in braces"}},
		{"{range .list}", metrictest.Case{Err: "not supported here"}},
		{`{"text"}`, metrictest.Case{Err: "not supported here"}},
		{"{.list[::0]}", metrictest.Case{Err: "step"}},
	} {
		t.Run(c.path, func(t *testing.T) {
			k := kit(v1alpha1.HTTPProvider{JSONPath: c.path})
			r, err := k.Measure(t, metrictest.Answers(http.StatusOK, document))
			metrictest.Check(t, c.Case, r, err)
		})
	}
}

// The controller does this for all its tenants: no path over no document may take long.
func TestPathIsBounded(t *testing.T) {
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	wide := "[" + strings.Repeat("[0],", 200_000) + "[0]]"
	for path, bounded := range map[string]string{
		"{[*][*]}": "", "{[?(@[0]==0)]}": "",
		"{..[0]}":                                     deep,
		"{..[*]..[*]..[*]}":                           deep,
		"{" + strings.Repeat("[0,0]", 100) + "}":      deep,
		"{[*]" + strings.Repeat("[0,0,0,0]", 4) + "}": wide,
		"{..[?(@..a)]}":                               deep,
	} {
		for _, doc := range []string{deep, wide} {
			_, err := kit(v1alpha1.HTTPProvider{JSONPath: path}).Measure(t, metrictest.Answers(http.StatusOK, doc))
			if tooMuch := err != nil && strings.Contains(err.Error(), "too many steps"); doc == bounded && !tooMuch {
				t.Errorf("%.40s over %.10s: error is %v", path, doc, err)
			}
		}
	}
}

func TestAcceptStatus(t *testing.T) {
	nothing := func(status int) any {
		return metric.Absent{Why: fmt.Sprintf("the answer, of status %d, has no value", status)}
	}
	for _, c := range []struct {
		path   string
		status int
		metrictest.Case
	}{
		{"", 503, metrictest.Case{Body: `{"ok": false}`, Want: map[string]any{"ok": false}}},
		{"", 503, metrictest.Case{Body: "WORDS-OF-THE-SERVER", Want: nothing(503)}},
		{"", 200, metrictest.Case{Body: "ok", Want: nothing(200)}},
		{"", 204, metrictest.Case{Body: "", Want: nothing(204)}},
		{"{.ok}", 200, metrictest.Case{Body: `{"ok": 1}`, Want: 1.0}},
		{"{.ok}", 503, metrictest.Case{Body: "", Want: nothing(503)}},
		{"{.ok}", 503, metrictest.Case{Body: `{"other": 1}`, Want: nothing(503)}},
		{"{.ok}", 200, metrictest.Case{Body: `{"other": 1}`, Err: "finds nothing", NoData: true}},
		{"{.ok}", 200, metrictest.Case{Body: "ok", Err: "not JSON"}},
	} {
		t.Run(fmt.Sprint(c.path, c.status, c.Body), func(t *testing.T) {
			r, err := kit(v1alpha1.HTTPProvider{AcceptStatus: true, JSONPath: c.path}).Measure(t, metrictest.Answers(c.status, c.Body))
			metrictest.Check(t, c.Case, r, err)
			if err == nil && r.Status != c.status {
				t.Errorf("status is %d, not %d", r.Status, c.status)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		p    v1alpha1.HTTPProvider
		want string
	}{
		{v1alpha1.HTTPProvider{}, "GET   sluice"},
		{v1alpha1.HTTPProvider{Method: "POST", Body: `{"q": 1}`}, `POST application/json {"q": 1} sluice`},
		{v1alpha1.HTTPProvider{Method: "PUT", Body: "x"}, "PUT application/json x sluice"},
	} {
		r, err := kit(c.p).Measure(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "%q", fmt.Sprint(r.Method, " ", r.Header.Get("Content-Type"), " ", string(body), " ", r.UserAgent()))
		})
		metrictest.Check(t, metrictest.Case{Want: c.want}, r, err)
	}
}

// A server that sends back what it was sent gives a value, but none with secrets in it.
func TestEchoIsScrubbed(t *testing.T) {
	k := kit(v1alpha1.HTTPProvider{})
	k.Secrets = metrictest.Secrets{"s": {"token": "top-secret-token"}}
	k.Provider = func(address string, _ *v1alpha1.Connection) v1alpha1.MetricProvider {
		return v1alpha1.MetricProvider{HTTP: &v1alpha1.HTTPProvider{URL: address, Connection: &v1alpha1.Connection{
			BearerToken: &v1alpha1.SecretKeyReference{Name: "s", Key: "token"},
		}}}
	}
	r, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"auth": [%q], "x%s": 1}`, r.Header.Get("Authorization"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	})
	metrictest.Check(t, metrictest.Case{Want: map[string]any{"auth": []any{"Bearer (secret)"}, "x(secret)": 1.0}}, r, err)
}
