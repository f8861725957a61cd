package analysis

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// FuzzStatus: whatever somebody has written into the status of a run, the evidence of a comparison among it, nothing
// panics, the run has an end, and without a good measurement that is no success.
func FuzzStatus(f *testing.F) {
	for _, status := range []string{
		`{}`, `{"phase":"Nonsense","startedAt":"9999-12-31T23:59:59Z"}`, `{"startedAt":"0001-01-01T00:00:00Z","metrics":[]}`,
		`{"metrics":[{"name":"errors","phase":"Running","errors":-2147483648,"consecutiveErrors":2147483647,"lastAt":"9999-12-31T23:59:59.000000Z"}]}`,
		`{"metrics":[{"name":"errors","failed":2147483647,"inconclusive":-1},{"name":"errors"},{"name":"other","phase":"Failed"},{"name":""}]}`,
		`{"metrics":[{"name":"rate","evidence":"{"}]}`, `{"metrics":[{"name":"rate","evidence":"null"}]}`, `{"metrics":[{"name":"rate","evidence":"[]"}]}`,
		`{"metrics":[{"name":"rate","evidence":"{\"rate\":null,\"read\":{\"Canary\":{\"Bad\":-1e308,\"Total\":1e308}}}"}]}`,
		`{"metrics":[{"name":"rate","evidence":"{\"read\":{}}","measurements":[{"at":"2026-01-01T00:00:00Z","phase":"","value":"\u0000"}]}]}`,
		`{"metrics":[{"name":"slower","evidence":"{\"quantile\":{\"threshold\":\"0.5\",\"rate\":{}},\"read\":{\"canary\":{\"buckets\":{\"0.5\":-1,\"+Inf\":1e308}},\"stable\":{}}}"}]}`,
		`{"metrics":[{"name":"slower","evidence":"{\"quantile\":{\"threshold\":\"NaN\",\"learnt\":[{\"le\":\"x\",\"count\":-1}]},\"read\":{\"canary\":{\"buckets\":null}}}"}]}`,
		`{"message":"\u202e","metrics":[{"name":"rate","phase":"Successful","successful":-5,"consecutiveSuccesses":2147483647}]}`,
	} {
		f.Add([]byte(status), `{"rate": 0}`)
		f.Add([]byte(status), `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}`)
		f.Add([]byte(status), `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"le":"0.5"},"value":[1,"7"]},{"metric":{"le":"+Inf"},"value":[1,"9"]}]}}`)
	}
	half, err := v1alpha1.NewDecimal("0.5")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status []byte, answer string) {
		var s v1alpha1.AnalysisRunStatus
		if json.Unmarshal(status, &s) != nil || s.FinishedAt != nil {
			return
		}
		url, _ := server(t, func(int) string { return answer })
		b := newBench(t, asks(url, func(m *v1alpha1.Metric) { m.Count = ptr.To(int32(2)) }), v1alpha1.Metric{
			Name: "rate", Interval: &metav1.Duration{Duration: 10 * time.Second}, Count: ptr.To(int32(2)),
			Compare:  &v1alpha1.Comparison{Bad: "bad"},
			Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Address: url, Query: "all"}},
		}, v1alpha1.Metric{
			Name: "slower", Interval: &metav1.Duration{Duration: 10 * time.Second}, Count: ptr.To(int32(2)),
			Compare:  &v1alpha1.Comparison{Quantile: &half},
			Provider: v1alpha1.MetricProvider{Prometheus: &v1alpha1.PrometheusProvider{Address: url, Query: "buckets"}},
		})
		run := b.run()
		run.Status = s
		if err := b.store.Status().Update(t.Context(), run); err != nil {
			return
		}
		for range 12 {
			if b.after(10*time.Second).Status.FinishedAt != nil {
				return
			}
		}
		b.releaseIs(v1alpha1.ReleaseAborting)
		if run := b.look(); run.Status.FinishedAt == nil {
			t.Errorf("it goes on though its release has ended: %+v", run.Status)
		}
	})
}
