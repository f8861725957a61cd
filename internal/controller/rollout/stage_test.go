package rollout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/workload"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
	"github.com/sluice-dev/sluice/test/sim"
)

// This file has the fake cluster as a stage for the stories of test/sim: the Rollout and the team's objects that a story
// begins with, and the picture that its moments are asked of. A tick is a second of virtual time.

// stage is the fake cluster in which one story is played.
type stage struct {
	*crowd
	story sim.Scenario
	cast  *sim.Cast
	// tick is what the clock shows; begin is its time at tick 0, and bound the tick by which the story has to be over.
	tick, bound int
	begin       time.Time
	// drawn is the picture, until something changes.
	drawn *sim.Picture
	// stirred: Kubernetes may have something to do; woken: the Reconciler has. due is when it wants to look anyhow, and
	// up when its process is back.
	stirred, woken bool
	due            time.Time
	up             int
	// wrote are the selectors that the team gave its Services.
	wrote []map[string]string
	// ends are how the releases stood when they were last seen.
	ends map[int64]sim.ReleaseEnd
	// changedAt is the last tick in which anything was written, lostAt the last in which the team may have led a Service
	// to nobody.
	changedAt, lostAt int
	// demand is how many pods the workload was to have in the last ticks, ring-wise; outage is until when pods fail.
	demand [32]int
	outage int
	// wrong is the first tick's finding.
	wrong string
}

// serviceNames are the team's Services, in their order in a story. The layers lead to the first.
var serviceNames = []string{"web", "web-2"}

// labelOfVersion is the label of the pods by whose value the stories tell some versions apart.
const labelOfVersion = "version"

// firstTick is where the clock of a story begins, as in test/sim.
const firstTick = 40

// newStage is a cluster in which version 0 runs and is released.
func newStage(t *testing.T, story sim.Scenario) *stage {
	t.Helper()
	s := &stage{story: story, cast: story.Cast(), tick: firstTick, bound: firstTick + story.Bound(), ends: map[int64]sim.ReleaseEnd{}}
	d, rs := s.workload()
	objects := []client.Object{d, rs, webIngress(), s.route(), s.planned(), template("errors", nil), template("latency", nil)}
	for n := range story.Config.Services {
		svc := webService()
		svc.Name, svc.UID = serviceNames[n], types.UID("service-"+serviceNames[n])
		objects = append(objects, svc)
		s.wrote = append(s.wrote, svc.Spec.Selector)
	}
	s.crowd = &crowd{cluster: newCluster(t, objects...), kind: routeKind}
	s.policy, s.author, s.outages = story.Config.Policy, "carol", map[string]time.Time{}
	s.gateway()
	s.settle()
	s.begin = s.now.Truncate(time.Second).Add(time.Second - firstTick*time.Second)
	s.writes, s.changedAt = nil, s.tick
	for i := range s.demand {
		s.demand[i] = deployment.Replicas(d)
	}
	return s
}

// image is that of a version.
func (s *stage) image(v sim.Version) string {
	if v < sim.Versions && s.story.Config.Bad[v] {
		return broken
	}
	return fmt.Sprintf("shop:v%d", v)
}

// versionOf is the version that an object's pod template is of.
func (s *stage) versionOf(o *unstructured.Unstructured) sim.Version {
	for v := range sim.Version(sim.Versions) {
		if images := workload.TemplateOf(o).Images; len(images) > 0 && images[0].Image == s.image(v) {
			return v
		}
	}
	return sim.NoVersion
}

func (s *stage) versionNamed(images []v1alpha1.ContainerImage) sim.Version {
	for v := range sim.Version(sim.Versions) {
		if len(images) > 0 && images[0].Image == s.image(v) {
			return v
		}
	}
	return sim.NoVersion
}

// label is the value that a version's pods bear.
func (s *stage) label(v sim.Version) string {
	return strconv.Itoa(max(s.story.Config.Labels[v], 1))
}

// workload is the team's, with the ReplicaSet of version 0.
func (s *stage) workload() (d, rs *unstructured.Unstructured) {
	d = shopDeployment(s.image(0))
	bear(d, s.label(0))
	rs = deployment.Next(d, deployment.Owner(d), nil, workload.Short(workload.TemplateOf(d).Hash, 0), deployment.Replicas(d))
	rs.SetUID("set-0")
	rs.SetAnnotations(map[string]string{"deployment.kubernetes.io/revision": "1"})
	return d, rs
}

// route is one that leads to the first Service alone.
func (s *stage) route() *unstructured.Unstructured {
	u := webRoute()
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	rules[0].(map[string]any)["backendRefs"] = []any{map[string]any{"name": "web", "port": int64(80)}}
	_ = unstructured.SetNestedSlice(u.Object, rules, "spec", "rules")
	return u
}

// follow is how long a layer is given to follow, as in test/sim.
const follow = 4 * time.Second

// planned is the story's plan as a Rollout.
func (s *stage) planned() *v1alpha1.Rollout {
	plan := s.story.Config.Plan
	d := func(d time.Duration) *metav1.Duration { return &metav1.Duration{Duration: d} }
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: shop, UID: "rollout-1"},
		Spec: v1alpha1.RolloutSpec{
			Workload:  v1alpha1.WorkloadReference{Kind: "Deployment", Name: shop},
			OnFailure: v1alpha1.FailurePolicy(plan.OnFailure), OnStableDown: v1alpha1.StableDownPolicy(plan.OnStableDown),
			ProgressDeadline: d(plan.ProgressDeadline), ReleaseDeadline: d(plan.ReleaseDeadline), DrainDelay: d(plan.DrainDelay),
		},
	}
	if plan.Revert {
		ro.Spec.OnAbort = v1alpha1.AbortRevert
	}
	options := v1alpha1.LayerOptions{Settle: d(follow)}
	for _, layer := range plan.Layers {
		l := v1alpha1.TrafficLayer{Ingress: &v1alpha1.IngressReference{Name: "web", LayerOptions: options}}
		if layer == "route" {
			l = v1alpha1.TrafficLayer{HTTPRoute: &v1alpha1.HTTPRouteReference{Name: "web", LayerOptions: options}}
		}
		ro.Spec.Traffic = append(ro.Spec.Traffic, l)
	}
	if plan.KeepOld > 0 {
		ro.Spec.Canary.KeepOld = d(plan.KeepOld)
	}
	for _, step := range plan.Steps {
		ro.Spec.Canary.Steps = append(ro.Spec.Canary.Steps, stepOf(step))
	}
	if plan.Divide == release.BySelector {
		steps := ro.Spec.Canary.Steps
		ro.Spec.BlueGreen = &v1alpha1.BlueGreenStrategy{
			Before: gateOf(steps[0]), After: gateOf(steps[1]), KeepOld: ro.Spec.Canary.KeepOld,
		}
		ro.Spec.Canary = v1alpha1.CanaryStrategy{}
	}
	if plan.Background {
		ro.Spec.Canary.Analysis = &v1alpha1.BackgroundAnalysis{StepAnalysis: measuresBy("latency")}
	}
	return ro
}

func measuresBy(name string) v1alpha1.StepAnalysis {
	return v1alpha1.StepAnalysis{Templates: []v1alpha1.AnalysisTemplateReference{{Name: name}}}
}

// gateOf is what a step waits for, in the words of a blue-green strategy.
func gateOf(step v1alpha1.CanaryStep) *v1alpha1.BlueGreenGate {
	return &v1alpha1.BlueGreenGate{Pause: step.Pause, Analysis: step.Analysis, Approval: step.Approval}
}

// stepOf is a step of the core's in the API's words.
func stepOf(step release.Step) v1alpha1.CanaryStep {
	out := v1alpha1.CanaryStep{
		Name: step.Name, Weight: ptr.To(int32(step.Weight)), Match: translate.RequestMatches(step.Matches),
	}
	if step.Replicas > 0 {
		out.Replicas = new(intstr.FromInt32(int32(step.Replicas)))
	}
	switch step.Pause.Kind {
	case release.PauseManual:
		out.Pause = &v1alpha1.Pause{}
	case release.PauseTimed:
		out.Pause = &v1alpha1.Pause{Duration: &metav1.Duration{Duration: step.Pause.Duration}}
	case release.PauseNone:
	}
	if step.Analysis {
		out.Analysis = ptr.To(measuresBy("errors"))
	}
	if a := step.Approval; a != nil {
		out.Approval = &v1alpha1.Approval{
			Required: ptr.To(int32(a.Required)), From: v1alpha1.Approvers{Users: a.Users, Groups: a.Groups},
			ExpiresAfter: &metav1.Duration{Duration: a.ExpiresAfter}, RemindAfter: &metav1.Duration{Duration: a.RemindAfter},
			SeparationOfDuty: a.SeparationOfDuty, CommentRequired: a.CommentRequired,
		}
	}
	return out
}

// Picture draws what can be seen now.
func (s *stage) Picture() *sim.Picture {
	if s.drawn == nil {
		s.drawn = s.draw()
	}
	return s.drawn
}

func (s *stage) draw() *sim.Picture {
	s.t.Helper()
	p := &sim.Picture{Weight: s.share()}
	if d := s.deployment(); d != nil {
		p.Paused = deployment.Paused(d)
	}
	for _, rs := range s.sets() {
		if v := s.versionOf(&rs); v != sim.NoVersion {
			s.drawSet(&p.Sets[v], &rs)
		}
	}
	if rel := s.last(); rel != nil {
		p.Release = s.seen(rel)
		if w := rel.Status.WaitingFor; w != nil && !rel.Status.Phase.Terminal() {
			p.Waits = w.Reason
		}
		for _, run := range s.runs() {
			if id, ok := readID(run.Labels[labelAnalysis]); ok && run.Spec.Release == rel.Name {
				p.Begun = append(p.Begun, id)
			}
		}
	}
	p.Open, _ = s.decisions()
	return p
}

// drawSet adds a ReplicaSet to those of its version.
func (s *stage) drawSet(to *sim.ReplicaSet, rs *unstructured.Unstructured) {
	t := deployment.ReadTrack(rs, "")
	to.Desired, to.Pods, to.Ready = to.Desired+t.Desired, to.Pods+t.Pods, to.Ready+t.Ready
	if owner := metav1.GetControllerOf(rs); owner != nil && owner.Kind == "Release" {
		to.Owner = sim.OwnedByRelease
	}
}

// last is the newest release.
func (s *stage) last() *v1alpha1.Release {
	s.t.Helper()
	all := s.releases()
	if len(all) == 0 {
		return nil
	}
	return slices.MaxFunc(all, func(a, b *v1alpha1.Release) int { return cmp.Compare(a.Spec.Number, b.Spec.Number) })
}

func (s *stage) releases() []*v1alpha1.Release {
	s.t.Helper()
	list := &v1alpha1.ReleaseList{}
	if err := s.store.List(s.t.Context(), list); err != nil {
		s.t.Fatal(err)
	}
	var out []*v1alpha1.Release
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out
}

// seen is a release as the stories see it.
func (s *stage) seen(rel *v1alpha1.Release) sim.Release {
	spec := translate.Spec(rel.Spec.Plan, rel.Spec.From.Hash, rel.Spec.To.Hash)
	spec.Authors = rel.Spec.Authors
	return sim.Release{Number: int(rel.Spec.Number), Spec: spec, Memory: readMemory(rel, s.now)}
}

// share is the largest share that the objects of the layers give the new version; -1 if none of them leads to it.
func (s *stage) share() int {
	s.t.Helper()
	out := -1
	list := &networkingv1.IngressList{}
	if err := s.store.List(s.t.Context(), list); err != nil {
		s.t.Fatal(err)
	}
	for _, i := range list.Items {
		if weight, led := i.Annotations["nginx.ingress.kubernetes.io/canary-weight"]; led || i.Name != "web" {
			n, _ := strconv.Atoi(weight)
			out = max(out, n)
		}
	}
	return max(out, s.routed())
}

// routed is what the HTTPRoute gives it.
func (s *stage) routed() int {
	s.t.Helper()
	u := untyped(routeKind)
	if !s.get(u, "web") {
		return -1
	}
	raw, _ := json.Marshal(u.Object["spec"])
	var spec struct {
		Rules []struct {
			Matches     []struct{ Headers []any }
			BackendRefs []struct {
				Name   string
				Weight *int
			}
		}
	}
	if err := json.Unmarshal(raw, &spec); err != nil {
		s.t.Fatal(err)
	}
	out := -1
	for _, rule := range spec.Rules {
		weight, total := -1, 0
		for _, ref := range rule.BackendRefs {
			total += ptr.Deref(ref.Weight, 1)
			if ref.Name == "web-canary" {
				weight = ptr.Deref(ref.Weight, 1)
			}
		}
		switch testers := len(rule.Matches) > 0 && len(rule.Matches[0].Headers) > 0; {
		case weight < 0:
		case testers:
			out = max(out, 0)
		default:
			out = max(out, weight*100/max(total, 1))
		}
	}
	return out
}

func (s *stage) service(n int) *corev1.Service {
	s.t.Helper()
	svc := &corev1.Service{}
	if !s.get(svc, serviceNames[n]) {
		return nil
	}
	return svc
}

// ending is what the story has come to.
func (s *stage) ending() sim.Ending {
	s.t.Helper()
	e := sim.Ending{Workload: sim.Gone, Rollout: sim.Gone, Played: s.cast.Played(), Left: s.left()}
	if d := s.deployment(); d != nil {
		e.Workload = sim.WorkloadOf(sim.Deployment{
			Template: s.versionOf(d), Replicas: deployment.Replicas(d), Paused: deployment.Paused(d),
		})
	}
	if ro := s.cluster.rollout(); ro != nil {
		told := sim.Rollout{Stable: sim.NoVersion, Rejected: sim.NoVersion}
		if ro.Status.Stable != nil {
			told.Stable = s.versionNamed(ro.Status.Stable.Images)
		}
		if ro.Status.Rejected != nil {
			told.Rejected = s.versionNamed(ro.Status.Rejected.Images)
		}
		e.Rollout = sim.RolloutOf(told)
	}
	for _, n := range slices.Sorted(maps.Keys(s.ends)) {
		e.Releases = append(e.Releases, s.ends[n])
	}
	for v, set := range s.Picture().Sets {
		e.Ready[v] = set.Ready
	}
	for n := range s.wrote {
		e.Services = append(e.Services, s.serviceTold(n))
	}
	return e
}

// serviceTold says what a Service of the team's selects.
func (s *stage) serviceTold(n int) string {
	s.t.Helper()
	svc := s.service(n)
	if svc == nil {
		return sim.Gone
	}
	if maps.Equal(svc.Spec.Selector, s.wrote[n]) {
		return sim.AsWritten
	}
	for _, rs := range s.sets() {
		v := s.versionOf(&rs)
		if v == sim.NoVersion {
			continue
		}
		want := maps.Clone(s.wrote[n])
		want[labelOfVersion] = s.label(v)
		if maps.Equal(svc.Spec.Selector, want) {
			return sim.FittedTo(v)
		}
		want[v1alpha1.LabelPodTemplateHash] = rs.GetLabels()[v1alpha1.LabelPodTemplateHash]
		if maps.Equal(svc.Spec.Selector, want) {
			return sim.KeptOn(v)
		}
	}
	return fmt.Sprint(svc.Spec.Selector)
}

// left is what a release has left behind: all that is not the team's, but for the Hold of a Service that is kept.
func (s *stage) left() (out []string) {
	s.t.Helper()
	for _, o := range s.all() {
		switch o := o.(type) {
		case *v1alpha1.Hold:
			n := slices.Index(serviceNames, o.Spec.Target.Name)
			if o.Spec.Target.Kind != "Service" || n < 0 || !strings.HasPrefix(s.serviceTold(n), "kept") {
				out = append(out, short(o))
			}
		case *corev1.Service:
			if !slices.Contains(serviceNames, o.Name) {
				out = append(out, short(o))
			}
		case *networkingv1.Ingress:
			if o.Name != "web" {
				out = append(out, short(o))
			}
		}
	}
	for v, set := range s.Picture().Sets {
		if set.Owner == sim.OwnedByRelease {
			out = append(out, fmt.Sprintf("a ReplicaSet of v%d", v))
		}
	}
	if s.routed() >= 0 {
		out = append(out, "the route's canary")
	}
	return out
}
