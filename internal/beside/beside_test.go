package beside

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func of(keys ...string) map[string]string {
	out := map[string]string{}
	for _, k := range keys {
		out[k] = "x"
	}
	return out
}

func keys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

func TestLabels(t *testing.T) {
	borne := of("app", "release", "app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of",
		"monitoring", "istio.io/use-waypoint", "service.kubernetes.io/service-proxy-name", "notfluxcd.io/x", "olmo")
	team := of("sluice.dev/rollout", "app.kubernetes.io/managed-by", "helm.sh/chart", "kapp.k14s.io/app",
		"objectset.rio.cattle.io/hash", "fleet.cattle.io/bundle", "argocd.argoproj.io/instance",
		"kustomize.toolkit.fluxcd.io/name", "addonmanager.kubernetes.io/mode", "kubernetes.io/cluster-service", "olm.owner",
		"olm.owner.namespace", "operators.coreos.com/shop.demo", "applyset.kubernetes.io/part-of", "mirror.linkerd.io/exported")
	maps.Copy(team, borne)
	if diff := cmp.Diff(keys(borne), keys(Labels(team))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestServiceAnnotations(t *testing.T) {
	borne := of("prometheus.io/scrape", "prometheus.io/port", "traefik.ingress.kubernetes.io/service.sticky.cookie",
		"konghq.com/plugins", "nginx.ingress.kubernetes.io/service-upstream", "service.kubernetes.io/topology-mode", "team")
	team := of("kubectl.kubernetes.io/last-applied-configuration", "sluice.dev/x", "argocd.argoproj.io/tracking-id",
		"kustomize.toolkit.fluxcd.io/prune", "meta.helm.sh/release-name", "helm.sh/hook", "kapp.k14s.io/identity",
		"objectset.rio.cattle.io/id", "service.beta.kubernetes.io/aws-load-balancer-type", "service.kubernetes.io/qcloud-loadbalancer-id",
		"cloud.google.com/neg", "networking.gke.io/load-balancer-type", "kubernetes.io/elb.id", "external-dns.alpha.kubernetes.io/hostname",
		"metallb.universe.tf/address-pool", "getambassador.io/config", "consul.hashicorp.com/service-name", "tailscale.com/expose",
		"service.beta.openshift.io/serving-cert-secret-name", "oci.oraclecloud.com/load-balancer-type")
	maps.Copy(team, borne)
	if diff := cmp.Diff(keys(borne), keys(ServiceAnnotations(team))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnIngress(t *testing.T) {
	for key, want := range map[string]bool{
		"nginx.ingress.kubernetes.io/affinity": true, "external-dns.alpha.kubernetes.io/hostname": true,
		"cert-manager.io/cluster-issuer": false, "acme.cert-manager.io/http01-edit-in-place": false, "meta.helm.sh/release-name": false,
	} {
		if got := OnIngress(key); got != want {
			t.Errorf("%s: %v", key, got)
		}
	}
}
