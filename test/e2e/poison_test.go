package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// poisoned are what somebody with every right does with kubectl to the objects of a release that stands still in its step.
var poisoned = map[string][]string{
	"step":     {"patch", "release/step-1", "--subresource=status", "--type=merge", "-p", `{"status":{"memory":{"step":2147483647}}}`},
	"negative": {"patch", "release/negative-1", "--subresource=status", "--type=merge", "-p", `{"status":{"memory":{"step":-1,"measured":-9,"end":"Nonsense"}}}`},
	"blank":    {"patch", "release/blank-1", "--subresource=status", "--type=merge", "-p", `{"status":{"phase":"Aborting","startedAt":null,"memory":null}}`},
	"times": {
		"patch", "release/times-1", "--subresource=status", "--type=merge", "-p",
		`{"status":{"startedAt":"9999-12-31T23:59:59Z","memory":{"stepStartedAt":"9999-12-31T23:59:59.000000Z","stepReachedAt":"0001-01-01T00:00:00.000000Z"}}}`,
	},
	"stable":  {"patch", "rollout/stable", "--subresource=status", "--type=merge", "-p", `{"status":{"stable":{"hash":"x","podTemplateHash":"y"},"lastNumber":9223372036854775807}}`},
	"cached":  {"annotate", "deployment/cached", "--overwrite", `sluice.dev/cached-template={"hash":"nonsense"}`, "sluice.dev/kept-paused=nonsense", "deployment.kubernetes.io/revision=x"},
	"sets":    {"annotate", "replicasets", "-l", "app=sets", "--overwrite", "deployment.kubernetes.io/max-replicas=many", "sluice.dev/former=x", "sluice.dev/cached-template={"},
	"unnamed": {"label", "replicasets", "-l", "app=unnamed", "app-", "pod-template-hash-", "sluice.dev/release-"},
}

// taken is what kubectl says of a poison that is in.
var taken = regexp.MustCompile(`(?m) (patched|annotated|labeled|unlabeled)$`)

// TestPoisonStaysWhereItIs: whatever the objects of some releases say, the controller goes on, one beside them goes
// through, and each of those says what is wrong, if anything is, and can be taken back. A Deployment without any labels on its pods is among them.
func TestPoisonStaysWhereItIs(t *testing.T) {
	w := newWorld(t)
	pausing := func(name string) string {
		return strings.Replace(small(name, "none"), "analysis: {templates: [{name: none}]}", "pause: {}", 1)
	}
	manifests, names := strings.Replace(small("beside", "none"), ", analysis: {templates: [{name: none}]}", "", 1), []string{}
	for name := range poisoned {
		manifests += pausing(name)
		names = append(names, name)
	}
	bare := strings.NewReplacer("matchLabels: {app: bare}", "matchExpressions: [{key: app, operator: DoesNotExist}]", "metadata: {labels: {app: bare}}", "metadata: {}")
	w.startSmall(manifests + bare.Replace(pausing("bare")))
	w.releaseSmall(append(names, "bare")...)
	for _, name := range append(names, "bare") {
		w.atStep(name+"-1", 1)
	}
	for name, args := range poisoned {
		if out := w.kubectl(args...); !taken.MatchString(out) {
			t.Errorf("%s: nothing was poisoned: %s", name, out)
		}
	}
	w.releaseSmall("beside")
	w.ended("beside-1", v1alpha1.ReleaseSucceeded)
	w.mustSluice("promote", "bare")
	w.ended("bare-1", v1alpha1.ReleaseSucceeded)
	for _, name := range []string{"step", "negative"} {
		w.release(name+"-1", name+" says what is wrong", func(r *v1alpha1.Release) error {
			if r.Status.WaitingFor == nil || r.Status.WaitingFor.Reason != release.ReasonMemoryInvalid || !strings.Contains(r.Status.WaitingFor.Message, "status.memory.step") {
				return fmt.Errorf("it is %s: %s", r.Status.Phase, waits(r.Status.WaitingFor))
			}
			return nil
		})
	}
	for _, name := range names { // As the message says, or since nothing is wrong.
		if name != "blank" { // It is being aborted already, as its phase says.
			w.mustSluice("abort", name, "--wait=false")
		}
		if name == "unnamed" { // Without its labels the stable ReplicaSet is no longer the Deployment's.
			w.waitsFor(name+"-1", release.ReasonStableNotReady)
			continue
		}
		w.ended(name+"-1", v1alpha1.ReleaseAborted)
	}
	if suite.controller != nil {
		if said := suite.controller.log.panicked(); said != "" {
			t.Errorf("the controller has panicked: %s", said)
		}
	}
}
