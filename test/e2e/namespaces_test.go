package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/deploy"
)

// TestFaultA14NamespacedInstallation proves that a controller with rights in chosen namespaces does a whole release there,
// with a token of its own ServiceAccount, while that token can do nothing elsewhere and a Rollout elsewhere moves nothing.
// A namespace that is named and gone keeps it from none of the others.
func TestFaultA14NamespacedInstallation(t *testing.T) {
	t.Parallel()
	c := alone(t)
	w, other := worldIn(t, c), worldIn(t, c)
	gone := c.Namespace(t)
	install := func(namespaces ...string) {
		t.Helper()
		out, err := command(t.Context(), "sluice", "--kubeconfig", c.Kubeconfig, "install", "--skip-controller", "--namespaces", strings.Join(namespaces, ",")).CombinedOutput()
		if err != nil {
			t.Fatalf("sluice install --namespaces: %v\n%s", err, out)
		}
	}
	install(w.ns, gone)
	w.kubectl("delete", "namespace", gone, "--wait=true")

	token := rest.AnonymousClientConfig(c.Config)
	token.BearerToken = strings.TrimSpace(c.MustKubectl(t, "", "-n", deploy.Namespace, "create", "token", deploy.ServiceAccount))
	for _, where := range []string{other.ns, "default", "kube-system", deploy.Namespace, ""} {
		if may := rightsIn(t, token, where); len(may) > 0 {
			t.Errorf("in namespace %q the controller's token may %v", where, may)
		}
	}
	if may := rightsIn(t, token, w.ns); !slices.Contains(may, "create replicasets") {
		t.Errorf("in its namespace the controller's token may %v", may)
	}

	kubeconfig := kubeconfigOf(t, token)
	p, err := startControllerWith(kubeconfig, whenVerbose(), nil, "--namespaces", w.ns+","+gone)
	must(t, err)
	t.Cleanup(p.stop)
	for _, in := range []*world{w, other} {
		in.apply(in.example("1-nginx/shop.yaml", "1-nginx/rollout.yaml")...)
	}
	w.phase(v1alpha1.RolloutHealthy)
	load := w.load()
	w.setImage("green")
	w.mustSluice("promote", "shop", "--full", "--wait")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	noneFailed(t, load.end())
	w.onlyPods("green", 4)
	if d := other.kubectl("get", "deployment", "shop", "-o", "jsonpath={.metadata.labels}{.spec.paused}"); strings.Contains(d, "sluice") || strings.Contains(d, "true") {
		t.Errorf("the Deployment of another namespace was taken over: %s", d)
	}
	if log := p.log.String(); !strings.Contains(log, "a namespace is not looked after") || !strings.Contains(log, gone) {
		t.Errorf("the controller does not say that namespace %s is not looked after:\n%s", gone, grep(log, "namespace"))
	}
}

// rightsIn are the rights of a token in a namespace, or in all of them, that are of any use.
func rightsIn(t *testing.T, cfg *rest.Config, namespace string) []string {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	must(t, err)
	var may []string
	for _, resource := range []string{
		"apps/deployments", "apps/replicasets", "/services", "/pods", "/secrets", "/configmaps", "batch/jobs", "discovery.k8s.io/endpointslices",
		"networking.k8s.io/ingresses", "gateway.networking.k8s.io/httproutes", "sluice.dev/rollouts", "sluice.dev/releases", "sluice.dev/holds",
		"sluice.dev/decisions", "sluice.dev/analysisruns", "sluice.dev/analysistemplates", "events.k8s.io/events",
	} {
		group, name, _ := strings.Cut(resource, "/")
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete"} {
			answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(context.Background(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: namespace, Group: group, Resource: name, Verb: verb,
				}},
			}, metav1.CreateOptions{})
			must(t, err)
			if answer.Status.Allowed {
				may = append(may, fmt.Sprintf("%s %s", verb, name))
			}
		}
	}
	return may
}
