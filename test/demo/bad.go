package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// scene is what the demo plays: the whole case of story.go, or the scene of bad versions that are caught by themselves.
type scene string

const (
	sceneCase scene = ""
	sceneBad  scene = "bad"
)

// How long a release may take that is measured: pods, a few intervals of 10 s, and the way back or on.
const measuredFor = 5 * time.Minute

// mostFailed is the share of all requests, in percent, that a bad version may cost before it is taken back.
const mostFailed = 5

// playBad releases a version that fails requests, one that is slow, and a good one. Nobody decides anything.
func (d *demo) playBad(ctx context.Context) error {
	s := &story{demo: d, report: &report{out: d.out, load: d.color}}
	for _, part := range []func(context.Context) error{s.measure, s.catchErrors, s.catchLatency, s.letPass} {
		if err := part(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.failed = append(s.failed, "the play could not go on: "+err.Error())
			break
		}
	}
	s.leave()
	s.static.stop()
	s.color.stop()
	all := s.color.read(s.color.all)
	share := 100 * float64(all.failed) / float64(max(all.total, 1))
	s.expect(4, share < mostFailed, fmt.Sprintf("less than %d%% of all requests failed", mostFailed), "%d of %d, %.2f%%",
		all.failed, all.total, share)
	s.table()
	return s.verdict()
}

func (s *story) measure(ctx context.Context) error {
	s.say("Point 1. The team writes a Rollout with limits; a Prometheus looks at the gateway.")
	s.enter("Sluice takes over")
	if err := s.show(ctx, "kubectl", "apply", "-f", "examples/measured"); err != nil {
		return err
	}
	return s.awaitRollout(ctx, v1alpha1.RolloutHealthy)
}

func (s *story) catchErrors(ctx context.Context) error {
	return s.caught(ctx, 1, "bad-red", "shop-1", "it fails requests")
}

func (s *story) catchLatency(ctx context.Context) error {
	return s.caught(ctx, 2, "slow-yellow", "shop-2", "it answers late")
}

// caught releases a bad version and waits until it has been taken back.
func (s *story) caught(ctx context.Context, point int, colour, name, why string) error {
	s.say("Point %d. %s is set: %s. Nobody looks.", point, colour, why)
	s.enter(name + " with " + colour)
	if err := s.setImage(ctx, colour); err != nil {
		return err
	}
	if err := s.awaitPhase(ctx, name, v1alpha1.ReleaseAborted); err != nil {
		return err
	}
	rel := s.journal.release(name)
	s.expect(point, rel.Status.Memory != nil && rel.Status.Memory.End == "AnalysisFailed",
		colour+" is taken back by itself", "%s", rel.Status.Result)
	return s.awaitRollout(ctx, v1alpha1.RolloutRejected)
}

func (s *story) letPass(ctx context.Context) error {
	const name = "shop-3"
	s.say("Point 3. green is set, which is good.")
	s.enter(name + " with green")
	if err := s.setImage(ctx, "green"); err != nil {
		return err
	}
	if err := s.awaitPhase(ctx, name, v1alpha1.ReleaseSucceeded); err != nil {
		return err
	}
	by := ""
	for _, e := range s.journal.release(name).Status.Timeline {
		by += e.User
	}
	s.expect(3, by == "", "green is released by itself", "%s", sentence(s.journal.release(name)))
	return s.awaitRollout(ctx, v1alpha1.RolloutHealthy)
}

func (s *story) awaitPhase(ctx context.Context, name string, phase v1alpha1.ReleasePhase) error {
	return until(ctx, measuredFor, fmt.Sprintf("%s is %s", name, phase), func() error {
		rel := s.journal.release(name)
		if rel == nil || rel.Status.Phase != phase {
			return fmt.Errorf("%s", sentence(rel))
		}
		return nil
	})
}
