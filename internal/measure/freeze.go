package measure

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Problem is what a person has to mend in what was written: no waiting helps.
type Problem struct {
	// Field of the Rollout or the template, as "spec.canary.steps[0].analysis.templates".
	Field string
	// Message says what is wrong, and what to do.
	Message string
}

func (p *Problem) Error() string { return p.Field + ": " + p.Message }

func wrong(field, format string, args ...any) error {
	return &Problem{Field: field, Message: fmt.Sprintf(format, args...)}
}

// ErrNotFound is what a Reader returns for a template that is not there.
var ErrNotFound = errors.New("there is no such template")

// Reader reads a template as it is now.
type Reader func(ctx context.Context, ref v1alpha1.AnalysisTemplateReference) (v1alpha1.AnalysisTemplateSpec, error)

// Object is what a template is to whoever reads it from the API server.
type Object interface {
	metav1.Object
	runtime.Object
}

// InCluster reads the templates that a Rollout of a namespace may name. Get reads an object, and returns ErrNotFound
// for one that is not there; a ClusterAnalysisTemplate is in no namespace.
func InCluster(namespace string, get func(ctx context.Context, key types.NamespacedName, into Object) error) Reader {
	return func(ctx context.Context, ref v1alpha1.AnalysisTemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
		if isCluster(ref.Scope) {
			t := &v1alpha1.ClusterAnalysisTemplate{}
			err := get(ctx, types.NamespacedName{Name: ref.Name}, t)
			return t.Spec, err
		}
		t := &v1alpha1.AnalysisTemplate{}
		err := get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, t)
		return t.Spec, err
	}
}

// Prepare freezes a plan and checks it. The error is a *Problem where a person has to mend it.
func Prepare(ctx context.Context, ro *v1alpha1.Rollout, plan *v1alpha1.ReleasePlan, read Reader,
	requestMetrics Requests,
) error {
	if err := Freeze(ctx, plan, read); err != nil {
		return err
	}
	return Check(*plan, ro, requestMetrics)
}

// mostFrozen bounds, in bytes, what the templates add to a Release. An object of more than 1.5 MiB is not stored.
const mostFrozen = 512 << 10

// Freeze puts the templates that a plan's analyses name, and those that they name, into the plan, each once. What
// people approve is then what is measured, whatever becomes of the templates meanwhile. The error is a *Problem where a
// person has to mend it.
func Freeze(ctx context.Context, plan *v1alpha1.ReleasePlan, read Reader) error {
	plan.Templates = nil
	size := 0
	for _, a := range analyses(*plan) {
		todo := a.Templates
		for len(todo) > 0 {
			ref := todo[0]
			todo = todo[1:]
			if frozen(*plan, ref) != nil {
				continue
			}
			spec, err := read(ctx, ref)
			if errors.Is(err, ErrNotFound) {
				return wrong(a.field+".templates", "there is no %s: create it, or correct the name", nameOf(ref))
			}
			if err != nil {
				return fmt.Errorf("read the %s: %w", nameOf(ref), err)
			}
			raw, err := yaml.Marshal(spec)
			if err != nil {
				return fmt.Errorf("write the %s down: %w", nameOf(ref), err)
			}
			if size += len(raw); size > mostFrozen || len(plan.Templates) == v1alpha1.MostFrozenTemplates {
				return wrong(a.field+".templates", "with the %s there are more than %d KiB, or %d, of templates, which are kept "+
					"with each release; name fewer or smaller ones",
					nameOf(ref), mostFrozen>>10, v1alpha1.MostFrozenTemplates)
			}
			plan.Templates = append(plan.Templates, v1alpha1.FrozenTemplate{Name: ref.Name, Scope: ref.Scope, Spec: string(raw)})
			todo = append(todo, spec.Templates...)
		}
	}
	return nil
}

func frozen(plan v1alpha1.ReleasePlan, ref v1alpha1.AnalysisTemplateReference) *v1alpha1.FrozenTemplate {
	for i := range plan.Templates {
		if t := &plan.Templates[i]; t.Name == ref.Name && isCluster(t.Scope) == isCluster(ref.Scope) {
			return t
		}
	}
	return nil
}

func isCluster(scope string) bool { return scope == v1alpha1.ScopeCluster }

func nameOf(ref v1alpha1.AnalysisTemplateReference) string {
	if isCluster(ref.Scope) {
		return fmt.Sprintf("ClusterAnalysisTemplate %q", ref.Name)
	}
	return fmt.Sprintf("AnalysisTemplate %q in the Rollout's namespace", ref.Name)
}

// analysis is one of a plan's, with the field of the Rollout that it stands in.
type analysis struct {
	*v1alpha1.StepAnalysis
	At
	field string
}

// At says which of a plan's analyses is meant: the one of a step, counted from 0, or the one in the background, which
// then begins in that step.
type At struct {
	Step       int
	Background bool
}

// analyses of a plan, in order.
func analyses(plan v1alpha1.ReleasePlan) []analysis {
	var out []analysis
	for i := range plan.Steps {
		if a := plan.Steps[i].Analysis; a != nil {
			out = append(out, analysis{a, At{Step: i}, fmt.Sprintf("spec.canary.steps[%d].analysis", i)})
		}
	}
	if plan.Analysis != nil && len(plan.Steps) > 0 {
		out = append(out, analysis{&plan.Analysis.StepAnalysis, At{Background: true}, "spec.canary.analysis"})
	}
	return out
}
