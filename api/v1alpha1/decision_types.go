package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Decision is one person's word on one release. It is written once and never changed; the API server has
// proven its author, and who may write which verb is plain RBAC: the custom verb of the same name on the
// release (resource releases, group sluice.dev).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=sluice
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.spec.release`
// +kubebuilder:printcolumn:name="Verb",type=string,JSONPath=`.spec.verb`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.user`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.status.outcome`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.status) || !has(oldSelf.status.outcome) || (has(self.status) && self.status == oldSelf.status)",message="status: the outcome is written once; make another decision"
type Decision struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the decision.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec: a decision cannot be changed; make another"
	// +kubebuilder:validation:XValidation:rule="!has(self.before) || !self.before || self.verb == 'rollback'",message="spec.before: goes with the verb rollback only; leave it out"
	// +kubebuilder:validation:XValidation:rule="!has(self.toStep) || self.verb == 'promote'",message="spec.toStep: goes with the verb promote only; leave it out"
	Spec DecisionSpec `json:"spec"`

	// status says what became of it.
	// +optional
	Status DecisionStatus `json:"status,omitzero"`
}

// DecisionList is a list of Decisions.
//
// +kubebuilder:object:root=true
type DecisionList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Decisions.
	Items []Decision `json:"items"`
}

// DecisionSpec is one person's word on one release.
type DecisionSpec struct {
	// release that the decision speaks of, and no other.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release"`
	// verb is what is decided: promote ends the pause of the current step, which must be in force, promoteFull goes past
	// all steps, pause stops the advance until resume, abort takes the release back, retry tries the revision of an
	// aborted release again, rollback releases the revision that this release brought (or, with before, the one that ran
	// before it) once more; approve and reject answer the approval that a step asks for, and override lets the release go
	// on although a ReleaseWindow is shut.
	// +required
	Verb DecisionVerb `json:"verb"`
	// step that the decision speaks of. When set, the decision is refused in any other step.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Step string `json:"step,omitempty"`
	// toStep has a promotion end the pauses of all steps before the named one, and not only that of the current step. The
	// approvals and the analyses of these steps are waited for all the same.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	ToStep string `json:"toStep,omitempty"`
	// since when the release has waited for this decision, as its author saw it in the release's status.memory:
	// stepReachedAt for promote, askedAt for approve, and pausedAt for resume and for promote where the release is paused.
	// When set, the decision is refused if the release waits since another time. When not set, it counts only if it was
	// written a second or more after that, so that it never ends a wait that its author has not seen.
	// +optional
	Since *metav1.MicroTime `json:"since,omitempty"`
	// planDigest of the plan that the author saw. When set, the decision is refused for any other plan.
	// +optional
	// +kubebuilder:validation:MaxLength=80
	PlanDigest string `json:"planDigest,omitempty"`
	// before: with the verb rollback, go back to the revision that ran before the named release, and not to the one that
	// it brought.
	// +optional
	Before bool `json:"before,omitempty"`
	// comment for the record.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Comment string `json:"comment,omitempty"`
	// user who decides. It must be the one who writes this object; where the cluster has mutating
	// admission policies it is filled in.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	User string `json:"user,omitempty"`
	// groups of that user, which may give an approval its weight; each must be his. Where the cluster has mutating
	// admission policies they are filled in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`
}

// DecisionVerb is what a person can decide.
//
// +kubebuilder:validation:Enum=promote;promoteFull;pause;resume;abort;retry;rollback;approve;reject;override
type DecisionVerb string

// The verbs. Each is also a custom RBAC verb on releases.sluice.dev.
const (
	// VerbPromote ends the current step's pause.
	VerbPromote DecisionVerb = "promote"
	// VerbPromoteFull goes past all steps to completion. Capacity is still waited for.
	VerbPromoteFull DecisionVerb = "promoteFull"
	// VerbPause stops the advance until resume.
	VerbPause DecisionVerb = "pause"
	// VerbResume ends a pause by hand.
	VerbResume DecisionVerb = "resume"
	// VerbAbort takes the release back.
	VerbAbort DecisionVerb = "abort"
	// VerbRetry tries the revision of an aborted release again, as a new release.
	VerbRetry DecisionVerb = "retry"
	// VerbRollback makes the revision that the named, succeeded release brought the desired one again, as
	// a new release without intermediate steps.
	VerbRollback DecisionVerb = "rollback"
	// VerbApprove answers the approval that the current step asks for with yes.
	VerbApprove DecisionVerb = "approve"
	// VerbReject answers it with no: the release is taken back.
	VerbReject DecisionVerb = "reject"
	// VerbOverride lets the release go on outside its ReleaseWindows.
	VerbOverride DecisionVerb = "override"
)

// DecisionStatus says what became of a decision. It is written once.
type DecisionStatus struct {
	// outcome is Applied or Refused; empty while it has not been looked at.
	// +optional
	Outcome DecisionOutcome `json:"outcome,omitempty"`
	// reason is a stable word for programs.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message is a sentence for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// at is when it was looked at.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// DecisionOutcome says what became of a decision.
//
// +kubebuilder:validation:Enum=Applied;Refused
type DecisionOutcome string

// The outcomes.
const (
	DecisionApplied DecisionOutcome = "Applied"
	DecisionRefused DecisionOutcome = "Refused"
)
