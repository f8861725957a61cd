package rollout

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/measure"
	"github.com/sluice-dev/sluice/internal/naming"
	"github.com/sluice-dev/sluice/internal/release"
)

// labelAnalysis on an AnalysisRun says which of its release's analyses it is: "step-0-1" is the second try in the first
// step, "background-0-0" the first beside the steps.
const labelAnalysis = "sluice.dev/analysis"

// observeRuns reads the analyses of the release under way. A run that the release does not own is none of its.
func (r *Reconciler) observeRuns(ctx context.Context, w *world) error {
	rel := w.active()
	if rel == nil {
		return nil
	}
	list := &v1alpha1.AnalysisRunList{}
	if err := r.Kube.List(ctx, list, client.InNamespace(rel.Namespace),
		client.MatchingFields{indexRollout: w.rollout.Name}); err != nil {
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

// analyses are the runs in the core's words.
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
	return release.AnalysisID{Background: parts[0] == "background", Step: step, Attempt: attempt}, err == nil &&
		err2 == nil
}

// analyse begins an analysis, by making its AnalysisRun.
func (c *carrier) analyse(ctx context.Context, id release.AnalysisID) error {
	plan := c.rel.Spec.Plan
	if id.Step < 0 || id.Step >= len(plan.Steps) {
		return nil
	}
	step := plan.Steps[id.Step]
	values := c.values(step)
	metrics, err := measure.Metrics(plan, measure.At{Step: id.Step, Background: id.Background}, values, c.r.requests())
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
	if id.Background {
		step = ""
	}
	return naming.AnalysisRun(rel, step, id.Attempt)
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
	v := measure.Names(c.w.rollout, c.rel.Name, step)
	v["stableHash"], v["canaryHash"] = stable, canary
	for _, s := range c.w.services {
		if v["service"] == "" || s.routed {
			v["service"], v["canaryService"] = s.object.Name, c.w.twinName(s.object.Name)
		}
		if s.routed {
			break
		}
	}
	return v
}

// templates reads those that Rollouts of a namespace may name.
func (r *Reconciler) templates(namespace string) measure.Reader {
	return measure.InCluster(namespace, func(ctx context.Context, key types.NamespacedName, into measure.Object) error {
		err := r.Kube.Get(ctx, key, into)
		if apierrors.IsNotFound(err) {
			return measure.ErrNotFound
		}
		return err
	})
}

// measures says whether a Rollout has anything measured, and so may depend on templates.
func measures(ro *v1alpha1.Rollout) bool {
	gate := func(g *v1alpha1.BlueGreenGate) bool { return g != nil && g.Analysis != nil }
	if b := ro.Spec.BlueGreen; b != nil {
		return gate(b.Before) || gate(b.After)
	}
	return ro.Spec.Canary.Analysis != nil || slices.ContainsFunc(ro.Spec.Canary.Steps,
		func(s v1alpha1.CanaryStep) bool { return s.Analysis != nil })
}
