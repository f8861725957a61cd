package e2e

import (
	"fmt"
	"net/http"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// small is a workload of one idle pod, without routes, and its Rollout: in its one step the template is measured. Dozens
// of them cost less than one shop.
func small(name, template string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {containers: [{name: web, image: "sluice.dev/pause:1"}]}
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  workload: {kind: Deployment, name: %[1]s}
  canary: {steps: [{weight: 50, analysis: {templates: [{name: %[2]s}]}}]}
---
`, name, template)
}

// startSmall applies manifests and waits until Sluice has taken all their workloads over.
func (w *world) startSmall(manifests string) {
	w.Helper()
	w.apply(w.objects(manifests)...)
	until(w, long, "all Rollouts are healthy", func() error {
		list := &v1alpha1.RolloutList{}
		w.list(list)
		for _, r := range list.Items {
			if r.Status.Phase != v1alpha1.RolloutHealthy {
				return fmt.Errorf("%s is %s: %s", r.Name, r.Status.Phase, waits(r.Status.WaitingFor))
			}
		}
		return nil
	})
}

// releaseSmall gives small workloads a new version.
func (w *world) releaseSmall(names ...string) {
	w.Helper()
	for _, name := range names {
		d := &appsv1.Deployment{}
		must(w, w.get(d, name))
		before := d.DeepCopy()
		d.Spec.Template.Spec.Containers[0].Image = "sluice.dev/pause:2"
		must(w, w.client.Patch(w.Context(), d, client.MergeFrom(before)))
	}
}

// numbered are n names.
func numbered(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s-%02d", prefix, i+1))
	}
	return out
}

// lendRights lets the controller read the Secrets and run the Jobs of the test's namespace.
func (w *world) lendRights() {
	w.Helper()
	for _, role := range []string{"sluice-secret-reader", "sluice-job-runner"} {
		w.kubectl("create", "rolebinding", role, "--clusterrole="+role, "--serviceaccount=sluice-system:sluice")
	}
}

// says is a handler that answers always the same.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// skipForeign skips a test whose servers on this machine a controller elsewhere does not reach.
func skipForeign(t *testing.T) {
	t.Helper()
	if foreign() {
		t.Skip("needs servers that the controller reaches: runs only on a playground that the suite starts")
	}
}
