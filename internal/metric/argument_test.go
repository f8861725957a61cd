package metric

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func TestSubstitute(t *testing.T) {
	in := v1alpha1.Metric{
		Name: "errors", Interval: &metav1.Duration{Duration: time.Minute}, SuccessCondition: "result < {{args.limit}}", FailureCondition: "result > {{ args.limit }}",
		Provider: v1alpha1.MetricProvider{
			Prometheus: &v1alpha1.PrometheusProvider{
				Address: "http://{{args.host}}:9090", Query: `rate(errors{pod=~"{{workload}}-{{canaryHash}}.*"}[1m])`,
				Connection: &v1alpha1.Connection{Headers: []v1alpha1.RequestHeader{{Name: "X-Scope-OrgID", Value: "{{namespace}}"}}},
			},
			Plugin: &v1alpha1.PluginProvider{URL: "http://plugin", Config: map[string]v1alpha1.ConfigValue{"k": "{{args.quote}}"}},
			Job:    &v1alpha1.JobProvider{Containers: []v1alpha1.JobContainer{{Name: "c", Args: []string{"--step={{step}}", "{single}", "}}"}}}},
		},
	}
	values := map[string]string{
		"args.limit": "0.05", "args.host": "prometheus", "workload": "web", "canaryHash": "abc", "namespace": "shop", "step": "1",
		"args.quote": `"{{namespace}}` + "\n\\", // stays as it is, and is not looked into
	}
	want := *in.DeepCopy()
	want.SuccessCondition, want.FailureCondition = "result < 0.05", "result > 0.05"
	want.Provider.Prometheus.Address = "http://prometheus:9090"
	want.Provider.Prometheus.Query = `rate(errors{pod=~"web-abc.*"}[1m])`
	want.Provider.Prometheus.Connection.Headers[0].Value = "shop"
	want.Provider.Plugin.Config["k"] = `"{{namespace}}` + "\n\\"
	want.Provider.Job.Containers[0].Args[0] = "--step=1"
	before := in.DeepCopy()
	got, err := Substitute(in, values)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(*before, in); d != "" {
		t.Errorf("the template has changed:\n%s", d)
	}
}

func TestSubstituteFaults(t *testing.T) {
	values := map[string]string{"args.b": "1", "args.a": "2", "rollout": "web"}
	for text, want := range map[string]string{
		"{{args.c}}":                           "metric m: provider.http.connection.headers[1].value: {{args.c}} is not known; there are args.a, args.b, rollout",
		"{{args.a":                             "metric m: provider.http.connection.headers[1].value: {{ is not closed with }}",
		"{{}}":                                 "{{}} is not known",
		"{{a {{args.a}}":                       "{{a {{args.a}} is not known",
		"{{" + strings.Repeat("x", 500) + "}}": "x...}} is not known",
	} {
		m := v1alpha1.Metric{Name: "m", Provider: v1alpha1.MetricProvider{HTTP: &v1alpha1.HTTPProvider{
			URL: "{{args.a}}", Connection: &v1alpha1.Connection{Headers: []v1alpha1.RequestHeader{{Name: "a"}, {Name: "b", Value: text}}},
		}}}
		_, err := Substitute(m, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, not %q", err, want)
		}
	}
}
