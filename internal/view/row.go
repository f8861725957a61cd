package view

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Row is a Rollout in one line of a list. It is made from the Rollout alone.
type Row struct {
	Namespace, Name, Phase string
	// Release under way or the last one, and its step, as "2/4 half".
	Release, Step string
	// Weight is the share of requests, in percent, that the new revision gets; nil where no release is under way.
	Weight  *int32
	Created metav1.Time
	// Workload is its name, Stable the images of the stable revision.
	Workload, Stable string
	// Waiting is what is waited for.
	Waiting string
}

// RowOf is the line of a Rollout.
func RowOf(r *v1alpha1.Rollout) Row {
	out := Row{
		Namespace: r.Namespace, Name: r.Name, Phase: phaseOf(r), Release: r.Status.CurrentRelease, Step: r.Status.Step,
		Weight: r.Status.Weight, Created: r.CreationTimestamp, Workload: r.Spec.Workload.Name,
	}
	if r.Status.Stable != nil {
		out.Stable = Images(*r.Status.Stable)
	}
	if r.Status.WaitingFor != nil {
		out.Waiting = r.Status.WaitingFor.Message
	}
	return out
}
