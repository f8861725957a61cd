package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Release is one attempt to release one revision: its fixed plan, its progress and its record. Sluice
// makes it when a Rollout's workload gets a new pod template; people act on it by Decisions.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rel,categories=sluice
// +kubebuilder:printcolumn:name="Rollout",type=string,JSONPath=`.spec.rollout`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.stepSummary`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Image",type=string,JSONPath=`.spec.to.images[0].image`
// +kubebuilder:printcolumn:name="Waiting",type=string,JSONPath=`.status.waitingFor.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Release struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is fixed when the release is made.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec: a release is fixed when it is made; change the Rollout for the next one, or act on this one by a Decision"
	Spec ReleaseSpec `json:"spec"`

	// status is the release's progress and record.
	// +optional
	Status ReleaseStatus `json:"status,omitzero"`
}

// ReleaseList is a list of Releases.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Releases.
	Items []Release `json:"items"`
}

// ReleaseSpec is what a release set out to do.
type ReleaseSpec struct {
	// rollout is the name of the Rollout that this release belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rollout string `json:"rollout"`
	// number counts the Rollout's releases from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// from is the revision that was stable when the release began.
	// +required
	From Revision `json:"from"`
	// to is the revision that is released.
	// +required
	To Revision `json:"to"`
	// plan is the Rollout's spec as it was when the release began.
	// +required
	Plan ReleasePlan `json:"plan"`
	// planDigest is the SHA-256 of the plan and the two revisions, "sha256:..." in hex. A Decision that
	// names another digest is refused.
	// +required
	// +kubebuilder:validation:MaxLength=80
	PlanDigest string `json:"planDigest"`
	// author is the user who changed the pod template last, as the API server knew him; empty where that is not known, as
	// on a cluster without mutating admission policies.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Author string `json:"author,omitempty"`
	// authors are all who changed the pod template since the stable revision, the author among them. It is empty where one
	// of them is not known: then nobody may approve under separation of duty.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=33
	// +kubebuilder:validation:items:MaxLength=1024
	Authors []string `json:"authors,omitempty"`
	// changes say for people in what the two revisions differ, such as "containers[web].image: shop:v1 -> shop:v2". Texts
	// that may be secret, such as the values of environment variables, are not shown.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	Changes []string `json:"changes,omitempty"`
	// cause says how the release came to be.
	// +optional
	Cause ReleaseCause `json:"cause,omitempty"`
	// canarySuffix is what the name of each canary Service has after the Service's own. Default "-canary". Where a
	// gateway keeps sessions by a cookie it is "-canary-N", N the release's number: such a cookie names the Service that
	// a session belongs to, and one of an earlier release must not lead to this one's new version.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^-canary(-[0-9]+)?$`
	CanarySuffix string `json:"canarySuffix,omitempty"`
	// previewOf is the Service whose canary Service is the plan's previewService, since the team has none of that name.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PreviewOf string `json:"previewOf,omitempty"`
	// shared lists the ConfigMaps and Secrets that both revisions name: changing their content changes
	// both versions at once, and an abort does not bring it back.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Shared []SharedObject `json:"shared,omitempty"`
	// moreShared is the number of further ConfigMaps and Secrets that both revisions name, where there are more than are
	// listed.
	// +optional
	MoreShared int32 `json:"moreShared,omitempty"`
}

// ReleaseCause says how a release came to be.
//
// +kubebuilder:validation:Enum=TemplateChanged;Retry;Rollback
type ReleaseCause string

// The causes of a release.
const (
	CauseTemplateChanged ReleaseCause = "TemplateChanged"
	CauseRetry           ReleaseCause = "Retry"
	CauseRollback        ReleaseCause = "Rollback"
)

// SharedObject is a ConfigMap or Secret that two revisions name.
type SharedObject struct {
	// kind is ConfigMap or Secret.
	// +required
	// +kubebuilder:validation:Enum=ConfigMap;Secret
	Kind string `json:"kind"`
	// name of the object.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ReleasePlan is the part of a Rollout's spec that a release follows, with every default filled in.
type ReleasePlan struct {
	// workload that is released.
	// +required
	Workload WorkloadReference `json:"workload"`
	// traffic layers that move together.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Traffic []TrafficLayer `json:"traffic,omitempty"`
	// services as in the Rollout.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Services []ServiceRule `json:"services,omitempty"`
	// steps in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	Steps []CanaryStep `json:"steps,omitempty"`
	// analysis in the background, as in the Rollout.
	// +optional
	Analysis *BackgroundAnalysis `json:"analysis,omitempty"`
	// switch: without a traffic layer the Services themselves change over to the new pods, in a step of weight 100.
	// +optional
	Switch bool `json:"switch,omitempty"`
	// previewService leads to the new pods before they get requests.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PreviewService string `json:"previewService,omitempty"`
	// keepOld is how long the old pods stay ready after the workload has taken the new revision over.
	// +optional
	KeepOld *metav1.Duration `json:"keepOld,omitempty"`
	// templates are the analysis templates that the steps and the background analysis name, and those that these name, as
	// they were when the release began. A later change of a template counts for later releases.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Templates []FrozenTemplate `json:"templates,omitempty"`
	// onFailure as in the Rollout.
	// +required
	OnFailure FailurePolicy `json:"onFailure"`
	// onStableDown as in the Rollout.
	// +optional
	OnStableDown StableDownPolicy `json:"onStableDown,omitempty"`
	// onAbort as in the Rollout.
	// +required
	OnAbort AbortPolicy `json:"onAbort"`
	// progressDeadline as in the Rollout.
	// +required
	ProgressDeadline metav1.Duration `json:"progressDeadline"`
	// releaseDeadline as in the Rollout.
	// +required
	ReleaseDeadline metav1.Duration `json:"releaseDeadline"`
	// drainDelay as in the Rollout.
	// +required
	DrainDelay metav1.Duration `json:"drainDelay"`
}

// MostFrozenTemplates is the largest number of templates in a plan.
const MostFrozenTemplates = 32

// FrozenTemplate is an analysis template as it was when a release began.
type FrozenTemplate struct {
	// name of the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// scope is Cluster for a ClusterAnalysisTemplate.
	// +optional
	// +kubebuilder:validation:Enum=Namespace;Cluster
	Scope string `json:"scope,omitempty"`
	// spec of the template, in YAML.
	// +required
	// +kubebuilder:validation:MaxLength=524288
	Spec string `json:"spec"`
}

// ReleaseStatus is a release's progress and record.
type ReleaseStatus struct {
	// phase of the release.
	// +optional
	Phase ReleasePhase `json:"phase,omitempty"`

	// stepSummary is the current step for people, as "2/4 half".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	StepSummary string `json:"stepSummary,omitempty"`

	// weight is the share of requests, in percent, that the routes in force send to the new revision.
	// +optional
	Weight *int32 `json:"weight,omitempty"`

	// replicas of the two versions.
	// +optional
	Replicas *VersionReplicas `json:"replicas,omitempty"`

	// layers are the traffic layers of the release, as they were when this status was written: it is not written anew for
	// their sake alone. Only while the release is under way.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Layers []LayerStatus `json:"layers,omitempty"`

	// waitingFor says what has to happen next when nothing moves.
	// +optional
	WaitingFor *WaitingFor `json:"waitingFor,omitempty"`

	// memory is what the release must remember and the world cannot show again. It is written before its
	// effects are relied upon; only Sluice writes it.
	// +optional
	Memory *ReleaseMemory `json:"memory,omitempty"`

	// result says in one sentence how the release ended.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Result string `json:"result,omitempty"`

	// startedAt is when the release began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// finishedAt is when the release ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`

	// timeline is the record: what happened, when, by whom and why. The last 100 entries are kept.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Timeline []TimelineEntry `json:"timeline,omitempty"`

	// conditions: Ready, Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ReleasePhase is where a release stands.
//
// +kubebuilder:validation:Enum=Pending;Progressing;Paused;Completing;Succeeded;Aborting;Aborted;Superseded
type ReleasePhase string

// The phases of a release.
const (
	ReleasePending     ReleasePhase = "Pending"
	ReleaseProgressing ReleasePhase = "Progressing"
	ReleasePaused      ReleasePhase = "Paused"
	ReleaseCompleting  ReleasePhase = "Completing"
	ReleaseSucceeded   ReleasePhase = "Succeeded"
	ReleaseAborting    ReleasePhase = "Aborting"
	ReleaseAborted     ReleasePhase = "Aborted"
	ReleaseSuperseded  ReleasePhase = "Superseded"
)

// Terminal says whether a release in this phase has ended.
func (p ReleasePhase) Terminal() bool {
	return p == ReleaseSucceeded || p == ReleaseAborted || p == ReleaseSuperseded
}

// VersionReplicas counts the pods of the two versions.
type VersionReplicas struct {
	// stable pods that are ready.
	// +required
	Stable int32 `json:"stable"`
	// canary pods that are ready.
	// +required
	Canary int32 `json:"canary"`
	// canaryDesired is the number of canary pods asked for.
	// +required
	CanaryDesired int32 `json:"canaryDesired"`
}

// LayerStatus is what a traffic layer does now.
type LayerStatus struct {
	// name of the layer, as "ingress/shop".
	// +required
	// +kubebuilder:validation:MaxLength=300
	Name string `json:"name"`
	// weight is the share of requests, in percent, that the layer sends to the new revision. It is absent where the layer
	// has no canary route.
	// +optional
	Weight *int32 `json:"weight,omitempty"`
	// matches is the number of matches whose requests go to the new revision whatever the weight.
	// +optional
	Matches int32 `json:"matches,omitempty"`
	// inForce is true when the layer has accepted what it has now, and has had its time to follow.
	// +required
	InForce bool `json:"inForce"`
	// until is when the time ends that the layer is given to follow; absent where that is over.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// problem says why the layer has not accepted what it has; empty where it has, or where that is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Problem string `json:"problem,omitempty"`
	// services are the Services in front of the workload that the layer sends requests to.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Services []string `json:"services,omitempty"`
}

// LayerMemory is what a traffic layer had when a release looked last.
type LayerMemory struct {
	// name of the layer, as "ingress/shop".
	// +required
	// +kubebuilder:validation:MaxLength=300
	Name string `json:"name"`
	// version changes with each change of the layer's object; it is empty where Sluice has none there.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Version string `json:"version,omitempty"`
	// since is when this version was first seen to be stored and accepted.
	// +required
	Since metav1.MicroTime `json:"since"`
}

// ReleaseMemory is the cursor of a release and the times that it counts from.
type ReleaseMemory struct {
	// step is the index of the current step, from 0.
	// +required
	Step int32 `json:"step"`
	// reached is how many of the steps, from the first, have been in force. The others were not reached, or skipped.
	// +optional
	Reached int32 `json:"reached,omitempty"`
	// stepStartedAt is when the current step began.
	// +optional
	StepStartedAt *metav1.MicroTime `json:"stepStartedAt,omitempty"`
	// stepReachedAt is when the current step's pods were ready and its routes in force.
	// +optional
	StepReachedAt *metav1.MicroTime `json:"stepReachedAt,omitempty"`
	// stood is how long the current step was in force before it lost its last ready new pod. Its timed pause goes on from
	// there when it is in force again.
	// +optional
	Stood *metav1.Duration `json:"stood,omitempty"`
	// losses counts how often it lost them. With the third loss the pause begins anew.
	// +optional
	Losses int32 `json:"losses,omitempty"`
	// promoted is set when somebody ended the current step's pause.
	// +optional
	Promoted bool `json:"promoted,omitempty"`
	// full is set when somebody promoted the release past all its steps.
	// +optional
	Full bool `json:"full,omitempty"`
	// promotedTo is the step, counted from 1, before which no pause is kept, since a person has said so.
	// +optional
	PromotedTo int32 `json:"promotedTo,omitempty"`
	// pausedBy is the user who paused the release by hand, or "sluice" when a failure did.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	PausedBy string `json:"pausedBy,omitempty"`
	// pausedAt is when that was.
	// +optional
	PausedAt *metav1.MicroTime `json:"pausedAt,omitempty"`
	// askedAt is when the current step's approval was asked for.
	// +optional
	AskedAt *metav1.MicroTime `json:"askedAt,omitempty"`
	// approvals that count for the current step.
	// +optional
	// +listType=map
	// +listMapKey=user
	// +kubebuilder:validation:MaxItems=20
	Approvals []ApprovalRecord `json:"approvals,omitempty"`
	// measured counts how often the step's analysis was begun anew, since it had come to no good verdict and a person
	// resumed; waived is set when a person went on without one.
	// +optional
	Measured int32 `json:"measured,omitempty"`
	// measuredBackground counts likewise for the background analysis.
	// +optional
	MeasuredBackground int32 `json:"measuredBackground,omitempty"`
	// waived is set when a person went on without a good verdict of the step's analysis.
	// +optional
	Waived bool `json:"waived,omitempty"`
	// waivedBackground is set when a person went on without a good verdict of the background analysis.
	// +optional
	WaivedBackground bool `json:"waivedBackground,omitempty"`
	// told is the verdict of the step's analysis that people have been asked about, toldBackground that of the
	// background's.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Told string `json:"told,omitempty"`
	// toldBackground is the verdict of the background analysis that people have been asked about.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	ToldBackground string `json:"toldBackground,omitempty"`
	// reminded is set when people have been reminded of the approval.
	// +optional
	Reminded bool `json:"reminded,omitempty"`
	// overriddenBy is the user who lets the release go on outside its ReleaseWindows.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	OverriddenBy string `json:"overriddenBy,omitempty"`
	// layers is what the traffic layers had when the release looked last, and since when: a gateway is given its time
	// from then. Only of the layers that the release has changed.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Layers []LayerMemory `json:"layers,omitempty"`
	// drainFrom is when the version that goes was first seen to get no more requests.
	// +optional
	DrainFrom *metav1.MicroTime `json:"drainFrom,omitempty"`
	// keptFrom is since when the old pods have been kept, after the workload has taken the new revision over.
	// +optional
	KeptFrom *metav1.MicroTime `json:"keptFrom,omitempty"`
	// downSince is since when no pod of the stable revision has been ready, where onStableDown makes that count.
	// +optional
	DownSince *metav1.MicroTime `json:"downSince,omitempty"`
	// stoodIn is set when a Service was pointed at the new pods, since no stable one was ready.
	// +optional
	StoodIn bool `json:"stoodIn,omitempty"`
	// handedOver is set once the new ReplicaSet has been given to the workload.
	// +optional
	HandedOver bool `json:"handedOver,omitempty"`
	// overdue is set when taking the release back has itself passed the progress deadline.
	// +optional
	Overdue bool `json:"overdue,omitempty"`
	// end says why the release is being taken back.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	End string `json:"end,omitempty"`
	// endMessage is the sentence to it.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	EndMessage string `json:"endMessage,omitempty"`
	// answers to Decisions that have taken effect here but may not have reached the Decision's own status
	// yet, so that none is applied twice or lost when the controller stops in between.
	// +optional
	// +listType=map
	// +listMapKey=decision
	// +kubebuilder:validation:MaxItems=32
	Answers []DecisionAnswer `json:"answers,omitempty"`
}

// ApprovalRecord is one approval that counts.
type ApprovalRecord struct {
	// user who approved.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	User string `json:"user"`
	// at is when.
	// +required
	At metav1.MicroTime `json:"at"`
	// comment to it.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Comment string `json:"comment,omitempty"`
}

// DecisionAnswer is what became of one Decision.
type DecisionAnswer struct {
	// decision is the Decision's name.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Decision string `json:"decision"`
	// outcome is Applied or Refused.
	// +required
	Outcome DecisionOutcome `json:"outcome"`
	// reason is a stable word for programs.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`
	// message is a sentence for people.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// TimelineEntry is one thing that happened in a release.
type TimelineEntry struct {
	// at is when it happened.
	// +required
	At metav1.Time `json:"at"`
	// reason is a stable word for programs.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message is a sentence for people.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message"`
	// user who did it, when a person did.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	User string `json:"user,omitempty"`
}
