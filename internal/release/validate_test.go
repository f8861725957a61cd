package release

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*Spec)
		want  []string // the fields with problems
	}{
		{"sound", func(*Spec) {}, nil},
		{"a plan of nothing yet", func(s *Spec) { s.From, s.To = "", "" }, nil},
		{"no stable", func(s *Spec) { s.From = "" }, []string{"spec.from"}},
		{"nothing to release", func(s *Spec) { s.To = "" }, []string{"spec.to"}},
		{"stable already", func(s *Spec) { s.To = "blue" }, []string{"spec.to"}},
		{"divided by nothing", func(s *Spec) { s.Divide = "" }, []string{"spec.traffic"}},
		{"divided by what no row has", func(s *Spec) { s.Divide = "moon" }, []string{"spec.traffic"}},
		{"pods in the places of others", func(s *Spec) { s.Traits.Beside = false }, []string{"spec.workload.kind"}},
		{"an end that no row has", func(s *Spec) { s.Traits.Finish = "inPlace" }, []string{"spec.workload.kind"}},
		{"by layers without any", func(s *Spec) { s.Layers = nil }, []string{"spec.traffic"}},
		{"by pods with a layer", func(s *Spec) { s.Divide = ByPods }, []string{"spec.traffic"}},
		{"by layers, pods alike", func(s *Spec) { s.Traits.Apart = Never }, []string{"spec.traffic"}},
		{"by pods, pods alike", func(s *Spec) {
			*s = layered(*s)
			s.Traits.Apart = Never
		}, nil},
		{"no steps", func(s *Spec) { s.Steps = nil }, []string{"spec.canary.steps"}},
		{"weight above", func(s *Spec) { s.Steps[1].Weight = 101 }, []string{"spec.canary.steps[1].weight"}},
		{"weight below", func(s *Spec) { s.Steps[0].Weight = -1 }, []string{"spec.canary.steps[0].weight"}},
		{"falling", func(s *Spec) { s.Steps[1].Weight = 10 }, []string{"spec.canary.steps[1].weight"}},
		{"equal weights", func(s *Spec) { s.Steps[1].Weight = 20 }, nil},
		{"weight 0 by pods", func(s *Spec) {
			*s = layered(*s)
			s.Steps[0].Weight = 0
		}, []string{"spec.canary.steps[0].weight"}},
		{"match by pods", func(s *Spec) {
			*s = layered(*s)
			s.Steps[0].Matches = []Match{{Cookies: []CookieMatch{{"a", "b"}}}}
		}, []string{"spec.canary.steps[0].match"}},
		{"pods", func(s *Spec) { s.Steps[0].Replicas = -1 }, []string{"spec.canary.steps[0].replicas"}},
		{"names", func(s *Spec) { s.Steps[0].Name = "step-2" }, []string{"spec.canary.steps[1].name"}},
		{"pause", func(s *Spec) { s.Steps[0].Pause.Kind = "coffee" }, []string{"spec.canary.steps[0].pause"}},
		{"pause time", func(s *Spec) { s.Steps[0].Pause = Pause{PauseTimed, -1} }, []string{"spec.canary.steps[0].pause.duration"}},
		{"empty match", func(s *Spec) { s.Steps[0].Matches = []Match{{}} }, []string{"spec.canary.steps[0].match[0]"}},
		{"header", func(s *Spec) {
			s.Steps[0].Matches = []Match{{Headers: []HeaderMatch{{Name: "", Value: "a"}, {Name: "b", Value: "c", Regex: "d"}, {Name: "e"}}}}
		}, []string{
			"spec.canary.steps[0].match[0].headers[0].name", "spec.canary.steps[0].match[0].headers[1]",
			"spec.canary.steps[0].match[0].headers[2]",
		}},
		{"cookie", func(s *Spec) {
			s.Steps[0].Matches = []Match{{Cookies: []CookieMatch{{Name: "a"}}}}
		}, []string{"spec.canary.steps[0].match[0].cookies[0]"}},
		{"layer twice", func(s *Spec) { s.Layers = []string{"a", "b", "a"} }, []string{"spec.traffic[2]"}},
		{"layer without a name", func(s *Spec) { s.Layers = []string{""} }, []string{"spec.traffic[0]"}},
		{"times", func(s *Spec) {
			s.ProgressDeadline, s.ReleaseDeadline, s.DrainDelay = 0, -time.Second, -1
		}, []string{"spec.progressDeadline", "spec.releaseDeadline", "spec.drainDelay"}},
		{"onFailure", func(s *Spec) { s.OnFailure = "" }, []string{"spec.onFailure"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := specFor(Step{Weight: 20, Pause: Pause{Kind: PauseManual}}, Step{Weight: 50})
			tt.spoil(&s)
			var got []string
			for _, p := range Validate(s) {
				got = append(got, p.Field)
				if p.Message == "" || p.Remedy == "" || !strings.HasPrefix(p.String(), p.Field+": ") {
					t.Errorf("no message or remedy: %+v", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPlanIsWhatHappens: the pods that a plan names are those that the release starts.
func TestPlanIsWhatHappens(t *testing.T) {
	for name, layers := range map[string][]string{"by a layer": {"Ingress"}, "by pods": nil} {
		t.Run(name, func(t *testing.T) {
			s := specFor(Step{Weight: 10}, Step{Weight: 15, Replicas: 4}, Step{Weight: 33}, Step{Weight: 60})
			for i := range s.Steps {
				s.Steps[i].Pause.Kind = PauseManual
			}
			s = layered(s, layers...)
			w := newWorld(s, 7)
			for i, p := range Plan(s, 7)[:len(s.Steps)] {
				runUntil(t, w, ReasonPausedForPerson)
				if w.memory.Step != i || w.o.Canary.Ready != p.CanaryPods || w.o.Stable.Ready != p.StablePods {
					t.Errorf("step %d: %d + %d pods, planned %+v", w.memory.Step, w.o.Stable.Ready, w.o.Canary.Ready, p)
				}
				w.o.Decisions = []Decision{{ID: p.Name, Verb: Promote, User: "alice"}}
			}
		})
	}
	if got := Plan(specFor(Step{Weight: 50}), -1); got[0].StablePods != 0 || len(got) != 2 {
		t.Errorf("plan without pods: %+v", got)
	}
}
