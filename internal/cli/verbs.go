package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/view"
)

// verb is a command that decides about the release under way.
type verb struct {
	use, short, long, example string
	verb                      v1alpha1.DecisionVerb
}

var runningVerbs = []verb{
	{
		use: "approve NAME", verb: v1alpha1.VerbApprove,
		short: "Approve the step in which a release waits for approval",
		long: `Approve the step in which a release waits for approval, and the plan that you see now: if either has changed in the
meantime the word is refused. "sluice pending" lists what waits for you. Who may approve stands in the step; it takes
the RBAC verb approve on the release besides.`,
		example: `  sluice approve shop -m "error rate looks fine"`,
	},
	{
		use: "reject NAME", verb: v1alpha1.VerbReject,
		short: "Reject a release that waits for approval: it is taken back",
		long:  `Reject a release that waits for approval. One rejection is enough; the release is taken back as by "sluice abort".`,
	},
	{
		use: "override NAME", verb: v1alpha1.VerbOverride,
		short: "Let a release go on although a ReleaseWindow is shut",
		long: `Let the release under way go on although a ReleaseWindow is shut. It takes a reason (-m), which stays on the record,
and the RBAC verb override on the release.`,
		example: `  sluice override shop -m "CVE-2026-1234 is being exploited"`,
	},
	{
		use: "abort NAME", verb: v1alpha1.VerbAbort,
		short: "Send all requests back to the stable version and take the new one down",
		long: `Send all requests back to the stable version, as fast as its pods can carry them, and take the new one down.
The workload's pod template stays as the team wrote it unless the Rollout says onAbort: revert; the rejected
version is not tried again until "sluice retry" or until the template changes.`,
		example: `  sluice abort shop -m "checkout errors"`,
	},
	{
		use: "pause NAME", verb: v1alpha1.VerbPause,
		short: "Stop the advance of a release where it stands",
		long:  `Stop the advance of a release. Its pods and routes stay as they are until "sluice resume".`,
	},
	{
		use: "resume NAME", verb: v1alpha1.VerbResume,
		short: "Go on after \"pause\", or after a failed step that asks a person",
		long: `Go on after "sluice pause", or after a step failed in a Rollout with onFailure: pause. The pause of a step
is not ended by it: "sluice promote" does that.`,
	},
}

// newVerbs makes the commands that decide about the release under way. Promote is apart, since it has flags of its
// own.
func newVerbs(e *env) []*cobra.Command {
	out := []*cobra.Command{newPromote(e)}
	for _, v := range runningVerbs {
		var d decide
		c := &cobra.Command{
			Use: v.use, Short: v.short, Long: v.long, Example: v.example,
			Args:              oneName,
			ValidArgsFunction: e.completeNames,
			RunE: func(c *cobra.Command, args []string) error {
				return d.running(c.Context(), e, args[0], v.verb)
			},
		}
		d.bind(c)
		out = append(out, c)
	}
	return out
}

func newPromote(e *env) *cobra.Command {
	var d decide
	var full bool
	var to string
	c := &cobra.Command{
		Use:   "promote NAME",
		Short: "End the pause of the current step, or with --full go past all steps",
		Long: `End the pause of the step in which the release stands now, and of no other: if the step is not in force yet, or the
release has moved on in the meantime, the word is refused.

With --to STEP the pauses of all steps before STEP are ended; their approvals and analyses are waited for.

With --full the release goes past all its steps to completion. The pods that the new version needs are waited for
all the same.

Nothing of this goes past the step that spec.holdAt of the Rollout names.`,
		Example: `  sluice promote shop
  sluice promote shop --to half
  sluice promote shop --full -m "hotfix"`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			v := v1alpha1.VerbPromote
			if full {
				v = v1alpha1.VerbPromoteFull
			}
			d.to = to
			return d.running(c.Context(), e, args[0], v)
		},
	}
	d.bind(c)
	c.Flags().StringVar(&to, "to", "", "End the pauses of all steps before this `step`")
	c.Flags().BoolVar(&full, "full", false, "Go past all steps to completion")
	c.MarkFlagsMutuallyExclusive("full", "to")
	return c
}

// running decides about the release under way. In a script `sluice promote` often follows `kubectl set image` at once;
// so where a change is held and its release has not begun, it waits for that release and does not say that there is
// none.
func (d *decide) running(ctx context.Context, e *env, arg string, v v1alpha1.DecisionVerb) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	t, err := resolve(ctx, c, ns, arg)
	for range beginsWithin { // A change that is held has its release in a moment.
		if err != nil || t.underWay() || !begins(ctx, c, t) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		t, err = resolve(ctx, c, ns, arg)
	}
	if err != nil {
		return err
	}
	if !t.underWay() {
		return nothingUnderWay(t, v)
	}
	if early := tooEarly(t.release, v); early != "" {
		return no("%s", early)
	}
	word := wordOn(t.release, v)
	word.ToStep = d.to
	return d.run(ctx, e, c, ns, word)
}

// beginsWithin is how many half seconds a word waits for the release of a change that was made just now. The
// controller gives changes a moment, so that steps that are applied with an image count. It gives them 10 s at most,
// so 12 s are enough.
const beginsWithin = 24

// begins says whether a change of the workload is held whose release is about to begin. Healthy and Degraded are the
// phases of a status that has not seen the change yet. A change that was rejected, that the team has paused or that is
// stalled is held too, but no release of it comes by waiting.
func begins(ctx context.Context, c client.Client, t target) bool {
	r := t.rollout
	if r == nil || t.named {
		return false
	}
	switch r.Status.Phase {
	case v1alpha1.RolloutHealthy, v1alpha1.RolloutDegraded:
	case v1alpha1.RolloutPending:
		if w := r.Status.WaitingFor; w == nil || w.Reason != release.ReasonStillChanging {
			return false
		}
	default:
		return false
	}
	var d appsv1.Deployment
	err := c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.Workload.Name}, &d)
	return err == nil && d.Spec.Paused && d.Annotations[v1alpha1.AnnotationHeld] != ""
}

// tooEarly says why a promotion would speak of a step that nobody has seen in force. It is refused here, so that no
// Decision names a step that its author has not seen in force.
func tooEarly(r *v1alpha1.Release, v v1alpha1.DecisionVerb) string {
	steps, at := r.Spec.Plan.Steps, view.CurrentStep(r)
	m := r.Status.Memory
	// A failure may pause a release before the step is in force. Promote is then the answer to that failure.
	asked := view.VerbFor(r.Status.WaitingFor) == v1alpha1.VerbResume
	inForce := m != nil && (m.StepReachedAt != nil || asked && m.PausedBy == failure)
	if v != v1alpha1.VerbPromote || view.StepAt(r) == nil || inForce {
		return ""
	}
	because := ""
	if w := r.Status.WaitingFor; w != nil {
		because = ": " + w.Message
	}
	return fmt.Sprintf("%s: step %d/%d %q is not in force yet%s; decide again when it is",
		r.Name, at+1, len(steps), view.StepName(steps, at), because)
}

// failure stands in a release's memory for the user who paused it when a failure did.
const failure = "sluice"

// wordOn fills in what binds a decision to what its author saw: the plan, and for all words that let a release go on,
// the step and since when it waits, so that none opens a later one by accident. Stopping and taking back are never
// refused for a step that has passed meanwhile, and promote --full and override are on the release, however far it is.
func wordOn(r *v1alpha1.Release, v v1alpha1.DecisionVerb) v1alpha1.DecisionSpec {
	spec := v1alpha1.DecisionSpec{Release: r.Name, Verb: v, PlanDigest: r.Spec.PlanDigest} // What was meant is this one.
	switch v {
	case v1alpha1.VerbPromote, v1alpha1.VerbApprove, v1alpha1.VerbReject, v1alpha1.VerbResume:
		spec.Since = waitsSince(r.Status.Memory, v)
		if at := view.StepAt(r); at != nil {
			spec.Step = view.StepName(r.Spec.Plan.Steps, view.CurrentStep(r))
			if a := at.Approval; a != nil && (v == v1alpha1.VerbApprove || v == v1alpha1.VerbReject) {
				// Only the groups that the step names: a Decision has room for 64, and a person may be in hundreds.
				spec.Groups = slices.Clone(a.From.Groups)
			}
		}
	default: // The others are on the release, however far it is.
	}
	return spec
}

// waitsSince is since when a release waits for a word, as its memory has it; nil where it does not. The controller
// refuses a word that names another time. On a release that is paused by hand or by a failure, promote speaks of that
// pause and not of the step's.
func waitsSince(m *v1alpha1.ReleaseMemory, v v1alpha1.DecisionVerb) *metav1.MicroTime {
	switch {
	case m == nil:
		return nil
	case v == v1alpha1.VerbApprove || v == v1alpha1.VerbReject:
		if m.AskedAt != nil && m.StepReachedAt != nil && m.StepReachedAt.After(m.AskedAt.Time) {
			return m.StepReachedAt // The step was lost since, and is in force again.
		}
		return m.AskedAt
	case v == v1alpha1.VerbResume || m.PausedAt != nil:
		return m.PausedAt
	}
	return m.StepReachedAt
}

func nothingUnderWay(t target, v v1alpha1.DecisionVerb) error {
	if t.release == nil {
		return no("rollout %s has no release to %s: one begins when the pod template of deployment/%s changes, as by `sluice start`",
			t.rollout.Name, v, t.rollout.Spec.Workload.Name)
	}
	hint := fmt.Sprintf("a new one begins when the pod template changes, as by `sluice start`; `sluice retry %s` tries an aborted one again", t.release.Spec.Rollout)
	return no("nothing to %s: %s has ended (%s); %s", v, t.release.Name, t.release.Status.Phase, hint)
}
