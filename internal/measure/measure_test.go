package measure

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// counted are the request metrics of these tests.
var counted = Requests{Of: "playground", Collection: time.Second}

type (
	reference = v1alpha1.AnalysisTemplateReference
	spec      = v1alpha1.AnalysisTemplateSpec
	argument  = v1alpha1.AnalysisArgument
)

func named(names ...string) []reference {
	var out []reference
	for _, n := range names {
		name, cluster := strings.CutSuffix(n, "@cluster")
		ref := reference{Name: name}
		if cluster {
			ref.Scope = v1alpha1.ScopeCluster
		}
		out = append(out, ref)
	}
	return out
}

func asking(name, url string) v1alpha1.Metric {
	return v1alpha1.Metric{Name: name, Provider: v1alpha1.MetricProvider{HTTP: &v1alpha1.HTTPProvider{URL: url}}}
}

func step(templates []reference, args ...argument) v1alpha1.CanaryStep {
	return v1alpha1.CanaryStep{Name: "half", Weight: ptr.To(int32(50)), Analysis: &v1alpha1.StepAnalysis{Templates: templates, Args: args}}
}

// library reads from a map, in which "name@cluster" is a ClusterAnalysisTemplate.
func library(all map[string]spec) Reader {
	return func(_ context.Context, ref reference) (spec, error) {
		name := ref.Name
		if ref.Scope == v1alpha1.ScopeCluster {
			name += "@cluster"
		}
		if s, ok := all[name]; ok {
			return s, nil
		}
		return spec{}, ErrNotFound
	}
}

func shop() *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{}
	ro.Name, ro.Namespace, ro.Spec.Workload.Name = "shop", "demo", "web"
	return ro
}

// TestFreeze: each template once, those that others name too, and nothing of what they say later.
func TestFreeze(t *testing.T) {
	all := map[string]spec{
		"a":         {Templates: named("b", "a@cluster"), Metrics: []v1alpha1.Metric{asking("a", "http://a/")}},
		"b":         {Args: []argument{{Name: "host", Value: ptr.To("{{canaryService}}")}}, Metrics: []v1alpha1.Metric{asking("b", "http://{{args.host}}/{{step}}")}},
		"a@cluster": {Metrics: []v1alpha1.Metric{asking("c", "http://{{workload}}/{{weight}}")}},
	}
	plan := v1alpha1.ReleasePlan{
		Steps:    []v1alpha1.CanaryStep{step(named("a")), step(named("b"), argument{Name: "host", Value: ptr.To("x.{{namespace}}")})},
		Analysis: &v1alpha1.BackgroundAnalysis{StepAnalysis: v1alpha1.StepAnalysis{Templates: named("a@cluster")}},
	}
	if err := Freeze(t.Context(), &plan, library(all)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range plan.Templates {
		names = append(names, f.Name+" "+f.Scope)
	}
	if diff := cmp.Diff([]string{"a ", "b ", "a Cluster"}, names); diff != "" {
		t.Errorf("templates (-want +got):\n%s", diff)
	}
	clear(all)
	if err := Check(plan, shop(), counted); err != nil {
		t.Fatal(err)
	}
	for at, want := range map[At][]string{
		{Step: 0}:          {"http://a/", "http://web-canary/half", "http://web/50"},
		{Step: 1}:          {"http://x.demo/half"},
		{Background: true}: {"http://web/50"},
		{Step: 7}:          nil,
	} {
		values := Names(shop(), "shop-1", plan.Steps[0])
		values["canaryService"] = "web-canary"
		metrics, err := Metrics(plan, at, values, counted)
		if err != nil {
			t.Fatal(err)
		}
		var urls []string
		for _, m := range metrics {
			urls = append(urls, m.Provider.HTTP.URL)
		}
		if diff := cmp.Diff(want, urls); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", at, diff)
		}
	}
}

// TestFreezeRefuses: a person is told what he has to mend; what passes is an error like another.
func TestFreezeRefuses(t *testing.T) {
	large := map[string]spec{}
	var names []string
	for i := range v1alpha1.MostFrozenTemplates + 1 {
		name := fmt.Sprintf("t%d", i)
		names = append(names, name)
		large[name] = spec{Metrics: []v1alpha1.Metric{asking(name, "http://x/")}}
	}
	for name, test := range map[string]struct {
		refs []reference
		read Reader
		says string
	}{
		"missing":         {named("x"), library(nil), `spec.canary.steps[0].analysis.templates: there is no AnalysisTemplate "x" in the Rollout's namespace: create it, or correct the name`},
		"missing, shared": {named("x@cluster"), library(nil), `there is no ClusterAnalysisTemplate "x": create it`},
		"too many":        {named(names...), library(large), `with the AnalysisTemplate "t32" in the Rollout's namespace there are more than 512 KiB, or 32, of templates`},
		"too large": {
			named("x"), library(map[string]spec{"x": {Metrics: []v1alpha1.Metric{asking("x", strings.Repeat("x", mostFrozen))}}}),
			"are kept with each release; name fewer or smaller ones",
		},
	} {
		t.Run(name, func(t *testing.T) {
			plan := v1alpha1.ReleasePlan{Steps: []v1alpha1.CanaryStep{step(test.refs)}}
			err := Freeze(t.Context(), &plan, test.read)
			if _, ok := errors.AsType[*Problem](err); !ok || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v; want %q", err, test.says)
			}
		})
	}
	plan := v1alpha1.ReleasePlan{Steps: []v1alpha1.CanaryStep{step(named("x"))}}
	err := Freeze(t.Context(), &plan, func(context.Context, reference) (spec, error) { return spec{}, errors.New("time-out") })
	if _, ok := errors.AsType[*Problem](err); err == nil || ok {
		t.Errorf("a time-out is %v, which no person can mend", err)
	}
}

// TestCheckRefuses: what cannot be measured, in the words of whoever has to mend it.
func TestCheckRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		step v1alpha1.CanaryStep
		all  map[string]spec
		says string
	}{
		"an argument without a value": {
			step(named("a")),
			map[string]spec{"a": {Args: []argument{{Name: "host"}}}},
			`spec.canary.steps[0].analysis.args: the template "a" wants a value for "host"; give one`,
		},
		"an argument that names what is not known": {
			step(named("a"), argument{Name: "host", Value: ptr.To("{{serving}}")}),
			map[string]spec{"a": {Args: []argument{{Name: "host"}}, Metrics: []v1alpha1.Metric{asking("a", "http://{{args.host}}/")}}},
			"metric a: the argument host: {{serving}} is not known",
		},
		"a frozen one that is gone": {step(named("a")), nil, `the release's plan has no AnalysisTemplate "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			plan := v1alpha1.ReleasePlan{Steps: []v1alpha1.CanaryStep{test.step}}
			if test.all != nil {
				if err := Freeze(t.Context(), &plan, library(test.all)); err != nil {
					t.Fatal(err)
				}
			}
			err := Check(plan, shop(), counted)
			if _, ok := errors.AsType[*Problem](err); !ok || !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v; want %q", err, test.says)
			}
		})
	}
}
