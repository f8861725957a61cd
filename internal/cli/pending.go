package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

type pendingOptions struct {
	output
	all, everybody bool
}

func newPending(e *env) *cobra.Command {
	var o pendingOptions
	c := &cobra.Command{
		Use:   "pending",
		Short: "List the releases that wait for you",
		Long: `List the releases that wait for a person, and whom you may move on: to approve, where the step names you or one of your
groups; to promote, resume or override, where RBAC lets you. With --everybody those that wait for others are listed
too.`,
		Example: `  sluice pending -A`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runPending(c.Context(), e, o)
		},
	}
	o.bind(c, "json", "yaml", "name")
	c.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "Look in all namespaces")
	c.Flags().BoolVar(&o.everybody, "everybody", false, "List what waits for other people, too")
	return c
}

// personal are the waits that a person ends, and the verb that does.
var personal = map[string]v1alpha1.DecisionVerb{
	release.ReasonAwaitingApproval: v1alpha1.VerbApprove,
	release.ReasonPausedForPerson:  v1alpha1.VerbPromote,
	release.ReasonPausedByHand:     v1alpha1.VerbResume,
	release.ReasonStepFailed:       v1alpha1.VerbResume,
	release.ReasonAnalysisUnclear:  v1alpha1.VerbResume,
	release.ReasonWindowShut:       v1alpha1.VerbOverride,
}

func runPending(ctx context.Context, e *env, o pendingOptions) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	var list v1alpha1.ReleaseList
	if err := c.List(ctx, &list, within(ns, o.all)...); err != nil {
		return err
	}
	me, err := whoAmI(ctx, c)
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	var kept []v1alpha1.Release
	for _, r := range list.Items {
		verb, waits := askedFor(&r)
		if !waits {
			continue
		}
		is, err := waitsForMe(ctx, c, me, &r, verb)
		if err != nil {
			return err
		}
		mine[r.Namespace+"/"+r.Name] = is
		if is || o.everybody {
			kept = append(kept, r)
		}
	}
	list.Items = kept
	if o.machine() {
		return o.print(e.out, c.Scheme(), &list)
	}
	if len(kept) == 0 {
		fmt.Fprintln(e.err, "Nothing waits for you.")
		return nil
	}
	var b strings.Builder
	pendingTable(kept, mine, o, e.now).write(&b, e.paint)
	_, err = fmt.Fprint(e.out, b.String())
	return err
}

// askedFor is the word that a release waits for, if it does for one.
func askedFor(r *v1alpha1.Release) (v1alpha1.DecisionVerb, bool) {
	if r.Status.Phase.Terminal() || r.Status.WaitingFor == nil {
		return "", false
	}
	verb, ok := personal[r.Status.WaitingFor.Reason]
	return verb, ok
}

// waitsForMe says whether this user's word would count, as far as can be told before it is spoken.
func waitsForMe(ctx context.Context, c client.Client, me authenticationv1.UserInfo, r *v1alpha1.Release, verb v1alpha1.DecisionVerb) (bool, error) {
	if verb == v1alpha1.VerbApprove && !mayApprove(me, r) {
		return false, nil
	}
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: r.Namespace, Verb: string(verb), Group: v1alpha1.GroupVersion.Group, Resource: "releases", Name: r.Name,
		},
	}}
	if err := c.Create(ctx, review); err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

func mayApprove(me authenticationv1.UserInfo, r *v1alpha1.Release) bool {
	steps, at := r.Spec.Plan.Steps, currentStep(r)
	if at >= len(steps) || steps[at].Approval == nil {
		return false
	}
	a := steps[at].Approval
	if a.SeparationOfDuty && slices.Contains(r.Spec.Authors, me.Username) {
		return false
	}
	if m := r.Status.Memory; m != nil && slices.ContainsFunc(m.Approvals, func(x v1alpha1.ApprovalRecord) bool { return x.User == me.Username }) {
		return false
	}
	return slices.Contains(a.From.Users, me.Username) ||
		slices.ContainsFunc(a.From.Groups, func(g string) bool { return slices.Contains(me.Groups, g) })
}

func pendingTable(items []v1alpha1.Release, mine map[string]bool, o pendingOptions, now clock) *table {
	t := &table{gap: 3}
	row := func(ns, name, verb, since, until, waiting, who string) {
		var out []cell
		if o.all {
			out = append(out, cell{ns, plain})
		}
		out = append(out, cell{name, bold}, cell{verb, cyan}, cell{since, plain}, cell{until, plain}, cell{waiting, plain})
		if o.everybody {
			out = append(out, cell{who, plain})
		}
		t.row(out...)
	}
	row("NAMESPACE", "RELEASE", "YOU CAN", "SINCE", "UNTIL", "WAITING FOR", "WHO")
	for _, r := range items {
		w := r.Status.WaitingFor
		verb, since, until := string(personal[w.Reason]), "", ""
		if !mine[r.Namespace+"/"+r.Name] {
			verb = "-"
		}
		if w.Since != nil {
			since = span(now.since(w.Since)) + " ago"
		}
		if w.Until != nil {
			until = ahead(now(), w.Until.Time)
		}
		row(r.Namespace, r.Name, verb, since, until, w.Message, w.Who)
	}
	return t
}
