package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestGitOps runs a whole release while an agent applies the team's manifests every two seconds, in each of the
// ways in which agents do.
func TestGitOps(t *testing.T) {
	for name, how := range map[string][]string{
		"ServerSideApply": {"apply", "--server-side", "--force-conflicts", "--field-manager=agent", "-f", "-"},
		"ClientSideApply": {"apply", "-f", "-"},
		"Replace":         {"replace", "-f", "-"},
	} {
		t.Run(name, func(t *testing.T) { gitOps(t, how) })
	}
}

func gitOps(t *testing.T, how []string) {
	t.Helper()
	w := newWorld(t)
	theirs := w.example("1-nginx/shop.yaml")
	theirs = append(theirs, w.testdata("httproute.yaml")...)
	w.apply(w.example("1-nginx/assets.yaml")...)
	w.kubectlWith(manifest(theirs), append([]string{}, strings.Fields(strings.Replace(strings.Join(how, " "), "replace", "create", 1))...)...)
	w.ready("shop", "assets")
	rollout := only(w.example("1-nginx/rollout.yaml"), "Rollout")
	set(rollout, []any{
		map[string]any{"ingress": map[string]any{"name": "shop"}}, map[string]any{"httpRoute": map[string]any{"name": "shop"}},
	}, "spec", "traffic")
	quicken(rollout)
	w.apply(steps(rollout, step(20), step(50)))
	w.phase(v1alpha1.RolloutHealthy)
	before := w.team()
	loads := []*load{w.loadOn(w.to("/color"), 2), w.loadOn(w.to("/color").on("route"), 2)}

	agent := startAgent(w, withImage(theirs, "green"), how)
	w.atStep("shop-1", 1)
	agent.rounds(t, 2)
	allSharedOut(t, loads, 300, "green", 20)
	w.mustSluice("promote", "shop")
	w.atStep("shop-1", 2)
	agent.rounds(t, 2)
	allSharedOut(t, loads, 300, "green", 50)
	w.mustSluice("promote", "shop")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	agent.rounds(t, 2)
	w.phase(v1alpha1.RolloutHealthy)
	agent.end(t)
	w.onlyPods("green", 4)
	w.startedOnce("green", 4)
	w.startedOnce("blue", 4)
	w.nothingLeft(before)
	w.noFurther("shop-2")
	for _, l := range loads {
		noneFailed(t, l.end())
	}
}

func withImage(objects []*unstructured.Unstructured, colour string) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, o := range objects {
		o = o.DeepCopy()
		if o.GetKind() == "Deployment" {
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			containers[0].(map[string]any)["image"] = "argoproj/rollouts-demo:" + colour
			set(o, containers, "spec", "template", "spec", "containers")
		}
		out = append(out, o)
	}
	return out
}

// agent applies the same manifests again and again.
type agent struct {
	stop   context.CancelFunc
	ended  chan struct{}
	done   atomic.Int64
	failed atomic.Pointer[string]
}

func startAgent(w *world, objects []*unstructured.Unstructured, how []string) *agent {
	ctx, cancel := context.WithCancel(context.Background())
	a := &agent{stop: cancel, ended: make(chan struct{})}
	text := manifest(objects)
	go func() {
		defer close(a.ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		for ctx.Err() == nil {
			// An update that crosses another writer's is refused to any client; agents come again.
			if out, err := kubectlAs(ctx, w, text, how); err != nil && ctx.Err() == nil && !strings.Contains(out, "(Conflict)") {
				said := fmt.Sprintf("%v: %s", err, out)
				a.failed.Store(&said)
			}
			a.done.Add(1)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	w.Cleanup(func() { a.stop(); <-a.ended })
	return a
}

func kubectlAs(ctx context.Context, w *world, input string, args []string) (string, error) {
	b := os.Getenv("SLUICE_PLAYGROUND")
	if b == "" {
		b = filepath.Join("..", "..", "bin", "sluice-playground")
	}
	cmd := exec.CommandContext(ctx, b, append([]string{"kubectl", "--kubeconfig", w.cluster.Kubeconfig, "-n", w.ns}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// rounds waits until the agent has applied n times more, from beginning to end.
func (a *agent) rounds(t *testing.T, n int64) {
	t.Helper()
	from := a.done.Load()
	until(t, long, "the agent has applied its manifests again", func() error {
		if got := a.done.Load() - from; got < n+1 {
			return fmt.Errorf("%d times", got)
		}
		return nil
	})
}

func (a *agent) end(t *testing.T) {
	t.Helper()
	a.stop()
	<-a.ended
	if said := a.failed.Load(); said != nil {
		t.Errorf("the agent's %d. apply failed: %s", a.done.Load(), *said)
	}
}
