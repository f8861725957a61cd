package view

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// Standing is the verdict on one Rollout or release, in one line.
type Standing struct {
	Name, Phase, Message string
	Verdict              Verdict
}

// Verdict says whether a release is done.
type Verdict string

// The verdicts.
const (
	// Done: healthy, or the release succeeded.
	Done Verdict = "Done"
	// No: aborted, rejected or stalled.
	No Verdict = "No"
	// Moving: under way, it moves on by itself.
	Moving Verdict = "Moving"
	// NeedsPerson: it waits for a person.
	NeedsPerson Verdict = "NeedsPerson"
)

// Final says whether the verdict stays. An abort under way is a no already, but has not ended.
func (s Standing) Final() bool {
	return s.Verdict != Moving && s.Phase != string(v1alpha1.ReleaseAborting)
}

// Judge gives the verdict. It needs the subject, the workload and the hash of its pod template. Without the hash,
// revisions are told apart by their images.
func Judge(o Objects) Standing {
	switch {
	case o.Release != nil && (o.Named || o.Rollout == nil):
		return judgeRelease(o.Release)
	case o.Rollout != nil:
		return judgeRollout(o)
	}
	return Standing{Phase: "Unknown", Verdict: Moving}
}

func judgeRelease(r *v1alpha1.Release) Standing {
	s := Standing{Name: r.Name, Phase: string(r.Status.Phase), Verdict: Moving, Message: r.Status.Result}
	if s.Message == "" && r.Status.WaitingFor != nil {
		s.Message = r.Status.WaitingFor.Message
	}
	switch r.Status.Phase {
	case "":
		s.Phase, s.Message = string(v1alpha1.ReleasePending), "no controller has looked at it yet"
	case v1alpha1.ReleaseSucceeded:
		s.Verdict = Done
	case v1alpha1.ReleaseAborted, v1alpha1.ReleaseSuperseded, v1alpha1.ReleaseAborting:
		s.Verdict = No
	default: // Under way.
	}
	if s.Verdict == Moving && waitsForPerson(r.Status.WaitingFor) {
		s.Verdict = NeedsPerson
	}
	return s
}

func judgeRollout(o Objects) Standing {
	r := o.Rollout
	s := Standing{Name: r.Name, Phase: string(r.Status.Phase), Verdict: Moving}
	if r.Status.WaitingFor != nil {
		s.Message = r.Status.WaitingFor.Message
	}
	switch {
	case r.Status.Phase == "", r.Status.ObservedGeneration < r.Generation:
		s.Phase, s.Message = "Pending", "no controller has looked at this version of the Rollout yet"
	case o.newRevision():
		s.Phase, s.Message = "Pending", "the pod template has changed; its release has not begun yet"
	case o.UnderWay() && o.Workload != nil && o.differs(o.Release.Spec.To) && o.differs(o.Release.Spec.From):
		s.Phase = "Pending"
		s.Message = "the pod template has changed again; " + o.Release.Name + " gives way to a new release"
	case o.UnderWay():
		under := judgeRelease(o.Release)
		s.Phase = string(o.Release.Status.Phase)
		s.Verdict, s.Message = under.Verdict, under.Message
	case r.Status.Phase == v1alpha1.RolloutHealthy:
		s.Verdict, s.Message = Done, runs(r)
	case r.Status.Phase == v1alpha1.RolloutRejected:
		s.Verdict, s.Message = No, rejected(r)
	}
	if r.Status.Phase == v1alpha1.RolloutStalled {
		s.Phase, s.Verdict, s.Message = string(r.Status.Phase), No, stalled(r)
	}
	return s
}

// newRevision says whether the workload names a pod template that the Rollout's status does not speak of yet: a
// pipeline that asks right after `kubectl set image` must not be told that all is well.
func (o Objects) newRevision() bool {
	s := o.Rollout.Status
	if o.Workload == nil || s.Stable == nil {
		return false
	}
	switch s.Phase {
	case v1alpha1.RolloutHealthy, v1alpha1.RolloutDegraded:
		return o.Workload.Annotations[v1alpha1.AnnotationHeld] != "" || o.differs(*s.Stable)
	case v1alpha1.RolloutRejected:
		return s.Rejected != nil && o.differs(s.Rejected.Revision)
	default:
		return false
	}
}

// differs says whether the workload's pod template is another one than the revision's. An earlier Sluice made shorter
// hashes: of what it recorded only the images tell.
func (o Objects) differs(r v1alpha1.Revision) bool {
	if o.TemplateHash != "" && len(r.Hash) == len(o.TemplateHash) {
		return r.Hash != o.TemplateHash
	}
	return !sameImages(r, o.Workload)
}

func sameImages(r v1alpha1.Revision, d *appsv1.Deployment) bool {
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, i := range r.Images {
			if i.Container == c.Name && i.Image != c.Image {
				return false
			}
		}
	}
	return true
}

func runs(r *v1alpha1.Rollout) string {
	if r.Status.Stable == nil {
		return "nothing is under way"
	}
	return "runs " + Images(*r.Status.Stable)
}

func rejected(r *v1alpha1.Rollout) string {
	if r.Status.Rejected == nil {
		return "the pod template names a revision that was aborted"
	}
	s := Beside(r.Status.Rejected.Revision, r.Status.Stable) + " was rejected"
	if r.Status.Rejected.Message != "" {
		s += ": " + r.Status.Rejected.Message
	}
	if changes := r.Status.Rejected.Changes; len(changes) > 0 {
		s += "; it differs from the stable revision in " + strings.Join(changes[:min(len(changes), 3)], ", ")
	}
	return s
}

func stalled(r *v1alpha1.Rollout) string {
	for _, c := range r.Status.Conditions {
		if c.Type == v1alpha1.ConditionStalled && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	if r.Status.WaitingFor != nil {
		return r.Status.WaitingFor.Message
	}
	return "it needs a person; see `sluice get " + r.Name + "`"
}
