package rollout

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

func template(name string, change func(*v1alpha1.AnalysisTemplateSpec)) *v1alpha1.AnalysisTemplate {
	t := &v1alpha1.AnalysisTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.AnalysisTemplateSpec{
			Args: []v1alpha1.AnalysisArgument{{Name: "path", Value: ptr.To("/{{step}}")}},
			Metrics: []v1alpha1.Metric{{Name: name, SuccessCondition: "status == 200", Provider: v1alpha1.MetricProvider{
				HTTP: &v1alpha1.HTTPProvider{URL: "http://{{canaryService}}.{{namespace}}{{args.path}}?weight={{weight}}"},
			}}},
		},
	}
	if change != nil {
		change(&t.Spec)
	}
	return t
}

// measuring is a cluster in which shop:v2 is released with an analysis in its first step and one in the background.
func measuring(t *testing.T, verdict v1alpha1.AnalysisPhase) *cluster {
	t.Helper()
	ro := canary(25, 50)
	ro.Spec.Canary.Steps[0].Analysis = &v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: "errors"}}}
	ro.Spec.Canary.Steps[0].Name = "first"
	ro.Spec.Canary.Analysis = &v1alpha1.BackgroundAnalysis{StepAnalysis: v1alpha1.StepAnalysis{
		Templates: []v1alpha1.AnalysisTemplateReference{{Name: "latency"}},
		Args:      []v1alpha1.AnalysisArgument{{Name: "path", Value: ptr.To("/background")}},
	}}
	c := newCluster(t, append(team(ro), template("errors", nil), template("latency", nil))...)
	c.verdict = verdict
	c.settle()
	c.setImage("shop:v2")
	return c
}

func (c *cluster) runs() map[string]v1alpha1.AnalysisRun {
	c.t.Helper()
	list := &v1alpha1.AnalysisRunList{}
	if err := c.store.List(c.t.Context(), list); err != nil {
		c.t.Fatal(err)
	}
	out := map[string]v1alpha1.AnalysisRun{}
	for _, r := range list.Items {
		out[r.Name] = r
	}
	return out
}

// TestAnalysisDecides: a good verdict lets the step be left, a bad one takes the release back, an unclear one waits.
func TestAnalysisDecides(t *testing.T) {
	c := measuring(t, v1alpha1.AnalysisSuccessful)
	c.settle()
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	c.expectEnd("a good verdict", v1alpha1.ReleaseSucceeded)
	runs := c.runs()
	first, background := runs["shop-1-first"], runs["shop-1.background"]
	if len(runs) != 2 || first.Spec.Metrics[0].Provider.HTTP.URL != "http://web-canary.demo/first?weight=25" ||
		background.Spec.Metrics[0].Provider.HTTP.URL != "http://web-canary.demo/background?weight=25" {
		t.Errorf("what is measured: %+v, %+v", first.Spec, background.Spec)
	}

	c = measuring(t, v1alpha1.AnalysisFailed)
	c.settle()
	if rel := c.release("shop-1"); rel.Status.Phase != v1alpha1.ReleaseAborted || !strings.Contains(rel.Status.Result, "as the test says") {
		t.Errorf("a bad verdict: %s, %s", rel.Status.Phase, rel.Status.Result)
	}
	c.expectNothingLeft("a bad verdict")

	for _, verdict := range []v1alpha1.AnalysisPhase{v1alpha1.AnalysisInconclusive, v1alpha1.AnalysisError, v1alpha1.AnalysisCancelled} {
		c = measuring(t, verdict)
		c.settle()
		if w := c.release("shop-1").Status.WaitingFor; w == nil || w.Reason != release.ReasonAnalysisUnclear {
			t.Errorf("%s: the release waits for %+v", verdict, w)
		}
	}
}

// TestTemplatesAreFrozen: what a release measures is what its plan says, whatever becomes of the templates, and the plan's
// digest, which approvals name, speaks of it.
func TestTemplatesAreFrozen(t *testing.T) {
	c := measuring(t, v1alpha1.AnalysisSuccessful)
	c.begin("shop-1")
	digest := c.release("shop-1").Spec.PlanDigest
	c.rewrite("errors")
	c.deleteNamed(&v1alpha1.AnalysisTemplate{}, "latency")
	c.settle()
	if got := c.runs()["shop-1-first"].Spec.Metrics[0].SuccessCondition; got != "status == 200" {
		t.Errorf("it measured %q", got)
	}
	c.decide(v1alpha1.VerbPromote, "shop-1")
	c.settle()
	if phase := c.release("shop-1").Status.Phase; phase != v1alpha1.ReleaseSucceeded {
		t.Errorf("it ended as %q", phase)
	}

	c = measuring(t, v1alpha1.AnalysisSuccessful)
	c.rewrite("errors")
	c.begin("shop-1")
	if c.release("shop-1").Spec.PlanDigest == digest {
		t.Error("two plans that measure different things have one digest")
	}
}

// begin looks until there is the release.
func (c *cluster) begin(name string) {
	c.t.Helper()
	for range 40 {
		if _, _, err := c.look(); err != nil {
			c.t.Fatal(err)
		}
		if c.release(name) != nil {
			return
		}
		c.kubernetes()
		c.now = c.now.Add(quiet / 10)
	}
	c.t.Fatalf("release %s does not begin: %s", name, c.tells())
}

// rewrite has a template call everything good.
func (c *cluster) rewrite(name string) {
	c.t.Helper()
	at := &v1alpha1.AnalysisTemplate{}
	c.get(at, name)
	at.Spec.Metrics[0].SuccessCondition = "true"
	c.update(at)
}

// TestFaultAtEveryWriteWhileMeasuring: each analysis is begun once, whatever happens to any one write.
func TestFaultAtEveryWriteWhileMeasuring(t *testing.T) {
	for _, die := range []bool{true, false} {
		for n := 1; ; n++ {
			c, hit := measuring(t, v1alpha1.AnalysisSuccessful), ""
			c.failure = func(i int, write string) (error, bool) {
				if i != n {
					return nil, false
				}
				hit = write
				if die {
					c.restart()
				}
				return errLost, die
			}
			c.settle()
			c.decide(v1alpha1.VerbPromote, "shop-1")
			c.settle()
			c.expectEnd(fmt.Sprintf("write %d (%s)", n, hit), v1alpha1.ReleaseSucceeded)
			if runs := c.runs(); len(runs) != 2 {
				t.Errorf("write %d (%s): %d analyses", n, hit, len(runs))
			}
			if hit == "" {
				break
			}
		}
	}
}

// TestTemplatesRefused: what cannot be measured is told before anything moves, with the field and the remedy.
func TestTemplatesRefused(t *testing.T) {
	names := func(name string) []v1alpha1.AnalysisTemplateReference {
		return []v1alpha1.AnalysisTemplateReference{{Name: name}}
	}
	for name, tt := range map[string]struct {
		analysis  v1alpha1.StepAnalysis
		templates []*v1alpha1.AnalysisTemplate
		says      string
	}{
		"none": {
			v1alpha1.StepAnalysis{Templates: names("errors")},
			nil,
			`spec.canary.steps[0].analysis.templates: there is no AnalysisTemplate "errors" in the Rollout's namespace: create it, or correct the name`,
		},
		"no cluster-wide one": {
			v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: "errors", Scope: v1alpha1.ScopeCluster}}},
			nil,
			`there is no ClusterAnalysisTemplate "errors": create it, or correct the name`,
		},
		"a circle": {v1alpha1.StepAnalysis{Templates: names("a")}, []*v1alpha1.AnalysisTemplate{
			template("a", func(s *v1alpha1.AnalysisTemplateSpec) { s.Templates = names("b") }),
			template("b", func(s *v1alpha1.AnalysisTemplateSpec) { s.Templates = names("a") }),
		}, "a -> b -> a name each other"},
		"one metric twice": {v1alpha1.StepAnalysis{Templates: append(names("a"), names("b")...)}, []*v1alpha1.AnalysisTemplate{
			template("a", nil), template("b", func(s *v1alpha1.AnalysisTemplateSpec) { s.Metrics[0].Name = "a" }),
		}, `two of them have a metric "a"; rename one`},
		"a condition that makes no sense": {v1alpha1.StepAnalysis{Templates: names("a")}, []*v1alpha1.AnalysisTemplate{
			template("a", func(s *v1alpha1.AnalysisTemplateSpec) { s.Metrics[0].SuccessCondition = "status ==" }),
		}, "metric a: successCondition"},
		"a secret for whom the argument names": {v1alpha1.StepAnalysis{Templates: names("a"), Args: []v1alpha1.AnalysisArgument{{Name: "path", Value: ptr.To("evil.example")}}}, []*v1alpha1.AnalysisTemplate{
			template("a", func(s *v1alpha1.AnalysisTemplateSpec) {
				s.Metrics[0].Provider.HTTP.URL = "https://{{ args.path }}/"
				s.Metrics[0].Provider.HTTP.Connection = &v1alpha1.Connection{BearerToken: &v1alpha1.SecretKeyReference{Name: "api", Key: "token"}}
			}),
		}, "an argument stands in its address, and it has credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			ro := canary(25, 50)
			ro.Spec.Canary.Steps[0].Analysis = &tt.analysis
			c := newCluster(t, team(ro)...)
			for _, x := range tt.templates {
				c.add(x)
			}
			c.settle()
			if w := c.rollout().Status.WaitingFor; w == nil || w.Reason != release.ReasonSpecRefused || !strings.Contains(w.Message, tt.says) {
				t.Errorf("it says %+v; want %q", w, tt.says)
			}
		})
	}
}
