// Package beside says what an object that Sluice makes beside one of the team's bears of it: which labels and which
// annotations. The canary Service is to be found by whatever finds the team's, a ServiceMonitor above all, and the
// canary Ingress is to be read as the team's is; but no other tool may take them for its own.
//
// The package is pure: maps in, maps out. Everybody may import it; it imports nothing of ours and nothing of
// Kubernetes.
package beside

import "strings"

// A key here is a domain, which stands for all keys of it and of the domains below it; or one whole key, which has a
// slash; or, with a star at its end, whatever begins so.

// others are the tools that write down on an object that it is theirs: who deployed it, from where, with what else it
// is to be pruned, and what they applied last. A copy of that would have them adopt, list or prune what Sluice has
// made.
var others = []string{
	"sluice.dev", // What others have written of it proves nothing, and Sluice sets its own.
	"kubectl.kubernetes.io", "applyset.kubernetes.io", "config.kubernetes.io", "config.k8s.io", "deployment.kubernetes.io",
	"addonmanager.kubernetes.io", "kubernetes.io/cluster-service", "kubernetes.io/change-cause",
	"helm.sh", "argoproj.io", "fluxcd.io", "k14s.io", "cattle.io", "oam.dev", "karmada.io", "open-cluster-management.io",
	"configmanagement.gke.io", "configsync.gke.io", "crossplane.io", "pulumi.com", "spinnaker.io", "kyverno.io", "kots.io",
	"operators.coreos.com", "olm.*", "werf.io", "skaffold.dev", "tilt.dev",
	// Of the recommended labels this one alone says whose an object is: by name, instance, component and part-of a
	// ServiceMonitor selects, so they are borne. (Argo CD can be told to track by instance. It takes no object for its own
	// that another one owns, as a Release does the canary Service.)
	"app.kubernetes.io/managed-by",
}

// once are annotations of a Service that have something made of which there can be one only: a load balancer or its
// address, a name in the DNS or in another registry, a certificate, a route. On the canary Service they would have it
// made a second time, or turned to the new pods past every weight.
var once = []string{
	"service.beta.kubernetes.io", "service.kubernetes.io", "cloud.google.com", "networking.gke.io", "kubernetes.io/elb.*",
	"service.k8s.aws", "service.cloud.tencent.com", "load-balancer.hetzner.cloud", "loadbalancer.openstack.org",
	"oraclecloud.com", "kubernetes.digitalocean.com", "k8s.scaleway.com",
	"metallb.universe.tf", "metallb.io", "purelb.io", "kube-vip.io", "kubesphere.io", "lbipam.cilium.io", "io.cilium",
	"service.cilium.io/global", "service.cilium.io/shared", "mirror.linkerd.io", "tailscale.com", "consul.hashicorp.com",
	"external-dns.alpha.kubernetes.io", "dns.alpha.kubernetes.io", "getambassador.io",
	"service.beta.openshift.io", "service.alpha.openshift.io", "cert-manager.io", "certmanager.k8s.io",
	"kubernetes.io/tls-acme",
}

// perService are those of the domains above that say how requests are led to the pods, as much to the canary's.
var perService = []string{"service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"}

// export are labels of a Service by which other clusters are told of it.
var export = []string{"mirror.linkerd.io"}

// certificates are annotations of an Ingress by which its certificates are made; a copy would make them twice.
var certificates = []string{"cert-manager.io", "certmanager.k8s.io", "kubernetes.io/tls-acme"}

// Labels are those of the team's Service that the canary Service bears, too.
func Labels(team map[string]string) map[string]string {
	return kept(team, func(key string) bool { return !among(key, others) && !among(key, export) })
}

// ServiceAnnotations are those of the team's Service that the canary Service has, too: the gateways' own and the
// scrapers' among them.
func ServiceAnnotations(team map[string]string) map[string]string {
	return kept(team, func(key string) bool {
		return !among(key, others) && (!among(key, once) || among(key, perService))
	})
}

// OnIngress says whether the canary Ingress has an annotation that the team's has.
func OnIngress(key string) bool { return !among(key, others) && !among(key, certificates) }

func kept(team map[string]string, keep func(string) bool) map[string]string {
	out := map[string]string{}
	for k, v := range team {
		if keep(k) {
			out[k] = v
		}
	}
	return out
}

func among(key string, list []string) bool {
	domain, _, qualified := strings.Cut(key, "/")
	for _, entry := range list {
		begin, open := strings.CutSuffix(entry, "*")
		switch {
		case open && strings.HasPrefix(key, begin), key == entry:
			return true
		case qualified && (domain == entry || strings.HasSuffix(domain, "."+entry)):
			return true
		}
	}
	return false
}
