package e2e

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/playground"
)

// A release of one step makes some 22 writes. A controller that dies after each of them is also killed once, in a
// release of its own, after some of them: with SLUICE_E2E_ALL after each.
const writesOfARelease = 24

func everyNth(n int) int {
	if os.Getenv("SLUICE_E2E_ALL") != "" {
		return 1
	}
	return n
}

// TestController has the controller killed, restarted and deprived of rights. Each subtest has a controller of its
// own, which looks after its namespace only.
func TestController(t *testing.T) {
	c := alone(t)
	t.Run("DiesAfterEveryWriteOfARelease", func(t *testing.T) {
		t.Parallel()
		dyingRelease(t, c, 1, true)
	})
	t.Run("DiesAfterEveryWriteOfAnAbort", func(t *testing.T) {
		t.Parallel()
		dyingAbort(t, c, 1, true)
	})
	for n := 1; n <= writesOfARelease; n += everyNth(3) {
		t.Run(fmt.Sprintf("DiesOnceInARelease/%02d", n), func(t *testing.T) {
			t.Parallel()
			dyingRelease(t, c, n, false)
		})
	}
	for n := 2; n <= writesOfARelease; n += everyNth(4) {
		t.Run(fmt.Sprintf("DiesOnceInAnAbort/%02d", n), func(t *testing.T) {
			t.Parallel()
			dyingAbort(t, c, n, false)
		})
	}
	t.Run("WithoutRights", func(t *testing.T) {
		t.Parallel()
		withoutRights(t, c)
	})
}

// mortalController is a controller that is killed after its nth write, again and again or once, and started again.
type mortalController struct {
	deaths atomic.Int64
	stop   chan struct{}
	ended  chan struct{}
}

func startMortal(w *world, n int, again bool) *mortalController {
	m := &mortalController{stop: make(chan struct{}), ended: make(chan struct{})}
	env := []string{fmt.Sprintf("SLUICE_DIE_AFTER_WRITES=%d", n)}
	go func() {
		defer close(m.ended)
		for {
			args := append(append([]string{}, asSluice...), "--namespace", w.ns)
			p, err := startControllerWith(w.cluster.Kubeconfig, nil, env, args...)
			if err != nil {
				w.Errorf("start controller: %v", err)
				return
			}
			select {
			case <-m.stop:
				p.stop()
				return
			case <-p.exited:
			}
			if text := fmt.Sprint(p.err); !strings.Contains(text, "killed") {
				w.Errorf("the controller ended by itself: %s\n%s", text, p.log)
				return
			}
			m.deaths.Add(1)
			if !again {
				env = nil
			}
		}
	}()
	w.Cleanup(m.end)
	return m
}

func (m *mortalController) end() {
	select {
	case <-m.stop:
	default:
		close(m.stop)
	}
	<-m.ended
}

// dying starts the shop and a release of it, under a controller that dies.
func dying(t *testing.T, c *playground.Cluster, n int, again bool, first map[string]any) (*world, team, *load, *mortalController) {
	t.Helper()
	w := worldIn(t, c)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	rollout := steps(only(objects, "Rollout"), first)
	set(rollout, "500ms", "spec", "drainDelay")
	shop := only(objects, "Deployment")
	set(shop, int64(2), "spec", "replicas")
	m := startMortal(w, n, again)
	w.start(objects...)
	before, load := w.team(), w.loadOn(w.to("/color"), map[bool]int{true: 1, false: 4}[again])
	w.setImage("green")
	return w, before, load, m
}

func dyingRelease(t *testing.T, c *playground.Cluster, n int, again bool) {
	t.Helper()
	w, before, load, m := dying(t, c, n, again, passing(50))
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 2)
	w.startedOnce("green", 2)
	w.startedOnce("blue", 2)
	w.nothingLeft(before)
	w.noFurther("shop-2")
	noneFailed(t, load.end())
	t.Logf("%d deaths", m.deaths.Load())
	if again && m.deaths.Load() < 15 {
		t.Errorf("the controller died only %d times in a release", m.deaths.Load())
	}
	w.removed(m)
}

func dyingAbort(t *testing.T, c *playground.Cluster, n int, again bool) {
	t.Helper()
	w, before, load, m := dying(t, c, n, again, step(50))
	w.atStep("shop-1", 1)
	w.mustSluice("abort", "shop", "--wait=false")
	w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 2)
	w.startedOnce("blue", 2)
	w.nothingLeft(before)
	w.noFurther("shop-2")
	noneFailed(t, load.end())
	t.Logf("%d deaths", m.deaths.Load())
	if again && m.deaths.Load() < 12 {
		t.Errorf("the controller died only %d times in an abort", m.deaths.Load())
	}
	w.removed(m)
}

// removed deletes the Rollout while its controller still runs: the namespace could not be deleted later.
func (w *world) removed(m *mortalController) {
	w.Helper()
	w.kubectl("delete", "rollout", "shop", "--timeout=60s")
	m.end()
}

// withoutRights runs a controller as somebody who may do everything but change Services.
func withoutRights(t *testing.T, c *playground.Cluster) {
	t.Helper()
	w := worldIn(t, c)
	role := w.kubectl("get", "clusterrole", "sluice-controller", "-o", "json")
	objects := w.objects(role)
	restricted := objects[0]
	restricted.SetName("sluice-without-services-" + w.ns)
	restricted.SetResourceVersion("")
	restricted.SetUID("")
	rules, _, _ := unstructured.NestedSlice(restricted.Object, "rules")
	for _, r := range rules {
		rule := r.(map[string]any)
		if fmt.Sprint(rule["resources"]) == "[services]" {
			rule["verbs"] = []any{"get", "list", "watch"}
		}
	}
	// Its name is not Sluice's, but it may write in Sluice's name.
	rules = append(rules, map[string]any{
		"apiGroups": []any{""}, "resources": []any{"serviceaccounts"}, "resourceNames": []any{"sluice"}, "verbs": []any{"impersonate"},
	})
	set(restricted, rules, "rules")
	w.apply(restricted)
	for _, role := range []string{restricted.GetName(), "sluice-controller-cluster"} {
		w.apply(w.objects(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: %s-%s},
			roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %s}, subjects: [{kind: User, name: weak}]}`, role, w.ns, role))...)
	}
	p, err := startControllerWith(c.Kubeconfig, nil, nil, "--as", "weak", "--namespace", w.ns)
	must(t, err)
	defer p.stop()
	defer func() {
		if t.Failed() {
			t.Logf("the controller's errors:\n%.3000s", grep(fmt.Sprint(p.log), "error"))
		}
	}()
	w.start(w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")...)
	before, blue, load := w.team(), names(w), w.load()
	w.setImage("green")
	r := w.release("shop-1", "shop-1 says which right it lacks", func(r *v1alpha1.Release) error {
		if wait := r.Status.WaitingFor; wait == nil || !strings.Contains(wait.Message, "forbidden") {
			return fmt.Errorf("is %s: %s", r.Status.Phase, waits(wait))
		}
		return nil
	})
	for _, word := range []string{`services "shop" is forbidden`, `"weak"`, "sluice install"} {
		if !strings.Contains(r.Status.WaitingFor.Message, word) {
			t.Errorf("the release waits for %q; want %q in it", r.Status.WaitingFor.Message, word)
		}
	}
	if got := names(w); got != blue {
		t.Errorf("pods are %s, were %s", got, blue)
	}
	after := w.team()
	if len(after) != len(before) {
		t.Errorf("there are %d objects of the team's, were %d", len(after), len(before))
	}
	all := load.end()
	noneFailed(t, all)
	if got := versions(all); len(got) != 1 || got["blue"] == 0 {
		t.Errorf("requests were answered by %v, want blue alone", got)
	}
}
