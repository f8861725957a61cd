package helm

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// eachHelm runs a story with either Helm and either layer.
func eachHelm(t *testing.T, story func(*world)) {
	t.Helper()
	t.Parallel()
	for _, layer := range []string{"ingress", "httpRoute"} {
		t.Run("Helm3/"+layer, func(t *testing.T) {
			w := newWorld(t, layer)
			w.helm = w.helm3()
			story(w)
		})
		t.Run("Helm4/"+layer, func(t *testing.T) {
			w := newWorld(t, layer)
			w.helm = w.helm4("auto")
			story(w)
		})
	}
}

// TestFaultB15HelmSucceeded upgrades in the middle of a release and after it has succeeded, rolls it back then, and
// uninstalls in the middle of that. The Rollout is not the chart's.
func TestFaultB15HelmSucceeded(t *testing.T) {
	eachHelm(t, func(w *world) {
		w.install(values{"rollout": false})
		w.rollout()
		w.phase(v1alpha1.RolloutHealthy)

		w.upgrade(values{"image": "green"})
		w.atStep("shop-1", "blue", "green")
		w.upgrade(nil)
		w.atStep("shop-1", "blue", "green")
		w.upgrade(values{"note": "another", "timeout": 20, "replicas": 3})
		w.atStep("shop-1", "blue", "green")
		w.sluice("promote", "shop")
		w.ended("shop-1", v1alpha1.ReleaseSucceeded)

		w.phase(v1alpha1.RolloutHealthy)
		w.asInChart(false)
		w.upgrade(nil)
		w.upgrade(values{"note": "a third", "timeout": 40, "replicas": 2})
		w.phase(v1alpha1.RolloutHealthy)
		w.asInChart(false)
		w.noneAfter("shop-1")
		w.served("green")

		w.rollback(1, values{"image": "blue"})
		w.atStep("shop-2", "green", "blue")
		w.uninstall(waits{})
		w.ended("shop-2", v1alpha1.ReleaseAborted)
		w.cluster.MustKubectl(w, "", "-n", w.ns, "delete", "rollout", "shop", "--timeout=60s")
		w.gone()
	})
}

// TestFaultB15HelmAborted rolls back and brings another image in the middle of a release, upgrades and rolls back after an
// abort, and uninstalls after a release that has ended. The Rollout is the chart's, and its steps change with the image.
func TestFaultB15HelmAborted(t *testing.T) {
	eachHelm(t, func(w *world) {
		w.install(nil)
		w.phase(v1alpha1.RolloutHealthy)

		w.upgrade(values{"image": "green"})
		w.atStep("shop-1", "blue", "green")
		w.rollback(0, values{"image": "blue"})
		w.ended("shop-1", v1alpha1.ReleaseAborted)
		w.phase(v1alpha1.RolloutHealthy)
		w.asInChart(false)
		w.served("blue")

		w.upgrade(values{"image": "yellow", "weight": 40})
		yellow := w.current(40)
		w.atStep(yellow, "blue", "yellow")
		w.upgrade(values{"image": "orange", "weight": 60})
		w.ended(yellow, v1alpha1.ReleaseSuperseded)
		orange := w.current(60)
		w.atStep(orange, "blue", "orange")
		w.sluice("abort", "shop")
		w.ended(orange, v1alpha1.ReleaseAborted)

		w.phase(v1alpha1.RolloutRejected)
		w.asInChart(true)
		w.upgrade(nil)
		w.upgrade(values{"note": "another", "timeout": 20, "replicas": 3})
		w.phase(v1alpha1.RolloutRejected)
		w.asInChart(true)
		w.noneAfter(orange)
		w.served("blue")

		w.rollback(1, values{"image": "blue", "weight": 50, "note": "as installed", "timeout": 30, "replicas": 2})
		w.phase(v1alpha1.RolloutHealthy)
		w.asInChart(false)
		w.noneAfter(orange)
		w.served("blue")
		w.uninstall(waits{upTo: long})
		w.gone()
		w.install(nil)
		w.phase(v1alpha1.RolloutHealthy)
		w.served("blue")
		w.uninstall(waits{})
		w.gone()
	})
}

// TestFaultB15HelmWait has Helm wait in the middle of a release: what docs/operations.md says of --wait.
func TestFaultB15HelmWait(t *testing.T) {
	t.Parallel()
	held := func(w *world) {
		w.phase(v1alpha1.RolloutHealthy)
		w.values = w.values.with(values{"image": "green"})
		must(w, w.helm.upgrade(w.values, waits{upTo: long, undo: true})) // A paused Deployment counts as ready.
		w.atStep("shop-1", "blue", "green")
		w.sluice("promote", "shop")
		w.sluice("status", "shop", "--wait", "--timeout", "60s")
		w.asInChart(false)
		w.upgrade(values{"image": "yellow"})
		w.atStep("shop-2", "green", "yellow")
		w.uninstall(waits{upTo: long})
	}
	t.Run("Helm3", func(t *testing.T) {
		w := newWorld(t, "ingress")
		w.helm = w.helm3()
		w.install(nil)
		held(w)
		w.gone()
	})
	t.Run("Helm4", func(t *testing.T) {
		w := newWorld(t, "httpRoute")
		w.helm = w.helm4("auto")
		w.install(values{"rollout": false})
		w.rollout()
		held(w)
		w.cluster.MustKubectl(w, "", "-n", w.ns, "delete", "rollout", "shop", "--timeout=60s")
		w.gone()
	})
	t.Run("Helm4WithRollout", func(t *testing.T) {
		w := newWorld(t, "ingress")
		w.helm = w.helm4("auto")
		w.install(nil)
		w.phase(v1alpha1.RolloutHealthy)
		w.upgrade(values{"image": "green"})
		w.atStep("shop-1", "blue", "green")
		w.refused(waits{upTo: 3 * time.Second}, "Rollout/"+w.ns+"/shop not ready. status: InProgress")
		w.atStep("shop-1", "blue", "green")

		waited := make(chan error, 1)
		second := w.helm4("auto")
		go func() { waited <- second.upgrade(w.values, waits{upTo: long}) }()
		w.until("helm upgrade --wait is under way", w.pending)
		w.sluice("promote", "shop")
		must(t, <-waited)
		w.ended("shop-1", v1alpha1.ReleaseSucceeded)
		w.phase(v1alpha1.RolloutHealthy)

		w.upgrade(values{"image": "yellow"})
		w.atStep("shop-2", "green", "yellow")
		w.sluice("abort", "shop")
		w.ended("shop-2", v1alpha1.ReleaseAborted)
		w.phase(v1alpha1.RolloutRejected)
		w.refused(waits{upTo: long}, "Rollout/"+w.ns+"/shop not ready. status: Failed")
		w.upgrade(values{"image": "orange"})
		w.atStep("shop-3", "green", "orange")
		w.uninstall(waits{upTo: long})
		w.gone()
	})
}

// refused has the test fail unless helm upgrade with the same values ends its wait with these words.
func (w *world) refused(waits waits, says string) {
	w.Helper()
	if err := w.helm.upgrade(w.values, waits); err == nil || !strings.Contains(err.Error(), says) {
		w.Errorf("helm upgrade --wait: %v, want %q", err, says)
	}
}

// pending is an error unless a Helm is at work in the namespace.
func (w *world) pending() error {
	out, err := w.cluster.Kubectl(w, "", "-n", w.ns, "get", "secrets", "-l", "owner=helm,status=pending-upgrade", "-o", "name")
	if err == nil && !strings.HasPrefix(out, "secret/") {
		err = errors.New("none is")
	}
	return err
}

// TestFaultB15HelmMigrated has Helm 4 take a chart over from Helm 3 in the middle of a release, and apply it on the
// server's side from then on.
func TestFaultB15HelmMigrated(t *testing.T) {
	t.Parallel()
	for _, layer := range []string{"ingress", "httpRoute"} {
		t.Run(layer, func(t *testing.T) {
			w := newWorld(t, layer)
			w.helm = w.helm3()
			w.install(nil)
			w.phase(v1alpha1.RolloutHealthy)
			w.upgrade(values{"image": "green"})
			w.atStep("shop-1", "blue", "green")

			w.helm = w.helm4("true")
			w.upgrade(nil)
			w.upgrade(values{"note": "another", "timeout": 20, "replicas": 3})
			w.atStep("shop-1", "blue", "green")
			w.sluice("promote", "shop")
			w.ended("shop-1", v1alpha1.ReleaseSucceeded)
			w.phase(v1alpha1.RolloutHealthy)
			w.asInChart(false)
			w.upgrade(values{"note": "a third", "timeout": 40})
			w.rollback(1, values{"image": "blue", "note": "as installed", "timeout": 30, "replicas": 2})
			w.atStep("shop-2", "green", "blue")
			w.sluice("promote", "shop")
			w.ended("shop-2", v1alpha1.ReleaseSucceeded)
			w.phase(v1alpha1.RolloutHealthy)
			w.asInChart(false)
			w.uninstall(waits{upTo: long})
			w.gone()
		})
	}
}
