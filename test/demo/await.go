package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

func (d *demo) setImage(ctx context.Context, colour string) error {
	return d.show(ctx, "kubectl", "set", "image", "deployment/shop", "web=argoproj/rollouts-demo:"+colour)
}

// release sets another image and waits until its release stands in its first step.
func (s *story) release(ctx context.Context, colour, name string) error {
	s.enter(name + " comes up to 20%")
	if err := s.setImage(ctx, colour); err != nil {
		return err
	}
	if err := s.awaitStep(ctx, name, 1, soon); err != nil {
		return err
	}
	s.enter(name + " at 20%")
	return nil
}

func (s *story) awaitStep(ctx context.Context, name string, step int, limit time.Duration) error {
	return until(ctx, limit, fmt.Sprintf("%s is in step %d", name, step), func() error {
		if rel := s.journal.release(name); !at(rel, step) {
			return fmt.Errorf("%s", sentence(rel))
		}
		return nil
	})
}

func (s *story) awaitEnd(ctx context.Context, name string, phase v1alpha1.ReleasePhase) error {
	return until(ctx, soon+pause, fmt.Sprintf("%s is %s", name, phase), func() error {
		if rel := s.journal.release(name); rel == nil || rel.Status.Phase != phase {
			return fmt.Errorf("%s", sentence(rel))
		}
		return nil
	})
}

func (s *story) awaitRollout(ctx context.Context, phase v1alpha1.RolloutPhase) error {
	return until(ctx, soon, fmt.Sprintf("the Rollout is %s", phase), func() error {
		if r := s.journal.state(); r == nil || r.Status.Phase != phase {
			return fmt.Errorf("%s", said(r))
		}
		return nil
	})
}

// expectPods holds the pods of a colour to those that there were.
func (s *story) expectPods(point int, what, colour string, before map[types.UID]string) {
	pods := s.journal.podsOf(colour)
	restarts := int32(0)
	for _, p := range pods {
		restarts += p.restarts
	}
	same := maps.Equal(alive(pods), before)
	s.expect(point, same && restarts == 0 && len(before) == 4, what,
		"%d %s pods, the same as before: %v; %d restarts", len(alive(pods)), colour, same, restarts)
}

// expectSame holds all objects to what they were, but for one that is new.
func (s *story) expectSame(point int, what string, before, after inventory, fresh string) {
	before, seen := maps.Clone(before), after[fresh]
	before[fresh] = seen
	err := before.unlike(after)
	s.expect(point, err == nil && seen != nil, what, "%s", orFine(err, "Service and Ingress are byte for byte as "+
		"before; only "+fresh+" is new"))
}

// expectNothingLeft allows Kubernetes a moment to end what was deleted.
func (s *story) expectNothingLeft(ctx context.Context, point int, what string) {
	err := untilEvery(ctx, time.Second/2, soon, "nothing is left", func() error {
		now, err := takeInventory(ctx, s.config)
		if err != nil {
			return err
		}
		return s.before.unlike(now)
	})
	s.expect(point, err == nil, what, "%s", orFine(err, "all kinds of objects were looked through"))
}

// expectCanaryAfterPods compares the numbers that the API server gives to writes.
func (s *story) expectCanaryAfterPods() {
	made := s.journal.canaryIngress()
	before, ok := 0, made > 0
	for _, p := range s.journal.podsOf("green") {
		switch {
		case p.created > made: // more pods may come later
		case p.readyAt > 0 && p.readyAt < made:
			before++
		default:
			ok = false
		}
	}
	s.expect(2, ok && before > 0, "a canary Ingress appeared only when the green pods were ready",
		"write %d, after %d green pods were ready", made, before)
}

// expectShare counts the next requests.
func (s *story) expectShare(ctx context.Context, point int, colour string, percent float64) error {
	t, err := s.color.next(ctx, measured)
	if err != nil {
		return err
	}
	off := t.deviations(colour, percent)
	s.expect(point, off <= sigmas && t.failed == 0,
		fmt.Sprintf("of %d requests %g%% are answered %s", measured, percent, colour),
		"%s; %.1f standard deviations off", counts(t.counts), off)
	return nil
}

func orFine(err error, fine string) string {
	if err == nil {
		return fine
	}
	return err.Error()
}

// sentence says where a release stands.
func sentence(rel *v1alpha1.Release) string {
	if rel == nil {
		return "there is no such release yet"
	}
	s := fmt.Sprintf("%s %s %s", rel.Name, rel.Status.Phase, rel.Status.StepSummary)
	if w := rel.Status.WaitingFor; w != nil {
		s += ": " + w.Message
		if w.Who != "" {
			s += " (" + w.Who + ")"
		}
	}
	return s
}

// said is what a Rollout says of itself.
func said(r *v1alpha1.Rollout) string {
	if r == nil {
		return "there is no Rollout yet"
	}
	s := string(r.Status.Phase)
	if w := r.Status.WaitingFor; w != nil {
		s += ": " + w.Message
	}
	return s
}
