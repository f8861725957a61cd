package release

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestRestTranscripts plays what happens while no release is under way. Each file in testdata/rest reads as a chapter
// of the manual; `go test ./internal/release -run TestRestTranscripts -rewrite` writes them anew.
func TestRestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/rest/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			p := &restPlay{}
			datadriven.RunTest(t, path, p.command)
		})
	}
}

type restPlay struct {
	w         *restWorld
	decisions int
}

// command carries out one command of a transcript.
func (p *restPlay) command(t *testing.T, d *datadriven.TestData) string {
	w := p.w
	switch d.Cmd {
	case "rollout":
		p.w = newRestWorld(!d.HasArg("no-policy"))
		if d.HasArg("no-layers") {
			p.w.spec.Plan = layered(p.w.spec.Plan)
		}
	case "tick":
		var b strings.Builder
		for range number(t, d, "seconds", 1) {
			b.WriteString(w.tick())
		}
		return b.String()
	case "run":
		return p.run(t, d)
	case "retry", "rollback", "promote":
		p.speak(d)
	case "edit", "pause", "resume", "scale", "pods", "delete", "make", "update":
		p.changeWorkload(t, d)
	case "ends":
		w.o.Latest.Phase, w.o.Latest.End = Phase(text(d, "phase")), EndReason(text(d, "end"))
		w.o.Latest.EndMessage = strings.TrimSpace(d.Input)
		w.o.Told.Phase, w.o.Told.Code = "Completing", "" // As the release has left it.
		if w.o.Latest.Phase == Succeeded {
			w.o.Stable, w.o.Workload.Paused = w.o.Latest.To, NotPaused
		}
	case "service":
		p.changeService(d)
	case "left":
		w.o.Layers, w.o.Orphans = strings.FieldsFunc(text(d, "layers"), comma), d.HasArg("orphans")
		w.service("shop").CanaryExists = d.HasArg("twin")
	case "world":
		return p.world(d)
	default:
		p.changeRollout(t, d)
	}
	return ""
}

// run looks until the Rollout stands somewhere; it tells of every look that did something or said something else.
func (p *restPlay) run(t *testing.T, d *datadriven.TestData) string {
	until := text(d, "until")
	var b strings.Builder
	last := ""
	for range number(t, d, "ticks", 300) {
		says := p.w.tick()
		if _, what, _ := strings.Cut(strings.TrimSpace(says), " "); what != last {
			b.WriteString(says)
			last = what
		}
		if told := p.w.o.Told; told.Code == until || string(told.Phase) == until {
			return b.String()
		}
	}
	d.Fatalf(t, "never came to %s:\n%s", until, b.String())
	return ""
}

func (p *restPlay) speak(d *datadriven.TestData) {
	p.decisions++
	name := text(d, "release")
	decision := RestDecision{
		ID: fmt.Sprintf("%s-%d", d.Cmd, p.decisions), Verb: Verb(d.Cmd),
		Release: name, Ours: strings.HasPrefix(name, "shop-"),
		Before: d.HasArg("before"), User: text(d, "user"), Older: d.HasArg("older"),
	}
	if rel := p.w.o.Latest; rel != nil && rel.Name == name {
		record := *rel
		decision.Record = &record
	}
	p.w.o.Decisions = append(p.w.o.Decisions, decision)
}

// changeWorkload is what happens to the workload.
func (p *restPlay) changeWorkload(t *testing.T, d *datadriven.TestData) {
	w, o := p.w, &p.w.o
	switch d.Cmd {
	case "edit":
		by := PausedByHold
		if !w.policy || d.HasArg("unheld") {
			by = NotPaused
		}
		w.edit(revisionOf(text(d, "template")), by)
	case "pause":
		o.Workload.Paused = PausedByTeam
	case "resume":
		o.Workload.Paused = NotPaused
	case "scale":
		o.Workload.Replicas = number(t, d, "replicas", 2)
		o.Workload.Needs = o.Workload.Replicas
	case "pods":
		o.StablePods.Ready, o.StablePods.Problem = number(t, d, "ready", 2), strings.TrimSpace(d.Input)
	case "update":
		o.Workload.Updating = !d.HasArg("ended")
	case "delete":
		switch {
		case d.HasArg("rollout"):
			o.Removing = true
		case d.HasArg("replicaset"):
			o.StablePods = Track{}
		case d.HasArg("templates"):
			w.kept = map[string]bool{}
		default:
			o.Remains = []Remains{{Name: "shop-hash", Pods: o.Workload.Replicas}}
			o.Workload, o.Services = RestWorkload{}, nil
		}
	case "make":
		fresh := newRestWorld(w.policy)
		o.Workload, o.Services, o.Remains = fresh.o.Workload, fresh.o.Services, nil
		w.edit(revisionOf(text(d, "template")), PausedByHold)
	}
}

// changeService is what the team does with its Service: it may select pods that do not run, or no pods at all.
func (p *restPlay) changeService(d *datadriven.TestData) {
	s, own := p.w.service("shop"), strings.TrimSpace(d.Input)
	if d.HasArg("lost") || d.HasArg("leaving") {
		stray := Misfit{Name: s.Name, Selector: own, Routed: true}
		p.w.o.Services = nil
		if d.HasArg("lost") {
			p.w.o.Lost = []Misfit{stray}
		} else {
			p.w.o.Leaving = []Misfit{stray}
		}
		return
	}
	s.Selects, s.Own = SelectsAll, own
	s.MissesStable, s.MissesCanary = d.HasArg("misses-running"), d.HasArg("misses-template")
	s.Renew = s.Held
	if d.HasArg("no-endpoints") {
		s.ReadyStable = 0
	}
}

// changeRollout is everything else that may be the case.
func (p *restPlay) changeRollout(t *testing.T, d *datadriven.TestData) {
	w, o := p.w, &p.w.o
	says := strings.TrimSpace(d.Input)
	switch d.Cmd {
	case "taken":
		o.Workload.TakenBy, o.Workload.NamedBy = text(d, "by"), text(d, "older")
	case "unproven":
		o.Unproven = strings.Split(says, "\n")
	case "trouble":
		o.Trouble = says
	case "problem":
		o.Problem = says
	case "plan":
		w.spec.Plan.Steps[0].Weight, o.Follows = number(t, d, "weight", 50), says+text(d, "weight")
	case "busy":
		o.Busy = Busy{Release: text(d, "release"), Message: says}
	case "refuse":
		w.refuse = says
	case "history":
		w.spec.History = number(t, d, "limit", 3)
	case "lose-record":
		o.Latest, o.Records = nil, nil
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
}

// world sums the world up.
func (p *restPlay) world(_ *datadriven.TestData) string {
	var b strings.Builder
	o := &p.w.o
	held, why := Held(p.w.spec, o.Workload, Reason{})
	fmt.Fprintf(&b, "workload: %s, paused %q, held: %v (%s)\n",
		o.Workload.Template.Name, o.Workload.Paused, held, why.Code)
	rejected := "none"
	if o.Told.Rejected != nil {
		rejected = o.Told.Rejected.Name
	}
	fmt.Fprintf(&b, "stable: %s, rejected: %s\n", o.Stable.Name, rejected)
	for _, s := range o.Services {
		fmt.Fprintf(&b, "Service %s: selects %s\n", s.Name, s.Selects)
	}
	return b.String()
}
