package naming

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	label     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// names of objects of up to the most characters that the API server takes.
func object(t *rapid.T, what string, most int) string {
	part := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?`)
	s := strings.Join(rapid.SliceOfN(part, 1, 12).Draw(t, what), rapid.SampledFrom([]string{"-", "."}).Draw(t, what+" joined by"))
	return strings.TrimRight(s[:min(len(s), most)], "-.")
}

// TestFaultB11AnyName: whatever the team's objects are called, every name made of theirs is one that the API server takes.
func TestFaultB11AnyName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rollout := object(t, "rollout", MaxRollout)
		number := rapid.Int64Range(1, 9_999_999_999).Draw(t, "number")
		service := strings.ReplaceAll(object(t, "service", MaxLabel), ".", "-")
		ingress, deployment := object(t, "ingress", MaxObject), object(t, "deployment", MaxObject)
		step := strings.ReplaceAll(object(t, "step", MaxLabel), ".", "-")
		metric := rapid.StringMatching(`[A-Za-z]([A-Za-z0-9_.-]{0,60}[A-Za-z0-9])?`).Draw(t, "metric")
		rel := Release(rollout, number)
		run := AnalysisRun(rel, rapid.SampledFrom([]string{"", step}).Draw(t, "in"), rapid.IntRange(0, 12).Draw(t, "attempt"))
		for what, s := range map[string]string{"canary Service": CanaryService(service, ""), "canary Service of a release": CanaryService(service, fmt.Sprintf("-canary-%d", number)), "Job": Job(run, metric, 1) + "abcde"} {
			if len(s) > MaxLabel || !label.MatchString(s) {
				t.Errorf("%s: %q (%d characters)", what, s, len(s))
			}
		}
		for what, s := range map[string]string{
			"Release": rel, "canary object": CanaryObject(ingress, ingress), "that of a Rollout": CanaryObject(ingress, rollout),
			"shared Hold": SharedHold("HTTPRoute", ingress), "AnalysisRun": run,
			"Hold": Hold(rel, "HTTPRoute", ingress), "Decision": Decision(rel, "promoteFull") + "abcde", "ReplicaSet": ReplicaSet(deployment, "6bdd59c9f4"),
		} {
			if len(s) > MaxObject || !subdomain.MatchString(s) {
				t.Errorf("%s: %q (%d characters)", what, s, len(s))
			}
		}
		if len(rel) > MaxLabel || len(Decision(rel, "promoteFull")) > maxGenerated {
			t.Errorf("%q is no label value, or %q is cut by the API server", rel, Decision(rel, "promoteFull"))
		}
	})
}

// TestFaultB11CutNamesDiffer: two names that are equal as far as they are kept do not meet.
func TestFaultB11CutNamesDiffer(t *testing.T) {
	long := strings.Repeat("a", 62)
	one, two := CanaryService(long+"1", ""), CanaryService(long+"2", "")
	if one == two || len(one) != MaxLabel || !strings.HasSuffix(one, "-canary") {
		t.Errorf("%q, %q", one, two)
	}
	if got := CanaryService("shop", ""); got != "shop-canary" {
		t.Errorf("a short name was changed: %q", got)
	}
	if got := CanaryService(strings.Repeat("b", 56), ""); got != strings.Repeat("b", 56)+"-canary" {
		t.Errorf("a name that fits was changed: %q", got)
	}
}
