package main

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// story is the whole case, played and checked. What is expected, by number:
//
//  1. A Rollout on a running shop restarts no pod and changes no route; it becomes Ready.
//  2. A new image replaces no pod. A release starts, new pods come up beside the old, and only when they are ready
//     is there a canary Ingress.
//  3. Of 1,000 requests 20% are answered by the new version (within 3 standard deviations); with the header or the
//     cookie all are, with "never" none; another service's path is left alone.
//  4. It waits there until somebody promotes it; then 50%, 70%, done. No request fails from first to last.
//  5. Afterwards the proven pods are the shop's own, none was started twice, and nothing else is left.
//  6. Aborted at 50%: all old again, nothing left; the new revision is named, does not run, and is said to be
//     rejected; naming the old one again makes the shop healthy without a release.
//  7. A newer version at 50%: the first release is superseded, the newer one starts at its first step, and the first
//     gets no more requests.
type story struct {
	*demo
	*report
	before inventory            // before the first release
	blue   map[types.UID]string // the pods of the beginning
}

const (
	soon     = time.Minute      // for what Kubernetes and Sluice do by themselves
	pause    = 30 * time.Second // of the steps at 50% and 70%
	measured = 1000
	sigmas   = 3
)

func (d *demo) play(ctx context.Context) error {
	s := &story{demo: d, report: &report{out: d.out, load: d.color}}
	for _, part := range []func(context.Context) error{s.takeOver, s.straight, s.backToBlue, s.abort, s.supersede} {
		if err := part(ctx); err != nil {
			if ctx.Err() != nil {
				return err
			}
			s.failed = append(s.failed, "the play could not go on: "+err.Error())
			break
		}
	}
	s.enter("the last second")
	time.Sleep(time.Second)
	s.leave()
	s.static.stop()
	s.color.stop()
	all, static := s.color.read(s.color.all), s.static.read(s.static.all)
	s.expect(4, all.failed == 0 && all.total > 0, "no failed request from first to last", "%d of %d failed%s", all.failed,
		all.total, all.why())
	s.expect(3, static.failed == 0 && static.total > 0 && static.counts["purple"] == static.total,
		"/static never left assets (purple)", "%d requests: %s, %d failed%s", static.total, counts(static.counts),
		static.failed, static.why())
	s.table()
	return s.verdict()
}

// takeOver is point 1.
func (s *story) takeOver(ctx context.Context) (err error) {
	s.say("Point 1. The team writes a Rollout for what already runs.")
	s.enter("Sluice takes over")
	bare, err := takeInventory(ctx, s.config)
	if err != nil {
		return err
	}
	s.blue = alive(s.journal.podsOf("blue"))
	if err := s.show(ctx, "kubectl", "apply", "-f", s.example("")); err != nil {
		return err
	}
	if err := s.awaitRollout(ctx, v1alpha1.RolloutHealthy); err != nil {
		return err
	}
	if _, err := s.color.next(ctx, rate); err != nil {
		return err
	}
	if s.before, err = takeInventory(ctx, s.config); err != nil {
		return err
	}
	s.expectPods(1, "no pod was restarted", "blue", s.blue)
	s.expectSame(1, "no route was changed", bare, s.before, "Rollout/shop")
	ready := "no condition Ready"
	for _, c := range s.journal.state().Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			ready = "Ready " + string(c.Status)
		}
	}
	s.expect(1, ready == "Ready True", "the Rollout becomes Ready", "%s", ready)
	return nil
}

// straight is points 2 to 5.
func (s *story) straight(ctx context.Context) error {
	s.say("Point 2. The team sets another image.")
	if err := s.release(ctx, "green", "shop-1"); err != nil {
		return err
	}
	s.expectPods(2, "no pod was replaced", "blue", s.blue)
	s.expectCanaryAfterPods()
	s.say("Point 3. The first step: 20%%, and those with the header or the cookie.")
	if err := s.firstStep(ctx); err != nil {
		return err
	}
	s.say("Point 4. It waits for a person.")
	rel := s.journal.release("shop-1")
	waits := rel.Status.WaitingFor
	s.expect(4, at(rel, 1) && waits != nil && waits.Reason == "PausedForPerson", "it waits until somebody promotes it",
		"%s", sentence(rel))
	if err := s.show(ctx, "sluice", "promote", shop); err != nil {
		return err
	}
	serving, err := s.throughSteps(ctx, "shop-1")
	if err != nil {
		return err
	}
	s.enter("shop-1 is completed")
	if err := s.awaitEnd(ctx, "shop-1", v1alpha1.ReleaseSucceeded); err != nil {
		return err
	}
	if err := s.awaitRollout(ctx, v1alpha1.RolloutHealthy); err != nil {
		return err
	}
	s.expect(4, true, "after the last step it completes", "%s", s.journal.release("shop-1").Status.Result)
	s.say("Point 5. Afterwards.")
	return s.afterwards(ctx, serving)
}

// firstStep is point 3.
func (s *story) firstStep(ctx context.Context) error {
	if err := s.expectShare(ctx, 3, "green", 20); err != nil {
		return err
	}
	for _, c := range []struct{ header, value, path, colour string }{
		{"X-Canary", "always", "/color", "green"},
		{"Cookie", "canary=always", "/color", "green"},
		{"X-Canary", "never", "/color", "blue"},
		{"X-Canary", "always", "/static/logo.png", "purple"},
	} {
		t := tally{counts: map[string]int{}}
		for range 100 {
			t.add(ask(ctx, s.gateway+c.path, map[string]string{c.header: c.value}))
		}
		what := fmt.Sprintf("%s with %s: %s is all %s", c.path, c.header, c.value, c.colour)
		s.expect(3, t.counts[c.colour] == 100, what, "%s, %d failed%s", counts(t.counts), t.failed, t.why())
	}
	return nil
}

// throughSteps goes through the two steps that wait for time, and gives the new pods that serve in the last.
func (s *story) throughSteps(ctx context.Context, release string) (serving map[types.UID]string, err error) {
	for _, step := range []struct {
		number  int
		percent float64
	}{{2, 50}, {3, 70}} {
		if err := s.reach(ctx, release, step.number, step.percent); err != nil {
			return nil, err
		}
		serving = alive(s.journal.podsOf("green"))
		if err := s.leaveStep(ctx, release, step.number); err != nil {
			return nil, err
		}
	}
	return serving, nil
}

// reach waits for a step and counts in it.
func (s *story) reach(ctx context.Context, release string, step int, percent float64) error {
	s.enter(fmt.Sprintf("%s on the way to %g%%", release, percent))
	if err := s.awaitStep(ctx, release, step, soon+pause); err != nil {
		return err
	}
	s.enter(fmt.Sprintf("%s at %g%%", release, percent))
	return s.expectShare(ctx, 4, "green", percent)
}

// leaveStep waits until a step that waits for time is over.
func (s *story) leaveStep(ctx context.Context, release string, step int) error {
	return until(ctx, soon+pause, fmt.Sprintf("%s has left step %d", release, step), func() error {
		if rel := s.journal.release(release); at(rel, step) {
			return fmt.Errorf("%s", sentence(rel))
		}
		return nil
	})
}

// afterwards is point 5.
func (s *story) afterwards(ctx context.Context, serving map[types.UID]string) error {
	s.expectNothingLeft(ctx, 5, "nothing is left but the record; Service and Ingress are byte for byte as before")
	green := s.journal.podsOf("green")
	now := alive(green)
	kept := 0
	for uid := range serving {
		if _, there := now[uid]; there {
			kept++
		}
	}
	s.expect(5, kept == len(serving) && kept > 0, "the pods that served as canary are the shop's own",
		"%d of %d are still there", kept, len(serving))
	restarts := int32(0)
	for _, p := range green {
		restarts += p.restarts
	}
	s.expect(5, len(green) == 4 && restarts == 0, "no pod was started twice", "%d green pods were ever made, for 4 "+
		"replicas, with %d restarts", len(green), restarts)
	err := until(ctx, soon, "the old pods are gone", func() error {
		if got := s.journal.readyByColour(); !maps.Equal(got, map[string]int{"green": 4}) {
			return fmt.Errorf("ready are %s", counts(got))
		}
		return nil
	})
	s.expect(5, err == nil, "as many pods as before, all new", "ready: %s", counts(s.journal.readyByColour()))
	out, err := s.command(ctx, "kubectl", "rollout", "history", "deployment/shop")
	s.expect(5, err == nil && strings.Contains(out, "\n2 "), "kubectl rollout history has a new revision", "%s",
		strings.Join(strings.Fields(out), " "))
	d, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	replicas, _, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
	s.expect(5, replicas == 4, "the replica count is the same", "%d", replicas)
	return nil
}

// backToBlue brings the beginning back for what is repeated, by a release past all steps.
func (s *story) backToBlue(ctx context.Context) error {
	s.say("To play on, blue is released again, at once.")
	if err := s.release(ctx, "blue", "shop-2"); err != nil {
		return err
	}
	s.enter("shop-2 is completed")
	if err := s.show(ctx, "sluice", "promote", shop, "--full"); err != nil {
		return err
	}
	if err := s.awaitEnd(ctx, "shop-2", v1alpha1.ReleaseSucceeded); err != nil {
		return err
	}
	if err := s.awaitRollout(ctx, v1alpha1.RolloutHealthy); err != nil {
		return err
	}
	s.expectNothingLeft(ctx, 5, "nothing is left this time either")
	s.blue = alive(s.journal.podsOf("blue"))
	return nil
}

// toHalf promotes a release to its second step.
func (s *story) toHalf(ctx context.Context, release string) error {
	if err := s.show(ctx, "sluice", "promote", shop); err != nil {
		return err
	}
	return s.reach(ctx, release, 2, 50)
}

// abort is point 6.
func (s *story) abort(ctx context.Context) error {
	s.say("Point 6. The same once more, but somebody does not like it at 50%%.")
	if err := s.release(ctx, "green", "shop-3"); err != nil {
		return err
	}
	if err := s.toHalf(ctx, "shop-3"); err != nil {
		return err
	}
	s.enter("shop-3 is aborted")
	if err := s.show(ctx, "sluice", "abort", shop, "-m", "too green"); err != nil {
		return err
	}
	if err := s.awaitEnd(ctx, "shop-3", v1alpha1.ReleaseAborted); err != nil {
		return err
	}
	if err := s.awaitRollout(ctx, v1alpha1.RolloutRejected); err != nil {
		return err
	}
	s.enter("after the abort")
	t, err := s.color.next(ctx, measured)
	if err != nil {
		return err
	}
	s.expect(6, t.counts["blue"] == measured, "all blue again", "of %d requests %s, %d failed%s", t.total,
		counts(t.counts), t.failed, t.why())
	s.expectPods(6, "the old pods were left alone", "blue", s.blue)
	s.expectNothingLeft(ctx, 6, "nothing is left")
	if err := s.expectRejected(ctx); err != nil {
		return err
	}
	return s.nameBlueAgain(ctx)
}

func (s *story) expectRejected(ctx context.Context) error {
	d, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	err = until(ctx, soon, "green is gone", func() error {
		if n := len(alive(s.journal.podsOf("green"))); n > 0 {
			return fmt.Errorf("%d green pods are there", n)
		}
		return nil
	})
	s.expect(6, err == nil && colourOf(image(d)) == "green", "the shop still names green and does not run it",
		"it names %s; %s run", image(d), counts(s.journal.readyByColour()))
	rejected := s.journal.state().Status.Rejected
	s.expect(6, rejected != nil && rejected.Release == "shop-3", "the Rollout says that this revision was rejected", "%s",
		said(s.journal.state()))
	return nil
}

func (s *story) nameBlueAgain(ctx context.Context) error {
	if err := s.setImage(ctx, "blue"); err != nil {
		return err
	}
	if err := s.awaitRollout(ctx, v1alpha1.RolloutHealthy); err != nil {
		return err
	}
	latest := s.journal.state().Status.CurrentRelease
	s.expect(6, latest == "shop-3" && s.journal.release("shop-4") == nil, "naming blue again makes it healthy without "+
		"a release", "healthy; the last release is %s", latest)
	s.expectPods(6, "and still no pod was replaced", "blue", s.blue)
	return nil
}

// supersede is point 7.
func (s *story) supersede(ctx context.Context) error {
	s.say("Point 7. And once more, but a newer version comes at 50%%.")
	if err := s.release(ctx, "green", "shop-4"); err != nil {
		return err
	}
	if err := s.toHalf(ctx, "shop-4"); err != nil {
		return err
	}
	if err := s.release(ctx, "yellow", "shop-5"); err != nil {
		return err
	}
	old := s.journal.release("shop-4")
	s.expect(7, old.Status.Phase == v1alpha1.ReleaseSuperseded, "green's release is superseded", "%s: %s",
		old.Status.Phase, old.Status.Result)
	s.expect(7, at(s.journal.release("shop-5"), 1), "yellow starts at its first step", "%s",
		sentence(s.journal.release("shop-5")))
	t, err := s.color.next(ctx, measured)
	if err != nil {
		return err
	}
	s.expect(7, t.counts["green"] == 0, "green takes no more requests", "of %d requests %s", t.total, counts(t.counts))
	off := t.deviations("yellow", 20)
	s.expect(7, off <= sigmas, "yellow takes its 20%", "%s; %.1f standard deviations off", counts(t.counts), off)
	s.enter("shop-5 is completed")
	if err := s.show(ctx, "sluice", "promote", shop, "--full"); err != nil {
		return err
	}
	if err := s.awaitEnd(ctx, "shop-5", v1alpha1.ReleaseSucceeded); err != nil {
		return err
	}
	s.expectNothingLeft(ctx, 7, "nothing is left")
	return nil
}

func (s *story) deployment(ctx context.Context) (*unstructured.Unstructured, error) {
	all, err := takeInventory(ctx, s.config)
	if err != nil {
		return nil, err
	}
	d := all["Deployment/shop"]
	if d == nil {
		return nil, fmt.Errorf("the Deployment shop is gone")
	}
	return d, nil
}

func image(d *unstructured.Unstructured) string {
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return ""
	}
	c, _ := containers[0].(map[string]any)
	name, _ := c["image"].(string)
	return name
}

// at says whether a release stands in a step (from 1) with its pods ready and its routes in force.
func at(rel *v1alpha1.Release, step int) bool {
	if rel == nil || rel.Status.Memory == nil || rel.Status.Phase.Terminal() {
		return false
	}
	m := rel.Status.Memory
	return int(m.Step) == step-1 && m.StepReachedAt != nil &&
		(rel.Status.Phase == v1alpha1.ReleasePaused || rel.Status.Phase == v1alpha1.ReleaseProgressing)
}
