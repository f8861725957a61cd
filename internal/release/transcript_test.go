package release

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts plays the releases in testdata. Each file reads as a chapter of the manual; after a wanted
// change of behaviour, `go test ./internal/release -rewrite` writes them anew.
func TestTranscripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			p := &play{}
			datadriven.RunTest(t, path, p.command)
		})
	}
}

type play struct {
	w        *world
	decision int
}

// command carries out one command of a transcript.
func (p *play) command(t *testing.T, d *datadriven.TestData) string {
	w := p.w
	switch d.Cmd {
	case "release":
		p.w = newWorld(specOf(t, d), number(t, d, "replicas", 4))
		p.w.settle = duration(t, d, "settle", 0)
		if name := text(d, "preview"); name != "" {
			p.w.o.Services = append(p.w.o.Services, Service{Name: name, Selects: SelectsAll, Preview: true})
		}
		if d.HasArg("twin") { // Made to look at the new pods.
			p.w.o.Services[0].Routed = true
		}
	case "tick":
		return w.describe(w.tick())
	case "run":
		return p.run(t, d)
	case "promote", "promoteFull", "abort", "rollback", "pause", "resume", "approve", "reject", "override":
		p.decide(d)
	case "scale":
		w.o.Workload.Replicas, _ = strconv.Atoi(d.CmdArgs[0].Key)
	case "edit":
		w.o.Workload.Desired, w.o.Workload.Held, w.o.Workload.Kept = text(d, "template"), true, d.HasArg("kept-paused")
	case "break":
		w.broken[text(d, "pods")], w.hung[text(d, "layer")], w.asleep = true, true, d.HasArg("deployment")
	case "limit":
		w.limit[text(d, "pods")] = number(t, d, "ready", 0)
	case "mend":
		delete(w.limit, text(d, "pods"))
		w.broken[text(d, "pods")], w.hung[text(d, "layer")], w.asleep = false, false, false
	case "measured":
		return w.measured(t, d)
	case "hold-at":
		w.o.HoldAt = text(d, "step")
	case "plan-changed":
		w.o.PlanChanged = !d.HasArg("undone")
	case "window":
		w.o.Shut = Shut{Window: text(d, "shut"), Message: strings.TrimSpace(d.Input)}
		if opens := duration(t, d, "opens", 0); opens > 0 {
			w.o.Shut.Opens = began.Add(opens)
		}
	case "trouble":
		w.o.Trouble = strings.TrimSpace(d.Input)
	case "service":
		p.editService(d)
	case "overwrite":
		p.overwrite(t, d)
	case "resumed": // By somebody, in mid-release.
		w.o.Workload.Held, w.o.Workload.Loose = false, 1
	case "history":
		w.o.Canary = Track{Exists: true, Adopted: true}
	case "delete":
		if d.HasArg("rollout") {
			w.o.Removing = true
		} else {
			w.o.Workload = Workload{}
		}
	case "world":
		return w.describeWorld()
	case "plan":
		return describePlan(Plan(specOf(t, d), number(t, d, "replicas", 4)))
	case "validate":
		var b strings.Builder
		for _, problem := range Validate(specOf(t, d)) {
			fmt.Fprintln(&b, problem)
		}
		return b.String()
	default:
		d.Fatalf(t, "unknown command %q", d.Cmd)
	}
	return ""
}

// run ticks until the release waits for a reason, is in a phase, or has ended; it tells of every tick that did
// something.
func (p *play) run(t *testing.T, d *datadriven.TestData) string {
	until := text(d, "until")
	var b strings.Builder
	last := ""
	for range number(t, d, "ticks", 5000) {
		out := p.w.tick()
		if len(out.Actions)+len(out.Events)+len(out.Answers) > 0 || out.Reason.Code != last {
			b.WriteString(p.w.describe(out))
		}
		last = out.Reason.Code
		if out.Reason.Code == until || string(out.Memory.Phase) == until {
			return b.String()
		}
	}
	if until != "" {
		d.Fatalf(t, "never came to %s:\n%s", until, b.String())
	}
	return b.String()
}

// editService has the team give the Service another selector, or another port.
func (p *play) editService(d *datadriven.TestData) {
	sv := &p.w.o.Services[0]
	p.w.portless = d.HasArg("portless")
	if p.w.portless || d.HasArg("mended") {
		return
	}
	sv.Selects, sv.Own = SelectsAll, strings.TrimSpace(d.Input)
	if d.HasArg("merged") {
		sv.Selects = SelectsOther
	}
	sv.MissesStable, sv.MissesCanary = text(d, "misses") == p.w.spec.From, text(d, "misses") == p.w.spec.To
}

func (p *play) decide(d *datadriven.TestData) {
	p.decision++
	at := time.Time{}
	if s, err := strconv.Atoi(text(d, "at")); err == nil {
		at = began.Add(time.Duration(s) * time.Second)
	}
	p.w.o.Decisions = append(p.w.o.Decisions, Decision{
		ID: fmt.Sprintf("%s-%d", d.Cmd, p.decision), Verb: Verb(d.Cmd), Step: text(d, "step"), To: text(d, "to"), User: text(d, "user"),
		Groups: strings.FieldsFunc(text(d, "groups"), comma), Comment: strings.TrimSpace(d.Input),
		PlanMismatch: d.HasArg("other-plan"), PlanNamed: !d.HasArg("no-plan"), At: at,
	})
}

func comma(r rune) bool { return r == '+' }

// measured says what an analysis has come to: the newest of the step, or of the background.
func (w *world) measured(t *testing.T, d *datadriven.TestData) string {
	for i := len(w.o.Analyses) - 1; i >= 0; i-- {
		if a := &w.o.Analyses[i]; a.ID.Background == d.HasArg("background") {
			a.Verdict, a.Message = Verdict(d.CmdArgs[0].Key), strings.TrimSpace(d.Input)
			return ""
		}
	}
	d.Fatalf(t, "nothing is measured")
	return ""
}

func (p *play) overwrite(t *testing.T, d *datadriven.TestData) {
	if name := text(d, "service"); name != "" {
		p.w.service(name).Selects = SelectsAll
		return
	}
	if name := text(d, "twin"); name != "" {
		p.w.service(name).CanaryExists = false
		return
	}
	l := p.w.layer(text(d, "layer"))
	if d.HasArg("undone") {
		l.Routed, l.Weight, l.Matches, l.Version = false, 0, nil, ""
		return
	}
	p.w.changes++
	l.Version = fmt.Sprint(p.w.changes)
	l.Weight = number(t, d, "weight", 0)
}

func specOf(t *testing.T, d *datadriven.TestData) Spec {
	s := Spec{
		From: "blue", To: "green", OnFailure: FailureAborts, Revert: d.HasArg("revert"),
		ProgressDeadline: duration(t, d, "progress", time.Minute), ReleaseDeadline: duration(t, d, "deadline", time.Hour),
		DrainDelay: duration(t, d, "drain", 5*time.Second),
	}
	s.KeepOld = duration(t, d, "keep-old", 0)
	s.Namespace = "demo"
	s.Authors = strings.FieldsFunc(text(d, "author"), comma)
	if d.HasArg("background-from") {
		s.Background, s.BackgroundFrom = true, number(t, d, "background-from", 1)-1
	}
	switch layers := text(d, "layers"); layers {
	case "":
		s = layered(s, "Ingress")
	case "none":
		s = layered(s)
	case "selector":
		s = layered(s)
		s.Divide = BySelector
	default:
		s = layered(s, strings.Split(layers, "+")...)
	}
	s.OnStableDown = StableDownPolicy(text(d, "on-stable-down"))
	if f := text(d, "on-failure"); f != "" {
		s.OnFailure = FailurePolicy(f)
	}
	for line := range strings.Lines(d.Input) {
		s.Steps = append(s.Steps, stepOf(t, d, strings.Fields(line)))
	}
	return s
}

// stepOf reads "50 pods=2 header=X-Canary:always pause" or "50 name=half 30s".
func stepOf(t *testing.T, d *datadriven.TestData, words []string) Step {
	var st Step
	for i, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case i == 0:
			st.Weight, _ = strconv.Atoi(word)
		case key == "pods" && strings.HasSuffix(value, "%"):
			st.Share, _ = strconv.Atoi(strings.TrimSuffix(value, "%"))
		case key == "pods":
			st.Replicas, _ = strconv.Atoi(value)
		case key == "name":
			st.Name = value
		case key == "header":
			name, want, _ := strings.Cut(value, ":")
			st.Matches = append(st.Matches, Match{Headers: []HeaderMatch{{Name: name, Value: want}}})
		case word == "analysis":
			st.Analysis = true
		case key == "approval":
			st.Approval = approvalOf(value)
		case word == "pause":
			st.Pause = Pause{Kind: PauseManual}
		default:
			pause, err := time.ParseDuration(word)
			if err != nil {
				d.Fatalf(t, "step: %v", err)
			}
			st.Pause = Pause{Kind: PauseTimed, Duration: pause}
		}
	}
	return st
}

// approvalOf reads "2:alice+bob+@sre:1h:comment:separate": how many, who (groups with @), how long, and what else is
// wanted.
func approvalOf(value string) *Approval {
	words := strings.Split(value, ":")
	a := &Approval{ExpiresAfter: 30 * time.Minute}
	a.Required, _ = strconv.Atoi(words[0])
	for _, who := range strings.FieldsFunc(words[1], comma) {
		if group, ok := strings.CutPrefix(who, "@"); ok {
			a.Groups = append(a.Groups, group)
		} else {
			a.Users = append(a.Users, who)
		}
	}
	for _, word := range words[2:] {
		switch word {
		case "comment":
			a.CommentRequired = true
		case "separate":
			a.SeparationOfDuty = true
		default:
			a.ExpiresAfter, _ = time.ParseDuration(word)
			a.RemindAfter = a.ExpiresAfter / 2
		}
	}
	return a
}

func text(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return a.Vals[0]
		}
	}
	return ""
}

func number(t *testing.T, d *datadriven.TestData, key string, otherwise int) int {
	v := text(d, key)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		d.Fatalf(t, "%s: %v", key, err)
	}
	return n
}

func duration(t *testing.T, d *datadriven.TestData, key string, otherwise time.Duration) time.Duration {
	v := text(d, key)
	if v == "" {
		return otherwise
	}
	got, err := time.ParseDuration(v)
	if err != nil {
		d.Fatalf(t, "%s: %v", key, err)
	}
	return got
}

func describePlan(plan []PlannedStep) string {
	var b strings.Builder
	for _, s := range plan {
		fmt.Fprintf(&b, "%-10s %3d%%  %d old + %d new pods (%d extra), at least %s, at most %s\n",
			s.Name, s.Weight, s.StablePods, s.CanaryPods, s.ExtraPods, s.AtLeast, s.AtMost)
		for _, w := range s.WaitsFor {
			fmt.Fprintf(&b, "           waits for %s\n", w)
		}
	}
	return b.String()
}
