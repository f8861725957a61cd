package influxdb_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric/influxdb"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
)

func kit() metrictest.Kit {
	return metrictest.Kit{
		Source: influxdb.New(), Connection: true,
		Provider: func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider {
			return v1alpha1.MetricProvider{InfluxDB: &v1alpha1.InfluxDBProvider{
				Address: address, Org: "my org", Query: `from(bucket: "b")`, Connection: c,
				Token: &v1alpha1.SecretKeyReference{Name: "influx", Key: "token"},
			}}
		},
		Secrets: metrictest.Secrets{"influx": {"token": "the-influx-token"}},
		Good:    metrictest.Answers(http.StatusOK, rows("double", "_result,0,2030-01-02T03:03:00Z,0.5", "_result,0,2030-01-02T03:04:00Z,0.25")),
		Want:    0.25,
	}
}

// rows is annotated CSV as InfluxDB writes it, with CRLF and an empty line at the end.
func rows(kind string, records ...string) string {
	out := []string{"#datatype,string,long,dateTime:RFC3339," + kind, "#default,_result,,,", ",result,table,_time,_value"}
	for _, r := range records {
		out = append(out, ","+r)
	}
	return strings.Join(out, "\r\n") + "\r\n\r\n"
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit()) }

func TestAnswer(t *testing.T) {
	one := rows("double", ",0,t,1")
	metrictest.Table(t, kit(), []metrictest.Case{
		{Name: "result by default", Body: one, Want: 1.0},
		{Name: "whole number", Body: rows("long", ",0,t,7"), Want: 7.0},
		{Name: "unsigned", Body: rows("unsignedLong", ",0,t,18446744073709551615"), Want: 1.8446744073709552e19},
		{Name: "boolean", Body: rows("boolean", ",0,t,true"), Want: true},
		{Name: "text", Body: rows("string", `,0,t,"a, b"`), Want: "a, b"},
		{Name: "null at the end", Body: rows("double", ",0,t,3", ",0,t,"), Want: 3.0},
		{Name: "the same annotations again", Body: one + rows("double", ",0,t,2"), Want: 2.0},
		{Name: "only nulls", Body: rows("double", ",0,t,"), Err: "no value", NoData: true},
		{Name: "no rows", Body: rows("double"), Err: "no rows", NoData: true},
		{Name: "nothing", Body: "\r\n\r\n", Err: "no rows", NoData: true},
		{Name: "NaN", Body: rows("double", ",0,t,NaN"), Err: "NaN", NoData: true},
		{Name: "infinite", Body: rows("double", ",0,t,+Inf"), Err: "infinite", NoData: true},
		{Name: "several tables", Body: rows("double", ",0,t,1", ",1,t,2"), Err: "several tables"},
		{Name: "tables of two forms", Body: one + "#datatype,string,long,string\n#default,_result,,\n,result,table,_value\n,,1,x\n", Err: "several tables"},
		{Name: "two results", Body: rows("double", "a,0,t,1", "b,0,t,1"), Err: "several tables"},
		{Name: "no _value", Body: "#datatype,string,long,double\n,result,table,v\n,,0,1\n", Err: "without the column _value"},
		{Name: "time", Body: rows("dateTime:RFC3339", ",0,t,2030-01-02T03:04:00Z"), Err: "no number, text or boolean"},
		{Name: "error on the way", Body: one + "error,reference\nWORDS-OF-THE-SERVER,897\n", Err: "could not answer"},
		{Name: "error, annotated", Body: one + "#datatype,string,string\n#default,,\n,error,reference\n,WORDS-OF-THE-SERVER,\n", Err: "could not answer"},
		{Name: "short row", Body: rows("double", ",0,t"), Err: "not annotated CSV"},
		{Name: "no annotations", Body: ",result,table,_time,_value\n,,0,t,1\n", Err: "not annotated CSV"},
		{Name: "quotes that do not end", Body: rows("double", `,0,t,"1`), Err: "not annotated CSV"},
		{Name: "bad query", Status: 400, Body: `{"code":"invalid","message":"WORDS-OF-THE-SERVER"}`, Err: "may not be valid Flux"},
	})
}

func TestQuestion(t *testing.T) {
	k := kit()
	_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
		var got any
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		want := map[string]any{
			"query": `from(bucket: "b")`, "type": "flux", "now": "2030-01-02T03:04:05Z",
			"dialect": map[string]any{"header": true, "annotations": []any{"datatype", "default"}},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("body (-want +got):\n%s", d)
		}
		if r.Method != http.MethodPost || r.URL.String() != "/api/v2/query?org=my+org" || r.Header.Get("Authorization") != "Token the-influx-token" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		k.Good(w, r)
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTokenTwice(t *testing.T) {
	k := kit()
	c := &v1alpha1.Connection{BearerToken: &v1alpha1.SecretKeyReference{Name: "influx", Key: "token"}}
	_, err := k.Source.Measure(t.Context(), k.Query(t, "http://127.0.0.1:9", c, nil))
	if err == nil || err.Error() != "influxDB.token: Authorization is set twice" {
		t.Errorf("error is %v", err)
	}
}
