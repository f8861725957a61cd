package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

var start = metav1.NewTime(time.Date(2026, 11, 20, 22, 10, 0, 0, time.UTC))

func after(d time.Duration) *metav1.Time { return ptr.To(metav1.NewTime(start.Add(d))) }

func revision(image, hash string) v1alpha1.Revision {
	return v1alpha1.Revision{
		Hash: strings.Repeat(hash, 16), PodTemplateHash: hash,
		Images: []v1alpha1.ContainerImage{{Container: "web", Image: image}},
	}
}

var blue, green = revision("shop:blue", "5b8f"), revision("shop:green", "7f86")

func waitingFor(reason, message, who string) *v1alpha1.WaitingFor {
	return &v1alpha1.WaitingFor{Reason: reason, Message: message, Who: who, Since: &start, Until: after(time.Hour)}
}

// atRest is shop with four pods of the blue revision, nothing under way.
func atRest() Objects {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop", Generation: 1}}
	ro.Spec.Workload.Name = "shop"
	ro.Spec.Traffic = []v1alpha1.TrafficLayer{{Ingress: &v1alpha1.IngressReference{Name: "shop"}}}
	ro.Spec.Canary.Steps = steps()
	ro.Status = v1alpha1.RolloutStatus{ObservedGeneration: 1, Phase: v1alpha1.RolloutHealthy, Stable: &blue}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop"}}
	d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "shop:blue"}}
	return Objects{
		Subject: Subject{Rollout: ro}, Workload: d, TemplateHash: blue.Hash,
		Sets: []appsv1.ReplicaSet{replicaSet("5b8f", 4, 4)},
	}
}

func replicaSet(hash string, desired, ready int32) appsv1.ReplicaSet {
	labels := map[string]string{v1alpha1.LabelPodTemplateHash: hash}
	rs := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "shop-" + hash, Labels: labels}}
	rs.Spec.Replicas, rs.Status.AvailableReplicas = &desired, ready
	return rs
}

func steps() []v1alpha1.CanaryStep {
	return []v1alpha1.CanaryStep{
		{
			Name: "first", Weight: ptr.To(int32(20)), Pause: &v1alpha1.Pause{},
			Match: []v1alpha1.RequestMatch{{Headers: []v1alpha1.HeaderMatch{{Name: "X-Canary", Value: "always"}}}},
		},
		{Name: "half", Weight: ptr.To(int32(50))},
	}
}

// underWay is shop in the release of the green revision, at its first step.
func underWay(phase v1alpha1.ReleasePhase, w *v1alpha1.WaitingFor) Objects {
	o := atRest()
	rel := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: "shop-1", UID: "uid-1"}}
	rel.Spec = v1alpha1.ReleaseSpec{Rollout: "shop", Number: 1, From: blue, To: green, Author: "alice"}
	rel.Spec.Plan.Traffic, rel.Spec.Plan.Steps = o.Rollout.Spec.Traffic, steps()
	rel.Status = v1alpha1.ReleaseStatus{
		Phase: phase, StepSummary: "1/2 first", Weight: ptr.To(int32(20)), StartedAt: &start, WaitingFor: w,
		Memory: &v1alpha1.ReleaseMemory{Reached: 1, StepReachedAt: &metav1.MicroTime{Time: start.Time}},
		Layers: []v1alpha1.LayerStatus{{
			Name: "ingress/shop", Weight: ptr.To(int32(20)), Matches: 1, InForce: true, Services: []string{"shop"},
		}},
		Timeline: []v1alpha1.TimelineEntry{{At: start, Reason: "Promoted", Message: "promoted by bob", User: "bob"}},
	}
	o.Release = rel
	o.Rollout.Status.Phase, o.Rollout.Status.WaitingFor = v1alpha1.RolloutPhase(phase), w
	o.TemplateHash = green.Hash
	o.Sets = append(o.Sets, replicaSet("7f86", 1, 1))
	return o
}

func changed(o Objects, change func(*Objects)) Objects {
	change(&o)
	return o
}

// phaseCases are the phases that a Rollout and its release can be in, and what the picture says of each.
var phaseCases = map[string]struct {
	objects Objects
	want    []string
}{
	"at rest": {atRest(), []string{
		"shop: Healthy: Done: runs shop:blue",
		"rollout shop Healthy: nothing is under way",
		"stable shop:blue 4/4 100%",
		"Steps of the next release: first ToCome, half ToCome, complete ToCome",
		"layer ingress/shop: ",
	}},
	"progressing": {
		changed(underWay(v1alpha1.ReleaseProgressing, waitingFor(release.ReasonRouteNotInForce, "5s are given", "time")),
			func(o *Objects) {
				l := &o.Release.Status.Layers[0]
				l.InForce, l.Until, l.Problem = false, after(time.Minute), "no such class"
			}),
		[]string{
			"shop: Progressing: Moving: 5s are given",
			"rollout shop Progressing: ",
			"release shop-1 Progressing, step 1/2 first",
			"wait RouteNotInForce: 5s are given, by time, person false, 22:10 to 23:10",
			"stable shop:blue 4/4 80%", "canary shop:green 1/1 20%",
			"Steps: first Current, half ToCome, complete ToCome",
			"layer ingress/shop: 20% or header X-Canary=always to the canary; no such class, until 22:11",
			"22:10 Promoted: promoted by bob",
		},
	},
	"paused for a person": {
		changed(underWay(v1alpha1.ReleasePaused, waitingFor(release.ReasonPausedForPerson, "promote it", "you")), doors),
		[]string{
			"shop: Paused: NeedsPerson: promote it",
			"rollout shop Paused: ",
			"release shop-1 Paused, step 1/2 first",
			"wait PausedForPerson: promote it, by you, person true, 22:10 to 23:10",
			"> promote shop", "> abort shop",
			"stable shop:blue 4/4 80%", "canary shop:green 1/1 20%",
			"Steps: first Current, half ToCome, complete ToCome",
			"layer ingress/shop: 20% or header X-Canary=always to the canary, in force",
			"service/lb (LoadBalancer): no layer leads to it: all its requests go to stable until the release completes",
			"held service/shop",
			"22:10 Promoted: promoted by bob",
		},
	},
	"paused for time": {
		underWay(v1alpha1.ReleasePaused, waitingFor(release.ReasonPausedForTime, "30s", "time")),
		[]string{
			"shop: Paused: Moving: 30s",
			"rollout shop Paused: ",
			"release shop-1 Paused, step 1/2 first",
			"wait PausedForTime: 30s, by time, person false, 22:10 to 23:10",
			"stable shop:blue 4/4 80%", "canary shop:green 1/1 20%",
			"Steps: first Current, half ToCome, complete ToCome",
			"layer ingress/shop: 20% or header X-Canary=always to the canary, in force",
			"22:10 Promoted: promoted by bob",
		},
	},
	"approval": {
		underWay(v1alpha1.ReleasePaused, waitingFor(release.ReasonAwaitingApproval, "1 approval", "carol")),
		[]string{
			"shop: Paused: NeedsPerson: 1 approval",
			"rollout shop Paused: ",
			"release shop-1 Paused, step 1/2 first",
			"wait AwaitingApproval: 1 approval, by carol, person true, 22:10 to 23:10",
			"> approve shop", "> abort shop",
			"stable shop:blue 4/4 80%", "canary shop:green 1/1 20%",
			"Steps: first Current, half ToCome, complete ToCome",
			"layer ingress/shop: 20% or header X-Canary=always to the canary, in force",
			"22:10 Promoted: promoted by bob",
		},
	},
	"window shut": {
		underWay(v1alpha1.ReleasePaused, waitingFor(release.ReasonWindowShut, "shut until Monday", "time")),
		[]string{
			"shop: Paused: Moving: shut until Monday",
			"rollout shop Paused: ",
			"release shop-1 Paused, step 1/2 first",
			"wait WindowShut: shut until Monday, by time, person false, 22:10 to 23:10",
			`> override -m "WHY" shop`, "> abort shop",
			"stable shop:blue 4/4 80%", "canary shop:green 1/1 20%",
			"Steps: first Current, half ToCome, complete ToCome",
			"layer ingress/shop: 20% or header X-Canary=always to the canary, in force",
			"22:10 Promoted: promoted by bob",
		},
	},
	"aborting": {
		changed(underWay(v1alpha1.ReleaseAborting, waitingFor(release.ReasonPodsStopping, "1 pod", "Kubernetes")),
			func(o *Objects) {
				o.Release.Status.Layers[0] = v1alpha1.LayerStatus{Name: "ingress/shop", InForce: true}
				o.Release.Status.Weight = ptr.To(int32(0))
			}),
		[]string{
			"shop: Aborting: No: 1 pod",
			"rollout shop Aborting: ",
			"release shop-1 Aborting, step 1/2 first",
			"wait PodsStopping: 1 pod, by Kubernetes, person false, 22:10 to 23:10",
			"stable shop:blue 4/4 100%", "canary shop:green 1/1 0%",
			"Steps: first Stopped, half ToCome, complete ToCome",
			"layer ingress/shop: all requests to the Service, no canary route, in force",
			"22:10 Promoted: promoted by bob",
		},
	},
	"completing": {
		changed(underWay(v1alpha1.ReleaseCompleting, waitingFor(release.ReasonHandingOver, "3 of 4", "Kubernetes")),
			func(o *Objects) {
				o.Release.Status.Memory.Full = true
				o.Sets = nil // They could not be read.
				o.Unread = []string{"replicasets: forbidden"}
			}),
		[]string{
			"shop: Completing: Moving: 3 of 4",
			"rollout shop Completing: ",
			"release shop-1 Completing, step 1/2 first",
			"wait HandingOver: 3 of 4, by Kubernetes, person false, 22:10 to 23:10",
			"stable shop:blue ? 80%", "canary shop:green ? 20%",
			"Steps: first Done, half Skipped, complete Current",
			"layer ingress/shop: 20% or header X-Canary=always to the canary, in force",
			"22:10 Promoted: promoted by bob",
			"unread replicasets: forbidden",
		},
	},
	"rejected": {
		changed(underWay(v1alpha1.ReleaseAborted, nil), func(o *Objects) {
			o.Release.Status.Result, o.Release.Status.Layers = "aborted by bob", nil
			o.Rollout.Status.Phase = v1alpha1.RolloutRejected
			o.Rollout.Status.Rejected = &v1alpha1.RejectedRevision{Revision: green, Message: "aborted by bob"}
		}),
		[]string{
			"shop: Rejected: No: shop:green was rejected: aborted by bob",
			"rollout shop Rejected: shop:green was rejected; the stable revision runs",
			"release shop-1 Aborted, step 1/2 first, aborted by bob",
			"> retry shop (or change the pod template)",
			"stable shop:blue 4/4 100%",
			"Steps of shop-1, which has ended: first Stopped, half ToCome, complete ToCome",
			"layer ingress/shop: ",
			"22:10 Promoted: promoted by bob",
		},
	},
	"degraded": {
		changed(atRest(), func(o *Objects) {
			o.Rollout.Status.Phase = v1alpha1.RolloutDegraded
			o.Rollout.Status.WaitingFor = waitingFor(release.ReasonStablePodsNotReady, "3 of 4", "Kubernetes")
			o.Sets[0].Status.AvailableReplicas = 3
			o.Rollout.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionUnreleasedPods, Status: metav1.ConditionTrue, Message: "shop-xyz serves",
			}}
		}),
		[]string{
			"shop: Degraded: Moving: 3 of 4",
			"rollout shop Degraded: ",
			"wait StablePodsNotReady: 3 of 4, by Kubernetes, person false, 22:10 to 23:10",
			"! unreleased: shop-xyz serves",
			"stable shop:blue 3/4 100%",
			"Steps of the next release: first ToCome, half ToCome, complete ToCome",
			"layer ingress/shop: ",
		},
	},
	"stalled": {
		changed(atRest(), func(o *Objects) {
			o.Rollout.Status.Phase = v1alpha1.RolloutStalled
			o.Rollout.Status.Conditions = []metav1.Condition{{
				Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Message: "name another ingress",
			}}
		}),
		[]string{
			"shop: Stalled: No: name another ingress",
			"rollout shop Stalled: ",
			"! stalled: name another ingress",
			"stable shop:blue 4/4 100%",
			"Steps of the next release: first ToCome, half ToCome, complete ToCome",
			"layer ingress/shop: ",
		},
	},
	"no controller has looked": {
		changed(atRest(), func(o *Objects) { o.Rollout.Status = v1alpha1.RolloutStatus{} }),
		[]string{
			"shop: Pending: Moving: no controller has looked at this version of the Rollout yet",
			"rollout shop Unknown: no controller has looked at it yet; is it running? kubectl -n sluice-system get pods",
			"Steps of the next release: first ToCome, half ToCome, complete ToCome",
			"layer ingress/shop: ",
		},
	},
	"a release that has ended, by its name": {
		changed(underWay(v1alpha1.ReleaseSucceeded, nil), func(o *Objects) { o.Named = true }),
		[]string{
			"shop-1: Succeeded: Done: ",
			"release shop-1 Succeeded, step 1/2 first",
			"Steps of shop-1, which has ended: first Done, half Done, complete Done",
			"22:10 Promoted: promoted by bob",
		},
	},
}

// doors adds a Service that no layer leads to, and a Hold of the release and of another.
func doors(o *Objects) {
	o.Services = []corev1.Service{
		{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "lb"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer}},
	}
	hold := func(kind, uid string) v1alpha1.Hold {
		return v1alpha1.Hold{Spec: v1alpha1.HoldSpec{
			Target: v1alpha1.HoldTarget{Kind: kind, Name: "shop"}, Shares: []v1alpha1.HoldShare{{UID: uid}},
		}}
	}
	o.Holds = []v1alpha1.Hold{hold("Service", "uid-1"), hold("Ingress", "uid-2")}
}

// TestPictureOfEachPhase: what the picture says in each phase.
func TestPictureOfEachPhase(t *testing.T) {
	for name, test := range phaseCases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(Of(test.objects))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// lines are a picture in short, without what is empty.
func lines(p Picture) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	say("%s: %s: %s: %s", p.Standing.Name, p.Standing.Phase, p.Standing.Verdict, p.Standing.Message)
	if r := p.Rollout; r != nil {
		say("rollout %s %s: %s", r.Name, r.Phase, r.Says)
	}
	if r := p.Release; r != nil {
		say("%s", strings.TrimSuffix(fmt.Sprintf("release %s %s, step %s, %s", r.Name, r.Phase, r.Step, r.Result), ", "))
	}
	if w := p.Wait; w != nil {
		say("wait %s: %s, by %s, person %v, %s to %s", w.Reason, w.Message, w.Who, w.Person, clock(w.Since), clock(w.Until))
	}
	for _, c := range p.Commands {
		text := "> " + c.Line
		if c.Note != "" {
			text += " (" + c.Note + ")"
		}
		say("%s", text)
	}
	for _, w := range p.Warnings {
		say("! %s: %s", w.Kind, w.Message)
	}
	for _, v := range p.Versions {
		pods := "?"
		if v.Counted {
			pods = fmt.Sprintf("%d/%d", v.Ready, v.Desired)
		}
		say("%s %s %s %d%%", v.Role, v.Images, pods, *v.Share)
	}
	if len(p.Steps.List) > 0 {
		var states []string
		for _, s := range append(p.Steps.List, p.Steps.Complete) {
			states = append(states, s.Name+" "+string(s.State))
		}
		say("%s: %s", p.Steps.Title, strings.Join(states, ", "))
	}
	for _, l := range p.Layers {
		text := "layer " + l.Name + ": " + l.Text
		if l.InForce {
			text += ", in force"
		}
		if l.Until != nil {
			text += ", until " + clock(l.Until)
		}
		say("%s", text)
	}
	for _, f := range p.Fronts {
		say("%s: %s", f.Name, f.Fate)
	}
	for _, h := range p.Held {
		say("held %s", h)
	}
	for _, e := range p.Timeline {
		say("%s", strings.TrimSuffix(fmt.Sprintf("%s %s: %s, %s", clock(&e.At), e.Reason, e.Message, e.User), ", "))
	}
	for _, u := range p.Unread {
		say("unread %s", u)
	}
	return out
}

func clock(t *metav1.Time) string { return t.Format("15:04") }
