package release

import (
	"slices"
	"testing"
)

// sound is a world at a step of 50%, of which each case of TestGuard spoils something.
func sound() (Spec, Observed, Memory) {
	s := layered(Spec{From: "blue", To: "green", Steps: []Step{{Weight: 50}}}, "Ingress")
	o := Observed{
		Workload: Workload{Exists: true, Desired: "green", Replicas: 4, Held: true},
		Stable:   Track{Exists: true, Adopted: true, Desired: 4, Pods: 4, Ready: 4},
		Canary:   Track{Exists: true, Desired: 2, Pods: 2, Ready: 2},
		Services: []Service{{Name: "shop", Held: true, Selects: SelectsStable, ReadyStable: 4, Routed: true, CanaryExists: true, CanaryReady: 2}},
		Layers:   []Layer{{Name: "Ingress", Routed: true, Weight: 50, Settled: true}},
	}
	return s, o, Memory{Phase: Progressing, StartedAt: began}
}

// turned is the same world in completion, drained and ready to be handed over.
func turned() (Spec, Observed, Memory) {
	s, o, m := sound()
	o.Canary = Track{Exists: true, Desired: 4, Pods: 4, Ready: 4}
	o.Services[0] = Service{Name: "shop", Held: true, Selects: SelectsCanary, ReadyCanary: 4, Routed: true, CanaryExists: true, CanaryReady: 4}
	o.Layers[0] = Layer{Name: "Ingress", Settled: true}
	m.Phase, m.DrainFrom, m.HandedOver = Completing, began, true
	return s, o, m
}

// aborting is the sound world on its way back.
func aborting() (Spec, Observed, Memory) {
	s, o, m := sound()
	m.Phase, m.End = Aborting, AbortedByUser
	return s, o, m
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name    string
		world   func() (Spec, Observed, Memory)
		spoil   func(*Spec, *Observed, *Memory)
		actions []Action
		breaks  string // empty: the actions pass
	}{
		{"a repeated route passes", sound, nil, []Action{Route{Layer: "Ingress", Weight: 50}}, ""},
		{"more weight than pods, by one in a hundred", sound, nil, []Action{Route{Layer: "Ingress", Weight: 51}}, "S1"},
		{"pods ready but not their endpoints", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Canary.Ready, o.Services[0].CanaryReady = 4, 2
		}, []Action{Route{Layer: "Ingress", Weight: 60}}, "S1"},
		{"less weight than stable carries", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Services[0].ReadyStable = 2
		}, []Action{Route{Layer: "Ingress", Weight: 40}}, "S1"},
		{"less weight when no new pod is ready passes with one stable pod", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Services[0].CanaryReady, o.Services[0].ReadyStable = 0, 1
		}, []Action{Route{Layer: "Ingress"}}, ""},
		{"a match that leads to no pod", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Layers[0].Weight, o.Services[0].CanaryReady = 0, 0
		}, []Action{Route{Layer: "Ingress", Matches: []Match{{Cookies: []CookieMatch{{"a", "b"}}}}}}, "S2"},
		{"a weight without a canary Service", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Layers[0].Weight, o.Services[0].CanaryExists = 0, false
		}, []Action{Route{Layer: "Ingress", Weight: 20}}, "S2"},
		{"a canary Service goes while a layer names it", sound, nil, []Action{RemoveCanaryService{Service: "shop"}}, "S2"},
		{"fewer new pods during the advance", sound, nil, []Action{ScaleCanary{Replicas: 1}}, "S3"},
		{"new pods end with live weight", aborting, nil, []Action{ScaleCanary{}}, "S3"},
		{"new pods end before the layer has reported", aborting, func(_ *Spec, o *Observed, m *Memory) {
			o.Layers[0], m.DrainFrom = Layer{Name: "Ingress"}, began
		}, []Action{ScaleCanary{}}, "S3"},
		{"new pods end undrained", aborting, func(_ *Spec, o *Observed, _ *Memory) {
			o.Layers[0] = Layer{Name: "Ingress", Settled: true}
		}, []Action{ScaleCanary{}}, "S3"},
		{"new pods end, drained: passes", aborting, func(_ *Spec, o *Observed, m *Memory) {
			o.Layers[0], m.DrainFrom = Layer{Name: "Ingress", Settled: true}, began
		}, []Action{ScaleCanary{}}, ""},
		{"the ReplicaSet of an earlier release goes, empty: passes", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Canary = Track{Exists: true, Adopted: true}
		}, []Action{RemoveCanary{}}, ""},
		{"the ReplicaSet goes after the hand-over", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Canary = Track{Exists: true, Adopted: true}
		}, []Action{RemoveCanary{}}, "S3"},
		{"the ReplicaSet goes with its pods", aborting, nil, []Action{RemoveCanary{}}, "S3"},
		{"the Service turns to too few new pods", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Services[0].Selects, o.Canary.Ready = SelectsStable, 3
		}, []Action{SelectService{Service: "shop", To: SelectsCanary}}, "S4"},
		{"the Service turns back to too few stable pods", turned, func(_ *Spec, o *Observed, m *Memory) {
			o.Stable.Ready, m.Phase = 3, Aborting
		}, []Action{SelectService{Service: "shop", To: SelectsStable}}, "S4"},
		{"the Service turns back to stable pods that are on their way out", turned, func(_ *Spec, o *Observed, m *Memory) {
			o.Stable.Desired, m.Phase = 1, Aborting
		}, []Action{SelectService{Service: "shop", To: SelectsStable}}, "S4"},
		{"the first pods before the Service is narrowed", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Canary, o.Services[0].Selects = Track{}, SelectsAll
		}, []Action{ScaleCanary{Replicas: 1}}, "S5"},
		{"the Service widens over both versions", aborting, nil, []Action{SelectService{Service: "shop", To: SelectsAll}}, "S5"},
		{"another team's Service", sound, nil, []Action{SelectService{Service: "cart", To: SelectsStable}}, "S5"},
		{"a weight that is no percentage", sound, nil, []Action{Route{Layer: "Ingress", Weight: -1}}, "S6"},
		{"another team's route", sound, nil, []Action{Route{Layer: "cart", Weight: 1}}, "S6"},
		{"more weight during an abort", aborting, func(_ *Spec, o *Observed, _ *Memory) {
			o.Layers[0].Weight = 10
		}, []Action{Route{Layer: "Ingress", Weight: 20}}, "S8"},
		{"more pods during an abort", aborting, nil, []Action{ScaleCanary{Replicas: 3}}, "S8"},
		{"more weight for a superseded revision", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Desired, o.Layers[0].Weight = "yellow", 10
		}, []Action{Route{Layer: "Ingress", Weight: 20}}, "S11"},
		{"the hand-over of a superseded revision", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Desired = "yellow"
		}, []Action{HandOver{}}, "S11"},
		{"the hand-over passes", turned, nil, []Action{HandOver{}}, ""},
		{"the hand-over undrained", turned, func(_ *Spec, _ *Observed, m *Memory) {
			m.DrainFrom = Memory{}.DrainFrom
		}, []Action{HandOver{}}, "S3"},
		{"the hand-over with old endpoints left", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Services[0].ReadyStable = 1
		}, []Action{HandOver{}}, "S3"},
		{"the hand-over with a pod too few", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Replicas = 5
		}, []Action{HandOver{}}, "S14"},
		{"two disruptions at once", turned, nil, []Action{HandOver{}, Unroute{Layer: "Ingress"}}, "S14"},
		{"fewer pods than needed, by pods alone", aborting, func(s *Spec, o *Observed, _ *Memory) {
			*s = layered(*s)
			o.Layers, o.Services, o.Stable.Ready = nil, nil, 3
		}, []Action{ScaleCanary{}}, "S14"},
		{"the layer is given back before the Service leads to the new pods", sound, func(_ *Spec, _ *Observed, m *Memory) {
			m.Phase = Completing
		}, []Action{Unroute{Layer: "Ingress"}}, "S1"},
		{"the workload is resumed with a rejected template", aborting, nil, []Action{ResumeWorkload{}}, "S21"},
		{"a workload that was resumed in a step is paused", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Held = false
		}, []Action{PauseWorkload{}}, ""},
		{"a workload is paused that runs the stable revision", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Desired = "blue"
		}, []Action{PauseWorkload{}}, "S21"},
		{"a workload is paused after the hand-over", turned, nil, []Action{PauseWorkload{}}, "S21"},
		{"pods go that a Service leads to and nobody replaces", sound, func(_ *Spec, o *Observed, _ *Memory) {
			o.Workload.Taken, o.Stable.Ready, o.Services[0].Selects = 1, 0, SelectsAll
		}, []Action{RemoveLoose{}}, "S1"},
		{"pods go that no Service leads to", sound, func(_ *Spec, o *Observed, _ *Memory) { o.Workload.Taken, o.Stable.Ready = 1, 0 }, []Action{RemoveLoose{}}, ""},
		{
			"new pods stand in for stable ones", sound, func(_ *Spec, o *Observed, _ *Memory) { o.Stable.Ready = 0 },
			[]Action{SelectService{Service: "shop", To: SelectsCanary}},
			"",
		},
		{
			"new pods stand in although a stable one is ready", sound, func(_ *Spec, o *Observed, _ *Memory) { o.Stable.Ready = 1 },
			[]Action{SelectService{Service: "shop", To: SelectsCanary}},
			"S4",
		},
		{"the workload is resumed in a step", sound, nil, []Action{ResumeWorkload{}}, "S21"},
		{"the workload is resumed before it runs the new revision alone", turned, func(_ *Spec, o *Observed, _ *Memory) {
			o.Canary.Adopted = true
		}, []Action{ResumeWorkload{}}, "S21"},
		{"the end with a Service held", sound, func(_ *Spec, _ *Observed, m *Memory) { m.Phase = Aborted }, nil, "S22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, o, m := tt.world()
			if tt.spoil != nil {
				tt.spoil(&s, &o, &m)
			}
			found := Check(s, o, m, tt.actions)
			if tt.breaks == "" && len(found) > 0 {
				t.Fatalf("found %v", found)
			}
			if tt.breaks != "" && !slices.ContainsFunc(found, func(v Violation) bool { return v.Invariant == tt.breaks }) {
				t.Fatalf("want a violation of %s, found %v", tt.breaks, found)
			}
		})
	}
}

// TestGuardStopsDecide: what the guard refuses is neither done nor remembered.
func TestGuardStopsDecide(t *testing.T) {
	s, o, m := sound()
	tn := newPass(s, o, m, began)
	tn.m.HandedOver = true
	tn.do(HandOver{})
	out := tn.outcome(m)
	if len(out.Actions) > 0 || !out.Memory.Equal(m) || out.Reason.Code != ReasonGuardRefused || out.Wake.IsZero() {
		t.Errorf("outcome %+v", out)
	}
}
