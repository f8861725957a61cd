package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/naming"
)

// answerTime is how long a command waits for the controller's answer unless told otherwise.
const answerTime = 30 * time.Second

// decide is what the commands that make a Decision have in common.
type decide struct {
	output
	wait    bool
	timeout time.Duration
	comment string
	// to is the step up to which a promotion goes.
	to string
}

func (d *decide) bind(c *cobra.Command) {
	d.output.bind(c, "json", "yaml", "name")
	c.Flags().BoolVar(&d.wait, "wait", true, "Wait for the controller's answer")
	c.Flags().DurationVar(&d.timeout, "timeout", answerTime, "How long --wait waits at the longest")
	c.Flags().StringVarP(&d.comment, "comment", "m", "", "A comment for the record")
}

// run writes a person's word as a Decision, and tells what became of it. Of the groups in spec those are named that
// are the person's.
func (d *decide) run(ctx context.Context, e *env, c client.WithWatch, ns string, spec v1alpha1.DecisionSpec) error {
	// Before anything is written: a wrong -o must not leave a Decision behind that the user takes for not made.
	if err := d.check(); err != nil {
		return err
	}
	spec.Comment = d.comment
	me, err := whoAmI(ctx, c)
	if err != nil {
		return err
	}
	spec.User = me.Username
	spec.Groups = slices.DeleteFunc(spec.Groups, func(g string) bool { return !slices.Contains(me.Groups, g) })
	dec := &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: naming.Decision(spec.Release, string(spec.Verb))},
		Spec:       spec,
	}
	if err := c.Create(ctx, dec); err != nil {
		return err
	}
	if d.wait {
		if dec, err = awaitAnswer(ctx, c, dec, d.timeout); err != nil {
			return err
		}
	}
	return d.report(e, c, dec)
}

// report prints the answer; a refusal ends the command with ExitNo. Programs get the object in that case, too, and the
// reason on standard error.
func (d *decide) report(e *env, c client.Client, dec *v1alpha1.Decision) error {
	if d.machine() {
		if err := d.print(e.out, c.Scheme(), dec); err != nil {
			return err
		}
	}
	switch {
	case dec.Status.Outcome == v1alpha1.DecisionRefused:
		return no("%s: %s was refused: %s", dec.Spec.Release, dec.Spec.Verb, said(dec))
	case d.machine():
		return nil
	case dec.Status.Outcome == "":
		_, err := fmt.Fprint(e.out, safef("%s: %s written as decision %s; not waiting for the answer\n", dec.Spec.Release,
			dec.Spec.Verb, dec.Name))
		return err
	}
	_, err := fmt.Fprint(e.out, safef("%s: %s\n", dec.Spec.Release, said(dec)))
	return err
}

// said is what the controller answered: the sentence, or the reason code or the outcome where an answer has no more.
func said(dec *v1alpha1.Decision) string {
	switch {
	case dec.Status.Message != "":
		return dec.Status.Message
	case dec.Status.Reason != "":
		return dec.Status.Reason
	}
	return string(dec.Status.Outcome)
}

// whoAmI asks the API server for the user's name and groups, by which a Decision must be signed. Where the question is
// not allowed they are left for the API server to fill in.
func whoAmI(ctx context.Context, c client.Client) (authenticationv1.UserInfo, error) {
	review := &authenticationv1.SelfSubjectReview{}
	err := c.Create(ctx, review)
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		return authenticationv1.UserInfo{}, nil
	}
	return review.Status.UserInfo, err
}

// awaitAnswer watches a Decision until it has an outcome. The watch begins with the object as it is, so that no
// answer is missed however fast it comes. The API server may end a watch at any time; then another one is begun. When
// the time is over or the user interrupts, the Decision stays, and the error says so: a controller that comes later
// will carry it out.
func awaitAnswer(parent context.Context, c client.WithWatch, dec *v1alpha1.Decision,
	timeout time.Duration,
) (*v1alpha1.Decision, error) {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	for {
		w, err := c.Watch(ctx, &v1alpha1.DecisionList{}, client.InNamespace(dec.Namespace),
			client.MatchingFields{"metadata.name": dec.Name})
		if err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("decision %s is written, but its answer cannot be watched: %w", dec.Name, err)
		}
		if err == nil {
			answered, err := outcome(ctx, w, dec)
			if answered != nil || err != nil {
				return answered, err
			}
		}
		if errors.Is(parent.Err(), context.Canceled) {
			return nil, fmt.Errorf("interrupted; decision %s stands", dec.Name)
		}
		if ctx.Err() != nil {
			return nil, noAnswer(dec, timeout)
		}
	}
}

// outcome reads one watch to its end, the answer, or the end of ctx. Without an answer both results are nil.
func outcome(ctx context.Context, w watch.Interface, dec *v1alpha1.Decision) (*v1alpha1.Decision, error) {
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case ev, open := <-w.ResultChan():
			if !open {
				return nil, nil
			}
			now, ok := ev.Object.(*v1alpha1.Decision)
			switch {
			case !ok || now.Name != dec.Name:
			case ev.Type == watch.Deleted:
				return nil, fmt.Errorf("decision %s was deleted before it was answered; `sluice get %s` shows where the release stands",
					dec.Name, dec.Spec.Release)
			case now.Status.Outcome != "":
				return now, nil
			}
		}
	}
}

// noAnswer says that the word stands, where to look, and how to take it back. Whoever takes the command for failed
// would otherwise be surprised when the release moves an hour later.
func noAnswer(dec *v1alpha1.Decision, timeout time.Duration) error {
	return fmt.Errorf("no controller has answered within %s; is it running? kubectl -n sluice-system get pods\n"+
		"%s of %s is written down as decision %s and will be carried out when a controller comes; to take it back: "+
		"kubectl -n %s delete decision %s",
		timeout, dec.Spec.Verb, dec.Spec.Release, dec.Name, dec.Namespace, dec.Name)
}
