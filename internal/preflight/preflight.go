// Package preflight has the questions that are asked of the objects around a workload before a release moves anything,
// and the answers in words. The controller and `sluice plan` share them, so that plan tells what the controller would
// refuse.
//
// It is pure: objects in, sentences out. It may import api, window and workload/deployment. internal/controller and
// internal/cli import it.
package preflight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/window"
	"github.com/sluice-dev/sluice/internal/workload/deployment"
)

// NoService: a traffic layer is asked for, and no Service leads to the workload.
func NoService(namespace, workload string, podLabels map[string]string) string {
	return fmt.Sprintf("spec.traffic is set, but no Service in namespace %s selects the pods of Deployment %q (labels "+
		"%s): create one, or correct the selector of the one that is there, or remove spec.traffic to split by the number "+
		"of pods",
		namespace, workload, metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: podLabels}))
}

// SelectsOld: the Services lead to the pods that run, and not to those of the new pod template.
func SelectsOld(services []string, workload string, oldLabels, podLabels map[string]string) string {
	label := func(l map[string]string) string {
		return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: l})
	}
	return fmt.Sprintf("the Service %s selects the pods of Deployment %q that run (labels %s) and not those of its new "+
		"pod template (labels %s): give its selector only labels that both have",
		strings.Join(services, ", "), workload, label(oldLabels), label(podLabels))
}

// SelectsOthers: a Service leads to pods of other workloads as well.
func SelectsOthers(service, workload string, pods []string) string {
	return fmt.Sprintf("the Service %q selects pods of other workloads too (%s): give it a selector that only the pods "+
		"of Deployment %q match, since a release narrows it to one revision, or leave it as it is by spec.services, if no "+
		"traffic layer leads to it",
		service, strings.Join(FirstOf(pods, 3), ", "), workload)
}

// FirstOf is the first n of a list, and how many more there are.
func FirstOf(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(list[:n:n], fmt.Sprintf("and %d more", len(list)-n))
}

// LeftRouted: a Service is to be left as it is, and a traffic layer leads to it.
func LeftRouted(service, layer string) string {
	return fmt.Sprintf("the Service %q cannot be left as it is: %s in spec.traffic leads to it, and its requests have "+
		"to go to the stable pods or to the new ones; take it out of spec.services, or the layer out of spec.traffic",
		service, layer)
}

// AllLeft: no Service is left that a traffic layer could lead to.
func AllLeft(workload string, services []string) string {
	return fmt.Sprintf("spec.services leaves every Service of Deployment %q as it is (%s), so no layer of spec.traffic "+
		"can divide its requests: take the one that the layer leads to out of spec.services, or remove spec.traffic to "+
		"split by the number of pods",
		workload, strings.Join(FirstOf(services, 3), ", "))
}

// Field is where the rules name a Service.
func Field(rules []v1alpha1.ServiceRule, service string) string {
	i := slices.IndexFunc(rules, func(r v1alpha1.ServiceRule) bool { return r.Name == service })
	return fmt.Sprintf("spec.services[%d]", max(i, 0))
}

// NoPreviewOf: it cannot be told which of these Services the preview Service is to be made like.
func NoPreviewOf(preview string, services []string) string {
	if len(services) == 0 {
		return fmt.Sprintf("spec.blueGreen.preview.service: no Service in front of the workload is there to make "+
			"the Service %q like; make it yourself, with the selector of the pods", preview)
	}
	return fmt.Sprintf("spec.blueGreen.preview.service: several Services lead to the workload (%s), so it is not "+
		"known which of them the Service %q is to be made like; make it yourself, with the selector of the pods",
		strings.Join(services, ", "), preview)
}

// PreviewTaken: the Service that is named for the preview exists, and leads to other pods.
func PreviewTaken(preview string) string {
	return fmt.Sprintf("spec.blueGreen.preview.service: the Service %q exists and does not select the workload's pods; "+
		"name one that does, or one that does not exist: it is made for each release", preview)
}

// TwinTaken: the name of a canary Service is another's.
func TwinTaken(twin, service string) string {
	return fmt.Sprintf("the Service %q, which a release needs for the canary of Service %q, exists already and is not "+
		"Sluice's: rename or remove it", twin, service)
}

// BesideTaken: the name of a canary object of a traffic layer is another's.
func BesideTaken(kind, name string) string {
	return fmt.Sprintf("the %s %q, which this release needs, exists already and is not Sluice's: rename or remove it",
		kind, name)
}

// KindNotServed: the cluster does not know the kind of a traffic layer.
func KindNotServed(kind, name, groupVersion string) string {
	return fmt.Sprintf("spec.traffic names the %s %q, but this cluster does not serve %s: install its CRDs, or remove "+
		"the layer", kind, name, groupVersion)
}

// RouteMissing: a traffic layer names an object that is not there.
func RouteMissing(kind, name, namespace string) string {
	return fmt.Sprintf("spec.traffic names the %s %q, which is not in namespace %s: create it, or correct the name", kind,
		name, namespace)
}

// ReadyPods are the names of the ready pods in a Service's EndpointSlices, in order.
func ReadyPods(slicesOf []discoveryv1.EndpointSlice) []string {
	pods := map[string]bool{}
	for i := range slicesOf {
		for _, e := range slicesOf[i].Endpoints {
			if e.TargetRef != nil && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				pods[e.TargetRef.Name] = true
			}
		}
	}
	out := make([]string, 0, len(pods))
	for pod := range pods {
		out = append(out, pod)
	}
	slices.Sort(out)
	return out
}

// Foreign are the pods that are of none of the ReplicaSets.
func Foreign(pods []string, sets []*unstructured.Unstructured) []string {
	return slices.DeleteFunc(slices.Clone(pods), func(pod string) bool {
		return slices.ContainsFunc(sets, func(rs *unstructured.Unstructured) bool { return deployment.Names(rs, pod) })
	})
}

// TwoAtOnce: a Deployment asks that two of its revisions never run at once.
func TwoAtOnce(name string) string { return deployment.TwoAtOnce(name) }

// Selected says whether a selector selects a Rollout; none selects all.
func Selected(s *metav1.LabelSelector, ro *v1alpha1.Rollout) (bool, error) {
	if s == nil {
		return true, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false, fmt.Errorf("spec.selector: %w", err)
	}
	return selector.Matches(labels.Set(ro.Labels)), nil
}

// Shut says why a Rollout's releases may not go on now; the message is empty if they may. Opens is when they may again,
// if that is known. A window that cannot be read is shut, and named as broken: somebody meant to keep releases out.
func Shut(all []v1alpha1.ReleaseWindow, ro *v1alpha1.Rollout, now time.Time) (broken, message string, opens time.Time) {
	var windows []window.Window
	for i := range all {
		rw := &all[i]
		selects, err := Selected(rw.Spec.Selector, ro)
		if err == nil && !selects {
			continue
		}
		var parsed window.Window
		if err == nil {
			parsed, err = window.Parse(rw.Spec)
		}
		if err != nil {
			return rw.Name, fmt.Sprintf("the ReleaseWindow %q cannot be read, so it keeps releases out: %v; correct or "+
				"delete it", rw.Name, err), opens
		}
		parsed.Name = rw.Name
		windows = append(windows, parsed)
	}
	if state := window.Look(windows, now); !state.Open {
		return "", state.Reason, state.Until
	}
	return "", "", opens
}
