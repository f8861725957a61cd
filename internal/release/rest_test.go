package release

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// takenOver is a world at rest in which everything is as it should be.
func takenOver(policy bool) *restWorld {
	w := newRestWorld(policy)
	w.tick()
	w.tick()
	return w
}

// edited is the same world with a new revision that is held, and has been for a while.
func edited(policy bool) *restWorld {
	w := takenOver(policy)
	w.edit(revisionOf("v2"), PausedByHold)
	w.o.Memory = RestMemory{Follows: "v2", ChangedAt: w.now, QuietAt: w.now}
	return w
}

// failed is the same world after the release of the new revision was taken back.
func failed(policy bool) *restWorld {
	w := edited(policy)
	w.o.Latest = &Record{
		Name: "shop-1", Number: 1, Phase: Aborted, End: StepFailed, EndMessage: "step 1/1 failed",
		From: revisionOf("v1"), To: revisionOf("v2"),
	}
	w.o.LastNumber = 1
	return w
}

// restCases spoil one thing each.
var restCases = []struct {
	name  string
	world func(policy bool) *restWorld
	spoil func(*restWorld)
	// policy is whether the cluster holds new revisions.
	noPolicy bool
	phase    RestPhase
	code     string
	actions  []RestAction
}{
	{name: "as it should be", world: takenOver, phase: RestHealthy, code: ReasonHealthy},
	{name: "as it should be, kept paused", world: takenOver, noPolicy: true, phase: RestHealthy, code: ReasonHealthy},
	{name: "nothing of it is Sluice's yet", world: newRestWorld, actions: []RestAction{AddFinalizer{}, TakeOver{}}},
	{name: "a write was refused", world: edited, spoil: func(w *restWorld) {
		w.o.Refused = "forbidden"
	}, phase: RestStalled, code: ReasonWriteRefused},
	{name: "removed, and gone as far as Sluice is concerned", world: takenOver, spoil: func(w *restWorld) {
		w.o.Removing, w.o.Finalizer = true, false
	}},
	{name: "removed, a Service is kept", world: edited, spoil: func(w *restWorld) {
		s := &w.o.Services[0]
		w.o.Removing, s.Held, s.Selects, s.MissesStable = true, true, SelectsStable, true
	}, actions: []RestAction{SelectService{"shop", SelectsAll}}},
	{name: "removed, the workload is still marked", world: edited, spoil: func(w *restWorld) {
		w.o.Removing, w.o.Bound = true, true
	}, actions: []RestAction{GiveBack{}}},
	{name: "removed, the workload is another's", world: edited, spoil: func(w *restWorld) {
		w.o.Removing, w.o.Bound, w.o.Workload.Ours = true, true, false
	}, actions: []RestAction{FreeRecords{}}},
	{name: "removed, nothing is left", world: takenOver, spoil: func(w *restWorld) {
		w.o.Removing, w.o.Workload.Ours = true, false
	}, actions: []RestAction{RemoveFinalizer{}}},
	{name: "a decision on a release that is not there", world: takenOver, spoil: func(w *restWorld) {
		w.o.Decisions = []RestDecision{{ID: "d", Verb: Abort, Release: "shop-7", Ours: true}}
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "a retry", world: failed, spoil: func(w *restWorld) {
		w.o.Decisions = []RestDecision{{ID: "d", Verb: Retry, Release: "shop-1", Ours: true, Record: w.o.Latest}}
	}, actions: []RestAction{RetryRelease{"d", "shop-1"}}},
	{name: "the workload is gone, and has left nothing", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload, w.o.Orphans = RestWorkload{}, true
	}, phase: RestStalled, code: ReasonWorkloadNotFound, actions: []RestAction{RemoveOrphans{}}},
	{name: "the workload is gone, and its pods serve on", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload, w.o.Remains = RestWorkload{}, []Remains{{Name: "shop-1", Pods: 2}}
	}, phase: RestPending, code: ReasonWorkloadGone},
	{name: "the workload has been gone for long enough", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload, w.o.Remains = RestWorkload{}, []Remains{{Name: "shop-1", Pods: 2}}
		w.o.Told.Code, w.o.Told.Since = ReasonWorkloadGone, w.now.Add(-goneFor)
	}, phase: RestStalled, code: ReasonWorkloadNotFound, actions: []RestAction{RemoveRemains{}}},
	{name: "the workload is gone, and a Service was kept on its pods", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload, w.o.Services[0].Held, w.o.Services[0].Selects = RestWorkload{}, true, SelectsStable
	}, phase: RestStalled, code: ReasonWorkloadNotFound, actions: []RestAction{SelectService{"shop", SelectsAll}}},
	{name: "another Rollout has it", world: newRestWorld, spoil: func(w *restWorld) {
		w.o.Workload.TakenBy = "other"
	}, phase: RestStalled, code: ReasonWorkloadTaken},
	{name: "an older Rollout names it", world: newRestWorld, spoil: func(w *restWorld) {
		w.o.Workload.NamedBy = "other"
	}, phase: RestStalled, code: ReasonWorkloadTaken},
	{name: "an older Rollout names what is ours", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload.NamedBy = "other"
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "its own update is under way", world: newRestWorld, spoil: func(w *restWorld) {
		w.o.Workload.Updating = true
	}, phase: RestPending, code: ReasonWorkloadUpdating, actions: []RestAction{AddFinalizer{}}},
	{name: "an update of what is taken over is nobody's business", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload.Updating = true
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "kubectl rollout undo has brought a mark back", world: edited, spoil: func(w *restWorld) {
		w.o.Workload.Former = true
	}, actions: []RestAction{TakeOver{}}},
	{name: "a new revision runs free", world: edited, spoil: func(w *restWorld) {
		w.o.Workload.Paused = NotPaused
	}, actions: []RestAction{PauseWorkload{}}},
	{name: "somebody resumed what is always kept paused", world: takenOver, noPolicy: true, spoil: func(w *restWorld) {
		w.o.Workload.Paused = NotPaused
	}, actions: []RestAction{PauseWorkload{}}},
	{name: "the team paused what is always kept paused", world: takenOver, noPolicy: true, spoil: func(w *restWorld) {
		w.o.Workload.Paused = PausedByTeam
	}, actions: []RestAction{PauseWorkload{}}},
	{name: "paused with a template that has never run", world: takenOver, spoil: func(w *restWorld) {
		w.o.Stable, w.o.Running, w.o.Workload.Paused = Revision{}, Revision{}, PausedByTeam
	}, phase: RestStalled, code: ReasonPausedByTeam},
	{name: "nothing runs yet", world: takenOver, spoil: func(w *restWorld) {
		w.o.Stable, w.o.Running = Revision{}, Revision{}
	}, phase: RestPending, code: ReasonWorkloadUpdating},
	{name: "the stable pods are taken away", world: failed, spoil: func(w *restWorld) {
		w.o.StablePods = Track{}
	}, actions: []RestAction{RemakeStable{}}},
	{name: "the stable pods are taken away, and cannot be brought back", world: failed, spoil: func(w *restWorld) {
		w.o.StablePods, w.o.NotRemade = Track{}, true
	}, phase: RestRejected, code: ReasonRevisionRejected},
	{name: "the stable pods are taken away of what is not paused", world: takenOver, spoil: func(w *restWorld) {
		w.o.StablePods = Track{}
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "the stable pods would go with the workload", world: takenOver, spoil: func(w *restWorld) {
		w.o.Unkept = true
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{KeepStable{}}},
	{name: "a Service leads to pods that are held", world: failed, spoil: func(w *restWorld) {
		w.o.Services[0].MissesStable = true
	}, phase: RestRejected, code: ReasonRevisionRejected, actions: []RestAction{SelectService{"shop", SelectsStable}}},
	{name: "a Service is kept", world: takenOver, spoil: func(w *restWorld) {
		s := &w.o.Services[0]
		s.MissesStable, s.MissesCanary, s.Held, s.Selects = true, true, true, SelectsStable
	}, phase: RestHealthy, code: ReasonServiceKept},
	{name: "a Service is kept, and the team edits it", world: takenOver, spoil: func(w *restWorld) {
		s := &w.o.Services[0]
		s.MissesStable, s.MissesCanary, s.Held, s.Selects, s.Renew = true, true, true, SelectsStable, true
	}, phase: RestHealthy, code: ReasonServiceKept, actions: []RestAction{SelectService{"shop", SelectsStable}}},
	{name: "a Service need not be kept any more", world: takenOver, spoil: func(w *restWorld) {
		w.o.Services[0].Held, w.o.Services[0].Selects = true, SelectsStable
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{SelectService{"shop", SelectsAll}}},
	{name: "a release has left its layer", world: takenOver, spoil: func(w *restWorld) {
		w.o.Layers, w.o.Services[0].CanaryExists, w.o.Orphans = []string{"Ingress"}, true, true
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{Unroute{"Ingress"}}},
	{name: "a release has left its canary Service", world: takenOver, spoil: func(w *restWorld) {
		w.o.Services[0].CanaryExists, w.o.Orphans = true, true
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{RemoveCanaryService{"shop"}, RemoveOrphans{}}},
	{name: "the only Service is lost", world: takenOver, spoil: func(w *restWorld) {
		w.o.Services, w.o.Lost = nil, []Misfit{{Name: "shop", Selector: "app=web"}}
	}, phase: RestStalled, code: ReasonServiceLost},
	{name: "one of two Services is lost", world: takenOver, spoil: func(w *restWorld) {
		w.o.Lost = []Misfit{{Name: "api", Selector: "app=web"}}
	}, phase: RestDegraded, code: ReasonServiceLost},
	{name: "trouble", world: edited, spoil: func(w *restWorld) {
		w.o.Trouble = "Recreate"
	}, phase: RestStalled, code: ReasonSpecRefused},
	{name: "an object that nobody proves", world: edited, spoil: func(w *restWorld) {
		w.o.Unproven = []string{"Hold a"}
	}, phase: RestStalled, code: ReasonSpecRefused},
	{name: "a plan that makes no sense", world: edited, spoil: func(w *restWorld) {
		w.spec.Plan.Steps = nil
	}, phase: RestStalled, code: ReasonSpecRefused},
	{name: "a Service that a layer leads to would have no pod", world: edited, spoil: func(w *restWorld) {
		w.o.Leaving = []Misfit{{Name: "api", Routed: true}}
	}, phase: RestStalled, code: ReasonSpecRefused},
	{name: "a Service of the old revision's own", world: edited, spoil: func(w *restWorld) {
		w.o.Leaving = []Misfit{{Name: "v1-only"}}
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start("")}},
	{name: "a Service of the new pods alone, by pods", world: edited, spoil: func(w *restWorld) {
		w.spec.Plan, w.o.Services[0].MissesStable = layered(w.spec.Plan), true
	}, phase: RestStalled, code: ReasonSpecRefused, actions: []RestAction{SelectService{"shop", SelectsStable}}},
	{name: "a problem that plan tells of", world: edited, spoil: func(w *restWorld) {
		w.o.Problem = "no Service"
	}, phase: RestStalled, code: ReasonSpecRefused},
	{name: "more records than are kept", world: takenOver, spoil: func(w *restWorld) {
		w.o.Records = []RecordName{{Name: "e"}, {Name: "d"}, {Name: "c"}, {Name: "b", Going: true}, {Name: "a"}}
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{RemoveRecord{"a"}}},
	{name: "the stable revision is held", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload.Paused = PausedByHold
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{ResumeWorkload{}}},
	{name: "the stable revision says that it is held", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload.SaysHeld = true
	}, phase: RestHealthy, code: ReasonHealthy, actions: []RestAction{ResumeWorkload{}}},
	{name: "the team pauses the stable revision", world: takenOver, spoil: func(w *restWorld) {
		w.o.Workload.Paused = PausedByTeam
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "too few pods for a moment", world: takenOver, spoil: func(w *restWorld) {
		w.o.StablePods.Ready = 1
	}, phase: RestHealthy, code: ReasonHealthy},
	{name: "too few pods for some time", world: takenOver, spoil: func(w *restWorld) {
		w.o.StablePods.Ready = 1
		w.o.Memory = RestMemory{Unserved: ReasonStablePodsNotReady, UnservedSince: w.now.Add(-passing)}
	}, phase: RestDegraded, code: ReasonStablePodsNotReady},
	{name: "too few pods after something else was told", world: takenOver, spoil: func(w *restWorld) {
		w.o.StablePods.Ready, w.o.Told.Phase = 1, "Completing"
	}, phase: RestDegraded, code: ReasonStablePodsNotReady},
	{name: "no endpoints", world: takenOver, spoil: func(w *restWorld) {
		w.o.Services[0].ReadyStable, w.o.Told.Phase = 0, RestDegraded
	}, phase: RestDegraded, code: ReasonNoReadyEndpoints},
	{name: "rejected", world: failed, phase: RestRejected, code: ReasonRevisionRejected},
	{name: "rejected, and retried", world: failed, spoil: func(w *restWorld) {
		w.o.Latest.Retried = true
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start(CauseRetry)}},
	{name: "rejected, but gone back from since", world: failed, spoil: func(w *restWorld) {
		w.o.Told.Phase, w.o.Told.Release = RestHealthy, "shop-1"
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start(CauseRetry)}},
	{name: "superseded is not rejected", world: failed, spoil: func(w *restWorld) {
		w.o.Latest.Phase, w.o.Latest.End = Superseded, NewerRevision
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start("")}},
	{name: "set back is not rejected", world: failed, spoil: func(w *restWorld) {
		w.o.Latest.End = BackToStable
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start(CauseRetry)}},
	{name: "the record is gone, its verdict is not", world: edited, spoil: func(w *restWorld) {
		w.o.LastNumber, w.o.Told.Rejected = 3, &Rejected{Revision: revisionOf("v2"), Release: "shop-3"}
	}, phase: RestRejected, code: ReasonRevisionRejected},
	{name: "paused by the team", world: edited, spoil: func(w *restWorld) {
		w.o.Workload.Paused = PausedByTeam
	}, phase: RestPending, code: ReasonPausedByTeam},
	{name: "nothing to go back to", world: edited, spoil: func(w *restWorld) {
		w.o.StablePods, w.o.NotRemade = Track{}, true
	}, phase: RestStalled, code: ReasonStableSetMissing},
	{name: "just changed", world: edited, spoil: func(w *restWorld) {
		w.o.Memory = RestMemory{}
	}},
	{name: "changed again and again", world: edited, spoil: func(w *restWorld) {
		w.o.Memory = RestMemory{Follows: "v0", ChangedAt: w.now.Add(-passing)}
	}, phase: RestPending, code: ReasonStillChanging},
	{name: "changed for too long", world: edited, spoil: func(w *restWorld) {
		w.o.Memory = RestMemory{Follows: "v0", ChangedAt: w.now.Add(-quietMost)}
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start("")}},
	{name: "another release is in the way", world: edited, spoil: func(w *restWorld) {
		w.o.Busy = Busy{"cart-3", "no room"}
	}, phase: RestPending, code: ReasonLayerBusy},
	{
		name: "a new revision", world: edited,
		phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start("")},
	},
	{
		name: "a new revision, kept paused", world: edited, noPolicy: true,
		phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start("")},
	},
	{name: "a rollback", world: edited, spoil: func(w *restWorld) {
		w.o.Rollback, w.o.Memory = Rollback{Hash: "v2"}, RestMemory{}
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start(CauseRollback)}},
	{name: "a rollback that is used up", world: failed, spoil: func(w *restWorld) {
		w.o.Rollback, w.o.Latest.End = Rollback{Hash: "v2"}, BackToStable
	}, phase: RestProgressing, code: ReasonStarting, actions: []RestAction{start(CauseRetry)}},
}

// start begins the release of the new revision.
func start(cause Cause) StartRelease {
	if cause == "" {
		cause = CauseTemplateChanged
	}
	return StartRelease{From: revisionOf("v1"), To: revisionOf("v2"), Cause: cause}
}

func TestRest(t *testing.T) {
	for _, tt := range restCases {
		t.Run(tt.name, func(t *testing.T) {
			w := tt.world(!tt.noPolicy)
			if tt.spoil != nil {
				tt.spoil(w)
			}
			out := Rest(w.spec, w.o, w.now)
			if out.Phase != tt.phase || out.Reason.Code != tt.code {
				t.Errorf("%s", w.describe(out))
			}
			if diff := cmp.Diff(tt.actions, out.Actions); diff != "" {
				t.Error(diff)
			}
			last := slices.Contains(tt.actions, RestAction(RemoveFinalizer{}))
			if again := tt.phase == "" && len(tt.actions) > 0 && !last; out.Again != again {
				t.Errorf("again: %v", out.Again)
			}
		})
	}
}

// TestRestRowsAreReached: each row ends a look, or does something, in one of the cases.
func TestRestRowsAreReached(t *testing.T) {
	rows := restRows
	t.Cleanup(func() { restRows = rows })
	reached := map[string]bool{}
	restRows = nil
	for _, look := range rows {
		name := runtime.FuncForPC(reflect.ValueOf(look).Pointer()).Name()
		name = name[strings.LastIndex(name, ".")+1:]
		reached[name] = false
		restRows = append(restRows, func(r *rest) finding {
			before, stable := len(r.out.Actions)+len(r.out.Answers), r.stable
			v := look(r)
			if v.ends || len(r.out.Actions)+len(r.out.Answers) > before || r.stable != stable {
				reached[name] = true
			}
			return v
		})
	}
	for _, tt := range restCases {
		w := tt.world(!tt.noPolicy)
		if tt.spoil != nil {
			tt.spoil(w)
		}
		Rest(w.spec, w.o, w.now)
	}
	for name, is := range reached {
		if !is {
			t.Errorf("no case comes to %s", name)
		}
	}
	if len(reached) != len(rows) {
		t.Errorf("%d names of %d rows", len(reached), len(rows))
	}
}

// TestRestRecords: what is to be recorded of revisions is said only where it is known.
func TestRestRecords(t *testing.T) {
	w := newRestWorld(true)
	w.o.Workload.Updating = true
	if out := Rest(w.spec, w.o, w.now); out.RejectedKnown || out.Stable.known() {
		t.Errorf("before the workload is taken over: %+v", out)
	}
	w = failed(true)
	w.o.Trouble = "Recreate"
	if out := Rest(w.spec, w.o, w.now); out.RejectedKnown || out.Stable != revisionOf("v1") {
		t.Errorf("refused: %+v", out)
	}
	w.o.Trouble = ""
	if out := Rest(w.spec, w.o, w.now); !out.RejectedKnown || out.Rejected == nil || out.Rejected.Hash != "v2" {
		t.Errorf("rejected: %+v", out)
	}
	w.o.Workload.Template = revisionOf("v1")
	if out := Rest(w.spec, w.o, w.now); !out.RejectedKnown || out.Rejected != nil {
		t.Errorf("back on the stable revision: %+v", out)
	}
}

// TestRestWakes: a look is asked for when time alone changes the decision, or nothing may tell of a change.
func TestRestWakes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		world *restWorld
		spoil func(*restWorld)
		after time.Duration
	}{
		{"as it should be", takenOver(true), func(*restWorld) {}, 0},
		{"refused", edited(true), func(w *restWorld) { w.o.Problem = "no Service" }, recheckAtRest},
		{"just changed", edited(true), func(w *restWorld) { w.o.Memory = RestMemory{} }, quiet},
		{"the clock was set back since", edited(true), func(w *restWorld) {
			w.o.Memory.ChangedAt, w.o.Memory.QuietAt = w.now.Add(time.Hour), w.now.Add(time.Hour)
		}, quiet},
		{"too few pods", takenOver(true), func(w *restWorld) { w.o.StablePods.Ready = 0 }, passing},
		{"gone", takenOver(true), func(w *restWorld) {
			w.o.Workload, w.o.Remains = RestWorkload{}, []Remains{{Name: "shop-1"}}
		}, goneFor},
	} {
		tt.spoil(tt.world)
		out := Rest(tt.world.spec, tt.world.o, tt.world.now)
		if got := out.Wake; got.IsZero() != (tt.after == 0) || tt.after > 0 && !got.Equal(tt.world.now.Add(tt.after)) {
			t.Errorf("%s: wake %s, want after %s", tt.name, got, tt.after)
		}
	}
}

func TestRestDecisions(t *testing.T) {
	record := func(phase Phase) *Record {
		return &Record{Name: "shop-1", Number: 1, Phase: phase, From: revisionOf("v0"), To: revisionOf("v1")}
	}
	given := Answer{ID: "d", Applied: true, Code: AnswerPromoted}
	of := func(verb Verb, phase Phase) RestDecision {
		return RestDecision{ID: "d", Verb: verb, Release: "shop-1", Ours: true, Record: record(phase), User: "alice"}
	}
	older, answered, before := of(Retry, Aborted), of(Promote, Succeeded), of(RollBack, Succeeded)
	older.Older, answered.Given, before.Before = true, &given, true
	for _, tt := range []struct {
		name     string
		decision RestDecision
		spoil    func(*RestSeen)
		code     string
		does     RestAction
	}{
		{"of no release", RestDecision{Verb: Abort, Release: "cart"}, nil, ReasonUnknownDecision, nil},
		{"of none of ours", RestDecision{Verb: Abort, Release: "shop-9", Ours: true}, nil, ReasonUnknownDecision, nil},
		{"of an earlier time", older, nil, ReasonUnknownDecision, nil},
		{"with an answer", answered, nil, AnswerPromoted, nil},
		{"too late", of(Promote, Succeeded), nil, ReasonReleaseEnded, nil},
		{"retry of what succeeded", of(Retry, Succeeded), nil, ReasonNothingToRetry, nil},
		{"back to what runs", of(RollBack, Succeeded), nil, ReasonNothingToRollBack, nil},
		{"back to what failed", of(RollBack, Aborted), nil, ReasonNothingToRollBack, nil},
		{"back, without a workload", before, func(o *RestSeen) { o.Workload.Exists = false }, ReasonWorkloadNotFound, nil},
		{
			"back to what was before", before, nil, AnswerRolledBack,
			WriteRevision{Decision: "d", Release: "shop-1", To: revisionOf("v0"), By: "alice"},
		},
		{
			"back to what is held", of(RollBack, Succeeded), func(o *RestSeen) { o.Workload.Template = revisionOf("v2") },
			AnswerRolledBack,
			WriteRevision{Decision: "d", Release: "shop-1", To: revisionOf("v1"), By: "alice"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := takenOver(true)
			if tt.spoil != nil {
				tt.spoil(&w.o)
			}
			w.o.Decisions = []RestDecision{tt.decision, {ID: "next", Verb: Abort, Release: "shop-7"}}
			out := Rest(w.spec, w.o, w.now)
			if out.Answers[0].Code != tt.code || out.Answers[0].Message == "" && tt.decision.Given == nil {
				t.Errorf("answer %+v, want %s", out.Answers[0], tt.code)
			}
			if tt.does == nil && len(out.Answers) != 2 || tt.does != nil && (len(out.Answers) != 1 || !out.Again) {
				t.Errorf("answers %+v", out.Answers)
			}
			if tt.does != nil && !slices.Contains(out.Actions, tt.does) {
				t.Errorf("does %+v, not %+v", out.Actions, tt.does)
			}
			late := AnswerLate(w.spec, w.o, tt.decision, "shop-2")
			if want := ReasonReleaseUnderWay; tt.does != nil && late.Code != want || tt.does == nil && late.Code != tt.code {
				t.Errorf("while another is under way: %+v", late)
			}
		})
	}
	if a := RevisionGone(takenOver(true).spec, "d"); a.ID != "d" || a.Applied || a.Code != ReasonRevisionNotInCache {
		t.Errorf("%+v", a)
	}
}

func TestHeld(t *testing.T) {
	for _, tt := range []struct {
		name     string
		workload RestWorkload
		pause    bool
		because  string
		held     bool
		code     string
	}{
		{"not there", RestWorkload{}, false, "", false, NotHeldYet},
		{"not ours", RestWorkload{Exists: true}, false, ReasonWorkloadUpdating, false, ReasonWorkloadUpdating},
		{"by policy", RestWorkload{Exists: true, Ours: true}, false, "", true, HeldByPolicy},
		{"by a pause", RestWorkload{Exists: true, Ours: true, Paused: PausedAlways}, true, "", true, HeldByPause},
		{"resumed", RestWorkload{Exists: true, Ours: true}, true, "", false, NotHeldAnyLonger},
	} {
		spec := RestSpec{Kind: "Deployment", Workload: "shop", KeepPaused: tt.pause}
		held, why := Held(spec, tt.workload, Reason{Code: tt.because})
		if held != tt.held || why.Code != tt.code || why.Message == "" {
			t.Errorf("%s: %v, %+v", tt.name, held, why)
		}
	}
}
