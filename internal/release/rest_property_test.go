package release

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func drawRevision(t *rapid.T, name string) Revision {
	v1, v2 := revisionOf("v1"), revisionOf("v2")
	return rapid.SampledFrom([]Revision{{}, v1, v1, v2, {Hash: "v3", Name: "v3"}}).Draw(t, name)
}

func drawRest(t *rapid.T) *restWorld {
	w := newRestWorld(rapid.Bool().Draw(t, "policy"))
	w.now = began.Add(time.Hour)
	yes := func(name string) bool { return rapid.Bool().Draw(t, name) }
	seldom := func(name string) bool { return rapid.IntRange(0, 5).Draw(t, name) == 0 }
	if rapid.IntRange(0, 2).Draw(t, "byPods") == 0 {
		w.spec.Plan = layered(w.spec.Plan)
	}
	w.spec.History = rapid.IntRange(0, 2).Draw(t, "history")
	o := &w.o
	o.Removing, o.Finalizer, o.Bound, o.Orphans = seldom("removing"), yes("finalizer"), yes("bound"), seldom("orphans")
	o.Stable, o.Running, o.Unkept = drawRevision(t, "stable"), drawRevision(t, "running"), yes("unkept")
	o.StablePods = drawTrack(t, "stable", false)
	o.Workload = RestWorkload{
		Exists: !seldom("gone"), Going: seldom("going"), Ours: yes("ours"), Template: drawRevision(t, "template"),
		Former:   seldom("former"),
		Replicas: rapid.IntRange(0, 4).Draw(t, "replicas"), Needs: rapid.IntRange(0, 4).Draw(t, "needs"),
		Paused:   rapid.SampledFrom([]Pauser{NotPaused, PausedByTeam, PausedByHold, PausedAlways}).Draw(t, "paused"),
		SaysHeld: seldom("saysHeld"), Updating: seldom("updating"),
	}
	if seldom("taken") {
		o.Workload.TakenBy = "other"
	}
	if seldom("remains") {
		o.Remains = []Remains{{Name: "shop-1", Pods: 2}}
	}
	drawRestServices(t, o)
	drawRestRecord(t, o)
	phases := []RestPhase{"", "Completing", RestHealthy, RestDegraded, RestRejected, RestStalled}
	o.Told.Phase = rapid.SampledFrom(phases).Draw(t, "told")
	o.Told.Code = rapid.SampledFrom([]string{"", ReasonWorkloadGone, ReasonSpecRefused}).Draw(t, "code")
	o.Told.Since = w.now.Add(time.Duration(rapid.IntRange(-60, 60).Draw(t, "since")) * time.Second)
	o.Memory = RestMemory{
		Follows: rapid.SampledFrom([]string{"", "v1"}).Draw(t, "follows"), Unserved: ReasonStablePodsNotReady,
		ChangedAt:     w.now.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "changed")) * time.Second),
		QuietAt:       w.now.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "quiet")) * time.Second),
		UnservedSince: w.now.Add(time.Duration(rapid.IntRange(-9, 9).Draw(t, "unserved")) * time.Second),
	}
	o.Problem = rapid.SampledFrom([]string{"", "", "", "no Service"}).Draw(t, "problem")
	if seldom("busy") {
		o.Busy = Busy{"cart-3", "no room"}
	}
	if seldom("refused") {
		o.Refused = "forbidden"
	}
	return w
}

func drawRestServices(t *rapid.T, o *RestSeen) {
	o.Services = nil
	for i := range rapid.IntRange(0, 2).Draw(t, "services") {
		held := rapid.Bool().Draw(t, "held")
		selection := rapid.SampledFrom([]Selection{SelectsAll, SelectsStable, SelectsOther}).Draw(t, "selects")
		o.Services = append(o.Services, RestService{
			Service: Service{
				Name: fmt.Sprintf("shop-%d", i), Held: held, Selects: selection, ReadyStable: rapid.IntRange(0, 2).Draw(t, "ready"),
				MissesStable: rapid.Bool().Draw(t, "missesStable"), MissesCanary: rapid.Bool().Draw(t, "missesCanary"),
				Routed: rapid.Bool().Draw(t, "routed"), CanaryExists: rapid.IntRange(0, 4).Draw(t, "twin") == 0, Own: "app=shop",
			},
			Renew: held && rapid.IntRange(0, 4).Draw(t, "renew") == 0,
		})
	}
	o.Layers = rapid.SampledFrom([][]string{nil, nil, nil, {"Ingress"}}).Draw(t, "layers")
	o.Lost = rapid.SampledFrom([][]Misfit{nil, nil, nil, {{Name: "api"}}}).Draw(t, "lost")
	o.Leaving = rapid.SampledFrom([][]Misfit{nil, nil, nil, {{Name: "web", Routed: true}}}).Draw(t, "leaving")
}

func drawRestRecord(t *rapid.T, o *RestSeen) {
	o.LastNumber = int64(rapid.IntRange(0, 3).Draw(t, "lastNumber"))
	o.Rollback = rapid.SampledFrom([]Rollback{{}, {Hash: "v2", After: 2}}).Draw(t, "rollback")
	o.Told.Rejected = rapid.SampledFrom([]*Rejected{nil, {Revision: revisionOf("v2")}}).Draw(t, "rejected")
	if rapid.Bool().Draw(t, "record") {
		o.Latest = &Record{
			Name: "shop-2", Number: 2, Phase: rapid.SampledFrom([]Phase{Succeeded, Aborted, Superseded}).Draw(t, "phase"),
			End:  rapid.SampledFrom([]EndReason{NotEnding, StepFailed, BackToStable, NewerRevision}).Draw(t, "end"),
			From: drawRevision(t, "from"), To: drawRevision(t, "to"), Retried: rapid.Bool().Draw(t, "retried"),
		}
		o.Records = []RecordName{{Name: "shop-2"}, {Name: "shop-1"}}
	}
	for i := range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "words") {
		decision := RestDecision{
			ID: fmt.Sprint(i), Release: "shop-2", Ours: true,
			Verb:  rapid.SampledFrom([]Verb{Retry, RollBack, Abort}).Draw(t, "verb"),
			Older: rapid.IntRange(0, 4).Draw(t, "older") == 0, Before: rapid.Bool().Draw(t, "before"),
		}
		if rapid.Bool().Draw(t, "known") {
			decision.Record = o.Latest
		}
		o.Decisions = append(o.Decisions, decision)
	}
}

// TestAnyRest: whatever the world is, Rest does not panic, breaks no rule of the guard, says the same twice, and
// names why a Rollout stands where it stands and who can end that. Carried out, it comes to rest: then there is
// nothing more to do.
func TestAnyRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawRest(t)
		w.o.Workload.Template = nonEmpty(w.o.Workload.Template)
		out := Rest(w.spec, w.o, w.now)
		if diff := cmp.Diff(out, Rest(w.spec, w.o, w.now)); diff != "" {
			t.Fatalf("not the same twice:\n%s", diff)
		}
		saysWhy(t, w, out)
		w.o.Refused = ""
		for range 20 {
			out = w.look()
			saysWhy(t, w, out)
			if begins(out) {
				return // What becomes of the world then is the release's.
			}
			if !out.Again && len(out.Actions) == 0 {
				break
			}
		}
		for range 60 {
			w.now = w.now.Add(time.Second)
			if out = w.look(); begins(out) {
				return
			}
			remakes := slices.Contains(out.Actions, RestAction(RemakeStable{}))
			if gone := !w.o.Workload.Exists; len(out.Actions) > 0 && !gone && !remakes {
				t.Fatalf("does not rest: %s", w.describe(out))
			}
		}
	})
}

func nonEmpty(r Revision) Revision {
	if r.known() {
		return r
	}
	return revisionOf("v1")
}

func begins(out RestOutcome) bool {
	return slices.ContainsFunc(out.Actions, func(a RestAction) bool { _, is := a.(StartRelease); return is })
}

func saysWhy(t *rapid.T, w *restWorld, out RestOutcome) {
	if out.Reason.Code == ReasonGuardRefused {
		t.Fatalf("the guard refused: %s\n%+v\n%+v", out.Reason.Message, w.spec, w.o)
	}
	if out.Phase != "" && (out.Reason.Code == "" || out.Reason.Message == "") {
		t.Fatalf("no reason: %+v", out)
	}
	waits := out.Phase != "" && out.Reason.Code != ReasonHealthy
	if waits && (out.Reason.Who == "" || out.Reason.Since.IsZero()) {
		t.Fatalf("a wait without a beginning, or without anybody who can end it: %+v", out.Reason)
	}
	if out.Again && len(out.Actions) == 0 {
		t.Fatalf("looks again for nothing: %+v", out)
	}
}

// TestRestGuard: what no decision may do while no release is under way.
func TestRestGuard(t *testing.T) {
	for _, tt := range []struct {
		name   string
		world  *restWorld
		spoil  func(*restWorld)
		action RestAction
		breaks string // empty: the action passes
	}{
		{"a Service is given back that would lead to nobody", edited(true), func(w *restWorld) {
			w.o.Services[0].MissesStable = true
		}, SelectService{"shop", SelectsAll}, "S2"},
		{"the same when the Rollout goes", edited(true), func(w *restWorld) {
			w.o.Services[0].MissesStable, w.o.Removing = true, true
		}, SelectService{"shop", SelectsAll}, ""},
		{"a Service is turned to new pods", edited(true), nil, SelectService{"shop", SelectsCanary}, "S5"},
		{"another team's Service", edited(true), nil, SelectService{"cart", SelectsStable}, "S5"},
		{"a canary Service goes under a layer", edited(true), func(w *restWorld) {
			w.o.Layers = []string{"Ingress"}
		}, RemoveCanaryService{"shop"}, "S2"},
		{"another Rollout's workload is taken", newRestWorld(true), func(w *restWorld) {
			w.o.Workload.TakenBy = "other"
		}, TakeOver{}, "S5"},
		{"pods end of a workload that is there", edited(true), nil, RemoveRemains{}, "S3"},
		{"the workload is given back of a Rollout that stays", edited(true), nil, GiveBack{}, "S22"},
		{"the Rollout goes before the workload is given back", edited(true), func(w *restWorld) {
			w.o.Removing = true
		}, RemoveFinalizer{}, "S22"},
		{"the stable revision is paused", takenOver(true), nil, PauseWorkload{}, "S21"},
		{"the stable revision is paused for want of a policy", takenOver(false), nil, PauseWorkload{}, ""},
		{"a new revision is let loose", edited(true), nil, ResumeWorkload{}, "S21"},
		{"the stable pods are made twice", edited(true), nil, RemakeStable{}, "S11"},
		{"a release of what runs free", edited(true), func(w *restWorld) {
			w.o.Workload.Paused = NotPaused
		}, start(""), "S21"},
		{
			"a release from what is not stable", edited(true), nil,
			StartRelease{From: revisionOf("v0"), To: revisionOf("v2")},
			"S11",
		},
		{
			"a release to what nobody asks for", edited(true), nil,
			StartRelease{From: revisionOf("v1"), To: revisionOf("v3")},
			"S11",
		},
		{"a release without anything to go back to", edited(true), func(w *restWorld) {
			w.o.StablePods = Track{}
		}, start(""), "S11"},
		{"a release of a Rollout that goes", edited(true), func(w *restWorld) { w.o.Removing = true }, start(""), "S5"},
		{"a release", edited(true), nil, start(""), ""},
	} {
		if tt.spoil != nil {
			tt.spoil(tt.world)
		}
		found := CheckRest(tt.world.spec, tt.world.o, []RestAction{tt.action})
		breaks := slices.ContainsFunc(found, func(v Violation) bool { return v.Invariant == tt.breaks })
		if tt.breaks == "" && len(found) > 0 || tt.breaks != "" && !breaks {
			t.Errorf("%s: want a violation of %q, found %v", tt.name, tt.breaks, found)
		}
	}
}

// TestRestGuardStopsRest: what the guard refuses is not done, and nothing is recorded.
func TestRestGuardStopsRest(t *testing.T) {
	rows := restRows
	t.Cleanup(func() { restRows = rows })
	restRows = []row{func(r *rest) finding {
		r.do(ResumeWorkload{})
		return says(RestHealthy, ReasonHealthy, "", "fine")
	}}
	w := edited(true)
	out := Rest(w.spec, w.o, w.now)
	stopped := out.Phase == RestStalled && out.Reason.Code == ReasonGuardRefused && !out.Wake.IsZero()
	if len(out.Actions) > 0 || out.Stable.known() || !stopped {
		t.Errorf("outcome %+v", out)
	}
}
