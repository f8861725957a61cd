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

type listOptions struct {
	output
	all bool
}

func newList(e *env) *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List Rollouts, one line each",
		Example: `  sluice list -A`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runList(c.Context(), e, o)
		},
	}
	o.bind(c, "wide", "json", "yaml", "name")
	c.Flags().BoolVarP(&o.all, "all-namespaces", "A", false, "List the Rollouts of all namespaces")
	return c
}

func runList(ctx context.Context, e *env, o listOptions) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	var list v1alpha1.RolloutList
	if err := c.List(ctx, &list, within(ns, o.all)...); err != nil {
		return err
	}
	if o.machine() {
		return o.print(e.out, c.Scheme(), &list)
	}
	if len(list.Items) == 0 {
		// On standard error, as kubectl says "No resources found": who counts the lines of the output counts none.
		where := "in namespace " + ns
		if o.all {
			where = "in the cluster"
		}
		fmt.Fprint(e.err, safef("There are no Rollouts %s.\n", where))
		return nil
	}
	var b strings.Builder
	t := listTable(list.Items, o, e.now)
	t.write(&b, e.paint)
	_, err = fmt.Fprint(e.out, b.String())
	return err
}

// within has a list be of one namespace, or of all.
func within(ns string, all bool) []client.ListOption {
	if all {
		return nil
	}
	return []client.ListOption{client.InNamespace(ns)}
}

func listTable(items []v1alpha1.Rollout, o listOptions, now clock) *table {
	t := &table{gap: 3}
	t.row(listRow(o, "NAMESPACE", "NAME", "STATUS", "RELEASE", "STEP", "WEIGHT", "AGE", "WORKLOAD", "STABLE",
		"WAITING FOR", plain)...)
	for i := range items {
		r, weight := view.RowOf(&items[i]), ""
		if r.Weight != nil {
			weight = fmt.Sprintf("%d%%", *r.Weight)
		}
		t.row(listRow(o, r.Namespace, r.Name, r.Phase, r.Release, r.Step, weight, span(now.since(&r.Created)),
			r.Workload, r.Stable, r.Waiting, phaseColour(r.Phase))...)
	}
	return t
}

func listRow(o listOptions, ns, name, phase, release, step, weight, age, workload, stable, waiting string,
	c colour,
) []cell {
	var out []cell
	if o.all {
		out = append(out, cell{ns, plain})
	}
	out = append(out, cell{name, bold}, cell{phase, c}, cell{release, plain}, cell{step, plain}, cell{weight, plain},
		cell{age, plain})
	if o.format == "wide" {
		out = append(out, cell{workload, plain}, cell{stable, plain})
	}
	return append(out, cell{waiting, plain})
}
