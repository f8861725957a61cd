package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AnalysisTemplate says what to measure and what counts as good. A step of a Rollout names it; nothing is measured
// until then.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=at,categories=sluice
// +kubebuilder:printcolumn:name="Metrics",type=string,JSONPath=`.spec.metrics[*].name`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AnalysisTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to measure and what counts as good.
	// +required
	Spec AnalysisTemplateSpec `json:"spec"`

	// status says whether Sluice can read the spec.
	// +optional
	Status CheckStatus `json:"status,omitzero"`
}

// AnalysisTemplateList is a list of AnalysisTemplates.
//
// +kubebuilder:object:root=true
type AnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the AnalysisTemplates.
	Items []AnalysisTemplate `json:"items"`
}

// ClusterAnalysisTemplate is an AnalysisTemplate that the Rollouts of every namespace may name. Secrets that it names
// are read in the namespace of the run.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=cat,categories=sluice
// +kubebuilder:printcolumn:name="Metrics",type=string,JSONPath=`.spec.metrics[*].name`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ClusterAnalysisTemplate struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to measure and what counts as good.
	// +required
	Spec AnalysisTemplateSpec `json:"spec"`

	// status says whether Sluice can read the spec.
	// +optional
	Status CheckStatus `json:"status,omitzero"`
}

// ClusterAnalysisTemplateList is a list of ClusterAnalysisTemplates.
//
// +kubebuilder:object:root=true
type ClusterAnalysisTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the ClusterAnalysisTemplates.
	Items []ClusterAnalysisTemplate `json:"items"`
}

// AnalysisTemplateSpec says what to measure and what counts as good.
//
// +kubebuilder:validation:XValidation:rule="has(self.metrics) || has(self.templates)",message="spec.metrics: name at least one metric, or another template in spec.templates"
type AnalysisTemplateSpec struct {
	// args are the arguments of this template. In any string of a metric, {{args.NAME}} stands for the value; beside
	// them there are {{rollout}}, {{release}}, {{namespace}}, {{workload}}, {{service}}, {{canaryService}},
	// {{stableHash}}, {{canaryHash}}, {{step}} and {{weight}}, which Sluice fills in.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Args []AnalysisArgument `json:"args,omitempty"`
	// templates are others whose metrics are measured too. Their arguments are those of the same name here.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Templates []AnalysisTemplateReference `json:"templates,omitempty"`
	// metrics are measured side by side. The run succeeds when each has.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Metrics []Metric `json:"metrics,omitempty"`
}

// AnalysisArgument is a named value. A template may give a default; one without must be given by whoever names the
// template.
type AnalysisArgument struct {
	// name of the argument.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z][-A-Za-z0-9_]*$`
	Name string `json:"name"`
	// value of the argument.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value *string `json:"value,omitempty"`
}

// AnalysisTemplateReference names a template.
type AnalysisTemplateReference struct {
	// name of the template.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// scope says where the template is: Namespace (the default) is the Rollout's own, Cluster is for all.
	// +optional
	// +kubebuilder:validation:Enum=Namespace;Cluster
	Scope string `json:"scope,omitempty"`
}

// ScopeCluster in an AnalysisTemplateReference means a ClusterAnalysisTemplate.
const ScopeCluster = "Cluster"

// Metric is one thing to measure again and again.
//
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || has(self.provider.prometheus) && has(self.interval)",message="compare: needs provider.prometheus and an interval"
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || !has(self.provider.prometheus) || !has(self.provider.prometheus.range)",message="compare: counts requests since ever; remove provider.prometheus.range"
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || !has(self.successCondition) && !has(self.failureCondition)",message="compare: gives the verdict itself; remove successCondition and failureCondition"
// +kubebuilder:validation:XValidation:rule="!has(self.count) || self.count == 1 || has(self.interval)",message="interval: a metric that is measured several times needs one"
// +kubebuilder:validation:XValidation:rule="!has(self.consecutiveSuccessLimit) || has(self.interval)",message="consecutiveSuccessLimit: needs an interval, or there is one measurement only"
type Metric struct {
	// name of the metric, to speak of it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$`
	Name string `json:"name"`

	// initialDelay is the time before the first measurement. Default none.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('168h')",message="initialDelay: must be between 0s and 168h, with its unit, as 10m"
	InitialDelay *metav1.Duration `json:"initialDelay,omitempty"`
	// interval is the time from one measurement to the next, 10s or more. Default: there is one measurement only.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="interval: must be between 10s and 24h, with its unit, as 10m"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// count is the number of measurements, errors not counted. Default: 1 without an interval; with one, measurements go
	// on until the step's pause is over, or the background analysis ends with the release.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Count *int32 `json:"count,omitempty"`

	// successCondition is a CEL expression that says whether a measurement is good, as value < 0.05. It sees result, all
	// that was measured, whose type follows from the provider (prometheus: always a list of numbers, one for each series);
	// value, the one number of result, or an error if there is none or more than one; and status, the status of an HTTP
	// answer. An empty list is no data, unless size(result) is asked for. Measured numbers are doubles: write 1.0.
	// Default:
	// whatever failureCondition does not call bad.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	SuccessCondition string `json:"successCondition,omitempty"`
	// failureCondition says likewise whether it is bad, and comes first. A measurement that is neither is inconclusive.
	// Default: whatever successCondition does not call good.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	FailureCondition string `json:"failureCondition,omitempty"`

	// failureLimit is the number of failed measurements that are borne; one more fails the metric. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	FailureLimit *int32 `json:"failureLimit,omitempty"`
	// inconclusiveLimit is the number of inconclusive measurements that are borne; one more makes the metric
	// inconclusive, and a person is asked. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	InconclusiveLimit *int32 `json:"inconclusiveLimit,omitempty"`
	// consecutiveErrorLimit is the number of errors in a row (the source cannot be reached, or its answer is none) that
	// are borne; one more makes the metric an error, and a person is asked. No data is an error. Default 4.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	ConsecutiveErrorLimit *int32 `json:"consecutiveErrorLimit,omitempty"`
	// waitForData is how long after the analysis began an answer without any data is waited for; until then it counts
	// for nothing. A new version has no data before its first requests were counted and collected. Default none: no data
	// is an error at once. Builtins set it by the interval at which Prometheus collects.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self) <= duration('24h')",message="waitForData: must be between 0s and 24h, with its unit, as 10m"
	WaitForData *metav1.Duration `json:"waitForData,omitempty"`
	// consecutiveSuccessLimit ends the metric early, as a success, after so many good measurements in a row.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	ConsecutiveSuccessLimit *int32 `json:"consecutiveSuccessLimit,omitempty"`
	// dryRun has the metric measured and recorded, but not counted in the run's verdict.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`

	// compare judges the new version against the stable one of the same time, in place of conditions, by their failed
	// requests (bad) or by their latencies (quantile): the provider's query is asked for both.
	// +optional
	Compare *Comparison `json:"compare,omitempty"`

	// provider says where the measurement comes from.
	// +required
	Provider MetricProvider `json:"provider"`
}

// Comparison judges the share of bad, or of slow, requests of the new version against that of the stable one, by a
// sequential test: it may be looked at as often as one likes, and errs no more often than it says. Its verdict is bad
// when the new version is proven worse by more than the tolerance, good when it is proven not to be, and none as long
// as neither is proven. In its queries, {{version}} stands for the Service of the version that is asked about, or,
// without traffic layers, for the pod-template-hash of its pods.
//
// +kubebuilder:validation:XValidation:rule="has(self.bad) != has(self.quantile)",message="compare: set bad, to compare failed requests, or quantile, to compare latencies"
// +kubebuilder:validation:XValidation:rule="!has(self.unit) || has(self.quantile)",message="compare.unit: goes with compare.quantile"
type Comparison struct {
	// bad counts the bad requests of one version since ever, in PromQL (a counter, or a sum of some), as the provider's
	// query counts all requests.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Bad string `json:"bad,omitempty"`
	// quantile compares latencies, as 0.95: the bucket bound that is nearest to this quantile of stable's latency is
	// taken from stable's first requests, and the shares of requests that are slower than it are compared. The provider's
	// query gives the cumulative buckets of one version since ever by le, as
	// sum by (le) (http_request_duration_seconds_bucket{service="{{version}}"}).
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0.01 && self <= 0.9999",message="compare.quantile: must be between 0.01 and 0.9999, as 0.95"
	Quantile *Decimal `json:"quantile,omitempty"`
	// unit of the bounds le, as s or ms, for whoever reads the verdict. Default: none is shown.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16
	Unit             string `json:"unit,omitempty"`
	ComparisonBounds `json:",inline"`
}

// ComparisonBounds say when two versions differ, and how sure that has to be.
type ComparisonBounds struct {
	// tolerance is the largest difference that is borne, in percent points of the requests: with 0.5, 1.4% bad ones are no
	// worse than 1.0%; with 2, 7% slow ones are no worse than 5%. Default 0.5 for bad requests, 2 for slow ones.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0.0 && self <= 99.0",message="compare.tolerance: must be between 0 and 99 (percent points)"
	Tolerance *Decimal `json:"tolerance,omitempty"`
	// errorRate is the probability of a wrong verdict over the whole run, in percent. Default 5.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0.001 && self <= 50.0",message="compare.errorRate: must be between 0.001 and 50 (percent)"
	ErrorRate *Decimal `json:"errorRate,omitempty"`
	// minSamples is the number of requests that each version must have had before there is any verdict. Default 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	MinSamples *int64 `json:"minSamples,omitempty"`
}

// AnalysisRun is one execution of an analysis: what was measured, when, and what came out. Sluice makes it at a step
// of a Release; ending it is the Release's doing.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ar,categories=sluice
// +kubebuilder:printcolumn:name="Release",type=string,JSONPath=`.spec.release`
// +kubebuilder:printcolumn:name="Step",type=string,JSONPath=`.spec.step`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AnalysisRun struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is measured.
	// +required
	Spec AnalysisRunSpec `json:"spec"`

	// status is what was measured.
	// +optional
	Status AnalysisRunStatus `json:"status,omitzero"`
}

// AnalysisRunList is a list of AnalysisRuns.
//
// +kubebuilder:object:root=true
type AnalysisRunList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the AnalysisRuns.
	Items []AnalysisRun `json:"items"`
}

// AnalysisRunSpec is what a run measures: the metrics of its templates, with every argument filled in.
type AnalysisRunSpec struct {
	// release that the run belongs to.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Release string `json:"release"`
	// step of the release that the run began in.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Step string `json:"step,omitempty"`
	// stableHash and canaryHash are the pod-template-hash labels of the two versions' pods.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	StableHash string `json:"stableHash,omitempty"`
	// canaryHash is that of the new version's pods.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	CanaryHash string `json:"canaryHash,omitempty"`
	// stableVersion and canaryVersion are what {{version}} stands for in a comparison.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StableVersion string `json:"stableVersion,omitempty"`
	// canaryVersion is that of the new version.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	CanaryVersion string `json:"canaryVersion,omitempty"`
	// metrics to measure, with every argument filled in.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.metrics: a run is fixed when it is made"
	Metrics []Metric `json:"metrics"`
	// conclude has metrics without a count come to their end: what was measured until then gives the verdict, but each is
	// measured once at least.
	// +optional
	Conclude bool `json:"conclude,omitempty"`
}

// AnalysisRunStatus is what a run has measured.
type AnalysisRunStatus struct {
	// phase of the run.
	// +optional
	Phase AnalysisPhase `json:"phase,omitempty"`
	// message says in one sentence what came out, or what is waited for.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// startedAt is when the run began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// finishedAt is when it ended.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// metrics are the results, one for each of the spec.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Metrics []MetricResult `json:"metrics,omitempty"`
}

// AnalysisPhase is where a run, a metric or a measurement stands.
//
// +kubebuilder:validation:Enum=Pending;Running;Successful;Failed;Inconclusive;Error;Cancelled
type AnalysisPhase string

// The phases. Whatever is not Successful is never taken for it.
const (
	// AnalysisPending: nothing was measured yet.
	AnalysisPending AnalysisPhase = "Pending"
	// AnalysisRunning: measurements go on.
	AnalysisRunning AnalysisPhase = "Running"
	// AnalysisSuccessful: what was measured is good.
	AnalysisSuccessful AnalysisPhase = "Successful"
	// AnalysisFailed: what was measured is bad.
	AnalysisFailed AnalysisPhase = "Failed"
	// AnalysisInconclusive: it is neither.
	AnalysisInconclusive AnalysisPhase = "Inconclusive"
	// AnalysisError: nothing could be measured.
	AnalysisError AnalysisPhase = "Error"
	// AnalysisCancelled: the release ended before there was a verdict.
	AnalysisCancelled AnalysisPhase = "Cancelled"
)

// Ended says whether nothing more is measured in this phase.
func (p AnalysisPhase) Ended() bool { return p != "" && p != AnalysisPending && p != AnalysisRunning }

// MetricResult is what was measured of one metric.
type MetricResult struct {
	// name of the metric.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// phase of the metric.
	// +required
	Phase AnalysisPhase `json:"phase"`
	// message to the phase.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// dryRun metrics do not count.
	// +optional
	DryRun bool `json:"dryRun,omitempty"`
	// successful measurements so far.
	// +optional
	Successful int32 `json:"successful,omitempty"`
	// failed measurements so far.
	// +optional
	Failed int32 `json:"failed,omitempty"`
	// inconclusive measurements so far.
	// +optional
	Inconclusive int32 `json:"inconclusive,omitempty"`
	// errors so far.
	// +optional
	Errors int32 `json:"errors,omitempty"`
	// consecutiveErrors are the errors since the last measurement that was none.
	// +optional
	ConsecutiveErrors int32 `json:"consecutiveErrors,omitempty"`
	// consecutiveSuccesses are the good measurements since the last that was not.
	// +optional
	ConsecutiveSuccesses int32 `json:"consecutiveSuccesses,omitempty"`
	// lastAt is when the last measurement began.
	// +optional
	LastAt *metav1.MicroTime `json:"lastAt,omitempty"`
	// job under way.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Job string `json:"job,omitempty"`
	// jobUID is the UID of the job under way, as the API server gave it when Sluice made the Job. No other Job counts.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	JobUID string `json:"jobUID,omitempty"`
	// evidence is what a comparison remembers, as JSON; only Sluice writes it.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Evidence string `json:"evidence,omitempty"`
	// measurements, the last 20 of them, oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Measurements []Measurement `json:"measurements,omitempty"`
}

// Measurement is one value and what it means.
type Measurement struct {
	// at is when it was taken.
	// +required
	At metav1.Time `json:"at"`
	// phase of the measurement.
	// +required
	Phase AnalysisPhase `json:"phase"`
	// value that was measured, as text. Only the parsed value is kept, never the source's answer.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
	// message to the phase: the condition, the error, or the end of a Job's log.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Message string `json:"message,omitempty"`
}
