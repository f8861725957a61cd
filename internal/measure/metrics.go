package measure

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/metric/builtin"
	"github.com/sluice-dev/sluice/internal/naming"
)

// templateDepth bounds how far templates name others.
const templateDepth = 5

// Metrics are those of one analysis of a frozen plan, with every argument filled in. Values stand for the built-in
// names, see Names; requestMetrics says whose metrics a builtin asks for. The error is a *Problem.
func Metrics(plan v1alpha1.ReleasePlan, at At, values map[string]string, requestMetrics Requests) (
	[]v1alpha1.Metric, error,
) {
	return metrics(plan, at, values, requestMetrics, parsed{})
}

// parsed are the frozen templates that have been read, by their text: fifty steps may name the same large one.
type parsed map[string]v1alpha1.AnalysisTemplateSpec

func metrics(plan v1alpha1.ReleasePlan, at At, values map[string]string, requestMetrics Requests,
	known parsed,
) ([]v1alpha1.Metric, error) {
	i := slices.IndexFunc(analyses(plan), func(a analysis) bool {
		return a.Background == at.Background && (at.Background || a.Step == at.Step)
	})
	if i < 0 {
		return nil, nil
	}
	a := analyses(plan)[i]
	g := &gathering{plan: plan, field: a.field, values: values, known: known}
	for _, ref := range a.Templates {
		if err := g.template(ref, a.Args, nil); err != nil {
			return nil, err
		}
	}
	if a.Builtin == "" {
		return g.metrics, nil
	}
	m, err := builtin.Metric(requestMetrics.Of, a.StepAnalysis, at.Background, pauseOf(plan.Steps[at.Step]),
		requestMetrics.Collection)
	if err != nil {
		return nil, wrong(a.field+".builtin", "%s", strings.TrimPrefix(err.Error(), "builtin: "))
	}
	if err := g.metric(m, nil); err != nil {
		return nil, err
	}
	return g.metrics, nil
}

func pauseOf(step v1alpha1.CanaryStep) time.Duration {
	if p := step.Pause; p != nil && p.Duration != nil {
		return p.Duration.Duration
	}
	return 0
}

// RequestMetrics are those that a builtin can ask for, in order.
func RequestMetrics() []string { return builtin.Dialects() }

// AnyRequestMetrics stands for those that the controller knows of, where it cannot be asked.
func AnyRequestMetrics() Requests { return Requests{Of: RequestMetrics()[0]} }

// Requests are the request metrics that a builtin asks for.
type Requests struct {
	// Of is whose they are, as "ingress-nginx"; empty if that is not known.
	Of string
	// Collection is how often Prometheus collects them; 0 if that is not known.
	Collection time.Duration
}

// placeholder stands for a value that is known only later: it may be a number as well as a part of an address.
const placeholder = "1"

// Check finds what cannot be measured in a frozen plan, before anything moves. The error is a *Problem.
func Check(plan v1alpha1.ReleasePlan, ro *v1alpha1.Rollout, requestMetrics Requests) error {
	known := parsed{}
	for _, a := range analyses(plan) {
		values := Names(ro, naming.Release(ro.Name, 1), plan.Steps[a.Step])
		for name, value := range values {
			if value == "" {
				values[name] = placeholder
			}
		}
		list, err := metrics(plan, a.At, values, requestMetrics, known)
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := checkedSource(m); err != nil {
				return wrong(a.field, "%v", err)
			}
		}
		if size := sizeOf(list); size > mostOfRun {
			return wrong(a.field, "its metrics are %d KiB with every argument filled in, and an AnalysisRun has room for %d; "+
				"name fewer of them, or shorten their queries",
				size>>10, mostOfRun>>10)
		}
	}
	if size := sizeOf(plan); size > mostOfPlan {
		return wrong("spec", "the plan is %d KiB with its steps and templates, and a Release has room for %d; name fewer "+
			"or smaller templates, or shorten the matches of the steps",
			size>>10, mostOfPlan>>10)
	}
	return nil
}

// The API server stores no object of more than 1.5 MiB, and each of these has its record in its status besides.
const (
	// mostOfPlan bounds, in bytes, a plan with its frozen templates.
	mostOfPlan = 768 << 10
	// mostOfRun bounds, in bytes, the metrics of one run.
	mostOfRun = 512 << 10
)

// sizeOf is about what a value takes when it is stored.
func sizeOf(v any) int {
	raw, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return len(raw)
}

// Names are the built-in names of a template with what is known of them in a step. The Services and the hashes of the
// two versions are empty until a release knows them.
func Names(ro *v1alpha1.Rollout, release string, step v1alpha1.CanaryStep) map[string]string {
	v := map[string]string{}
	for _, name := range metric.BuiltIn {
		v[name] = ""
	}
	v["rollout"], v["release"], v["namespace"], v["workload"] = ro.Name, release, ro.Namespace, ro.Spec.Workload.Name
	v["step"], v["weight"] = step.Name, "0"
	if step.Weight != nil {
		v["weight"] = strconv.Itoa(int(*step.Weight))
	}
	return v
}

// gathering collects the metrics of templates that name others.
type gathering struct {
	plan    v1alpha1.ReleasePlan
	field   string
	values  map[string]string
	known   parsed
	metrics []v1alpha1.Metric
}

// template adds the metrics of one template, its arguments given by whoever names it.
func (g *gathering) template(ref v1alpha1.AnalysisTemplateReference, given []v1alpha1.AnalysisArgument,
	above []string,
) error {
	name := ref.Name
	if isCluster(ref.Scope) {
		name += " (Cluster)"
	}
	if slices.Contains(above, name) || len(above) >= templateDepth {
		return wrong(g.field+".templates", "%s name each other, or go deeper than %d; let one of them have the metrics "+
			"itself",
			strings.Join(append(above, name), " -> "), templateDepth)
	}
	spec, err := g.read(ref)
	if err != nil {
		return err
	}
	args, err := g.arguments(ref.Name, spec.Args, given)
	if err != nil {
		return err
	}
	for _, m := range spec.Metrics {
		if err := g.metric(m, args); err != nil {
			return err
		}
	}
	for _, other := range spec.Templates {
		if err := g.template(other, args, append(above, name)); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) read(ref v1alpha1.AnalysisTemplateReference) (spec v1alpha1.AnalysisTemplateSpec, err error) {
	t := frozen(g.plan, ref)
	if t == nil {
		return spec, wrong(g.field+".templates", "the release's plan has no %s; abort the release, and let a new one begin",
			nameOf(ref))
	}
	if known, ok := g.known[t.Spec]; ok {
		return *known.DeepCopy(), nil
	}
	if err := yaml.Unmarshal([]byte(t.Spec), &spec); err != nil {
		return spec, wrong(g.field+".templates", "the %s cannot be read in the release's plan: %v; abort the release, and "+
			"let a new one begin", nameOf(ref), err)
	}
	g.known[t.Spec] = *spec.DeepCopy()
	return spec, nil
}

// arguments are a template's own, with what is given in place of its defaults.
func (g *gathering) arguments(template string, own, given []v1alpha1.AnalysisArgument) (
	[]v1alpha1.AnalysisArgument, error,
) {
	var out []v1alpha1.AnalysisArgument
	for _, a := range own {
		for _, b := range given {
			if b.Name == a.Name && b.Value != nil {
				a.Value = b.Value
			}
		}
		if a.Value == nil {
			return nil, wrong(g.field+".args", "the template %q wants a value for %q; give one", template, a.Name)
		}
		out = append(out, a)
	}
	return out, nil
}

func (g *gathering) metric(m v1alpha1.Metric, args []v1alpha1.AnalysisArgument) error {
	if slices.ContainsFunc(g.metrics, func(o v1alpha1.Metric) bool { return o.Name == m.Name }) {
		return wrong(g.field+".templates", "two of them have a metric %q; rename one", m.Name)
	}
	m, err := filled(m, args, g.values)
	if err != nil {
		return wrong(g.field, "%v", err)
	}
	g.metrics = append(g.metrics, m)
	return nil
}

// filled is a metric with its arguments filled in, and checked.
func filled(m v1alpha1.Metric, args []v1alpha1.AnalysisArgument, values map[string]string) (v1alpha1.Metric, error) {
	if address, secret := addressOf(m.Provider); secret && slices.ContainsFunc(metric.Names(address), isArgument) {
		// Whoever gives the arguments would have the credentials sent to whom he likes.
		return m, fmt.Errorf("metric %s: an argument stands in its address, and it has credentials; write the address in "+
			"the template", m.Name)
	}
	all := maps.Clone(values)
	for _, a := range args {
		// A value may itself name what Sluice fills in, and nothing further.
		value, err := metric.Expand(*a.Value, values)
		if err != nil {
			return m, fmt.Errorf("metric %s: the argument %s: %w", m.Name, a.Name, err)
		}
		all[metric.ArgumentPrefix+a.Name] = value
	}
	if m.Compare != nil {
		all["version"] = "{{version}}" // Filled in when each version is asked about.
	}
	m, err := metric.Substitute(m, all)
	if err != nil {
		return m, err
	}
	if _, err := metric.Compile(metric.ShapeOf(m.Provider), m.SuccessCondition, m.FailureCondition); err != nil {
		return m, fmt.Errorf("metric %s: %w", m.Name, err)
	}
	return m, nil
}

func isArgument(name string) bool { return strings.HasPrefix(name, metric.ArgumentPrefix) }

// addressOf is where a source is, and whether credentials are sent there.
func addressOf(p v1alpha1.MetricProvider) (address string, secret bool) {
	has := func(c *v1alpha1.Connection) bool {
		return c != nil && (c.BearerToken != nil || c.BasicAuth != nil || c.ClientCertificate != nil ||
			slices.ContainsFunc(c.Headers, func(h v1alpha1.RequestHeader) bool { return h.Secret != nil }))
	}
	switch {
	case p.Prometheus != nil:
		return p.Prometheus.Address, has(p.Prometheus.Connection)
	case p.HTTP != nil:
		return p.HTTP.URL, has(p.HTTP.Connection)
	case p.Plugin != nil:
		return p.Plugin.URL, has(p.Plugin.Connection)
	case p.SkyWalking != nil:
		return p.SkyWalking.Address, has(p.SkyWalking.Connection)
	case p.InfluxDB != nil:
		return p.InfluxDB.Address, p.InfluxDB.Token != nil || has(p.InfluxDB.Connection)
	case p.Datadog != nil:
		return p.Datadog.Address + p.Datadog.Site, true
	case p.CloudWatch != nil:
		return p.CloudWatch.Address + p.CloudWatch.Region, true
	}
	return "", false
}
