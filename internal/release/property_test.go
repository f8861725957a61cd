package release

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawSpec(t *rapid.T) Spec {
	s := Spec{
		From: "blue", To: "green",
		OnFailure:        rapid.SampledFrom([]FailurePolicy{FailureAborts, FailurePauses}).Draw(t, "onFailure"),
		Revert:           rapid.Bool().Draw(t, "revert"),
		ProgressDeadline: time.Duration(rapid.IntRange(5, 40).Draw(t, "progress")) * time.Second,
		ReleaseDeadline:  time.Duration(rapid.IntRange(60, 600).Draw(t, "deadline")) * time.Second,
		DrainDelay:       time.Duration(rapid.IntRange(0, 5).Draw(t, "drain")) * time.Second,
	}
	layers := rapid.SampledFrom([][]string{nil, {"Ingress"}, {"Ingress"}, {"Ingress", "HTTPRoute"}}).Draw(t, "layers")
	s = layered(s, layers...)
	if len(layers) == 0 && rapid.Bool().Draw(t, "bySelector") {
		s.Divide = BySelector
	}
	if s.Divide != ByPods {
		s.KeepOld = time.Duration(rapid.SampledFrom([]int{0, 0, 0, 20}).Draw(t, "keepOld")) * time.Second
	}
	least := 0
	if s.Divide == ByPods {
		least = 1
	}
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		st := Step{Weight: rapid.IntRange(least, 100).Draw(t, "weight"), Replicas: rapid.SampledFrom([]int{0, 0, 0, 1, 3}).Draw(t, "pods")}
		if s.Divide == BySelector {
			st.Weight = max(least, 100*rapid.IntRange(0, 1).Draw(t, "switches"))
		}
		st.Share = rapid.SampledFrom([]int{0, 0, 0, 50, 100}).Draw(t, "share")
		least = st.Weight
		switch rapid.IntRange(0, 2).Draw(t, "pause") {
		case 1:
			st.Pause = Pause{Kind: PauseManual}
		case 2:
			st.Pause = Pause{Kind: PauseTimed, Duration: time.Duration(rapid.IntRange(0, 20).Draw(t, "pauseFor")) * time.Second}
		}
		if s.Divide == ByLayers && rapid.IntRange(0, 3).Draw(t, "match") == 0 {
			st.Matches = []Match{{Headers: []HeaderMatch{{Name: "X-Canary", Value: "always"}}}}
		}
		drawGates(t, &st)
		s.Steps = append(s.Steps, st)
	}
	s.Namespace = "demo"
	s.Authors = rapid.SampledFrom([][]string{
		nil, {"carol"}, {"alice"}, {"carol", "alice"}, {"carol", "system:serviceaccount:demo:ci"}, {"system:serviceaccount:ci:ci"},
	}).Draw(t, "authors")
	s.Background, s.BackgroundFrom = rapid.IntRange(0, 2).Draw(t, "background") == 0, rapid.IntRange(0, len(s.Steps)-1).Draw(t, "from")
	return s
}

// drawGates has something measured in a step, and somebody approve it.
func drawGates(t *rapid.T, st *Step) {
	st.Analysis = rapid.IntRange(0, 2).Draw(t, "analysis") == 0
	if rapid.IntRange(0, 3).Draw(t, "approval") > 0 {
		return
	}
	st.Approval = &Approval{
		Required: rapid.IntRange(1, 2).Draw(t, "required"), Users: []string{"alice", "bob"},
		Groups:       rapid.SampledFrom([][]string{nil, {"sre"}}).Draw(t, "groups"),
		ExpiresAfter: time.Duration(rapid.IntRange(1, 90).Draw(t, "expires")) * time.Second, RemindAfter: time.Duration(rapid.IntRange(-1, 60).Draw(t, "remind")) * time.Second,
		SeparationOfDuty: rapid.Bool().Draw(t, "separate"), CommentRequired: rapid.Bool().Draw(t, "comment"),
	}
}

// drawTrack is one version's pods; kept says whether the release may have taken them from the workload.
func drawTrack(t *rapid.T, name string, kept bool) Track {
	tr := Track{
		Exists: rapid.IntRange(0, 4).Draw(t, name+"Exists") > 0, Adopted: rapid.IntRange(0, 4).Draw(t, name+"Adopted") == 0,
		Desired: rapid.IntRange(0, 6).Draw(t, name+"Desired"), Pods: rapid.IntRange(0, 6).Draw(t, name+"Pods"),
	}
	tr.Ready = rapid.IntRange(0, tr.Pods).Draw(t, name+"Ready")
	if !tr.Exists {
		return Track{}
	}
	tr.Taken = !tr.Adopted && kept && rapid.Bool().Draw(t, "taken")
	return tr
}

func drawObserved(t *rapid.T, s Spec) Observed {
	o := Observed{
		Workload: Workload{
			Exists:   rapid.IntRange(0, 9).Draw(t, "workload") > 0,
			Desired:  rapid.SampledFrom([]string{"green", "green", "green", "green", "blue", "yellow"}).Draw(t, "desired"),
			Replicas: rapid.IntRange(0, 5).Draw(t, "replicas"),
			Held:     rapid.Bool().Draw(t, "held"), Alone: rapid.Bool().Draw(t, "alone"),
		},
		Stable: drawTrack(t, "stable", s.Divide != ByPods), Canary: drawTrack(t, "canary", false),
		PlanChanged: rapid.IntRange(0, 3).Draw(t, "planChanged") == 0,
		Removing:    rapid.IntRange(0, 9).Draw(t, "removing") == 0,
		Trouble:     rapid.SampledFrom([]string{"", "", "", "no right to patch"}).Draw(t, "trouble"),
	}
	some := rapid.IntRange(0, 6)
	if s.Divide != ByPods {
		for i := range rapid.IntRange(0, 2).Draw(t, "services") {
			o.Services = append(o.Services, Service{
				Name: fmt.Sprintf("shop-%d", i), Held: rapid.Bool().Draw(t, "serviceHeld"),
				Selects:     rapid.SampledFrom([]Selection{SelectsAll, SelectsStable, SelectsCanary, SelectsOther}).Draw(t, "selects"),
				ReadyStable: some.Draw(t, "readyStable"), ReadyCanary: some.Draw(t, "readyCanary"), CanaryReady: some.Draw(t, "canaryReady"),
				Routed: rapid.IntRange(0, 3).Draw(t, "routed") > 0, CanaryExists: rapid.IntRange(0, 3).Draw(t, "twin") > 0,
				Preview:      i > 0 && rapid.Bool().Draw(t, "preview"),
				MissesStable: rapid.IntRange(0, 4).Draw(t, "missesStable") == 0, MissesCanary: rapid.IntRange(0, 4).Draw(t, "missesCanary") == 0,
			})
		}
	}
	for _, l := range s.Layers {
		layer := Layer{Name: l, Routed: rapid.Bool().Draw(t, "layerRouted"), Settled: rapid.IntRange(0, 3).Draw(t, "layerSettled") > 0}
		if layer.Routed {
			layer.Weight = rapid.SampledFrom([]int{0, 20, 50, 100}).Draw(t, "layerWeight")
			layer.Held = rapid.Bool().Draw(t, "layerHeld")
			layer.Version = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "layerVersion")
		}
		layer.Settle = time.Duration(rapid.SampledFrom([]int{0, 0, 3, 7}).Draw(t, "settle")) * time.Second
		o.Layers = append(o.Layers, layer)
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2, 4}).Draw(t, "analyses") {
		o.Analyses = append(o.Analyses, Analysis{
			ID: AnalysisID{
				Background: rapid.Bool().Draw(t, "besides"), Step: rapid.IntRange(0, len(s.Steps)-1).Draw(t, "ofStep"),
				Attempt: rapid.SampledFrom([]int{0, 0, 0, 1, 2, -1}).Draw(t, "attempt"),
			},
			Verdict:    rapid.SampledFrom([]Verdict{Measuring, Good, Good, Bad, Unclear}).Draw(t, "verdict"),
			Concluding: rapid.Bool().Draw(t, "concluding"), Message: "measured",
		})
	}
	if rapid.IntRange(0, 3).Draw(t, "shut") == 0 {
		o.Shut = drawShut(t, began)
	}
	for i := range rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "decisions") {
		o.Decisions = append(o.Decisions, drawDecision(t, fmt.Sprintf("decision-%d", i)))
	}
	return o
}

// drawShut is a shut window that opens in a while, nobody knows when, or should have opened before.
func drawShut(t *rapid.T, now time.Time) Shut {
	shut := Shut{Window: "weekdays", Message: "the window weekdays is shut"}
	if n := rapid.IntRange(-10, 900).Draw(t, "opens"); n != 0 {
		shut.Opens = now.Add(time.Duration(n) * time.Second)
	}
	return shut
}

func drawDecision(t *rapid.T, id string) Decision {
	return Decision{
		ID: id, User: rapid.SampledFrom([]string{"alice", "alice", "bob", "carol", "mallory", "sluice"}).Draw(t, "user"),
		Verb: rapid.SampledFrom([]Verb{Promote, Promote, PromoteFull, PauseNow, Resume, Abort, Approve, Approve, Approve, Reject, Override, "dance"}).Draw(t, "verb"),
		Step: rapid.SampledFrom([]string{"", "step-1", "step-1", "step-2"}).Draw(t, "step"), PlanMismatch: rapid.IntRange(0, 9).Draw(t, "otherPlan") == 0,
		PlanNamed: rapid.IntRange(0, 5).Draw(t, "plan") > 0, Groups: rapid.SampledFrom([][]string{nil, {"dev"}, {"dev", "sre"}}).Draw(t, "groups"),
		Comment: rapid.SampledFrom([]string{"", " ", "seen", "seen"}).Draw(t, "comment"),
	}
}

func drawMemory(t *rapid.T, s Spec, now time.Time) Memory {
	ago := func(name string) time.Time {
		n := rapid.IntRange(-3, 90).Draw(t, name)
		if n < 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(5-n) * time.Second) // Some of them are still to come.
	}
	m := Memory{
		Phase: rapid.SampledFrom([]Phase{Progressing, Progressing, Paused, Completing, Completing, Aborting, Aborting, "Nonsense"}).Draw(t, "phase"),
		Step:  rapid.IntRange(-1, len(s.Steps)).Draw(t, "step"), StartedAt: ago("startedAt"), StepStartedAt: ago("stepStartedAt"),
		StepReachedAt: ago("stepReachedAt"), Promoted: rapid.Bool().Draw(t, "promoted"), Full: rapid.Bool().Draw(t, "full"),
		PausedBy: rapid.SampledFrom([]string{"", "", "alice", "sluice"}).Draw(t, "pausedBy"), DrainFrom: ago("drainFrom"),
		HandedOver: rapid.Bool().Draw(t, "handedOver"), Overdue: rapid.Bool().Draw(t, "overdue"),
		End:      rapid.SampledFrom([]EndReason{NotEnding, NotEnding, AbortedByUser, NewerRevision, RolloutRemoved, AnalysisFailed}).Draw(t, "end"),
		PausedAt: ago("pausedAt"), EndMessage: rapid.SampledFrom([]string{"", "", "the analysis failed"}).Draw(t, "endMessage"),
	}
	for _, l := range s.Layers {
		if rapid.Bool().Draw(t, "layerSeen") {
			m.Layers = append(m.Layers, LayerSeen{Layer: l, Version: rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "seenVersion"), Since: ago("seenSince")})
		}
	}
	drawGateMemory(t, &m)
	m.AskedAt = ago("askedAt")
	return m
}

// drawGateMemory may have what no step asks for, and numbers that make no sense.
func drawGateMemory(t *rapid.T, m *Memory) {
	m.Measured = rapid.SampledFrom([]int{0, 0, 0, 1, 2, -1, -7, 1 << 40}).Draw(t, "measured")
	m.MeasuredBackground = rapid.SampledFrom([]int{0, 0, 0, 1, -1}).Draw(t, "measuredBackground")
	m.Waived, m.WaivedBackground = rapid.IntRange(0, 3).Draw(t, "waived") == 0, rapid.IntRange(0, 3).Draw(t, "waivedBackground") == 0
	m.Reminded = rapid.Bool().Draw(t, "reminded")
	for range rapid.SampledFrom([]int{0, 0, 1, 2, 5}).Draw(t, "approvals") {
		m.Approvals = append(m.Approvals, Approved{User: rapid.SampledFrom([]string{"alice", "bob", "", "mallory"}).Draw(t, "approver"), At: began})
	}
	m.OverriddenBy = rapid.SampledFrom([]string{"", "", "", "alice"}).Draw(t, "overriddenBy")
}

// TestAnyWorld: whatever the world and the memory are, Decide does not panic, breaks no rule of the guard, says
// the same twice, gives one answer to each decision, and names what it waits for and until when.
func TestAnyWorld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSpec(t)
		o, m := drawObserved(t, s), drawMemory(t, s, began)
		out := Decide(s, o, m, began)
		if diff := cmp.Diff(out, Decide(s, o, m, began)); diff != "" {
			t.Fatalf("not the same twice:\n%s", diff)
		}
		if out.Reason.Code == ReasonGuardRefused {
			t.Fatalf("the guard refused: %s\n%+v\n%+v\n%+v", out.Reason.Message, s, o, m)
		}
		if wakes := out.Reason.Until.After(began); wakes && out.Wake.IsZero() || out.Memory.Phase.Terminal() && !out.Wake.IsZero() {
			t.Fatalf("wake %s in phase %s", out.Wake, out.Memory.Phase)
		}
		if len(out.Answers) != len(o.Decisions) {
			t.Fatalf("%d answers to %d decisions", len(out.Answers), len(o.Decisions))
		}
		if out.Reason.Code == "" || out.Reason.Message == "" {
			t.Fatalf("no reason: %+v", out)
		}
		if !out.Memory.Phase.Terminal() && (out.Reason.Until.IsZero() || out.Reason.Who == "") {
			t.Fatalf("a wait without an end, or without anybody who can end it: %+v", out.Reason)
		}
		keepsGates(t, s, o, m, out)
		o.Decisions = nil
		steady := Decide(s, o, out.Memory, began)
		if diff := cmp.Diff(out.Memory, steady.Memory); diff != "" {
			t.Fatalf("memory is not steady:\n%s", diff)
		}
	})
}

// TestAnyRelease: a release among faults, edits, people's words and foreign writers keeps its rules in every
// second; when all is well again it comes to an end, leaves nothing behind, and then does nothing any more.
func TestAnyRelease(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(drawSpec(t), rapid.IntRange(0, 6).Draw(t, "replicas"))
		w.settle = time.Duration(rapid.SampledFrom([]int{0, 0, 2, 4}).Draw(t, "settle")) * time.Second
		for range rapid.IntRange(0, 60).Draw(t, "seconds") {
			if rapid.IntRange(0, 3).Draw(t, "calm") == 0 {
				disturb(t, w)
			}
			watch(t, w)
		}
		heal(w)
		for range int(w.spec.ReleaseDeadline/time.Second) + 5*int(w.spec.ProgressDeadline/time.Second) + 60 {
			watch(t, w)
		}
		if !w.memory.Phase.Terminal() {
			t.Fatalf("has not ended: %+v", w.memory)
		}
		leftNothing(t, w)
		if out := w.tick(); len(out.Actions)+len(out.Events) > 0 {
			t.Fatalf("does not rest: %s", w.describe(out))
		}
	})
}

// watch lets a second pass and looks at what users would notice.
func watch(t *rapid.T, w *world) {
	foreign := w.disturbed
	w.disturbed = false
	served, running := w.serving(), !w.memory.Phase.Terminal()
	out := w.tick()
	t.Log(w.describe(out))
	if out.Reason.Code == ReasonGuardRefused {
		t.Fatalf("the guard refused: %s", out.Reason.Message)
	}
	if running && w.memory.Phase == Succeeded && w.o.Workload.Desired == w.spec.To && w.o.Workload.Held {
		t.Fatalf("succeeded, but still held: %+v", w.o.Workload)
	}
	w.show()
	if served && !foreign && !w.serving() {
		t.Fatalf("nobody serves after: %s%s", w.describe(out), w.describeWorld())
	}
	if w.spec.Divide == ByLayers && !foreign && w.o.Workload.Exists && w.o.Services[0].Selects == SelectsAll &&
		w.o.lasting().Canary.Ready > 0 && w.o.Stable.Ready > 0 {
		t.Fatalf("a Service selects both versions: %s", w.describe(out))
	}
}

// serving says that every way that requests take leads to a ready pod.
func (w *world) serving() bool {
	if !w.o.Workload.Exists || w.o.Workload.Replicas == 0 {
		return true
	}
	for _, s := range w.o.Services {
		if s.ReadyStable+s.ReadyCanary == 0 {
			return false
		}
	}
	for _, l := range w.o.Layers {
		if l.Weight > 0 && w.o.Services[0].CanaryReady == 0 {
			return false
		}
	}
	return w.o.Stable.Ready+w.o.Canary.Ready > 0
}

// disturb is one thing that goes wrong, or that somebody does.
func disturb(t *rapid.T, w *world) {
	version := rapid.SampledFrom([]string{"blue", "green"}).Draw(t, "version")
	w.disturbed = true
	switch rapid.IntRange(0, 20).Draw(t, "disturbance") {
	case 0:
		w.broken[version] = true
	case 1:
		w.limit[version] = rapid.IntRange(0, 4).Draw(t, "limit")
	case 2, 3:
		w.broken, w.limit, w.hung, w.stuck, w.o.Trouble = map[string]bool{}, map[string]int{}, map[string]bool{}, false, ""
	case 4:
		w.o.Workload.Replicas = rapid.IntRange(0, 8).Draw(t, "scale")
	case 5:
		if w.o.Workload.Exists {
			w.o.Workload.Desired, w.o.Workload.Held = rapid.SampledFrom([]string{"blue", "green", "yellow"}).Draw(t, "template"), true
		}
	case 6:
		w.hung["Ingress"] = true
	case 7:
		w.stuck = true
	case 8:
		if len(w.o.Layers) > 0 && w.o.Layers[0].Routed {
			w.changes++
			w.o.Layers[0].Version = fmt.Sprint(w.changes)
			w.o.Layers[0].Weight = rapid.SampledFrom([]int{0, 100}).Draw(t, "overwrite")
		}
	case 9:
		if len(w.o.Services) > 0 {
			w.o.Services[0].Selects = SelectsAll
		}
	case 11:
		if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
			w.o.Workload = Workload{}
		}
	case 10:
		w.o.Removing = rapid.IntRange(0, 3).Draw(t, "removing") == 0
	case 12, 13:
		w.disturbed = false
		if n := len(w.o.Analyses); n > 0 {
			w.o.Analyses[rapid.IntRange(0, n-1).Draw(t, "which")].Verdict = rapid.SampledFrom([]Verdict{Good, Good, Bad, Unclear}).Draw(t, "verdict")
		}
	case 14:
		w.disturbed = false
		if n := len(w.o.Analyses); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(t, "which")
			w.o.Analyses = slices.Delete(w.o.Analyses, i, i+1)
		}
	case 15:
		w.disturbed, w.o.Shut = false, Shut{}
		if rapid.Bool().Draw(t, "shut") {
			w.o.Shut = drawShut(t, w.now)
		}
	default:
		w.o.Decisions = append(w.o.Decisions, drawDecision(t, "decision"))
		w.disturbed = false
	}
}

func heal(w *world) {
	w.broken, w.limit, w.hung, w.stuck, w.o.Trouble = map[string]bool{}, map[string]int{}, map[string]bool{}, false, ""
	w.o.Shut = Shut{}
}

func leftNothing(t *rapid.T, w *world) {
	for _, s := range w.o.Services {
		if s.Selects != SelectsAll || s.Held || s.CanaryExists {
			t.Fatalf("left behind: %+v", s)
		}
	}
	if w.o.Stable.Taken {
		t.Fatalf("left behind: %+v", w.o.Stable)
	}
	for _, l := range w.o.Layers {
		if l.Routed || l.Held {
			t.Fatalf("left behind: %+v", l)
		}
	}
	if c := w.o.Canary; c.Exists && !c.Adopted {
		t.Fatalf("left behind: %+v", c)
	}
}
