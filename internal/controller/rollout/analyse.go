package rollout

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/metric"
	"github.com/sluice-dev/sluice/internal/metric/builtin"
	"github.com/sluice-dev/sluice/internal/release"
)

// labelAnalysis on an AnalysisRun says which of its release's analyses it is: "step-0-1" is the second try in the first
// step, "background-0-0" the first beside the steps.
const labelAnalysis = "sluice.dev/analysis"

// templateDepth bounds how far templates name others.
const templateDepth = 5

// mistake is what a person has to mend in what was written: no waiting helps.
type mistake struct{ message string }

func (m *mistake) Error() string { return m.message }

func wrong(format string, args ...any) error { return &mistake{fmt.Sprintf(format, args...)} }

// observeRuns reads the analyses of the release under way. A run that the release does not own is none of its.
func (r *Reconciler) observeRuns(ctx context.Context, w *world) error {
	rel := w.active()
	if rel == nil {
		return nil
	}
	list := &v1alpha1.AnalysisRunList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(rel.Namespace), client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
		return fmt.Errorf("list AnalysisRuns: %w", err)
	}
	for i := range list.Items {
		if run := &list.Items[i]; metav1.IsControlledBy(run, rel) && run.DeletionTimestamp == nil {
			w.runs = append(w.runs, run)
		}
	}
	return nil
}

// verdicts of an AnalysisRun's phases. What is not here is no verdict yet.
var verdicts = map[v1alpha1.AnalysisPhase]release.Verdict{
	v1alpha1.AnalysisSuccessful:   release.Good,
	v1alpha1.AnalysisFailed:       release.Bad,
	v1alpha1.AnalysisInconclusive: release.Unclear,
	v1alpha1.AnalysisError:        release.Unclear,
	v1alpha1.AnalysisCancelled:    release.Unclear,
}

// analyses are the runs in the mind's words.
func analyses(runs []*v1alpha1.AnalysisRun) []release.Analysis {
	var out []release.Analysis
	for _, run := range runs {
		if id, ok := readID(run.Labels[labelAnalysis]); ok {
			out = append(out, release.Analysis{
				ID: id, Verdict: verdicts[run.Status.Phase], Message: run.Status.Message, Concluding: run.Spec.Conclude,
			})
		}
	}
	return out
}

func writeID(id release.AnalysisID) string {
	kind := "step"
	if id.Background {
		kind = "background"
	}
	return fmt.Sprintf("%s-%d-%d", kind, id.Step, id.Attempt)
}

func readID(s string) (release.AnalysisID, bool) {
	parts := strings.Split(s, "-")
	if len(parts) != 3 || parts[0] != "step" && parts[0] != "background" {
		return release.AnalysisID{}, false
	}
	step, err := strconv.Atoi(parts[1])
	attempt, err2 := strconv.Atoi(parts[2])
	return release.AnalysisID{Background: parts[0] == "background", Step: step, Attempt: attempt}, err == nil && err2 == nil
}

// analyse begins an analysis, by making its AnalysisRun.
func (c *carrier) analyse(ctx context.Context, id release.AnalysisID) error {
	plan := c.rel.Spec.Plan
	if id.Step < 0 || id.Step >= len(plan.Steps) {
		return nil
	}
	step := plan.Steps[id.Step]
	values := c.values(step)
	metrics, err := c.r.measured(ctx, c.rel.Namespace, plan, id, values)
	if err != nil {
		return fmt.Errorf("begin the analysis: %w", err)
	}
	stable, canary := c.w.hashes()
	labels := c.labels()
	labels[labelAnalysis] = writeID(id)
	return ignoreExists(c.write.Create(ctx, &v1alpha1.AnalysisRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.rel.Namespace, Name: runName(c.rel.Name, step.Name, id), Labels: labels,
			OwnerReferences: []metav1.OwnerReference{ownerOf(c.rel)},
		},
		Spec: v1alpha1.AnalysisRunSpec{
			Release: c.rel.Name, Step: step.Name, StableHash: stable, CanaryHash: canary, Metrics: metrics,
			StableVersion: cmp.Or(values["service"], stable), CanaryVersion: cmp.Or(values["canaryService"], canary),
		},
	}))
}

func runName(rel, step string, id release.AnalysisID) string {
	name := rel + "-" + step
	if id.Background {
		name = rel + ".background" // No step's name has a dot.
	}
	if id.Attempt > 0 {
		name += fmt.Sprintf(".%d", id.Attempt+1)
	}
	return name
}

// conclude has an analysis come to an end.
func (c *carrier) conclude(ctx context.Context, id release.AnalysisID) error {
	for _, run := range c.w.runs {
		if run.Labels[labelAnalysis] != writeID(id) {
			continue
		}
		after := run.DeepCopy()
		after.Spec.Conclude = true
		return c.write.PatchSpec(ctx, run, after) // Measurements are written to its status all the time.
	}
	return nil
}

// values are what stands for the built-in names of a template.
func (c *carrier) values(step v1alpha1.CanaryStep) map[string]string {
	stable, canary := c.w.hashes()
	v := placeholders(c.w.rollout, c.rel.Name, step)
	v["stableHash"], v["canaryHash"] = stable, canary
	for _, s := range c.w.services {
		if v["service"] == "" || s.routed {
			v["service"], v["canaryService"] = s.object.Name, twinName(s.object.Name)
		}
		if s.routed {
			break
		}
	}
	return v
}

func placeholders(ro *v1alpha1.Rollout, rel string, step v1alpha1.CanaryStep) map[string]string {
	v := map[string]string{
		"rollout": ro.Name, "release": rel, "namespace": ro.Namespace, "workload": ro.Spec.Workload.Name,
		"service": "", "canaryService": "", "stableHash": "", "canaryHash": "", "step": step.Name, "weight": "0",
	}
	if step.Weight != nil {
		v["weight"] = strconv.Itoa(int(*step.Weight))
	}
	return v
}

// measured are the metrics of one analysis, with every argument filled in.
func (r *Reconciler) measured(ctx context.Context, namespace string, plan v1alpha1.ReleasePlan, id release.AnalysisID, values map[string]string) ([]v1alpha1.Metric, error) {
	field, analysis := fmt.Sprintf("spec.canary.steps[%d].analysis", id.Step), plan.Steps[id.Step].Analysis
	if id.Background {
		field, analysis = "spec.canary.analysis", &plan.Analysis.StepAnalysis
	}
	if analysis == nil {
		return nil, nil
	}
	g := &gathering{r: r, namespace: namespace, field: field, values: values}
	for _, ref := range analysis.Templates {
		if err := g.template(ctx, ref, analysis.Args, nil); err != nil {
			return nil, err
		}
	}
	if analysis.Builtin != "" {
		pause := time.Duration(0)
		if p := plan.Steps[id.Step].Pause; p != nil && p.Duration != nil {
			pause = p.Duration.Duration
		}
		m, err := builtin.Metric(r.RequestMetrics, analysis, id.Background, pause)
		if err != nil {
			return nil, wrong("%s.%s", field, err)
		}
		if err := g.metric(m, nil); err != nil {
			return nil, err
		}
	}
	return g.metrics, nil
}

// gathering collects the metrics of templates that name others.
type gathering struct {
	r                *Reconciler
	namespace, field string
	values           map[string]string
	metrics          []v1alpha1.Metric
}

// template adds the metrics of one template, its arguments given by whoever names it.
func (g *gathering) template(ctx context.Context, ref v1alpha1.AnalysisTemplateReference, given []v1alpha1.AnalysisArgument, above []string) error {
	if slices.Contains(above, ref.Name) || len(above) >= templateDepth {
		return wrong("%s.templates: %s name each other, or go deeper than %d; let one of them have the metrics itself", g.field, strings.Join(append(above, ref.Name), " -> "), templateDepth)
	}
	spec, err := g.read(ctx, ref)
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
		if err := g.template(ctx, other, args, append(above, ref.Name)); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) read(ctx context.Context, ref v1alpha1.AnalysisTemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
	var err error
	if ref.Scope == v1alpha1.ScopeCluster {
		t := &v1alpha1.ClusterAnalysisTemplate{}
		if err = g.r.Kube.Get(ctx, types.NamespacedName{Name: ref.Name}, t); err == nil {
			return t.Spec, nil
		}
	} else {
		t := &v1alpha1.AnalysisTemplate{}
		if err = g.r.Kube.Get(ctx, types.NamespacedName{Namespace: g.namespace, Name: ref.Name}, t); err == nil {
			return t.Spec, nil
		}
	}
	if apierrors.IsNotFound(err) {
		where := "AnalysisTemplate %q, which is not in namespace " + g.namespace
		if ref.Scope == v1alpha1.ScopeCluster {
			where = "ClusterAnalysisTemplate %q, which does not exist"
		}
		return v1alpha1.AnalysisTemplateSpec{}, wrong("%s.templates names the "+where+": create it, or correct the name", g.field, ref.Name)
	}
	return v1alpha1.AnalysisTemplateSpec{}, fmt.Errorf("read template %s: %w", ref.Name, err)
}

// arguments are a template's own, with what is given in place of its defaults.
func (g *gathering) arguments(template string, own, given []v1alpha1.AnalysisArgument) ([]v1alpha1.AnalysisArgument, error) {
	var out []v1alpha1.AnalysisArgument
	for _, a := range own {
		for _, b := range given {
			if b.Name == a.Name && b.Value != nil {
				a.Value = b.Value
			}
		}
		if a.Value == nil {
			return nil, wrong("%s.args: the template %q wants a value for %q; give one", g.field, template, a.Name)
		}
		out = append(out, a)
	}
	return out, nil
}

func (g *gathering) metric(m v1alpha1.Metric, args []v1alpha1.AnalysisArgument) error {
	if slices.ContainsFunc(g.metrics, func(o v1alpha1.Metric) bool { return o.Name == m.Name }) {
		return wrong("%s.templates: two of them have a metric %q; rename one", g.field, m.Name)
	}
	if address, secret := addressOf(m.Provider); secret && strings.Contains(address, "{{"+metric.ArgumentPrefix) {
		// Whoever gives the arguments would have the credentials sent to whom he likes.
		return wrong("%s: metric %s: an argument stands in its address, and it has credentials; write the address in the template", g.field, m.Name)
	}
	values := maps.Clone(g.values)
	if m.Compare != nil {
		values["version"] = "{{version}}" // Filled in when each version is asked about.
	}
	for _, a := range args {
		// A value may itself name what Sluice fills in, and nothing further.
		values[metric.ArgumentPrefix+a.Name] = expandBuiltIn(*a.Value, g.values)
	}
	m, err := metric.Substitute(m, values)
	if err != nil {
		return wrong("%s: %v", g.field, err)
	}
	if _, err := metric.Compile(m.SuccessCondition, m.FailureCondition); err != nil {
		return wrong("%s: metric %s: %v", g.field, m.Name, err)
	}
	g.metrics = append(g.metrics, m)
	return nil
}

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

func expandBuiltIn(text string, values map[string]string) string {
	for name, v := range values {
		text = strings.ReplaceAll(text, "{{"+name+"}}", v)
	}
	return text
}

// analysisProblem says what is wrong with what the Rollout wants measured, before anything moves.
func (r *Reconciler) analysisProblem(ctx context.Context, w *world, plan v1alpha1.ReleasePlan) error {
	for i, step := range plan.Steps {
		if step.Analysis == nil {
			continue
		}
		if _, err := r.measured(ctx, w.rollout.Namespace, plan, release.AnalysisID{Step: i}, placeholders(w.rollout, w.rollout.Name+"-1", step)); err != nil {
			return err
		}
	}
	if plan.Analysis == nil || len(plan.Steps) == 0 {
		return nil
	}
	_, err := r.measured(ctx, w.rollout.Namespace, plan, release.AnalysisID{Background: true}, placeholders(w.rollout, w.rollout.Name+"-1", plan.Steps[0]))
	return err
}

// measures says whether a Rollout has anything measured, and so may depend on templates.
func measures(ro *v1alpha1.Rollout) bool {
	return ro.Spec.Canary.Analysis != nil || slices.ContainsFunc(ro.Spec.Canary.Steps, func(s v1alpha1.CanaryStep) bool { return s.Analysis != nil })
}
