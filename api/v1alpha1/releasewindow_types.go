package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ReleaseWindow says when the releases of some Rollouts may advance. Outside it a release stays in the step that it has
// reached; aborts and rollbacks are never held up. Where several windows select a Rollout, all of them must be open.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rw,categories=sluice
// +kubebuilder:printcolumn:name="TimeZone",type=string,JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ReleaseWindow struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which Rollouts are meant, and when their releases may advance.
	// +required
	Spec ReleaseWindowSpec `json:"spec"`

	// status says whether Sluice can read the spec. A window that cannot be read is shut: somebody meant to keep releases
	// out.
	// +optional
	Status CheckStatus `json:"status,omitzero"`
}

// ReleaseWindowList is a list of ReleaseWindows.
//
// +kubebuilder:object:root=true
type ReleaseWindowList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the ReleaseWindows.
	Items []ReleaseWindow `json:"items"`
}

// ReleaseWindowSpec says which Rollouts are meant, and when their releases may advance.
//
// +kubebuilder:validation:XValidation:rule="has(self.allow) || has(self.freeze)",message="spec.allow: list at least one period here, or in spec.freeze"
type ReleaseWindowSpec struct {
	// selector picks Rollouts of this namespace by their labels. Default, and when empty ({}): all of them.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// timeZone is a name of the IANA time zone database, as Europe/Berlin, in which the hours and days below are meant.
	// Default UTC.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`
	// +kubebuilder:validation:XValidation:rule="self != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0",message="timeZone: there is no such time zone; use a name of the IANA database, as Europe/Berlin"
	TimeZone string `json:"timeZone,omitempty"`

	// allow lists the periods in which releases may advance. Default: always, but for the periods in freeze.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Allow []WindowPeriod `json:"allow,omitempty"`

	// freeze lists the periods in which releases may not advance, whatever allow says.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Freeze []WindowPeriod `json:"freeze,omitempty"`
}

// WindowPeriod is a time that comes once or again and again. One of cron, weekly and dates is set.
//
// +kubebuilder:validation:ExactlyOneOf=cron;weekly;dates
type WindowPeriod struct {
	// cron has the period begin by a schedule, and last for a time.
	// +optional
	Cron *CronPeriod `json:"cron,omitempty"`
	// weekly has the period come on days of the week, between two times of the day.
	// +optional
	Weekly *WeeklyPeriod `json:"weekly,omitempty"`
	// dates are a time on the calendar, which comes once.
	// +optional
	Dates *DatesPeriod `json:"dates,omitempty"`
	// reason of the period, which is told to whoever waits, as "end of quarter".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// CronPeriod begins by a schedule and lasts for a time.
type CronPeriod struct {
	// schedule of the beginnings: minute, hour, day of the month, month, day of the week, as "0 22 * * FRI". An hour
	// that the clock skips counts as the moment when it is put forward; one that it shows twice counts once, unless
	// the hour is *.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'(?i)^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[[:space:]]*([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?(,([*?]|[0-5]?[0-9](-[0-5]?[0-9])?)(/[0-9]+)?)*[[:space:]]+([*?]|(2[0-3]|[01]?[0-9])(-(2[0-3]|[01]?[0-9]))?)(/[0-9]+)?(,([*?]|(2[0-3]|[01]?[0-9])(-(2[0-3]|[01]?[0-9]))?)(/[0-9]+)?)*[[:space:]]+([*?]|(3[01]|[12][0-9]|0?[1-9])(-(3[01]|[12][0-9]|0?[1-9]))?)(/[0-9]+)?(,([*?]|(3[01]|[12][0-9]|0?[1-9])(-(3[01]|[12][0-9]|0?[1-9]))?)(/[0-9]+)?)*[[:space:]]+([*?]|(1[0-2]|0?[1-9]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(-(1[0-2]|0?[1-9]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))?)(/[0-9]+)?(,([*?]|(1[0-2]|0?[1-9]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(-(1[0-2]|0?[1-9]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))?)(/[0-9]+)?)*[[:space:]]+([*?]|(0?[0-7]|sun|mon|tue|wed|thu|fri|sat)(-(0?[0-7]|sun|mon|tue|wed|thu|fri|sat))?)(/[0-9]+)?(,([*?]|(0?[0-7]|sun|mon|tue|wed|thu|fri|sat)(-(0?[0-7]|sun|mon|tue|wed|thu|fri|sat))?)(/[0-9]+)?)*[[:space:]]*)$')`,message="cron.schedule: write minute (0-59), hour (0-23), day of the month (1-31), month (1-12) and day of the week (0-7, 0 and 7 are Sunday), as 0 9 * * MON-FRI; or one of @hourly, @daily, @weekly, @monthly and @yearly"
	Schedule string `json:"schedule"`
	// duration of the period, as it passes on a stopwatch.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('744h')",message="cron.duration: must be between 1m and 744h, with its unit, as 10m"
	Duration metav1.Duration `json:"duration"`
}

// WeeklyPeriod comes on days of the week. It begins at the first moment when the clock shows its beginning or later,
// and ends at the last moment when it shows less than its end, so that no change of the clock makes it shorter than it
// reads.
//
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="weekly.to: must differ from weekly.from; a whole day is 00:00 to 24:00"
type WeeklyPeriod struct {
	// days on which the period begins. Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days,omitempty"`
	// from is the time of the day when the period begins, as "09:00".
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",message="weekly.from: write a time of the day from 00:00 to 23:59, as 09:00"
	From string `json:"from"`
	// to is the time of the day when it ends, as "17:30", or "24:00". One that is before from is on the next day.
	// +required
	// +kubebuilder:validation:MaxLength=5
	// +kubebuilder:validation:XValidation:rule="self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",message="weekly.to: write a time of the day from 00:00 to 23:59, as 17:30, or 24:00 for its end"
	To string `json:"to"`
}

// Weekday is a day of the week.
//
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// DatesPeriod comes once.
//
// +kubebuilder:validation:XValidation:rule="self.from < self.until",message="dates.until: must be after dates.from"
type DatesPeriod struct {
	// from is the moment when the period begins, as 2026-12-20T18:00:00+01:00.
	// +required
	From metav1.Time `json:"from"`
	// until is the moment when it ends.
	// +required
	Until metav1.Time `json:"until"`
}
