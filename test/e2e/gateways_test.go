package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/playground"
)

// realHabits are those of ingress-nginx as it ships (one sync every 3.3 s, and up to a second until its workers have looked)
// and of Traefik (reports before it serves), and Prometheus collects as seldom as it mostly does.
var realHabits = []string{"--gateway-sync-every", "3300ms", "--gateway-delay", "1s", "--gateway-early-accepted", "--scrape-interval", "15s"}

// TestFaultCGateways releases in front of a gateway with the habits of the real ones, with every default as it is, and counts
// requests.
func TestFaultCGateways(t *testing.T) {
	c := alone(t, realHabits...)
	p, err := startController(c.Kubeconfig, whenVerbose(), "--metric-hosts-loopback", "--prometheus-address", c.Prometheus, "--request-metrics", "playground")
	must(t, err)
	t.Cleanup(p.stop)
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *playground.Cluster){
			"FaultC1Removal": lateIngress, "FaultC4Preview": previewInTheWay, "FaultC5Session": sessionOfTheLastRelease,
			"FaultC6FewData": fewData, "FaultC7EarlyAccepted": earlyAccepted,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
	})
}

// defaults takes out what the tests make shorter.
func defaults(rollout *unstructured.Unstructured) *unstructured.Unstructured {
	unstructured.RemoveNestedField(rollout.Object, "spec", "drainDelay")
	layers, _, _ := unstructured.NestedSlice(rollout.Object, "spec", "traffic")
	for _, l := range layers {
		for _, ref := range l.(map[string]any) {
			delete(ref.(map[string]any), "settle")
			delete(ref.(map[string]any), "confirm")
		}
	}
	set(rollout, layers, "spec", "traffic")
	return rollout
}

// onIngress starts the shop behind its Ingress, with these steps.
func onIngress(t *testing.T, c *playground.Cluster, list ...map[string]any) (*world, team) {
	t.Helper()
	w := worldIn(t, c)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(defaults(only(objects, "Rollout")), list...)
	w.start(objects...)
	return w, w.team()
}

// lateIngress: the gateway follows seconds after each write, the removal of the canary Ingress too, and no request is lost,
// neither when a release completes at once nor when it is taken back.
func lateIngress(t *testing.T, c *playground.Cluster) {
	w, before := onIngress(t, c, step(50))
	set := func(drain string) {
		w.kubectl("patch", "rollout", "shop", "--type", "merge", "-p", fmt.Sprintf(`{"spec":{"drainDelay":%q}}`, drain))
	}
	set("0s")
	load := w.load()
	w.setImage("green")
	w.atStep("shop-1", 1)
	load.sharedOut(t, 300, "green", 50)
	w.mustSluice("abort", "shop")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.onlyPods("blue", 4)
	w.setImage("yellow")
	w.atStep("shop-2", 1)
	w.mustSluice("promote", "shop")
	w.ended("shop-2", v1alpha1.ReleaseSucceeded)
	w.nothingLeft(before)
	all := load.end()
	t.Logf("%d requests", len(all))
	noneFailed(t, all)
}

// earlyAccepted: the gateway reports an HTTPRoute before it serves it, and no request is lost though nothing drains.
func earlyAccepted(t *testing.T, c *playground.Cluster) {
	w := worldIn(t, c)
	objects := append(without(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml"), "Ingress"), w.testdata("httproute.yaml")...)
	rollout := only(w.example("1-nginx/rollout.yaml"), "Rollout")
	set(rollout, []any{map[string]any{"httpRoute": map[string]any{"name": "shop", "settle": "6s"}}}, "spec", "traffic")
	set(rollout, "0s", "spec", "drainDelay")
	steps(rollout, step(20))
	w.start(append(objects, rollout)...)
	load := w.loadOn(w.to("/color").on("route"), 1)
	w.setImage("green")
	w.atStep("shop-1", 1)
	load.sharedOut(t, 300, "green", 20)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	noneFailed(t, load.end())
}

// previewInTheWay: a canary of the team's own on the same host and path, which the gateway heeds in place of Sluice's, is
// refused by name before anything moves.
func previewInTheWay(t *testing.T, c *playground.Cluster) {
	w, _ := onIngress(t, c, step(20))
	w.kubectl("patch", "rollout", "shop", "--type", "json", "-p", `[{"op":"add","path":"/spec/traffic/0/ingress/confirm","value":"Settle"}]`)
	w.apply(w.objects(`{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop-preview, annotations: {nginx.ingress.kubernetes.io/canary: "true", nginx.ingress.kubernetes.io/canary-by-header: X-Preview}}, spec: {ingressClassName: nginx, rules: [{host: canary.demo, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: assets, port: {number: 80}}}}]}}]}}`)...)
	w.setImage("green")
	until(w, long, "the Rollout names shop-preview", func() error {
		r := &v1alpha1.Rollout{}
		must(w, w.get(r, "shop"))
		if r.Status.WaitingFor == nil || !strings.Contains(r.Status.WaitingFor.Message, w.ns+"/shop-preview") {
			return fmt.Errorf("it %s", waits(r.Status.WaitingFor))
		}
		return nil
	})
	w.noFurther("shop-1")
	w.kubectl("delete", "ingress", "shop-preview")
	w.atStep("shop-1", 1)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
}

// sessionOfTheLastRelease: who was sent to the new version of a release by a session's cookie does not come to that of the
// next one while its weight is 0.
func sessionOfTheLastRelease(t *testing.T, c *playground.Cluster) {
	smoke := step(0)
	smoke["match"] = headers("X-Canary", "always")
	w, _ := onIngress(t, c, smoke, step(50))
	w.kubectl("annotate", "ingress", "shop", "nginx.ingress.kubernetes.io/affinity=cookie")
	w.setImage("green")
	w.atStep("shop-1", 1)
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	sessions := map[string]string{}
	until(w, long, "20 sessions on green", func() error {
		if version, session := w.session(""); version == "green" {
			sessions[fmt.Sprint(len(sessions))] = session
		}
		if len(sessions) < 20 {
			return fmt.Errorf("%d", len(sessions))
		}
		return nil
	})
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.setImage("yellow")
	w.atStep("shop-2", 1)
	for _, session := range sessions {
		if version, _ := w.session(session); version != "green" {
			t.Fatalf("a session of the last release is sent to %s, the version under test, at weight 0", version)
		}
	}
	w.mustSluice("abort", "shop")
	w.ended("shop-2", v1alpha1.ReleaseAborted)
}

// session asks once as a browser does, and returns the version that answered and the session's cookie.
func (w *world) session(cookie string) (version, session string) {
	w.Helper()
	r := w.to("/color")
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, r.url, nil)
	must(w, err)
	req.Host = r.host
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := w.http.Do(req)
	must(w, err)
	defer resp.Body.Close()
	session, _, _ = strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	return ask(w.http, request{url: r.url, host: r.host, header: map[string]string{"Cookie": session}}).version, session
}

// fewData: Prometheus collects every 15 s, so that a rate over ten seconds is of nothing. The builtin follows that, and a good
// release passes.
func fewData(t *testing.T, c *playground.Cluster) {
	first := passing(50)
	first["analysis"] = map[string]any{"builtin": "success-rate", "min": int64(99), "count": int64(2)}
	w, _ := onIngress(t, c, first)
	load := w.load()
	w.setImage("green")
	begin := time.Now()
	w.release("shop-1", "shop-1 has been measured", func(r *v1alpha1.Release) error {
		if r.Status.Phase == v1alpha1.ReleaseCompleting || r.Status.Phase == v1alpha1.ReleaseSucceeded {
			return nil
		}
		return fmt.Errorf("%s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
	})
	t.Logf("measured after %s", time.Since(begin))
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	noneFailed(t, load.end())
}
