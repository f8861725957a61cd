package rollout

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
)

// This file looks after the Services while no release is under way. Mostly there is nothing to do. But a Service whose
// selector was changed together with the labels of pods that are held, or were rejected, would lead to nobody: it is
// kept on the pods that run.

// settleService gives a Service back as the team wrote it, or keeps it where that selector matches no pod that runs.
func (c *carrier) settleService(ctx context.Context, s *service) error {
	if s.hold != nil && !c.w.letsGo() && c.w.runsNow().misses(s.original) {
		return c.keep(ctx, s)
	}
	return c.giveBack(ctx, s)
}

// giveBack has a Service select what the team wrote. When the Rollout goes a Service can be kept no longer: where the
// team's selector matches no pod that runs, it gets the team's keys with the values that these bear.
func (c *carrier) giveBack(ctx context.Context, s *service) error {
	runs, selector := c.w.runsNow(), s.original
	fitted := runs.fitted(s.original)
	fits := c.w.rollout.DeletionTimestamp != nil && runs.misses(s.original) && len(fitted) > 0
	if fits {
		selector = fitted
	}
	if err := c.point(ctx, s, selector); err != nil {
		return err
	}
	if fits {
		c.r.fitted(c.w.rollout, s, fitted)
	}
	return nil
}

// keep holds a Service to the pods that run.
func (c *carrier) keep(ctx context.Context, s *service) error {
	if err := c.hold(ctx, s.hold, serviceTarget(s.object.Name), map[string]any{"selector": s.original}); err != nil {
		return err
	}
	return c.point(ctx, s, c.w.runsNow().narrow(s.original))
}

// renewHolds keeps the original anew of each Service that the team has edited while it is narrowed, and that the
// decision is content with: what is applied again is known by it.
func (c *carrier) renewHolds(ctx context.Context, actions []release.Action) error {
	for _, s := range c.w.services {
		narrowed := s.object.Spec.Selector[c.w.mark()] != ""
		if s.hold == nil || !narrowed || !c.w.holdsNow(s.hold) || turns(actions, s.object.Name) ||
			maps.Equal(originalOf(s.hold), s.original) {
			continue
		}
		if err := c.hold(ctx, s.hold, serviceTarget(s.object.Name), map[string]any{"selector": s.original}); err != nil {
			return err
		}
	}
	return nil
}

// turns says whether a decision does something about a Service's selector itself.
func turns(actions []release.Action, service string) bool {
	return slices.ContainsFunc(actions, func(a release.Action) bool {
		turn, is := a.(release.SelectService)
		return is && turn.Service == service
	})
}

// runsNow is the version whose pods run while no release moves the Services: the stable one, or the new one once the
// workload has it.
func (w *world) runsNow() track {
	switch {
	case w.object == nil:
		return track{}
	case w.newRuns() || w.staysOnNew():
		return w.track(w.seen.Canary)
	}
	return w.track(w.seen.Stable)
}

// newRuns says whether the workload has been given the new revision's pods. That it is to be given them is remembered
// before: until it has them, they can still be taken back.
func (w *world) newRuns() bool {
	rel, canary := w.active(), w.seen.Canary
	completing := rel != nil && rel.Status.Phase == v1alpha1.ReleaseCompleting && rel.Status.Memory != nil &&
		rel.Status.Memory.HandedOver
	return completing && w.object != nil && canary.Now().Adopted
}

// staysOnNew says whether a Service that leads to the new pods alone has to stay there, in a release without traffic
// layers whose hand-over is being undone: stable cannot carry all yet.
func (w *world) staysOnNew() bool {
	rel, stable := w.active(), w.seen.Stable
	if !w.onNew || rel == nil || w.object == nil {
		return false
	}
	ready := stable.Now().Ready
	if stable != nil && stable.Behind {
		ready = 0
	}
	overdue := rel.Status.Memory != nil && rel.Status.Memory.Overdue
	carries := ready >= w.seen.Workload.Replicas || overdue && ready > 0
	return !carries && w.seen.Canary.Now().Ready > 0
}

// letsGo says whether the Rollout goes and its Services can be given back.
func (w *world) letsGo() bool { return w.rollout.DeletionTimestamp != nil && !w.staysOnNew() }

// keepTurned keeps each Service that selects the pods of the workload's template and none of those that run.
func (c *carrier) keepTurned(ctx context.Context) error {
	for _, s := range c.w.services {
		turned := selects(unhashed(s.original, c.w.mark()), c.w.seen.Template.Labels)
		if s.hold != nil || !turned || !c.w.runsNow().misses(s.original) {
			continue
		}
		if c.w.breaks(s, c.w.runsNow().narrow(s.original)) != nil {
			continue // The revision that was not released runs already, and nothing else serves.
		}
		if err := c.keep(ctx, s); err != nil {
			return err
		}
		s.kept = true
	}
	return nil
}

// undivided says which Service leads to one of the two versions only. Without traffic layers the two share by number
// what a Service gets, so it has to lead to both.
func (w *world) undivided() string {
	for _, s := range w.services {
		if !w.track(w.seen.Stable).misses(s.original) {
			continue
		}
		return release.Undivided(s.object.Name, labels.FormatLabels(s.original),
			labels.FormatLabels(w.track(w.seen.Stable).labels))
	}
	return ""
}

// byPods says whether the number of pods divides the requests. Then the release itself touches no Service.
func (w *world) byPods() bool {
	if rel := w.active(); rel != nil {
		return translate.Divide(rel.Spec.Plan.Traffic, rel.Spec.Plan.Switch) == release.ByPods
	}
	return !translate.Apart(w.rollout)
}

// leaveServices looks after the Services in a release whose requests are divided by the number of pods: one that
// would lead to the new pods alone is kept on the stable ones, and given back when it leads to both.
func (c *carrier) leaveServices(ctx context.Context) error {
	if !c.w.byPods() {
		return nil
	}
	c.w.onNew = c.w.turned()
	if c.w.trouble == "" && c.w.object != nil {
		c.w.trouble = c.w.undivided()
	}
	for _, s := range c.w.services {
		if s.hold == nil {
			continue
		}
		if err := c.settleService(ctx, s); err != nil {
			return err
		}
		if !c.w.keepsHold(s.hold) {
			if err := c.write.Delete(ctx, s.hold); err != nil {
				return err
			}
		}
	}
	if err := c.keepTurned(ctx); err != nil {
		return err
	}
	c.w.services = nil
	return nil
}

// keepsHold says whether a Hold stays while no release is under way.
func (w *world) keepsHold(h *v1alpha1.Hold) bool {
	if w.letsGo() {
		return false
	}
	for _, s := range w.services {
		if s.hold == h {
			return w.runsNow().misses(s.original)
		}
	}
	return false
}
