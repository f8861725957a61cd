package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Notifier tells people what the releases of some Rollouts do, and above all what they wait for, in the place where
// those people look: a chat, a mailbox, a service of their own.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=nt,categories=sluice
// +kubebuilder:printcolumn:name="Delivered",type=integer,JSONPath=`.status.delivered`
// +kubebuilder:printcolumn:name="Failed",type=integer,JSONPath=`.status.failed`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastDelivered`
// +kubebuilder:printcolumn:name="Error",type=string,JSONPath=`.status.lastError`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Notifier struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what is told to whom.
	// +required
	Spec NotifierSpec `json:"spec"`

	// status says what was told.
	// +optional
	Status NotifierStatus `json:"status,omitzero"`
}

// NotifierList is a list of Notifiers.
//
// +kubebuilder:object:root=true
type NotifierList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Notifiers.
	Items []Notifier `json:"items"`
}

// NotifierSpec says what is told to whom.
type NotifierSpec struct {
	// selector picks Rollouts of this namespace by their labels. Default, and when empty ({}): all of them.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// events that are told: started (a release begins), waiting (it waits for people), failed (a step failed), aborted
	// (it was taken back), done (it succeeded), frozen (a ReleaseWindow holds it). Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=6
	Events []NotifierEvent `json:"events,omitempty"`

	// sink is where messages go.
	// +required
	Sink NotifierSink `json:"sink"`

	// template of the text, in Go's template language over .Event, .Namespace, .Rollout, .Release, .Step, .Title, .Text
	// (what happened, in a sentence), .Who (can end the wait), .Until (when it ends at the latest), .Link and .Fields. Of
	// it, range works over .Fields only, and there are no named templates. The text is plain: marks of the sink's own
	// language are shown as they are. Default: one for each event.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.lastIndexOf('{{') <= self.lastIndexOf('}}')",message="template: the last {{ is not closed by }}; write it as {{.Rollout}}"
	Template string `json:"template,omitempty"`
}

// NotifierEvent is something that is told.
//
// +kubebuilder:validation:Enum=started;waiting;failed;aborted;done;frozen
type NotifierEvent string

// NotifierSink is where messages go. Exactly one field is set.
//
// +kubebuilder:validation:ExactlyOneOf=webhook;slack;teams;dingTalk;lark;weCom;email
type NotifierSink struct {
	// webhook posts the message as JSON to a service of your own.
	// +optional
	Webhook *WebhookSink `json:"webhook,omitempty"`
	// slack posts to an incoming webhook of Slack.
	// +optional
	Slack *SlackSink `json:"slack,omitempty"`
	// teams posts to a Workflows webhook of Microsoft Teams ("Send webhook alerts to a channel"). The Office 365
	// connectors of old are retired.
	// +optional
	Teams *TeamsSink `json:"teams,omitempty"`
	// dingTalk posts to a custom robot of DingTalk.
	// +optional
	DingTalk *DingTalkSink `json:"dingTalk,omitempty"`
	// lark posts to a custom bot of Lark or Feishu.
	// +optional
	Lark *LarkSink `json:"lark,omitempty"`
	// weCom posts to a group robot of WeCom.
	// +optional
	WeCom *WeComSink `json:"weCom,omitempty"`
	// email sends by a mail server.
	// +optional
	Email *EmailSink `json:"email,omitempty"`
}

// WebhookSink posts the message as JSON.
type WebhookSink struct {
	// url to post to, http or https.
	// +required
	URL SecretKeyReference `json:"url"`
	// signingKey signs each message: X-Sluice-Signature is t=SECONDS,v1=HEX, where HEX is the HMAC-SHA256 of SECONDS, a
	// dot and the body.
	// +optional
	SigningKey *SecretKeyReference `json:"signingKey,omitempty"`
	// authorization is the value of the Authorization header.
	// +optional
	Authorization *SecretKeyReference `json:"authorization,omitempty"`
}

// SlackSink posts to an incoming webhook of Slack.
type SlackSink struct {
	// url of the webhook, as https://hooks.slack.com/services/...
	// +required
	URL SecretKeyReference `json:"url"`
}

// TeamsSink posts to a Workflows webhook of Microsoft Teams.
type TeamsSink struct {
	// url of the workflow's trigger "When a Teams webhook request is received".
	// +required
	URL SecretKeyReference `json:"url"`
}

// DingTalkSink posts to a custom robot of DingTalk.
type DingTalkSink struct {
	// url of the robot, with its access_token.
	// +required
	URL SecretKeyReference `json:"url"`
	// signingKey is the robot's key (SEC...), where its security setting is "sign".
	// +optional
	SigningKey *SecretKeyReference `json:"signingKey,omitempty"`
}

// LarkSink posts to a custom bot of Lark or Feishu.
type LarkSink struct {
	// url of the bot, as https://open.larksuite.com/open-apis/bot/v2/hook/...
	// +required
	URL SecretKeyReference `json:"url"`
	// signingKey is the bot's key, where its security setting is "signature verification".
	// +optional
	SigningKey *SecretKeyReference `json:"signingKey,omitempty"`
}

// WeComSink posts to a group robot of WeCom.
type WeComSink struct {
	// url of the robot, with its key.
	// +required
	URL SecretKeyReference `json:"url"`
}

// EmailSink sends by a mail server.
//
// +kubebuilder:validation:XValidation:rule="!has(self.auth) || !has(self.encryption) || self.encryption != 'None'",message="email.auth: a password is not sent without encryption; set email.encryption to StartTLS or TLS"
type EmailSink struct {
	// host of the mail server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9.:-]+$`
	Host string `json:"host"`
	// port of the mail server. Default 587; with encryption TLS 465; with None 25.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port *int32 `json:"port,omitempty"`
	// encryption: StartTLS (the default) turns it on after the greeting and gives up where the server cannot; TLS has it
	// from the first byte; None is for a relay in the cluster.
	// +optional
	// +kubebuilder:validation:Enum=StartTLS;TLS;None
	Encryption string `json:"encryption,omitempty"`
	// ca is the certificate authority that the server's certificate is checked with, in PEM. Default: the system's.
	// +optional
	CA *SecretKeyReference `json:"ca,omitempty"`
	// auth names a Secret of type kubernetes.io/basic-auth, with username and password.
	// +optional
	Auth *SecretReference `json:"auth,omitempty"`
	// from is the sender, as sluice@example.com or "Sluice <sluice@example.com>".
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=320
	From string `json:"from"`
	// to are the recipients.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=3
	// +kubebuilder:validation:items:MaxLength=320
	To []string `json:"to"`
}

// NotifierStatus says what was told.
type NotifierStatus struct {
	// lastDelivered is when a message was last delivered.
	// +optional
	LastDelivered *metav1.Time `json:"lastDelivered,omitempty"`
	// delivered is the number of messages that were delivered.
	// +optional
	Delivered int64 `json:"delivered,omitempty"`
	// failed is the number of messages that were given up or dropped.
	// +optional
	Failed int64 `json:"failed,omitempty"`
	// lastError says why the last of them failed, or what is wrong with the spec.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LastError string `json:"lastError,omitempty"`
	// cursor marks the last event that was dealt with, so that nothing is told twice when the controller starts anew.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Cursor string `json:"cursor,omitempty"`
	// conditions: Valid, whether Sluice can read the spec.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
