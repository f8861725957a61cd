package skywalking_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
	"github.com/sluice-dev/sluice/internal/metric/skywalking"
)

func kit() metrictest.Kit {
	return metrictest.Kit{
		Source: skywalking.New(), Connection: true,
		Provider: func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider {
			return v1alpha1.MetricProvider{SkyWalking: &v1alpha1.SkyWalkingProvider{
				Address: address, Expression: "service_sla/100", Service: "web", Connection: c,
			}}
		},
		Good: oap(nil, "+0000", mqe("TIME_SERIES_VALUES", `"99"`, `"99.5"`, "null")),
		Want: 99.5,
	}
}

type question struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
}

// oap is a server: it tells its time zone, and gives the answer to an expression.
func oap(seen func(*http.Request, question), zone, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q question
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if strings.Contains(q.Query, "getTimeInfo") {
			fmt.Fprintf(w, `{"data":{"time":{"timezone":%q}}}`, zone)
			return
		}
		if seen != nil {
			seen(r, q)
		}
		fmt.Fprint(w, answer)
	}
}

func mqe(kind string, values ...string) string { return mqeOf(kind, series(values...)) }

func mqeOf(kind string, all ...string) string {
	return fmt.Sprintf(`{"data":{"answer":{"type":%q,"error":null,"results":[%s]}}}`, kind, strings.Join(all, ","))
}

func series(values ...string) string {
	for i, v := range values {
		values[i] = `{"value":` + v + `}`
	}
	return `{"values":[` + strings.Join(values, ",") + `]}`
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit()) }

func TestAnswer(t *testing.T) {
	k := kit()
	for _, c := range []metrictest.Case{
		{Name: "single value", Body: mqe("SINGLE_VALUE", `"42"`), Want: 42.0},
		{Name: "newest", Body: mqe("TIME_SERIES_VALUES", `"1"`, `"2"`), Want: 2.0},
		{Name: "only nulls", Body: mqe("TIME_SERIES_VALUES", "null", "null"), Err: "no value", NoData: true},
		{Name: "no values", Body: mqe("SINGLE_VALUE"), Err: "no value", NoData: true},
		{Name: "no series", Body: mqeOf("TIME_SERIES_VALUES"), Err: "gives nothing", NoData: true},
		{Name: "NaN", Body: mqe("SINGLE_VALUE", `"NaN"`), Err: "NaN", NoData: true},
		{Name: "several", Body: mqeOf("TIME_SERIES_VALUES", series(`"1"`), series(`"2"`)), Err: "gives 2 series"},
		{Name: "list", Body: mqe("SORTED_LIST", `"1"`), Err: "gives a list"},
		{Name: "records", Body: mqe("RECORD_LIST", `"1"`), Err: "gives a list"},
		{Name: "unknown", Body: mqe("UNKNOWN", `"1"`), Err: "is not understood"},
		{Name: "no number", Body: mqe("SINGLE_VALUE", `"WORDS-OF-THE-SERVER"`), Err: "no number"},
		{Name: "error", Body: `{"data":{"answer":{"type":"UNKNOWN","error":"WORDS-OF-THE-SERVER","results":[]}}}`, Err: "cannot evaluate"},
		{Name: "GraphQL error", Body: `{"errors":[{"message":"WORDS-OF-THE-SERVER"}],"data":null}`, Err: "9.5 or later"},
		{Name: "no answer", Body: `{"data":{}}`, Err: "not that of SkyWalking"},
	} {
		t.Run(c.Name, func(t *testing.T) {
			r, err := k.Measure(t, oap(nil, "+0000", c.Body))
			metrictest.Check(t, c, r, err)
		})
	}
}

// Times are the server's own.
func TestQuestion(t *testing.T) {
	for zone, want := range map[string][2]string{
		"+0000": {"2030-01-02 0259", "2030-01-02 0304"},
		"+0800": {"2030-01-02 1059", "2030-01-02 1104"},
		"-0330": {"2030-01-01 2329", "2030-01-01 2334"},
	} {
		asked := 0
		_, err := kit().Measure(t, oap(func(r *http.Request, q question) {
			asked++
			wanted := map[string]any{
				"expression": "service_sla/100",
				"entity":     map[string]any{"serviceName": "web", "normal": true},
				"duration":   map[string]any{"start": want[0], "end": want[1], "step": "MINUTE"},
			}
			if d := cmp.Diff(wanted, q.Variables); d != "" || r.Method != http.MethodPost || r.URL.Path != "/graphql" {
				t.Errorf("%s %s (-want +got):\n%s", r.Method, r.URL.Path, d)
			}
		}, zone, mqe("SINGLE_VALUE", `"1"`)))
		if err != nil || asked != 1 {
			t.Errorf("asked %d times, error %v", asked, err)
		}
	}
	for _, zone := range []string{"", "WORDS-OF-THE-SERVER"} {
		if _, err := kit().Measure(t, oap(nil, zone, mqe("SINGLE_VALUE", `"1"`))); err == nil {
			t.Errorf("the time zone %q is understood", zone)
		}
	}
}
