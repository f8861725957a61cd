package rollout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
	"github.com/sluice-dev/sluice/internal/traffic"
	"github.com/sluice-dev/sluice/internal/workload"
)

// This file has the selectors of the Services in front of the workload: what the team wrote, and what a release makes
// of it so that one version's pods are selected and no others.

// track is what tells one version's pods apart: their labels, and the hash that only they bear. The labels are nil
// where nothing runs the version.
type track struct {
	// mark is the label whose value is hash.
	mark, hash string
	labels     map[string]string
}

// track is that of a part's pods. Labels are nil only where there is no part, so pods without labels have an empty
// map.
func (w *world) track(p *workload.Part) track {
	if p == nil {
		return track{}
	}
	own := p.Template.Labels
	if own == nil {
		own = map[string]string{}
	}
	return track{mark: w.driver.Kinds().Mark, hash: p.Mark, labels: own}
}

// narrow is the team's selector for this version alone: each of its keys with the value that the version's pods bear,
// and their hash. A key that they do not bear is left out. So a version goes on being selected when the team's Service
// is changed together with a label of the pods.
func (t track) narrow(selector map[string]string) map[string]string {
	out := t.fitted(selector)
	if t.hash != "" {
		out[t.mark] = t.hash
	}
	return out
}

// fitted is the same without the hash.
func (t track) fitted(selector map[string]string) map[string]string {
	out := make(map[string]string, len(selector)+1)
	for k, v := range selector {
		if k == t.mark {
			continue
		}
		if t.labels == nil {
			out[k] = v
		} else if has, ok := t.labels[k]; ok {
			out[k] = has
		}
	}
	return out
}

// misses says whether a selector matches none of the version's pods.
func (t track) misses(selector map[string]string) bool {
	return t.labels != nil && !selects(unhashed(selector, t.mark), t.labels)
}

// ready is the number of ready pods of the workload that a selector matches.
func (w *world) ready(selector map[string]string) (n int) {
	for i := range w.seen.Parts {
		p := &w.seen.Parts[i]
		own := maps.Clone(p.Template.Labels)
		if own == nil {
			own = map[string]string{}
		}
		if own[w.mark()] = p.Mark; selects(selector, own) {
			n += p.Track.Ready
		}
	}
	return n
}

// unhashed is a selector without our mark.
func unhashed(selector map[string]string, mark string) map[string]string {
	out := maps.Clone(selector)
	delete(out, mark)
	return out
}

// selects says whether a selector matches labels. An empty one selects nothing here, as Kubernetes gives a Service
// without a selector no endpoints; labels.SelectorFromSet would match everything.
func selects(selector, of map[string]string) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

// originalSelector is the team's own selector of a Service: the Hold's, or, when the team has edited the Service since
// or somebody has removed the Hold, what it is now without our mark.
func (w *world) originalSelector(h *v1alpha1.Hold, s *corev1.Service) map[string]string {
	current := s.Spec.Selector
	mark := current[w.mark()]
	if h == nil && mark == "" {
		return current // As are nearly all Services of a namespace.
	}
	stable, canary := w.hashes()
	if h == nil {
		// In a release somebody may have removed its Hold, or its record by force, and the Hold goes with that. Otherwise a
		// Service without one is as the team has written it, whatever it selects by.
		if (w.active() != nil || w.recordLost()) && (mark == stable || mark == canary) {
			return unhashed(current, w.mark())
		}
		return current
	}
	original := originalOf(h)
	if original == nil {
		return unhashed(current, w.mark())
	}
	tracks := []track{w.trackOf(release.SelectsStable), w.trackOf(release.SelectsCanary)}
	if maps.Equal(current, original) {
		return original
	}
	for _, t := range tracks {
		if maps.Equal(current, t.narrow(original)) {
			return w.reapplied(s, original, t)
		}
	}
	if w.seen.Stable == nil && w.settled != nil && mark == w.settled.PodTemplateHash {
		return original // The pods are gone, so nothing tells any more which of their labels were selected.
	}
	return unhashed(current, w.mark())
}

// reapplied is the selector that the team has applied since the original was kept, where ours hides it: kubectl writes
// only what differs from the object as it is, and so nothing where the team has gone back to the labels of the pods
// that we selected for it. What it applied stands in its annotation.
func (w *world) reapplied(s *corev1.Service, original map[string]string, t track) map[string]string {
	if !t.misses(original) {
		return original
	}
	var applied struct {
		Spec struct {
			Selector map[string]string `json:"selector"`
		} `json:"spec"`
	}
	raw := s.Annotations[corev1.LastAppliedConfigAnnotation]
	if json.Unmarshal([]byte(raw), &applied) == nil && selects(applied.Spec.Selector, t.labels) {
		return applied.Spec.Selector
	}
	return original
}

// originalOf is the selector that a Hold keeps, nil where it cannot be read.
func originalOf(h *v1alpha1.Hold) map[string]string {
	var o struct {
		Selector map[string]string `json:"selector"`
	}
	if h.Spec.Original == nil || json.Unmarshal(h.Spec.Original.Raw, &o) != nil {
		return nil
	}
	return o.Selector
}

// holdsNow says whether a Hold is that of the release under way. One that an earlier release has left is taken over, so
// that it does not go with that release's record.
func (w *world) holdsNow(h *v1alpha1.Hold) bool {
	rel := w.active()
	owner := metav1.GetControllerOf(h)
	return rel == nil || owner == nil || owner.UID == rel.UID
}

// selects says what the Service selects now.
func (s *service) selects(w *world) release.Selection {
	now := s.object.Spec.Selector
	for _, to := range []release.Selection{release.SelectsStable, release.SelectsCanary} {
		if of := w.trackOf(to); of.hash != "" && maps.Equal(now, of.narrow(s.original)) {
			return to
		}
	}
	if maps.Equal(now, s.original) {
		return release.SelectsAll
	}
	return release.SelectsOther
}

// trackOf is the track of the version that a Service is to select. The record knows its mark when its part is gone.
func (w *world) trackOf(to release.Selection) track {
	stable, canary := w.hashes()
	t, hash := w.track(w.seen.Stable), stable
	if to == release.SelectsCanary {
		t, hash = w.track(w.seen.Canary), canary
	}
	t.mark, t.hash = w.mark(), hash
	return t
}

// portsAsked are the names of a Service's ports that the layers send requests to. Empty if none is named.
func (w *world) portsAsked(s *service) []string {
	var out []string
	for _, l := range w.layers {
		for _, t := range traffic.TargetsOf(l.provider, l.world) {
			for _, p := range s.object.Spec.Ports {
				asked := t.Port.Number == int64(p.Port) || t.Port.Name != "" && t.Port.Name == p.Name
				if t.Service == s.object.Name && asked && !slices.Contains(out, p.Name) {
					out = append(out, p.Name)
				}
			}
		}
	}
	return out
}

// missingPort is a port that requests are sent to and that does not lead to a pod; empty if there is none. Where no
// layer names a port, one that leads there is enough.
func missingPort(asked, has []string) string {
	for _, p := range asked {
		if !slices.Contains(has, p) {
			return portName(p)
		}
	}
	return ""
}

func portName(p string) string {
	if p == "" {
		return "(the only one)"
	}
	return p
}

// problem says why the Service shows fewer stable endpoints than there are ready pods, if that is known.
func (s *service) problem(w *world) string {
	port := s.portless[w.seen.Stable.Name()]
	if port == "" {
		return ""
	}
	target := ""
	for _, p := range s.object.Spec.Ports {
		if p.Name == port || len(s.object.Spec.Ports) == 1 {
			target = p.TargetPort.String()
		}
	}
	return fmt.Sprintf("the targetPort %q of its port %s is none of the stable pods' ports; use a port that both "+
		"versions have", target, port)
}
