package cli

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/translate"
	"github.com/sluice-dev/sluice/internal/view"
)

// sources are where a picture is read from: the objects, which a live display keeps watched, and the routes.
type sources struct {
	objects, routes client.Reader
	pods            bool
	layers          translate.LayerKinds
	now             clock
}

// look reads what there is to show of a NAME, and makes the picture. Only a NAME that cannot be read is an error. What
// surrounds it is left out with a note, since some users may read Rollouts and not Pods or routes.
func (s sources) look(ctx context.Context, ns, arg string) (view.Picture, error) {
	t, err := resolve(ctx, s.objects, ns, arg)
	if err != nil {
		return view.Picture{}, err
	}
	o := view.Objects{Subject: t.subject()}
	if o.Live() {
		s.addWorkload(ctx, &o)
		s.addTraffic(ctx, &o)
		s.addHolds(ctx, &o)
		s.addAnalyses(ctx, &o)
	}
	return view.Of(o), nil
}

func (t target) subject() view.Subject {
	return view.Subject{Rollout: t.rollout, Release: t.release, Named: t.named}
}

// underWay says whether the release has not ended.
func (t target) underWay() bool { return t.subject().UnderWay() }

// skip notes what could not be read; the rest is shown all the same.
func skip(o *view.Objects, what string, err error) {
	o.Unread = append(o.Unread, fmt.Sprintf("%s: %s", what, sentence(err)))
}

func (s sources) addWorkload(ctx context.Context, o *view.Objects) {
	d, err := deploymentOf(ctx, s.objects, o.Rollout)
	if err != nil {
		skip(o, "deployment/"+o.Rollout.Spec.Workload.Name, err)
		return
	}
	o.Workload = d
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		skip(o, "deployment/"+d.Name, err)
		return
	}
	within := []client.ListOption{client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: selector}}
	var sets appsv1.ReplicaSetList
	if err := s.objects.List(ctx, &sets, within...); err != nil {
		skip(o, "replicasets", err)
		return
	}
	o.Sets = append([]appsv1.ReplicaSet{}, sets.Items...) // Nil would say that they were not read.
	if !s.pods {
		return
	}
	var pods corev1.PodList
	if err := s.objects.List(ctx, &pods, within...); err != nil {
		skip(o, "pods", err)
		return
	}
	o.Pods = pods.Items
}

func deploymentOf(ctx context.Context, c client.Reader, r *v1alpha1.Rollout) (*appsv1.Deployment, error) {
	d := &appsv1.Deployment{}
	return d, c.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: r.Spec.Workload.Name}, d)
}

func (s sources) addHolds(ctx context.Context, o *view.Objects) {
	if !o.UnderWay() {
		return
	}
	var holds v1alpha1.HoldList
	if err := s.objects.List(ctx, &holds, client.InNamespace(o.Rollout.Namespace)); err != nil {
		skip(o, "holds", err)
		return
	}
	o.Holds = holds.Items
}

// addAnalyses reads what is measured of the release under way.
func (s sources) addAnalyses(ctx context.Context, o *view.Objects) {
	if !o.Measures() {
		return
	}
	var list v1alpha1.AnalysisRunList
	err := s.objects.List(ctx, &list,
		client.InNamespace(o.Release.Namespace), client.MatchingLabels{v1alpha1.LabelRelease: o.Release.Name})
	if err != nil {
		skip(o, "analyses", err)
		return
	}
	o.Analyses = list.Items
}
