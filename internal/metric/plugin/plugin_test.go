package plugin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric/metrictest"
	"github.com/sluice-dev/sluice/internal/metric/plugin"
)

func kit(config map[string]v1alpha1.ConfigValue) metrictest.Kit {
	return metrictest.Kit{
		Source: plugin.New(), Connection: true,
		Provider: func(address string, c *v1alpha1.Connection) v1alpha1.MetricProvider {
			return v1alpha1.MetricProvider{Plugin: &v1alpha1.PluginProvider{URL: address, Config: config, Connection: c}}
		},
		Good: metrictest.Answers(http.StatusOK, `{"result": {"errors": 2}}`),
		Want: map[string]any{"errors": 2.0},
	}
}

func TestLaw(t *testing.T) { metrictest.Run(t, kit(nil)) }

func TestAnswer(t *testing.T) {
	metrictest.Table(t, kit(nil), []metrictest.Case{
		{Name: "number", Body: `{"result": 1}`, Want: 1.0},
		{Name: "false is a result", Body: `{"result": false}`, Want: false},
		{Name: "more fields", Body: `{"result": "ok", "took": 3, "error": ""}`, Want: "ok"},
		{Name: "error", Body: `{"error": "no such dashboard"}`, Err: "the plugin says: no such dashboard"},
		{Name: "error wins", Body: `{"error": "half of it", "result": 1}`, Err: "the plugin says: half of it"},
		{Name: "error on several lines", Body: `{"error": "a\nb\u001b[31m"}`, Err: "the plugin says: a b [31m"},
		{Name: "error that is no text", Body: `{"error": {"WORDS-OF-THE-SERVER": 1}}`, Err: "an error that is no text"},
		{Name: "neither", Body: `{}`, Err: "no result", NoData: true},
		{Name: "null", Body: `{"result": null}`, Err: "no result", NoData: true},
		{Name: "list", Body: `[1]`, Err: "the answer is not {"},
		{Name: "error with a status", Status: 500, Body: `{"error": "WORDS-OF-THE-SERVER"}`, Err: "500 Internal Server Error"},
	})
}

func TestLongErrorIsCut(t *testing.T) {
	_, err := kit(nil).Measure(t, metrictest.Answers(http.StatusOK, `{"error": "`+strings.Repeat("é", 5000)+`"}`))
	if err == nil || len(err.Error()) > 300 || !strings.HasSuffix(err.Error(), "é...") {
		t.Errorf("error is %v", err)
	}
}

// The plugin's words are for people, but not the secret that it was sent.
func TestErrorIsScrubbed(t *testing.T) {
	k := kit(nil)
	k.Secrets = metrictest.Secrets{"s": {"token": "top-secret-token"}}
	k.Provider = func(address string, _ *v1alpha1.Connection) v1alpha1.MetricProvider {
		return v1alpha1.MetricProvider{Plugin: &v1alpha1.PluginProvider{URL: address, Connection: &v1alpha1.Connection{
			BearerToken: &v1alpha1.SecretKeyReference{Name: "s", Key: "token"},
		}}}
	}
	_, err := k.Measure(t, metrictest.Answers(http.StatusOK, `{"error": "token top-secret-token is unknown"}`))
	if err == nil || !strings.Contains(err.Error(), "token (secret) is unknown") {
		t.Errorf("error is %v", err)
	}
}

func TestQuestion(t *testing.T) {
	for want, config := range map[string]map[string]v1alpha1.ConfigValue{
		`{"metric":"errors","config":{},"context":{"release":"web-1"}}`:            nil,
		`{"metric":"errors","config":{"board":"7"},"context":{"release":"web-1"}}`: {"board": "7"},
	} {
		k := kit(config)
		_, err := k.Measure(t, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(want, string(body)); d != "" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s (-want +got):\n%s", r.Method, d)
			}
			k.Good(w, r)
		})
		if err != nil {
			t.Error(err)
		}
	}
}
