package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout says how new revisions of one workload are to be released: in which steps, through which
// traffic layers, and what happens when a step fails. The workload stays the team's own object; a new
// revision starts when somebody changes its pod template, and is held until this Rollout lets it through.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ro,categories=sluice
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.workload.name`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.status.currentRelease`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.status.step`
// +kubebuilder:printcolumn:name="Weight",type=integer,JSONPath=`.status.weight`
// +kubebuilder:printcolumn:name="Waiting",type=string,JSONPath=`.status.waitingFor.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 52",message="metadata.name: must be at most 52 characters, since releases and canary objects are named after it"
type Rollout struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says how new revisions are released.
	// +required
	Spec RolloutSpec `json:"spec"`

	// status is what Sluice last saw and decided.
	// +optional
	Status RolloutStatus `json:"status,omitzero"`
}

// RolloutList is a list of Rollouts.
//
// +kubebuilder:object:root=true
type RolloutList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Rollouts.
	Items []Rollout `json:"items"`
}

// RolloutSpec says how new revisions of the workload are released.
//
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !self.traffic.exists(t, has(t.httpRoute) || has(t.grpcRoute)) || !has(self.canary) || self.canary.steps.all(s, !has(s.match) || s.match.all(m, !has(m.headers) || m.headers.all(h, !has(h.regex) || '-'.matches(h.regex) in [true, false])))",message="spec.canary.steps: the regex of a header is no regular expression that the gateway of an HTTPRoute or GRPCRoute reads (RE2 syntax); mend it, as ^(eu|us)-.*$"
// +kubebuilder:validation:XValidation:rule="!has(self.traffic) || !self.traffic.exists(t, has(t.httpRoute) || has(t.grpcRoute)) || !has(self.blueGreen) || !has(self.blueGreen.preview) || !has(self.blueGreen.preview.match) || self.blueGreen.preview.match.all(m, !has(m.headers) || m.headers.all(h, !has(h.regex) || '-'.matches(h.regex) in [true, false]))",message="spec.blueGreen.preview.match: the regex of a header is no regular expression that the gateway of an HTTPRoute or GRPCRoute reads (RE2 syntax); mend it, as ^(eu|us)-.*$"
// +kubebuilder:validation:ExactlyOneOf=canary;blueGreen
type RolloutSpec struct {
	// workload names the team's object whose pod template is released, in the Rollout's namespace.
	// One workload may be named by one Rollout only. To release another workload, make another Rollout.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.workload: cannot be changed; delete this Rollout and create one for the other workload"
	Workload WorkloadReference `json:"workload"`

	// traffic lists the layers that send requests to the workload. All layers move together. When it is
	// empty, requests are split by the number of pods behind the workload's Services.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Traffic []TrafficLayer `json:"traffic,omitempty"`

	// services say what a release does with single Services in front of the workload that no traffic layer leads to. One
	// that is not listed leads to the stable pods alone until the release completes, so that nobody gets the new revision
	// past the steps.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Services []ServiceRule `json:"services,omitempty"`

	// canary releases a new revision beside the stable one, step by step.
	// +optional
	Canary CanaryStrategy `json:"canary,omitzero"`

	// blueGreen releases a new revision beside the stable one, and sends all requests to it at once.
	// +optional
	BlueGreen *BlueGreenStrategy `json:"blueGreen,omitempty"`

	// holdAt is the name of a step at which releases stop: they reach it and go no further, whoever promotes, until
	// another step is named here, or none. It counts at once, also for the release under way, and is meant for Git and
	// pipelines.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	HoldAt string `json:"holdAt,omitempty"`

	// onFailure says what happens when a step fails or its deadline passes: abort (the default) sends all
	// requests back to the stable revision and removes the new pods; pause stops and asks a person.
	// +optional
	OnFailure FailurePolicy `json:"onFailure,omitempty"`

	// onStableDown says what happens when no pod of the stable revision is ready while a new one is released. With traffic
	// layers the new pods get all requests after ten seconds, if one of them is ready. wait (the default) waits for the
	// stable pods, and says so; a step that asks for approval is reached all the same. promote goes past the steps to come
	// when that has lasted for 30 seconds and pods of the new revision are ready, as `sluice promote --full` does. It goes
	// past no approval and no shut release window.
	// +optional
	OnStableDown StableDownPolicy `json:"onStableDown,omitempty"`

	// onAbort says what becomes of the workload's pod template after an abort: keep (the default) leaves it
	// as the team wrote it, held and not running; revert writes the stable template back.
	// +optional
	OnAbort AbortPolicy `json:"onAbort,omitempty"`

	// progressDeadline is the longest time that a step may take to get its pods ready and its routes in
	// force, pauses not counted. Default 10m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="spec.progressDeadline: must be between 1s and 24h, with its unit, as 10m"
	ProgressDeadline *metav1.Duration `json:"progressDeadline,omitempty"`

	// releaseDeadline is the longest time that a whole release may take, waits for people included. When it
	// passes the release is aborted. Default 168h (seven days).
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('8760h')",message="spec.releaseDeadline: must be between 1m and 8760h, with its unit, as 10m"
	ReleaseDeadline *metav1.Duration `json:"releaseDeadline,omitempty"`

	// drainDelay is the time between the moment when a version is seen to get no new requests and the
	// moment when its pods may go, for requests under way and for gateways that follow late. Default 5s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('1h')",message="spec.drainDelay: must be between 0s and 1h, with its unit, as 30s"
	DrainDelay *metav1.Duration `json:"drainDelay,omitempty"`

	// historyLimit is the number of finished Releases that are kept as a record. Default 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HistoryLimit *int32 `json:"historyLimit,omitempty"`
}

// WorkloadReference names a workload in the same namespace.
type WorkloadReference struct {
	// apiVersion of the workload. Default apps/v1.
	// +optional
	// +kubebuilder:validation:Enum=apps/v1
	APIVersion string `json:"apiVersion,omitempty"`
	// kind of the workload.
	// +required
	// +kubebuilder:validation:Enum=Deployment
	Kind string `json:"kind"`
	// name of the workload, of at most 52 characters: Kubernetes cuts the names of pods, and of a longer one the pods of
	// two revisions would be called the same.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.size() <= 52",message="spec.workload.name: must be at most 52 characters, or the pods of two revisions could not be told apart by their names; give the workload a shorter name"
	Name string `json:"name"`
}

// TrafficLayer is one place where requests are divided. Exactly one field is set.
//
// +kubebuilder:validation:ExactlyOneOf=ingress;httpRoute;grpcRoute
type TrafficLayer struct {
	// Each kind of layer is a field: a struct with the name of the team's object and LayerOptions. CONTRIBUTING.md says
	// how to add one.

	// ingress is an Ingress of a controller that reads ingress-nginx's canary annotations. Sluice adds a
	// canary Ingress beside it and leaves this one as it is.
	// +optional
	Ingress *IngressReference `json:"ingress,omitempty"`
	// httpRoute is an HTTPRoute of the Gateway API. Sluice adds the canary backend and its weight to every
	// rule that names the workload's Service, and puts the rules back at the end.
	// +optional
	HTTPRoute *HTTPRouteReference `json:"httpRoute,omitempty"`
	// grpcRoute is a GRPCRoute of the Gateway API, which is handled as an HTTPRoute is. It has no cookies: a step or a
	// preview that matches one is refused.
	// +optional
	GRPCRoute *GRPCRouteReference `json:"grpcRoute,omitempty"`
}

// IngressReference names an Ingress in the Rollout's namespace.
type IngressReference struct {
	// name of the Ingress.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// controller says by what annotations the Ingress controller divides requests. nginx: it reads ingress-nginx's
	// canary annotations, nginx.ingress.kubernetes.io/canary-*. Default: by spec.controller of the IngressClass; an
	// Ingress of a controller that Sluice does not know to read them is refused.
	// +optional
	// +kubebuilder:validation:Enum=nginx
	Controller   string `json:"controller,omitempty"`
	LayerOptions `json:",inline"`
}

// LayerOptions are what a Rollout may say of a layer of whatever kind.
type LayerOptions struct {
	// confirm says how Sluice makes sure that a step is in force, see TrafficConfirmation.
	// +optional
	Confirm TrafficConfirmation `json:"confirm,omitempty"`
	// settle is how long the layer is given to follow each change, the removal of the canary included, since none reports
	// when it has. It counts from when the API server has stored the change and, for a layer that reports Accepted, from
	// then: that says that a route is valid, and not that it is in force. The drain is at least as long. Default: by the
	// layer. For an Ingress 7s, for ingress-nginx as it ships: one sync every 3.3s (--sync-rate-limit 0.3), up to 2.5s
	// for the sync itself, and 1s until its workers have taken the result over; raise it where the controller syncs
	// less often: 1/limit + 3.5s. For an HTTPRoute or a GRPCRoute by the controller that reports in its status, 4s for
	// Traefik, 5s for one that Sluice knows nothing of.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('10m')",message="settle: must be between 0s and 10m, with its unit, as 30s"
	Settle *metav1.Duration `json:"settle,omitempty"`
}

// Options are those of a layer. Each kind of layer embeds LayerOptions, and so is known by this method.
func (o *LayerOptions) Options() *LayerOptions { return o }

// TrafficConfirmation says how it is made sure that a step is in force. Requests: after settle, by the gateway's
// request metrics too, where the controller knows them (--request-metrics and --prometheus-address): the share of
// requests that reaches the new version is compared with the weight, and a difference keeps the step waiting. Too few
// requests, or no answer, let it go on after a while. Settle: by time alone. Default Requests.
//
// +kubebuilder:validation:Enum=Requests;Settle
type TrafficConfirmation string

// The confirmations.
const (
	ConfirmByRequests TrafficConfirmation = "Requests"
	ConfirmBySettle   TrafficConfirmation = "Settle"
)

// HTTPRouteReference names an HTTPRoute in the Rollout's namespace.
type HTTPRouteReference struct {
	// name of the HTTPRoute.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name         string `json:"name"`
	LayerOptions `json:",inline"`
}

// GRPCRouteReference names a GRPCRoute in the Rollout's namespace.
type GRPCRouteReference struct {
	// name of the GRPCRoute.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name         string `json:"name"`
	LayerOptions `json:",inline"`
}

// ServiceRule says what a release does with one Service in front of the workload.
type ServiceRule struct {
	// name of the Service, in the Rollout's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// policy says what a release does with it. leave: nothing; it stays as the team wrote it, and so leads to the pods of
	// both revisions from when the first new one is ready, whatever the steps say. That is for metrics, and for Services
	// of several workloads. A Service that a traffic layer leads to cannot be left.
	// +required
	Policy ServicePolicy `json:"policy"`
}

// ServicePolicy says what a release does with a Service.
//
// +kubebuilder:validation:Enum=leave
type ServicePolicy string

// The policies for a Service.
const (
	// ServiceLeave: nothing is done with it.
	ServiceLeave ServicePolicy = "leave"
)

// CanaryStrategy releases a new revision beside the stable one.
type CanaryStrategy struct {
	// steps are taken in order; after the last, the workload takes the new revision over and everything
	// that Sluice added is removed. Weights must not fall from one step to the next.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:XValidation:rule="self.all(i, s, i == 0 || self[i-1].weight <= s.weight)",message="spec.canary.steps: weights must not fall from one step to the next; to take a version back, abort the release"
	// +kubebuilder:validation:XValidation:rule="self.filter(s, has(s.name)).all(s, self.exists_one(t, has(t.name) && t.name == s.name))",message="spec.canary.steps: step names must differ"
	Steps []CanaryStep `json:"steps"`

	// keepOld is how long the old pods stay ready after the workload has taken the new revision over. A rollback in this
	// time needs no new pods. It needs a traffic layer. Default: 0s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('8760h')",message="canary.keepOld: must be between 0s and 8760h, with its unit, as 10m"
	KeepOld *metav1.Duration `json:"keepOld,omitempty"`

	// analysis is measured in the background, beside the steps, from one of them on. As soon as it fails, the release
	// is taken back, whatever it waits for.
	// +optional
	Analysis *BackgroundAnalysis `json:"analysis,omitempty"`
}

// CanaryStep is a state of the world and the conditions to leave it. A step is left when its pods are
// ready, its routes are in force, its pause is over, its analysis has succeeded and its approvals are given.
type CanaryStep struct {
	// name of the step, to speak of it. Default "step-N", N counted from 1.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// weight is the share of requests, in percent, that the new revision gets.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight *int32 `json:"weight"`

	// replicas is the number of new pods in this step, if more are wanted than the weight needs: a number, or a share of
	// the workload's replicas, as 50%, rounded up. Default: what the weight needs, at least 1.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]?|100)%$`
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:XValidation:rule="type(self) == string || self >= 1 && self <= 10000",message="replicas: must be a number from 1 to 10000, or a share from 1% to 100%"
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`

	// match lists requests that go to the new revision whatever the weight. A request matches when one
	// entry matches; an entry matches when all its headers and cookies do.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Match []RequestMatch `json:"match,omitempty"`

	// pause keeps the release in this step: for a time, or, when empty ({}), until somebody promotes it.
	// +optional
	Pause *Pause `json:"pause,omitempty"`

	// analysis is measured in this step, from when its routes are in force. The step is left only when it has succeeded;
	// when it fails, onFailure applies; when it is inconclusive or cannot be measured, the release pauses and asks.
	// +optional
	Analysis *StepAnalysis `json:"analysis,omitempty"`

	// approval is asked for when the pause is over and the analysis has succeeded.
	// +optional
	Approval *Approval `json:"approval,omitempty"`
}

// BlueGreenStrategy runs all pods of a new revision beside the stable ones, lets them be looked at, and then sends them
// all requests at once: through every traffic layer, or, where the Rollout names none, by the Services in front of the
// workload. It is the same as a canary of two steps, "preview" with weight 0 and "switch" with weight 100.
type BlueGreenStrategy struct {
	// replicas is the number of new pods before the switch: a number, or a share of the workload's replicas, as 50%,
	// rounded up. All are ready before the switch. Default: 100%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:Pattern=`^([1-9][0-9]?|100)%$`
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:validation:XValidation:rule="type(self) == string || self >= 1 && self <= 10000",message="replicas: must be a number from 1 to 10000, or a share from 1% to 100%"
	Replicas *intstr.IntOrString `json:"replicas,omitempty"`

	// preview says who reaches the new pods before the switch. Default: nobody.
	// +optional
	Preview *BlueGreenPreview `json:"preview,omitempty"`

	// before is what the switch waits for, once the new pods are ready.
	// +optional
	Before *BlueGreenGate `json:"before,omitempty"`

	// after is what the release waits for after the switch. Until it is over the old pods stay as they were, and requests
	// go back to them when the release is aborted or fails.
	// +optional
	After *BlueGreenGate `json:"after,omitempty"`

	// keepOld is how long the old pods stay ready after the workload has taken the new revision over. A rollback in this
	// time needs no new pods. Default: 0s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('8760h')",message="blueGreen.keepOld: must be between 0s and 8760h, with its unit, as 10m"
	KeepOld *metav1.Duration `json:"keepOld,omitempty"`
}

// BlueGreenPreview says who reaches the new pods before the switch.
//
// +kubebuilder:validation:XValidation:rule="has(self.service) || has(self.match)",message="blueGreen.preview: set service or match"
type BlueGreenPreview struct {
	// service leads to the new pods. It is one of the team's that selects the workload's pods, or one that does not exist:
	// then it is made beside the Service in front of the workload, with its ports, and removed at the end.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Service string `json:"service,omitempty"`

	// match lists requests that go to the new pods before the switch, through the traffic layers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Match []RequestMatch `json:"match,omitempty"`
}

// BlueGreenGate is what a release waits for before or after the switch. All of it must be good.
type BlueGreenGate struct {
	// pause waits: for a time, or, when empty ({}), until somebody promotes the release.
	// +optional
	Pause *Pause `json:"pause,omitempty"`
	// analysis is measured, and must succeed; when it fails, onFailure applies.
	// +optional
	Analysis *StepAnalysis `json:"analysis,omitempty"`
	// approval is asked for when the pause is over and the analysis has succeeded.
	// +optional
	Approval *Approval `json:"approval,omitempty"`
}

// RequestMatch selects requests.
//
// +kubebuilder:validation:XValidation:rule="has(self.headers) || has(self.cookies)",message="match: set headers or cookies"
type RequestMatch struct {
	// headers must all match.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Headers []HeaderMatch `json:"headers,omitempty"`
	// cookies must all match.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Cookies []CookieMatch `json:"cookies,omitempty"`
}

// HeaderMatch matches one request header by its whole value or by a regular expression.
//
// +kubebuilder:validation:ExactlyOneOf=value;regex
type HeaderMatch struct {
	// name of the header, in any case.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name"`
	// value that the header must have.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
	// regex that the header's whole value must match, in the syntax of the traffic layer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Regex string `json:"regex,omitempty"`
}

// CookieMatch matches one request cookie by its whole value.
type CookieMatch struct {
	// name of the cookie.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name"`
	// value that the cookie must have.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value"`
}

// Pause keeps a release in a step.
type Pause struct {
	// duration of the pause, counted from the moment when the step's routes are in force. A step that loses its last ready
	// new pod is not in force meanwhile; its pause goes on when it is again, and begins anew with the third loss. Default:
	// until somebody promotes the release, or its releaseDeadline passes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('8760h')",message="pause.duration: must be between 0s and 8760h, with its unit, as 10m"
	Duration *metav1.Duration `json:"duration,omitempty"`
}

// FailurePolicy says what happens when a step fails.
//
// +kubebuilder:validation:Enum=abort;pause
type FailurePolicy string

// The failure policies.
const (
	FailureAbort FailurePolicy = "abort"
	FailurePause FailurePolicy = "pause"
)

// StableDownPolicy says what happens when the stable revision serves nothing while a new one is released.
//
// +kubebuilder:validation:Enum=wait;promote
type StableDownPolicy string

// The policies for a stable revision that serves nothing.
const (
	StableDownWait    StableDownPolicy = "wait"
	StableDownPromote StableDownPolicy = "promote"
)

// AbortPolicy says what becomes of the workload's pod template after an abort.
//
// +kubebuilder:validation:Enum=keep;revert
type AbortPolicy string

// The abort policies.
const (
	AbortKeep   AbortPolicy = "keep"
	AbortRevert AbortPolicy = "revert"
)

// RolloutStatus is what Sluice last saw and decided.
type RolloutStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// phase sums the state up in one word.
	// +optional
	Phase RolloutPhase `json:"phase,omitempty"`

	// stable is the last revision that was released.
	// +optional
	Stable *Revision `json:"stable,omitempty"`

	// rejected is the revision that was aborted last. It is not tried again until somebody retries it or
	// the pod template changes.
	// +optional
	Rejected *RejectedRevision `json:"rejected,omitempty"`

	// rollback is set while the pod template of an earlier revision is being written back, since somebody decided so. The
	// next release, if it brings exactly this revision, has no intermediate steps.
	// +optional
	Rollback *PendingRollback `json:"rollback,omitempty"`

	// currentRelease is the name of the release under way, or of the last one.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	CurrentRelease string `json:"currentRelease,omitempty"`

	// currentReleaseUID is its UID, by which Sluice knows what that release made, also when its record is gone.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	CurrentReleaseUID string `json:"currentReleaseUID,omitempty"`

	// lastNumber is the number of the newest release, so that a number is never used twice.
	// +optional
	LastNumber int64 `json:"lastNumber,omitempty"`

	// step is the current step of the release under way, as "2/4 half".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Step string `json:"step,omitempty"`

	// weight is the share of requests, in percent, that the new revision is being sent.
	// +optional
	Weight *int32 `json:"weight,omitempty"`

	// waitingFor says what has to happen next when nothing moves.
	// +optional
	WaitingFor *WaitingFor `json:"waitingFor,omitempty"`

	// conditions: Ready, Reconciling, Stalled, Held and UnreleasedPods.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RolloutPhase sums a Rollout's state up in one word.
//
// +kubebuilder:validation:Enum=Pending;Healthy;Degraded;Progressing;Paused;Completing;Aborting;Rejected;Stalled;Removing
type RolloutPhase string

// The phases of a Rollout.
const (
	// RolloutPending: the workload is not taken over yet.
	RolloutPending RolloutPhase = "Pending"
	// RolloutHealthy: the stable revision is what the pod template says, and enough of its pods serve; nothing is under
	// way.
	RolloutHealthy RolloutPhase = "Healthy"
	// RolloutDegraded: the stable revision is what the pod template says and nothing is under way, but too few of its
	// pods serve.
	RolloutDegraded RolloutPhase = "Degraded"
	// RolloutProgressing: a release is under way.
	RolloutProgressing RolloutPhase = "Progressing"
	// RolloutPaused: a release waits for time or for people.
	RolloutPaused RolloutPhase = "Paused"
	// RolloutCompleting: a release hands the workload over.
	RolloutCompleting RolloutPhase = "Completing"
	// RolloutAborting: a release is being taken back.
	RolloutAborting RolloutPhase = "Aborting"
	// RolloutRejected: the pod template names a revision that was aborted; the stable one runs.
	RolloutRejected RolloutPhase = "Rejected"
	// RolloutStalled: the spec or the objects it names need a person.
	RolloutStalled RolloutPhase = "Stalled"
	// RolloutRemoving: the Rollout is being deleted and puts everything back.
	RolloutRemoving RolloutPhase = "Removing"
)

// AtRest says whether the stable revision is what the pod template says, and nothing is under way.
func (p RolloutPhase) AtRest() bool { return p == RolloutHealthy || p == RolloutDegraded }

// Condition types of a Rollout.
const (
	// ConditionReady: the workload is under control, its stable revision is what the template says, and its pods serve.
	ConditionReady = "Ready"
	// ConditionReconciling: a release or a take-over is under way (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled: nothing moves until a person acts (kstatus).
	ConditionStalled = "Stalled"
	// ConditionHeld says whether new revisions are held. True: by the means that the reason names, AdmissionPolicy or
	// KeptPaused. False: a new revision would run at once, for the reason that the message gives.
	ConditionHeld = "Held"
	// ConditionUnreleasedPods is True while pods serve that no release brought: the message names them. Nothing can
	// prevent that, since whoever may edit pods and ReplicaSets may do so.
	ConditionUnreleasedPods = "UnreleasedPods"
)

// Reasons of the UnreleasedPods condition.
const (
	// ReasonForeignPods: pods behind the workload's Services are of no ReplicaSet that a release brought.
	ReasonForeignPods = "ForeignPods"
	// ReasonImageChanged: somebody has changed the image of a pod in place.
	ReasonImageChanged = "ImageChanged"
	// ReasonForeignRoute: a route of somebody else leads to the Service of the new pods.
	ReasonForeignRoute = "ForeignRoute"
	// ReasonNoneSeen: there is nothing of the kind.
	ReasonNoneSeen = "NoneSeen"
)

// Reasons of the Held condition. Where it is False because the workload is not taken over, the reason is that of the
// Rollout's wait, as WorkloadNotFound.
const (
	// ReasonAdmissionPolicy: the API server holds a new revision in the very write that makes it.
	ReasonAdmissionPolicy = "AdmissionPolicy"
	// ReasonKeptPaused: the cluster has no mutating admission policies, so the workload is kept paused.
	ReasonKeptPaused = "KeptPaused"
	// ReasonNotTakenOver: the workload does not bear this Rollout's label.
	ReasonNotTakenOver = "NotTakenOver"
	// ReasonResumed: the cluster has no mutating admission policies, and somebody has resumed the workload.
	ReasonResumed = "Resumed"
)

// Revision is one pod template of a workload.
type Revision struct {
	// hash identifies the pod template: the SHA-256 of its JSON, 64 hex digits. The pod-template-hash label and Sluice's
	// own mark do not count. Two revisions are the same only if their hashes are.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash"`
	// podTemplateHash is the value of the label pod-template-hash that the revision's pods bear. It selects pods and
	// proves nothing.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	PodTemplateHash string `json:"podTemplateHash,omitempty"`
	// images are the containers' images, by container name.
	// +optional
	// +listType=map
	// +listMapKey=container
	// +kubebuilder:validation:MaxItems=64
	Images []ContainerImage `json:"images,omitempty"`
}

// ContainerImage is the image of one container.
type ContainerImage struct {
	// container is the container's name.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container"`
	// image is the image as the pod template has it.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image"`
}

// PendingRollback is a rollback that somebody has decided and that has not become a release yet.
type PendingRollback struct {
	// hash of the revision to go back to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash"`
	// release whose record says that this revision was released, or that it ran before.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release"`
	// decision that was applied.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Decision string `json:"decision"`
	// after is the number of the newest release at that time. A later release uses the rollback up.
	// +optional
	After int64 `json:"after,omitempty"`
	// user who decided.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	User string `json:"user,omitempty"`
}

// RejectedRevision is a revision that was taken back.
type RejectedRevision struct {
	Revision `json:",inline"`
	// release that tried it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release,omitempty"`
	// message says why it was taken back.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// changes are what set it apart from the stable revision, as in the release's spec.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	Changes []string `json:"changes,omitempty"`
}

// WaitingFor says what an object waits for, since when, until when, and who can move it.
type WaitingFor struct {
	// reason is a stable word for programs.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message is a sentence for people.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message"`
	// since when it waits.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// until when it waits at the longest; what happens then is in the message or in the spec.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// who can end the wait.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Who string `json:"who,omitempty"`
}
