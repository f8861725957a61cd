package e2e

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// healthyPods looks at the new pods twice, at once and after one interval.
const healthyPods = `
apiVersion: sluice.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: pods}
spec:
  metrics:
  - name: pods
    interval: 10s
    count: 2
    successCondition: result.restarts == 0.0 && result.oomKills == 0.0 && result.readyShare >= result.stableReadyShare
    provider: {kubernetes: {container: web}}
`

// watched is case 1 with the pods looked at in its one step. A second host leads to the stable version alone: its Ingress
// is none of the Rollout's.
func watched(t *testing.T, first map[string]any) (w *world, before team, all, stable *load) {
	t.Helper()
	w = newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	first["analysis"] = map[string]any{"templates": []any{map[string]any{"name": "pods"}}}
	steps(only(objects, "Rollout"), first)
	w.start(append(objects, append(w.objects(healthyPods), stableHost(only(objects, "Ingress"), w.host))...)...)
	return w, w.team(), w.loadOn(w.to("/color"), 1), w.loadOn(w.to("/color").on("stable"), 4)
}

func stableHost(of *unstructured.Unstructured, host string) *unstructured.Unstructured {
	in := of.DeepCopy()
	in.SetName("stable")
	unstructured.RemoveNestedField(in.Object, "spec", "tls")
	rules, _, _ := unstructured.NestedSlice(in.Object, "spec", "rules")
	rules[0].(map[string]any)["host"] = "stable." + host
	set(in, rules, "spec", "rules")
	return in
}

// TestACrashLoopIsFoundOut: a version whose pods get ready, serve, crash, and that again and again, is taken back by
// itself from its step of 20%, within two intervals. What it costs are requests of its own share: those to the stable
// version are answered as ever.
func TestACrashLoopIsFoundOut(t *testing.T) {
	w, before, load, stable := watched(t, step(20))
	w.kubectl("patch", "deployment/shop", "--type=strategic", "-p", `{"spec":{"template":{"spec":{"containers":[
		{"name":"web","image":"argoproj/rollouts-demo:red","env":[{"name":"CRASH_AFTER","value":"5s"}]}]}}}}`)
	bad, all := takenBack(w, before, load)
	t.Logf("%d of %d requests failed (%.2f%%)", bad, all, 100*float64(bad)/float64(all))
	// How many fail at a crash is a matter of milliseconds: the gateway knows soon that there is nobody.
	if got := versions(load.samples); got["red"] == 0 || float64(bad) > 0.2*float64(all) {
		t.Errorf("%d of %d requests failed, and %v were answered; want some by red, and fewer failed than the step's share", bad, all, got)
	}
	noneFailed(t, stable.end())
	if got := versions(stable.samples); len(got) != 1 || got["blue"] == 0 {
		t.Errorf("requests to the stable version were answered by %v, want blue alone", got)
	}
	run := w.run("shop-1-step-1")
	if run.Status.Phase != v1alpha1.AnalysisFailed {
		t.Errorf("the analysis is %s: %s", run.Status.Phase, run.Status.Message)
	}
	// The first is taken when the step is reached: two intervals have three measurements.
	if n := len(run.Status.Metrics[0].Measurements); n > 3 {
		t.Errorf("it took %d measurements", n)
	}
	t.Logf("after %d measurements: %s", len(run.Status.Metrics[0].Measurements), run.Status.Message)
}

// TestHealthyPodsPass: the same template lets a good version pass, and nobody has to act.
func TestHealthyPodsPass(t *testing.T) {
	w, before, load, stable := watched(t, passing(20))
	w.setImage("green")
	run := w.passesByItself(before, load)
	noneFailed(t, stable.end())
	if m := run.Status.Metrics[0]; run.Status.Phase != v1alpha1.AnalysisSuccessful || m.Successful != 2 {
		t.Errorf("the analysis is %s after %d good measurements: %s", run.Status.Phase, m.Successful, run.Status.Message)
	}
}
