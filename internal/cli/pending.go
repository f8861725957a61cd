package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/view"
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
	var kept []v1alpha1.Release
	var rows []pendingRow
	for i := range list.Items {
		r := &list.Items[i]
		p := view.PendingOf(r)
		if p == nil {
			continue
		}
		mine, err := waitsForMe(ctx, c, me, r, p.Verb)
		if err != nil {
			return err
		}
		if mine || o.everybody {
			kept, rows = append(kept, *r), append(rows, pendingRow{*p, mine})
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
	pendingTable(rows, o, e.now).write(&b, e.paint)
	_, err = fmt.Fprint(e.out, b.String())
	return err
}

// waitsForMe says whether this user's word would count, as far as can be told before it is spoken. The API server is
// asked last, once for each release, since RBAC may allow a verb for single releases by their names.
func waitsForMe(
	ctx context.Context, c client.Client, me authenticationv1.UserInfo, r *v1alpha1.Release, verb v1alpha1.DecisionVerb,
) (bool, error) {
	if verb == v1alpha1.VerbApprove && !(view.Person{Name: me.Username, Groups: me.Groups}).MayApprove(r) {
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

// pendingRow is a release that waits; mine, whether it does for who asks. Others' are listed with --everybody, and
// show no verb, since who asks cannot say it.
type pendingRow struct {
	view.Pending
	mine bool
}

func pendingTable(rows []pendingRow, o pendingOptions, now clock) *table {
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
	for _, r := range rows {
		w, verb, since, until := r.Wait, string(r.Verb), "", ""
		if !r.mine {
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
