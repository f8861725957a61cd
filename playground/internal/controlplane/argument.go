package controlplane

import (
	"slices"
	"strings"
)

const (
	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
	schedulerName         = "kube-scheduler"

	// Service addresses. The API server refuses loopback addresses for endpoints, so the playground
	// takes the block that is set aside for benchmarks: 198.18.0.0/16 for pods, 198.19.0.0/16 for Services.
	serviceRange   = "198.19.0.0/16"
	firstServiceIP = "198.19.0.1"
	// advertised is never dialled (the `kubernetes` Service has no endpoints); it only must not be loopback.
	advertised = "198.19.255.254"

	// verbosity of the components' logs.
	verbosity = "0"
)

var componentNames = []string{etcdName, apiServerName, controllerManagerName, schedulerName}

func isComponent(name string) bool { return slices.Contains(componentNames, name) }

// controllers are those of a cluster whose nodes and volumes are not real: nothing for volumes, cloud
// nodes, address ranges, certificates of kubelets and devices, and no autoscaler, which needs metrics.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"cronjob-controller",
	"daemonset-controller",
	"deployment-controller",
	"disruption-controller",
	"endpoints-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"job-controller",
	"namespace-controller",
	"node-lifecycle-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"replicationcontroller-controller",
	"resourcequota-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"serviceaccount-token-controller",
	"statefulset-controller",
	"taint-eviction-controller",
	"ttl-after-finished-controller",
	"validatingadmissionpolicy-status-controller",
}

func (p *plan) etcdArgs() []string {
	args := []string{
		"--data-dir=" + p.dir.file("etcd"),
		"--listen=" + p.etcdAddress,
		"--cert-file=" + p.credentials.file("etcd.crt"),
		"--key-file=" + p.credentials.file("etcd.key"),
		"--trusted-ca-file=" + p.credentials.file(etcdAuthority+".crt"),
	}
	if p.dir.marker.Ephemeral {
		args = append(args, "--unsafe-no-fsync")
	}
	return append(args, p.options.ExtraArgs[etcdName]...)
}

func (p *plan) apiServerArgs() []string {
	pki := p.credentials.file
	args := []string{
		"--bind-address=" + p.apiHost,
		"--secure-port=" + p.apiPort,
		"--advertise-address=" + advertised,
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--profiling=false",
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1500",

		"--etcd-servers=https://" + p.etcdAddress,
		"--etcd-cafile=" + pki(etcdAuthority+".crt"),
		"--etcd-certfile=" + pki("etcd-client.crt"),
		"--etcd-keyfile=" + pki("etcd-client.key"),

		"--tls-cert-file=" + pki("apiserver.crt"),
		"--tls-private-key-file=" + pki("apiserver.key"),
		"--client-ca-file=" + pki(kubernetesAuthority+".crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + pki("service-account.pub"),
		"--service-account-signing-key-file=" + pki("service-account.key"),

		"--kubelet-certificate-authority=" + pki(kubernetesAuthority+".crt"),
		"--kubelet-client-certificate=" + pki("kubelet-client.crt"),
		"--kubelet-client-key=" + pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--v=" + verbosity,
	}
	args = append(args, p.auditArgs()...)
	if p.options.NoMutatingPolicies {
		args = append(args, withoutMutatingPolicies...)
	}
	return append(args, p.options.ExtraArgs[apiServerName]...)
}

// withoutMutatingPolicies takes the kinds away and the admission plugin too, which would otherwise wait
// for them and refuse every write meanwhile.
var withoutMutatingPolicies = []string{
	"--disable-admission-plugins=MutatingAdmissionPolicy",
	"--feature-gates=MutatingAdmissionPolicy=false",
	"--runtime-config=admissionregistration.k8s.io/v1/mutatingadmissionpolicies=false," +
		"admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings=false",
}

// auditArgs write synchronously and never rotate: whoever counts requests finds all, in one file.
func (p *plan) auditArgs() []string {
	if p.options.AuditLog == "" {
		return nil
	}
	return []string{
		"--audit-log-path=" + p.options.AuditLog,
		"--audit-log-format=json",
		"--audit-log-mode=blocking",
		"--audit-log-maxsize=1000000",
		"--audit-policy-file=" + p.dir.file(configDir, auditPolicyFile),
	}
}

func (p *plan) controllerManagerArgs() []string {
	kubeconfig := p.dir.file(configDir, controllerManagerName+".kubeconfig")
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + p.credentials.file("service-account.key"),
		"--root-ca-file=" + p.credentials.file(kubernetesAuthority+".crt"),
		"--controllers=" + strings.Join(controllers, ","),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--concurrent-deployment-syncs=16",
		"--concurrent-replicaset-syncs=16",
		"--concurrent-service-endpoint-syncs=16",
		"--v=" + verbosity,
	}
	return append(args, p.options.ExtraArgs[controllerManagerName]...)
}

func (p *plan) schedulerArgs() []string {
	args := []string{
		"--config=" + p.dir.file(configDir, schedulerConfigFile),
		"--secure-port=0",
		"--v=" + verbosity,
	}
	return append(args, p.options.ExtraArgs[schedulerName]...)
}
