package deploy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

// This file has the schemas of what is measured, who must approve, and when releases may go on.

var (
	templates = v1alpha1.GroupVersion.WithResource("analysistemplates")
	runs      = v1alpha1.GroupVersion.WithResource("analysisruns")
	windows   = v1alpha1.GroupVersion.WithResource("releasewindows")
	notifiers = v1alpha1.GroupVersion.WithResource("notifiers")
)

// written is an object as somebody writes it, and parts of the refusal; none means that it is accepted.
type written struct {
	spec string
	want []string
}

// tryAll has the API server say yes or no to each.
func tryAll(t *testing.T, resource schema.GroupVersionResource, kind string, all map[string]written) {
	t.Helper()
	c := client(t, resource)
	options := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			object := parse(t, fmt.Sprintf("{apiVersion: sluice.dev/v1alpha1, kind: %s, metadata: {name: x}, spec: %s}", kind, test.spec))
			_, err := c.Create(t.Context(), object, options)
			wantRefusal(t, err, test.want)
		})
	}
}

// TestStepSchema: what is measured in a step, and who must approve.
func TestStepSchema(t *testing.T) {
	all := map[string]written{}
	for step, want := range map[string][]string{
		// As people write them.
		"analysis: {templates: [{name: smoke-test}]}":                                                                   nil,
		"analysis: {templates: [{name: smoke, scope: Cluster}, {name: more}], args: [{name: path, value: /}]}":          nil,
		"analysis: {builtin: success-rate, min: 99.5}":                                                                  nil,
		"analysis: {builtin: success-rate, min: 99}":                                                                    nil,
		"analysis: {builtin: success-rate, min: 99.5, interval: 10s, count: 3, failureLimit: 1}":                        nil,
		"analysis: {builtin: latency, max: 250}":                                                                        nil,
		"analysis: {builtin: latency, max: 0.25, quantile: 0.95}":                                                       nil,
		"analysis: {builtin: success-rate, min: 99.5, templates: [{name: smoke}]}":                                      nil,
		"approval: {required: 1, from: {groups: [sre]}, expiresAfter: 2h}":                                              nil,
		"approval: {required: 1, from: {users: [alice, bob], groups: [sre]}, expiresAfter: 1h, separationOfDuty: true}": nil,
		"approval: {from: {users: ['system:serviceaccount:shop:robot']}, remindAfter: 10m, commentRequired: true}":      nil,
		"pause: {duration: 5m}, analysis: {templates: [{name: smoke}]}, approval: {from: {groups: [sre]}}":              nil,

		"analysis: {}":                                                     {"steps[0].analysis: Invalid", "analysis: name templates, or a builtin"},
		"analysis: {templates: []}":                                        {"steps[0].analysis.templates", "at least 1 items"},
		"analysis: {templates: [smoke]}":                                   {"steps[0].analysis.templates[0]", "must be of type object"},
		"analysis: {templates: [{name: ''}]}":                              {"steps[0].analysis.templates[0].name", "at least 1 chars"},
		"analysis: {templates: [{name: a, scope: All}]}":                   {"templates[0].scope", `"Namespace", "Cluster"`},
		"analysis: {builtin: error-rate, min: 1}":                          {"steps[0].analysis.builtin", `"success-rate", "latency"`},
		"analysis: {builtin: success-rate}":                                {"analysis.builtin: success-rate needs min or compare, latency needs max or compare"},
		"analysis: {builtin: success-rate, max: 1}":                        {"analysis.builtin: success-rate needs min or compare, latency needs max or compare"},
		"analysis: {builtin: latency, min: 1}":                             {"analysis.builtin: success-rate needs min or compare, latency needs max or compare"},
		"analysis: {builtin: success-rate, min: 100.5}":                    {"analysis.min: must be between 0 and 100 (percent)"},
		"analysis: {builtin: success-rate, min: -0.5}":                     {"analysis.min: must be between 0 and 100 (percent)"},
		"analysis: {builtin: success-rate, min: '99.5'}":                   {"steps[0].analysis.min", "must be of type number"},
		"analysis: {builtin: success-rate, min: 99.5%}":                    {"steps[0].analysis.min", "must be of type number"},
		"analysis: {builtin: latency, max: 250ms}":                         {"steps[0].analysis.max", "must be of type number"},
		"analysis: {builtin: latency, max: 1, quantile: '0.95'}":           {"steps[0].analysis.quantile", "must be of type number"},
		"analysis: {builtin: latency, max: 1, quantile: 95}":               {"analysis.quantile: must be between 0 and 1, as 0.95"},
		"analysis: {builtin: latency, max: 1, interval: 5s}":               {"analysis.interval: must be between 10s and 24h"},
		"analysis: {builtin: latency, max: 1, interval: soon}":             {"steps[0].analysis.interval"},
		"analysis: {builtin: latency, max: 1, count: 0}":                   {"steps[0].analysis.count", "greater than or equal to 1"},
		"analysis: {templates: [{name: a}], args: [{name: 1a}]}":           {"steps[0].analysis.args[0].name"},
		"analysis: {templates: [{name: a}], args: [{name: a}, {name: a}]}": {"steps[0].analysis.args[1]", "Duplicate"},
		"analysis: {templates: [{name: a}], fromStep: b}":                  {`unknown field "spec.canary.steps[0].analysis.fromStep"`},

		"analysis: {builtin: latency, max: -1}": {"analysis.max: must be 0 or more (milliseconds)"},

		"analysis: {builtin: success-rate, compare: {}}":                                                       nil,
		"analysis: {builtin: success-rate, compare: {tolerance: 0.5, errorRate: 1, minSamples: 1000}}":         nil,
		"analysis: {builtin: latency, compare: {}}":                                                            nil,
		"analysis: {builtin: latency, quantile: 0.99, compare: {tolerance: 1}}":                                nil,
		"analysis: {builtin: latency, quantile: 0.95, compare: {tolerance: 2, errorRate: 5, minSamples: 500}}": nil,
		"analysis: {builtin: success-rate, min: 99, compare: {}}":                                              {"analysis.compare: goes with a builtin, in place of min or max"},
		"analysis: {builtin: latency, max: 300, compare: {}}":                                                  {"analysis.compare: goes with a builtin, in place of min or max"},
		"analysis: {templates: [{name: a}], compare: {}}":                                                      {"analysis.compare: goes with a builtin, in place of min or max"},
		"analysis: {builtin: latency, quantile: 0.999999, compare: {}}":                                        {"analysis.quantile: must be between 0.01 and 0.9999 with compare, as 0.95"},
		"analysis: {builtin: latency, quantile: 0.001, compare: {}}":                                           {"analysis.quantile: must be between 0.01 and 0.9999 with compare, as 0.95"},
		"analysis: {builtin: success-rate, compare: {tolerance: 100}}":                                         {"compare.tolerance: must be between 0 and 99 (percent points)"},
		"analysis: {builtin: success-rate, compare: {errorRate: 0}}":                                           {"compare.errorRate: must be between 0.001 and 50 (percent)"},
		"analysis: {builtin: success-rate, compare: {minSamples: -1}}":                                         {"steps[0].analysis.compare.minSamples", "greater than or equal to 0"},

		"approval: {}":                                        {"steps[0].approval.from", "Required"},
		"approval: {from: {}}":                                {"steps[0].approval.from", "approval.from: name users or groups; nobody named means that nobody may approve"},
		"approval: {from: {groups: []}}":                      {"steps[0].approval.from.groups", "at least 1 items"},
		"approval: {from: {users: ['']}}":                     {"steps[0].approval.from.users[0]", "at least 1 chars"},
		"approval: {from: {users: [a, a]}}":                   {"steps[0].approval.from.users[1]", "Duplicate"},
		"approval: {from: {roles: [sre]}}":                    {`unknown field "spec.canary.steps[0].approval.from.roles"`},
		"approval: {from: {groups: [sre]}, required: 0}":      {"steps[0].approval.required", "greater than or equal to 1"},
		"approval: {from: {groups: [sre]}, required: 21}":     {"steps[0].approval.required", "less than or equal to 20"},
		"approval: {from: {groups: [sre]}, expiresAfter: 0s}": {"approval.expiresAfter: must be between 1s and 8760h"},
		"approval: {from: {groups: [sre]}, expiresAfter: 1d}": {"steps[0].approval.expiresAfter"},
		"approval: {from: {groups: [sre]}, remindAfter: 0s}":  {"approval.remindAfter: must be between 1s and 8760h"},
	} {
		all[step] = written{"{workload: {kind: Deployment, name: shop}, canary: {steps: [{weight: 20, " + step + "}]}}", want}
	}
	for background, want := range map[string][]string{
		"{builtin: success-rate, min: 99.5, fromStep: half}":          nil,
		"{builtin: latency, compare: {tolerance: 2}, fromStep: half}": nil,
		"{fromStep: half}":   {"spec.canary.analysis", "analysis: name templates, or a builtin"},
		"{builtin: latency}": {"spec.canary.analysis", "success-rate needs min or compare, latency needs max or compare"},
	} {
		all["background "+background] = written{"{workload: {kind: Deployment, name: shop}, canary: {steps: [{name: half, weight: 50}], analysis: " + background + "}}", want}
	}
	tryAll(t, rollouts, "Rollout", all)
}

// metrics is a template of these.
func metrics(all ...string) string { return "{metrics: [" + strings.Join(all, ", ") + "]}" }

// ups are so many metrics.
func ups(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("{name: up-%d, provider: {prometheus: {query: up}}}", i))
	}
	return all
}

// TestTemplateSchema: what is measured.
func TestTemplateSchema(t *testing.T) {
	up := func(fields string) string {
		return metrics("{name: up, provider: {prometheus: {query: up}}" + fields + "}")
	}
	all := map[string]written{
		"plain":                {spec: up("")},
		"full":                 {spec: up(", initialDelay: 0s, interval: 10s, count: 5, successCondition: result == 1, failureCondition: result == 0, failureLimit: 0, inconclusiveLimit: 2, consecutiveErrorLimit: 4, consecutiveSuccessLimit: 3, dryRun: true")},
		"once":                 {spec: up(", count: 1")},
		"others only":          {spec: "{templates: [{name: a}, {name: b, scope: Cluster}]}"},
		"args":                 {spec: "{args: [{name: path, value: /}, {name: needed}], templates: [{name: a}]}"},
		"16 metrics":           {spec: metrics(ups(16)...)},
		"nothing":              {"{}", []string{"spec.metrics: name at least one metric, or another template in spec.templates"}},
		"no metrics":           {metrics(), []string{"spec.metrics", "at least 1 items"}},
		"17 metrics":           {metrics(ups(17)...), []string{"spec.metrics", "at most 16 items"}},
		"same name":            {metrics(append(ups(1), ups(1)...)...), []string{"spec.metrics[1]", "Duplicate"}},
		"bad name":             {metrics("{name: a b, provider: {prometheus: {query: up}}}"), []string{"spec.metrics[0].name"}},
		"no provider":          {metrics("{name: a}"), []string{"spec.metrics[0].provider", "Required"}},
		"9 templates":          {"{templates: [" + strings.Repeat("{name: a},", 9) + "]}", []string{"spec.templates", "at most 8 items"}},
		"interval 5s":          {up(", interval: 5s"), []string{"interval: must be between 10s and 24h"}},
		"interval 25h":         {up(", interval: 25h"), []string{"interval: must be between 10s and 24h"}},
		"count alone":          {up(", count: 3"), []string{"interval: a metric that is measured several times needs one"}},
		"count 0":              {up(", count: 0"), []string{"spec.metrics[0].count", "greater than or equal to 1"}},
		"good in a row of one": {up(", consecutiveSuccessLimit: 3"), []string{"consecutiveSuccessLimit: needs an interval, or there is one measurement only"}},
		"failureLimit -1":      {up(", failureLimit: -1"), []string{"spec.metrics[0].failureLimit", "greater than or equal to 0"}},
		"waitForData":          {spec: up(", interval: 10s, waitForData: 2m")},
		"waitForData 25h":      {up(", waitForData: 25h"), []string{"waitForData: must be between 0s and 24h"}},
		"initialDelay -1s":     {up(", initialDelay: -1s"), []string{"initialDelay: must be between 0s and 168h"}},
		"compared":             {spec: up(", interval: 10s, compare: {bad: errors, tolerance: 0.5}")},
		"compared once":        {up(", compare: {bad: errors}"), []string{"compare: needs provider.prometheus and an interval"}},
		"compared elsewhere":   {metrics("{name: a, interval: 10s, compare: {bad: errors}, provider: {http: {url: x}}}"), []string{"compare: needs provider.prometheus and an interval"}},
		"compared, and judged": {up(", interval: 10s, compare: {bad: errors}, successCondition: result > 1.0"), []string{"compare: gives the verdict itself; remove successCondition and failureCondition"}},
		"compared to nothing":  {up(", interval: 10s, compare: {}"), []string{"compare: set bad, to compare failed requests, or quantile, to compare latencies"}},
		"compared twice":       {up(", interval: 10s, compare: {bad: errors, quantile: 0.95}"), []string{"compare: set bad, to compare failed requests, or quantile, to compare latencies"}},
		"slower":               {spec: up(", interval: 10s, compare: {quantile: 0.95}")},
		"slower, with a unit":  {spec: up(", interval: 10s, compare: {quantile: 0.95, unit: s, tolerance: 2, errorRate: 1, minSamples: 500}")},
		"bad, with a unit":     {up(", interval: 10s, compare: {bad: errors, unit: s}"), []string{"compare.unit: goes with compare.quantile"}},
		"quantile in percent":  {up(", interval: 10s, compare: {quantile: 95}"), []string{"compare.quantile: must be between 0.01 and 0.9999, as 0.95"}},
		"compared over a time": {
			metrics("{name: a, interval: 10s, compare: {quantile: 0.95}, provider: {prometheus: {query: up, range: {duration: 5m, step: 15s}}}}"),
			[]string{"compare: counts requests since ever; remove provider.prometheus.range"},
		},
		"as in Argo Rollouts": {up(", inconclusiveLimit: 1, failureCondition: 'result[0] > 1', metricsPerMinute: 1"), []string{`unknown field "spec.metrics[0].metricsPerMinute"`}},
	}
	tryAll(t, templates, "AnalysisTemplate", all)
}

// TestProviderSchema: where a measurement comes from.
func TestProviderSchema(t *testing.T) {
	all := map[string]written{}
	for provider, want := range map[string][]string{
		"prometheus: {query: up, range: {duration: 5m, step: 15s}}":                                                                                       nil,
		"http: {url: 'http://shop/{{args.path}}', jsonPath: '{.ok}', method: POST, body: x}":                                                              nil,
		"job: {containers: [{name: test, image: test, args: [--url, 'http://{{canaryService}}']}]}":                                                       nil,
		"job: {containers: [{name: test, image: test, env: [{name: A, value: a}, {name: B, secret: {name: s, key: k}}]}], deadline: 1m, backoffLimit: 2}": nil,
		"kubernetes: {}": nil,
		"datadog: {query: x, secret: {name: dd}, window: 10m, site: datadoghq.eu}":                nil,
		"influxDB: {address: 'http://influx', org: shop, query: x, token: {name: i, key: token}}": nil,
		"cloudWatch: {region: eu-central-1, expression: SELECT, secret: {name: aws}}":             nil,
		"skyWalking: {address: 'http://oap', expression: x, service: shop}":                       nil,
		"plugin: {url: 'http://mine', config: {a: b}}":                                            nil,
		"http: {url: 'https://m', connection: {bearerToken: {name: s, key: k}, basicAuth: {name: b}, ca: {name: c, key: ca}, clientCertificate: {name: d}, timeout: 5s, " +
			"headers: [{name: X-Scope, value: shop}, {name: X-Key, secret: {name: e, key: k}}]}}": nil,

		"": {"exactly one of the fields in [prometheus http job kubernetes datadog influxDB cloudWatch skyWalking plugin] must be set"},
		"prometheus: {query: up}, http: {url: x}":                   {"exactly one of the fields in [prometheus http"},
		"newRelic: {query: x}":                                      {`unknown field "spec.metrics[0].provider.newRelic"`},
		"prometheus: {}":                                            {"provider.prometheus.query", "Required"},
		"prometheus: {query: ''}":                                   {"provider.prometheus.query", "at least 1 chars"},
		"prometheus: {query: up, range: {duration: 5m}}":            {"provider.prometheus.range.step", "Required"},
		"prometheus: {query: up, range: {duration: 48h, step: 1m}}": {"range.duration: must be between 1s and 24h"},
		"prometheus: {query: up, range: {duration: 1h, step: 0s}}":  {"range.step: must be between 1s and 1h"},
		"http: {}":                                                                                        {"provider.http.url", "Required"},
		"http: {url: x, method: DELETE}":                                                                  {"provider.http.method", `"GET", "POST", "PUT"`},
		"http: {url: x, connection: {timeout: 2m}}":                                                       {"connection.timeout: must be between 1s and 60s"},
		"http: {url: x, connection: {bearerToken: {name: s}}}":                                            {"connection.bearerToken.key", "Required"},
		"http: {url: x, connection: {bearerToken: secret}}":                                               {"connection.bearerToken", "must be of type object"},
		"http: {url: x, connection: {basicAuth: {name: '{{args.who}}'}}}":                                 {"connection.basicAuth.name"},
		"http: {url: x, connection: {headers: [{name: X}]}}":                                              {"connection.headers[0]", "exactly one of the fields in [value secret] must be set"},
		"http: {url: x, connection: {headers: [{name: X, value: a, secret: {name: s, key: k}}]}}":         {"exactly one of the fields in [value secret] must be set"},
		"http: {url: x, connection: {headers: [{name: 'X Y', value: a}]}}":                                {"connection.headers[0].name"},
		"http: {url: x, connection: {headers: [{name: X, value: a}, {name: X, value: b}]}}":               {"connection.headers[1]", "Duplicate"},
		"job: {containers: []}":                                                                           {"provider.job.containers", "at least 1 items"},
		"job: {containers: [{name: a}]}":                                                                  {"provider.job.containers[0].image", "Required"},
		"job: {containers: [{name: A, image: a}]}":                                                        {"provider.job.containers[0].name"},
		"job: {containers: [{name: a, image: a, env: [{name: A, value: a, secret: {name: s, key: k}}]}]}": {"env: set value or secret, not both"},
		"job: {containers: [{name: a, image: a}], deadline: 0s}":                                          {"job.deadline: must be between 1s and 24h"},
		"job: {containers: [{name: a, image: a}], backoffLimit: 11}":                                      {"provider.job.backoffLimit", "less than or equal to 10"},
		"job: {containers: [{name: a, image: a, securityContext: {privileged: true}}]}":                   {`unknown field "spec.metrics[0].provider.job.containers[0].securityContext"`},
		"datadog: {query: x}":                                                                             {"provider.datadog.secret", "Required"},
		"datadog: {query: x, secret: {name: dd}, window: 1s}":                                             {"datadog.window: must be between 10s and 24h"},
		"influxDB: {address: 'http://influx', query: x}":                                                  {"provider.influxDB.org", "Required"},
		"cloudWatch: {region: eu central, expression: x, secret: {name: aws}}":                            {"provider.cloudWatch.region"},
		"cloudWatch: {region: eu-central-1, expression: x, secret: {name: aws}, period: 1s}":              {"cloudWatch.period: must be between 10s and 1h"},
		"skyWalking: {address: a, expression: x, service: s, window: 1s}":                                 {"skyWalking.window: must be between 1m and 24h"},
		"plugin: {url: x, config: {a: {b: c}}}":                                                           {`unknown field "spec.metrics[0].provider.plugin.config.a.b"`},
	} {
		all["{"+provider+"}"] = written{metrics("{name: x, provider: {" + provider + "}}"), want}
	}
	tryAll(t, templates, "AnalysisTemplate", all)
}

// TestWindowSchema: when releases may go on.
func TestWindowSchema(t *testing.T) {
	all := map[string]written{
		"no period":    {"{timeZone: Europe/Berlin}", []string{"spec.allow: list at least one period here, or in spec.freeze"}},
		"empty allow":  {"{allow: []}", []string{"spec.allow", "at least 1 items"}},
		"both":         {spec: "{allow: [{weekly: {from: '09:00', to: '17:00'}}], freeze: [{dates: {from: 2026-12-20T18:00:00+01:00, until: 2027-01-07T00:00:00Z}, reason: holidays}]}"},
		"with a zone":  {spec: "{timeZone: America/Argentina/Buenos_Aires, selector: {matchLabels: {tier: front}}, allow: [{weekly: {from: '09:00', to: '17:00'}}]}"},
		"bad zone":     {"{timeZone: Europe Berlin, allow: [{weekly: {from: '09:00', to: '17:00'}}]}", []string{"spec.timeZone"}},
		"empty zone":   {"{timeZone: '', allow: [{weekly: {from: '09:00', to: '17:00'}}]}", []string{"spec.timeZone", "at least 1 chars"}},
		"zone of dots": {"{timeZone: ../../etc/passwd, allow: [{weekly: {from: '09:00', to: '17:00'}}]}", []string{"spec.timeZone"}},
	}
	for period, want := range map[string][]string{
		"{cron: {schedule: '0 22 * * FRI', duration: 58h}}":                       nil,
		"{weekly: {days: [Mon, Tue], from: '09:00', to: '17:30'}}":                nil,
		"{weekly: {from: '22:00', to: '06:00'}}":                                  nil,
		"{weekly: {from: '00:00', to: '24:00'}}":                                  nil,
		"{dates: {from: 2026-12-20T18:00:00+01:00, until: 2026-12-20T17:00:01Z}}": nil,
		"{}":                {"exactly one of the fields in [cron weekly dates] must be set"},
		"{reason: because}": {"exactly one of the fields in [cron weekly dates] must be set"},
		"{cron: {schedule: x, duration: 1h}, weekly: {from: '09:00', to: '10:00'}}": {"exactly one of the fields in [cron weekly dates] must be set"},
		"{cron: {schedule: '0 22 * * FRI'}}":                                        {"cron.duration", "Required"},
		"{cron: {schedule: '0 22 * * FRI', duration: 30s}}":                         {"cron.duration: must be between 1m and 744h"},
		"{cron: {schedule: '', duration: 1h}}":                                      {"cron.schedule", "at least 1 chars"},
		"{weekly: {from: '09:00', to: '09:00'}}":                                    {"weekly.to: must differ from weekly.from; a whole day is 00:00 to 24:00"},
		"{weekly: {from: '9:00', to: '17:00'}}":                                     {"weekly.from"},
		"{weekly: {from: '09:00', to: '24:01'}}":                                    {"weekly.to"},
		"{weekly: {from: '24:00', to: '24:00'}}":                                    {"weekly.from"},
		"{weekly: {days: [Monday], from: '09:00', to: '17:00'}}":                    {"weekly.days[0]", `"Mon", "Tue"`},
		"{weekly: {days: [Mon, Mon], from: '09:00', to: '17:00'}}":                  {"weekly.days[1]", "Duplicate"},
		"{weekly: {days: [], from: '09:00', to: '17:00'}}":                          {"weekly.days", "at least 1 items"},
		"{dates: {from: 2026-12-20T18:00:00+01:00, until: 2026-12-20T17:00:00Z}}":   {"dates.until: must be after dates.from"},
		"{dates: {from: 2026-12-20, until: 2026-12-21}}":                            {"dates.from"},
		"{dates: {from: 2026-12-20T18:00:00Z}}":                                     {"dates.until", "Required"},
	} {
		all["allow "+period] = written{"{allow: [" + period + "]}", want}
		all["freeze "+period] = written{"{freeze: [" + period + "]}", want}
	}
	tryAll(t, windows, "ReleaseWindow", all)
}

// TestNotifierSchema: who is told.
func TestNotifierSchema(t *testing.T) {
	const slack = "sink: {slack: {url: {name: slack, key: url}}}"
	tryAll(t, notifiers, "Notifier", map[string]written{
		"plain":         {spec: "{" + slack + "}"},
		"full":          {spec: "{" + slack + ", selector: {matchLabels: {tier: front}}, events: [waiting, failed], template: '{{.Title}}'}"},
		"mail":          {spec: "{sink: {email: {host: mail.example, port: 465, encryption: TLS, auth: {name: mail}, from: 'Sluice <s@example.com>', to: [ops@example.com]}}}"},
		"relay":         {spec: "{sink: {email: {host: relay, encryption: None, from: s@example.com, to: [ops@example.com]}}}"},
		"no sink":       {"{}", []string{"spec.sink", "Required"}},
		"empty sink":    {"{sink: {}}", []string{"exactly one of the fields in [webhook slack teams dingTalk lark weCom email] must be set"}},
		"two sinks":     {"{sink: {slack: {url: {name: a, key: b}}, teams: {url: {name: a, key: b}}}}", []string{"exactly one of the fields in [webhook slack"}},
		"plain address": {"{sink: {slack: {url: 'https://hooks.slack.com/services/T/B/X'}}}", []string{"spec.sink.slack.url", "must be of type object"}},
		"no events":     {"{" + slack + ", events: []}", []string{"spec.events", "at least 1 items"}},
		"other event":   {"{" + slack + ", events: [paused]}", []string{"spec.events[0]", `"started", "waiting"`}},
		"event twice":   {"{" + slack + ", events: [done, done]}", []string{"spec.events[1]", "Duplicate"}},
		"no template":   {"{" + slack + ", template: ''}", []string{"spec.template", "at least 1 chars"}},
		"to nobody":     {"{sink: {email: {host: a, from: a@b, to: []}}}", []string{"spec.sink.email.to", "at least 1 items"}},
		"bad port":      {"{sink: {email: {host: a, port: 65536, from: a@b, to: [c@d]}}}", []string{"spec.sink.email.port", "less than or equal to 65535"}},
		"host and port": {"{sink: {email: {host: 'a/b', from: a@b, to: [c@d]}}}", []string{"spec.sink.email.host"}},
		"password in the open": {
			"{sink: {email: {host: a, encryption: None, auth: {name: mail}, from: a@b, to: [c@d]}}}",
			[]string{"email.auth: a password is not sent without encryption; set email.encryption to StartTLS or TLS"},
		},
	})
}

// TestFaultB14StaticErrors: the API server refuses what is wrong in itself when it is written, and says how it is written.
func TestFaultB14StaticErrors(t *testing.T) {
	const daily, slack = "allow: [{weekly: {from: '09:00', to: '17:00'}}]", "sink: {slack: {url: {name: slack, key: url}}}"
	all := map[string]written{
		"no such zone":   {"{timeZone: Mars/Base, " + daily + "}", []string{"spec.timeZone", "there is no such time zone; use a name of the IANA database, as Europe/Berlin"}},
		"a machine's":    {"{timeZone: Local, " + daily + "}", []string{"there is no such time zone"}},
		"another zone":   {spec: "{timeZone: Asia/Kathmandu, " + daily + "}"},
		"hour 25":        {"{allow: [{weekly: {from: '25:00', to: '17:00'}}]}", []string{"spec.allow[0].weekly.from", "write a time of the day from 00:00 to 23:59, as 09:00"}},
		"minute 60":      {"{allow: [{weekly: {from: '09:00', to: '17:60'}}]}", []string{"spec.allow[0].weekly.to", "write a time of the day"}},
		"cron minute 60": {"{allow: [{cron: {schedule: '60 9 * * *', duration: 1h}}]}", []string{"spec.allow[0].cron.schedule", "write minute (0-59), hour (0-23)"}},
	}
	for _, schedule := range []string{"0 25 * * *", "0 9 32 * *", "0 9 * 13 *", "0 9 * * 8", "0 9 * *", "0 9 * * * *", "every day", "@never", "TZ=UTC 0 9 * * *", "0 9 * * MONDAY"} {
		all["cron "+schedule] = written{"{freeze: [{cron: {schedule: '" + schedule + "', duration: 1h}}]}", []string{"spec.freeze[0].cron.schedule", "write minute (0-59)"}}
	}
	for _, schedule := range []string{"0 22 * * FRI", "*/5 9-17 1,15 * mon-fri", "@daily", "0 0 29 2 ?", "59 23 31 DEC 7", "0 5/3 * * *"} {
		all["cron "+schedule] = written{spec: "{allow: [{cron: {schedule: '" + schedule + "', duration: 1h}}]}"}
	}
	tryAll(t, windows, "ReleaseWindow", all)
	tryAll(t, notifiers, "Notifier", map[string]written{
		"template that is not closed": {"{" + slack + ", template: '{{ .Rollout'}", []string{"spec.template", "the last {{ is not closed by }}"}},
		"template":                    {spec: "{" + slack + `, template: '{{.Rollout}}{{with .Step}} in {{.}}{{end}}, as {{"{{"}}'}`},
	})
	provider := func(p string) string { return metrics("{name: x, provider: {" + p + "}}") }
	tryAll(t, templates, "AnalysisTemplate", map[string]written{
		"address":      {provider("prometheus: {query: up, address: prometheus}"), []string{"prometheus.address: must begin with http:// or https://"}},
		"url":          {provider("http: {url: 'ftp://x'}"), []string{"http.url: must begin with http:// or https://"}},
		"given url":    {spec: provider("http: {url: '{{args.url}}', jsonPath: '{{args.path}}'}")},
		"path":         {provider("http: {url: 'http://x', jsonPath: .data.ok}"), []string{"http.jsonPath: write one path in braces, as {.data.ok}"}},
		"path, braces": {spec: provider("http: {url: 'http://x', jsonPath: '{.data.ok}'}")},
	})
}

// TestClusterTemplateSchema: the kind for all namespaces takes what the other takes.
func TestClusterTemplateSchema(t *testing.T) {
	kinds, err := deploy.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	schemas := map[string]any{}
	for _, object := range kinds {
		kind, _, _ := unstructured.NestedString(object.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedSlice(object.Object, "spec", "versions")
		spec, _, err := unstructured.NestedMap(versions[0].(map[string]any), "schema", "openAPIV3Schema", "properties", "spec")
		if err != nil {
			t.Fatal(err)
		}
		schemas[kind] = spec
	}
	if schemas["AnalysisTemplate"] == nil {
		t.Fatal("no schema of AnalysisTemplate")
	}
	if diff := cmp.Diff(schemas["AnalysisTemplate"], schemas["ClusterAnalysisTemplate"]); diff != "" {
		t.Errorf("specs differ (-namespace +cluster):\n%s", diff)
	}
}

// TestRunIsFixed: what a run measures cannot be changed under way; that it is to come to its end can.
func TestRunIsFixed(t *testing.T) {
	c := client(t, runs)
	run := "{apiVersion: sluice.dev/v1alpha1, kind: AnalysisRun, metadata: {name: x}, spec: {release: shop-1, metrics: [{name: up, provider: {prometheus: {query: up}}}]}}"
	if _, err := c.Create(t.Context(), parse(t, run), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for patch, want := range map[string][]string{
		`{"spec":{"conclude":true}}`: nil,
		`{"spec":{"metrics":[{"name":"up","provider":{"prometheus":{"query":"vector(1)"}}}]}}`: {"spec.metrics: a run is fixed when it is made"},
		`{"spec":{"metrics":[]}}`: {"spec.metrics"},
	} {
		_, err := c.Patch(t.Context(), "x", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		wantRefusal(t, err, want)
	}
}

// TestDecimals: a number with a fraction is stored as it was written, and is the same in Go.
func TestDecimals(t *testing.T) {
	c := client(t, rollouts)
	for i, number := range []string{"99.5", "99", "0.1", "99.99"} {
		object := parse(t, rollout(fmt.Sprintf("shop-%d", i), steps("[{weight: 20, analysis: {builtin: success-rate, min: "+number+"}}]")))
		made, err := c.Create(t.Context(), object, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		data, err := made.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var typed v1alpha1.Rollout
		if err := json.Unmarshal(data, &typed); err != nil {
			t.Fatal(err)
		}
		if got := typed.Spec.Canary.Steps[0].Analysis.Min; got == nil || got.String() != number {
			t.Errorf("min is %v, want %s", got, number)
		}
		// Back again, as the controller writes it into a release's plan.
		if data, err = json.Marshal(typed); err != nil {
			t.Fatal(err)
		}
		if want := `"min":` + number; !strings.Contains(string(data), want) {
			t.Errorf("%s is written as %s", want, data)
		}
	}
}
