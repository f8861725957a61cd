package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// StepAnalysis is what is measured in a step. The step is left only when all of it has succeeded.
//
// +kubebuilder:validation:XValidation:rule="has(self.templates) || has(self.builtin)",message="analysis: name templates, or a builtin"
// +kubebuilder:validation:XValidation:rule="!has(self.builtin) || has(self.compare) || (self.builtin == 'success-rate' ? has(self.min) : has(self.max))",message="analysis.builtin: success-rate needs min or compare, latency needs max or compare"
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || has(self.builtin) && !has(self.min) && !has(self.max)",message="analysis.compare: goes with a builtin, in place of min or max"
// +kubebuilder:validation:XValidation:rule="!has(self.compare) || !has(self.quantile) || self.quantile >= 0.01 && self.quantile <= 0.9999",message="analysis.quantile: must be between 0.01 and 0.9999 with compare, as 0.95"
type StepAnalysis struct {
	// templates whose metrics are measured.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	Templates []AnalysisTemplateReference `json:"templates,omitempty"`
	// args for the templates.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Args []AnalysisArgument `json:"args,omitempty"`
	// builtin is a ready-made measurement of the new version's requests at the traffic layer: success-rate in percent, or
	// latency, a quantile in milliseconds. It asks the Prometheus that the installation names.
	// +optional
	// +kubebuilder:validation:Enum=success-rate;latency
	Builtin string `json:"builtin,omitempty"`
	// min is the least success rate that is good, in percent, as 99.5.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0.0 && self <= 100.0",message="analysis.min: must be between 0 and 100 (percent)"
	Min *Decimal `json:"min,omitempty"`
	// compare judges the new version against the stable one of the same time, in place of min or max: by the share of
	// failed requests, or, with latency, of requests that are slower than stable's quantile. It is good when it is proven
	// not to be worse by more than the tolerance. In a step the analysis ends with the proof; in the background it goes
	// on.
	// +optional
	Compare *ComparisonBounds `json:"compare,omitempty"`
	// max is the greatest latency that is good, in milliseconds.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= 0.0",message="analysis.max: must be 0 or more (milliseconds)"
	Max *Decimal `json:"max,omitempty"`
	// quantile of the latency; with compare, of the stable version's. Default 0.95.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self > 0.0 && self < 1.0",message="analysis.quantile: must be between 0 and 1, as 0.95"
	Quantile *Decimal `json:"quantile,omitempty"`
	// interval of the builtin's measurements. Default 10s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="analysis.interval: must be between 10s and 24h, with its unit, as 10m"
	Interval *metav1.Duration `json:"interval,omitempty"`
	// count of the builtin's measurements. Default: 3 in a step without a timed pause, else as many as the pause has room
	// for; with compare at most 180.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Count *int32 `json:"count,omitempty"`
	// failureLimit of the builtin, the number of bad measurements that are borne. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	FailureLimit *int32 `json:"failureLimit,omitempty"`
}

// The builtins.
const (
	BuiltinSuccessRate = "success-rate"
	BuiltinLatency     = "latency"
)

// BackgroundAnalysis is measured beside the steps, from one of them on until the release is completed.
type BackgroundAnalysis struct {
	StepAnalysis `json:",inline"`
	// fromStep is the name of the step in which it begins. Default: the first.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	FromStep string `json:"fromStep,omitempty"`
}

// Approval is what people have to say before a step is left.
//
// +kubebuilder:validation:XValidation:rule="!has(self.remindAfter) || duration(self.remindAfter) < duration(has(self.expiresAfter) ? self.expiresAfter : '24h')",message="approval.remindAfter: must be less than expiresAfter (24h unless set)"
type Approval struct {
	// required is the number of people who must approve. Default 1. One rejection takes the release back.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=20
	Required *int32 `json:"required,omitempty"`
	// from names who may approve; they need the verb approve on the release in RBAC besides. Nobody named means nobody.
	// +required
	From Approvers `json:"from"`
	// expiresAfter is how long the approval may take, from when it is asked for; when it passes, the release is rejected.
	// Default 24h.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="approval.expiresAfter: must be between 1s and 8760h, with its unit, as 10m"
	ExpiresAfter *metav1.Duration `json:"expiresAfter,omitempty"`
	// remindAfter is when those who may approve are reminded. Default: half of expiresAfter.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('8760h')",message="approval.remindAfter: must be between 1s and 8760h, with its unit, as 10m"
	RemindAfter *metav1.Duration `json:"remindAfter,omitempty"`
	// separationOfDuty: the author of the change does not count.
	// +optional
	SeparationOfDuty bool `json:"separationOfDuty,omitempty"`
	// commentRequired: an approval or a rejection without a comment is refused.
	// +optional
	CommentRequired bool `json:"commentRequired,omitempty"`
}

// Approvers are users and groups as the API server knows them.
//
// +kubebuilder:validation:XValidation:rule="has(self.users) || has(self.groups)",message="approval.from: name users or groups; nobody named means that nobody may approve"
type Approvers struct {
	// users who may approve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Users []string `json:"users,omitempty"`
	// groups whose members may approve.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Groups []string `json:"groups,omitempty"`
}

// Decimal is a number, kept as it was written.
//
// +kubebuilder:validation:Type=number
type Decimal struct {
	// text as it was written, as 99.5.
	text string
}

// NewDecimal reads a number.
func NewDecimal(text string) (Decimal, error) {
	if _, err := strconv.ParseFloat(text, 64); err != nil {
		return Decimal{}, fmt.Errorf("%q is no number", text)
	}
	return Decimal{text}, nil
}

// String is the number as it was written.
func (d Decimal) String() string {
	if d.text == "" {
		return "0"
	}
	return d.text
}

// MarshalJSON writes the number.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalJSON reads a number, or a number in quotes.
func (d *Decimal) UnmarshalJSON(b []byte) (err error) {
	*d, err = NewDecimal(strings.Trim(string(b), `"`))
	return err
}
