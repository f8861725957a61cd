package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/view"
)

func newRetry(e *env) *cobra.Command {
	var d decide
	c := &cobra.Command{
		Use:   "retry NAME",
		Short: "Try an aborted version again, as a new release",
		Long: `Try the version of an aborted release again, as a new release from the first step. NAME is a Rollout, whose
last aborted release is meant, or that release itself.`,
		Example: `  sluice retry shop
  sluice retry shop-7`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return d.retry(c.Context(), e, args[0])
		},
	}
	d.bind(c)
	return c
}

func (d *decide) retry(ctx context.Context, e *env, arg string) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		return err
	}
	name, err := toRetry(t)
	if err != nil {
		return err
	}
	return d.anew(ctx, e, c, t, v1alpha1.DecisionSpec{Release: name, Verb: v1alpha1.VerbRetry})
}

// anew makes a Decision that leads to a new release, and waits until that has begun, so that whoever asks for the
// status next is told of the new release and not of the one before.
func (d *decide) anew(ctx context.Context, e *env, c client.WithWatch, t target, spec v1alpha1.DecisionSpec) error {
	if err := d.run(ctx, e, c, t.namespace(), spec); err != nil || !d.wait || t.rollout == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	for ctx.Err() == nil { // The API server may end a watch at any time; another one begins with the object as it is.
		w, err := c.Watch(ctx, &v1alpha1.RolloutList{}, client.InNamespace(t.namespace()),
			client.MatchingFields{"metadata.name": t.rollout.Name})
		if err != nil {
			break
		}
		if began := newRelease(ctx, w, t.rollout); began != "" {
			if d.machine() {
				return nil
			}
			_, err := fmt.Fprint(e.out, safef("%s has begun; follow it: %s get %s -w\n", began, e.program, t.rollout.Name))
			return err
		}
	}
	return fmt.Errorf("the decision was applied, but no release has begun within %s; `%s get %s` shows what it waits for", d.timeout, e.program, t.rollout.Name)
}

// newRelease reads a watch until the Rollout speaks of another release than before; it gives "" where the watch or
// ctx ends first.
func newRelease(ctx context.Context, w watch.Interface, before *v1alpha1.Rollout) string {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
		case ev, open := <-w.ResultChan():
			if !open {
				return ""
			}
			r, ok := ev.Object.(*v1alpha1.Rollout)
			if ok && r.Name == before.Name && r.Status.LastNumber > before.Status.LastNumber {
				return r.Status.CurrentRelease
			}
		}
	}
}

func (t target) namespace() string {
	if t.rollout != nil {
		return t.rollout.Namespace
	}
	return t.release.Namespace
}

// toRetry is the aborted release that NAME means. What the controller would refuse is refused here already, with the
// command that does what was probably meant.
func toRetry(t target) (string, error) {
	switch {
	case t.named && t.underWay():
		return "", no("%s is under way (%s); only a release that was aborted can be retried", t.release.Name,
			t.release.Status.Phase)
	case t.named && t.release.Status.Phase == v1alpha1.ReleaseSucceeded:
		return "", no("%s succeeded; to go back to what it brought: `sluice rollback %s --to %d`", t.release.Name, t.release.Spec.Rollout, t.release.Spec.Number)
	case t.named:
		return t.release.Name, nil
	case t.underWay():
		return "", no("%s is under way (%s); retry when it has ended (`sluice status %s --wait`), or name the release to retry",
			t.release.Name, t.release.Status.Phase, t.rollout.Name)
	case t.rollout.Status.Rejected != nil && t.rollout.Status.Rejected.Release != "":
		return t.rollout.Status.Rejected.Release, nil
	}
	return "", no("rollout %s has no aborted release to retry; `sluice history %s` shows its releases", t.rollout.Name, t.rollout.Name)
}

func newRollback(e *env) *cobra.Command {
	var d decide
	var to int64
	c := &cobra.Command{
		Use:   "rollback NAME [--to N]",
		Short: "Go back to what an earlier release brought, without intermediate steps",
		Long: `Go back to the version that an earlier, succeeded release brought: a new release without intermediate steps,
as soon as the pods that it needs are ready. Without --to it is the last one before the version that is stable
now, or, after the first release, what ran before it. "sluice history NAME" shows the numbers.

While a release keeps its old pods after the hand-over (keepOld), the rollback goes back to these at once, and ends
that release. Any other release that is still under way is taken back by "sluice abort".`,
		Example: `  sluice rollback shop
  sluice rollback shop --to 3`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return d.rollback(c.Context(), e, args[0], to)
		},
	}
	d.bind(c)
	c.Flags().Int64Var(&to, "to", 0, "Number of the release to go back to")
	return c
}

func (d *decide) rollback(ctx context.Context, e *env, arg string, to int64) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		return err
	}
	if t.rollout == nil {
		return fmt.Errorf("the Rollout %s of release %s is gone", t.release.Spec.Rollout, t.release.Name)
	}
	// The release under way still has the old pods: they take the requests over at once, and no new release is needed.
	// With --to somebody asks for a certain version, which need not be the one that is kept.
	if to == 0 && t.keepsOld() {
		return d.run(ctx, e, c, t.namespace(), v1alpha1.DecisionSpec{
			Release: t.release.Name, Verb: v1alpha1.VerbRollback, PlanDigest: t.release.Spec.PlanDigest,
		})
	}
	name, before, err := toRollBackTo(ctx, c, t.rollout, to)
	if err != nil {
		return err
	}
	// The warning is an extra: where the workload cannot be read, the way back must not fail for it.
	var workload appsv1.Deployment
	if c.Get(ctx, client.ObjectKey{Namespace: t.rollout.Namespace, Name: t.rollout.Spec.Workload.Name}, &workload) == nil {
		fmt.Fprintln(e.err, appliedAgain(&workload))
	}
	return d.anew(ctx, e, c, t, v1alpha1.DecisionSpec{Release: name, Verb: v1alpha1.VerbRollback, Before: before})
}

// keepsOld says whether a release is under way whose old pods are kept to go back to.
func (t target) keepsOld() bool {
	if !t.underWay() || t.release == nil {
		return false
	}
	w := t.release.Status.WaitingFor
	return w != nil && w.Reason == release.ReasonKeepingOld
}

// toRollBackTo is the succeeded release of that number, or without one the last that brought another revision than
// the one that is stable now. Where there is none, before says that what ran before the named release is meant.
func toRollBackTo(ctx context.Context, c client.Reader, r *v1alpha1.Rollout, number int64) (
	name string, before bool, err error,
) {
	all, err := releases(ctx, c, r.Namespace, r.Name)
	if err != nil {
		return "", false, err
	}
	good := slices.DeleteFunc(slices.Clone(all),
		func(rel v1alpha1.Release) bool { return rel.Status.Phase != v1alpha1.ReleaseSucceeded })
	if number == 0 {
		return former(r, good)
	}
	if i := slices.IndexFunc(good, func(rel v1alpha1.Release) bool { return rel.Spec.Number == number }); i >= 0 {
		return good[i].Name, false, nil
	}
	if i := slices.IndexFunc(all, func(rel v1alpha1.Release) bool { return rel.Spec.Number == number }); i >= 0 {
		return "", false, no("--to %d: %s did not succeed (%s); %s", number, all[i].Name, all[i].Status.Phase, choices(good))
	}
	return "", false, no("--to %d: rollout %s has no release of that number; %s", number, r.Name, choices(good))
}

// former is the last succeeded release that brought another revision than the stable one, or else the oldest that is
// on record, before which another revision ran. The last release as such will not do: after a rollback it has brought
// the revision that is stable now.
func former(r *v1alpha1.Rollout, good []v1alpha1.Release) (name string, before bool, err error) {
	if len(good) == 0 {
		return "", false, no("rollout %s has no succeeded release to go back to", r.Name)
	}
	if r.Status.Stable == nil {
		return good[0].Name, false, nil
	}
	for _, rel := range good {
		if rel.Spec.To.Hash != r.Status.Stable.Hash {
			return rel.Name, false, nil
		}
	}
	first := good[len(good)-1]
	if first.Spec.From.Hash == r.Status.Stable.Hash {
		return "", false, no("rollout %s has no record of another revision than the one that runs", r.Name)
	}
	return first.Name, true, nil
}

// choices are the numbers that --to takes, told with a number that it does not take.
func choices(good []v1alpha1.Release) string {
	if len(good) == 0 {
		return "there is none that succeeded"
	}
	var out []string
	for _, rel := range good {
		out = append(out, fmt.Sprintf("%d (%s)", rel.Spec.Number, view.Images(rel.Spec.To)))
	}
	return "those that succeeded: " + strings.Join(out, ", ")
}
