package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MetricProvider says where a measurement comes from. Exactly one field is set.
//
// +kubebuilder:validation:ExactlyOneOf=prometheus;http;job;kubernetes;datadog;influxDB;cloudWatch;skyWalking;plugin
type MetricProvider struct {
	// prometheus asks a Prometheus server, or what speaks its query API (Thanos, Mimir, VictoriaMetrics).
	// +optional
	Prometheus *PrometheusProvider `json:"prometheus,omitempty"`
	// http asks a web service. The result is the answer's JSON body, or what jsonPath takes from it.
	// +optional
	HTTP *HTTPProvider `json:"http,omitempty"`
	// job runs a Job in the Rollout's namespace. It is good when the Job completes, bad when it fails; the end of its
	// log is kept.
	// +optional
	Job *JobProvider `json:"job,omitempty"`
	// kubernetes looks at the new pods themselves: result has restarts, oomKills, ready, pods and stableReadyShare,
	// readyShare (0 to 1).
	// +optional
	Kubernetes *KubernetesProvider `json:"kubernetes,omitempty"`
	// datadog asks Datadog's metrics query API.
	// +optional
	Datadog *DatadogProvider `json:"datadog,omitempty"`
	// influxDB asks InfluxDB 2 by a Flux query.
	// +optional
	InfluxDB *InfluxDBProvider `json:"influxDB,omitempty"`
	// cloudWatch asks Amazon CloudWatch by a metric math expression.
	// +optional
	CloudWatch *CloudWatchProvider `json:"cloudWatch,omitempty"`
	// skyWalking asks Apache SkyWalking by GraphQL.
	// +optional
	SkyWalking *SkyWalkingProvider `json:"skyWalking,omitempty"`
	// plugin posts the question as JSON to a service of your own, which answers with the result.
	// +optional
	Plugin *PluginProvider `json:"plugin,omitempty"`
}

// PrometheusProvider asks a Prometheus server.
type PrometheusProvider struct {
	// address of the server, as http://prometheus.monitoring:9090. Default: the one that the installation names.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="prometheus.address: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	Address string `json:"address,omitempty"`
	// query in PromQL. The result is a list of numbers, one for each series; value is the one number, where there is one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Query string `json:"query"`
	// range asks for the values of a time until now instead of the present one: the result is the list of them, oldest
	// first, for one series.
	// +optional
	Range *PrometheusRange `json:"range,omitempty"`
	// connection has credentials and TLS.
	// +optional
	Connection *Connection `json:"connection,omitempty"`
}

// PrometheusRange is a time until now.
type PrometheusRange struct {
	// duration back from now.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="range.duration: must be between 1s and 24h, with its unit, as 10m"
	Duration metav1.Duration `json:"duration"`
	// step from one value to the next.
	// +required
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="range.step: must be between 1s and 1h, with its unit, as 30s"
	Step metav1.Duration `json:"step"`
}

// Connection has credentials and TLS for a source. Secrets are read in the namespace of the run, and only for a
// template whose author may read them.
type Connection struct {
	// bearerToken is sent as Authorization: Bearer.
	// +optional
	BearerToken *SecretKeyReference `json:"bearerToken,omitempty"`
	// basicAuth names a Secret of type kubernetes.io/basic-auth, with username and password.
	// +optional
	BasicAuth *SecretReference `json:"basicAuth,omitempty"`
	// headers are sent with each request.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Headers []RequestHeader `json:"headers,omitempty"`
	// ca is the certificate authority that the server's certificate is checked with, in PEM. Default: the system's.
	// +optional
	CA *SecretKeyReference `json:"ca,omitempty"`
	// clientCertificate names a Secret of type kubernetes.io/tls that Sluice shows to the server.
	// +optional
	ClientCertificate *SecretReference `json:"clientCertificate,omitempty"`
	// timeout of one request. Default 10s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('60s')",message="connection.timeout: must be between 1s and 60s, with its unit, as 30s"
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// RequestHeader is one header of a request.
//
// +kubebuilder:validation:ExactlyOneOf=value;secret
type RequestHeader struct {
	// name of the header.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`
	Name string `json:"name"`
	// value of the header.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value,omitempty"`
	// secret that holds the value.
	// +optional
	Secret *SecretKeyReference `json:"secret,omitempty"`
}

// SecretReference names a Secret in the namespace of the run.
type SecretReference struct {
	// name of the Secret, as it is: no argument can stand in it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
}

// SecretKeyReference names one value of a Secret in the namespace of the run.
type SecretKeyReference struct {
	// name of the Secret, as it is: no argument can stand in it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
	// key in the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// HTTPProvider asks a web service. An answer of a status other than 2xx is an error, unless acceptStatus is set.
type HTTPProvider struct {
	// url to ask, http or https.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="http.url: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	URL string `json:"url"`
	// method of the request. Default GET.
	// +optional
	// +kubebuilder:validation:Enum=GET;POST;PUT
	Method string `json:"method,omitempty"`
	// body of the request.
	// +optional
	// +kubebuilder:validation:MaxLength=16384
	Body string `json:"body,omitempty"`
	// jsonPath takes a part of the answer as the result, as {.data.ok} (the JSONPath of kubectl); a path that may match
	// several things gives a list, also of one or none. Default: the whole body. The conditions also see status, the
	// answer's status code.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('{') && self.endsWith('}')",message="http.jsonPath: write one path in braces, as {.data.ok}"
	JSONPath string `json:"jsonPath,omitempty"`
	// acceptStatus has an answer of any status measured, so that a condition can look at it. Without a usable value there
	// is no result: look at the status first, as status == 200 && value < 5.0.
	// +optional
	AcceptStatus bool `json:"acceptStatus,omitempty"`
	// connection has credentials and TLS.
	// +optional
	Connection *Connection `json:"connection,omitempty"`
}

// JobProvider runs a Job.
type JobProvider struct {
	// containers of the Job's pod, as in a pod. It runs with the ServiceAccount below, never restarts a container, and
	// is ended after its deadline.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	Containers []JobContainer `json:"containers"`
	// serviceAccountName of the pod. Default: default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// deadline after which the Job has failed. Default 10m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="job.deadline: must be between 1s and 24h, with its unit, as 10m"
	Deadline *metav1.Duration `json:"deadline,omitempty"`
	// backoffLimit is the number of further tries after a pod has failed. Default 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
}

// JobContainer is a container of a Job's pod.
type JobContainer struct {
	// name of the container.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// image of the container.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Image string `json:"image"`
	// command instead of the image's.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=8192
	Command []string `json:"command,omitempty"`
	// args of the command.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=8192
	Args []string `json:"args,omitempty"`
	// env of the container.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Env []JobVariable `json:"env,omitempty"`
}

// JobVariable is an environment variable of a Job's container.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.value) && has(self.secret))",message="env: set value or secret, not both"
type JobVariable struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name"`
	// value of the variable.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	Value string `json:"value,omitempty"`
	// secret that holds the value. Kubernetes gives it to the pod; Sluice does not read it.
	// +optional
	Secret *SecretKeyReference `json:"secret,omitempty"`
}

// KubernetesProvider looks at the new pods.
type KubernetesProvider struct {
	// container to look at. Default: all.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Container string `json:"container,omitempty"`
}

// DatadogProvider asks Datadog.
type DatadogProvider struct {
	// site of the account, as datadoghq.eu. Default datadoghq.com.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Site string `json:"site,omitempty"`
	// address instead of https://api.SITE.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="datadog.address: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	Address string `json:"address,omitempty"`
	// query in Datadog's metrics query language. The result is the last value of its one series.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Query string `json:"query"`
	// window back from now that is asked for. Default 5m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="datadog.window: must be between 10s and 24h, with its unit, as 10m"
	Window *metav1.Duration `json:"window,omitempty"`
	// secret with the keys api-key and app-key.
	// +required
	Secret SecretReference `json:"secret"`
}

// InfluxDBProvider asks InfluxDB 2.
type InfluxDBProvider struct {
	// address of the server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="influxDB.address: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	Address string `json:"address"`
	// org is the organization.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Org string `json:"org"`
	// query in Flux. The result is the last _value of its one table.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Query string `json:"query"`
	// token for the server.
	// +optional
	Token *SecretKeyReference `json:"token,omitempty"`
	// connection has TLS.
	// +optional
	Connection *Connection `json:"connection,omitempty"`
}

// CloudWatchProvider asks Amazon CloudWatch.
type CloudWatchProvider struct {
	// region, as eu-central-1.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	Region string `json:"region"`
	// address instead of https://monitoring.REGION.amazonaws.com.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="cloudWatch.address: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	Address string `json:"address,omitempty"`
	// expression in metric math or Metrics Insights (SELECT ...). The result is its newest value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Expression string `json:"expression"`
	// period of one value. Default 60s.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('1h')",message="cloudWatch.period: must be between 10s and 1h, with its unit, as 30s"
	Period *metav1.Duration `json:"period,omitempty"`
	// window back from now that is asked for. Default 5m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s') && duration(self) <= duration('24h')",message="cloudWatch.window: must be between 10s and 24h, with its unit, as 10m"
	Window *metav1.Duration `json:"window,omitempty"`
	// secret with the keys access-key-id, secret-access-key and, if need be, session-token.
	// +required
	Secret SecretReference `json:"secret"`
}

// SkyWalkingProvider asks Apache SkyWalking.
type SkyWalkingProvider struct {
	// address of the OAP server, as http://oap:12800.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="skyWalking.address: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	Address string `json:"address"`
	// expression in MQE, as service_sla{name='service_sla'}. The result is its newest value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Expression string `json:"expression"`
	// service that the expression speaks of.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Service string `json:"service"`
	// window back from now that is asked for. Default 5m.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="skyWalking.window: must be between 1m and 24h, with its unit, as 10m"
	Window *metav1.Duration `json:"window,omitempty"`
	// connection has credentials and TLS.
	// +optional
	Connection *Connection `json:"connection,omitempty"`
}

// PluginProvider posts the question to a service of your own: {"metric", "config", "context"}; it answers {"result":
// ...} or {"error": "..."}.
type PluginProvider struct {
	// url to post to, http or https.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.startsWith('http://') || self.startsWith('https://') || self.startsWith('{{')",message="plugin.url: must begin with http:// or https://, as http://prometheus.monitoring:9090"
	URL string `json:"url"`
	// config is sent along as it is.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	Config map[string]ConfigValue `json:"config,omitempty"`
	// connection has credentials and TLS.
	// +optional
	Connection *Connection `json:"connection,omitempty"`
}

// ConfigValue is a text, bounded.
//
// +kubebuilder:validation:MaxLength=4096
type ConfigValue string
