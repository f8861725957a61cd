package view

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/translate"
)

// Layer is what a traffic layer does now.
type Layer struct {
	// Name is as "ingress/shop".
	Name string
	// Text says what it does; empty where that is not known.
	Text string
	// Routed: it has a canary route. Without one, it has neither weight nor matches.
	Routed bool
	// Weight is the share of requests in percent that go to the new revision, Matches the number of matches whose
	// requests go there whatever the weight.
	Weight  int32
	Matches int
	// InForce: it has accepted what it has and, as far as the status tells, has had its time to follow. Until is
	// when that time ends.
	InForce bool
	Until   *metav1.Time
	// Problem says why it has not accepted what it has.
	Problem string
	// Leads are the Services that it sends requests to, of those in front of the workload. Unclear says that they
	// are not known.
	Leads   []string
	Unclear bool
}

// UnknownLayer is a layer of which nothing could be read.
func UnknownLayer(name string) Layer { return Layer{Name: name, Unclear: true} }

// ReadLayer is a layer as its objects show it. They do not show how much time it is given to follow.
func ReadLayer(name string, s traffic.State) Layer {
	l := Layer{
		Name: name, Routed: s.Routed, Weight: int32(s.Weight), Matches: len(s.Matches),
		InForce: s.Accepted, Problem: s.Problem,
	}
	l.Text = l.text(MatchText(translate.RequestMatches(s.Matches)))
	return l
}

const (
	noCanaryRoute = "all requests to the Service, no canary route"
	byPods        = "requests are shared by the pods behind the Service"
)

// text says what the layer does, match which requests it sends to the new revision whatever the weight.
func (l Layer) text(match string) string {
	text := noCanaryRoute
	if l.Routed {
		text = fmt.Sprintf("%d%%", l.Weight)
		if match != "" {
			text += " " + match
		}
		text += " to the canary"
	}
	if l.Problem != "" {
		text += "; " + l.Problem
	}
	return text
}

// LayersTold says whether the status tells of every layer that is followed now, so that no route has to be read.
// It does not at rest, and where an older controller wrote it.
func (s Subject) LayersTold() bool {
	if !s.UnderWay() {
		return false
	}
	for _, t := range s.Traffic() {
		if s.told(translate.LayerOf(t).String()) == nil {
			return false
		}
	}
	return true
}

// told is what the status tells of a layer; nil where it does not.
func (s Subject) told(name string) *v1alpha1.LayerStatus {
	all := s.Release.Status.Layers
	if i := slices.IndexFunc(all, func(l v1alpha1.LayerStatus) bool { return l.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// layers are those of the plan in its order: as the status tells, or as they were read.
func (o Objects) layers() []Layer {
	entries := o.Traffic()
	if len(entries) == 0 {
		return []Layer{{Name: "pods", Text: byPods}}
	}
	told := o.LayersTold()
	out := make([]Layer, 0, len(entries))
	for i, t := range entries {
		name := translate.LayerOf(t).String()
		switch {
		case told:
			out = append(out, o.toldLayer(*o.told(name)))
		case i < len(o.Layers) && o.Layers[i].Name == name:
			out = append(out, o.Layers[i])
		default:
			out = append(out, UnknownLayer(name))
		}
	}
	return out
}

func (o Objects) toldLayer(s v1alpha1.LayerStatus) Layer {
	l := Layer{
		Name: s.Name, Routed: s.Weight != nil, Matches: int(s.Matches),
		InForce: s.InForce, Until: s.Until, Problem: s.Problem, Leads: s.Services,
	}
	if l.Routed {
		l.Weight = *s.Weight
	}
	l.Text = l.text(matchOf(o.Release, l))
	return l
}

// matchOf says which requests a layer sends to the new revision whatever the weight. The status has only their
// number, so the words are those of the steps that the layer can be at: with its weight, and as many matches.
// Where these differ, the number has to do, unless the current step is in force.
func matchOf(r *v1alpha1.Release, l Layer) string {
	if l.Matches == 0 {
		return ""
	}
	is := func(s v1alpha1.CanaryStep) bool { return WeightOf(s) == l.Weight && len(s.Match) == l.Matches }
	if at := StepAt(r); at != nil && is(*at) && r.Status.Memory != nil && r.Status.Memory.StepReachedAt != nil {
		return MatchText(at.Match)
	}
	text := ""
	for _, s := range r.Spec.Plan.Steps {
		switch now := MatchText(s.Match); {
		case !is(s) || now == text:
		case text == "":
			text = now
		default:
			return manyMatches(l.Matches)
		}
	}
	if text == "" {
		return manyMatches(l.Matches)
	}
	return text
}

func manyMatches(n int) string {
	if n == 1 {
		return "or 1 match"
	}
	return fmt.Sprintf("or %d matches", n)
}

// Front is a Service in front of the workload that gets no step, since no traffic layer leads to it.
type Front struct {
	// Name is as "service/shop-lb (LoadBalancer)".
	Name string
	// Fate says where its requests go in a release.
	Fate string
}

// WantsServices says whether the Services in front of the workload have to be read: while a release is under way
// that has layers of which it is known where they lead.
func (o Objects) WantsServices() bool {
	if !o.Live() || !o.UnderWay() || o.Workload == nil || len(o.Traffic()) == 0 {
		return false
	}
	return !slices.ContainsFunc(o.layers(), func(l Layer) bool { return l.Unclear })
}

// fronts are the Services that get no step.
func (o Objects) fronts(layers []Layer) []Front {
	if !o.WantsServices() {
		return nil
	}
	leads := func(service string) bool {
		return slices.ContainsFunc(layers, func(l Layer) bool { return slices.Contains(l.Leads, service) })
	}
	return Fronts(o.Services, leads, o.Release.Spec.Plan.Services)
}

// Fronts are the Services that no layer leads to.
func Fronts(services []corev1.Service, leads func(service string) bool, rules []v1alpha1.ServiceRule) []Front {
	var out []Front
	for _, s := range services {
		if leads(s.Name) {
			continue
		}
		f := Front{
			Name: "service/" + s.Name,
			Fate: "no layer leads to it: all its requests go to stable until the release completes",
		}
		if translate.Leaves(rules, s.Name) {
			f.Fate = "left as it is: leads to both revisions"
		}
		if kind := kindOfService(s); kind != "" {
			f.Name += " (" + kind + ")"
		}
		out = append(out, f)
	}
	return out
}

// kindOfService tells what makes a Service a door of its own.
func kindOfService(s corev1.Service) string {
	switch {
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		return "headless"
	case s.Spec.Type == corev1.ServiceTypeClusterIP:
		return ""
	}
	return string(s.Spec.Type)
}
