package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/naming"
)

// templatesOf reads the analysis templates that a Rollout of this namespace may name: those in the files, and then
// those in the cluster, since the files are what is about to be applied. Without a cluster, one that is not in the
// files measures nothing: it may be in the cluster, so it is no problem.
func templatesOf(c client.Client, namespace string, files *lint.Report) measure.Reader {
	inCluster := measure.InCluster(namespace, func(ctx context.Context, key client.ObjectKey, into measure.Object) error {
		err := c.Get(ctx, key, into)
		if missing(err) {
			return measure.ErrNotFound
		}
		return err
	})
	return func(ctx context.Context, ref v1alpha1.AnalysisTemplateReference) (v1alpha1.AnalysisTemplateSpec, error) {
		spec, found := files.Template(namespace, ref)
		if found || c == nil {
			return spec, nil
		}
		return inCluster(ctx, ref)
	}
}

// measure tells what the analyses measure, and what of it cannot be measured. How the controller was started cannot be
// asked, so what depends on its flags and rights is a note.
func (p *planned) measure(ctx context.Context, r *v1alpha1.Rollout, plan *v1alpha1.ReleasePlan, read measure.Reader) {
	err := measure.Prepare(ctx, r, plan, read, measure.AnyRequestMetrics())
	if problem, ok := errors.AsType[*measure.Problem](err); ok {
		p.Problems = append(p.Problems, problem.Error())
		return
	}
	if err != nil {
		p.Notes = append(p.Notes, "what is measured is not known: "+sentence(err))
		return
	}
	if asksBuiltin(plan) {
		p.Notes = append(p.Notes, "a builtin asks for the requests that a traffic layer counts: the controller must run "+
			"with --request-metrics, or it refuses the Rollout")
	}
	if field := measure.Jobs(*plan); field != "" {
		p.Notes = append(p.Notes, field+" runs a Job, which the controller may do only where it is let; elsewhere it "+
			"refuses the Rollout; "+deploy.LetRunJobs(r.Namespace))
	}
	for i := range plan.Steps {
		p.Steps[i].Measures = metricLines(*plan, measure.At{Step: i}, r)
	}
	if plan.Analysis != nil {
		p.Background = metricLines(*plan, measure.At{Background: true}, r)
	}
}

func asksBuiltin(plan *v1alpha1.ReleasePlan) bool {
	return plan.Analysis != nil && plan.Analysis.Builtin != "" ||
		slices.ContainsFunc(plan.Steps, func(s v1alpha1.CanaryStep) bool {
			return s.Analysis != nil &&
				s.Analysis.Builtin != ""
		})
}

// metricLines is a line for each metric of an analysis. The number in the release's name does not matter: it goes into
// queries, and no line shows these.
func metricLines(plan v1alpha1.ReleasePlan, at measure.At, r *v1alpha1.Rollout) []string {
	metrics, err := measure.Metrics(plan, at, measure.Names(r, naming.Release(r.Name, 1), plan.Steps[at.Step]),
		measure.AnyRequestMetrics())
	if err != nil {
		return nil // Has been told.
	}
	var out []string
	for _, m := range metrics {
		line := m.Name
		switch {
		case m.Interval == nil:
		case m.Count != nil:
			line += fmt.Sprintf(" every %s, %s", m.Interval.Duration, times(int(*m.Count)))
		default:
			line += fmt.Sprintf(" every %s", m.Interval.Duration)
		}
		if m.Compare != nil {
			line += ", compared with the stable version"
		}
		if m.DryRun {
			line += ", without consequences"
		}
		out = append(out, line)
	}
	return out
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times at most", n)
}
