package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/view"
)

// timelineShown is how many of the last entries `get` shows; `history --release` shows all.
const timelineShown = 5

type getOptions struct {
	output
	watch, pods bool
}

func newGet(e *env) *cobra.Command {
	var o getOptions
	c := &cobra.Command{
		Use:   "get [NAME]",
		Short: "Show where a release stands: versions, pods, traffic, steps, and what it waits for",
		Long: `Show where a release stands: versions, pods, traffic, steps, what it waits for, since when, until when,
and who can move it. Without NAME all Rollouts of the namespace are listed.

With -w the picture follows every change until Ctrl-C; where the output is no terminal, each change is one line.`,
		Example: `  sluice get shop          # where does shop stand?
  sluice get shop -w       # follow it
  sluice get shop -o wide  # with ReplicaSets and pods
  sluice get shop-1        # one release of it`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if len(args) == 0 && o.watch {
				return fmt.Errorf("-w follows one NAME: `%s NAME -w`", c.CommandPath())
			}
			if len(args) == 0 {
				return runList(c.Context(), e, listOptions{output: o.output})
			}
			return runGet(c.Context(), e, args[0], o)
		},
	}
	o.bind(c, "wide", "json", "yaml", "name")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "Follow every change until Ctrl-C")
	c.Flags().BoolVar(&o.pods, "pods", false, "Show the pods of each version")
	return c
}

func runGet(ctx context.Context, e *env, arg string, o getOptions) error {
	if o.watch {
		if o.machine() {
			return fmt.Errorf("-w has no -o %s: use `kubectl get rollout %s -w -o %s`", o.format, arg, o.format)
		}
		return runLive(ctx, e, arg, o)
	}
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	if o.machine() {
		t, err := resolve(ctx, c, ns, arg)
		if err != nil {
			return err
		}
		return o.print(e.out, c.Scheme(), t.object())
	}
	picture, err := o.sources(e, c, c).look(ctx, ns, arg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(e.out, o.draw(e, picture))
	return err
}

// object is what the name itself stands for.
func (t target) object() runtime.Object {
	if t.named || t.rollout == nil {
		return t.release
	}
	return t.rollout
}

func (o getOptions) sources(e *env, objects, routes client.Reader) sources {
	return sources{objects: objects, routes: routes, pods: o.pods || o.format == "wide", layers: e.layers, now: e.now}
}

func (o getOptions) draw(e *env, p view.Picture) string {
	return tree{
		picture: p, now: e.now(), paint: e.paint, program: e.program, wide: o.format == "wide", last: timelineShown,
	}.String()
}
