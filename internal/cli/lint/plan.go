package lint

import (
	"cmp"
	"context"
	"errors"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/preflight"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// checkPlan has the core look at what the Rollout comes to.
func (r *Report) checkPlan(d *document, ro *v1alpha1.Rollout) []Problem {
	var out []Problem
	spec := translate.Spec(translate.Plan(ro, r.Layers), "", "")
	for _, p := range append(release.Validate(spec), release.ValidateHoldAt(spec, ro.Spec.HoldAt)...) {
		out = append(out, d.problem(translate.OwnFields(&ro.Spec, p.Field), p.Message+"; "+p.Remedy))
	}
	if len(out) > 0 {
		return out
	}
	// The layers are asked only about steps that the core finds sound, or one mistake could be told twice.
	for _, l := range ro.Spec.Traffic {
		checker, ok := r.Layers.Of(l).(traffic.SplitChecker)
		if !ok {
			continue
		}
		for _, err := range checker.CheckSplits(traffic.Splits(spec)) {
			field, message, _ := strings.Cut(translate.OwnFields(&ro.Spec, err.Error()), ": ")
			out = append(out, d.problem(field, message))
		}
	}
	return out
}

// Finish checks what can be told only when all files are read: what the Rollouts have measured by the templates in the
// files. A template that is not among them may be in the cluster.
func (r *Report) Finish() {
	if len(r.Problems) > 0 {
		return // What is not sound in itself would be told twice.
	}
	for i := range r.Rollouts {
		plan := translate.Plan(&r.Rollouts[i], r.Layers)
		err := measure.Prepare(context.Background(), &r.Rollouts[i], &plan, r.orEmpty(r.Rollouts[i].Namespace),
			measure.AnyRequestMetrics())
		if p, ok := errors.AsType[*measure.Problem](err); ok {
			field := translate.OwnFields(&r.Rollouts[i].Spec, p.Field)
			r.Problems = append(r.Problems, r.documents[i].problem(field, p.Message))
			continue
		}
		if field := measure.Jobs(plan); field != "" {
			field = translate.OwnFields(&r.Rollouts[i].Spec, field)
			r.Notes = append(r.Notes, r.documents[i].problem(field,
				"it runs a Job; "+deploy.LetRunJobs(cmp.Or(r.Rollouts[i].Namespace, "NAMESPACE"))).String())
		}
		r.checkStrategy(i)
		r.checkLeft(i)
	}
}

// checkLeft refuses to leave a Service as it is that a layer leads to, where the layer's objects are in the files. A
// Service that is in the files and of another workload is not in front of this one.
func (r *Report) checkLeft(i int) {
	ro := &r.Rollouts[i]
	for _, rule := range ro.Spec.Services {
		for _, l := range ro.Spec.Traffic {
			if rule.Policy == v1alpha1.ServiceLeave && r.leads(ro, l, rule.Name) && !r.ofAnother(rule.Name, ro) {
				r.Problems = append(r.Problems, r.documents[i].problem(preflight.Field(ro.Spec.Services, rule.Name),
					preflight.LeftRouted(rule.Name, translate.LayerOf(l).String())))
			}
		}
	}
}

// leads says whether a layer's objects, as far as they are in the files, send requests to a Service.
func (r *Report) leads(ro *v1alpha1.Rollout, l v1alpha1.TrafficLayer, service string) bool {
	provider := r.Layers.Of(l)
	if provider == nil {
		return false
	}
	seen := traffic.World{Rollout: ro.Name}
	// Look fails only where its reader does, and this one never does.
	seen, _ = traffic.Look(provider, seen, func(o traffic.Object) (*unstructured.Unstructured, error) {
		return r.object(ro, o.Ref), nil
	})
	return traffic.LeadsTo(provider, seen, service)
}

// object is one in the files, of whatever version of its kind; nil if it is not there. The API server serves an
// object in each version of its kind, so a manifest may name another one than the layer's provider.
func (r *Report) object(ro *v1alpha1.Rollout, of traffic.Ref) *unstructured.Unstructured {
	for _, u := range r.objects {
		if u.GroupVersionKind().GroupKind() == of.GroupKind() && u.GetName() == of.Name && together(u, ro) {
			return u
		}
	}
	return nil
}

// ofAnother says whether a Service in the files selects none of the pods of the Rollout's workload in the files.
func (r *Report) ofAnother(service string, ro *v1alpha1.Rollout) bool {
	for _, s := range r.services {
		for _, d := range r.Deployments {
			if s.Name == service && d.Name == ro.Spec.Workload.Name && together(&s, ro) && together(&d, ro) {
				return !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(d.Spec.Template.Labels))
			}
		}
	}
	return false
}

// together says whether an object may be in the Rollout's namespace. A manifest without one goes where it is applied
// to, which a file cannot tell.
func together(o metav1.Object, ro *v1alpha1.Rollout) bool {
	return o.GetNamespace() == "" || ro.Namespace == "" || o.GetNamespace() == ro.Namespace
}

// checkStrategy refuses a workload, where it is in the files, that asks that two of its revisions never run at once.
func (r *Report) checkStrategy(i int) {
	ro := &r.Rollouts[i]
	for _, d := range r.Deployments {
		if together(&d, ro) && d.Name == ro.Spec.Workload.Name &&
			d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
			r.Problems = append(r.Problems, r.documents[i].problem("spec.workload", preflight.TwoAtOnce(d.Name)))
		}
	}
}

// orEmpty reads a template from the files. One that is not there measures nothing: it may be in the cluster, and what
// cannot be known is no problem.
func (r *Report) orEmpty(namespace string) measure.Reader {
	return func(_ context.Context, ref v1alpha1.AnalysisTemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
		spec, _ := r.Template(namespace, ref)
		return spec, nil
	}
}

// Template in the files that a Rollout of this namespace means.
func (r *Report) Template(namespace string, ref v1alpha1.AnalysisTemplateReference) (
	spec v1alpha1.AnalysisTemplateSpec, found bool,
) {
	list := r.Templates
	if ref.Scope == v1alpha1.ScopeCluster {
		list, namespace = r.ClusterTemplates, ""
	}
	for _, t := range list {
		if t.Name == ref.Name && (namespace == "" || t.Namespace == "" || t.Namespace == namespace) {
			return t.Spec, true
		}
	}
	return spec, false
}
