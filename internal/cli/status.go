package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/podtemplate"
	"github.com/sluice-dev/sluice/internal/release"
)

// personReasons are the reasons of waits that only a person ends.
var personReasons = []string{
	release.ReasonPausedForPerson, release.ReasonAwaitingApproval, release.ReasonAnalysisUnclear,
	release.ReasonPausedByHand, release.ReasonStepFailed, release.ReasonScaledToZero,
	release.ReasonGuardRefused, release.ReasonMemoryInvalid, release.ReasonSpecInvalid,
}

func waitsForPerson(w *v1alpha1.WaitingFor) bool {
	return w != nil && slices.Contains(personReasons, w.Reason)
}

// standing is the verdict of `status` on one Rollout or release.
type standing struct {
	name, phase, message string
	code                 int
}

// final says whether --wait ends with it: an abort under way is a no already, but has not ended.
func (s standing) final() bool {
	return s.code != ExitProgress && s.phase != string(v1alpha1.ReleaseAborting)
}

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

func (e *env) tell(s standing) error {
	if _, err := fmt.Fprint(e.out, safef("%s: %s: %s\n", s.name, e.paint.in(phaseColour(s.phase), s.phase), s.message)); err != nil {
		return err
	}
	return quiet(s.code)
}

// errDone ends the following of a release whose verdict is final.
var errDone = errors.New("done")

// waitStatus follows the release until the verdict is one to end with.
func waitStatus(ctx context.Context, e *env, arg string, timeout time.Duration) error {
	direct, ns, err := e.reach()
	if err != nil {
		return err
	}
	s, err := stand(ctx, direct, direct, ns, arg)
	if err != nil {
		return err
	}
	if s.final() {
		return e.tell(s)
	}
	f, err := e.follow(ctx, ns, false)
	if err == nil {
		err = f.each(ctx, func() error {
			now, err := stand(ctx, f.cache, direct, ns, arg)
			if err == nil {
				s = now
			}
			if err == nil && s.final() {
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
		s.message += fmt.Sprintf(" (still so after %s)", timeout)
	}
	return e.tell(s)
}

// workload is the Deployment that a verdict is on.
type workload struct {
	*appsv1.Deployment
	// hash of its pod template, as in a revision.
	hash string
}

// stand reads what a verdict needs. The pod template is read whole, past what watches: typed objects lose the fields that
// they do not know, and so have another hash.
func stand(ctx context.Context, c, whole client.Reader, ns, arg string) (standing, error) {
	t, err := resolve(ctx, c, ns, arg)
	if err != nil {
		return standing{}, err
	}
	if t.rollout == nil || t.named {
		return judge(t, nil), nil
	}
	key := client.ObjectKey{Namespace: ns, Name: t.rollout.Spec.Workload.Name}
	d, u := workload{Deployment: &appsv1.Deployment{}}, &unstructured.Unstructured{}
	u.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	err = c.Get(ctx, key, d.Deployment)
	if err == nil {
		err = whole.Get(ctx, key, u)
	}
	if missing(err) {
		return judge(t, nil), nil
	}
	if template, found, _ := unstructured.NestedMap(u.Object, "spec", "template"); found {
		podtemplate.Plain(template)
		d.hash = podtemplate.Hash(template)
	}
	return judge(t, &d), err
}

func judge(t target, d *workload) standing {
	if t.named {
		return judgeRelease(t.release)
	}
	return judgeRollout(t, d)
}

func judgeRelease(r *v1alpha1.Release) standing {
	s := standing{name: r.Name, phase: string(r.Status.Phase), code: ExitProgress, message: r.Status.Result}
	if s.message == "" && r.Status.WaitingFor != nil {
		s.message = r.Status.WaitingFor.Message
	}
	switch r.Status.Phase {
	case "":
		s.phase, s.message = string(v1alpha1.ReleasePending), "no controller has looked at it yet"
	case v1alpha1.ReleaseSucceeded:
		s.code = ExitOK
	case v1alpha1.ReleaseAborted, v1alpha1.ReleaseSuperseded, v1alpha1.ReleaseAborting:
		s.code = ExitNo
	default: // Under way.
	}
	if s.code == ExitProgress && waitsForPerson(r.Status.WaitingFor) {
		s.code = ExitPerson
	}
	return s
}

func judgeRollout(t target, d *workload) standing {
	r := t.rollout
	s := standing{name: r.Name, phase: string(r.Status.Phase), code: ExitProgress}
	if r.Status.WaitingFor != nil {
		s.message = r.Status.WaitingFor.Message
	}
	switch {
	case r.Status.Phase == "", r.Status.ObservedGeneration < r.Generation:
		s.phase, s.message = "Pending", "no controller has looked at this version of the Rollout yet"
	case newRevision(r, d):
		s.phase, s.message = "Pending", "the pod template has changed; its release has not begun yet"
	case t.underWay() && d != nil && differs(t.release.Spec.To, d) && differs(t.release.Spec.From, d):
		s.phase, s.message = "Pending", "the pod template has changed again; "+t.release.Name+" gives way to a new release"
	case t.underWay():
		s.phase = string(t.release.Status.Phase)
		under := judgeRelease(t.release)
		s.code, s.message = under.code, under.message
	case r.Status.Phase == v1alpha1.RolloutHealthy:
		s.code, s.message = ExitOK, runs(r)
	case r.Status.Phase == v1alpha1.RolloutRejected:
		s.code, s.message = ExitNo, rejected(r)
	}
	if r.Status.Phase == v1alpha1.RolloutStalled {
		s.phase, s.code, s.message = string(r.Status.Phase), ExitNo, stalled(r)
	}
	return s
}

// newRevision says whether the Deployment names a pod template that the Rollout's status does not speak of yet: a
// pipeline that asks right after `kubectl set image` must not be told that all is well.
func newRevision(r *v1alpha1.Rollout, d *workload) bool {
	if d == nil || r.Status.Stable == nil {
		return false
	}
	switch r.Status.Phase {
	case v1alpha1.RolloutHealthy, v1alpha1.RolloutDegraded:
		return d.Annotations[v1alpha1.AnnotationHeld] != "" || differs(*r.Status.Stable, d)
	case v1alpha1.RolloutRejected:
		return r.Status.Rejected != nil && differs(r.Status.Rejected.Revision, d)
	default:
		return false
	}
}

// differs says whether the Deployment's pod template is another one than the revision's. Of a revision that an earlier
// Sluice recorded only the images tell.
func differs(r v1alpha1.Revision, d *workload) bool {
	if len(r.Hash) == podtemplate.HashLength && d.hash != "" {
		return r.Hash != d.hash
	}
	return !sameImages(r, d.Deployment)
}

func sameImages(r v1alpha1.Revision, d *appsv1.Deployment) bool {
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, i := range r.Images {
			if i.Container == c.Name && i.Image != c.Image {
				return false
			}
		}
	}
	return true
}

func runs(r *v1alpha1.Rollout) string {
	if r.Status.Stable == nil {
		return "nothing is under way"
	}
	return "runs " + images(*r.Status.Stable)
}

func rejected(r *v1alpha1.Rollout) string {
	if r.Status.Rejected == nil {
		return "the pod template names a revision that was aborted"
	}
	s := beside(r.Status.Rejected.Revision, r.Status.Stable) + " was rejected"
	if r.Status.Rejected.Message != "" {
		s += ": " + r.Status.Rejected.Message
	}
	if changes := r.Status.Rejected.Changes; len(changes) > 0 {
		s += "; it differs from the stable revision in " + strings.Join(changes[:min(len(changes), 3)], ", ")
	}
	return s
}

func stalled(r *v1alpha1.Rollout) string {
	for _, c := range r.Status.Conditions {
		if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	if r.Status.WaitingFor != nil {
		return r.Status.WaitingFor.Message
	}
	return "it needs a person; see `sluice get " + r.Name + "`"
}
