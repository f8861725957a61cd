package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/release"
)

// run waits until an AnalysisRun is over.
func (w *world) run(name string) *v1alpha1.AnalysisRun {
	w.Helper()
	r := &v1alpha1.AnalysisRun{}
	until(w, long, "the AnalysisRun "+name+" is over", func() error {
		if err := w.get(r, name); err != nil {
			return err
		}
		if r.Status.FinishedAt == nil {
			return fmt.Errorf("it is %s: %s", r.Status.Phase, r.Status.Message)
		}
		return nil
	})
	return r
}

// waitsFor waits until a release waits for a reason.
func (w *world) waitsFor(name, reason string) *v1alpha1.Release {
	w.Helper()
	return w.release(name, name+" waits for "+reason, func(r *v1alpha1.Release) error {
		if r.Status.WaitingFor == nil || r.Status.WaitingFor.Reason != reason {
			return fmt.Errorf("it is %s in step %q: %s", r.Status.Phase, r.Status.StepSummary, waits(r.Status.WaitingFor))
		}
		if r.Status.WaitingFor.Until == nil || r.Status.WaitingFor.Who == "" {
			w.Errorf("the wait has no end, or nobody who can end it: %+v", r.Status.WaitingFor)
		}
		return nil
	})
}

// TestCase7CheckPasses lets a version live by itself after its check: no ordinary request reaches it before.
func TestCase7CheckPasses(t *testing.T) {
	w := newWorld(t)
	w.start(w.example("7-smoke/shop.yaml", "7-smoke/check.yaml", "7-smoke/rollout.yaml")...)
	before, load := w.team(), w.load()
	w.setImage("green")
	run := w.run("shop-1-smoke")
	finished := run.Status.FinishedAt.Time // To the second, and rounded down.
	if run.Status.Phase != v1alpha1.AnalysisSuccessful {
		t.Errorf("the check is %s: %s", run.Status.Phase, run.Status.Message)
	}
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.startedOnce("green", 4)
	w.nothingLeft(before)
	all := load.end()
	noneFailed(t, all)
	if got := versions(load.between(time.Time{}, finished)); got["green"] > 0 {
		t.Errorf("before the check had passed, ordinary requests were answered by %v", got)
	}
	if m := run.Status.Metrics[0].Measurements[0]; !strings.Contains(m.Message, "passed: 50 of 50 requests") {
		t.Errorf("the record has no end of the Job's log: %+v", m)
	}
}

// TestCase7CheckFails takes a bad version down by itself: no ordinary request has ever reached it, and the record has the
// end of the Job's log.
func TestCase7CheckFails(t *testing.T) {
	w := newWorld(t)
	w.start(w.example("7-smoke/shop.yaml", "7-smoke/check.yaml", "7-smoke/rollout.yaml")...)
	before, load := w.team(), w.load()
	w.setImage("bad-red")
	rel := w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 4)
	w.nothingLeft(before)
	all := load.end()
	noneFailed(t, all)
	if got := versions(all); len(got) != 1 || got["blue"] == 0 {
		t.Errorf("ordinary requests were answered by %v, want blue alone", got)
	}
	if rel.Status.Memory.End != string(release.AnalysisFailed) || !strings.Contains(rel.Status.Result, "FAILED: ") {
		t.Errorf("the record says %s: %s", rel.Status.Memory.End, rel.Status.Result)
	}
	run := w.run("shop-1-smoke")
	if m := run.Status.Metrics[0].Measurements[0]; !strings.Contains(m.Message, "status 500, want 2xx") {
		t.Errorf("the record has no end of the Job's log: %+v", m)
	}
}

// TestAnalysisRefused: what cannot be measured is told before anything moves.
func TestAnalysisRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func([]*unstructured.Unstructured) []*unstructured.Unstructured
		words []string
	}{
		"NoTemplate": {func(o []*unstructured.Unstructured) []*unstructured.Unstructured {
			return without(o, "AnalysisTemplate")
		}, []string{"spec.canary.steps[0].analysis", `"smoke-test"`, "create it, or correct the name"}},
		"ArgumentMissing": {func(o []*unstructured.Unstructured) []*unstructured.Unstructured {
			set(only(o, "AnalysisTemplate"), []any{map[string]any{"name": "path"}}, "spec", "args")
			return o
		}, []string{"spec.canary.steps[0].analysis.args", `"path"`, "give one"}},
		"UnknownName": {func(o []*unstructured.Unstructured) []*unstructured.Unstructured {
			set(only(o, "AnalysisTemplate"), []any{}, "spec", "args")
			return o
		}, []string{"args.path"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			objects := tt.spoil(w.example("7-smoke/shop.yaml", "7-smoke/check.yaml", "7-smoke/rollout.yaml"))
			w.apply(without(objects, "Rollout")...)
			w.ready("shop")
			before, pods, generation := w.team(), names(w), w.deployment().Generation
			w.apply(only(objects, "Rollout"))
			w.stalled("shop", "SpecRefused", tt.words...)
			w.nothingMoved(before, pods, generation)
		})
	}
}

// as is the words that make sluice and kubectl act as a user: with his client certificate, or, where the cluster is not
// ours to issue any, by impersonation.
func (w *world) as(user string, groups ...string) []string {
	w.Helper()
	if kubeconfig := w.cluster.Person(w, user, groups...); kubeconfig != "" {
		return []string{"--kubeconfig", kubeconfig}
	}
	out := []string{"--as", user, "--as-group", "system:authenticated"}
	for _, g := range groups {
		out = append(out, "--as-group", g)
	}
	return out
}

// approved is case 1 with an approval by two people of the group sre, and not by the author.
func approved(t *testing.T) (*world, team, *load) {
	t.Helper()
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	first := passing(20)
	first["approval"] = map[string]any{
		"required": int64(2), "from": map[string]any{"groups": []any{"sre"}, "users": []any{"erin"}},
		"expiresAfter": "1h", "separationOfDuty": true,
	}
	steps(only(objects, "Rollout"), first, passing(50))
	w.start(objects...)
	for _, user := range []string{"carol", "dave", "mallory", "erin"} {
		w.kubectl("create", "rolebinding", user, "--clusterrole=sluice-approver", "--user="+user)
	}
	w.kubectl("create", "rolebinding", "carol-edits", "--clusterrole=edit", "--user=carol")
	before, load := w.team(), w.load()
	w.kubectl(append([]string{"set", "image", "deployment/shop", "web=argoproj/rollouts-demo:green"}, w.as("carol", "sre")...)...)
	w.waitsFor("shop-1", release.ReasonAwaitingApproval)
	return w, before, load
}

// refuses has the test fail unless a word is refused, with words that say why.
func (w *world) refuses(words string, args ...string) {
	w.Helper()
	if out, code := w.sluice(args...); code == 0 || !strings.Contains(out, words) {
		w.Errorf("sluice %s: exit code %d, %s; want a refusal with %q", strings.Join(args, " "), code, out, words)
	}
}

// TestApproval: two people who are named, and not the author, let a release go on; nobody else does.
func TestApproval(t *testing.T) {
	w, before, load := approved(t)
	load.sharedOut(t, 300, "green", 20)
	w.refuses("is not among those who may approve", append([]string{"approve", "shop"}, w.as("mallory", "dev")...)...)
	w.refuses("carol made this change", append([]string{"approve", "shop"}, w.as("carol", "sre")...)...)
	w.refuses("needs approval, which promote --full does not replace", "promote", "shop", "--full")
	w.refuses("promote ends pauses only", append([]string{"promote", "shop"}, w.as("dave", "sre")...)...)
	if out, _ := w.sluice(append([]string{"pending"}, w.as("dave", "sre")...)...); !strings.Contains(out, "shop-1") || !strings.Contains(out, "approve") {
		t.Errorf("sluice pending for dave: %s", out)
	}
	for user, group := range map[string]string{"mallory": "dev", "carol": "sre"} {
		if out, _ := w.sluice(append([]string{"pending"}, w.as(user, group)...)...); !strings.Contains(out, "Nothing waits for you") {
			t.Errorf("sluice pending for %s: %s", user, out)
		}
	}
	w.mustSluice(append([]string{"approve", "shop", "-m", "looks good"}, w.as("dave", "sre")...)...)
	w.refuses("has approved", append([]string{"approve", "shop"}, w.as("dave", "sre")...)...)
	w.mustSluice(append([]string{"approve", "shop"}, w.as("erin")...)...)
	rel := w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
	if rel.Spec.Author != "carol" {
		t.Errorf("the author is %q, want carol", rel.Spec.Author)
	}
	said := map[string]bool{}
	for _, e := range rel.Status.Timeline {
		said[e.Reason+" "+e.User] = true
	}
	if !said["Approved dave"] || !said["Approved erin"] {
		t.Errorf("the record does not name those who approved: %+v", rel.Status.Timeline)
	}
}

// TestRejection: one person's no takes the release back.
func TestRejection(t *testing.T) {
	w, before, load := approved(t)
	w.mustSluice(append([]string{"approve", "shop"}, w.as("dave", "sre")...)...)
	w.mustSluice(append([]string{"reject", "shop", "-m", "found a bug"}, w.as("erin")...)...)
	rel := w.ended("shop-1", v1alpha1.ReleaseAborted)
	w.phase(v1alpha1.RolloutRejected)
	w.onlyPods("blue", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
	if !strings.Contains(rel.Status.Result, "rejected by erin: found a bug") {
		t.Errorf("the record says %q", rel.Status.Result)
	}
}

// TestReleaseWindow: in a freeze a release waits and moves nothing; whoever may override lets it go on, with a reason.
func TestReleaseWindow(t *testing.T) {
	w := newWorld(t)
	objects := w.example("1-nginx/shop.yaml", "1-nginx/assets.yaml", "1-nginx/rollout.yaml")
	steps(only(objects, "Rollout"), passing(20), passing(50))
	w.start(objects...)
	now := time.Now().UTC()
	w.apply(w.objects(fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: ReleaseWindow
metadata: {name: christmas}
spec:
  freeze:
  - reason: nobody is there
    dates: {from: %q, until: %q}
`, now.Add(-time.Hour).Format(time.RFC3339), now.Add(time.Hour).Format(time.RFC3339)))...)
	before, pods, load := w.team(), names(w), w.load()
	w.setImage("green")
	r := w.waitsFor("shop-1", release.ReasonWindowShut)
	if m := r.Status.WaitingFor.Message; !strings.Contains(m, "christmas") || !strings.Contains(m, "nobody is there") {
		t.Errorf("it waits for %q; want the window and its reason", m)
	}
	w.nothingLeftBut(before, pods)
	w.refuses("spec.comment is missing", "override", "shop")
	w.mustSluice("override", "shop", "-m", "CVE-2026-1234 is being exploited")
	w.ended("shop-1", v1alpha1.ReleaseSucceeded)
	w.phase(v1alpha1.RolloutHealthy)
	w.onlyPods("green", 4)
	w.nothingLeft(before)
	noneFailed(t, load.end())
}

// nothingLeftBut has the test fail if a route or a pod was touched; the workload is held.
func (w *world) nothingLeftBut(before team, pods string) {
	w.Helper()
	if got := names(w); got != pods {
		w.Errorf("pods are %s, were %s", got, pods)
	}
	for key, was := range before {
		if now := w.team()[key]; fmt.Sprint(now) != fmt.Sprint(was) {
			w.Errorf("%s was changed: %v, was %v", key, now, was)
		}
	}
}
