package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/view"
)

func newHistory(e *env) *cobra.Command {
	var o output
	var number int64
	c := &cobra.Command{
		Use:   "history NAME [--release N]",
		Short: "List the releases of a Rollout, or print the record of one",
		Example: `  sluice history shop
  sluice history shop --release 3`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runHistory(c.Context(), e, args[0], number, o)
		},
	}
	o.bind(c, "json", "yaml", "name")
	c.Flags().Int64Var(&number, "release", 0, "Number of the release whose record to print")
	return c
}

func runHistory(ctx context.Context, e *env, arg string, number int64, o output) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		// The records stay when the Rollout goes. Where there are none either, the first error is told: it lists the
		// Rollouts that there are.
		if all, _ := releases(ctx, c, ns, strings.TrimPrefix(arg, "rollout/")); len(all) > 0 {
			t, err = target{release: &all[0]}, nil
		}
	}
	if err != nil {
		return err
	}
	if t.named && number == 0 {
		return e.record(o, c, t.release)
	}
	rollout := t.rolloutName()
	if number == 0 {
		return e.listHistory(ctx, o, c, ns, rollout)
	}
	all, err := releases(ctx, c, ns, rollout)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Spec.Number == number {
			return e.record(o, c, &all[i])
		}
	}
	return fmt.Errorf("--release %d: rollout %s has no release of that number; `sluice history %s` shows those that are kept", number, rollout, rollout)
}

func (t target) rolloutName() string {
	if t.rollout != nil {
		return t.rollout.Name
	}
	return t.release.Spec.Rollout
}

func (e *env) listHistory(ctx context.Context, o output, c client.Client, ns, rollout string) error {
	all, err := releases(ctx, c, ns, rollout)
	if err != nil {
		return err
	}
	if o.machine() {
		return o.print(e.out, c.Scheme(), &v1alpha1.ReleaseList{Items: all})
	}
	if len(all) == 0 {
		fmt.Fprint(e.err, safef("Rollout %s has had no release yet; one begins when its workload's pod template changes.\n",
			rollout))
		return nil
	}
	t := table{gap: 3}
	t.row(cell{"NUMBER", plain}, cell{"REVISION", plain}, cell{"STARTED", plain}, cell{"TOOK", plain},
		cell{"PHASE", plain},
		cell{"AUTHOR", plain}, cell{"RESULT", plain})
	for _, r := range all {
		t.row(historyRow(r, e.now)...)
	}
	var b strings.Builder
	t.write(&b, e.paint)
	_, err = fmt.Fprint(e.out, b.String())
	return err
}

func historyRow(r v1alpha1.Release, now clock) []cell {
	started, took := "", ""
	if s := r.Status.StartedAt; s != nil {
		started = ago(now(), s)
		end := now()
		if r.Status.FinishedAt != nil {
			end = r.Status.FinishedAt.Time
		}
		took = span(end.Sub(s.Time))
	}
	phase, result := string(r.Status.Phase), r.Status.Result
	if result == "" && r.Status.WaitingFor != nil {
		result = r.Status.WaitingFor.Message
	}
	return []cell{
		{fmt.Sprint(r.Spec.Number), bold},
		{view.Images(r.Spec.To), plain},
		{started, plain},
		{took, plain},
		{phase, phaseColour(phase)},
		{r.Spec.Author, plain},
		{result, plain},
	}
}

// record prints everything that a release left behind. It reads nothing else: the objects around a past release have
// changed since.
func (e *env) record(o output, c client.Client, r *v1alpha1.Release) error {
	if o.machine() {
		return o.print(e.out, c.Scheme(), r)
	}
	picture := view.Of(view.Objects{Subject: view.Subject{Release: r, Named: true}})
	tr := tree{picture: picture, now: e.now(), paint: e.paint, program: e.program, last: len(picture.Timeline)}
	var b strings.Builder
	tr.head(&b)
	facts := table{indent: "  ", gap: 2}
	facts.row(cell{"from", dim}, cell{view.Images(r.Spec.From), plain})
	facts.row(cell{"to", dim}, cell{view.Images(r.Spec.To), plain})
	if r.Spec.Cause != "" {
		facts.row(cell{"cause", dim}, cell{string(r.Spec.Cause), plain})
	}
	facts.row(cell{"plan", dim}, cell{view.StepsInWords(r.Spec.Plan.Steps), plain})
	facts.row(cell{"", dim}, cell{r.Spec.PlanDigest, dim})
	facts.write(&b, e.paint)
	if len(r.Spec.Shared) > 0 {
		var names []string
		for _, s := range r.Spec.Shared {
			names = append(names, strings.ToLower(s.Kind)+"/"+s.Name)
		}
		if r.Spec.MoreShared > 0 {
			names = append(names, fmt.Sprintf("and %d more", r.Spec.MoreShared))
		}
		fmt.Fprint(&b, safef("  both versions read %s: a change of it reaches both at once, and an abort does not bring "+
			"it back\n", strings.Join(names, ", ")))
	}
	tr.showTimeline(&b)
	_, err := fmt.Fprint(e.out, b.String())
	return err
}
