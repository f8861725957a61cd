package cli

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// ahead says how far off a moment is: "in 5m", or "passed 5s ago". A wait that is over stays in the status
// until the controller has seen it.
func ahead(now, at time.Time) string {
	if left := at.Sub(now); left >= 0 {
		return "in " + duration.HumanDuration(left)
	}
	return "passed " + duration.HumanDuration(now.Sub(at)) + " ago"
}

// span is a time that is never negative: the clocks of two machines may differ.
func span(d time.Duration) string { return duration.HumanDuration(max(d, 0)) }

// agents are known by what they leave on the objects that they apply. Helm stands last: Flux installs charts by Helm,
// so their objects bear the marks of both, and it is Flux that applies them again.
var agents = []struct{ name, annotation, label string }{
	{name: "Argo CD", annotation: "argocd.argoproj.io/tracking-id"},
	{name: "Argo CD", label: "argocd.argoproj.io/instance"},
	{name: "Flux", label: "kustomize.toolkit.fluxcd.io/name"},
	{name: "Flux", label: "helm.toolkit.fluxcd.io/name"},
	{name: "Helm", annotation: "meta.helm.sh/release-name"},
}

// agentOf is who applies an object's manifest again; empty where nobody is known to.
func agentOf(o metav1.Object) string {
	for _, a := range agents {
		if a.annotation != "" && o.GetAnnotations()[a.annotation] != "" || a.label != "" && o.GetLabels()[a.label] != "" {
			return a.name
		}
	}
	return ""
}

// appliedAgain warns that a pod template that is written back does not last where its manifest is applied again.
func appliedAgain(o metav1.Object) string {
	const remedy = "change it there, too, or the next time it is applied the other revision comes back, as a new release"
	switch agent := agentOf(o); agent {
	case "":
		return "note: the pod template is written back in the cluster only. If its manifest is kept elsewhere (Git, a " +
			"chart), " + remedy
	case "Helm":
		return "note: Helm installs deployment/" + o.GetName() + " from a chart; " + remedy + " (or use helm rollback)"
	default:
		return "note: " + agent + " applies deployment/" + o.GetName() + " from Git; " + remedy
	}
}
