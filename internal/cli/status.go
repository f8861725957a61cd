package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/view"
)

func newStatus(e *env) *cobra.Command {
	var wait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "status NAME",
		Short: "Tell in one line, and by the exit code, whether a release is done; for CI",
		Long: `Tell in one line, and by the exit code, whether a release is done.

With --wait it goes on until the release has ended (exit code 0 or 1) or waits for a person (3); if neither comes
about within --timeout the exit code is 2.

` + exitHelp,
		Example: `  kubectl set image deployment/shop web=shop:v2
  sluice status shop --wait --timeout 15m || exit 1`,
		Args:              oneName,
		ValidArgsFunction: e.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			if !wait {
				return runStatus(c.Context(), e, args[0])
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return waitStatus(ctx, e, args[0], timeout)
		},
	}
	c.Flags().BoolVar(&wait, "wait", false, "Wait until the release has ended or waits for a person")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Minute, "How long --wait waits at the longest")
	return c
}

func runStatus(ctx context.Context, e *env, arg string) error {
	c, ns, err := e.reach()
	if err != nil {
		return err
	}
	s, err := stand(ctx, c, c, ns, arg)
	if err != nil {
		return err
	}
	return e.tell(s)
}

func (e *env) tell(s view.Standing) error {
	phase := e.paint.in(phaseColour(s.Phase), s.Phase)
	if _, err := fmt.Fprint(e.out, safef("%s: %s: %s\n", s.Name, phase, s.Message)); err != nil {
		return err
	}
	return quiet(verdictCodes[s.Verdict])
}

// verdictCodes are the exit codes of the verdicts.
var verdictCodes = map[view.Verdict]int{
	view.Done: ExitOK, view.No: ExitNo, view.Moving: ExitProgress, view.NeedsPerson: ExitPerson,
}

// errDone ends the following of a release whose verdict is final.
var errDone = errors.New("done")

// waitStatus follows the release until the verdict is one to end with. The first look is a plain read: a release that
// has ended needs no watch, and a wrong NAME is told at once. When the time is over, the last verdict decides about
// the exit code; an error that comes then is only that the reads have been cut off.
func waitStatus(ctx context.Context, e *env, arg string, timeout time.Duration) error {
	direct, ns, err := e.reach()
	if err != nil {
		return err
	}
	s, err := stand(ctx, direct, direct, ns, arg)
	if err != nil {
		return err
	}
	if s.Final() {
		return e.tell(s)
	}
	f, err := e.follow(ctx, ns, false)
	if err == nil {
		err = f.each(ctx, func() error {
			now, err := stand(ctx, f.cache, direct, ns, arg)
			if err == nil { // The last good one is told when the time is over.
				s = now
			}
			if err == nil && s.Final() {
				return errDone
			}
			return err
		}, func() error { return nil })
	}
	if errors.Is(err, errDone) {
		return e.tell(s)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.Message += fmt.Sprintf(" (still so after %s)", timeout)
	}
	return e.tell(s)
}

// stand reads what a verdict needs. The pod template is read whole, past what watches: typed objects lose the
// fields that they do not know, and so have another hash.
func stand(ctx context.Context, c, whole client.Reader, ns, arg string) (view.Standing, error) {
	t, err := resolve(ctx, c, ns, arg)
	o := view.Objects{Subject: t.subject()}
	if err != nil || t.rollout == nil || t.named {
		return view.Judge(o), err
	}
	d, err := deploymentOf(ctx, c, t.rollout)
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if err == nil {
		err = whole.Get(ctx, client.ObjectKeyFromObject(d), u)
	}
	if missing(err) {
		return view.Judge(o), nil
	}
	o.Workload = d
	if template, found, _ := unstructured.NestedMap(u.Object, "spec", "template"); found {
		podtemplate.Plain(template)
		o.TemplateHash = podtemplate.Hash(template)
	}
	return view.Judge(o), err
}
