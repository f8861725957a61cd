package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// watcher gives out prepared watches, one after the other.
type watcher struct {
	client.WithWatch
	watches chan watch.Interface
	err     error
}

func (w *watcher) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	if w.err != nil {
		return nil, w.err
	}
	return <-w.watches, nil
}

func theDecision(outcome v1alpha1.DecisionOutcome) *v1alpha1.Decision {
	return &v1alpha1.Decision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop-1-promote-x"},
		Spec:       v1alpha1.DecisionSpec{Release: "shop-1", Verb: v1alpha1.VerbPromote},
		Status:     v1alpha1.DecisionStatus{Outcome: outcome},
	}
}

func TestAwaitAnswer(t *testing.T) {
	other := theDecision(v1alpha1.DecisionApplied)
	other.Name = "shop-1-promote-y"
	added := func(o runtime.Object) watch.Event { return watch.Event{Type: watch.Added, Object: o} }
	for _, test := range []struct {
		name string
		// watches are the events of each watch; one ends when its events are over.
		watches [][]watch.Event
		want    v1alpha1.DecisionOutcome
		err     string
	}{
		{name: "answered before the watch began", watches: [][]watch.Event{{added(theDecision(v1alpha1.DecisionApplied))}}, want: v1alpha1.DecisionApplied},
		{name: "answered later", watches: [][]watch.Event{{added(theDecision("")), {Type: watch.Modified, Object: theDecision(v1alpha1.DecisionRefused)}}}, want: v1alpha1.DecisionRefused},
		{name: "the watch ends in between", watches: [][]watch.Event{{added(theDecision(""))}, {added(theDecision(v1alpha1.DecisionApplied))}}, want: v1alpha1.DecisionApplied},
		{name: "another's answer is not ours", watches: [][]watch.Event{{added(other), added(theDecision(v1alpha1.DecisionRefused))}}, want: v1alpha1.DecisionRefused},
		{name: "an error event is no answer", watches: [][]watch.Event{{{Type: watch.Error, Object: &metav1.Status{Code: 410}}}, {added(theDecision(v1alpha1.DecisionApplied))}}, want: v1alpha1.DecisionApplied},
		{name: "deleted unanswered", watches: [][]watch.Event{{{Type: watch.Deleted, Object: theDecision("")}}}, err: "was deleted before it was answered"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &watcher{watches: make(chan watch.Interface, len(test.watches))}
			for _, events := range test.watches {
				f := watch.NewFakeWithChanSize(len(events), false)
				for _, e := range events {
					f.Action(e.Type, e.Object)
				}
				f.Stop()
				w.watches <- f
			}
			got, err := awaitAnswer(t.Context(), w, theDecision(""), time.Minute)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Status.Outcome != test.want {
				t.Errorf("outcome %q, want %q", got.Status.Outcome, test.want)
			}
		})
	}
}

func TestAwaitAnswerTimesOut(t *testing.T) {
	w := &watcher{watches: make(chan watch.Interface, 1)}
	w.watches <- watch.NewFake()
	_, err := awaitAnswer(t.Context(), w, theDecision(""), time.Millisecond)
	if err == nil {
		t.Fatal("no error although nobody answered")
	}
	for _, want := range []string{
		"no controller has answered within 1ms; is it running? kubectl -n sluice-system get pods",
		"kubectl -n demo delete decision shop-1-promote-x",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if exitCode(err) != ExitError {
		t.Errorf("exit code %d, want %d", exitCode(err), ExitError)
	}
}

func TestAwaitAnswerInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &watcher{watches: make(chan watch.Interface, 1)}
	w.watches <- watch.NewFake()
	_, err := awaitAnswer(ctx, w, theDecision(""), time.Minute)
	if err == nil || !strings.Contains(err.Error(), "decision shop-1-promote-x stands") {
		t.Errorf("error %v, want one that says that the decision stands", err)
	}
}

func TestAwaitAnswerCannotWatch(t *testing.T) {
	broken := errors.New("no such luck")
	_, err := awaitAnswer(t.Context(), &watcher{err: broken}, theDecision(""), time.Minute)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "is written, but its answer cannot be watched") {
		t.Errorf("error %v, want the watch's with what stands", err)
	}
}

func TestWordOn(t *testing.T) {
	r := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Name: "shop-1"}}
	r.Spec.PlanDigest = "sha256:feed"
	r.Spec.Plan.Steps = []v1alpha1.CanaryStep{{Name: "first"}, {}}
	r.Status.Memory = &v1alpha1.ReleaseMemory{Step: 1}
	for verb, want := range map[v1alpha1.DecisionVerb]v1alpha1.DecisionSpec{
		v1alpha1.VerbPromote:     {Step: "step-2", PlanDigest: "sha256:feed"},
		v1alpha1.VerbPromoteFull: {PlanDigest: "sha256:feed"},
		v1alpha1.VerbAbort:       {PlanDigest: "sha256:feed"},
		v1alpha1.VerbPause:       {PlanDigest: "sha256:feed"},
	} {
		want.Release, want.Verb = "shop-1", verb
		if got := wordOn(r, verb); got.Step != want.Step || got.PlanDigest != want.PlanDigest || got.Release != want.Release || got.Verb != want.Verb {
			t.Errorf("%s: %+v, want %+v", verb, got, want)
		}
	}
}

// TestAWordWaitsForItsRelease: a word on a change that is held, and whose release has not begun, is waited with; one on a
// change that was rejected, or on a workload without one, is not.
func TestAWordWaitsForItsRelease(t *testing.T) {
	for name, tt := range map[string]struct {
		phase  v1alpha1.RolloutPhase
		reason string
		held   bool
		want   bool
	}{
		"just changed":       {v1alpha1.RolloutHealthy, "", true, true},
		"still changing":     {v1alpha1.RolloutPending, release.ReasonStillChanging, true, true},
		"nothing is changed": {v1alpha1.RolloutHealthy, "", false, false},
		"rejected":           {v1alpha1.RolloutRejected, "", true, false},
		"paused by the team": {v1alpha1.RolloutPending, "PausedByTeam", true, false},
		"stalled":            {v1alpha1.RolloutStalled, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &appsv1.Deployment{}
			d.Namespace, d.Name = "demo", "shop"
			if tt.held {
				d.Spec.Paused, d.Annotations = true, map[string]string{v1alpha1.AnnotationHeld: "ann"}
			}
			ro := &v1alpha1.Rollout{}
			ro.Namespace, ro.Name, ro.Spec.Workload.Name, ro.Status.Phase = "demo", "shop", "shop", tt.phase
			if tt.reason != "" {
				ro.Status.WaitingFor = &v1alpha1.WaitingFor{Reason: tt.reason}
			}
			c := fake.NewClientBuilder().WithObjects(d).Build()
			if got := begins(t.Context(), c, target{rollout: ro}); got != tt.want {
				t.Errorf("got %v", got)
			}
			if begins(t.Context(), c, target{rollout: ro, named: true}) {
				t.Error("a word on a release that is named waits for another one")
			}
		})
	}
}
