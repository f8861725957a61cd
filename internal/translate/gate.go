package translate

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// DefaultApprovalExpiry is how long an approval may take.
const DefaultApprovalExpiry = 24 * time.Hour

// fillApproval fills the defaults of an approval in.
func fillApproval(a *v1alpha1.Approval) {
	if a == nil {
		return
	}
	if a.Required == nil {
		a.Required = ptr.To(int32(1))
	}
	if a.ExpiresAfter == nil {
		a.ExpiresAfter = &metav1.Duration{Duration: DefaultApprovalExpiry}
	}
	if a.RemindAfter == nil {
		a.RemindAfter = &metav1.Duration{Duration: a.ExpiresAfter.Duration / 2}
	}
}

func approval(a *v1alpha1.Approval) *release.Approval {
	if a == nil {
		return nil
	}
	a = a.DeepCopy()
	fillApproval(a)
	return &release.Approval{
		Required: int(*a.Required), Users: a.From.Users, Groups: a.From.Groups,
		ExpiresAfter: a.ExpiresAfter.Duration, RemindAfter: a.RemindAfter.Duration,
		SeparationOfDuty: a.SeparationOfDuty, CommentRequired: a.CommentRequired,
	}
}

// backgroundFrom is the step, from 0, in which the background analysis begins; -1 if there is none of its name.
func backgroundFrom(p v1alpha1.ReleasePlan) int {
	if p.Analysis.FromStep == "" {
		return 0
	}
	return slices.IndexFunc(p.Steps, func(s v1alpha1.CanaryStep) bool { return s.Name == p.Analysis.FromStep })
}
