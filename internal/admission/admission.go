// Package admission is what the API server itself enforces for Sluice: that new revisions are held, that what
// a release has changed stays, that decisions are their author's, and that nobody borrows Sluice's rights. The rules
// are CEL expressions in admission policies; their only source is deploy/policies, and here is what the rest of
// Sluice has to know about them.
//
// The tests of this package are the proof of the rules, on a real API server. It may be imported by the
// controller and by the installer; it imports only deploy and api.
package admission

import (
	"fmt"

	admissionregistration "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/deploy"
)

// Names of the policies; each has a binding of the same name.
const (
	// HoldWorkload holds a new revision of a labelled Deployment in the write that makes it.
	HoldWorkload = "sluice-hold-workload"
	// HoldNewWorkload holds a Deployment that is made anew, where a Rollout knows what was released last.
	HoldNewWorkload = "sluice-hold-new-workload"
	// KeepHold refuses to resume a held Deployment, where the cluster has no mutating policies.
	KeepHold = "sluice-keep-hold"
	// HoldService makes re-applying a held Service's selector a no-op.
	HoldService = "sluice-hold-service"
	// HoldRoute makes re-applying the rules of a held HTTPRoute or GRPCRoute a no-op.
	HoldRoute = "sluice-hold-route"
	// OwnNothing keeps Sluice from being the manager of any field of a team's object.
	OwnNothing = "sluice-own-nothing"
	// DecisionAuthor fills in and proves the author of a Decision.
	DecisionAuthor = "sluice-decision-author"
	// KeepRelease keeps a Release until it has ended.
	KeepRelease = "sluice-keep-release"
	// KeepRecords keeps everybody but Sluice from writing what it acts on: Releases, Holds, AnalysisRuns, every status.
	KeepRecords = "sluice-keep-records"
	// KeepMeasurements keeps the Jobs that measure, and their pods, as Sluice and the Job controller made them.
	KeepMeasurements = "sluice-keep-measurements"
	// KeepMeasurementPods keeps their label to these pods.
	KeepMeasurementPods = "sluice-keep-measurement-pods"
	// KeepReplicaSet keeps the ReplicaSets of a release and of the released revision as Sluice made them.
	KeepReplicaSet = "sluice-keep-replicaset"
	// KeepCanary keeps the canary Service and the canary Ingress of a release as Sluice made them.
	KeepCanary = "sluice-keep-canary"
	// RolloutAuthor keeps authors of Rollouts from borrowing Sluice's rights to workloads, Services and routes.
	RolloutAuthor = "sluice-rollout-author"
	// Controller binds the controller itself to what it does.
	Controller = "sluice-controller"
	// TemplateAuthor keeps authors of measurements from borrowing Sluice's rights to Secrets and Jobs.
	TemplateAuthor = "sluice-template-author"
	// NotifierAuthor keeps authors of Notifiers from borrowing its right to Secrets.
	NotifierAuthor = "sluice-notifier-author"
)

// Resources is the part of a discovery client that tells which kinds a cluster serves.
type Resources interface {
	ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error)
}

// Supported says whether the cluster has mutating admission policies (v1, since Kubernetes 1.36). Where it
// has none, the controller keeps workloads paused and sets right what others undo. An error means that it
// could not be found out, which is not the same as no.
func Supported(cluster Resources) (bool, error) {
	list, err := cluster.ServerResourcesForGroupVersion(admissionregistration.SchemeGroupVersion.String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("discover admission policies: %w", err)
	}
	for _, resource := range list.APIResources {
		if resource.Name == "mutatingadmissionpolicies" {
			return true, nil
		}
	}
	return false, nil
}

// Policies are the policies and their bindings for a controller in this namespace, in the order in which
// they are to be made. Without mutating ones those are left that refuse, which every cluster since 1.30 has. Only are
// the namespaces that it looks after; none for all.
func Policies(namespace string, mutating bool, only ...string) ([]*unstructured.Unstructured, error) {
	all, err := deploy.Policies(namespace, only...)
	if err != nil || mutating {
		return all, err
	}
	var validating []*unstructured.Unstructured
	for _, object := range all {
		if !isMutating(object) {
			validating = append(validating, object)
		}
	}
	return validating, nil
}

func isMutating(object *unstructured.Unstructured) bool {
	kind := object.GetKind()
	return kind == "MutatingAdmissionPolicy" || kind == "MutatingAdmissionPolicyBinding"
}
