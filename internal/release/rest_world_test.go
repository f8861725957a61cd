package release

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// restWorld is a workload at rest: a Deployment with one Service, and the status of its Rollout. Whatever a release
// does is left out; it begins, and a transcript says how it ended.
type restWorld struct {
	spec RestSpec
	o    RestSeen
	now  time.Time
	// policy: the cluster holds new revisions. kept are the revisions whose pod templates are kept somewhere.
	policy bool
	kept   map[string]bool
	// refuse is what the API server says to the next write.
	refuse string
	events []Event
}

func newRestWorld(policy bool) *restWorld {
	w := &restWorld{now: began, policy: policy, kept: map[string]bool{}}
	w.spec = RestSpec{
		Rollout: "shop", Namespace: "demo", Workload: "shop", Kind: "Deployment", Part: "ReplicaSet",
		Label: "sluice.dev/rollout", KeepPaused: !policy, History: 3, Plan: specFor(Step{Weight: 50}),
	}
	w.spec.Plan.From, w.spec.Plan.To = "", ""
	w.o.Workload = RestWorkload{
		Exists: true, Template: revisionOf("v1"), Labels: "app=shop", Replicas: 2, Needs: 2,
	}
	w.o.Running = revisionOf("v1")
	w.o.StablePods = Track{Exists: true, Adopted: true, Desired: 2, Pods: 2, Ready: 2}
	w.o.StableLabels, w.o.Unkept, w.o.Next, w.o.Follows = "app=shop", true, "shop-1", "v1"
	w.o.Services = []RestService{{Service: Service{
		Name: "shop", Selects: SelectsAll, Own: "app=shop", Routed: true, ReadyStable: 2,
	}}}
	return w
}

func revisionOf(name string) Revision {
	return Revision{Hash: name, Name: "shop:" + name, Mark: "hash-" + name}
}

// tick lets a second pass, and looks until nothing more can be done at once.
func (w *restWorld) tick() string {
	w.now = w.now.Add(time.Second)
	var b strings.Builder
	for range 20 {
		out := w.look()
		b.WriteString(w.describe(out))
		if !out.Again {
			return b.String()
		}
	}
	return b.String() + "      and so on for ever\n"
}

// look is one call of Rest, carried out as the controller does it.
func (w *restWorld) look() RestOutcome {
	out := Rest(w.spec, w.o, w.now)
	if w.refuse != "" && len(out.Actions) > 0 {
		w.o.Refused, w.refuse = w.refuse, ""
		out = Rest(w.spec, w.o, w.now)
		w.o.Refused = ""
	}
	w.o.Memory, w.o.NotRemade = out.Memory, false
	for _, a := range out.Actions {
		w.carryOut(a)
	}
	w.o.Decisions = slices.DeleteFunc(w.o.Decisions, func(decision RestDecision) bool {
		return slices.ContainsFunc(out.Answers, func(a Answer) bool { return a.ID == decision.ID })
	})
	w.events = out.Events
	w.record(out)
	return out
}

// record is the status after a look.
func (w *restWorld) record(out RestOutcome) {
	if out.Phase == "" {
		return
	}
	w.o.Told.Phase, w.o.Told.Code, w.o.Told.Since = out.Phase, out.Reason.Code, out.Reason.Since
	if out.Stable.Hash != "" {
		w.o.Stable = out.Stable
	}
	if out.RejectedKnown {
		w.o.Told.Rejected = out.Rejected
	}
	if w.o.Latest != nil {
		w.o.Told.Release, w.o.LastNumber = w.o.Latest.Name, w.o.Latest.Number
	}
}

func (w *restWorld) carryOut(a RestAction) {
	d := &w.o.Workload
	switch a := a.(type) {
	case AddFinalizer:
		w.o.Finalizer = true
	case RemoveFinalizer:
		w.o.Finalizer = false
	case TakeOver:
		d.Ours, d.Former = true, false
		if w.spec.KeepPaused {
			d.Paused = PausedAlways
		}
	case GiveBack:
		if d.Ours = false; d.Paused != PausedByTeam {
			d.Template, d.Paused = w.o.Stable, NotPaused
		}
	case PauseWorkload:
		d.Paused = PausedAlways
	case ResumeWorkload:
		d.Paused, d.SaysHeld = NotPaused, false
	case KeepStable:
		w.o.Unkept = false
	case RemakeStable:
		w.o.NotRemade = !w.kept[w.o.Stable.Hash]
		w.o.StablePods.Exists = !w.o.NotRemade
	case RemoveRemains:
		w.o.Remains = nil
	case RemoveOrphans:
		w.o.Orphans = false
	case FreeRecords:
		w.o.Bound = false
	case RemoveRecord:
		w.o.Records = slices.DeleteFunc(w.o.Records, func(k RecordName) bool { return k.Name == a.Release })
	case RetryRelease:
		w.o.Latest.Retried = true
	case WriteRevision:
		w.o.Rollback = Rollback{Hash: a.To.Hash, After: w.o.LastNumber}
		w.edit(a.To, PausedByHold)
	case StartRelease:
		w.begin(a)
	case SelectService:
		s := w.service(a.Service)
		s.Selects, s.Held, s.Renew = a.To, a.To != SelectsAll, false
	case Unroute:
		w.o.Layers = slices.DeleteFunc(w.o.Layers, func(l string) bool { return l == a.Layer })
	case RemoveCanaryService:
		w.service(a.Service).CanaryExists = false
	}
}

// begin has a release on record.
func (w *restWorld) begin(a StartRelease) {
	n := w.o.LastNumber + 1
	w.o.Latest = &Record{Name: fmt.Sprintf("shop-%d", n), Number: n, Phase: Progressing, From: a.From, To: a.To}
	w.o.Latest.Changes = []string{"image of web"}
	w.o.Records = append([]RecordName{{Name: w.o.Latest.Name}}, w.o.Records...)
	w.o.Bound, w.o.Next = true, fmt.Sprintf("shop-%d", n+1)
	w.kept[a.From.Hash] = true
}

// edit gives the workload another pod template.
func (w *restWorld) edit(to Revision, by Pauser) {
	w.o.Workload.Template, w.o.Follows = to, to.Hash
	if by != NotPaused && w.o.Workload.Paused == NotPaused {
		w.o.Workload.Paused = by
	}
}

func (w *restWorld) service(name string) *RestService {
	return &w.o.Services[slices.IndexFunc(w.o.Services, func(s RestService) bool { return s.Name == name })]
}

func (w *restWorld) clock(at time.Time) string {
	d := at.Sub(began)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// describe says what an outcome is, one line for the phase and one for each action, event and answer.
func (w *restWorld) describe(out RestOutcome) string {
	var b strings.Builder
	for _, a := range out.Answers {
		verdict := "refused"
		if a.Applied {
			verdict = "applied"
		}
		fmt.Fprintf(&b, "      %s %s: %s (%s)\n", a.ID, verdict, a.Message, a.Code)
	}
	for _, e := range out.Events {
		fmt.Fprintf(&b, "      * %s\n", e.Code)
	}
	switch {
	case out.Phase != "":
		fmt.Fprintf(&b, "%5s %s: %s: %s%s\n",
			w.clock(w.now), out.Phase, out.Reason.Code, out.Reason.Message, w.bound(out.Reason))
	case out.Again:
		fmt.Fprintf(&b, "%5s looks again after this:\n", w.clock(w.now))
	default:
		fmt.Fprintf(&b, "%5s says nothing new\n", w.clock(w.now))
	}
	for _, a := range out.Actions {
		fmt.Fprintf(&b, "      -> %s\n", describeRestAction(a))
	}
	return b.String()
}

// bound says since when a wait lasts, when it ends, and who can end it.
func (w *restWorld) bound(r Reason) string {
	if r.Who == "" {
		return ""
	}
	until := ""
	if !r.Until.IsZero() {
		until = " until " + w.clock(r.Until)
	}
	return fmt.Sprintf(" [since %s%s; %s]", w.clock(r.Since), until, r.Who)
}

func describeRestAction(a RestAction) string {
	switch a := a.(type) {
	case AddFinalizer:
		return "add the finalizer"
	case RemoveFinalizer:
		return "remove the finalizer"
	case TakeOver:
		return "mark the workload"
	case GiveBack:
		return "give the workload back"
	case KeepStable:
		return "keep the stable ReplicaSet"
	case RemakeStable:
		return "make the stable ReplicaSet anew"
	case RemoveRemains:
		return "remove what the workload has left behind"
	case RemoveOrphans:
		return "remove what is of no Service any more"
	case FreeRecords:
		return "have the records stay"
	case RemoveRecord:
		return "remove the record " + a.Release
	case RetryRelease:
		return "note on " + a.Release + " that it is retried"
	case WriteRevision:
		return fmt.Sprintf("write the pod template of %s, held, for %s", a.To.Name, a.By)
	case StartRelease:
		return fmt.Sprintf("begin a release from %s to %s (%s)", a.From.Name, a.To.Name, a.Cause)
	case SelectService:
		return describeAction(a)
	case Unroute:
		return describeAction(a)
	case RemoveCanaryService:
		return describeAction(a)
	case PauseWorkload:
		return "pause the workload"
	case ResumeWorkload:
		return describeAction(a)
	}
	return "?"
}
