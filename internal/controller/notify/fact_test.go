package notify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/notify"
)

var began = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) metav1.Time {
	return metav1.NewTime(began.Add(time.Duration(seconds) * time.Second))
}

func later(seconds int) *metav1.Time {
	t := at(seconds)
	return &t
}

// releaseOf is the release of a name like shop-1.
func releaseOf(name string, change ...func(*v1alpha1.Release)) *v1alpha1.Release {
	rel := &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Namespace: "demo", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: at(0)},
		Spec: v1alpha1.ReleaseSpec{
			Rollout: name[:strings.LastIndex(name, "-")], Author: "carol",
			To: v1alpha1.Revision{Images: []v1alpha1.ContainerImage{{Container: "web", Image: "demo:green"}}},
		},
		Status: v1alpha1.ReleaseStatus{
			Phase: v1alpha1.ReleaseProgressing, StepSummary: "1/2 half", Memory: &v1alpha1.ReleaseMemory{},
		},
	}
	for _, c := range change {
		c(rel)
	}
	return rel
}

func happened(seconds int, reason string) func(*v1alpha1.Release) {
	return func(rel *v1alpha1.Release) {
		rel.Status.Timeline = append(rel.Status.Timeline, v1alpha1.TimelineEntry{At: at(seconds), Reason: reason, Message: "because " + reason})
	}
}

func waits(since int, reason string) func(*v1alpha1.Release) {
	return func(rel *v1alpha1.Release) {
		rel.Status.WaitingFor = &v1alpha1.WaitingFor{Reason: reason, Message: "for " + reason, Since: later(since), Until: later(3600), Who: "erin"}
	}
}

func ends(seconds int, phase v1alpha1.ReleasePhase) func(*v1alpha1.Release) {
	return func(rel *v1alpha1.Release) {
		rel.Status.Phase, rel.Status.WaitingFor = phase, nil
		happened(seconds, string(phase))(rel)
	}
}

func inStep(step int32) func(*v1alpha1.Release) {
	return func(rel *v1alpha1.Release) { rel.Status.Memory.Step = step }
}

// TestFacts: what there is to tell of a release, in order.
func TestFacts(t *testing.T) {
	const start = "0 started []: demo:green"
	for name, tt := range map[string]struct {
		rel  *v1alpha1.Release
		want []string
	}{
		"just made":        {releaseOf("shop-1", func(r *v1alpha1.Release) { r.Status = v1alpha1.ReleaseStatus{} }), []string{start}},
		"goes on":          {releaseOf("shop-1", happened(0, "StepStarted"), happened(5, "StepReached"), waits(5, "PausedForTime")), []string{start}},
		"waits for nobody": {releaseOf("shop-1", waits(5, "PodsStarting")), []string{start}},
		"by hand":          {releaseOf("shop-1", waits(5, "PausedByHand")), []string{start}},
		"to be promoted": {releaseOf("shop-1", waits(5, "PausedForPerson")), []string{
			start,
			"5 waiting [1/2 half]: for PausedForPerson, erin until 3600",
		}},
		"to be approved": {releaseOf("shop-1", happened(5, "ApprovalAsked"), waits(5, "AwaitingApproval")), []string{
			start,
			"5 waiting [1/2 half]: for AwaitingApproval, erin until 3600",
		}},
		"reminds": {releaseOf("shop-1", waits(5, "AwaitingApproval"), happened(65, "ApprovalReminder")), []string{
			start,
			"5 waiting [1/2 half]: for AwaitingApproval, erin until 3600", "65 waiting [1/2 half]: because ApprovalReminder, erin until 3600",
		}},
		"reminded, and approved since": {releaseOf("shop-1", waits(70, "PausedForTime"), happened(65, "ApprovalReminder")), []string{
			start,
			"65 waiting [1/2 half]: because ApprovalReminder",
		}},
		"unclear": {releaseOf("shop-1", happened(7, "AnalysisUnclear"), waits(7, "AnalysisUnclear")), []string{
			start,
			"7 waiting [1/2 half]: for AnalysisUnclear, erin until 3600",
		}},
		"failed, and asks": {releaseOf("shop-1", happened(7, "StepFailed"), waits(7, "StepFailed")), []string{
			start,
			"7 failed [1/2 half]: because StepFailed", "7 waiting [1/2 half]: for StepFailed, erin until 3600",
		}},
		"failed, and goes back": {releaseOf("shop-1", happened(7, "AnalysisFailed"), waits(8, "Draining")), []string{
			start,
			"7 failed [1/2 half]: because AnalysisFailed",
		}},
		"failed twice": {releaseOf("shop-1", happened(7, "StepFailed"), happened(9, "StepFailed")), []string{
			start,
			"7 failed [1/2 half]: because StepFailed", "9 failed [1/2 half]: because StepFailed",
		}},
		"frozen": {releaseOf("shop-1", waits(5, "WindowShut")), []string{
			start,
			"5 frozen or waiting [1/2 half]: for WindowShut, erin until 3600",
		}},
		"done": {releaseOf("shop-1", happened(7, "Completing"), ends(9, v1alpha1.ReleaseSucceeded)), []string{
			start,
			"9 done []: because Succeeded",
		}},
		"aborted": {releaseOf("shop-1", happened(7, "AbortedByUser"), ends(9, v1alpha1.ReleaseAborted)), []string{
			start,
			"9 aborted []: because Aborted",
		}},
		"superseded, and retried": {releaseOf("shop-1", happened(7, "NewerRevision"), ends(9, v1alpha1.ReleaseSuperseded), happened(20, "Retried")), []string{
			start,
			"9 aborted []: because Superseded",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			keys := map[string]bool{}
			for _, f := range factsOf(tt.rel) {
				keys[f.key] = true
				text := fmt.Sprintf("%.0f %s", f.at.Sub(began).Seconds(), f.event)
				if f.also != "" {
					text += " or " + string(f.also)
				}
				text += fmt.Sprintf(" [%s]: %s", f.step, f.text)
				if f.who != "" {
					text += fmt.Sprintf(", %s until %.0f", f.who, f.until.Sub(began).Seconds())
				}
				got = append(got, text)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if len(keys) != len(got) {
				t.Errorf("keys are not told apart: %v", keys)
			}
		})
	}
}

// TestKeys: the same fact has the same key, and another has another.
func TestKeys(t *testing.T) {
	last := func(change ...func(*v1alpha1.Release)) string {
		all := factsOf(releaseOf("shop-1", change...))
		return all[len(all)-1].key
	}
	until := func(seconds int) func(*v1alpha1.Release) {
		return func(r *v1alpha1.Release) { r.Status.WaitingFor.Until = later(seconds) }
	}
	words := func(r *v1alpha1.Release) { r.Status.WaitingFor.Message = "1 of 2 given" }
	same := func(what string, a, b string) {
		if a != b {
			t.Errorf("%s: keys are %q and %q, want the same", what, a, b)
		}
	}
	other := func(what string, a, b string) {
		if a == b {
			t.Errorf("%s: both keys are %q", what, a)
		}
	}
	same("words change", last(waits(5, "AwaitingApproval")), last(waits(5, "AwaitingApproval"), words))
	same("pods were lost and came back", last(waits(5, "PausedForPerson")), last(waits(50, "PausedForPerson")))
	same("the record grows", last(waits(5, "PausedForPerson")), last(happened(1, "StepStarted"), happened(5, "StepReached"), waits(5, "PausedForPerson")))
	other("the next step", last(waits(5, "PausedForPerson")), last(waits(5, "PausedForPerson"), inStep(1)))
	other("asked again", last(waits(5, "StepFailed")), last(waits(50, "StepFailed")))
	other("the window shuts again", last(waits(5, "WindowShut")), last(waits(5, "WindowShut"), until(7200)))
	other("another release", last(), factsOf(releaseOf("shop-2"))[0].key)
}

// TestAs: what is told as what to whom.
func TestAs(t *testing.T) {
	frozen := factsOf(releaseOf("shop-1", waits(5, "WindowShut")))[1]
	for _, tt := range []struct {
		events []v1alpha1.NotifierEvent
		want   notify.Event
	}{
		{nil, notify.Frozen},
		{[]v1alpha1.NotifierEvent{"waiting", "frozen"}, notify.Frozen},
		{[]v1alpha1.NotifierEvent{"started", "waiting"}, notify.Waiting},
		{[]v1alpha1.NotifierEvent{"started", "done"}, ""},
	} {
		if got := frozen.as(tt.events); got != tt.want {
			t.Errorf("%v: told as %q, want %q", tt.events, got, tt.want)
		}
	}
}

// TestCursor: what was dealt with stays so when the text is read again, however much it is; and the text has its bound.
func TestCursor(t *testing.T) {
	var all []fact
	for i := range 200 {
		all = append(all, factsOf(releaseOf(fmt.Sprintf("shop-%d", i), func(r *v1alpha1.Release) { r.CreationTimestamp = at(i / 2) }))...)
	}
	told := map[string]bool{}
	var c cursor
	for i := range all {
		told[all[i].key] = true
		c = readCursor(c.with(func(key string) bool { return key == all[i].key }, all).String())
		if n := len(c.String()); n > 253 {
			t.Fatalf("after %d: the cursor has %d characters", i, n)
		}
		for k := range all {
			if got, want := c.has(&all[k]), told[all[k].key]; got != want && (want || k > i+1) {
				t.Fatalf("after %d: fact %d is dealt with: %v, want %v; %s", i, k, got, want, c)
			}
		}
	}
	for _, text := range []string{"", "v2:1:abcde", "v1:x:", "v1:1", "nonsense", "v1:1:ab:cd"} {
		if c := readCursor(text); c.has(&all[0]) {
			t.Errorf("%q marks a fact", text)
		}
	}
	// What is out of order keeps its mark for itself.
	c = cursor{}.with(func(key string) bool { return key == all[30].key }, all)
	if !c.has(&all[30]) || c.has(&all[29]) || c.has(&all[31]) {
		t.Errorf("%s marks others", c)
	}
	// What is gone needs none.
	if c = c.with(func(string) bool { return false }, all[:10]); c.String() != "" {
		t.Errorf("%s marks what is gone", c)
	}
}
