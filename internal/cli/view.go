package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
)

// view is everything that `get` shows of one Rollout or release.
type view struct {
	target
	workload *appsv1.Deployment
	versions []version
	layers   []layer
	analyses []v1alpha1.AnalysisRun
	fronts   []front
	// held are the team's objects that the release has changed.
	held []string
	// unread says what could not be read, and why; the rest is shown all the same.
	unread []string
}

// version is one of the revisions that run side by side.
type version struct {
	role     string
	revision v1alpha1.Revision
	// release that made the ReplicaSet, for one that the workload does not own yet.
	release        string
	replicaSet     string
	ready, desired int32
	// share of requests in percent; nil where nothing tells.
	share *int32
	pods  []pod
}

type pod struct {
	name, state string
	ready       bool
	restarts    int32
	age         metav1.Time
}

// sources are where a view is read from: the objects, which a live display keeps watched, and the routes.
type sources struct {
	objects, routes client.Reader
	pods            bool
	layers          translate.LayerKinds
	now             clock
}

// look reads what there is to show.
func (s sources) look(ctx context.Context, ns, arg string) (*view, error) {
	t, err := resolve(ctx, s.objects, ns, arg)
	if err != nil {
		return nil, err
	}
	v := &view{target: t}
	if t.rollout == nil || (t.named && t.release.Status.Phase.Terminal()) {
		return v, nil
	}
	v.versions = versionsOf(t)
	s.addWorkload(ctx, v)
	s.addLayers(ctx, v)
	s.addFronts(ctx, v)
	s.addHolds(ctx, v)
	s.addAnalyses(ctx, v)
	return v, nil
}

// underWay says whether the release has not ended.
func (t target) underWay() bool { return t.release != nil && !t.release.Status.Phase.Terminal() }

func versionsOf(t target) []version {
	if t.underWay() {
		stable := version{role: "stable", revision: t.release.Spec.From}
		canary := version{role: "canary", revision: t.release.Spec.To, release: t.release.Name}
		if w := t.release.Status.Weight; w != nil {
			rest := 100 - *w
			stable.share, canary.share = &rest, w
		}
		return []version{stable, canary}
	}
	if t.rollout.Status.Stable == nil {
		return nil
	}
	whole := int32(100)
	return []version{{role: "stable", revision: *t.rollout.Status.Stable, share: &whole}}
}

func (v *view) skip(what string, err error) {
	v.unread = append(v.unread, fmt.Sprintf("%s: %s", what, sentence(err)))
}

func (s sources) addWorkload(ctx context.Context, v *view) {
	ref, ns := v.rollout.Spec.Workload, v.rollout.Namespace
	var d appsv1.Deployment
	if err := s.objects.Get(ctx, client.ObjectKey{Namespace: ns, Name: ref.Name}, &d); err != nil {
		v.skip("deployment/"+ref.Name, err)
		return
	}
	v.workload = &d
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		v.skip("deployment/"+ref.Name, err)
		return
	}
	within := []client.ListOption{client.InNamespace(ns), client.MatchingLabelsSelector{Selector: selector}}
	var sets appsv1.ReplicaSetList
	if err := s.objects.List(ctx, &sets, within...); err != nil {
		v.skip("replicasets", err)
		return
	}
	for i := range v.versions {
		v.versions[i].countIn(sets.Items)
	}
	if s.pods {
		s.addPods(ctx, v, within)
	}
}

// countIn finds the version's ReplicaSet: the release's own, or the one with the label of its pods.
func (ver *version) countIn(sets []appsv1.ReplicaSet) {
	want := ver.revision.PodTemplateHash
	i := slices.IndexFunc(sets, func(rs appsv1.ReplicaSet) bool {
		return (ver.release != "" && rs.Labels[v1alpha1.LabelRelease] == ver.release) || rs.Labels[v1alpha1.LabelPodTemplateHash] == want
	})
	if i < 0 {
		return
	}
	ver.revision.PodTemplateHash = sets[i].Labels[v1alpha1.LabelPodTemplateHash]
	ver.replicaSet, ver.ready = sets[i].Name, sets[i].Status.AvailableReplicas
	ver.desired = 1
	if sets[i].Spec.Replicas != nil {
		ver.desired = *sets[i].Spec.Replicas
	}
}

func (s sources) addPods(ctx context.Context, v *view, within []client.ListOption) {
	var list corev1.PodList
	if err := s.objects.List(ctx, &list, within...); err != nil {
		v.skip("pods", err)
		return
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	for i := range v.versions {
		for j := range list.Items {
			p := &list.Items[j]
			if hash := p.Labels[v1alpha1.LabelPodTemplateHash]; hash != "" && hash == v.versions[i].revision.PodTemplateHash {
				v.versions[i].pods = append(v.versions[i].pods, podOf(p))
			}
		}
	}
}

// podOf says of a pod what its state is, in the words of kubectl.
func podOf(p *corev1.Pod) pod {
	out := pod{name: p.Name, state: string(p.Status.Phase), age: p.CreationTimestamp}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			out.ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		out.restarts += c.RestartCount
		if c.State.Waiting != nil && c.State.Waiting.Reason != "" {
			out.state = c.State.Waiting.Reason
		}
	}
	if p.DeletionTimestamp != nil {
		out.state, out.ready = "Terminating", false
	}
	return out
}

func (s sources) addHolds(ctx context.Context, v *view) {
	if !v.underWay() {
		return
	}
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(v.rollout.Namespace)); err != nil {
		v.skip("holds", err)
		return
	}
	for _, h := range holds.Items {
		shares := slices.ContainsFunc(h.Spec.Shares, func(s v1alpha1.HoldShare) bool { return s.UID == string(v.release.UID) })
		if shares || len(h.Spec.Shares) == 0 && h.Spec.Release == v.release.Name {
			v.held = append(v.held, strings.ToLower(h.Spec.Target.Kind)+"/"+h.Spec.Target.Name)
		}
	}
	slices.Sort(v.held)
}

// images of a revision: "web=repo:tag", without the container's name where there is only one.
func images(r v1alpha1.Revision) string {
	var out []string
	for _, i := range r.Images {
		if len(r.Images) == 1 {
			return i.Image
		}
		out = append(out, i.Container+"="+i.Image)
	}
	if len(out) == 0 {
		return r.Hash[:min(len(r.Hash), 10)]
	}
	return strings.Join(out, ", ")
}
