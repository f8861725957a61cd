package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

const (
	// subjects are the releases that are measured, in each of the two situations.
	subjects = 9
	// crowd is how many others are under way in the second.
	crowd = 100
	// apart is how long after one subject the next begins.
	apart = time.Second
	// patience is how long a subject may take for one of its steps.
	patience = 3 * time.Minute
)

// delays measures how soon a route follows: pods get ready, somebody promotes, somebody aborts. All times are the API
// server's: when it had stored the cause, or, for a person's word, when it received it; and when it had stored the
// route.
func delays(ctx context.Context, b *bench) (err error) {
	c, err := b.start(ctx, dated)
	if err != nil {
		return err
	}
	defer func() { err = joined(err, c.stop()) }()
	pause := &v1alpha1.Pause{}
	var calm, busy, others []team
	for i := range subjects {
		t := team{
			namespace: "delay", replicas: 1, layer: "ingress",
			steps: []v1alpha1.CanaryStep{step(20, pause), step(50, pause), step(70, pause)},
		}
		t.name = fmt.Sprintf("calm-%d", i)
		calm = append(calm, t)
		t.name = fmt.Sprintf("busy-%d", i)
		busy = append(busy, t)
	}
	others = crowdTeams("crowd", crowd, manySteps())
	if err := c.startController(ctx); err != nil {
		return err
	}
	all := slices.Concat(calm, busy, others)
	if err := c.create(ctx, all); err != nil {
		return err
	}
	if _, err := c.seen.waitAll(ctx, goals(all, 0), 3*time.Minute); err != nil {
		return err
	}
	if err := c.measure(ctx, calm, ""); err != nil {
		return err
	}
	b.say("  now with %d others under way", crowd)
	if err := atOnce(others, func(t team) error { return c.edit(ctx, t) }); err != nil {
		return err
	}
	if err := c.measure(ctx, busy, "-loaded"); err != nil {
		return err
	}
	return c.stillUnderWay(ctx, others)
}

// manySteps keep a release moving for as long as the subjects take: a weight every 1.5 seconds.
func manySteps() []v1alpha1.CanaryStep {
	var out []v1alpha1.CanaryStep
	for w := int32(2); w < 100; w += 2 {
		out = append(out, step(w, &v1alpha1.Pause{Duration: seconds(1)}))
	}
	return out
}

// stillUnderWay makes sure that the load was there to the end.
func (c *cluster) stillUnderWay(ctx context.Context, others []team) error {
	list := &v1alpha1.ReleaseList{}
	if err := c.client.List(ctx, list); err != nil {
		return fmt.Errorf("list releases: %w", err)
	}
	moving := 0
	for _, r := range list.Items {
		other := slices.ContainsFunc(others, func(t team) bool { return t.release(1) == client.ObjectKeyFromObject(&r) })
		if other && !r.Status.Phase.Terminal() {
			moving++
		}
	}
	if moving < len(others) {
		return fmt.Errorf("only %d of %d others were under way to the end: the figures under load do not hold", moving,
			len(others))
	}
	return nil
}

// measure takes each subject through ready, promote and abort.
func (c *cluster) measure(ctx context.Context, teams []team, suffix string) error {
	mark, err := c.audit.mark()
	if err != nil {
		return err
	}
	begin := time.Now()
	err = atOnce(teams, func(t team) error {
		i := slices.IndexFunc(teams, func(x team) bool { return x.name == t.name })
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(begin.Add(time.Duration(i) * apart))):
		}
		return c.through(ctx, t)
	})
	if err != nil {
		return err
	}
	all, err := c.audit.since(mark)
	if err != nil {
		return err
	}
	var ready, endpoints, promote, abort []time.Duration
	for _, t := range teams {
		d, err := datesOf(all, t)
		if err != nil {
			return err
		}
		ready = append(ready, d.first.Sub(d.ready))
		endpoints = append(endpoints, d.first.Sub(d.endpoints))
		promote = append(promote, d.second.Sub(d.promoted))
		abort = append(abort, d.zero.Sub(d.aborted))
	}
	c.b.figure("ready-to-weight-ms"+suffix, median(ready), "ms")
	c.b.figure("endpoints-to-weight-ms"+suffix, median(endpoints), "ms")
	c.b.figure("promote-to-weight-ms"+suffix, median(promote), "ms")
	c.b.figure("abort-to-zero-ms"+suffix, median(abort), "ms")
	c.b.figure("abort-to-zero-worst-ms"+suffix, milliseconds(slices.Max(abort)), "ms")
	return nil
}

func (c *cluster) through(ctx context.Context, t team) error {
	if err := c.edit(ctx, t); err != nil {
		return err
	}
	if _, err := c.seen.wait(ctx, t.release(1), "Paused 1/3 step-1", patience); err != nil {
		return err
	}
	if err := c.decide(ctx, t, v1alpha1.VerbPromote); err != nil {
		return err
	}
	if _, err := c.seen.wait(ctx, t.release(1), "Paused 2/3 step-2", patience); err != nil {
		return err
	}
	if err := c.decide(ctx, t, v1alpha1.VerbAbort); err != nil {
		return err
	}
	_, err := c.seen.wait(ctx, t.release(1), "Aborted", patience)
	return err
}

// dates of one subject, by the API server's clock.
type dates struct {
	ready, endpoints, first time.Time
	promoted, second        time.Time
	aborted, zero           time.Time
}

func datesOf(all []entry, t team) (dates, error) {
	var d dates
	set := func(at *time.Time, value time.Time, when bool) {
		if when && at.IsZero() {
			*at = value
		}
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.Answered.Compare(b.Answered) })
	for _, e := range all {
		if e.ObjectRef.Namespace != t.namespace || !e.done() {
			continue
		}
		switch e.ObjectRef.Resource {
		case "pods":
			set(&d.ready, e.Answered, readyPod(e, t))
		case "endpointslices":
			set(&d.endpoints, e.Answered, readyEndpoint(e, t))
		case "decisions":
			set(&d.promoted, e.Received, decisionOf(e, t, v1alpha1.VerbPromote))
			set(&d.aborted, e.Received, decisionOf(e, t, v1alpha1.VerbAbort))
		case "ingresses":
			w, ok := weightOf(e, t)
			set(&d.first, e.Answered, ok && w == 20)
			set(&d.second, e.Answered, ok && w == 50)
			set(&d.zero, e.Answered, ok && w == 0 && !d.second.IsZero())
		}
	}
	for _, at := range []time.Time{d.ready, d.endpoints, d.first, d.promoted, d.second, d.aborted, d.zero} {
		if at.IsZero() {
			return d, fmt.Errorf("the audit log does not show all that %s went through: %+v", t.name, d)
		}
	}
	return d, nil
}

func readyPod(e entry, t team) bool {
	var p corev1.Pod
	if json.Unmarshal(e.ResponseObject, &p) != nil || p.Labels["app"] != t.name || p.Spec.Containers[0].Image != after {
		return false
	}
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func readyEndpoint(e entry, t team) bool {
	var s discoveryv1.EndpointSlice
	if json.Unmarshal(e.ResponseObject, &s) != nil || s.Labels[discoveryv1.LabelServiceName] != t.name+"-canary" {
		return false
	}
	return slices.ContainsFunc(s.Endpoints, func(p discoveryv1.Endpoint) bool {
		return p.Conditions.Ready != nil &&
			*p.Conditions.Ready
	})
}

func decisionOf(e entry, t team, verb v1alpha1.DecisionVerb) bool {
	var d v1alpha1.Decision
	return e.Verb == "create" && json.Unmarshal(e.ResponseObject, &d) == nil && d.Spec.Release == t.release(1).Name &&
		d.Spec.Verb == verb
}

// weightOf is the new version's share as an Ingress controller reads it: none without the second Ingress.
func weightOf(e entry, t team) (int, bool) {
	if e.ObjectRef.Name == t.name+"-canary" && e.Verb == "delete" {
		return 0, true
	}
	m := e.meta().Metadata
	if m.Name != t.name+"-canary" {
		return 0, false
	}
	w, err := strconv.Atoi(m.Annotations["nginx.ingress.kubernetes.io/canary-weight"])
	return w, err == nil
}
